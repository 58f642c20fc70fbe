//! What 1C sees of the add-in: the class `LicenceExtension`. A refusal is a value, Ложь or Неопределено, and its text and code
//! are kept; a wrong kind of argument is an error of the calling code.
//! No pointer of the Native API comes here.
//!
//! No call blocks longer than [`crate::client::TOTAL_LIMIT`], but for a protected object ([`crate::client::OBJECT_LIMIT`]) and for
//! calls that make a server ask the vendor's centre ([`crate::client::keys::CENTRE_LIMIT`]). `Остановить` and the end of an object say goodbye to each server
//! for a second at most.

mod anchors;
mod arguments;
mod control;
mod data;
mod diagnostics;
mod journal;
mod keys;
mod manager;
mod parameters;
mod process;
mod server;
mod slot;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use licence::accounting::InfoBase;
use licence::crypto::Crypto;
use licence::crypto::ring::PROVIDER;
use licence::error::{Code, Error, Lang};
use licence::host::clock::SleepCountingClock;
use licence::host::paths::Paths;
use licence::id::KeyId;
use licence::protocol::message::{Acquire, ClientInfo, SessionData};
use licence::series::TrustAnchor;
use licence::version::{VERSION, at_least};

use crate::client::Net;
use crate::client::connection::Wanted;
use crate::client::keys::lacks_key;
use crate::client::registry::Nets;
use crate::client::transport::HttpTransport;
use crate::native::{Component, Failure, HostInfo, Method, Preset, Promise, Property, Value};
use arguments::{argument, handle_at, optional_text_at, text, text_at, wrong_kind};
use server::json;
use slot::Slot;

/// The default of a parameter that may be left out: hosts take Неопределено for a parameter without a default.
const NOTHING: Preset = Preset::Text("");

/// The add-in's one class.
pub struct LicenceExtension {
    host: HostInfo,
    lang: Lang,
    parameters: String,
    anchor: Option<TrustAnchor>,
    /// A series handle is the place here, counted from 1; places are not used again.
    slots: Vec<Option<Slot>>,
    /// Handle of the last start that succeeded.
    handle: Option<i64>,
    /// Handle of the last start that lacked but a key at the server; shown as long as none has succeeded.
    keyless: Option<i64>,
    last: Option<Error>,
    writing: Option<journal::Writing>,
    manager: Option<manager::Placed>,
}

impl Component for LicenceExtension {
    const NAME: &'static str = "LicenceExtension";
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::read_only("Version", "Версия", Self::version),
        Property::new("ConnectionParameters", "ПараметрыСвязи", Self::parameters, Self::set_parameters),
        Property::new("TrustAnchor", "ЯкорьДоверия", Self::anchor, Self::set_anchor),
        Property::read_only("SeriesHandle", "ДескрипторСерии", Self::series_handle),
        Property::read_only("ErrorCode", "КодОшибки", Self::error_code),
        Property::read_only("ObjectManager", "МенеджерОбъектов", Self::object_manager),
    ];
    const METHODS: &'static [Method<Self>] = &[
        Method::function("CheckVersion", "ПроверитьВерсию", 1, &[], Self::check_version),
        Method::function("Start", "Запуск", 1, &[Preset::Bool(false)], Self::start),
        Method::function("SetSessionData", "УстановитьДанныеСеанса", 2, &[], Self::set_session_data),
        Method::function("GetLicence", "ПолучитьЛицензию", 1, &[], Self::licence),
        Method::function("ReleaseLicence", "ОсвободитьЛицензию", 1, &[], Self::release_licence),
        Method::function(
            "LoadProtectionData",
            "ЗагрузитьДанныеЗащиты",
            3,
            &[Preset::Bool(true)],
            Self::load_protection_data,
        ),
        Method::function("GetObjectBinaryData", "ПолучитьДвоичныеДанныеОбъекта", 2, &[], Self::object_data),
        Method::procedure("Stop", "Остановить", 0, &[Preset::Int(0)], Self::stop),
        Method::function("GetDiagnostics", "ПолучитьДиагностику", 0, &[], Self::diagnostics),
        Method::function("GetErrorDescription", "ПолучитьОписаниеОшибки", 0, &[], Self::error_description),
        Method::function("ObjectCreationError", "ОшибкаСозданияОбъекта", 1, &[], Self::object_creation_error),
        Method::function("GetObjectManager", "ПолучитьМенеджерОбъектов", 0, &[], Self::get_object_manager),
        Method::function(
            "GetLicences",
            "ПолучитьЛицензии",
            1,
            &[Preset::Bool(false), Preset::Bool(false)],
            Self::licences,
        ),
        Method::function("GetCounters", "ПолучитьСчетчики", 1, &[], Self::counters),
        Method::function("GetServerInfo", "ПолучитьИнформациюОСервере", 1, &[], Self::server_info),
        Method::function("GetConsoleAddress", "ПолучитьАдресКонсоли", 1, &[], Self::console_address),
        Method::function(
            "SetControlParameters",
            "УстановитьПараметрыКонтроляЛицензии",
            1,
            &[Preset::Bool(false), NOTHING, NOTHING, NOTHING, NOTHING, NOTHING],
            Self::set_control_parameters,
        ),
        Method::function("SetAccessCode", "УстановитьКодДоступа", 2, &[], Self::set_access_code),
        Method::function("GetKeyNo", "ПолучитьНомерКлюча", 1, &[], Self::key_no),
        Method::function("CheckSessionLicence", "ПроверитьЛицензиюСеанса", 1, &[], Self::check_session_licence),
        Method::function("GetObjectList", "ПолучитьСписокОбъектов", 1, &[NOTHING], Self::object_list),
        Method::function("IsLoaded", "МакетЗагружен", 2, &[], Self::is_loaded),
        Method::function("GetLog", "ПолучитьЛог", 0, &[], Self::log),
        Method::function("GetHashCode", "ПолучитьХэшКод", 1, &[], Self::hash_code),
        Method::function("GetServerParameter", "ПолучитьСерверныйПараметр", 2, &[], Self::server_parameter),
        Method::function("SetServerParameter", "УстановитьСерверныйПараметр", 3, &[], Self::set_server_parameter),
        Method::function("SetLock", "УстановитьБлокировку", 2, &[Preset::Bool(true)], Self::set_lock),
        Method::function("GetParameter", "ПолучитьПараметр", 3, &[Preset::Bool(false)], Self::parameter),
        Method::function(
            "InstallLicence",
            "УстановитьЛицензию",
            1,
            &[NOTHING, NOTHING, NOTHING, NOTHING],
            Self::install_licence,
        ),
        Method::function("UpdateLicences", "ОбновитьЛицензии", 1, &[NOTHING, NOTHING], Self::update_licences),
        Method::function(
            "DeactivateLicence",
            "ДеактивироватьЛицензию",
            2,
            &[NOTHING, NOTHING, NOTHING, NOTHING],
            Self::deactivate_licence,
        ),
        Method::function(
            "CreateRequestFile",
            "СоздатьФайловыйЗапрос",
            1,
            &[NOTHING, NOTHING, NOTHING, NOTHING],
            Self::create_request_file,
        ),
        Method::function(
            "CreateUpdateRequestFile",
            "СоздатьФайловыйЗапросОбновления",
            1,
            &[NOTHING, NOTHING],
            Self::create_update_request_file,
        ),
        Method::function(
            "CreateDeactivationRequestFile",
            "СоздатьФайловыйЗапросДеактивации",
            2,
            &[NOTHING, NOTHING, NOTHING, NOTHING],
            Self::create_deactivation_request_file,
        ),
        Method::function("InstallResponseFile", "УстановитьФайловыйОтвет", 2, &[], Self::install_response_file),
        Method::function("GetCodeParameters", "ПолучитьПараметрыКодаАктивации", 2, &[], Self::code_parameters),
        Method::function("ReadMemory", "ПрочитатьПамять", 2, &[NOTHING], Self::read_memory),
        Method::function("WriteMemory", "ЗаписатьПамять", 4, &[], Self::write_memory),
        Method::function("ClearMemory", "ОбнулитьПамять", 2, &[NOTHING], Self::clear_memory),
        Method::function("SetPasswords", "УстановитьПароли", 6, &[], Self::set_passwords),
    ];

    fn create() -> Self {
        Self {
            host: HostInfo::default(),
            lang: Lang::Russian,
            parameters: String::new(),
            anchor: None,
            slots: Vec::new(),
            handle: None,
            keyless: None,
            last: None,
            writing: None,
            manager: None,
        }
    }

    fn init(&mut self, host: &HostInfo) {
        self.host = host.clone();
    }

    fn set_locale(&mut self, locale: &str) {
        self.lang = Lang::of_locale(locale);
    }

    fn set_language(&mut self, code: &str) {
        self.lang = Lang::of_locale(code);
    }

    fn done(&mut self) {
        // The series first: what they do at their end is still written down.
        self.slots = Vec::new();
        self.manager = None;
        self.writing = None;
    }

    fn failed(&mut self, error: &Error) {
        log::info!("a wrong call: {error}");
        self.last = Some(error.clone());
    }

    fn refused(&mut self, error: Error) {
        self.refuse(error, Value::Undefined);
    }
}

impl LicenceExtension {
    fn version(&mut self) -> Result<Value, Failure> {
        Ok(VERSION.into())
    }

    fn parameters(&mut self) -> Result<Value, Failure> {
        Ok(self.parameters.as_str().into())
    }

    /// Counts from the next start; what is wrong in it is told there, as it may come from a user's form.
    fn set_parameters(&mut self, value: Value) -> Result<(), Failure> {
        self.parameters = text(&value, "ConnectionParameters", "ПараметрыСвязи")?.to_owned();
        Ok(())
    }

    /// SHA-256 of the root key, 64 hex digits; empty without an anchor.
    fn anchor(&mut self) -> Result<Value, Failure> {
        Ok(self.anchor.map(|TrustAnchor(root)| root.to_string()).unwrap_or_default().into())
    }

    /// Counts from the next start. A text that is no anchor is an error of the configuration's own code.
    fn set_anchor(&mut self, value: Value) -> Result<(), Failure> {
        let (english, russian) = ("TrustAnchor", "ЯкорьДоверия");
        let given = text(&value, english, russian)?.trim();
        self.anchor = match given {
            "" => None,
            given => {
                let wrong = |error: Error| {
                    let (in_russian, in_english) = (error.cause(Lang::Russian), error.cause(Lang::English));
                    Failure(argument(english, russian).with_text(in_russian, in_english))
                };
                Some(TrustAnchor::parse(&PROVIDER, given).map_err(wrong)?)
            }
        };
        Ok(())
    }

    fn series_handle(&mut self) -> Result<Value, Failure> {
        Ok(self.handle.or(self.keyless).map_or(Value::Undefined, Value::Int))
    }

    /// Stable number of the last refusal; 0 when the last call that could be refused was not.
    fn error_code(&mut self) -> Result<Value, Failure> {
        Ok(Value::Int(self.last.as_ref().map_or(0, |error| error.code.number().into())))
    }

    /// True if this version is at least the required one; Неопределено if that is no version.
    fn check_version(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        // Public code reads this answer as a value whatever it passed, so even a wrong type is no exception here.
        let required = arguments.first().and_then(Value::as_text).unwrap_or_default();
        let mismatch = Error::new(Code::VersionMismatch).with(required).with(VERSION);
        let wrong = || argument("CheckVersion", "ПроверитьВерсию").with(format_args!("\"{required}\""));
        Ok(match at_least(VERSION, required) {
            Some(true) => self.succeed(Value::Bool(true)),
            Some(false) => self.refuse(mismatch, Value::Bool(false)),
            None => {
                let error = wrong();
                self.refuse(error, Value::Undefined)
            }
        })
    }

    /// Connects to the first reachable server that has the series. The second argument means different things in public code;
    /// it never switches counting off.
    fn start(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let series = text_at(arguments, 0, "Start", "Запуск")?.to_owned();
        Ok(match self.start_series(&series) {
            Ok(()) => self.succeed(Value::Bool(true)),
            Err(error) => self.refuse(error, Value::Bool(false)),
        })
    }

    fn start_series(&mut self, series: &str) -> licence::Result<()> {
        let wrong = |_| argument("Start", "Запуск").with(format_args!("\"{series}\""));
        let key_id: KeyId = series.parse().map_err(wrong)?;
        let paths = self.paths();
        let conf = parameters::Conf::read(&paths, process::is_server(&self.host));
        let keeps_logs = matches!(&conf, Ok(Some(conf)) if conf.keeps_logs());
        self.writing.get_or_insert_with(|| journal::Writing::start(&paths, keeps_logs));
        let endpoints = parameters::servers(conf?.as_ref(), key_id, &self.parameters)?;
        let wanted = Wanted { key_id, anchor: anchors::look_up(key_id, self.anchor, &process::module())? };
        let mut slot = Slot::enter(&PROVIDER, wanted, endpoints, || self.nets())?;
        let connected = slot.started.connect();
        // A series that lacks but its key has a handle, so that the key can be installed.
        let lacks_key = connected.as_ref().err().is_some_and(lacks_key) && wanted.anchor.is_some();
        if connected.is_err() && !lacks_key {
            return connected;
        }
        slot.data.folders = data::disk::folders(&paths, process::is_server(&self.host));
        let same =
            |known: &Option<Slot>| known.as_ref().is_some_and(|known| Arc::ptr_eq(&known.started, &slot.started));
        let at = self.slots.iter().position(same).unwrap_or_else(|| {
            self.slots.push(Some(slot));
            self.slots.len() - 1
        });
        let handle = Some(i64::try_from(at).unwrap_or(i64::MAX - 1) + 1);
        if lacks_key {
            self.keyless = handle
        } else {
            self.handle = handle
        }
        connected
    }

    /// Takes a licence for the session that 1C code describes.
    fn set_session_data(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("SetSessionData", "УстановитьДанныеСеанса");
        let json = text_at(arguments, 1, names.0, names.1)?.to_owned();
        let host = self.host.clone();
        self.on_series(arguments, names, Value::Bool(false), |slot, _| {
            let mut session = session_data(&json)?;
            let is_server = process::is_server_session(&host, &session);
            session.is_server = Some(is_server);
            if let Ok(base) = session.info_base_connection_string.parse::<InfoBase>() {
                // Without the user's name and password that the string may carry.
                session.info_base_connection_string = base.to_string();
            }
            let terminal = if is_server { None } else { process::terminal() };
            slot.take_licence(Acquire { session, computer: process::computer_id(), terminal, ..Acquire::default() })?;
            Ok(Value::Bool(true))
        })
    }

    /// The licence of the session, JSON with the fields of the REST API; Неопределено before the session is known.
    fn licence(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        self.on_series(arguments, ("GetLicence", "ПолучитьЛицензию"), Value::Undefined, |slot, _| {
            json(&slot.licence()?)
        })
    }

    fn release_licence(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        self.on_series(
            arguments,
            ("ReleaseLicence", "ОсвободитьЛицензию"),
            Value::Bool(false),
            |slot, _| slot.release().map(|()| Value::Bool(true)),
        )
    }

    /// Takes a datafile under an alias. With Ложь as the fourth argument an alias that is loaded already stays.
    fn load_protection_data(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("LoadProtectionData", "ЗагрузитьДанныеЗащиты");
        let alias = text_at(arguments, 2, names.0, names.1)?.trim().to_owned();
        let replaces = arguments.get(3).and_then(Value::as_bool);
        let replaces = replaces.ok_or_else(|| wrong_kind(names, "Булево", "a Boolean"))?;
        let Some(Value::Blob(bytes)) = arguments.get_mut(1).map(Value::take) else {
            return Err(wrong_kind(names, "ДвоичныеДанные", "BinaryData"));
        };
        self.on_series(arguments, names, Value::Bool(false), |slot, nets| {
            slot.load(bytes, &alias, replaces, nets).map(|()| Value::Bool(true))
        })
    }

    /// The object, decrypted in 1C's own memory, or Неопределено.
    fn object_data(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("GetObjectBinaryData", "ПолучитьДвоичныеДанныеОбъекта");
        let name = text_at(arguments, 1, names.0, names.1)?.trim().to_owned();
        self.on_series(arguments, names, Value::Undefined, |slot, _| {
            slot.object(&name).map(|object| Value::Promise(Promise::new(object)))
        })
    }

    /// Names of the loaded protected objects with their aliases, a JSON array; of one alias only, if it is given.
    fn object_list(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("GetObjectList", "ПолучитьСписокОбъектов");
        let alias = optional_text_at(arguments, 1, names)?;
        self.on_series(arguments, names, Value::Undefined, |slot, _| json(&slot.data.names(alias.as_deref())))
    }

    /// Whether protected data are loaded under an alias.
    fn is_loaded(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("IsLoaded", "МакетЗагружен");
        let alias = text_at(arguments, 1, names.0, names.1)?.trim().to_owned();
        self.on_series(arguments, names, Value::Bool(false), |slot, _| Ok(Value::Bool(slot.data.is_loaded(&alias))))
    }

    /// File name of the object manager, an external data processor; the file is there until this object goes.
    fn get_object_manager(&mut self, _: &mut [Value]) -> Result<Value, Failure> {
        self.object_manager()
    }

    /// The same as a property, as older configurations read it.
    fn object_manager(&mut self) -> Result<Value, Failure> {
        Ok(match manager::place(&mut self.manager) {
            Ok(path) => self.succeed(path.into()),
            Err(error) => self.refuse(error, Value::Undefined),
        })
    }

    /// The end of this process's log.
    fn log(&mut self, _: &mut [Value]) -> Result<Value, Failure> {
        Ok(match journal::tail() {
            Ok(text) => self.succeed(text.into()),
            Err(error) => self.refuse(error, Value::Undefined),
        })
    }

    /// SHA-256 of the text in UTF-8, 64 hex digits.
    fn hash_code(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let text = text_at(arguments, 0, "GetHashCode", "ПолучитьХэшКод")?;
        let hash = licence::id::hex(&PROVIDER.sha256(&[text.as_bytes()]));
        Ok(self.succeed(hash.into()))
    }

    /// Releases and disconnects one series, or all of this object without an argument.
    fn stop(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let names = ("Stop", "Остановить");
        match handle_at(arguments, names)? {
            0 => {
                let all = std::mem::take(&mut self.slots);
                self.slots.resize_with(all.len(), || None);
                all.into_iter().flatten().for_each(Slot::stop);
                (self.handle, self.keyless) = (None, None);
            }
            handle => match self.slot(handle).and_then(Option::take) {
                Some(slot) => {
                    slot.stop();
                    self.handle = self.handle.filter(|last| *last != handle);
                    self.keyless = self.keyless.filter(|last| *last != handle);
                }
                None => return Ok(self.refuse(Code::NotStarted.into(), Value::Undefined)),
            },
        }
        Ok(self.succeed(Value::Undefined))
    }

    fn diagnostics(&mut self, _: &mut [Value]) -> Result<Value, Failure> {
        Ok(diagnostics::of(self).to_string().into())
    }

    /// Text of the last refusal, its class in brackets first; empty when there was none.
    fn error_description(&mut self, _: &mut [Value]) -> Result<Value, Failure> {
        Ok(self.last.as_ref().map(|error| error.message(self.lang)).unwrap_or_default().into())
    }

    /// Logs the text of an exception that 1C got from a protected object, and gives the text to raise.
    fn object_creation_error(&mut self, arguments: &mut [Value]) -> Result<Value, Failure> {
        let text = text_at(arguments, 0, "ObjectCreationError", "ОшибкаСозданияОбъекта")?;
        log::error!("a protected object was not created: {text}");
        Ok(text.into())
    }

    fn slot(&mut self, handle: i64) -> Option<&mut Option<Slot>> {
        self.slots.get_mut(usize::try_from(handle).ok()?.checked_sub(1)?)
    }

    /// Does something with the series whose handle is the first argument; a refusal becomes `refused`.
    fn on_series(
        &mut self,
        arguments: &[Value],
        names: (&'static str, &'static str),
        refused: Value,
        body: impl FnOnce(&mut Slot, &dyn Fn() -> Nets) -> licence::Result<Value>,
    ) -> Result<Value, Failure> {
        let handle = handle_at(arguments, names)?;
        let host = self.host.clone();
        let outcome = match self.slot(handle) {
            Some(Some(slot)) => body(slot, &|| nets(&host)),
            _ => Err(Code::NotStarted.into()),
        };
        Ok(match outcome {
            Ok(value) => self.succeed(value),
            Err(error) => self.refuse(error, refused),
        })
    }

    fn refuse(&mut self, error: Error, value: Value) -> Value {
        log::info!("refused: {error}");
        self.last = Some(error);
        value
    }

    fn succeed(&mut self, value: Value) -> Value {
        self.last = None;
        value
    }

    fn nets(&self) -> Nets {
        nets(&self.host)
    }

    fn paths(&self) -> Paths {
        Paths::current()
    }
}

/// Two ways to the network, as the heartbeat's is cut when it is to end.
fn nets(host: &HostInfo) -> Nets {
    let info: Arc<ClientInfo> = Arc::new(process::client_info(host));
    let net = || Net {
        transport: Arc::new(HttpTransport::new(process::stay_loaded)),
        clock: Arc::new(SleepCountingClock),
        crypto: &PROVIDER,
        info: Arc::clone(&info),
    };
    Nets { calls: net(), heartbeat: net() }
}

/// Session data as 1C code writes them; what is null was not given.
fn session_data(json: &str) -> licence::Result<SessionData> {
    let wrong =
        |e: serde_json::Error| Error::new(Code::BadSession).with(format_args!("JSON, {}:{}", e.line(), e.column()));
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).map_err(wrong)?;
    fields.retain(|_, value| !value.is_null());
    serde_json::from_value(fields.into()).map_err(|e| Error::new(Code::BadSession).with(e))
}
