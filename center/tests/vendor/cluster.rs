//! PostgreSQL for tests: one server for the whole test program, in a temporary folder, on a free port of loopback, as an
//! unprivileged user; each test gets a database of its own.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const USER: &str = "slk";
/// `nobody`, where there is no user `postgres`.
const NOBODY: u32 = 65_534;

struct Cluster {
    port: u16,
    /// The server ends when this pipe does, and so when the test program ends, in whatever way.
    _alive: ChildStdin,
    _keeper: Child,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Address of a fresh, empty database.
pub fn database() -> String {
    let cluster = CLUSTER.get_or_init(start);
    let name = format!("slk{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    let server = format!("postgresql://{USER}@127.0.0.1:{}", cluster.port);
    let mut client = postgres::Client::connect(&format!("{server}/postgres"), postgres::NoTls).unwrap();
    client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    format!("{server}/{name}")
}

fn id(flag: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, user]).output().ok()?;
    std::str::from_utf8(&output.stdout).ok()?.trim().parse().ok()
}

/// The newest server that Debian's packages have installed.
fn programs() -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is needed: apt-get install postgresql")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is needed: apt-get install postgresql").1
}

fn command(program: &Path, folder: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C.UTF-8").stdout(Stdio::null());
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn start() -> Cluster {
    let programs = programs();
    let folder = std::env::temp_dir().join(format!("slk-postgres-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    // Root may not run the server.
    let user = is_root().then(|| (id("-u", "postgres").unwrap_or(NOBODY), id("-g", "postgres").unwrap_or(NOBODY)));
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).unwrap();
    }
    let data = folder.join("data");
    let mut initdb = command(&programs.join("initdb"), &folder, user);
    initdb.args(["--auth=trust", "--encoding=UTF8", "--no-sync", "-U", USER, "-D"]).arg(&data);
    assert!(initdb.status().unwrap().success(), "initdb");
    for name in ["first.crt", "first.key"] {
        let to = data.join(name);
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/tls").join(name), &to).unwrap();
        // The server takes a key of its own user's only, which nobody else may read.
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).unwrap();
        user.iter().for_each(|&(uid, gid)| std::os::unix::fs::chown(&to, Some(uid), Some(gid)).unwrap());
    }
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let script = "\"$@\" & server=$!; read -r end; kill -INT $server; wait $server; rm -rf \"$SLK_FOLDER\"";
    let mut keeper = command(Path::new("sh"), &folder, user);
    keeper.args(["-c", script, "sh"]).arg(programs.join("postgres")).arg("-D").arg(&data).arg("-k").arg(&folder);
    keeper.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    keeper.args(["-c", "ssl=on", "-c", "ssl_cert_file=first.crt", "-c", "ssl_key_file=first.key"]);
    // A group of its own: what interrupts the tests must not reach the server before the script does.
    keeper.env("SLK_FOLDER", &folder).stdin(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut keeper = keeper.spawn().unwrap();
    let mut alive = keeper.stdin.take().unwrap();
    alive.flush().unwrap();
    let ready = || {
        let mut ready = command(&programs.join("pg_isready"), &folder, None);
        ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().unwrap().success()
    };
    while !ready() {
        assert!(keeper.try_wait().unwrap().is_none(), "postgres has ended");
        std::thread::yield_now();
    }
    Cluster { port, _alive: alive, _keeper: keeper }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
