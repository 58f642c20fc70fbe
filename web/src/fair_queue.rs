//! A bounded queue that nobody can fill for others: work of different purposes waits in lanes of its own, in each lane the clients
//! take turns, and what has waited its longest is handed out as such. Pure: the time is an argument.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::limits::client_of;

/// Limits of one lane.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// How much may wait in all.
    pub waiting: usize,
    /// How much of it may be one client's (see [`client_of`]).
    pub waiting_per_client: usize,
    /// How long it may wait.
    pub patience: Duration,
}

/// The queue; lanes are known by their place in the list that it was made of.
#[derive(Debug)]
pub struct FairQueue<T> {
    lanes: Vec<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    limits: Lane,
    count: usize,
    /// What each client waits for, with the moment at which it has waited its longest: the earliest first.
    clients: HashMap<IpAddr, VecDeque<(Duration, T)>>,
    /// Whose turn it is; each client of the map once.
    turns: VecDeque<IpAddr>,
}

impl<T> FairQueue<T> {
    /// An empty queue of these lanes.
    pub fn new(lanes: &[Lane]) -> Self {
        let empty =
            |limits: &Lane| Waiting { limits: *limits, count: 0, clients: HashMap::new(), turns: VecDeque::new() };
        Self { lanes: lanes.iter().map(empty).collect() }
    }

    /// Whether one more of `client` may wait in a lane.
    pub fn has_room(&self, lane: usize, client: IpAddr) -> bool {
        self.lanes.get(lane).is_some_and(|lane| {
            let of_client = lane.clients.get(&client_of(client)).map_or(0, VecDeque::len);
            lane.count < lane.limits.waiting && of_client < lane.limits.waiting_per_client
        })
    }

    /// Lets it wait from `now` on, a time that never goes back. Nothing is done for an unknown lane.
    pub fn push(&mut self, lane: usize, client: IpAddr, now: Duration, one: T) {
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        let client = client_of(client);
        let until = now.saturating_add(lane.limits.patience);
        let of_client = lane.clients.entry(client).or_insert_with(|| {
            lane.turns.push_back(client);
            VecDeque::new()
        });
        of_client.push_back((until, one));
        lane.count += 1;
    }

    /// The oldest work of the client whose turn it is in a lane.
    pub fn pop(&mut self, lane: usize) -> Option<T> {
        let lane = self.lanes.get_mut(lane)?;
        let client = lane.turns.pop_front()?;
        let of_client = lane.clients.get_mut(&client)?;
        let (_, one) = of_client.pop_front()?;
        lane.count -= 1;
        if of_client.is_empty() {
            lane.clients.remove(&client);
        } else {
            lane.turns.push_back(client);
        }
        Some(one)
    }

    /// Takes out whatever has waited its longest at `now`.
    pub fn expired(&mut self, now: Duration) -> Vec<T> {
        let mut out = Vec::new();
        for lane in self.lanes.iter_mut().filter(|lane| lane.count > 0) {
            let before = out.len();
            for of_client in lane.clients.values_mut() {
                while let Some((_, one)) = of_client.pop_front_if(|(until, _)| *until <= now) {
                    out.push(one);
                }
            }
            if out.len() > before {
                lane.count -= out.len() - before;
                lane.clients.retain(|_, of_client| !of_client.is_empty());
                let clients = &lane.clients;
                lane.turns.retain(|client| clients.contains_key(client));
            }
        }
        out
    }

    /// How much waits in all lanes.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.count).sum()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LANE: Lane = Lane { waiting: 10, waiting_per_client: 6, patience: Duration::from_secs(20) };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// Pushes if there is room.
    fn offer(queue: &mut FairQueue<u32>, lane: usize, client: u8, now: Duration, one: u32) -> bool {
        let room = queue.has_room(lane, ip(client));
        if room {
            queue.push(lane, ip(client), now, one);
        }
        room
    }

    #[test]
    fn clients_take_turns_whatever_one_of_them_has_queued() {
        let mut queue = FairQueue::new(&[LANE]);
        for number in 0..6 {
            assert!(offer(&mut queue, 0, 1, SECOND, number));
        }
        assert!(!offer(&mut queue, 0, 1, SECOND, 6), "no more of one client");
        assert!(offer(&mut queue, 0, 2, SECOND, 100) && offer(&mut queue, 0, 3, SECOND, 200));
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop(0)).collect();
        assert_eq!(order, [0, 100, 200, 1, 2, 3, 4, 5]);
        assert!(queue.is_empty() && queue.lanes[0].clients.is_empty() && queue.lanes[0].turns.is_empty());
    }

    #[test]
    fn a_full_lane_leaves_the_others_their_room() {
        let mut queue = FairQueue::new(&[LANE, LANE]);
        for number in 0..10 {
            assert!(offer(&mut queue, 0, number, SECOND, 0));
        }
        assert!(!offer(&mut queue, 0, 99, SECOND, 0), "no more in all");
        assert!(offer(&mut queue, 1, 1, SECOND, 7));
        assert_eq!((queue.pop(1), queue.pop(1), queue.len()), (Some(7), None, 10));
        assert!(!queue.has_room(2, ip(1)) && queue.pop(2).is_none());
    }

    #[test]
    fn what_has_waited_its_longest_comes_out_before_its_turn() {
        let mut queue = FairQueue::new(&[LANE]);
        for second in 0..5 {
            offer(&mut queue, 0, 1, second * SECOND, second);
        }
        offer(&mut queue, 0, 2, SECOND, 100);
        assert!(queue.expired(19 * SECOND).is_empty());
        let mut late = queue.expired(21 * SECOND);
        late.sort_unstable();
        assert_eq!((late, queue.len()), (vec![0, 1, 100], 3));
        assert_eq!(std::iter::from_fn(|| queue.pop(0)).collect::<Vec<_>>(), [2, 3, 4]);
    }

    /// Any order of events: nothing is lost or given twice, limits hold, and a client waits for one piece of each other at most.
    #[test]
    fn in_any_order_of_events_nothing_is_lost_and_nobody_waits_for_more_than_his_turn() {
        proptest::proptest!(|(events in proptest::collection::vec((0..4_u8, 0..2_usize, 0..3_u8), 0..300))| {
            let mut queue = FairQueue::new(&[LANE, LANE]);
            let (mut now, mut pushed, mut out) = (SECOND, 0_u32, Vec::new());
            for (client, lane, event) in events {
                match event {
                    0 if offer(&mut queue, lane, client, now, pushed) => pushed += 1,
                    1 => out.extend(queue.pop(lane)),
                    2 => {
                        now += SECOND;
                        out.extend(queue.expired(now));
                    }
                    _ => {}
                }
                for lane in &queue.lanes {
                    assert!(lane.count <= LANE.waiting && lane.turns.len() == lane.clients.len());
                    assert_eq!(lane.count, lane.clients.values().map(VecDeque::len).sum::<usize>());
                    assert!(lane.clients.values().all(|one| (1..=LANE.waiting_per_client).contains(&one.len())));
                }
            }
            for lane in 0..2 {
                let clients = queue.lanes[lane].clients.len();
                let first: Vec<IpAddr> = queue.lanes[lane].turns.iter().copied().collect();
                assert_eq!(first.len(), clients, "each client once in a round");
                out.extend(std::iter::from_fn(|| queue.pop(lane)));
            }
            out.sort_unstable();
            assert_eq!(out, (0..pushed).collect::<Vec<_>>());
        });
    }
}
