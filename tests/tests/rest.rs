//! The REST API seen by programs that are not ours: a fuzzer that knows only the API's own description, and a verifier of
//! signatures in Python. `cargo xtask test` brings both; where they are not named, nothing is checked here.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::failure::check;
use e2e::link::server_session;
use e2e::server::{PASSWORD, USER};
use e2e::{Link, Outcome, Rest, Root, Server, Site};
use licence::protocol::Call;
use licence::protocol::message::{ClientInfo, SessionData};
use serde_json::{Value, json};

/// How long the fuzzer may take, in seconds.
const FUZZING: &str = "40";
/// What it checks: nothing fails inside, and nothing is answered that the description does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

/// A tool that the test run has named by this variable.
fn tool(variable: &str) -> Option<Command> {
    let tool = std::env::var_os(variable);
    if tool.is_none() {
        println!("skipped: {variable} names no tool; cargo xtask test brings one");
    }
    let mut command = Command::new(tool?);
    command.stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// A server with an account more than the one whose password the API changes.
fn server(site: &Site, name: &str, account: &str) -> Outcome<Server> {
    let mut server = site.server_with(name, 5, &[])?;
    server.after(|root: &Root| {
        let path = root.settings().join("licenceserver.conf");
        let text = fs::read_to_string(&path)? + account;
        Ok(fs::write(path, text)?)
    })?;
    Ok(server)
}

#[test]
fn the_api_answers_as_its_description_says_whatever_is_asked() -> Outcome {
    let Some(mut fuzzer) = tool("SLK_SCHEMATHESIS") else { return Ok(()) };
    let site = Site::new("fuzzed")?;
    let server = server(&site, "fuzzed", "\n[Users]\nfuzzer=administrator fuzzer-password\n")?;
    let rest = Rest::new(server.url()).with_user("fuzzer", "fuzzer-password");
    for number in 0..3 {
        let body = json!({ "KeyID": e2e::SERIES, "ClientSessionID": number.to_string() });
        rest.post("/api/sessions", &body)?.expect(201)?;
    }
    let description = server.root().path().join("openapi.json");
    fs::write(&description, rest.get("/api/openapi.json")?.body)?;
    let output = fuzzer
        .arg("run")
        .arg(&description)
        .args(["--url", server.url(), "--auth", "fuzzer:fuzzer-password", "--checks", CHECKS])
        .args(["--max-examples", "12", "--seed", "672", "--max-time", FUZZING, "--no-shrink", "--continue-on-failure"])
        // One worker: parsing in two threads at once can fail inside Python 3.11 itself ("recursion depth mismatch").
        .args(["--suppress-health-check", "all", "--warnings", "off", "--workers", "1"])
        .env("NO_COLOR", "1")
        .current_dir(server.root().path())
        .output()?;
    check(output.status.success(), || said(&output))?;
    assert_eq!(server.health()?["Failing"], json!(null));
    Ok(())
}

#[test]
fn an_answer_is_verified_by_a_standard_library_of_another_language() -> Outcome {
    let Some(python) = tool("SLK_PYTHON") else { return Ok(()) };
    let python = python.get_program().to_owned();
    let site = Site::new("verified")?;
    let (server, other) = (site.server_with("verified", 5, &[])?, site.server("verified-other")?);
    let key = |server: &Server, name: &str| -> Outcome<String> {
        let path = server.root().path().join(name);
        fs::write(&path, Rest::new(server.url()).raw("GET", "/api/publickey", &[], None)?.body)?;
        Ok(path.display().to_string())
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify_answer.py");
    let account = format!("{USER}:{PASSWORD}");
    let verify = |path: &str, key: &str| -> Outcome<Output> {
        let mut command = Command::new(&python);
        command.arg("-B").arg(&script).args([server.url(), path, "--user", &account, "--key", key]);
        Ok(command.stdin(Stdio::null()).output()?)
    };
    let (own, foreign) = (key(&server, "own.pem")?, key(&other, "foreign.pem")?);
    for path in ["/api/licences", "/api/serverinfo", "/api/sessions/none", "/api/licences?format=csv", "/api/%D1%8F"] {
        let verified = verify(path, &own)?;
        check(verified.status.success(), || said(&verified))?;
        assert!(!verified.stdout.is_empty(), "{path}");
        assert_eq!(verify(path, &foreign)?.status.code(), Some(1), "the key of another server: {path}");
    }
    Ok(())
}

/// What Python reads in a CSV file: lines of cells, for each separator.
fn read_csv(text: &[u8]) -> Outcome<Option<serde_json::Map<String, Value>>> {
    let python = std::env::var_os("SLK_PYTHON").unwrap_or_else(|| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("read_csv.py");
    let mut command = Command::new(python);
    command.arg("-B").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: there is no Python");
        return Ok(None);
    };
    child.stdin.take().map_or(Ok(()), |mut input| input.write_all(text))?;
    let output = child.wait_with_output()?;
    check(output.status.success(), || said(&output))?;
    Ok(serde_json::from_slice::<Value>(&output.stdout)?.as_object().cloned())
}

/// Whether a spreadsheet would run it.
fn is_formula(cell: &str) -> bool {
    let begins = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || c == '\u{FEFF}');
    begins.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) || cell.starts_with(['\t', '\r', '\n'])
}

#[test]
fn no_spreadsheet_finds_a_formula_in_a_list_whatever_it_takes_for_a_separator() -> Outcome {
    const HOSTILE: [&str; 8] = [
        "=cmd|' /C calc'!A0",
        "a;=1+1",
        "  @SUM(1)",
        "Анна;\"=1+1\";+7",
        "＝HYPERLINK(\"http://x\")",
        "a|-1+1",
        "Иванов, \u{a0}=1",
        "-5",
    ];
    let site = Site::new("csv")?;
    let server = site.server_with("csv", 5, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    for (number, text) in (1..).zip(HOSTILE) {
        let link = Link::shake_hands(server.url(), &anchor)?;
        let word = || text.to_owned();
        let info = ClientInfo {
            version: word(),
            os_version: word(),
            computer_name: word(),
            local_ip: word(),
            process: word(),
            cpu: word(),
            platform_version: word(),
            module_name: word(),
            is_server: true,
            ..ClientInfo::default()
        };
        link.done(Call::Open(Box::new(info)))?;
        // Those beyond the number of licences are in the list of refusals.
        let (user_name, app_name, computer_name) = (word(), word(), word());
        let _ = link.try_acquire(SessionData { user_name, app_name, computer_name, ..server_session(number) })?;
    }
    for (list, name) in [("connections", "Connections"), ("sessions", "Sessions"), ("denials", "Denials")] {
        let rows = server.rest().get(&format!("/api/{list}"))?.expect(200)?[name].as_array().map_or(0, Vec::len);
        assert!(rows >= 3, "{list}");
        let csv = server.rest().get(&format!("/api/{list}?format=csv"))?;
        let Some(readings) = read_csv(&csv.body)? else { return Ok(()) };
        let lines = |reading: &Value| reading.as_array().cloned().unwrap_or_default();
        let straight = lines(&readings["comma"]);
        assert_eq!(straight.len(), rows + 1, "a line for each row: {list}");
        assert!(straight.iter().all(|line| line.as_array().map(Vec::len) == straight[0].as_array().map(Vec::len)));
        for (separator, reading) in &readings {
            for cell in lines(reading).iter().flat_map(lines) {
                let text = cell.as_str().unwrap_or_default();
                check(!is_formula(text), || format!("{list} by {separator}: {text:?}"))?;
            }
        }
    }
    Ok(())
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}
