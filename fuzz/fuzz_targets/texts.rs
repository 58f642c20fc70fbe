//! What people type and configure: codes, settings, connection strings, versions, times, session data.
#![no_main]

use libfuzzer_sys::fuzz_target;
use licence::accounting::InfoBase;
use licence::code::ActivationCode;
use licence::protocol::message::SessionData;
use licence::settings::{Connect, Ini, Network, ServerSettings, with_value};
use licence::{KeyId, Time};

fuzz_target!(|text: &str| {
    if let Ok(code) = text.parse::<ActivationCode>() {
        assert_eq!(code.to_string().parse::<ActivationCode>().ok(), Some(code));
    }
    if let Ok(ini) = Ini::parse("fuzz", text) {
        let _ = ServerSettings::read(&ini);
    }
    let _ = with_value(text, "Console", "Password", "x");
    let _ = Connect::parse(text).map(|connect| connect.endpoints());
    let _ = text.parse::<Network>();
    let _ = text.parse::<KeyId>();
    let _ = text.parse::<Time>();
    let _ = text.parse::<InfoBase>();
    let _ = licence::version::at_least(licence::version::VERSION, text);
    let _ = serde_json::from_str::<SessionData>(text);
});
