//! Clients of the crash test: processes that take and give back licences until their server is gone, and the journal in which
//! all of them write down what they know for sure. Clients judge nothing: the test reads the journal.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, process, thread};

use e2e::link::server_session;
use e2e::random::Random;
use e2e::server::{PASSWORD, USER};
use e2e::{Link, Outcome, Rest, SERIES, fail};
use licence::protocol::{Call, Outcome as Reply};
use licence::{Code, Error};
use serde_json::json;

/// Processes at once.
pub const PROCESSES: u32 = 3;
/// Connections of each.
const THREADS: u32 = 2;
/// Session numbers of one connection.
const NUMBERS: u32 = 10_000;
/// Session numbers of all connections of one life.
pub const NUMBERS_OF_A_LIFE: u32 = PROCESSES * THREADS * NUMBERS;

/// A client process; killed when dropped.
pub struct Client(Child);

impl Client {
    /// Starts client process `index`: the test's own program, told to run the test `test` only. Its first session number is
    /// `first`, the sessions of all begin there.
    #[allow(dead_code)] // Not every test that has this module.
    pub fn start(test: &str, url: &str, anchor: &str, journal: &Path, first: u32, index: u32) -> Outcome<Client> {
        Client::start_beside(false, test, url, anchor, journal, first, index)
    }

    /// The same; `losses`: the server may lose its store meanwhile, and says so.
    pub fn start_beside(
        losses: bool,
        test: &str,
        url: &str,
        anchor: &str,
        journal: &Path,
        first: u32,
        index: u32,
    ) -> Outcome<Client> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--exact", test, "--nocapture"]);
        command.env("SLK_CRASH_CLIENT", url).env("SLK_CRASH_ANCHOR", anchor).env("SLK_CRASH_JOURNAL", journal);
        command.env("SLK_CRASH_FIRST", first.to_string()).env("SLK_CRASH_INDEX", index.to_string());
        command.env("SLK_CRASH_LOSSES", if losses { "1" } else { "" });
        Ok(Client(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    /// Whether it works still.
    pub fn works(&mut self) -> Outcome<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    /// Ends it.
    #[allow(dead_code)] // Not every test that has this module.
    pub fn stop(&mut self) -> Outcome {
        self.0.kill()?;
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Outcome {
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both do nothing when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a client knows, in the order in which it happened: the journal is one file that all append to.
pub enum Known {
    /// A licence was answered.
    Granted { name: String, id: Option<String> },
    /// It will be given back: from here on nobody knows.
    Releasing { name: String },
    /// The release was answered.
    Released { name: String },
    /// A renewal or a refusal was answered.
    Answered,
    /// A client could not go on; expected when the server was killed.
    Ended { why: String },
    /// An answer that no client may get.
    Wrong { why: String },
}

impl Known {
    fn line(&self) -> String {
        match self {
            Known::Granted { name, id } => format!("granted {name} {}", id.as_deref().unwrap_or_default()),
            Known::Releasing { name } => format!("releasing {name}"),
            Known::Released { name } => format!("released {name}"),
            Known::Answered => "answered".into(),
            Known::Ended { why } => format!("ended {}", why.replace('\n', " ")),
            Known::Wrong { why } => format!("wrong {}", why.replace('\n', " ")),
        }
    }

    /// Reads a line of the journal.
    pub fn read(line: &str) -> Outcome<Known> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let text = rest.to_owned();
        Ok(match word {
            "granted" => {
                let (name, id) = rest.split_once(' ').unwrap_or((rest, ""));
                Known::Granted { name: name.to_owned(), id: Some(id.to_owned()).filter(|id| !id.is_empty()) }
            }
            "releasing" => Known::Releasing { name: text },
            "released" => Known::Released { name: text },
            "answered" => Known::Answered,
            "ended" => Known::Ended { why: text },
            "wrong" => Known::Wrong { why: text },
            _ => return fail(format!("not a line of the journal: {line}")),
        })
    }
}

struct Journal(File);

impl Journal {
    /// One write at the end of the file, so that lines of several processes are in the order of what happened.
    fn write(&self, known: &Known) -> Outcome {
        Ok((&self.0).write_all(format!("{}\n", known.line()).as_bytes())?)
    }
}

/// What the process was told.
struct Orders {
    url: String,
    anchor: String,
    first: u32,
    /// The server may lose its store, and say so.
    losses: bool,
}

impl Orders {
    fn is_loss(&self, error: &Error) -> bool {
        self.losses && error.code == Code::StoreFailed
    }
}

/// Works as a client when this process was started as one; comes back only when not.
pub fn work_if_told() -> Outcome {
    let Ok(url) = env::var("SLK_CRASH_CLIENT") else { return Ok(()) };
    let (first, index): (u32, u32) = (env::var("SLK_CRASH_FIRST")?.parse()?, env::var("SLK_CRASH_INDEX")?.parse()?);
    let journal = PathBuf::from(env::var("SLK_CRASH_JOURNAL")?);
    let journal = Journal(OpenOptions::new().append(true).open(journal)?);
    let losses = env::var("SLK_CRASH_LOSSES")? == "1";
    let orders = Orders { url, anchor: env::var("SLK_CRASH_ANCHOR")?, first, losses };
    thread::scope(|scope| {
        for number in 0..THREADS {
            let first = first + (index * THREADS + number) * NUMBERS;
            let (orders, journal) = (&orders, &journal);
            scope.spawn(move || end(journal, take_and_release(orders, first, journal)));
        }
        if index == 0 {
            scope.spawn(|| end(&journal, renew(&orders, &journal)));
        }
    });
    Ok(())
}

/// One connection that can't go on ends the process, so that the test sees it.
fn end(journal: &Journal, ended: Outcome) {
    let why = ended.err().map_or_else(|| "no session numbers are left".into(), |failure| failure.to_string());
    // A process that ends before its time is noticed all the same.
    let _ = journal.write(&Known::Ended { why });
    process::exit(1);
}

fn take_and_release(orders: &Orders, first: u32, journal: &Journal) -> Outcome {
    let mut random = Random(first.into());
    let link = Link::connect(&orders.url, &orders.anchor)?;
    let mut own = Vec::new();
    for number in first..first + NUMBERS {
        let refused = match link.try_acquire(server_session(number))? {
            Ok(granted) => {
                journal.write(&Known::Granted { name: number.to_string(), id: Some(granted.session.to_string()) })?;
                own.push((number, granted.session));
                false
            }
            Err(error) => {
                let known = match error.code {
                    Code::AllTaken => Known::Answered,
                    _ if orders.is_loss(&error) => Known::Answered,
                    _ => Known::Wrong { why: error.to_string() },
                };
                journal.write(&known)?;
                true
            }
        };
        if !own.is_empty() && (refused || random.below(3) > 0) {
            let at = usize::try_from(random.below(own.len() as u64))?;
            let (number, session) = own.swap_remove(at);
            let name = number.to_string();
            journal.write(&Known::Releasing { name: name.clone() })?;
            journal.write(&match link.call(Call::Release { session })? {
                Ok(Reply::Done) => Known::Released { name },
                Err(error) if orders.is_loss(&error) => Known::Answered,
                other => Known::Wrong { why: format!("release of {name}: {other:?}") },
            })?;
        }
    }
    Ok(())
}

/// A session from outside 1C: taken once in each life, for nothing gives it back, then renewed.
fn renew(orders: &Orders, journal: &Journal) -> Outcome {
    let rest = Rest::new(&orders.url).with_user(USER, PASSWORD);
    let name = format!("shop-{}", orders.first);
    let body = json!({ "KeyID": SERIES, "ClientSessionID": name });
    loop {
        let answer = rest.post("/api/sessions", &body)?;
        journal.write(&match answer.status {
            200 | 201 => Known::Granted { name: name.clone(), id: None },
            409 => Known::Answered,
            503 if orders.losses => Known::Answered,
            _ => Known::Wrong { why: answer.to_string() },
        })?;
    }
}
