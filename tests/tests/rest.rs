//! The REST API seen by programs that are not ours: a fuzzer that knows only the API's own description, and a verifier of
//! signatures in Python. `cargo xtask test` brings both; where they are not named, nothing is checked here.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::failure::check;
use e2e::server::{PASSWORD, USER};
use e2e::{Outcome, Rest, Root, Server, Site};
use serde_json::json;

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

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}
