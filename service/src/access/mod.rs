//! Who may do what: networks, host names, Basic authentication, roles, the default password. `docs/security.md`.
//!
//! It owns failures and remembered sign-ins, in memory only. It must never hash a password on a front's thread, nor keep one.

mod attempts;
mod password;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::settings::{Authorization, ServerSettings};
use licence::time::{Clock, Tick};
use parking_lot::Mutex;
use web::{Access, Crew, Request, origin};
use zeroize::Zeroizing;

pub use password::{DEFAULT, acceptable, hash_password, is_default, set_password};

use crate::settings::Live;
use attempts::{Admission, Attempts};

/// Passwords that may be hashed at once, each with 19 MiB, and how many may wait for it.
const HASHERS: usize = 2;
const WAITING: usize = 64;
/// How long a verified pair is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
const MAX_REMEMBERED: usize = 1024;

/// Somebody whose credentials were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The account.
    pub user: String,
    /// What it may do.
    pub role: Access,
    /// The account still has the password of a new server: it may read, and set a new one.
    pub must_change_password: bool,
}

impl Visitor {
    /// Whether the visitor may call what `access` protects; `changes` tells that it changes something.
    pub fn may(&self, access: Access, changes: bool) -> Result<()> {
        if self.role < access {
            let text = Error::new(Code::Forbidden);
            return Err(text.with_text("прав этой учётной записи недостаточно", "this account lacks the right"));
        }
        if changes && self.must_change_password {
            return Err(Code::PasswordChangeRequired.into());
        }
        Ok(())
    }
}

/// The guard at the door.
pub struct Guard {
    crypto: Provider,
    clock: Arc<dyn Clock>,
    settings: Arc<Live>,
    computer: String,
    /// Key of this process: what is remembered means nothing elsewhere.
    key: Zeroizing<[u8; 32]>,
    attempts: Mutex<Attempts>,
    remembered: Mutex<HashMap<[u8; 32], Tick>>,
    crew: Crew,
}

/// What is known of the sender of a request without hashing anything.
enum Known {
    Visitor(Visitor),
    Refused(Error),
    /// Only a hash can tell.
    Unverified(Claimed),
}

/// Credentials that were claimed, with the account that they are claimed of.
struct Claimed {
    user: String,
    password: Zeroizing<String>,
    address: std::net::IpAddr,
    mark: [u8; 32],
    settings: Arc<ServerSettings>,
}

impl Guard {
    /// A guard by these settings.
    pub fn new(crypto: Provider, clock: Arc<dyn Clock>, settings: Arc<Live>) -> Result<Guard> {
        Ok(Guard {
            crypto,
            clock,
            settings,
            computer: licence::host::os::computer_name(),
            key: Zeroizing::new(crypto.random_array()?),
            attempts: Mutex::default(),
            remembered: Mutex::default(),
            crew: Crew::new("passwords", HASHERS, WAITING).map_err(|e| Error::new(Code::Internal).with(e))?,
        })
    }

    /// Whether the request may come from where it comes, and calls this server by its name.
    pub fn check_network(&self, request: &Request) -> Result<()> {
        let settings = self.settings.get();
        let refused = |russian: &str, english: &str| Err(Error::new(Code::Forbidden).with_text(russian, english));
        let address = request.peer.ip();
        if !request.is_loopback() {
            if settings.local_only {
                return refused(
                    "сервер доступен только с этого компьютера ([Console] LocalAccessOnly)",
                    "the server is open to this computer only ([Console] LocalAccessOnly)",
                );
            }
            if !settings.allowed.is_empty() && !settings.allowed.iter().any(|network| network.contains(address)) {
                return refused(
                    "адреса нет в [Console] AllowedAddresses",
                    "the address is not among [Console] AllowedAddresses",
                );
            }
        }
        let names = settings.host_names.iter().map(String::as_str).chain([self.computer.as_str()]);
        if settings.check_rebinding && !origin::host_allowed(request.headers.get("host"), names) {
            return refused(
                "имя сервера в запросе неизвестно, добавьте его в [Console] HostNames",
                "the request calls the server by an unknown name, add it to [Console] HostNames",
            );
        }
        Ok(())
    }

    /// Whether the request, if it changes something, was not sent by a page of another site.
    pub fn check_origin(&self, request: &Request) -> Result<()> {
        if origin::write_allowed(request) {
            return Ok(());
        }
        Err(Error::new(Code::Forbidden)
            .with_text("запрос отправлен страницей другого сайта", "a page of another site sent it"))
    }

    /// Finds out who sends the request and goes on with `then`: here and now where nothing must be hashed, else on a thread
    /// of the guard's own.
    pub fn admit<F>(self: &Arc<Guard>, request: &Request, then: F)
    where
        F: FnOnce(Result<Visitor>) + Send + 'static,
    {
        match self.known(request) {
            Known::Visitor(visitor) => then(Ok(visitor)),
            Known::Refused(error) => then(Err(error)),
            Known::Unverified(claimed) => {
                let guard = self.clone();
                // When the queue is full the job is dropped, and what `then` holds answers for itself.
                if self.crew.try_run(move || then(guard.verify(claimed))).is_err() {
                    log::warn!("{}: too many passwords are waiting to be checked", request.peer.ip());
                }
            }
        }
    }

    /// Runs `job` where passwords are hashed; `false` when too many are waiting.
    pub fn hash_later(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.crew.try_run(job).is_ok()
    }

    fn known(&self, request: &Request) -> Known {
        let settings = self.settings.get();
        if settings.authorization == Authorization::Off && request.is_loopback() {
            let user = settings.user.clone();
            return Known::Visitor(Visitor { user, role: Access::Administrator, must_change_password: false });
        }
        let Some((user, password)) = request.basic_credentials() else {
            return Known::Refused(Code::Unauthorized.into());
        };
        let password = Zeroizing::new(password);
        let address = request.peer.ip();
        let mark = match self.mark(address, &settings, &user, &password) {
            Ok(mark) => mark,
            Err(error) => return Known::Refused(error),
        };
        let remembered = self.remembers(&mark);
        if let Err(error) = self.admission(address, remembered) {
            return Known::Refused(error);
        }
        if remembered {
            return Known::Visitor(visitor(user));
        }
        if password::is_hash(&settings.password) {
            return Known::Unverified(Claimed { user, password, address, mark, settings });
        }
        let expected = self.mark(address, &settings, &settings.user, &settings.password);
        if expected.as_ref() != Ok(&mark) {
            return Known::Refused(self.failed(address));
        }
        self.attempts.lock().succeeded(address);
        match (password::is_default(&settings), request.is_loopback()) {
            (true, false) => Known::Refused(Code::PasswordChangeRequired.into()),
            (false, _) => {
                self.remember(mark);
                Known::Visitor(visitor(user))
            }
            (must_change_password, true) => Known::Visitor(Visitor { must_change_password, ..visitor(user) }),
        }
    }

    /// Hashes and compares. Looks again first, for while the claim waited others may have answered it.
    fn verify(&self, claimed: Claimed) -> Result<Visitor> {
        let Claimed { user, password, address, mark, settings } = claimed;
        if self.remembers(&mark) {
            return Ok(visitor(user));
        }
        self.admission(address, false)?;
        let fits = password::verify(&settings.password, &password) && user == settings.user;
        if !fits {
            return Err(self.failed(address));
        }
        self.attempts.lock().succeeded(address);
        self.remember(mark);
        Ok(visitor(user))
    }

    fn remember(&self, mark: [u8; 32]) {
        let until = self.clock.now().tick.plus(REMEMBERED);
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(mark, until);
    }

    fn failed(&self, address: std::net::IpAddr) -> Error {
        log::warn!("{address}: a wrong user name or password");
        self.attempts.lock().failed(address, self.clock.now().tick);
        Code::Unauthorized.into()
    }

    fn admission(&self, address: std::net::IpAddr, remembered: bool) -> Result<()> {
        match self.attempts.lock().admission(address, self.clock.now().tick) {
            Admission::Free => Ok(()),
            Admission::Remembered(_) if remembered => Ok(()),
            Admission::Remembered(wait) | Admission::Closed(wait) => {
                Err(Error::new(Code::TooManyAttempts).with(wait.as_millis().div_ceil(1000)))
            }
        }
    }

    fn remembers(&self, mark: &[u8; 32]) -> bool {
        let now = self.clock.now().tick;
        let mut remembered = self.remembered.lock();
        match remembered.get(mark) {
            Some(until) if now < *until => true,
            Some(_) => {
                remembered.remove(mark);
                false
            }
            None => false,
        }
    }

    /// A keyed hash of the pair, the address that gave it, and the account as the settings have it: a changed password
    /// makes everything that was remembered useless. Equal marks can be compared in any time, they are no secret's own bytes.
    fn mark(
        &self,
        address: std::net::IpAddr,
        settings: &ServerSettings,
        user: &str,
        password: &str,
    ) -> Result<[u8; 32]> {
        let address = address.to_canonical().to_string();
        let parts = [address.as_str(), user, &settings.user, &settings.password];
        let mut info = Vec::new();
        for part in parts {
            info.extend_from_slice(&(part.len() as u64).to_be_bytes());
            info.extend_from_slice(part.as_bytes());
        }
        self.crypto.hkdf(&self.key[..], password.as_bytes(), &[b"SLK sign-in 1", &info])
    }
}

fn visitor(user: String) -> Visitor {
    Visitor { user, role: Access::Administrator, must_change_password: false }
}
