//! Who may do what: networks, host names, Basic authentication, roles, the default password. `docs/security.md`.
//!
//! It owns failures and remembered sign-ins, in memory only. It must never hash a password on a front's thread, nor keep one.

pub(crate) mod attempts;
pub(crate) mod hashing;
mod names;
mod pass;
mod password;
mod tally;
mod wrong;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::settings::{Authorization, Role, ServerSettings};
use licence::time::{Clock, Tick, Time};
use parking_lot::Mutex;
use web::{Access, Request, origin};
use zeroize::Zeroizing;

pub use password::{
    DECOY, DEFAULT, acceptable, hash_in_memory, hash_password, hash_plain_passwords, is_default, remove_account,
    set_account, set_password, verify,
};

pub use pass::Pass;

use crate::ledger::AuditEntry;
use crate::settings::Live;
pub(crate) use attempts::{Admission, Attempts, Subject};
use hashing::{Hashing, Purpose};
use names::Names;
use tally::{Guesses, Tally};
use wrong::Wrong;

/// How long a verified pair is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);
const MAX_REMEMBERED: usize = 1024;

/// Name of the administrator who uses this computer's own commands, in logs and in the audit trail.
const COMMAND: &str = "licenceserver";
/// What failed sign-ins are called in the audit trail.
const SIGN_IN: &str = "sign-in";

/// Somebody whose credentials were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The account.
    pub user: String,
    /// What it may do.
    pub role: Access,
    /// The account still has the password of a new server: it may read, and set a new one.
    pub must_change_password: bool,
    /// The account as the settings had it, hashed; none for who needs no account: see [`Guard::still_admits`].
    standing: Option<[u8; 32]>,
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
    names: Names,
    /// Key of this process: what is remembered means nothing elsewhere.
    key: Zeroizing<[u8; 32]>,
    attempts: Mutex<Attempts>,
    tally: Mutex<Tally>,
    wrong: Mutex<Wrong>,
    remembered: Mutex<HashMap<[u8; 32], Tick>>,
    /// Threads that hash passwords, for whatever purpose.
    pub(crate) hashing: Hashing,
    /// What this computer's own commands show; none inside the component.
    pass: Option<Pass>,
}

/// What is known of the sender of a request without hashing anything.
enum Known {
    Visitor(Visitor),
    Refused(Error),
    /// Only a hash can tell.
    Unverified(Claimed),
}

/// Credentials that were claimed, with the hash that they must fit.
struct Claimed {
    user: String,
    password: Zeroizing<String>,
    address: IpAddr,
    /// Whether it comes from this computer, and through no proxy.
    is_local: bool,
    mark: [u8; 32],
    hash: String,
    role: Access,
}

/// The role and the stored password of an account.
fn account<'a>(settings: &'a ServerSettings, user: &str) -> Option<(Access, &'a str)> {
    if user == settings.user {
        return Some((Access::Administrator, &settings.password));
    }
    let user = settings.users.get(user)?;
    Some((access_of(user.role), &user.password))
}

fn access_of(role: Role) -> Access {
    match role {
        Role::Viewer => Access::Viewer,
        Role::Operator => Access::Operator,
        Role::Administrator => Access::Administrator,
    }
}

impl Guard {
    /// A guard by these settings.
    pub fn new(crypto: Provider, clock: Arc<dyn Clock>, settings: Arc<Live>, pass: Option<Pass>) -> Result<Guard> {
        Ok(Guard {
            crypto,
            hashing: Hashing::start(clock.clone())?,
            clock,
            settings,
            names: Names::default(),
            key: Zeroizing::new(crypto.random_array()?),
            attempts: Mutex::default(),
            tally: Mutex::default(),
            wrong: Mutex::default(),
            remembered: Mutex::default(),
            pass,
        })
    }

    /// Whether a command of this computer's administrator has sent the request, from this computer: a pass that got out opens
    /// nothing to others.
    pub fn is_own_command(&self, request: &Request) -> bool {
        let given = request.headers.get("authorization");
        self.pass.as_ref().is_some_and(|pass| pass.fits(self.crypto, given)) && self.is_here(request)
    }

    /// Whether the request was made on this computer. A server that does not listen on loopback is reached at its own address,
    /// which nobody else can have.
    fn is_here(&self, request: &Request) -> bool {
        let own = self.settings.get().nearest().ip();
        request.is_loopback() || request.peer.ip().to_canonical() == own.to_canonical() && !request.is_forwarded()
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
        if settings.tls.required && !request.tls && !request.is_loopback() {
            return refused(
                "сервер принимает такие запросы только по https ([TLS] Required)",
                "the server takes such requests by https only ([TLS] Required)",
            );
        }
        let is_ours = |host: Option<&str>| self.names.allow(host, &settings.host_names, self.clock.now().tick);
        if settings.check_rebinding && !is_ours(request.headers.get("host")) {
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
                let (guard, address) = (self.clone(), claimed.address);
                let verify = move |(claimed, then): (Claimed, F), turn| then(guard.verify(claimed, turn));
                if let Err((error, (_, then))) = self.hashing.run(Purpose::SignIn, address, (claimed, then), verify) {
                    log::warn!("{address}: too many passwords are waiting to be checked");
                    then(Err(error));
                }
            }
        }
    }

    /// How many sign-ins were refused since the start.
    pub fn sign_ins_refused(&self) -> u64 {
        self.tally.lock().all()
    }

    /// What the audit trail is to tell of failed sign-ins at `at`: mostly nothing, and never more than a few lines.
    pub fn guesses(&self, at: Time) -> Vec<AuditEntry> {
        let line = |Guesses { address, tries, within }| AuditEntry {
            at,
            user: String::new(),
            address,
            act: SIGN_IN.into(),
            object: String::new(),
            status: Code::SignInsFailed.status(),
            error: Some(Error::new(Code::SignInsFailed).with(tries).with(within.as_secs().div_ceil(60).max(1))),
        };
        self.tally.lock().take(self.clock.now().tick).into_iter().map(line).collect()
    }

    fn known(&self, request: &Request) -> Known {
        if self.is_own_command(request) {
            return Known::Visitor(anonymous(COMMAND.into()));
        }
        let settings = self.settings.get();
        if settings.authorization == Authorization::Off && request.is_loopback() {
            return Known::Visitor(anonymous(settings.user.clone()));
        }
        let Some((user, password)) = request.basic_credentials() else {
            return Known::Refused(Code::Unauthorized.into());
        };
        let password = Zeroizing::new(password);
        let address = request.peer.ip();
        if user.len() > password::MAX_LENGTH || password.len() > password::MAX_LENGTH {
            return Known::Refused(self.failed(address, None, None));
        }
        let found = account(&settings, &user);
        let stored = found.map_or("", |(_, stored)| stored);
        let mark = match self.mark(address, &user, stored, &password) {
            Ok(mark) => mark,
            Err(error) => return Known::Refused(error),
        };
        if let Err(error) = self.check_known_wrong(&mark, address) {
            return Known::Refused(error);
        }
        let remembered = self.remembers(&mark);
        let is_local = request.is_loopback();
        if let Err(error) = self.admission((address, is_local), &user, remembered) {
            return Known::Refused(error);
        }
        let Some((role, stored)) = found else {
            // As slow as a wrong password of an account that exists.
            return match password::is_hash(&settings.password) {
                true => {
                    let (hash, role) = (password::DECOY.to_owned(), Access::Public);
                    Known::Unverified(Claimed { user, password, address, is_local, mark, hash, role })
                }
                false => Known::Refused(self.failed(address, Some(&user), Some(mark))),
            };
        };
        let visitor =
            Visitor { role, must_change_password: false, standing: Some(self.standing(&user, role, stored)), user };
        if remembered {
            return Known::Visitor(visitor);
        }
        let user = &visitor.user;
        if password::is_hash(stored) {
            let (user, hash) = (user.clone(), stored.to_owned());
            return Known::Unverified(Claimed { user, password, address, is_local, mark, hash, role });
        }
        if self.mark(address, user, stored, stored).as_ref() != Ok(&mark) {
            return Known::Refused(self.failed(address, Some(user), Some(mark)));
        }
        self.attempts.lock().succeeded(&Subject::address(address));
        let by_default = *user == settings.user && password::is_default(&settings);
        match (by_default, is_local) {
            (true, false) => Known::Refused(Code::PasswordChangeRequired.into()),
            (false, _) => {
                self.remember(mark);
                Known::Visitor(visitor)
            }
            (must_change_password, true) => Known::Visitor(Visitor { must_change_password, ..visitor }),
        }
    }

    /// Hashes and compares, if its turn has come. Looks again first, for meanwhile others may have answered it.
    fn verify(&self, claimed: Claimed, turn: Result<()>) -> Result<Visitor> {
        let Claimed { user, password, address, is_local, mark, hash, role } = claimed;
        let standing = Some(self.standing(&user, role, &hash));
        let visitor = Visitor { role, must_change_password: false, standing, user: user.clone() };
        // Both may have taken a while, in which the account may have ended.
        if self.remembers(&mark) {
            return self.still_admits(&visitor).map(|()| visitor);
        }
        self.check_known_wrong(&mark, address)?;
        turn?;
        self.admission((address, is_local), &user, false)?;
        if !password::verify(&hash, &password) {
            return Err(self.failed(address, Some(&user), Some(mark)));
        }
        self.attempts.lock().succeeded(&Subject::address(address));
        self.still_admits(&visitor)?;
        self.remember(mark);
        Ok(visitor)
    }

    /// Whether the account that a visitor was admitted by is what it was: what has waited since then is not done for one that was
    /// removed, or has another role, password or name.
    pub fn still_admits(&self, visitor: &Visitor) -> Result<()> {
        let Some(standing) = visitor.standing else { return Ok(()) };
        let settings = self.settings.get();
        let now = account(&settings, &visitor.user).map(|(role, stored)| self.standing(&visitor.user, role, stored));
        if now == Some(standing) { Ok(()) } else { Err(Code::Unauthorized.into()) }
    }

    fn standing(&self, user: &str, role: Access, stored: &str) -> [u8; 32] {
        self.crypto.sha256(&[format!("{role:?}\n{user}\n").as_bytes(), stored.as_bytes()])
    }

    fn remember(&self, mark: [u8; 32]) {
        let until = self.clock.now().tick.plus(REMEMBERED);
        let mut remembered = self.remembered.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(mark, until);
    }

    /// Counts a failure. Names are not logged: people type passwords in their place.
    fn failed(&self, address: IpAddr, user: Option<&str>, mark: Option<[u8; 32]>) -> Error {
        log::warn!("{address}: a wrong user name or password");
        let now = self.clock.now().tick;
        self.tally.lock().count(address, now);
        if let Some(mark) = mark {
            self.wrong.lock().note(mark, now);
        }
        let mut attempts = self.attempts.lock();
        attempts.failed(Subject::address(address), now);
        if let Some(user) = user {
            attempts.failed(Subject::Account(user.to_owned()), now);
        }
        Code::Unauthorized.into()
    }

    /// Refuses a pair that was found wrong before. That is no guess, so it costs nobody a wait.
    fn check_known_wrong(&self, mark: &[u8; 32], address: IpAddr) -> Result<()> {
        let now = self.clock.now().tick;
        let Some(wait) = self.wrong.lock().again(mark, now) else { return Ok(()) };
        log::warn!("{address}: a wrong user name or password once more");
        self.tally.lock().count(address, now);
        match wait {
            Duration::ZERO => Err(Code::Unauthorized.into()),
            wait => Err(Error::new(Code::TooManyAttempts).with(wait.as_millis().div_ceil(1000))),
        }
    }

    /// Whether a try is allowed now. Who sits at the server itself can't be locked out of an account by strangers; through a proxy
    /// nobody does.
    fn admission(&self, (address, is_local): (IpAddr, bool), user: &str, remembered: bool) -> Result<()> {
        let now = self.clock.now().tick;
        let mut attempts = self.attempts.lock();
        let by_account = match is_local {
            true => Admission::Free,
            false => attempts.admission(&Subject::Account(user.to_owned()), now),
        };
        match attempts.admission(&Subject::address(address), now).max(by_account) {
            Admission::Free => Ok(()),
            Admission::Remembered(_) if remembered => Ok(()),
            Admission::Remembered(wait) | Admission::Closed(wait) => {
                attempts.hurried(&Subject::address(address));
                drop(attempts);
                self.tally.lock().count(address, now);
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
    fn mark(&self, address: IpAddr, user: &str, stored: &str, password: &str) -> Result<[u8; 32]> {
        let address = address.to_canonical().to_string();
        let mut info = Vec::new();
        for part in [address.as_str(), user, stored] {
            info.extend_from_slice(&(part.len() as u64).to_be_bytes());
            info.extend_from_slice(part.as_bytes());
        }
        self.crypto.hkdf(&self.key[..], password.as_bytes(), &[b"SLK sign-in 1", &info])
    }
}

/// An administrator who needs no account.
fn anonymous(user: String) -> Visitor {
    Visitor { user, role: Access::Administrator, must_change_password: false, standing: None }
}
