//! The demonstration: the whole system at work on real parts, from a vendor's key series to a server's failure. Each step says
//! in plain words what is shown; the first that does not come out ends it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use e2e::component::{Attached, Kind, Process, file_session, server_session};
use e2e::failure::check;
use e2e::server::{PASSWORD, USER};
use e2e::{Center, Failure, Outcome, Programs, Root, SERIES, Server, Vendor, fail};
use serde_json::Value as Json;

/// Licences of each server.
const LICENCES: u32 = 3;
/// How long a session may take to come back to its first server: a heartbeat or two.
const WAY_BACK: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let mut keep = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--keep" => keep = true,
            other => {
                eprintln!("demo: unknown argument {other}; there is only --keep");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut stage = Stage::default();
    match play(&mut stage, keep) {
        Ok(()) => {
            println!("demo: {} steps passed", stage.passed);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("demo: step {} failed: {why}", stage.passed + 1);
            ExitCode::FAILURE
        }
    }
}

/// Counts and times the steps.
#[derive(Default)]
struct Stage {
    passed: usize,
}

impl Stage {
    /// Does a step and tells what came of it.
    fn step<T>(&mut self, what: &str, work: impl FnOnce() -> Outcome<(T, String)>) -> Outcome<T> {
        println!("{:2}. {what}", self.passed + 1);
        let start = Instant::now();
        let (value, seen) = work()?;
        println!("      {seen}  [{:.2} s]", start.elapsed().as_secs_f64());
        self.passed += 1;
        Ok(value)
    }
}

/// The datafile, and what is in it.
type Packed = (Vec<u8>, Vec<Protected>);

/// A protected file: its name in the datafile and its bytes.
struct Protected {
    name: String,
    path: PathBuf,
    bytes: Vec<u8>,
}

fn play(stage: &mut Stage, keep: bool) -> Outcome {
    let root = Root::new("demo")?;
    let desk = root.path().join("vendor");
    println!("Everything is below {}\n", root.path().display());
    Programs::built()?;

    let vendor =
        stage.step("The vendor makes a key series: an offline root key and an issuing key for the centre", || {
            let vendor = Vendor::new(&desk)?;
            let seen = format!("series {SERIES}, trust anchor {}…", &vendor.anchor_hash()?[..16]);
            Ok((vendor, seen))
        })?;
    let protected = stage.step("The vendor encrypts real files into a datafile", || protect(&vendor, &desk))?;
    let (datafile, protected) = protected;
    let codes = stage.step("The vendor makes an activation code for each of two servers", || {
        let codes = [vendor.code(LICENCES, &["--product", "Учёт скидок"])?, vendor.code(LICENCES, &[])?];
        let seen = format!("{}, {} ({LICENCES} licences each)", codes[0], codes[1]);
        Ok((codes, seen))
    })?;
    let center = stage.step("The licensing centre starts", || {
        let center = Center::start(&vendor.issuer_folder())?;
        let seen = format!("{}, a process of its own with an issuing key, not the root", center.url());
        Ok((center, seen))
    })?;
    let mut first =
        stage.step("A first licence server starts; admin/admin may not activate, then gets a new password", || {
            let server = Server::start(Root::new("demo-first")?, Some(center.url()))?;
            let refused = refuses_default_password(&server, &codes[0])?;
            server.set_password()?;
            let seen = format!("{}: {refused}", server.url());
            Ok((server, seen))
        })?;
    let second = stage.step("A second one starts, to be held in reserve", || {
        let server = Server::ready(Root::new("demo-second")?, Some(center.url()))?;
        let seen = server.url().to_owned();
        Ok((server, seen))
    })?;
    stage.step("Both exchange their codes for licences over REST; every answer's signature is checked", || {
        let keys = [first.activate(&codes[0])?, second.activate(&codes[1])?];
        let numbers = keys.map(|key| key["KeyNo"].to_string());
        Ok(((), format!("keys {} and {}, bound to this machine and to their servers", numbers[0], numbers[1])))
    })?;
    stage.step("The code of the first is refused at the second: it is used", || {
        let answer = second.rest().post("/api/licences", &serde_json::json!({ "ActivationCodeString": codes[0] }))?;
        check(answer.status == 409, || format!("409 was expected, not {answer}"))?;
        Ok(((), message(&answer.json()?)))
    })?;

    let anchor = vendor.anchor()?;
    let only_first = format!("ServerAddr=127.0.0.1;ServerPort={}", first.port());
    let both = format!("{only_first};ReservedServers=127.0.0.1:{}", second.port());
    let client_root = Root::new("demo-client")?;
    let mut desktop = Process::start(Kind::Client, client_root.path())?;
    let desktop_sessions =
        stage.step("1C on a desktop, file infobase: three sessions of one computer share one licence", || {
            let sessions = (1..=3).map(|number| granted(desktop.work(&only_first, &anchor, &file_session(number))?));
            let sessions = sessions.collect::<Outcome<Vec<Attached>>>()?;
            let used = used(&first)?;
            check(used.sessions == 3 && used.seats == 1, || {
                format!("3 sessions on 1 licence were expected: {used:?}")
            })?;
            Ok((sessions, format!("server: {used}")))
        })?;
    let mut app = Process::start(Kind::Server, client_root.path())?;
    let mut app_sessions = stage.step("1C server: two sessions take one licence each", || {
        let sessions = (1..=2).map(|number| granted(app.work(&both, &anchor, &server_session(number))?));
        let sessions = sessions.collect::<Outcome<Vec<Attached>>>()?;
        let used = used(&first)?;
        check(used.sessions == 5 && used.seats == 3, || format!("5 sessions on 3 licences were expected: {used:?}"))?;
        Ok((sessions, format!("server: {used}")))
    })?;
    let mut other = Process::start(Kind::Server, client_root.path())?;
    stage.step(
        "One session too many is refused with a clear text, as a value that 1C code can read",
        || match other.work(&only_first, &anchor, &server_session(9))? {
            Ok(_) => fail("a licence was given that nobody has"),
            Err(refusal) => Ok(((), format!("code {}: {}", refusal.code, refusal.text))),
        },
    )?;
    stage.step("The protected objects come back byte for byte", || {
        open_all(&mut app, &app_sessions[0], &datafile, &protected)
    })?;
    stage.step("The same component without a licence gets nothing", || {
        let attached = granted(other.attach(&only_first, &anchor)?)?;
        granted(other.load_datafile(&attached, &datafile)?)?;
        match other.object(&attached, &protected[0].name)? {
            Ok(_) => fail("an object was opened without a licence"),
            Err(refusal) => {
                other.detach(attached)?;
                Ok(((), refusal.text))
            }
        }
    })?;
    let before = stage.step("The first server is killed (SIGKILL) in the middle of work", || {
        let before = session_ids(&first)?;
        first.kill9()?;
        let seen = format!("it had {} sessions", before.len());
        Ok((before, seen))
    })?;
    stage.step("Work goes on at the reserved server: no error in 1C, objects open, licences are held there", || {
        for attached in &app_sessions {
            granted(app.licence(attached)?)?;
            open_all(&mut app, attached, &datafile, &protected)?;
        }
        let used = used(&second)?;
        check(used.sessions == 2, || format!("2 sessions were expected there: {used:?}"))?;
        Ok(((), format!("reserved server: {used}")))
    })?;
    stage.step("The first server comes back with all its sessions", || {
        first.restart()?;
        let after = session_ids(&first)?;
        check(after == before, || format!("{before:?} were expected, not {after:?}"))?;
        Ok(((), format!("{} sessions, the same as before", after.len())))
    })?;
    stage.step("Sessions of the 1C server return to it by themselves; nothing stays at the reserved one", || {
        let start = Instant::now();
        while used(&second)?.sessions > 0 {
            check(start.elapsed() < WAY_BACK, || "the sessions are still at the reserved server".to_owned())?;
            // Their heartbeats do it; there is nothing to wait on but the server's own list.
            std::thread::sleep(Duration::from_millis(200));
        }
        open_all(&mut app, &app_sessions[0], &datafile, &protected)?;
        Ok(((), format!("first server: {}", used(&first)?)))
    })?;
    stage.step("A released licence is free at once: the refused session gets it", || {
        let leaving = app_sessions.pop().ok_or_else(|| Failure::new("no session"))?;
        granted(app.release(&leaving)?)?;
        app.detach(leaving)?;
        let taken = granted(other.work(&only_first, &anchor, &server_session(9))?)?;
        let seen = format!("first server: {}", used(&first)?);
        granted(other.release(&taken)?)?;
        other.detach(taken)?;
        Ok(((), seen))
    })?;
    stage.step("1C ends: objects go, the component unloads, all memory has come back", || {
        for (mut process, sessions) in [(desktop, desktop_sessions), (app, app_sessions), (other, Vec::new())] {
            for attached in sessions {
                granted(process.release(&attached)?)?;
                process.detach(attached)?;
            }
            process.finish()?;
        }
        let used = used(&first)?;
        check(used.sessions == 0, || format!("no session was expected: {used:?}"))?;
        Ok(((), "3 processes, nothing leaked, no session left at the server".to_owned()))
    })?;
    if keep {
        leave_running(root, center, first)?;
    }
    Ok(())
}

fn granted<T>(answer: Result<T, e2e::component::Refusal>) -> Outcome<T> {
    answer.map_err(|refusal| refusal.failure())
}

fn message(body: &Json) -> String {
    body["Message"].as_str().unwrap_or_default().to_owned()
}

fn refuses_default_password(server: &Server, code: &str) -> Outcome<String> {
    let rest = e2e::Rest::new(server.url()).with_user("admin", "admin");
    let answer = rest.post("/api/licences", &serde_json::json!({ "ActivationCodeString": code }))?;
    check(answer.status == 403, || format!("403 was expected, not {answer}"))?;
    Ok(message(&answer.json()?))
}

/// What a server says of its use.
#[derive(Debug)]
struct Used {
    sessions: usize,
    seats: u64,
    all: u64,
}

impl std::fmt::Display for Used {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} sessions on {} of {} licences", self.sessions, self.seats, self.all)
    }
}

fn session_ids(server: &Server) -> Outcome<Vec<String>> {
    let mut ids: Vec<String> = server.sessions()?.iter().map(|session| session["ID"].to_string()).collect();
    ids.sort();
    Ok(ids)
}

fn used(server: &Server) -> Outcome<Used> {
    let (seats, all) = server.seats()?;
    Ok(Used { sessions: server.sessions()?.len(), seats, all })
}

/// Packs the sources of the examples, a processor built from them, and real processors when they are there.
fn protect(vendor: &Vendor, desk: &Path) -> Outcome<(Packed, String)> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let examples = project.join("examples-1c");
    let plain = desk.join("protected");
    fs::create_dir_all(&plain)?;
    let module = examples.join("ExternalDataProcessors/ЗащищеннаяОбработка/Ext/ObjectModule.bsl");
    let text = fs::read_to_string(&module).map_err(|error| Failure::new(format!("{}: {error}", module.display())))?;
    fs::write(plain.join("ЗащищеннаяОбработка.epf"), epf::processor::build("ЗащищеннаяОбработка", &text)?)?;
    for module in ["РасчетСкидок", "СЛК"] {
        fs::copy(
            examples.join("CommonModules").join(module).join("Ext/Module.bsl"),
            plain.join(format!("{module}.bsl")),
        )?;
    }
    let real = project.join("../shared/testdata");
    let mut real_files = 0;
    for entry in fs::read_dir(&real).into_iter().flatten() {
        let path = entry?.path();
        if let Some(name) =
            path.file_name().filter(|_| path.extension().is_some_and(|kind| kind == "epf" || kind == "erf"))
        {
            fs::copy(&path, plain.join(name))?;
            real_files += 1;
        }
    }
    let mut protected = Vec::new();
    for entry in fs::read_dir(&plain)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        protected.push(Protected { name, bytes: fs::read(&path)?, path });
    }
    protected.sort_by(|a, b| a.name.cmp(&b.name));
    let datafile = desk.join(format!("{SERIES}.datafile"));
    vendor.pack(&datafile, &protected.iter().map(|one| one.path.clone()).collect::<Vec<_>>(), &[])?;
    let sealed = fs::read(&datafile)?;
    for one in &protected {
        let start = &one.bytes[..one.bytes.len().min(64)];
        let found = sealed.windows(start.len().max(1)).any(|bytes| bytes == start);
        check(!found, || format!("{} stands in the datafile in clear", one.name))?;
    }
    let real_files = match real_files {
        0 => "no real processors, as ../shared/testdata is absent".to_owned(),
        count => format!("{count} real files of a 1C platform"),
    };
    let seen = format!(
        "{} objects, {} bytes, nothing of them in clear; among them {real_files}",
        protected.len(),
        sealed.len()
    );
    Ok(((sealed, protected), seen))
}

fn open_all(
    process: &mut Process,
    attached: &Attached,
    datafile: &[u8],
    protected: &[Protected],
) -> Outcome<((), String)> {
    granted(process.load_datafile(attached, datafile)?)?;
    for one in protected {
        let opened = granted(process.object(attached, &one.name)?)?;
        check(opened == one.bytes, || format!("{} came back altered", one.name))?;
    }
    let bytes: usize = protected.iter().map(|one| one.bytes.len()).sum();
    Ok(((), format!("{} objects, {bytes} bytes", protected.len())))
}

fn leave_running(mut root: Root, center: Center, server: Server) -> Outcome {
    let (url, folder) = (server.url().to_owned(), server.root().path().display().to_string());
    let pids = (server.leave()?, center.leave()?);
    root.keep();
    println!("\nThe first server and the centre go on running. Console: {url}/");
    println!("User: {USER}, password: {PASSWORD}");
    println!("To end it: kill {} {}; rm -r {folder} {}\n", pids.0, pids.1, root.path().display());
    Ok(())
}
