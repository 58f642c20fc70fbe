//! A bounded number of threads for work that may wait for a client as long as that client likes.
//! Nothing here may wait for them: they are never joined.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

type Work = Box<dyn FnOnce() + Send>;

/// The lanes.
pub(super) struct Lanes {
    max: usize,
    state: Mutex<State>,
}

struct State {
    busy: usize,
    waiting: VecDeque<Work>,
}

impl Lanes {
    /// At most `max` threads, each started when it is needed; eight times as many items may wait for one.
    pub(super) fn new(max: usize) -> Arc<Lanes> {
        Arc::new(Lanes { max: max.max(1), state: Mutex::new(State { busy: 0, waiting: VecDeque::new() }) })
    }

    /// Runs `work` on `item`, or gives the item back when there is no room or no thread.
    pub(super) fn run<T: Send + 'static>(self: &Arc<Self>, item: T, work: fn(T)) -> Result<(), T> {
        let mut state = self.state.lock();
        if state.busy < self.max {
            // The item travels by a channel, so that it is still here when no thread can be had.
            let (sender, receiver) = std::sync::mpsc::channel::<T>();
            let lanes = self.clone();
            let body = move || {
                let _busy = Busy(lanes.clone());
                if let Ok(item) = receiver.recv() {
                    work(item);
                }
                while let Some(work) = lanes.next() {
                    work();
                }
            };
            if thread::Builder::new().name("http-lane".into()).spawn(body).is_err() {
                return Err(item);
            }
            state.busy += 1;
            return sender.send(item).map_err(|unsent| unsent.0);
        }
        if state.waiting.len() >= self.max * 8 {
            return Err(item);
        }
        state.waiting.push_back(Box::new(move || work(item)));
        Ok(())
    }

    fn next(&self) -> Option<Work> {
        self.state.lock().waiting.pop_front()
    }
}

/// A thread of the lanes, uncounted when it ends, by a panic too.
struct Busy(Arc<Lanes>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state.lock().busy -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn what_waits_runs_when_a_lane_is_free_and_what_has_no_room_is_given_back() {
        let lanes = Lanes::new(1);
        let (release, gate) = mpsc::channel::<()>();
        let (done, results) = mpsc::channel::<u32>();
        lanes.run(gate, |gate| while gate.recv().is_ok() {}).unwrap();
        for number in 0..8 {
            lanes.run((number, done.clone()), |(number, done)| done.send(number).unwrap()).unwrap();
        }
        let (number, _) = lanes.run((8, done.clone()), |_: (u32, mpsc::Sender<u32>)| ()).unwrap_err();
        assert_eq!(number, 8);
        drop((release, done));
        assert_eq!(results.iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_costs_no_lane() {
        let lanes = Lanes::new(1);
        let (done, results) = mpsc::channel::<u32>();
        lanes.run((), |()| panic!("on purpose")).unwrap();
        while lanes.state.lock().busy > 0 {
            thread::yield_now();
        }
        lanes.run(done, |done| done.send(1).unwrap()).unwrap();
        assert_eq!(results.recv(), Ok(1));
    }
}
