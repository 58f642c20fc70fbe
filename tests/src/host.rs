//! Drives the C++ host of the Native API (`tests/host`): loads the built library in a process of its own and calls it
//! as 1C does. Owns that process, and ends it when dropped.

use std::ffi::OsString;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::programs::Programs;

mod lane;
mod wire;

pub use lane::Lane;
use lane::new_command;
pub use wire::Value;
use wire::{broken, counts, hex, member, number, outcome, parts, text, text_from, value, with_arguments, word};

/// Builds the library as it is now and tells its path.
pub fn library() -> Result<PathBuf, HostError> {
    Programs::built().map(Programs::library).map_err(|failure| broken(failure.to_string()))
}

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same under valgrind, which is some thirty times slower.
const VALGRIND_PATIENCE: Duration = Duration::from_secs(600);

/// How to start the host.
#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// Run it under valgrind, which must be installed.
    pub valgrind: bool,
    /// Environment variables for its process, added to ours.
    pub env: Vec<(OsString, OsString)>,
}

/// A running host.
pub struct Host {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
    patience: Duration,
    valgrind_log: Option<PathBuf>,
    objects: u32,
}

/// A component object in the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId(u32);

/// What the host did when it loaded the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The component's level, 0 if it was not asked.
    pub level: i32,
    /// Where it may be loaded, 3 for anywhere.
    pub attach_type: i32,
    /// Names of its classes.
    pub classes: Vec<String>,
}

/// How the host treats an object, by default as 1C on a server does.
#[derive(Clone, Debug)]
pub struct Habits {
    /// setMemManager before Init.
    pub memory_first: bool,
    /// Init and setMemManager twice.
    pub repeat: bool,
    /// Never setMemManager.
    pub no_memory: bool,
    /// Never Init.
    pub no_connection: bool,
    /// Kind of the application (3 is a server) and version of the platform, if the host has IPlatformInfo.
    pub platform: Option<(i32, &'static str)>,
    /// Whether the library runs in a process of its own, if the host has IAttachedInfo.
    pub isolated: Option<bool>,
    /// Argument of SetLocale.
    pub locale: Option<&'static str>,
    /// Argument of SetUserInterfaceLanguageCode.
    pub language: Option<&'static str>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            memory_first: false,
            repeat: false,
            no_memory: false,
            no_connection: false,
            platform: Some((3, "8.3.27.1508")),
            isolated: Some(false),
            locale: Some("ru_RU"),
            language: Some("ru"),
        }
    }
}

/// Why a call gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostError {
    /// The component returned false: an exception in 1C.
    AddIn {
        /// Code of the message, 0 if the component told the host nothing.
        wcode: u16,
        /// Code of the exception.
        scode: i64,
        /// Who reports it.
        source: String,
        /// What it says.
        text: String,
    },
    /// The host could not do it.
    Host(String),
}

impl fmt::Display for HostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::AddIn { source, text, .. } => write!(out, "{source}: {text}"),
            HostError::Host(why) => write!(out, "the host: {why}"),
        }
    }
}

impl std::error::Error for HostError {}

/// State of the host's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Blocks that nobody has freed.
    pub live: usize,
    /// Blocks that the component ever got.
    pub given: usize,
    /// Blocks freed twice, written beyond their end, or not from the host where they must be.
    pub bad: usize,
    /// Uses of a connection after Done, or of functions that a server does not have.
    pub late: usize,
}

/// What was left when the host ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// State of its memory.
    pub counts: Counts,
    /// Objects never destroyed.
    pub objects: usize,
    /// How its process ended.
    pub status: ExitStatus,
    /// What valgrind wrote.
    pub valgrind: Option<String>,
}

impl Report {
    /// True if all memory came back, nothing was misused, and valgrind, if it ran, found nothing.
    pub fn is_clean(&self) -> bool {
        self.status.success()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { live, bad, late, .. } = self.counts;
        write!(
            out,
            "{live} blocks leaked, {bad} misused, {late} late uses of the connection, {} objects left; {}",
            self.objects, self.status
        )?;
        self.valgrind.iter().try_for_each(|log| write!(out, "\n{log}"))
    }
}

/// A member as the component declares it.
#[derive(Clone, Debug, PartialEq)]
pub enum Member {
    /// A property.
    Property {
        /// International name.
        english: String,
        /// Russian name.
        russian: String,
        /// Whether 1C can read it.
        readable: bool,
        /// Whether 1C can write it.
        writable: bool,
    },
    /// A method.
    Method {
        /// International name.
        english: String,
        /// Russian name.
        russian: String,
        /// Defaults of its parameters, `None` for those without.
        parameters: Vec<Option<Value>>,
        /// Whether it has a result.
        has_result: bool,
    },
}

/// The kind of member to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A property.
    Property,
    /// A method.
    Method,
}

impl Host {
    /// Starts a host.
    pub fn start(options: HostOptions) -> Result<Self, HostError> {
        let program = env!("NATIVE_HOST");
        let (mut command, valgrind_log) =
            if options.valgrind { under_valgrind(program)? } else { (Command::new(program), None) };
        command.envs(options.env).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| broken(format!("{program} does not start: {error}")))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| broken("no output"))?;
        let (sender, answers) = mpsc::channel();
        // Ends with the child's output.
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let patience = if options.valgrind { VALGRIND_PATIENCE } else { PATIENCE };
        Ok(Self { child, input, answers, patience, valgrind_log, objects: 0 })
    }

    /// The number of the host's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Loads the library as a host of the newest level.
    pub fn load(&mut self, library: &Path) -> Result<Loaded, HostError> {
        self.load_at_level(library, Some(3))
    }

    /// Loads the library as a host of a level, or one that doesn't know levels.
    pub fn load_at_level(&mut self, library: &Path, level: Option<i32>) -> Result<Loaded, HostError> {
        let level = level.map_or("none".to_owned(), |level| level.to_string());
        let path = hex(library.as_os_str().as_encoded_bytes());
        let answer = self.ask(&format!("load {path} level={level}"))?;
        let [level, attach_type, classes] = parts(&answer)?;
        Ok(Loaded {
            level: number(level)?,
            attach_type: number(attach_type)?,
            classes: text_from(classes)?.split('|').map(str::to_owned).collect(),
        })
    }

    /// Unloads the library; true if it is really gone from the process.
    pub fn unload(&mut self) -> Result<bool, HostError> {
        Ok(self.ask("unload")? == "unmapped")
    }

    /// Creates an object as 1C does.
    pub fn create(&mut self, class: &str) -> Result<ObjectId, HostError> {
        Ok(self.create_with(class, &Habits::default())?.0)
    }

    /// Creates an object; also gives the name that it registers under, and its answer to GetInfo.
    pub fn create_with(&mut self, class: &str, habits: &Habits) -> Result<(ObjectId, String, i64), HostError> {
        let object = self.reserve();
        let command = new_command(object, class, habits);
        let answer = self.ask(&command)?;
        let [name, info] = parts(&answer)?;
        Ok((object, text_from(name)?, number(info)?))
    }

    /// The name of an object that a [`Lane`] will create.
    pub fn reserve(&mut self) -> ObjectId {
        self.objects += 1;
        ObjectId(self.objects)
    }

    /// Drives the interface in a random order (`tests/host/chaos.hpp`) for so many seconds; gives the number of steps.
    /// `dictionary` are arguments that lead deep into the component.
    pub fn chaos(&mut self, seed: u64, seconds: u64, threads: usize, dictionary: &[Value]) -> Result<u64, HostError> {
        let patience = self.patience;
        self.patience += Duration::from_secs(seconds);
        let answer = self.ask(&with_arguments(format!("chaos {seed} {seconds} {threads}"), dictionary));
        self.patience = patience;
        let answer = answer?;
        let [steps, faults] = parts(&answer)?;
        if faults == "0" { number(steps) } else { Err(broken(format!("{faults} late uses of the connection"))) }
    }

    /// Init and setMemManager once more.
    pub fn introduce_again(&mut self, object: ObjectId) -> Result<(), HostError> {
        self.ask(&format!("again {}", object.0)).map(drop)
    }

    /// Everything that the component declares.
    pub fn members(&mut self, object: ObjectId) -> Result<Vec<Member>, HostError> {
        let answer = self.ask(&format!("members {}", object.0))?;
        answer.split_whitespace().map(member).collect()
    }

    /// The number of a member, `None` if there is none of that name.
    pub fn find(&mut self, object: ObjectId, kind: Kind, name: &str) -> Result<Option<usize>, HostError> {
        let kind = if kind == Kind::Property { "prop" } else { "method" };
        let found: i64 = number(&self.ask(&format!("find {} {kind} {}", object.0, text(name)))?)?;
        Ok(usize::try_from(found).ok())
    }

    /// Reads a property.
    pub fn get(&mut self, object: ObjectId, property: &str) -> Result<Value, HostError> {
        let answer = self.ask(&format!("get {} {}", object.0, text(property)))?;
        value(&answer)
    }

    /// How long one call takes on average, in nanoseconds: the emptiest of the interface, and one that reads this property.
    pub fn time(&mut self, object: ObjectId, property: &str, times: u32) -> Result<(u64, u64), HostError> {
        let answer = self.ask(&format!("time {} {} {times}", object.0, text(property)))?;
        let [empty, read] = parts(&answer)?;
        Ok((number(empty)?, number(read)?))
    }

    /// Writes a property.
    pub fn set(&mut self, object: ObjectId, property: &str, new: &Value) -> Result<(), HostError> {
        self.ask(&format!("set {} {} {}", object.0, text(property), word(new))).map(drop)
    }

    /// Calls a method; omitted arguments get their defaults. A procedure gives Неопределено.
    pub fn call(&mut self, object: ObjectId, method: &str, arguments: &[Value]) -> Result<Value, HostError> {
        let answer = self.ask(&with_arguments(format!("call {} {}", object.0, text(method)), arguments))?;
        value(&answer)
    }

    /// Calls a method as a procedure, whether it has a result or not.
    pub fn call_as_proc(&mut self, object: ObjectId, method: &str, arguments: &[Value]) -> Result<(), HostError> {
        self.ask(&with_arguments(format!("proc {} {}", object.0, text(method)), arguments)).map(drop)
    }

    /// Calls functions of the interface with numbers that a sane host would not use: a `raw` command of the host,
    /// without the first word and the object.
    pub fn raw(&mut self, object: ObjectId, rest: &str) -> Result<String, HostError> {
        self.ask(&format!("raw {} {rest}", object.0))
    }

    /// Runs lanes at once, each in a thread of its own; gives the last answer of each, or the first that is an error.
    pub fn parallel(&mut self, lanes: &[Lane]) -> Result<Vec<Result<Value, HostError>>, HostError> {
        let mut lines = format!("parallel {}", lanes.len());
        for lane in lanes {
            lines.push_str(&format!("\n{} {}", lane.times, lane.command));
        }
        self.ask(&lines)?;
        lanes.iter().map(|_| Ok(outcome(&self.line()?).and_then(|answer| value(&answer)))).collect()
    }

    /// The n-th allocation of the component from now on fails; 0 for none.
    pub fn fail_allocation(&mut self, n: usize) -> Result<(), HostError> {
        self.ask(&format!("fail {n}")).map(drop)
    }

    /// State of the host's memory now.
    pub fn counts(&mut self) -> Result<Counts, HostError> {
        let answer = self.ask("counts")?;
        counts(parts(&answer)?)
    }

    /// Done alone; the object is still there.
    pub fn done(&mut self, object: ObjectId) -> Result<(), HostError> {
        self.ask(&format!("done {}", object.0)).map(drop)
    }

    /// Done and DestroyObject, as 1C ends an object.
    pub fn destroy(&mut self, object: ObjectId) -> Result<(), HostError> {
        self.ask(&format!("destroy {} done function", object.0)).map(drop)
    }

    /// Done and C++ `delete`, as other hosts do.
    pub fn delete(&mut self, object: ObjectId) -> Result<(), HostError> {
        self.ask(&format!("destroy {} done delete", object.0)).map(drop)
    }

    /// Ends an object without Done, by DestroyObject or by C++ `delete`.
    pub fn abandon(&mut self, object: ObjectId, delete: bool) -> Result<(), HostError> {
        let how = if delete { "delete" } else { "function" };
        self.ask(&format!("destroy {} - {how}", object.0)).map(drop)
    }

    /// Ends the host and tells what was left.
    pub fn finish(mut self) -> Result<Report, HostError> {
        let answer = self.ask("quit")?;
        let [live, given, bad, late, objects] = parts(&answer)?;
        let (counts, objects) = (counts([live, given, bad, late])?, number(objects)?);
        drop(self.input.take());
        let status = self.child.wait().map_err(|error| broken(error.to_string()))?;
        let valgrind = self.valgrind_log.take().map(|log| {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            // Only a copy in the temporary folder; nothing depends on its end.
            let _ = std::fs::remove_file(log);
            text
        });
        Ok(Report { counts, objects, status, valgrind })
    }

    fn ask(&mut self, command: &str) -> Result<String, HostError> {
        let input = self.input.as_mut().ok_or_else(|| broken("it has ended"))?;
        let written =
            input.write_all(command.as_bytes()).and_then(|()| input.write_all(b"\n")).and_then(|()| input.flush());
        if let Err(error) = written {
            return Err(self.ended(&error.to_string()));
        }
        outcome(&self.line()?)
    }

    fn line(&mut self) -> Result<String, HostError> {
        match self.answers.recv_timeout(self.patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                // It would hang the next question too.
                let _ = self.child.kill();
                Err(broken(format!("no answer within {} s, it was ended", self.patience.as_secs())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.ended("its output ended")),
        }
    }

    fn ended(&mut self, why: &str) -> HostError {
        match self.child.wait() {
            Ok(status) => broken(format!("{why}: {status}")),
            Err(error) => broken(format!("{why}: {error}")),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // After `finish` there is no process any more and both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.valgrind_log.take() {
            let _ = std::fs::remove_file(log);
        }
    }
}

fn under_valgrind(program: &str) -> Result<(Command, Option<PathBuf>), HostError> {
    static LOGS: AtomicU32 = AtomicU32::new(0);
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return Err(broken("valgrind is not installed: apt-get install valgrind"));
    }
    let log = std::env::temp_dir().join(format!(
        "valgrind-{}-{}.log",
        std::process::id(),
        LOGS.fetch_add(1, Ordering::Relaxed)
    ));
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"])
        .args(["--show-leak-kinds=definite", "--keep-debuginfo=yes"])
        .arg(concat!("--suppressions=", env!("CARGO_MANIFEST_DIR"), "/host/valgrind.supp"))
        .arg(format!("--log-file={}", log.display()))
        .arg(program);
    Ok((command, Some(log)))
}
