//! The model: all that a book decides, by looking at every session each time.

use std::collections::{BTreeMap, BTreeSet};

use super::{CONNECTION, DETACHED, SESSION};
use crate::accounting::book::Granted;
use crate::accounting::seat::{Asker, Seat};
use crate::error::Code;
use crate::id::{ConnectionId, KeyNo, SessionId};

/// Where a connection comes from: one of two addresses, and the computer that its process names, if not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origin {
    pub address: u8,
    pub computer: u8,
}

impl Origin {
    /// The same with the computer that a claim names.
    fn asking(self, asker: &Asker) -> Origin {
        let computer = asker.computer().map_or(self.computer, |computer| computer.0[0]);
        Origin { computer, ..self }
    }

    /// Addresses of each of both networks, which count as one.
    pub fn peer(self, number: u64) -> core::net::IpAddr {
        let host = u16::try_from(number % 9).unwrap_or_default();
        core::net::Ipv6Addr::from([0x2001, 0xdb8, 0, self.address.into(), 0, 0, 0, host]).into()
    }
}

/// A session as the model sees it.
#[derive(Debug, Clone)]
pub(super) struct Sitting {
    pub id: SessionId,
    pub name: (u32, bool),
    pub asker: Option<Asker>,
    pub seat: Seat,
    /// When the seat was granted, as a rank.
    pub rank: u64,
    pub holder: Option<ConnectionId>,
    /// Who held it last: may come back without a take-over.
    pub last: Option<ConnectionId>,
    /// When it ends, while nobody holds it.
    pub until: u64,
    pub detached: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub now: u64,
    pub used: BTreeMap<ConnectionId, u64>,
    pub from: BTreeMap<ConnectionId, Origin>,
    /// Whom a seat counts for, where that is known.
    pub clients: BTreeMap<Seat, Origin>,
    pub limits: (u8, u8, bool),
    pub sittings: Vec<Sitting>,
    pub pool: Vec<(KeyNo, u32)>,
    pub ending: BTreeSet<Seat>,
    /// Seats all of whose sessions are detached, and since when that is so.
    pub idle: BTreeMap<Seat, u64>,
    pub ranks: u64,
}

impl Model {
    fn size(&self) -> usize {
        self.pool.iter().map(|(_, count)| *count as usize).sum()
    }

    fn refusal(&self) -> Code {
        if self.pool.is_empty() { Code::NoKey } else { Code::AllTaken }
    }

    fn seats(&self) -> BTreeSet<Seat> {
        self.sittings.iter().map(|sitting| sitting.seat.clone()).collect()
    }

    pub fn tidy(&mut self) {
        let seats = self.seats();
        self.ending.retain(|seat| seats.contains(seat));
        self.clients.retain(|seat, _| seats.contains(seat));
        let used: BTreeSet<&Seat> = self.sittings.iter().filter(|s| !s.detached).map(|s| &s.seat).collect();
        self.idle.retain(|seat, _| seats.contains(seat) && !used.contains(seat));
        for seat in seats.iter().filter(|seat| !used.contains(seat)) {
            self.idle.entry(seat.clone()).or_insert(self.now);
        }
    }

    pub fn expire(&mut self) {
        let now = self.now;
        for sitting in &mut self.sittings {
            if let Some(used) = sitting.holder.and_then(|holder| self.used.get(&holder))
                && used + CONNECTION <= now
            {
                (sitting.holder, sitting.until) = (None, used + SESSION);
            }
        }
        self.used.retain(|_, used| *used + CONNECTION > now);
        self.sittings.retain(|sitting| sitting.holder.is_some() || sitting.until > now);
        self.tidy();
    }

    pub fn use_connection(&mut self, id: ConnectionId) -> bool {
        let now = self.now;
        self.used.get_mut(&id).map(|used| *used = now).is_some()
    }

    pub fn set_pool(&mut self, pool: Vec<(KeyNo, u32)>) {
        self.pool = pool;
        let mut seats: Vec<(u64, Seat)> = self.sittings.iter().map(|s| (s.rank, s.seat.clone())).collect();
        seats.sort();
        seats.dedup();
        self.ending = seats.into_iter().skip(self.size()).map(|(_, seat)| seat).collect();
    }

    /// Whether somebody from there may take one more seat; counts all seats anew.
    fn limit(&self, from: Origin) -> Result<(), Code> {
        let (per_address, per_computer, lifted) = self.limits;
        let count = |same: &dyn Fn(&Origin) -> bool| self.clients.values().filter(|from| same(from)).count();
        if lifted && from.address == 1 {
            return Ok(());
        }
        if per_address > 0 && count(&|other| other.address == from.address) >= per_address.into() {
            return Err(Code::AddressAtLimit);
        }
        let full = count(&|other| other.computer == from.computer) >= per_computer.into();
        if per_computer > 0 && from.computer > 0 && full { Err(Code::ComputerAtLimit) } else { Ok(()) }
    }

    /// A claim; says what is expected, and whether the pool may be asked at all.
    pub fn claim(
        &mut self,
        holder: Option<ConnectionId>,
        asker: Option<Asker>,
        name: (u32, bool),
        shared: Option<Seat>,
        id: SessionId,
    ) -> Result<Granted, Code> {
        let shared_of = |sitting: &Sitting| match sitting.asker {
            Some(Asker::Server) | None => None,
            Some(Asker::Desktop(computer)) => Some(Seat::Computer(computer)),
            Some(Asker::Terminal { host, ref client }) => Some(Seat::Terminal { host, client: client.clone() }),
            Some(Asker::External) => None,
        };
        let named = |sitting: &&Sitting| sitting.name == name;
        let known =
            self.sittings.iter().filter(named).find(|sitting| shared_of(sitting) == shared).or_else(|| {
                self.sittings.iter().filter(named).find(|sitting| holder.is_some() && sitting.last == holder)
            });
        if let Some(known) = known.map(|known| known.id) {
            let ending = self.sittings.iter().any(|s| s.id == known && self.ending.contains(&s.seat));
            if ending {
                self.sittings.retain(|sitting| sitting.id != known);
                self.tidy();
                return Err(Code::SessionEnding);
            }
            let until = self.now + SESSION;
            let Some(sitting) = self.sittings.iter_mut().find(|sitting| sitting.id == known) else {
                return Err(Code::Internal);
            };
            (sitting.until, sitting.detached) = (until, false);
            if holder.is_none() || sitting.last == holder {
                sitting.holder = holder;
                return Ok(Granted::Again);
            }
            (sitting.holder, sitting.last) = (holder, holder);
            if let (Some(from), Some(asker)) = (holder.and_then(|holder| self.from.get(&holder)), &asker) {
                self.clients.insert(sitting.seat.clone(), from.asking(asker));
            }
            sitting.asker = asker;
            return Ok(Granted::TakenOver);
        }
        let seat = shared.unwrap_or(Seat::Session(id));
        let mut rank = self.sittings.iter().find(|sitting| sitting.seat == seat).map(|sitting| sitting.rank);
        if self.ending.contains(&seat) {
            let full = self.seats().len() >= self.size();
            return Err(if full { self.refusal() } else { Code::SessionEnding });
        }
        if rank.is_none() {
            if self.size() == 0 {
                return Err(self.refusal());
            }
            // Seats without an active session for long enough, the longest first.
            let rank_of = |seat: &Seat| self.sittings.iter().find(|s| s.seat == *seat).map(|s| s.rank);
            let ripe = self.idle.iter().filter(|(_, since)| **since + DETACHED <= self.now);
            let mut idle: Vec<_> = ripe.map(|(seat, since)| (*since, rank_of(seat), seat.clone())).collect();
            idle.sort();
            let excess = (self.seats().len() + 1).saturating_sub(self.size());
            if idle.len() < excess {
                return Err(self.refusal());
            }
            let from = holder.and_then(|holder| self.from.get(&holder)).zip(asker.as_ref());
            let from = from.map(|(from, asker)| from.asking(asker));
            from.map_or(Ok(()), |from| self.limit(from))?;
            for (_, _, victim) in idle.into_iter().take(excess) {
                self.sittings.retain(|sitting| sitting.seat != victim);
            }
            self.tidy();
            self.ranks += 1;
            rank = Some(self.ranks);
            self.clients.extend(from.map(|from| (seat.clone(), from)));
        }
        let rank = rank.unwrap_or_default();
        let until = self.now + SESSION;
        self.sittings.push(Sitting { id, name, asker, seat, rank, holder, last: holder, until, detached: false });
        Ok(Granted::New)
    }
}
