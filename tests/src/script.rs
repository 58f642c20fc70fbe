//! Scripts of 1C code: what configurations call, in the order in which they call it, with the answers that they rely on. Read
//! from `tests/scripts`, run by the built component in the C++ host against real servers. The language is told there, in
//! `README.md`.

mod lines;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;

use serde_json::Value as Json;

use crate::component::{CLASS, Kind, Process, file_session, server_session};
use crate::failure::{Failure, Outcome, check, fail};
use crate::host::{HostError, ObjectId, Value};
use crate::root::Root;
use crate::server::{PASSWORD, Server};
use crate::site::Site;
use crate::vendor::Vendor;
use lines::{Action, Expected, Expression, Line, Member};

/// Runs one script; the error names the line that went otherwise.
pub fn run(path: &Path, site: &Site) -> Outcome {
    let text = fs::read_to_string(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lines = lines::read(&text).map_err(|why| Failure::new(format!("{name}: {why}")))?;
    let mut stage = Stage {
        site,
        servers: BTreeMap::new(),
        root: Root::new("script")?,
        process: None,
        names: BTreeMap::new(),
        codes: RefCell::default(),
        name,
    };
    stage.run(&lines)?;
    stage.end()
}

/// What a name stands for.
#[derive(Clone)]
enum Thing {
    Object(ObjectId),
    Value(Value),
}

/// One script at work.
struct Stage<'a> {
    site: &'a Site,
    servers: BTreeMap<String, Server>,
    root: Root,
    process: Option<Process>,
    names: BTreeMap<String, Thing>,
    /// Activation codes by series.
    codes: RefCell<BTreeMap<String, String>>,
    name: String,
}

impl Stage<'_> {
    fn run(&mut self, lines: &[Line]) -> Outcome {
        for line in lines {
            let done = match &line.action {
                // The lines inside name themselves.
                Action::Repeat(times, body) => {
                    (0..*times).try_for_each(|_| self.run(body))?;
                    continue;
                }
                other => self.act(other),
            };
            done.map_err(|why| Failure::new(format!("{}:{}: {}\n    {why}", self.name, line.number, line.text)))?;
        }
        Ok(())
    }

    /// All objects go, the process ends, and nothing was left behind.
    fn end(mut self) -> Outcome {
        let objects: Vec<String> = self.names.keys().cloned().collect();
        objects.iter().try_for_each(|name| self.destroy(name))?;
        self.process.take().map_or(Ok(()), |process| process.finish().map(drop))
    }

    fn act(&mut self, action: &Action) -> Outcome {
        match action {
            Action::Repeat(..) => Ok(()),
            Action::Server(name, seats) => self.start_server(name, seats),
            Action::Kill(name) => self.server_mut(name)?.kill9(),
            Action::Restart(name) => self.server_mut(name)?.restart(),
            Action::Process(kind) => {
                let kind = if kind == "клиент" { Kind::Client } else { Kind::Server };
                self.process = Some(Process::start(kind, self.root.path())?);
                Ok(())
            }
            Action::Seats(name, taken) => {
                let (now, all) = self.server(name)?.seats()?;
                check(now == *taken, || format!("занято мест: {now} из {all}"))
            }
            Action::Sessions(name, number) => {
                let now = self.server(name)?.sessions()?.len() as u64;
                check(now == *number, || format!("сеансов: {now}"))
            }
            Action::Create(name) => {
                self.destroy(name)?;
                let object = self.process()?.create()?;
                self.names.insert(name.clone(), Thing::Object(object));
                Ok(())
            }
            Action::Destroy(name) => self.destroy(name),
            Action::Keep(name, member) => {
                let value = self.call(member)?.map_err(|error| Failure::new(error.to_string()))?;
                self.names.insert(name.clone(), Thing::Value(value));
                Ok(())
            }
            Action::Assign(object, property, value) => {
                let (object, value) = (self.object(object)?, self.value(value)?);
                Ok(self.process()?.host().set(object, property, &value)?)
            }
            Action::Expect(member, expected) => {
                let got = self.call(member)?;
                self.compare(got, expected)
            }
        }
    }

    fn start_server(&mut self, name: &str, seats: &[(String, u64)]) -> Outcome {
        let server = self.site.server(name)?;
        for (series, licences) in seats {
            let licences = u32::try_from(*licences)?;
            server.activate(&self.vendor(series)?.code(licences, &[])?)?;
        }
        self.servers.insert(name.to_owned(), server);
        Ok(())
    }

    fn destroy(&mut self, name: &str) -> Outcome {
        match self.names.remove(name) {
            Some(Thing::Object(object)) => Ok(self.process()?.host().destroy(object)?),
            _ => Ok(()),
        }
    }

    /// Calls a method or reads a property.
    fn call(&mut self, member: &Member) -> Outcome<Result<Value, HostError>> {
        let object = self.object(&member.object)?;
        let arguments = member.arguments.as_ref();
        let arguments = arguments.map(|all| all.iter().map(|one| self.value(one)).collect::<Outcome<Vec<_>>>());
        let host = self.process()?.host();
        let got = match arguments.transpose()? {
            Some(arguments) => host.call(object, &member.name, &arguments),
            None => host.get(object, &member.name),
        };
        match got {
            Err(HostError::Host(why)) => fail(why),
            other => Ok(other),
        }
    }

    fn compare(&self, got: Result<Value, HostError>, expected: &Expected) -> Outcome {
        let text = |got: &Value| if let Value::Text(text) = got { text.clone() } else { String::new() };
        let good = match (expected, &got) {
            (Expected::Anything, Ok(_)) => true,
            (Expected::Equal(value), Ok(got)) => *got == self.value(value)?,
            (Expected::Starts(start), Ok(got)) => text(got).starts_with(start),
            (Expected::Contains(part), Ok(got)) => text(got).contains(part),
            (Expected::Exception(part), Err(HostError::AddIn { text, .. })) => text.contains(part),
            _ => false,
        };
        check(good, || match got {
            Ok(value) => format!("получено: {value:?}"),
            Err(error) => format!("исключение: {error}"),
        })
    }

    fn value(&self, expression: &Expression) -> Outcome<Value> {
        Ok(match expression {
            Expression::Literal(value) => value.clone(),
            Expression::Name(name) => match self.names.get(name) {
                Some(Thing::Value(value)) => value.clone(),
                Some(Thing::Object(_)) => return fail(format!("{name} - объект, а нужно значение")),
                None => return fail(format!("имени {name} не было")),
            },
            Expression::Fixture(name, argument) => self.fixture(name, argument)?,
        })
    }

    /// What a script takes from its surroundings.
    fn fixture(&self, name: &str, argument: &str) -> Outcome<Value> {
        let number = || argument.parse().map_err(|_| Failure::new(format!("{name}: нужен номер")));
        let text = |json: Json| Value::Text(json.to_string());
        Ok(match name {
            "Адрес" => Value::Text(format!("ServerAddr=127.0.0.1;ServerPort={}", self.server(argument)?.port())),
            "Якорь" => Value::Text(self.vendor(argument)?.anchor_hash()?),
            "СеансСервера" => text(server_session(number()?)),
            "СеансФайловойБазы" => text(file_session(number()?)),
            "ФоновоеЗадание" => {
                let (own, parent) = (server_session(number()? + 100), server_session(number()?));
                let mut job = own;
                job["AppName"] = "BackgroundJob".into();
                job["ParentSessionNumber"] = parent["SessionNumber"].clone();
                job["ParentSessionStarted"] = parent["SessionStarted"].clone();
                text(job)
            }
            "КодАктивации" => Value::Text(match self.codes.borrow_mut().entry(argument.to_owned()) {
                Entry::Occupied(made) => made.get().clone(),
                Entry::Vacant(place) => place.insert(self.vendor(argument)?.code(2, &[])?).clone(),
            }),
            "ПарольАдминистратора" => {
                self.server(argument).map(|_| Value::Text(PASSWORD.to_owned()))?
            }
            "ДанныеЗащиты" => Value::Blob(self.datafile(self.vendor(argument)?)?),
            _ => return fail(format!("{name}: такого значения нет")),
        })
    }

    /// A datafile with one object, `Обработка`, whose bytes are a text that names the series.
    fn datafile(&self, vendor: &Vendor) -> Outcome<Vec<u8>> {
        let folder = self.root.path().join(vendor.series());
        fs::create_dir_all(&folder)?;
        let (plain, packed) = (folder.join("Обработка.epf"), folder.join("packed.datafile"));
        fs::write(&plain, format!("код серии {}", vendor.series()))?;
        vendor.pack(&packed, &[plain], &[])?;
        Ok(fs::read(packed)?)
    }

    fn vendor(&self, series: &str) -> Outcome<&Vendor> {
        let all = std::iter::once(&self.site.vendor).chain(&self.site.others);
        all.into_iter().find(|vendor| vendor.series() == series).map_or_else(|| fail(format!("серии {series} нет")), Ok)
    }

    fn server(&self, name: &str) -> Outcome<&Server> {
        self.servers.get(name).map_or_else(|| fail(format!("сервера {name} нет")), Ok)
    }

    fn server_mut(&mut self, name: &str) -> Outcome<&mut Server> {
        self.servers.get_mut(name).map_or_else(|| fail(format!("сервера {name} нет")), Ok)
    }

    fn object(&self, name: &str) -> Outcome<ObjectId> {
        match self.names.get(name) {
            Some(Thing::Object(object)) => Ok(*object),
            _ => fail(format!("{name} - не объект класса {CLASS}")),
        }
    }

    fn process(&mut self) -> Outcome<&mut Process> {
        self.process.as_mut().map_or_else(|| fail("сначала нужна строка Процесс"), Ok)
    }
}
