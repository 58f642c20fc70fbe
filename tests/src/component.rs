//! 1C code of one process: what the modules of `examples-1c` do with the component, done through the C++ host.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::SERIES;
use crate::failure::{Failure, Outcome, fail};
use crate::host::{Habits, Host, HostOptions, ObjectId, Report, Value};
use crate::programs::Programs;

/// The class that 1C creates.
pub const CLASS: &str = "LicenceExtension";
/// Name of the common template that the datafile lies in.
pub const TEMPLATE: &str = "ДанныеСЛК";

/// A process of 1C with the component loaded.
pub struct Process {
    host: Host,
    habits: Habits,
}

/// What kind of process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A thin client on a desktop.
    Client,
    /// A process of the 1C server.
    Server,
}

/// A refusal as 1C code sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `КодОшибки`.
    pub code: i64,
    /// `ПолучитьОписаниеОшибки()`.
    pub text: String,
}

/// A component object with a started series.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The object.
    pub object: ObjectId,
    handle: Value,
}

/// Result of a call that may be refused.
pub type Answer<T = ()> = Outcome<Result<T, Refusal>>;

impl Process {
    /// Starts a process and loads the component; its files are below `root`.
    pub fn start(kind: Kind, root: &Path) -> Outcome<Process> {
        Process::with_library(kind, root, &Programs::built()?.library())
    }

    /// A thin client in a terminal session of that client, over ssh.
    pub fn in_terminal(client: &str, root: &Path) -> Outcome<Process> {
        let ssh = format!("{client} 50000 22");
        Process::with_options(Kind::Client, root, false, &[("SSH_CLIENT", &ssh)], &Programs::built()?.library())
    }

    /// The same under valgrind.
    pub fn under_valgrind(kind: Kind, root: &Path) -> Outcome<Process> {
        Process::with_options(kind, root, true, &[], &Programs::built()?.library())
    }

    /// The same with a library that lies elsewhere, as 1C has unpacked it from a template.
    pub fn with_library(kind: Kind, root: &Path, library: &Path) -> Outcome<Process> {
        Process::with_options(kind, root, false, &[], library)
    }

    /// The same where the system looks names that begin with `hanging-` up for so many seconds (`resolver/hanging.c`).
    #[cfg(target_os = "linux")]
    pub fn with_hanging_names(kind: Kind, root: &Path, seconds: u32) -> Outcome<Process> {
        let seconds = seconds.to_string();
        let resolver = [("LD_PRELOAD", env!("HANGING_RESOLVER")), ("SLK_HANGS_FOR", &seconds)];
        Process::with_options(kind, root, false, &resolver, &Programs::built()?.library())
    }

    fn with_options(
        kind: Kind,
        root: &Path,
        valgrind: bool,
        variables: &[(&str, &str)],
        library: &Path,
    ) -> Outcome<Process> {
        // The terminal of the person who runs this must not be taken for a terminal client of 1C.
        let clean = [("SSH_CLIENT", ""), ("SSH_CONNECTION", ""), ("XRDP_SESSION", ""), ("USER", "anna")];
        let variables =
            clean.iter().chain(variables).map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let root = (OsString::from("SLK_ROOT"), root.as_os_str().to_owned());
        let env = variables.chain([root]).collect();
        let mut host = Host::start(HostOptions { valgrind, env })?;
        host.load(library)?;
        // IPlatformInfo: 0 is a thin client, 3 a server.
        let application = if kind == Kind::Server { 3 } else { 0 };
        let habits = Habits { platform: Some((application, "8.3.27.1508")), ..Habits::default() };
        Ok(Process { host, habits })
    }

    /// `Новый("AddIn.Licence.LicenceExtension")` and nothing more.
    pub fn create(&mut self) -> Outcome<ObjectId> {
        Ok(self.host.create_with(CLASS, &self.habits)?.0)
    }

    /// Creates an object and starts the series: `parameters` is the connection string, `anchor` the trust anchor.
    pub fn attach(&mut self, parameters: &str, anchor: &str) -> Answer<Attached> {
        let (attached, started) = self.try_start(parameters, anchor)?;
        if started.is_err() {
            self.host.destroy(attached.object)?;
        }
        Ok(started.map(|()| attached))
    }

    /// The same, but the object stays when the start is refused, with whatever handle it has then.
    pub fn try_start(&mut self, parameters: &str, anchor: &str) -> Outcome<(Attached, Result<(), Refusal>)> {
        let object = self.create()?;
        self.host.set(object, "ЯкорьДоверия", &anchor.into())?;
        self.host.set(object, "ПараметрыСвязи", &parameters.into())?;
        let started = match self.host.call(object, "Запуск", &[SERIES.into()])? {
            Value::Bool(true) => Ok(()),
            _ => Err(self.refusal(object)?),
        };
        Ok((self.attached(object)?, started))
    }

    /// The object with the series that it started last.
    pub fn attached(&mut self, object: ObjectId) -> Outcome<Attached> {
        Ok(Attached { object, handle: self.host.get(object, "ДескрипторСерии")? })
    }

    /// Tells the component whose session this is.
    pub fn set_session(&mut self, attached: &Attached, session: &Json) -> Answer {
        self.flag(attached, "УстановитьДанныеСеанса", &[session.to_string().as_str().into()])
    }

    /// Takes a licence for the session, or shows the one that it has.
    pub fn licence(&mut self, attached: &Attached) -> Answer<Json> {
        match self.call(attached, "ПолучитьЛицензию", &[])? {
            Value::Text(text) => Ok(Ok(serde_json::from_str(&text)?)),
            Value::Undefined => Ok(Err(self.refusal(attached.object)?)),
            other => fail(format!("a licence is a text: {other:?}")),
        }
    }

    /// A whole start of a session: creates, starts, tells, takes.
    pub fn work(&mut self, parameters: &str, anchor: &str, session: &Json) -> Answer<Attached> {
        let attached = match self.attach(parameters, anchor)? {
            Ok(attached) => attached,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let taken = match self.set_session(&attached, session)? {
            Ok(()) => self.licence(&attached)?.map(drop),
            Err(refusal) => Err(refusal),
        };
        match taken {
            Ok(()) => Ok(Ok(attached)),
            Err(refusal) => {
                self.host.destroy(attached.object)?;
                Ok(Err(refusal))
            }
        }
    }

    /// Gives the licence back.
    pub fn release(&mut self, attached: &Attached) -> Answer {
        self.flag(attached, "ОсвободитьЛицензию", &[])
    }

    /// Gives the component a datafile, as from a common template.
    pub fn load_datafile(&mut self, attached: &Attached, datafile: &[u8]) -> Answer {
        self.flag(attached, "ЗагрузитьДанныеЗащиты", &[datafile.to_vec().into(), TEMPLATE.into()])
    }

    /// A protected object of the loaded datafile.
    pub fn object(&mut self, attached: &Attached, name: &str) -> Answer<Vec<u8>> {
        self.object_called(attached, &format!("{TEMPLATE}.{name}"))
    }

    /// A protected object by the name that 1C code would give, wherever its datafile lies.
    pub fn object_called(&mut self, attached: &Attached, name: &str) -> Answer<Vec<u8>> {
        match self.call(attached, "ПолучитьДвоичныеДанныеОбъекта", &[name.into()])? {
            Value::Blob(bytes) => Ok(Ok(bytes)),
            Value::Undefined => Ok(Err(self.refusal(attached.object)?)),
            other => fail(format!("an object is binary data: {other:?}")),
        }
    }

    /// The text for support.
    pub fn diagnostics(&mut self, object: ObjectId) -> Outcome<Json> {
        match self.host.call(object, "ПолучитьДиагностику", &[])? {
            Value::Text(text) => Ok(serde_json::from_str(&text)?),
            other => fail(format!("diagnostics are a text: {other:?}")),
        }
    }

    /// Destroys the object, as 1C does when its variable goes.
    pub fn detach(&mut self, attached: Attached) -> Outcome {
        Ok(self.host.destroy(attached.object)?)
    }

    /// The host itself.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// Unloads the component and ends the process; all memory must have come back.
    pub fn finish(mut self) -> Outcome<Report> {
        // Whether it leaves the process at once is the C library's to say: where the component has started a thread, the
        // standard library left a destructor with the caller's thread, and the code stays until that thread ends.
        self.host.unload()?;
        let report = self.host.finish()?;
        if report.is_clean() { Ok(report) } else { fail(format!("the component left something behind: {report}")) }
    }

    /// What the component says of the last refusal.
    pub fn refusal(&mut self, object: ObjectId) -> Outcome<Refusal> {
        let code = match self.host.get(object, "КодОшибки")? {
            Value::Int(code) => code,
            other => return fail(format!("a code is a number: {other:?}")),
        };
        match self.host.call(object, "ПолучитьОписаниеОшибки", &[])? {
            Value::Text(text) => Ok(Refusal { code, text }),
            other => fail(format!("a description is a text: {other:?}")),
        }
    }

    /// Calls a method for a started series: its handle goes before the arguments.
    pub fn call(&mut self, attached: &Attached, method: &str, arguments: &[Value]) -> Outcome<Value> {
        let all: Vec<Value> = std::iter::once(attached.handle.clone()).chain(arguments.iter().cloned()).collect();
        Ok(self.host.call(attached.object, method, &all)?)
    }

    fn flag(&mut self, attached: &Attached, method: &str, arguments: &[Value]) -> Answer {
        match self.call(attached, method, arguments)? {
            Value::Bool(true) => Ok(Ok(())),
            Value::Bool(false) | Value::Undefined => Ok(Err(self.refusal(attached.object)?)),
            other => fail(format!("{method} gives a Булево: {other:?}")),
        }
    }
}

impl Refusal {
    /// The refusal as a failure of a step that must succeed.
    pub fn failure(&self) -> Failure {
        Failure::new(format!("refused, {}: {}", self.code, self.text))
    }
}

/// Session `number` of a file infobase, as 1C code tells it.
pub fn file_session(number: u32) -> Json {
    json!({
        "SessionNumber": number,
        "SessionStarted": format!("2024-05-06T07:{:02}:00Z", number % 60),
        "UserName": "Кассир",
        "AppName": "1CV8C",
        "ComputerName": "KASSA-1",
        "InfoBaseConnectionString": "File=\"C:\\Bases\\Trade\";",
    })
}

/// Session `number` of an infobase on a 1C server.
pub fn server_session(number: u32) -> Json {
    json!({
        "SessionNumber": number,
        "SessionStarted": format!("2024-05-06T08:{:02}:00Z", number % 60),
        "UserName": format!("Менеджер {number}"),
        "AppName": "1CV8C",
        "ComputerName": format!("OFFICE-{number}"),
        "InfoBaseConnectionString": "Srvr=\"app01\";Ref=\"trade\";",
        "IsServer": true,
    })
}
