//! Calls of a component about the keys of its series: who may make them, and on which threads they are carried out. The rules are
//! those of the API and the console, for they are carried out by the same functions.
//!
//! Components are anonymous, so their calls that make this server ask the centre are counted by address, and a key is given up for
//! an administrator's password only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::api::{Activate, Digits};
use licence::protocol::keys::{Deactivate, Hidden, Install, KeyCall, KeyOutcome, Wish};
use licence::protocol::message::Outcome;
use licence::{Code, Error, Result, SeriesId};
use web::{Access, Headers, Request};
use zeroize::Zeroizing;

use super::{Connection, Core};
use crate::access::hashing::Purpose;
use crate::activation::{self, Caller, Done, Order, ReserveOrder, UpdateInfo, UpdateOrder};
use crate::keys::Asker;

/// Calls of one address that ask the centre, or write to the disk: so many at once, and one more each time that the interval has passed.
pub(super) const TRIES: u32 = 10;
pub(super) const TRIES_EVERY: Duration = Duration::from_secs(30);
/// Addresses whose calls are counted.
pub(super) const ADDRESSES: usize = 10_000;

/// The place for the answer of a call; dropped unused it answers that the server is busy.
struct Slot {
    core: Arc<Core>,
    connection: Arc<Connection>,
    id: u64,
    is_open: bool,
}

impl Slot {
    fn give(mut self, result: Result<KeyOutcome>) {
        self.is_open = false;
        let result = result.map(|outcome| Outcome::Key(Box::new(outcome)));
        self.core.answer(&self.connection, self.id, result);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_open {
            self.core.answer(&self.connection, self.id, Err(Code::Busy.into()));
        }
    }
}

impl Core {
    /// Carries out a call about keys on threads where it may take long.
    pub(super) fn about_keys(self: Arc<Core>, connection: Arc<Connection>, id: u64, call: KeyCall) {
        let (series, address) = (connection.series, connection.peer);
        let slot = Slot { core: self.clone(), connection, id, is_open: true };
        match call {
            KeyCall::ReadMemory { .. }
            | KeyCall::WriteMemory { .. }
            | KeyCall::ClearMemory { .. }
            | KeyCall::SetPasswords { .. } => {
                if let Err(error) = self.may_change(&slot.connection, &call) {
                    return slot.give(Err(error));
                }
                let asker = Asker { address, now: self.clock.now().tick };
                let core = self.clone();
                let act = move |slot: Slot, turn: Result<()>| {
                    slot.give(turn.and_then(|()| core.memory(&series, call, asker)))
                };
                if let Err((error, slot)) = self.life.guard.hashing.run(Purpose::KeyMemory, address, slot, act) {
                    slot.give(Err(error));
                }
            }
            KeyCall::Deactivate(Deactivate { ref login, ref password, .. })
            | KeyCall::Request { wish: Wish::Deactivate(Deactivate { ref login, ref password, .. }) } => {
                let request = match signed_in(&slot.connection, login, password) {
                    Ok(request) => request,
                    Err(error) => return slot.give(Err(error)),
                };
                let core = self.clone();
                self.life.guard.admit(&request, move |visitor| {
                    match visitor.and_then(|visitor| visitor.may(Access::Administrator, true).map(|()| visitor)) {
                        Ok(visitor) => {
                            log::info!("a key is given up by {:?} from {address}, by a component", visitor.user);
                            core.ask_centre(slot, call);
                        }
                        Err(error) => slot.give(Err(error)),
                    }
                });
            }
            call => {
                let tried = self.tries.lock().take(address, Duration::from_millis(self.clock.now().tick.0));
                match tried {
                    Ok(()) => self.ask_centre(slot, call),
                    Err(wait) => slot.give(Err(Error::new(Code::TooManyAttempts).with(wait.as_secs() + 1))),
                }
            }
        }
    }

    fn ask_centre(&self, slot: Slot, call: KeyCall) {
        let life = self.life.clone();
        let address = slot.connection.peer;
        let queued = self.life.activations.run(Caller::Component, address, slot, move |slot, turn| {
            let outcome = turn.and_then(|()| carry_out(&life, slot.connection.series, call));
            slot.give(outcome);
        });
        if let Err((error, slot)) = queued {
            slot.give(Err(error));
        }
    }

    /// Whoever changes a memory has taken a seat of the series over this connection: a stranger could else close it for ever.
    fn may_change(&self, connection: &Connection, call: &KeyCall) -> Result<()> {
        if !call.writes_memory() || self.ledger.touch(|book, now| book.holds_seat(connection.id, now))? {
            return Ok(());
        }
        Err(Code::MemoryNeedsSeat.into())
    }

    fn memory(&self, series: &SeriesId, call: KeyCall, asker: Asker) -> Result<KeyOutcome> {
        let memory = self.keys.memory();
        let held = |key_no| self.keys.held_key(series, key_no);
        match call {
            KeyCall::ReadMemory { key_no, password } => {
                let data = Hidden(memory.read(series, held(key_no)?, &password.0, asker)?);
                return Ok(KeyOutcome::Memory { data });
            }
            KeyCall::WriteMemory { key_no, password, data } => {
                memory.write(series, held(key_no)?, &password.0, &data.0, asker)?;
            }
            KeyCall::ClearMemory { key_no, password } => memory.write(series, held(key_no)?, &password.0, "", asker)?,
            KeyCall::SetPasswords { key_no, old, new } => {
                let (old, new) = ([&*old[0].0, &*old[1].0], [&*new[0].0, &*new[1].0]);
                memory.set_passwords(series, held(key_no)?, old, new, asker)?;
            }
            _ => return Err(Code::Internal.into()),
        }
        Ok(KeyOutcome::Done)
    }
}

/// A request as a browser would send it with that name and password: so the guard counts, waits and refuses as it always does.
fn signed_in(connection: &Connection, login: &str, password: &Hidden) -> Result<Request> {
    let wrong = |_| Error::new(Code::Unauthorized);
    let pair = Zeroizing::new(format!("{login}:{}", password.0));
    let mut headers = Headers::new();
    headers
        .set("Authorization", &format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        .map_err(|_| Code::Unauthorized)?;
    if connection.is_forwarded {
        headers.set("Via", "1.1 proxy").map_err(|_| Code::Unauthorized)?;
    }
    let peer = SocketAddr::new(connection.peer, 0);
    Request::build("POST", licence::protocol::CALL_PATH, headers, peer, false).map_err(wrong)
}

fn carry_out(core: &crate::Core, series: SeriesId, call: KeyCall) -> Result<KeyOutcome> {
    let lang = core.settings.get().lang;
    let of_series = UpdateOrder { key_id: Some(series.key_id), root: Some(series.root) };
    Ok(match call {
        KeyCall::Install(install) => {
            let licence = activation::activate(core, order(series, &install), lang)?;
            KeyOutcome::Installed { licence: Box::new(licence) }
        }
        KeyCall::Update => {
            let news = activation::update(core, of_series)?;
            news.into_iter().next().map_or(KeyOutcome::Done, updated)
        }
        KeyCall::Deactivate(wish) => reserved(activation::reserve(core, give_up(series, &wish))?),
        KeyCall::Request { wish } => {
            let order = match &wish {
                Wish::Install(install) => Order::Activate(order(series, install)),
                Wish::Update => Order::Update(of_series),
                Wish::Deactivate(wish) => Order::Reserve(give_up(series, wish)),
            };
            let file = activation::request_file(core, &order)?;
            KeyOutcome::Request { file_name: file.file_name, text: file.text }
        }
        KeyCall::Respond { text } => match activation::respond(core, &text)? {
            Done::Activated(series, key_no) => {
                let licence = activation::installed(core, series, key_no, lang)?;
                KeyOutcome::Installed { licence: Box::new(licence) }
            }
            Done::Reserved(info) => reserved(info),
            Done::Updated(info) => updated(info),
            Done::CodeParameters(parameters) => KeyOutcome::CodeParameters { parameters },
        },
        KeyCall::CodeParameters { code } => {
            let parameters = activation::parameters(core, code.0.parse()?)?;
            KeyOutcome::CodeParameters { parameters: Box::new(parameters) }
        }
        KeyCall::ReadMemory { .. }
        | KeyCall::WriteMemory { .. }
        | KeyCall::ClearMemory { .. }
        | KeyCall::SetPasswords { .. } => return Err(Code::Internal.into()),
    })
}

fn order(series: SeriesId, install: &Install) -> Activate {
    let digits = |text: &str| (!text.trim().is_empty()).then(|| Digits::Text(text.to_owned()));
    Activate {
        activation_code_string: install.code.0.clone(),
        itn: digits(&install.itn),
        iec: digits(&install.iec),
        blank_key_no: install.blank_key_no,
        key_id: Some(series.key_id),
        root: Some(series.root),
    }
}

fn give_up(series: SeriesId, wish: &Deactivate) -> ReserveOrder {
    ReserveOrder {
        key_no: wish.key_no,
        key_id: Some(series.key_id),
        root: Some(series.root),
        reason: wish.reason.clone(),
        comment: wish.comment.clone(),
    }
}

fn reserved(info: activation::ReserveInfo) -> KeyOutcome {
    KeyOutcome::Reserved { key_no: info.key_no, code: Hidden(info.reserve_code) }
}

fn updated(info: UpdateInfo) -> KeyOutcome {
    KeyOutcome::Updated { updated: info.updated, retired: info.retired, revoked: info.revoked }
}
