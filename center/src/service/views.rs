//! Bodies of the REST API: what the store knows, as JSON.

use licence::code::ActivationCode;
use licence::{KeyId, KeyNo, RootHash, SeriesId, Time};
use serde::{Deserialize, Serialize};
use web::Access;

use crate::centre::{Found, KeyHistory};
use crate::store::{Activated, Event, Key, KeyState, Origin, Sold, State, Token, Transfer};
use crate::terms::Terms;

/// Which codes a caller sees in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Those that can't be exchanged any more: the others are as good as money.
    Spent,
    /// All.
    All,
}

impl Sight {
    /// That of a role.
    pub fn of(role: Option<Access>) -> Sight {
        if role.is_some_and(|role| role >= Access::Operator) { Sight::All } else { Sight::Spent }
    }

    /// A code as it is seen: masked, unless it is spent or everything is seen.
    pub fn code(self, code: ActivationCode, spent: bool) -> String {
        if spent || self == Sight::All { code.to_string() } else { code.masked() }
    }
}

/// A code.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CodeView {
    code: String,
    #[serde(rename = "KeyID")]
    key_id: KeyId,
    origin: &'static str,
    state: State,
    created: Time,
    key_no: Option<KeyNo>,
    terms: Terms,
}

impl CodeView {
    pub fn of(sold: Sold, sight: Sight) -> CodeView {
        let origin = match sold.origin {
            Origin::Sold => "Sold",
            Origin::Demo => "Demo",
            Origin::Reserve => "Reserve",
        };
        let Sold { code, series, state, terms, created, key_no, .. } = sold;
        let code = sight.code(code, state != State::New);
        CodeView { code, key_id: series.key_id, origin, state, created, key_no, terms }
    }
}

/// A key.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyView {
    #[serde(flatten)]
    series: SeriesId,
    key_no: KeyNo,
    reg_no: u32,
    state: &'static str,
    revoked: bool,
    allowance: u32,
    issue: u32,
    code: String,
    #[serde(rename = "ITN")]
    itn: Option<String>,
    #[serde(rename = "IEC")]
    iec: Option<String>,
    activated: Time,
    #[serde(rename = "ComputerID")]
    computer_id: Option<licence::id::ComputerId>,
    blank_key_no: Option<KeyNo>,
    terms: Terms,
}

impl KeyView {
    pub fn of(key: Key, sight: Sight) -> KeyView {
        let spent = key.state == KeyState::Active;
        let state = match key.state {
            KeyState::Active => "Active",
            KeyState::Reserved => "Reserved",
        };
        let Key { series, key_no, reg_no, revoked, allowance, issue, code, itn, iec, activated, .. } = key;
        let Key { computer_id, blank_key_no, terms, .. } = key;
        KeyView {
            series,
            key_no,
            reg_no,
            state,
            revoked,
            allowance,
            issue,
            code: sight.code(code, spent),
            itn,
            iec,
            activated,
            computer_id,
            blank_key_no,
            terms,
        }
    }
}

/// What a search has found.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FoundView {
    /// The first of the codes, for programs that know one only.
    code: Option<CodeView>,
    codes: Vec<CodeView>,
    keys: Vec<KeyView>,
}

impl FoundView {
    pub fn of(found: Found, sight: Sight) -> FoundView {
        let keys = found.keys.into_iter().map(|key| KeyView::of(key, sight)).collect();
        let code = found.codes.first().cloned().map(|sold| CodeView::of(sold, sight));
        FoundView { code, codes: found.codes.into_iter().map(|sold| CodeView::of(sold, sight)).collect(), keys }
    }
}

/// An exchange of a code.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ActivatedView {
    issue: u32,
    code: ActivationCode,
    #[serde(rename = "ComputerID")]
    computer_id: Option<licence::id::ComputerId>,
    blank_key_no: Option<KeyNo>,
    at: Time,
}

/// A key given up.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TransferView {
    retired_issue: u32,
    code: String,
    at: Time,
    reason: String,
    comment: String,
}

/// What has happened.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventView {
    at: Time,
    actor: String,
    kind: &'static str,
    #[serde(rename = "KeyID")]
    key_id: Option<KeyId>,
    root: Option<RootHash>,
    key_no: Option<KeyNo>,
    /// Masked: who reads the audit need not be able to use codes.
    code: Option<String>,
    details: String,
}

impl EventView {
    pub fn of(event: Event) -> EventView {
        let Event { at, actor, kind, series, key_no, code, details } = event;
        EventView {
            at,
            actor,
            kind: kind.name(),
            key_id: series.map(|series| series.key_id),
            root: series.map(|series| series.root),
            key_no,
            code: code.map(|code| code.masked()),
            details,
        }
    }
}

/// A key with all that has become of it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HistoryView {
    key: KeyView,
    codes: Vec<CodeView>,
    activations: Vec<ActivatedView>,
    transfers: Vec<TransferView>,
    events: Vec<EventView>,
}

impl HistoryView {
    pub fn of(history: KeyHistory, sight: Sight) -> HistoryView {
        let activated = |Activated { issue, code, computer_id, blank_key_no, at }| ActivatedView {
            issue,
            code,
            computer_id,
            blank_key_no,
            at,
        };
        let transfer = |Transfer { retired_issue, code, at, reason, comment, .. }| TransferView {
            retired_issue,
            code: sight.code(code, false),
            at,
            reason,
            comment,
        };
        HistoryView {
            key: KeyView::of(history.key, sight),
            codes: history.codes.into_iter().map(|sold| CodeView::of(sold, sight)).collect(),
            activations: history.activations.into_iter().map(activated).collect(),
            transfers: history.transfers.into_iter().map(transfer).collect(),
            events: history.events.into_iter().map(EventView::of).collect(),
        }
    }
}

/// A token, without the token itself.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TokenView {
    name: String,
    role: &'static str,
    created: Time,
}

impl TokenView {
    pub fn of(token: Token) -> TokenView {
        TokenView { role: token.role_name(), name: token.name, created: token.created }
    }
}

/// Asks for something by a text.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Query {
    pub query: String,
}

/// Names a code.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct OfCode {
    pub code: ActivationCode,
}

/// Names a key.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct OfKey {
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    #[serde(default)]
    pub root: Option<RootHash>,
    pub key_no: KeyNo,
}

/// Asks for codes: of an article, or with terms.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct NewCodes {
    #[serde(rename = "KeyID")]
    pub key_id: KeyId,
    #[serde(default)]
    pub root: Option<RootHash>,
    #[serde(default)]
    pub article: Option<String>,
    #[serde(default)]
    pub terms: Option<Terms>,
    #[serde(rename = "ITN", default)]
    pub itn: Option<String>,
    #[serde(rename = "IEC", default)]
    pub iec: Option<String>,
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// Changes what a code gives: what is named.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct NewTerms {
    pub code: ActivationCode,
    pub terms: serde_json::Map<String, serde_json::Value>,
}
