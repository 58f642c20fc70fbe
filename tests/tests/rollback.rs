//! The server's record of sessions is put back to an earlier state: it is noticed and told, who was at work goes on, and nobody new
//! gets a licence before those could have gone.

use std::fs;
use std::path::{Path, PathBuf};

use e2e::component::{Kind, Process, server_session as session_of_1c};
use e2e::failure::check;
use e2e::link::server_session;
use e2e::{Link, Outcome, Rest, Root, Server, Site, fail};
use licence::Code;
use licence::protocol::message::Granted;
use serde_json::{Value, json};

const SEATS: u32 = 5;

/// Clients that hold all seats of a server; some of them since before its store was copied.
struct Stage {
    site: Site,
    server: Server,
    anchor: String,
    held: Vec<(u32, Granted)>,
    copy: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Outcome<Stage> {
        let site = Site::new(name)?;
        let mut server = site.server_with(name, SEATS, &[])?;
        let anchor = site.vendor.anchor_hash()?;
        let copy = site.root.path().join("earlier");
        let mut held = take(&server, &anchor, 1..=2)?;
        // An orderly end leaves one file, whole by itself.
        server.stop()?;
        fs::copy(server.root().data().join("ledger.db"), &copy)?;
        server.restart()?;
        held = held
            .into_iter()
            .map(|(number, granted)| resumed(&server, &anchor, number, &granted))
            .collect::<Outcome<_>>()?;
        held.extend(take(&server, &anchor, 3..=SEATS)?);
        server.kill9()?;
        Ok(Stage { site, server, anchor, held, copy })
    }

    fn data(&self) -> PathBuf {
        self.server.root().data()
    }

    fn link(&self) -> Outcome<Link> {
        Link::connect(self.server.url(), &self.anchor)
    }

    /// What the server tells everybody who looks, and that it goes on.
    fn is_told(&self, what: &str) -> Outcome {
        let has = |place: &str, text: &str| {
            check(text.contains(what) && !text.is_empty(), || format!("{place} does not tell of {what:?}: {text}"))
        };
        let rest = self.server.rest().with_header("Accept-Language", "en");
        let told = |path: &str| -> Outcome<String> {
            let body = rest.get(path)?.expect(200)?;
            Ok(body["Rollback"].as_str().unwrap_or_default().to_owned())
        };
        has("serverinfo", &told("/api/serverinfo")?)?;
        has("summary", &told("/api/summary")?)?;
        has("log", &self.server.said())?;
        let page = rest.raw("GET", "/", &[], None)?;
        has("console", &String::from_utf8_lossy(&page.body))?;
        let status = self.server.run(&["status"], "")?;
        check(status.status.success(), || format!("{status:?}"))?;
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        check(text.contains("учёт сеансов старше, чем был") && text.contains("ledger.db"), || text.clone())?;
        let metrics = rest.raw("GET", "/metrics", &[], None)?;
        let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
        check(metrics.contains("licenceserver_store_rolled_back 1"), || metrics.clone())?;
        let acts = rest.get("/api/events")?.expect(200)?;
        has("audit trail", &acts.to_string())
    }

    /// Everybody who held a seat has it again, nobody else has one, whatever he says.
    fn works_on(&self) -> Outcome {
        self.nobody_new()?;
        // In another order than that of their grants.
        for (number, granted) in self.held.iter().rev() {
            let (_, again) = resumed(&self.server, &self.anchor, *number, granted)?;
            check(again.session == granted.session, || format!("session {number} is another one"))?;
            check(again.generation == granted.generation + 1, || format!("{again:?} after {granted:?}"))?;
            let (used, all) = self.server.seats()?;
            check(used <= all && all == u64::from(SEATS), || format!("{used} of {all}"))?;
        }
        check(self.server.seats()? == (SEATS.into(), SEATS.into()), || "not all are back".to_owned())?;
        self.nobody_new()
    }

    fn nobody_new(&self) -> Outcome {
        let link = self.link()?;
        let refused = refusal(link.try_acquire(server_session(77))?)?;
        check(refused.code == Code::LedgerRolledBack && refused.code.number() == 330, || format!("{refused}"))?;
        let external = json!({ "KeyID": e2e::SERIES, "ClientSessionID": "phone" });
        let answer = self.server.rest().post("/api/sessions", &external)?;
        check(answer.refusal(503)? == 330, || format!("{answer}"))
    }
}

fn take(server: &Server, anchor: &str, numbers: impl Iterator<Item = u32>) -> Outcome<Vec<(u32, Granted)>> {
    let link = Link::connect(server.url(), anchor)?;
    numbers.map(|number| Ok((number, link.acquire(server_session(number))?))).collect()
}

fn resumed(server: &Server, anchor: &str, number: u32, granted: &Granted) -> Outcome<(u32, Granted)> {
    let link = Link::connect(server.url(), anchor)?;
    Ok((number, link.resume(server_session(number), granted)??))
}

fn refusal(outcome: licence::error::Result<Granted>) -> Outcome<licence::Error> {
    match outcome {
        Ok(granted) => fail(format!("granted: {granted:?}")),
        Err(error) => Ok(error),
    }
}

fn machine(root: &Root) -> PathBuf {
    root.path().join("var/lib/licenceserver")
}

fn is_mark(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "mark")
}

/// The marks in the machine's own folder.
fn elsewhere(root: &Root) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(machine(root))?.flatten().map(|entry| entry.path());
    Ok(entries.filter(|path| is_mark(path)).collect())
}

fn has_rollback(server: &Server) -> Outcome<bool> {
    Ok(server.rest().get("/api/summary")?.expect(200)?["Rollback"] != Value::Null)
}

#[test]
fn a_removed_journal_is_noticed() -> Outcome {
    let mut stage = Stage::new("journal-removed")?;
    fs::remove_file(stage.data().join("ledger.db-wal"))?;
    stage.server.restart()?;
    stage.is_told("commits and had")?;
    stage.works_on()?;
    // A restart begins the lease anew, and everybody is there still.
    stage.server.restart()?;
    check(has_rollback(&stage.server)?, || "forgotten".to_owned())?;
    stage.nobody_new()?;
    check(stage.server.seats()? == (SEATS.into(), SEATS.into()), || "lost".to_owned())
}

#[test]
fn a_cut_journal_is_noticed() -> Outcome {
    let mut stage = Stage::new("journal-cut")?;
    let journal = fs::OpenOptions::new().write(true).open(stage.data().join("ledger.db-wal"))?;
    journal.set_len(journal.metadata()?.len() / 2)?;
    stage.server.restart()?;
    stage.is_told("commits and had")?;
    stage.works_on()
}

#[test]
fn an_older_store_that_is_put_back_is_noticed() -> Outcome {
    let mut stage = Stage::new("store-older")?;
    let data = stage.data();
    fs::remove_file(data.join("ledger.db-wal"))?;
    fs::copy(&stage.copy, data.join("ledger.db"))?;
    stage.server.restart()?;
    stage.is_told("commits and had")?;
    stage.works_on()
}

#[test]
fn a_removed_store_is_noticed_by_either_mark() -> Outcome {
    let mut stage = Stage::new("store-removed")?;
    let (data, root) = (stage.data(), stage.server.root());
    let marks = elsewhere(root)?;
    check(marks.len() == 1, || format!("{marks:?}"))?;
    // First only the machine's own mark is left, then only the one beside the store.
    for mark in [data.join("ledger.mark"), marks[0].clone()] {
        for name in ["ledger.db", "ledger.db-wal"] {
            fs::remove_file(data.join(name))?;
        }
        fs::remove_file(&mark)?;
        stage.server.restart()?;
        stage.is_told("ledger.db is gone")?;
        check(mark.exists(), || format!("{} is not made again", mark.display()))?;
        stage.nobody_new()?;
        stage.server.kill9()?;
    }
    stage.server.restart()?;
    stage.works_on()
}

#[test]
fn a_store_without_any_mark_comes_from_a_copy() -> Outcome {
    let mut stage = Stage::new("marks-removed")?;
    fs::remove_file(stage.data().join("ledger.mark"))?;
    elsewhere(stage.server.root())?.iter().try_for_each(fs::remove_file)?;
    stage.server.restart()?;
    stage.is_told("no marks")?;
    stage.works_on()
}

#[test]
fn a_damaged_store_that_was_set_aside_costs_nobody_his_session() -> Outcome {
    let mut stage = Stage::new("store-set-aside")?;
    let store = stage.data().join("ledger.db");
    let length = usize::try_from(fs::metadata(&store)?.len())?;
    fs::write(&store, vec![0xA5; length])?;
    let output = stage.server.run(&["check", "--set-aside"], "")?;
    check(output.status.success(), || format!("{output:?}"))?;
    stage.server.restart()?;
    stage.is_told("ledger.db is gone")?;
    stage.works_on()
}

#[test]
fn what_is_no_true_receipt_gives_nothing() -> Outcome {
    let mut stage = Stage::new("receipts")?;
    // Sessions 3 to 5 are later than the copy.
    fs::remove_file(stage.data().join("ledger.db-wal"))?;
    fs::copy(&stage.copy, stage.data().join("ledger.db"))?;
    stage.server.restart()?;
    let Some((number, true_one)) = stage.held.last().cloned() else { return fail("nobody holds anything") };
    let Some(receipt) = true_one.receipt.clone() else { return fail("a grant has a receipt") };
    let other = stage.held.iter().find(|(number, _)| *number == 4).map(|(_, granted)| granted.clone());
    let Some(other) = other else { return fail("session 4 was granted") };
    let mut edited = receipt.clone().into_bytes();
    let middle = edited.len() / 2;
    edited[middle] = if edited[middle] == b'A' { b'B' } else { b'A' };
    let edited = String::from_utf8(edited)?;
    let with = |receipt: Option<String>| Granted { receipt, ..true_one.clone() };
    let attempts = [
        ("none", with(None)),
        ("edited", with(Some(edited))),
        ("made up", with(Some("A".repeat(200)))),
        ("of another session", with(other.receipt.clone())),
        ("without its secret", Granted { secret: other.secret.clone(), ..true_one.clone() }),
        ("of another's session", Granted { session: other.session, ..true_one.clone() }),
    ];
    for (what, granted) in attempts {
        let refused = refusal(stage.link()?.resume(server_session(number), &granted)?)?;
        check(refused.code == Code::LedgerRolledBack, || format!("{what}: {refused}"))?;
    }
    // Another server's receipt.
    let foreign = stage.site.server_with("receipts-foreign", 1, &[])?;
    let theirs = take(&foreign, &stage.anchor, [9].into_iter())?;
    let refused = refusal(stage.link()?.resume(server_session(9), &theirs[0].1)?)?;
    check(refused.code == Code::LedgerRolledBack, || format!("{refused}"))?;
    stage.works_on()?;
    // What was given back is free for nobody new, and not for its receipt either.
    let link = stage.link()?;
    let again = link.resume(server_session(number), &true_one)??;
    link.release(again.session)?;
    let refused = refusal(stage.link()?.resume(server_session(number), &again)?)?;
    check(refused.code == Code::LedgerRolledBack, || format!("{refused}"))
}

#[test]
fn an_ordinary_life_is_no_rollback() -> Outcome {
    let mut stage = Stage::new("ordinary")?;
    // A kill, an end, and both together.
    stage.server.restart()?;
    check(!has_rollback(&stage.server)?, || stage.server.said())?;
    let archive = stage.site.root.path().join("backup.tar").display().to_string();
    let output = stage.server.run(&["backup", &archive], "")?;
    check(output.status.success(), || format!("{output:?}"))?;
    stage.server.after(|_| Ok(()))?;
    check(!has_rollback(&stage.server)?, || stage.server.said())?;
    stage.server.after(|_| Ok(()))?;
    stage.server.kill9()?;
    let checked = stage.server.run(&["check"], "")?;
    check(checked.status.success(), || format!("{checked:?}"))?;
    stage.server.restart()?;
    check(!has_rollback(&stage.server)?, || stage.server.said())?;
    let (number, granted) = stage.held.remove(0);
    resumed(&stage.server, &stage.anchor, number, &granted)?;

    // A mark that is damaged tells nothing.
    stage.server.after(|root| {
        fs::write(root.data().join("ledger.mark"), "{")?;
        elsewhere(root)?.iter().try_for_each(|path| fs::write(path, ""))?;
        Ok(())
    })?;
    check(!has_rollback(&stage.server)?, || stage.server.said())?;
    // A restored backup is one.
    stage.server.stop()?;
    let output = stage.server.run(&["restore", &archive], "")?;
    check(output.status.success(), || format!("{output:?}"))?;
    stage.server.restart()?;
    check(has_rollback(&stage.server)?, || stage.server.said())?;
    let facts = Rest::new(stage.server.url()).raw("GET", "/healthz", &[], None)?;
    check(facts.status == 200, || format!("{facts}"))
}

#[test]
fn a_component_works_on_after_a_rollback_without_an_error() -> Outcome {
    let site = Site::new("rollback-1c")?;
    let mut server = site.server_with("rollback-1c", 2, &[])?;
    let (root, anchor) = (Root::new("rollback-1c-client")?, site.vendor.anchor_hash()?);
    let parameters = format!("ServerAddr=127.0.0.1;ServerPort={}", server.port());
    let mut process = Process::start(Kind::Server, root.path())?;
    let mut objects = Vec::new();
    for number in 1..=2 {
        objects.push(process.work(&parameters, &anchor, &session_of_1c(number))?.map_err(|refusal| refusal.failure())?);
    }
    // 1C drops an object of a session that goes on.
    process.detach(objects.remove(0))?;
    let before: Vec<Value> = server.sessions()?.iter().map(|session| session["ID"].clone()).collect();
    server.kill9()?;
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::remove_file(server.root().data().join(name))?;
    }
    server.restart()?;
    check(has_rollback(&server)?, || server.said())?;
    for object in &objects {
        process.licence(object)?.map_err(|refusal| refusal.failure())?;
    }
    let again = process.work(&parameters, &anchor, &session_of_1c(1))?;
    objects.push(again.map_err(|refusal| refusal.failure())?);
    let after: Vec<Value> = server.sessions()?.iter().map(|session| session["ID"].clone()).collect();
    check(after.len() == 2 && after.iter().all(|id| before.contains(id)), || format!("{before:?}, {after:?}"))?;
    let refused = process.work(&parameters, &anchor, &session_of_1c(3))?;
    check(refused.as_ref().is_err_and(|refusal| refusal.code == 330), || format!("{:?}", refused.err()))?;
    objects.into_iter().try_for_each(|object| process.detach(object))?;
    process.finish()?;
    Ok(())
}
