//! Failed sign-ins between two looks of the audit trail: few lines, whatever number of tries and addresses comes. Pure over
//! injected time. It never holds a name: people type passwords in their place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use licence::time::Tick;
use web::limits::client_of;

/// How much is told at once, and how often.
const EVERY: Duration = Duration::from_secs(600);
const MOST_LINES: usize = 5;
/// Fewer tries of one address are mistakes of people; fewer of all the others together are many people's mistakes.
const TOLD: u64 = 5;
const TOLD_OF_OTHERS: u64 = 30;
const MAX_ADDRESSES: usize = 1000;

/// Tries that were refused.
#[derive(Debug, Default)]
pub struct Tally {
    tries: HashMap<IpAddr, u64>,
    /// Of addresses beyond [`MAX_ADDRESSES`].
    others: u64,
    /// When the first of them was refused.
    since: Option<Tick>,
    told: Option<Tick>,
    /// All tries since the start, told of or not.
    all: u64,
}

/// One line: so many tries, of one address or of all that have no line of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guesses {
    /// Where they came from.
    pub address: Option<IpAddr>,
    /// How many.
    pub tries: u64,
    /// In which time.
    pub within: Duration,
}

impl Tally {
    /// Counts a refused try.
    pub fn count(&mut self, address: IpAddr, now: Tick) {
        self.all += 1;
        self.since.get_or_insert(now);
        let client = client_of(address);
        if self.tries.len() < MAX_ADDRESSES || self.tries.contains_key(&client) {
            *self.tries.entry(client).or_default() += 1;
        } else {
            self.others += 1;
        }
    }

    /// What is to be written down at `now`, the worst first; counting begins anew then.
    pub fn take(&mut self, now: Tick) -> Vec<Guesses> {
        let Some(since) = self.since else { return Vec::new() };
        let within = now.since(since);
        let worth_telling = self.tries.values().any(|tries| *tries >= TOLD) || self.others() >= TOLD_OF_OTHERS;
        let too_early = self.told.is_some_and(|told| now.since(told) < EVERY);
        if too_early || !worth_telling && within < EVERY {
            return Vec::new();
        }
        let mut worst: Vec<(u64, IpAddr)> =
            self.tries.iter().filter(|(_, tries)| **tries >= TOLD).map(|(address, tries)| (*tries, *address)).collect();
        worst.sort_unstable_by(|a, b| b.cmp(a));
        worst.truncate(MOST_LINES);
        let counted = self.tries.values().sum::<u64>() + self.others;
        let others = counted - worst.iter().map(|(tries, _)| tries).sum::<u64>();
        let mut lines: Vec<Guesses> =
            worst.into_iter().map(|(tries, address)| Guesses { address: Some(address), tries, within }).collect();
        if others >= TOLD_OF_OTHERS {
            lines.push(Guesses { address: None, tries: others, within });
        }
        let told = if lines.is_empty() { self.told } else { Some(now) };
        *self = Tally { told, all: self.all, ..Tally::default() };
        lines
    }

    /// How many tries there were since the start.
    pub fn all(&self) -> u64 {
        self.all
    }

    /// Tries of addresses that are below what one line is worth.
    fn others(&self) -> u64 {
        self.others + self.tries.values().filter(|tries| **tries < TOLD).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0A00_0000 + number).into()
    }

    fn told(tally: &mut Tally, now: u64) -> Vec<(Option<IpAddr>, u64)> {
        tally.take(Tick(now)).into_iter().map(|line| (line.address, line.tries)).collect()
    }

    #[test]
    fn a_guesser_is_told_of_at_once_and_then_every_ten_minutes() {
        let mut tally = Tally::default();
        (0..6).for_each(|_| tally.count(address(1), Tick(0)));
        assert_eq!(told(&mut tally, 2000), [(Some(address(1)), 6)]);
        (0..100).for_each(|_| tally.count(address(1), Tick(3000)));
        assert_eq!(told(&mut tally, 9 * MINUTE), []);
        assert_eq!(told(&mut tally, 11 * MINUTE), [(Some(address(1)), 100)]);
        assert_eq!((told(&mut tally, 60 * MINUTE), tally.all()), (Vec::new(), 106));
    }

    #[test]
    fn mistakes_are_not_told_of_and_are_forgotten() {
        let mut tally = Tally::default();
        for round in 0..10 {
            tally.count(address(1), Tick(round * 11 * MINUTE));
            assert_eq!(told(&mut tally, round * 11 * MINUTE + 1), []);
        }
    }

    #[test]
    fn guesses_from_any_number_of_addresses_take_a_few_lines() {
        let mut tally = Tally::default();
        for number in 0..3000 {
            (0..10).for_each(|_| tally.count(address(number), Tick(0)));
        }
        (0..50).for_each(|_| tally.count(address(7), Tick(0)));
        assert!(tally.tries.len() <= MAX_ADDRESSES);
        let lines = told(&mut tally, 1);
        assert_eq!((lines.len(), lines[0]), (MOST_LINES + 1, (Some(address(7)), 60)));
        assert_eq!(lines.iter().map(|(_, tries)| tries).sum::<u64>(), 30_050);
        assert_eq!(lines[MOST_LINES].0, None);
    }

    #[test]
    fn many_addresses_that_try_once_are_one_line() {
        let mut tally = Tally::default();
        (0..40).for_each(|number| tally.count(address(number), Tick(0)));
        assert_eq!(told(&mut tally, 1), [(None, 40)]);
    }
}
