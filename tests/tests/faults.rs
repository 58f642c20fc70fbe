//! Random faults befall the data folder of a running server under load: files are removed, cut, replaced by older copies, moved away, covered
//! by a mount. Nothing is over-issued and nothing is lost, or the server has stopped granting and says why.
//!
//! `SLK_CRASH_LIVES=200` sets how many faults are tried instead of the usual few, `SLK_CRASH_SEED` repeats the random numbers of a run, whose
//! seed is printed at its begin (`--nocapture` shows it).

#![cfg(target_os = "linux")]

#[path = "../crash/clients.rs"]
mod clients;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use e2e::daemon::Daemon;
use e2e::failure::check;
use e2e::link::server_session;
use e2e::random::Random;
use e2e::server::{command, until_health};
use e2e::{Link, Outcome, Root, Server, Site, fail, until};
use licence::crypto::{Crypto, ring::PROVIDER};
use serde_json::Value;

use clients::{Client, Known, NUMBERS_OF_A_LIFE, PROCESSES};

/// Seats of the pool.
const SEATS: u32 = 40;
/// Faults in a usual run.
const LIVES: u32 = 12;

/// The clients of this test: other processes of this program run this test, and this one only.
#[test]
fn client() -> Outcome {
    clients::work_if_told()
}

/// What is done to a running server's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The store is removed for good.
    Unlink,
    /// One of its files is cut.
    Cut(&'static str),
    /// One of its files is moved away, and back later.
    Away(&'static str),
    /// An older copy takes the place of the store, which comes back later.
    Older,
    /// The folder is moved away, and back later.
    Folder,
    /// An older copy of the folder takes its place for a time.
    OlderFolder,
    /// Another file system is mounted over the folder, and taken away later.
    Covered,
}

const FAULTS: [Fault; 9] = [
    Fault::Away("ledger.db"),
    Fault::Older,
    Fault::Unlink,
    Fault::Folder,
    Fault::Covered,
    Fault::Cut("ledger.db"),
    Fault::OlderFolder,
    Fault::Cut("ledger.db-wal"),
    Fault::Away("ledger.db-wal"),
];

impl Fault {
    fn is_for_good(self) -> bool {
        matches!(self, Fault::Unlink | Fault::Cut(_))
    }
}

#[test]
fn random_faults_under_load_over_issue_and_lose_nothing() -> Outcome {
    let lives: u32 = env::var("SLK_CRASH_LIVES").map_or(Ok(LIVES), |text| text.parse())?;
    let seed = match env::var("SLK_CRASH_SEED") {
        Ok(text) => text.parse()?,
        Err(_) => PROVIDER.random_array()?.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)),
    };
    println!("vanish: SLK_CRASH_SEED={seed}");
    let may_mount = Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    if !may_mount {
        println!("skipped: nothing is mounted over the folder, for this user may not");
    }
    let mut random = Random(seed);
    let site = Site::new("vanish-chaos")?;
    let mut stage = None;
    let mut grants = 0;
    for life in 0..lives {
        // Each kind of fault comes once before chance decides.
        let at = if life < FAULTS.len() as u32 { life.into() } else { random.below(FAULTS.len() as u64) };
        let fault = FAULTS[usize::try_from(at)?];
        if fault == Fault::Covered && !may_mount {
            continue;
        }
        let mut on = match stage.take() {
            Some(stage) => stage,
            None => Stage::new(&site, may_mount)?,
        };
        let lived = on.live(life, fault, &mut random);
        lived.map_err(|why| {
            e2e::Failure::new(format!("seed {seed}, life {life}, {fault:?}: {why}\n{}", on.daemon.said()))
        })?;
        grants += std::mem::take(&mut on.grants);
        stage = (!fault.is_for_good() && on.lives < 10).then_some(on);
    }
    check(grants > 0, || "nothing was tested".to_owned())
}

/// A server under load, and what is known of its sessions.
struct Stage {
    /// Settings and folder; its own process has ended.
    server: Server,
    daemon: Daemon,
    anchor: String,
    journal: PathBuf,
    read: usize,
    held: BTreeMap<String, Option<String>>,
    released: BTreeSet<String>,
    grants: u64,
    lives: u32,
    may_mount: bool,
}

impl Stage {
    fn new(site: &Site, may_mount: bool) -> Outcome<Stage> {
        let mut server = site.server_with("vanish-chaos", SEATS, &[])?;
        server.stop()?;
        let journal = server.root().path().join("clients.journal");
        fs::write(&journal, "")?;
        let daemon = Daemon::start(program(server.root(), may_mount)?)?;
        let anchor = site.vendor.anchor_hash()?;
        let (held, released) = Default::default();
        Ok(Stage { server, daemon, anchor, journal, read: 0, held, released, grants: 0, lives: 0, may_mount })
    }

    fn live(&mut self, life: u32, fault: Fault, random: &mut Random) -> Outcome {
        self.lives += 1;
        let (data, aside) = (self.server.root().data(), self.server.root().path().join("aside"));
        let older = self.server.root().path().join("older");
        copy_files(&data, &older)?;
        let first = 1 + life * NUMBERS_OF_A_LIFE;
        let mut clients = (0..PROCESSES)
            .map(|index| {
                Client::start_beside(true, "client", self.daemon.url(), &self.anchor, &self.journal, first, index)
            })
            .collect::<Outcome<Vec<_>>>()?;
        self.hear(&mut clients, 200 + random.below(4_000))?;
        thread::sleep(Duration::from_micros(random.below(8_000)));
        self.strike(fault, &data, &aside, &older)?;
        let text = until_health(self.daemon.url(), 503)?;
        let name = data.display().to_string();
        check(text.contains(&name), || format!("it does not say what was lost: {text}"))?;
        // Clients go on asking, and get nothing.
        let held = self.listed()?.len();
        self.hear(&mut clients, 400)?;
        check(self.listed()?.len() <= held, || "something was granted after all".to_owned())?;
        if !fault.is_for_good() {
            self.mend(fault, &data, &aside)?;
            until_health(self.daemon.url(), 200)?;
            self.hear(&mut clients, 400)?;
            self.daemon.kill9()?;
        }
        // The server's memory has all that was granted, whatever became of its files.
        let memory = if fault.is_for_good() { Some(self.stop_clients(&mut clients)?) } else { None };
        clients.iter_mut().try_for_each(Client::wait)?;
        self.learn()?;
        let _ = fs::remove_dir_all(&older);
        match memory {
            Some(listed) => self.compare(&listed),
            None => {
                self.daemon = Daemon::start(program(self.server.root(), self.may_mount)?)?;
                let listed = self.listed()?;
                self.compare(&listed)?;
                self.make_room(&listed, random)
            }
        }
    }

    /// Ends the clients and tells what the server has.
    fn stop_clients(&self, clients: &mut [Client]) -> Outcome<BTreeMap<String, String>> {
        clients.iter_mut().try_for_each(Client::stop)?;
        self.listed()
    }

    /// Waits for so many bytes of answers.
    fn hear(&self, clients: &mut [Client], more: u64) -> Outcome {
        let length = fs::metadata(&self.journal)?.len() + more;
        until("answers", || {
            for client in clients.iter_mut() {
                let tail = || fs::read_to_string(&self.journal).unwrap_or_default().lines().last().map(str::to_owned);
                check(client.works()?, || format!("a client ended: {:?}", tail()))?;
            }
            Ok(fs::metadata(&self.journal)?.len() >= length)
        })
    }

    fn strike(&self, fault: Fault, data: &Path, aside: &Path, older: &Path) -> Outcome {
        let store = data.join("ledger.db");
        match fault {
            Fault::Unlink => {
                fs::remove_file(&store)?;
                fs::remove_file(data.join("ledger.db-wal"))?;
            }
            Fault::Cut(name) => {
                let file = fs::File::options().write(true).open(data.join(name))?;
                file.set_len(file.metadata()?.len() / 2)?;
            }
            Fault::Away(name) => fs::rename(data.join(name), aside)?,
            Fault::Older => {
                fs::hard_link(&store, aside)?;
                fs::rename(older.join("ledger.db"), &store)?;
            }
            Fault::Folder => fs::rename(data, aside)?,
            Fault::OlderFolder => {
                fs::rename(data, aside)?;
                fs::rename(older, data)?;
            }
            Fault::Covered => self.mount(&["mount", "-t", "tmpfs", "slk-test"], data)?,
        }
        Ok(())
    }

    fn mend(&self, fault: Fault, data: &Path, aside: &Path) -> Outcome {
        match fault {
            Fault::Unlink | Fault::Cut(_) => {}
            Fault::Away(name) => fs::rename(aside, data.join(name))?,
            Fault::Older => fs::rename(aside, data.join("ledger.db"))?,
            Fault::Folder => fs::rename(aside, data)?,
            Fault::OlderFolder => {
                fs::remove_dir_all(data)?;
                fs::rename(aside, data)?;
            }
            Fault::Covered => self.mount(&["umount"], data)?,
        }
        Ok(())
    }

    /// Changes the mounts that the server sees, and nobody else.
    fn mount(&self, arguments: &[&str], data: &Path) -> Outcome {
        let pid = self.daemon.pid().to_string();
        let done = Command::new("nsenter").args(["-m", "-t", &pid]).args(arguments).arg(data).output()?;
        check(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())
    }

    fn learn(&mut self) -> Outcome {
        let text = fs::read_to_string(&self.journal)?;
        for line in text.get(self.read..).unwrap_or_default().lines() {
            match Known::read(line)? {
                Known::Granted { name, id } => {
                    self.grants += 1;
                    self.held.insert(name, id);
                    check(self.held.len() <= SEATS as usize, || format!("over-issued: {} seats", self.held.len()))?;
                }
                Known::Releasing { name } => drop(self.held.remove(&name)),
                Known::Released { name } => drop(self.released.insert(name)),
                Known::Answered | Known::Ended { .. } => {}
                Known::Wrong { why } => return fail(format!("a wrong answer: {why}")),
            }
        }
        self.read = text.len();
        Ok(())
    }

    /// The sessions that the server has, by name.
    fn listed(&self) -> Outcome<BTreeMap<String, String>> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let sessions = self.server.sessions()?;
        Ok(sessions.iter().map(|session| (text(&session["SessionNumber"]), text(&session["ID"]))).collect())
    }

    fn compare(&self, listed: &BTreeMap<String, String>) -> Outcome {
        for (name, id) in &self.held {
            let there = listed.get(name);
            check(there.is_some_and(|there| id.as_ref().is_none_or(|id| id == there)), || {
                format!("session {name} was granted as {id:?} and is lost: {there:?}")
            })?;
        }
        let back = self.released.iter().find(|name| listed.contains_key(*name));
        check(back.is_none(), || format!("session {back:?} was given back and is there"))?;
        check(listed.len() <= SEATS as usize, || format!("over-issued: {} sessions", listed.len()))
    }

    fn make_room(&mut self, listed: &BTreeMap<String, String>, random: &mut Random) -> Outcome {
        let link = Link::connect(self.daemon.url(), &self.anchor)?;
        for name in listed.keys() {
            let Ok(number) = name.parse() else { continue };
            if random.below(2) == 0 {
                self.held.remove(name);
                link.release(link.acquire(server_session(number))?.session)?;
                self.released.insert(name.clone());
            }
        }
        Ok(())
    }
}

/// The server, in a mount namespace of its own where that is allowed.
fn program(root: &Root, may_mount: bool) -> Outcome<Command> {
    let plain = command(root.path(), &["-r"])?;
    if !may_mount {
        return Ok(plain);
    }
    let mut inside = Command::new("unshare");
    inside.args(["-m", "--propagation", "private", "--"]).arg(plain.get_program()).args(plain.get_args());
    inside.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(inside)
}

fn copy_files(from: &Path, to: &Path) -> Outcome {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}
