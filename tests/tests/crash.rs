//! A server under load is killed at random moments, again and again: after each restart every grant that a client has seen is
//! there, every release that was answered is done, and no more seats are held than there are.
//!
//! `SLK_CRASH_LIVES=200` sets how many lives each test runs instead of its usual few; `SLK_CRASH_SEED` repeats the random
//! numbers of a run, whose seed is printed at its begin (`--nocapture` shows it). The moments themselves are the machine's.
//!
//! SIGKILL leaves what was written to the system. So the second test runs the server over a file layer (`crash/lossy.c`) and
//! takes back, after each kill, what was not synced; the third one makes syncs of one file void, and must find something lost.

#![cfg(target_os = "linux")]

#[path = "../crash/clients.rs"]
mod clients;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::daemon::Daemon;
use e2e::failure::check;
use e2e::layer::Layer;
use e2e::link::server_session;
use e2e::random::Random;
use e2e::server::command;
use e2e::{Link, Outcome, Root, Server, Site, fail};
use licence::crypto::{Crypto, ring::PROVIDER};

use clients::{Client, Known, NUMBERS_OF_A_LIFE, PROCESSES};

/// Seats of the pool.
const SEATS: u32 = 40;
/// Lives in a usual run.
const LIVES: u32 = 30;
/// Lives of one store. Each leaves a session from outside 1C, that nothing but its lease gives back.
const LIVES_OF_A_STORE: u32 = 20;
/// How long clients may need for their answers on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The clients of these tests: other processes of this program run this test, and this one only.
#[test]
fn client() -> Outcome {
    clients::work_if_told()
}

#[test]
fn a_server_that_is_killed_keeps_every_grant_and_never_grants_too_many() -> Outcome {
    let sums = run("killed", lives()?, Disk::Keeps)?;
    check(sums.grants > 0 && sums.releases > 0, || format!("nothing was tested: {sums:?}"))
}

#[test]
fn a_server_that_is_killed_with_all_unsynced_writes_lost_keeps_every_grant() -> Outcome {
    let sums = run("unsynced", lives()?, Disk::Loses)?;
    check(sums.grants > 0 && sums.lost > 0, || format!("nothing was tested: {sums:?}"))
}

#[test]
fn a_sync_that_does_nothing_is_found_out() -> Outcome {
    // The journal's sync matters to each commit, that of the file itself when the journal begins anew.
    for (file, lives) in [("ledger.db-wal", 1), ("ledger.db", LIVES_OF_A_STORE)] {
        match run("void", lives, Disk::Forgets(file)) {
            Err(why) if ["is lost", "and is there", "ledger.db"].iter().any(|sign| why.to_string().contains(sign)) => {}
            other => return fail(format!("the syncs of {file} were void, and nobody noticed: {other:?}")),
        }
    }
    Ok(())
}

#[test]
fn the_file_layer_loses_what_was_written_and_not_synced() -> Outcome {
    let root = Root::new("layer")?;
    let layer = Layer::over(&root, None)?;
    let file = root.data().join("ledger.db");
    let dd = |text: &str, arguments: &[&str]| -> Outcome<String> {
        let mut command = Command::new("dd");
        command.arg(format!("of={}", file.display())).args(arguments).arg("status=none").stdin(Stdio::piped());
        layer.load(&mut command);
        let mut child = command.spawn()?;
        child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()))?;
        check(child.wait()?.success(), || "dd failed".to_owned())?;
        Ok(fs::read_to_string(&file)?)
    };
    fs::write(&file, "0123456789")?;
    assert_eq!(dd("abc", &["conv=notrunc"])?, "abc3456789");
    assert_eq!(dd("xyz", &["conv=notrunc", "bs=1", "seek=2"])?, "abxyz56789");
    assert_eq!(dd("more", &["conv=notrunc", "oflag=append"])?, "abxyz56789more");
    layer.lose(None)?;
    assert_eq!(fs::read_to_string(&file)?, "0123456789", "unsynced");
    assert_eq!(dd("abc", &["conv=notrunc,fsync"])?, "abc3456789");
    assert_eq!(layer.lose(None)?, 0);
    assert_eq!(fs::read_to_string(&file)?, "abc3456789", "synced");
    // What a sync has made durable stays, what came after it goes.
    dd("ABC", &["conv=notrunc,fdatasync"])?;
    dd("", &["bs=1", "seek=4"])?;
    assert_eq!(fs::read_to_string(&file)?.len(), 4, "cut");
    layer.lose(None)?;
    assert_eq!(fs::read_to_string(&file)?, "ABC3456789");
    Ok(())
}

/// What the disk does with unsynced writes when the server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// They are kept, as the system keeps them when only a process ends.
    Keeps,
    /// They are lost: all of them, or some.
    Loses,
    /// All are lost, and syncs of that file do nothing.
    Forgets(&'static str),
}

/// What was seen in a run.
#[derive(Debug, Default)]
struct Sums {
    lives: u32,
    kills_at_start: u32,
    grants: u64,
    releases: u64,
    /// Grants of sessions that were held at a kill.
    held: u64,
    /// Writes that were not synced at a kill.
    lost: u64,
    /// Kills at which there were any.
    losses: u32,
    /// Most seats that clients held for sure at one time.
    peak: usize,
}

fn lives() -> Outcome<u32> {
    Ok(env::var("SLK_CRASH_LIVES").map_or(Ok(LIVES), |text| text.parse())?)
}

fn run(name: &str, lives: u32, disk: Disk) -> Outcome<Sums> {
    let seed = match env::var("SLK_CRASH_SEED") {
        Ok(text) => text.parse()?,
        Err(_) => PROVIDER.random_array()?.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)),
    };
    println!("{name}: SLK_CRASH_SEED={seed}");
    let begun = Instant::now();
    let (mut random, mut sums) = (Random(seed), Sums::default());
    let site = Site::new(name)?;
    while sums.lives < lives {
        let mut store = Store::new(&site, name, disk)?;
        for life in 0..LIVES_OF_A_STORE.min(lives - sums.lives) {
            let number = sums.lives;
            let lived = store.live(life, &mut random, &mut sums);
            lived.map_err(|why| {
                e2e::Failure::new(format!("seed {seed}, life {number}: {why}\n{}", store.daemon.said()))
            })?;
        }
    }
    println!("{name}: {sums:?} in {} s", begun.elapsed().as_secs());
    Ok(sums)
}

/// A store, and the server that runs over it.
struct Store {
    /// Settings and folder; its own process has ended.
    server: Server,
    layer: Option<Layer>,
    disk: Disk,
    daemon: Daemon,
    anchor: String,
    journal: PathBuf,
    read: usize,
    /// Sessions that clients hold for sure, by name; with the identifier where the client knows it.
    held: BTreeMap<String, Option<String>>,
    /// Sessions whose release was answered.
    released: BTreeSet<String>,
}

impl Store {
    fn new(site: &Site, name: &str, disk: Disk) -> Outcome<Store> {
        let mut server = site.server_with(name, SEATS, &[])?;
        server.stop()?;
        let forgets = if let Disk::Forgets(name) = disk { Some(name) } else { None };
        let layer = if disk == Disk::Keeps { None } else { Some(Layer::over(server.root(), forgets)?) };
        let journal = server.root().path().join("clients.journal");
        fs::write(&journal, "")?;
        let daemon = Daemon::start(program(server.root(), layer.as_ref())?)?;
        let anchor = site.vendor.anchor_hash()?;
        let (held, released) = (BTreeMap::new(), BTreeSet::new());
        Ok(Store { server, layer, disk, daemon, anchor, journal, read: 0, held, released })
    }

    /// Load, kill, restart, and a look at what is there.
    fn live(&mut self, life: u32, random: &mut Random, sums: &mut Sums) -> Outcome {
        let first = 1 + life * NUMBERS_OF_A_LIFE;
        let begin = fs::metadata(&self.journal)?.len();
        let mut clients = (0..PROCESSES)
            .map(|index| Client::start("client", self.daemon.url(), &self.anchor, &self.journal, first, index))
            .collect::<Outcome<Vec<_>>>()?;
        // Some answers must have come, then the moment is anywhere within a call.
        self.wait_for(begin + 200 + random.below(8_000), &mut clients)?;
        thread::sleep(Duration::from_micros(random.below(8_000)));
        self.daemon.kill9()?;
        for client in &mut clients {
            client.wait()?;
        }
        sums.lives += 1;
        self.learn(sums)?;
        sums.held += self.held.len() as u64;
        check(self.layer.as_ref().is_none_or(Layer::was_there), || {
            "the server did not write through the layer".to_owned()
        })?;
        self.lose(random, sums)?;
        if random.below(3) == 0 {
            self.kill_at_start(random)?;
            sums.kills_at_start += 1;
            self.lose(random, sums)?;
        }
        self.daemon = Daemon::start(program(self.server.root(), self.layer.as_ref())?)?;
        self.look()?;
        self.make_room(random)
    }

    /// Waits until the journal is as long as that; clients that end before the kill have met something wrong.
    fn wait_for(&self, length: u64, clients: &mut [Client]) -> Outcome {
        let begun = Instant::now();
        while fs::metadata(&self.journal)?.len() < length {
            for client in clients.iter_mut() {
                let tail = || fs::read_to_string(&self.journal).unwrap_or_default().lines().last().map(str::to_owned);
                check(client.works()?, || format!("a client ended before the kill: {:?}", tail()))?;
            }
            check(begun.elapsed() < PATIENCE, || "the clients get no answers".to_owned())?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Reads what the clients have written since the last time.
    fn learn(&mut self, sums: &mut Sums) -> Outcome {
        let text = fs::read_to_string(&self.journal)?;
        let new = text.get(self.read..).unwrap_or_default();
        for line in new.lines() {
            match Known::read(line)? {
                Known::Granted { name, id } => {
                    sums.grants += 1;
                    self.held.insert(name, id);
                    sums.peak = sums.peak.max(self.held.len());
                    check(self.held.len() <= SEATS as usize, || {
                        format!("over-issued: {} seats are held", self.held.len())
                    })?;
                }
                Known::Releasing { name } => drop(self.held.remove(&name)),
                Known::Released { name } => {
                    sums.releases += 1;
                    self.released.insert(name);
                }
                Known::Answered | Known::Ended { .. } => {}
                Known::Wrong { why } => return fail(format!("a wrong answer: {why}")),
            }
        }
        self.read = text.len();
        Ok(())
    }

    /// The disk's part of a power failure.
    fn lose(&self, random: &mut Random, sums: &mut Sums) -> Outcome {
        let Some(layer) = &self.layer else { return Ok(()) };
        let some = self.disk == Disk::Loses && random.below(2) == 0;
        let lost = layer.lose(some.then_some(random))?;
        sums.lost += lost as u64;
        sums.losses += u32::from(lost > 0);
        Ok(())
    }

    /// A start that is killed on its way.
    fn kill_at_start(&self, random: &mut Random) -> Outcome {
        let mut command = program(self.server.root(), self.layer.as_ref())?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        thread::sleep(Duration::from_micros(random.below(250_000)));
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Compares what the server has with what clients know.
    fn look(&self) -> Outcome {
        let listed = self.server.sessions()?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let ids: BTreeMap<String, String> =
            listed.iter().map(|session| (text(&session["SessionNumber"]), text(&session["ID"]))).collect();
        check(ids.len() == listed.len(), || format!("a session is there twice: {listed:?}"))?;
        for (name, id) in &self.held {
            let there = ids.get(name);
            check(there.is_some_and(|there| id.as_ref().is_none_or(|id| id == there)), || {
                format!("session {name} was granted as {id:?} and is lost: {there:?}")
            })?;
        }
        let back = self.released.iter().find(|name| ids.contains_key(*name));
        check(back.is_none(), || format!("session {back:?} was given back and is there"))?;
        let (used, all) = self.server.seats()?;
        check(used == ids.len() as u64 && used <= all && all == u64::from(SEATS), || {
            format!("{used} of {all} seats for {} sessions", ids.len())
        })
    }

    /// Gives back half of what is held, so that the next life has seats to grant; sessions stay for some lives so.
    fn make_room(&mut self, random: &mut Random) -> Outcome {
        let link = Link::connect(self.daemon.url(), &self.anchor)?;
        for session in self.server.sessions()? {
            let name = session["SessionNumber"].as_str().unwrap_or_default().to_owned();
            // Sessions from outside 1C have a name instead of a number.
            let Ok(number) = name.parse() else { continue };
            if random.below(2) == 0 {
                self.held.remove(&name);
                link.release(link.acquire(server_session(number))?.session)?;
                self.released.insert(name);
            }
        }
        Ok(())
    }
}

fn program(root: &Root, layer: Option<&Layer>) -> Outcome<Command> {
    let mut command = command(root.path(), &["-r"])?;
    if let Some(layer) = layer {
        layer.load(&mut command);
    }
    Ok(command)
}
