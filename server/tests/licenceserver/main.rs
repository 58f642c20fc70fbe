//! The program as an administrator meets it: started, asked, stopped, with wrong settings and beside rivals.

mod check;
mod console;
mod daemon;
mod life;
mod settings;

use std::fs;
use std::net::TcpListener;

use daemon::{Root, Server, wait_until};

/// `admin:admin`.
pub const DEFAULT: &str = "YWRtaW46YWRtaW4=";
/// `anna:correct horse`.
pub const ANNA: &str = "YW5uYTpjb3JyZWN0IGhvcnNl";

/// Text of a stream.
fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_server_without_settings_starts_and_says_where() {
    let root = Root::new();
    let file = root.path().join("address");
    let server = Server::start_with(root, &["--address-file", file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(file).unwrap(), format!("{}\n", server.url));
    let health = server.get("/healthz");
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    assert!(health.header("licence-serverversion").starts_with("3.0.100."));
    let logs: Vec<_> = fs::read_dir(server.root.settings().join("logs")).unwrap().flatten().collect();
    let name = logs[0].file_name().into_string().unwrap();
    let parts: Vec<&str> = name.split('.').collect();
    let pid = server.pid().to_string();
    assert!(
        matches!(parts[..], ["licenceserver", stamp, process, "log"] if stamp.len() == 15 && process == pid),
        "{name}"
    );
}

#[test]
fn the_version_and_the_exit_codes_are_told() {
    let root = Root::new();
    let version = text(&root.run(&["--version"]).stdout);
    assert!(version.starts_with("licenceserver 3.0.100."), "{version}");
    assert!(text(&root.run(&["--help"]).stdout).contains("Exit codes:"));
    assert_eq!(root.run(&["--wrong"]).status.code(), Some(2));
    assert_eq!(root.run(&[]).status.code(), Some(2));
}

#[test]
fn an_address_without_credentials_answers_401_and_asks_for_them() {
    let server = Server::start(Root::new());
    for (method, path) in [
        ("GET", "/api"),
        ("GET", "/api/serverinfo"),
        ("GET", "/api/licences"),
        ("GET", "/api/licences/1"),
        ("GET", "/api/connections"),
        ("GET", "/api/sessions"),
        ("GET", "/api/nothing"),
        ("POST", "/activation"),
    ] {
        let answer = server.ask(method, path).send("");
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.body);
        assert!(answer.header("www-authenticate").starts_with("Basic realm="), "{method} {path}");
    }
    assert_eq!(server.ask("GET", "/api").basic(DEFAULT).send("").status, 200);
}

#[test]
fn a_busy_port_is_named_with_its_owner() {
    let server = Server::start(Root::new());
    let second = Root::new().run(&["--lang", "en", "-r", "--address", "127.0.0.1", "--port", server.port()]);
    let told = text(&second.stderr);
    assert_eq!(second.status.code(), Some(5), "{told}");
    let owner = format!("Port {} is in use (licenceserver, PID {})", server.port(), server.pid());
    assert!(!cfg!(target_os = "linux") || told.contains(&owner), "{told}");
}

#[test]
fn an_address_of_another_computer_is_refused_with_its_cause() {
    // TEST-NET-1 of RFC 5737: no computer has it.
    let output = Root::new().run(&["--lang", "en", "-r", "--address", "192.0.2.1", "--port", "0"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("192.0.2.1:0") && told.contains("Check ServerAddr"), "{told}");
}

#[test]
fn a_new_password_works_at_once_and_the_default_one_no_more() {
    let server = Server::start(Root::with_settings("; kept\n[Console]\nAuthorization=0\n"));
    let output = server.root.feed(&["--lang", "en", "passwd", "anna", "--stdin"], "correct horse\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("takes it up"));
    let status = |basic: &str| server.ask("GET", "/api").basic(basic).send("").status;
    wait_until("the new password is taken up", || status(ANNA) == 200);
    assert_eq!(status(DEFAULT), 401);
    let conf = fs::read_to_string(server.root.conf()).unwrap();
    assert!(
        conf.starts_with("; kept\n[Console]\n") && conf.contains("Authorization=0") && conf.contains("UserName=anna")
    );
    assert!(conf.contains("Password=$argon2id$") && !conf.contains("correct horse"), "{conf}");
}

#[test]
fn a_password_can_be_set_before_the_first_start_and_a_weak_one_can_not() {
    let root = Root::new();
    for (input, part) in [("short\n", "Password:"), ("\n", "Password:"), ("", "Password:")] {
        let output = root.feed(&["passwd", "--stdin"], input);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(part) && !root.conf().exists());
    }
    // Without a terminal nothing is asked for.
    assert!(text(&root.run(&["passwd"]).stderr).contains("passwd --stdin"));
    assert!(root.feed(&["passwd", "anna", "--stdin"], "correct horse").status.success());
    let server = Server::start(root);
    assert_eq!(server.ask("GET", "/api").basic(ANNA).send("").status, 200);
    assert_eq!(server.ask("GET", "/api").basic(DEFAULT).send("").status, 401);
}

#[test]
fn wrong_settings_do_not_hinder_a_new_password() {
    let root = Root::with_settings("[Common]\nServerPort=many\n");
    assert!(root.feed(&["passwd", "--stdin"], "correct horse\n").status.success());
    assert!(fs::read_to_string(root.conf()).unwrap().contains("UserName=admin"));
}

#[test]
fn a_server_told_to_stop_ends_in_order() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(Root::new());
        server.signal(signal);
        let (status, said) = server.ended();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("stopped"), "{said}");
    }
}

#[test]
fn a_server_told_to_reload_goes_on() {
    let server = Server::start(Root::new());
    server.signal("HUP");
    wait_until("it says so", || server.said().contains("read again"));
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_copied_data_folder_is_not_served_a_second_time() {
    let server = Server::start(Root::new());
    let copy = Root::new();
    for entry in fs::read_dir(server.root.data()).unwrap().flatten() {
        fs::copy(entry.path(), copy.data().join(entry.file_name())).unwrap();
    }
    let output = copy.run(&["--lang", "en", "-r", "--port", "0"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("This server already runs on this computer"), "{}", text(&output.stderr));
    // The folder itself neither.
    assert_eq!(server.root.run(&["-r", "--port", "0"]).status.code(), Some(5));
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn the_status_is_told_by_exit_code_and_in_words() {
    let server = Server::start(Root::new());
    let running = server.root.run(&["status", "--port", server.port()]);
    let told = text(&running.stdout);
    assert_eq!(running.status.code(), Some(0), "{told}");
    for part in [format!("PID {}", server.pid()), "3.0.100.".into(), server.url.clone(), "Ключей: 0".into()] {
        assert!(told.contains(&part), "{part}: {told}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let silent = server.root.run(&["--lang", "en", "status", "--port", &port]);
    assert_eq!(silent.status.code(), Some(3));
    assert!(text(&silent.stdout).contains("does not answer"));
}

#[test]
fn a_stranger_on_the_port_is_not_taken_for_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let stranger = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _ = std::io::Read::read(&mut stream, &mut request);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        std::io::Write::write_all(&mut stream, answer).unwrap();
        listener
    });
    let output = Root::new().run(&["--lang", "en", "status", "--port", &port]);
    assert_eq!(output.status.code(), Some(3));
    let told = text(&output.stdout);
    let owner = format!("PID {}", std::process::id());
    assert!(!cfg!(target_os = "linux") || told.contains(&owner), "{told}");
    drop(stranger.join().unwrap());
}
