//! Limits against guessing. A try takes a token of its address, and of its code where it names one, before anything is looked
//! up; what turns out to be no guess gets it back. `docs/center.md` has the odds.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use licence::code::ActivationCode;
use licence::error::{Code, Error, Result};
use parking_lot::Mutex;
use web::Request;
use web::limits::{Buckets, client_of};

use super::proxies::{Fault, Proxies};

/// Addresses, and codes, whose failed tries are remembered.
const REMEMBERED: usize = 100_000;
/// Failed tries of one code at once; one more after each interval. Who owns the code guesses its ИНН no faster.
const CODE_BURST: u32 = 10;
const CODE_INTERVAL: Duration = Duration::from_secs(600);

/// How many failed tries one address may make.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// At once.
    pub burst: u32,
    /// One more each time that this has passed.
    pub interval: Duration,
}

/// The limits.
pub struct Guard {
    addresses: Option<Mutex<Buckets<IpAddr>>>,
    codes: Mutex<Buckets<ActivationCode>>,
    proxies: Proxies,
    started: Instant,
}

impl Guard {
    /// Limits; without `attempts` an address may fail as often as it likes. `proxies` are reverse proxies, whose word on the client's
    /// address is believed.
    pub fn new(attempts: Option<Attempts>, proxies: Vec<IpAddr>) -> Guard {
        let addresses = attempts.map(|a| Mutex::new(Buckets::new(a.burst, a.interval, REMEMBERED)));
        let codes = Mutex::new(Buckets::new(CODE_BURST, CODE_INTERVAL, REMEMBERED));
        Guard { addresses, codes, proxies: Proxies::new(proxies), started: Instant::now() }
    }

    /// Address of the client, see [`Proxies::client`].
    pub fn client(&self, request: &Request) -> IpAddr {
        self.proxies.client(request, self.started.elapsed())
    }

    /// Why many clients may count as one address, if they may.
    pub fn fault(&self) -> Option<Fault> {
        self.proxies.fault(self.started.elapsed())
    }

    /// Takes a token of the address.
    pub fn enter(&self, address: IpAddr) -> Result<()> {
        let Some(addresses) = &self.addresses else { return Ok(()) };
        addresses.lock().take(client_of(address), self.started.elapsed()).map_err(wait)
    }

    /// Takes a token of the code.
    pub fn enter_code(&self, code: ActivationCode) -> Result<()> {
        self.codes.lock().take(code, self.started.elapsed()).map_err(wait)
    }

    /// Gives tokens back unless `outcome` is what a guesser would see.
    pub fn leave<T>(&self, address: IpAddr, code: Option<ActivationCode>, outcome: &Result<T>) {
        if outcome.as_ref().is_err_and(is_guess) {
            return;
        }
        if let Some(addresses) = &self.addresses {
            addresses.lock().give_back(&client_of(address));
        }
        if let Some(code) = code {
            self.codes.lock().give_back(&code);
        }
    }
}

fn wait(wait: Duration) -> Error {
    Error::new(Code::TooManyAttempts).with(wait.as_secs() + 1)
}

/// Whether a refusal is one that a guesser of codes, owners, keys or tokens would see.
fn is_guess(error: &Error) -> bool {
    matches!(
        error.code,
        Code::CodeUnknown
            | Code::CodeUsed
            | Code::CodeBlocked
            | Code::CodeMalformed
            | Code::OwnerMismatch
            | Code::OfferOver
            | Code::CodeOfOtherSeries
            | Code::CodeOfOtherVendor
            | Code::KeyUnknown
            | Code::KeyElsewhere
            | Code::BadRequest
            | Code::DocumentDamaged
            | Code::DocumentVersion
            | Code::RequestSignature
            | Code::TokenWrong
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn guard() -> Guard {
        Guard::new(Some(Attempts { burst: 3, interval: Duration::from_secs(3600) }), Vec::new())
    }

    fn outcome(code: Option<Code>) -> Result<()> {
        code.map_or(Ok(()), |code| Err(code.into()))
    }

    #[test]
    fn only_failures_weigh() {
        let guard = guard();
        for ended in [None, Some(Code::KeyRuleViolated), Some(Code::Busy), Some(Code::TransferLimit)].repeat(5) {
            guard.enter(ADDRESS).unwrap();
            guard.leave(ADDRESS, None, &outcome(ended));
        }
        for _ in 0..3 {
            guard.enter(ADDRESS).unwrap();
            guard.leave(ADDRESS, None, &outcome(Some(Code::CodeUnknown)));
        }
        assert_eq!(guard.enter(ADDRESS).unwrap_err().code, Code::TooManyAttempts);
    }

    #[test]
    fn tries_at_the_same_time_are_counted_before_their_ends_are_known() {
        let guard = guard();
        (0..3).for_each(|_| guard.enter(ADDRESS).unwrap());
        assert!(guard.enter(ADDRESS).is_err());
        guard.leave(ADDRESS, None, &outcome(None));
        assert!(guard.enter(ADDRESS).is_ok());
    }

    #[test]
    fn the_owner_of_a_code_is_not_guessed_from_many_addresses() {
        let guard = guard();
        let code: ActivationCode = "00000000000000000098".parse().unwrap();
        for _ in 0..CODE_BURST {
            guard.enter_code(code).unwrap();
            guard.leave(ADDRESS, Some(code), &outcome(Some(Code::OwnerMismatch)));
        }
        assert!(guard.enter_code(code).is_err());
    }
}
