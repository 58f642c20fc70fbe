//! What the centre may do with a request: pure rules over the request, what was sold, and what the store knows of the key. All
//! are judged before anything is written.

use std::collections::HashSet;

use licence::activation::{Activate, Installed, Memory, Offer, Request, Reserve};
use licence::crypto::accepted_rsa_key;
use licence::error::{Code, Error, Result};
use licence::fingerprint::{Fingerprint, PartKind};
use licence::key::KeyType;
use licence::{SeriesId, Time};

use crate::store::{Key, KeyState, Origin, Policy, Sold, State, Transfer};
use crate::terms;

/// Most values of one kind of part that a request may name: a computer with more disks or cards than this is no computer.
const VALUES_LIMIT: usize = 256;

/// A request for a licence, and when it came.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The request.
    pub request: &'a Request,
    /// What it asks for.
    pub asked: &'a Activate,
    /// When.
    pub now: Time,
}

/// What becomes of a code.
#[derive(Debug, PartialEq, Eq)]
pub enum Exchange {
    /// A new key.
    New,
    /// The key as it is: the request was made before.
    Same,
    /// The key, with its next issue, for the server that asks. `allowed`: by the vendor's permission, which is spent by it.
    Moved {
        /// Whether a permission is spent.
        allowed: bool,
    },
}

/// What becomes of a key that is given up.
#[derive(Debug, PartialEq, Eq)]
pub enum GivingUp<'a> {
    /// It was given up before: the same code again.
    Again(&'a Transfer),
    /// It is given up now. `allowed`: by the vendor's permission, which is spent by it.
    Now {
        /// Whether a permission is spent.
        allowed: bool,
    },
}

/// What an update brings for one installed key.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Its current licence, or nothing if that is installed.
    Current,
    /// Its current licence, signed anew first. `allowed`: by the vendor's permission, which is spent by it.
    Anew {
        /// Whether a permission is spent.
        allowed: bool,
    },
    /// A retirement up to this issue.
    Retired(u32),
    /// The server is right, but on another machine: nothing.
    OtherMachine,
    /// Nothing: no such licence was ever signed.
    Nothing,
}

/// Whether anything can be made of the request: its machine and its key.
pub fn well_formed(request: &Request) -> Result<()> {
    let wrong = |what: &str| Err(Error::new(Code::BadRequest).with(what));
    let mut kinds = HashSet::new();
    for part in &request.fingerprint.parts {
        if !kinds.insert(part.kind) || part.hashes.is_empty() || part.hashes.len() > VALUES_LIMIT {
            return wrong("Fingerprint: Parts");
        }
    }
    if accepted_rsa_key(&request.api_key).is_none() {
        return wrong("ApiKey: RSA, 2048–4096 bits, e = 65537");
    }
    Ok(())
}

/// Whether a usable licence of that offer can be made for who asks.
fn can_be_licensed(offer: &Offer, Asker { request, asked, .. }: Asker<'_>) -> Result<()> {
    let wrong = |what: &str| Err(Error::new(Code::BadRequest).with(what));
    let vague = machine_for(offer, &request.fingerprint).parts.iter().all(|part| part.kind == PartKind::Processor);
    if vague && asked.blank_key_no.is_none() {
        return wrong("Fingerprint: no part tells this computer from others of its model");
    }
    if !asked.itn.as_deref().is_none_or(terms::is_itn) || !asked.iec.as_deref().is_none_or(terms::is_iec) {
        return wrong("ITN, IEC: digits");
    }
    Ok(())
}

/// Whether what is asked for fits what a key may have.
pub fn can_be_reserved(asked: &Reserve) -> Result<()> {
    if [&asked.reason, &asked.comment].iter().any(|text| text.chars().count() > Reserve::TEXT_LIMIT) {
        return Err(Error::new(Code::BadRequest).with("Reason, Comment"));
    }
    asked.memory.as_ref().map_or(Ok(()), Memory::check)
}

/// The fingerprint with the weights that count. They are the centre's to say: a server that chose them could make one part stand for
/// the whole computer.
pub fn weighed(mut fingerprint: Fingerprint) -> Fingerprint {
    for part in &mut fingerprint.parts {
        part.weight = part.kind.weight();
    }
    fingerprint
}

/// The fingerprint as a licence of that offer will have it: with a mounted identity file, which anybody can copy, only where the
/// offer allows it.
pub fn machine_for(offer: &Offer, fingerprint: &Fingerprint) -> Fingerprint {
    let mut machine = fingerprint.clone();
    machine.parts.retain(|part| offer.identity_file || part.kind != PartKind::IdentityFile);
    machine
}

/// What becomes of a code, `key` being the key that it has become or brings back.
pub fn exchange(sold: &Sold, key: Option<&Key>, asker: Asker<'_>) -> Result<Exchange> {
    if sold.state == State::Blocked || key.is_some_and(|key| key.revoked) {
        return Err(Error::new(Code::CodeBlocked));
    }
    if let Some(wanted) = asker.asked.key_id
        && wanted != sold.series.key_id
    {
        return Err(Error::new(Code::CodeOfOtherSeries).with(sold.series.key_id).with(wanted));
    }
    if asker.asked.root.is_some_and(|wanted| wanted != sold.series.root) {
        return Err(Error::new(Code::CodeOfOtherVendor).with(sold.series.key_id));
    }
    let Some(key) = key else {
        if sold.terms.offer.is_over(asker.now) {
            return Err(Error::new(Code::OfferOver).with(sold.terms.offer.until.unwrap_or(asker.now)));
        }
        may_have(sold, None, asker)?;
        return Ok(Exchange::New);
    };
    if key.code != sold.code {
        return Err(Error::new(Code::CodeUsed));
    }
    if key.state == KeyState::Reserved {
        may_have(sold, Some(key), asker)?;
        return Ok(Exchange::Moved { allowed: false });
    }
    let same_server = key.identity == asker.request.identity && key.blank_key_no == asker.asked.blank_key_no;
    if same_server && same_machine(key, &asker.request.fingerprint) {
        return Ok(Exchange::Same);
    }
    if key.allowance > 0 {
        may_have(sold, Some(key), asker)?;
        return Ok(Exchange::Moved { allowed: true });
    }
    if same_server {
        return Err(Error::new(Code::OtherMachine).with(key.key_no));
    }
    Err(Error::new(Code::CodeUsed))
}

fn may_have(sold: &Sold, key: Option<&Key>, asker: Asker<'_>) -> Result<()> {
    let terms = key.map_or(&sold.terms, |key| &key.terms);
    can_be_licensed(&terms.offer, asker)?;
    is_owner((&terms.itn, &terms.iec), asker.asked)?;
    let others =
        asker.request.installed.iter().filter(|installed| key.is_none_or(|key| key.key_no != installed.key_no));
    may_install(&sold.series, terms.offer.key_type, others)
}

/// Whether the buyer has given the ИНН and КПП that were sold to.
fn is_owner((itn, iec): (&Option<String>, &Option<String>), asked: &Activate) -> Result<()> {
    let fits = |sold: &Option<String>, given: &Option<String>| sold.is_none() || sold == given;
    if fits(itn, &asked.itn) && fits(iec, &asked.iec) { Ok(()) } else { Err(Error::new(Code::OwnerMismatch)) }
}

/// Whether a key of that type would be usable beside those that the server holds.
pub fn may_install<'a>(
    series: &SeriesId,
    key_type: KeyType,
    installed: impl IntoIterator<Item = &'a Installed>,
) -> Result<()> {
    let mut beside = installed.into_iter().filter(|key| key.series == *series);
    let violated = |russian, english| Err(Error::new(Code::KeyRuleViolated).with_text(russian, english));
    match key_type {
        KeyType::Main => Ok(()),
        KeyType::Additional if beside.any(|key| key.key_type == KeyType::Main) => Ok(()),
        KeyType::Additional => violated(
            "дополнительный ключ без основного; сначала установите основной",
            "an additional key without a main key; install the main key first",
        ),
        KeyType::Demo => match beside.next() {
            None => Ok(()),
            Some(_) => violated(
                "демо-ключ рядом с другими ключами серии не работает",
                "a demo key does not work beside other keys of its series",
            ),
        },
    }
}

/// Whether a demo licence of that offer may be given, `former` being the one that this server or computer has had.
pub fn demo(former: Option<&Key>, (series, offer): (&SeriesId, &Offer), asker: Asker<'_>) -> Result<Exchange> {
    let refused = |russian, english| Err(Error::new(Code::DemoRefused).with(series.key_id).with_text(russian, english));
    match former {
        None => {
            can_be_licensed(offer, asker)?;
            may_install(series, KeyType::Demo, &asker.request.installed).map(|()| Exchange::New)
        }
        Some(key) if key.revoked => Err(Error::new(Code::CodeBlocked)),
        Some(key) if key.identity == asker.request.identity && same_machine(key, &asker.request.fingerprint) => {
            Ok(Exchange::Same)
        }
        Some(_) => refused("этот компьютер её уже получал", "this computer has had one"),
    }
}

/// What becomes of a key that its server gives up.
pub fn giving_up<'a>(
    (key, transfers): (&Key, &'a [Transfer]),
    policy: &Policy,
    (request, asked): (&Request, &Reserve),
    now: Time,
) -> Result<GivingUp<'a>> {
    // Before anything else: whoever lost the answer gets it again, whatever has become of the key since.
    let before = transfers.iter().find(|transfer| transfer.retired_issue >= asked.issue);
    if let Some(before) = before.filter(|before| before.identity == request.identity) {
        return Ok(GivingUp::Again(before));
    }
    if key.identity != request.identity || key.state == KeyState::Reserved {
        return Err(Error::new(Code::KeyElsewhere).with(key.key_no));
    }
    if key.revoked {
        return Err(Error::new(Code::CodeBlocked));
    }
    let same = same_machine(key, &request.fingerprint);
    if !same && key.allowance == 0 {
        return Err(Error::new(Code::OtherMachine).with(key.key_no));
    }
    let since = now.plus_days(-i64::from(policy.transfer_days));
    let recent: Vec<Time> = transfers.iter().map(|transfer| transfer.at).filter(|at| *at > since).collect();
    let limit = policy.transfers as usize;
    if recent.len() < limit {
        return Ok(GivingUp::Now { allowed: !same });
    }
    if key.allowance > 0 {
        return Ok(GivingUp::Now { allowed: true });
    }
    // When so many have grown old that one more is below the limit.
    let oldest = recent.get(recent.len() - limit).copied().unwrap_or(now);
    let next = oldest.plus_days(i64::from(policy.transfer_days));
    Err(Error::new(Code::TransferLimit).with(key.key_no).with(recent.len()).with(policy.transfer_days).with(next))
}

/// What an update brings for a key, which the server that asks has or has had, and whose licence of that issue is installed.
pub fn news(key: &Key, installed: u32, policy: &Policy, (request, now): (&Request, Time)) -> News {
    let gone = if key.state == KeyState::Reserved { key.issue } else { key.issue - 1 };
    if key.identity != request.identity || key.state == KeyState::Reserved {
        return if installed <= gone { News::Retired(gone) } else { News::Nothing };
    }
    if !same_machine(key, &request.fingerprint) {
        return if key.allowance > 0 { News::Anew { allowed: true } } else { News::OtherMachine };
    }
    // Half of the time before it is due, so that a server that is sometimes offline is never late.
    let half = i64::from(policy.renew_days) * licence::time::DAY_MS / 2;
    let due = key.licence.as_ref().is_some_and(|(_, signed)| half > 0 && now.0 - signed.0 >= half);
    // A machine that tells less of itself than before is not taken anew: a part may be out of sight for a day only.
    let weight = |print: &Fingerprint| print.parts.iter().map(|part| part.weight).sum::<u32>();
    let machine = machine_for(&key.terms.offer, &request.fingerprint);
    let changed =
        key.blank_key_no.is_none() && key.fingerprint != machine && weight(&machine) >= weight(&key.fingerprint);
    if due || changed { News::Anew { allowed: false } } else { News::Current }
}

/// Whether a request comes from the machine, or the carrier, of a key, by the tolerance that licences have. A key on a carrier
/// goes wherever the carrier goes.
pub fn same_machine(key: &Key, fingerprint: &Fingerprint) -> bool {
    key.blank_key_no.is_some() || key.fingerprint.compare_with(fingerprint).holds()
}

/// Whether a code may be told about to whoever types it.
pub fn code_that_counts(sold: &Sold, key: Option<&Key>) -> State {
    match (sold.state, key) {
        (State::Blocked, _) => State::Blocked,
        (_, Some(key)) if key.revoked => State::Blocked,
        (_, Some(key))
            if sold.origin == Origin::Reserve && key.code == sold.code && key.state == KeyState::Reserved =>
        {
            State::New
        }
        (state, _) => state,
    }
}

#[cfg(test)]
pub(crate) mod tests;
