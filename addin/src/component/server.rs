//! The server that a series is connected to: what it is, its console, values that it keeps for the series, locks among sessions.

use licence::error::{Code, Error};
use licence::protocol::message::{Call, Outcome};
use licence::version::{VERSION, at_least};
use serde::Serialize;

use super::LicenceExtension;
use super::arguments::{flag_at, optional_text_at, text_at};
use crate::client::connection::Connection;
use crate::client::series::unexpected;
use crate::native::{Failure, Value};

/// What 1C code is told of a server.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServerFacts {
    version: String,
    #[serde(rename = "OSType")]
    os_type: String,
    #[serde(rename = "CPU")]
    cpu: String,
    console_url: String,
    /// The server is older than this component.
    version_outdated: bool,
}

impl LicenceExtension {
    /// Facts of the server, JSON, as it told them when it was connected.
    pub(super) fn server_info(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        self.on_series(
            arguments,
            ("GetServerInfo", "ПолучитьИнформациюОСервере"),
            Value::Undefined,
            |slot, _| {
                let connection = slot.started.present_connection(slot.session())?;
                let hello = &connection.hello;
                json(&ServerFacts {
                    version: hello.version.clone(),
                    os_type: hello.os.clone(),
                    cpu: hello.cpu.clone(),
                    console_url: console(&connection),
                    version_outdated: at_least(&hello.version, VERSION) == Some(false),
                })
            },
        )
    }

    /// Address of the server's console, for a browser.
    pub(super) fn console_address(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("GetConsoleAddress", "ПолучитьАдресКонсоли");
        self.on_series(arguments, names, Value::Undefined, |slot, _| {
            slot.started.present_connection(slot.session()).map(|connection| console(&connection).into())
        })
    }

    /// A value that the server keeps for the series; Неопределено when there is none.
    pub(super) fn server_parameter(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("GetServerParameter", "ПолучитьСерверныйПараметр");
        let name = text_at(arguments, 1, names.0, names.1)?.trim().to_owned();
        self.on_series(arguments, names, Value::Undefined, |slot, _| {
            match slot.started.inquire(slot.session(), &Call::ServerParameter { name })? {
                Outcome::Value { value } => Ok(value.map_or(Value::Undefined, Value::Text)),
                _ => Err(unexpected()),
            }
        })
    }

    /// Lets the server keep a value for the series, or removes it with Неопределено; the session must have its licence.
    pub(super) fn set_server_parameter(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("SetServerParameter", "УстановитьСерверныйПараметр");
        let name = text_at(arguments, 1, names.0, names.1)?.trim().to_owned();
        let value = match arguments.get(2) {
            // Blanks at the ends and an empty text are values too.
            Some(Value::Text(text)) => Some(text.clone()),
            _ => optional_text_at(arguments, 2, names)?,
        };
        self.on_series(arguments, names, Value::Bool(false), |slot, _| {
            let call = |session| Call::SetServerParameter { session, name: name.clone(), value: value.clone() };
            slot.started.command(slot.seated()?, call).map(|_| Value::Bool(true))
        })
    }

    /// Takes a named lock among the sessions of the series, or gives it back; the session must have its licence.
    pub(super) fn set_lock(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("SetLock", "УстановитьБлокировку");
        let name = text_at(arguments, 1, names.0, names.1)?.trim().to_owned();
        let locked = flag_at(arguments, 2, names)?;
        self.on_series(arguments, names, Value::Bool(false), |slot, _| {
            let call = |session| Call::SetLock { session, name: name.clone(), locked };
            slot.started.command(slot.seated()?, call).map(|_| Value::Bool(true))
        })
    }
}

fn console(connection: &Connection) -> String {
    // A zone of an IPv6 address can't stand in a URL as it is.
    format!("http://{}/", connection.endpoint).replace('%', "%25")
}

/// A structure as text.
pub(super) fn json(value: &impl Serialize) -> licence::Result<Value> {
    serde_json::to_string(value).map(Value::Text).map_err(|e| Error::new(Code::Internal).with(e))
}
