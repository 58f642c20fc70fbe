//! The console's forms: what each does, whom it refuses, and what the audit trail says of it.

use licence::activation::{Purpose, Request as Asked};
use licence::code::ActivationCode;
use licence::key::{Binding, KeyType};
use licence::protocol::keys::{Hidden, KeyCall};
use licence::protocol::message::Call;
use licence::settings::Role;
use serde_json::{Value, json};
use service::access::set_account;
use web::{Request, Response};

use crate::activation::{bench, centre, honest, signed};
use crate::bench::*;
use crate::client::{connect, session};
use crate::life::{answer, reserve_code};

const HOSTILE: &str = "\"'></textarea><script>alert(1)</script>";
const VIEWER: Option<(&str, &str)> = Some(("viewer", "a viewer's password"));
const OPERATOR: Option<(&str, &str)> = Some(("operator", "an operator's password"));

fn filled(target: &str, account: Option<(&str, &str)>, fields: &[(&str, &str)]) -> Request {
    let mut form = with(request("POST", target, account), "Content-Type", "application/x-www-form-urlencoded");
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", web::percent_encode(value)));
    form.body = pairs.collect::<Vec<_>>().join("&").into_bytes();
    form
}

/// A form with a file in it.
fn uploaded(target: &str, account: Option<(&str, &str)>, file: &str) -> Request {
    let mut form = with(request("POST", target, account), "Content-Type", "multipart/form-data; boundary=--b");
    let part = |head: &str, text: &str| format!("----b\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n");
    let parts = part("name=\"text\"", "") + &part("name=\"file\"; filename=\"a.answer\"", file);
    form.body = (parts + "----b--\r\n").into_bytes();
    form
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

fn code() -> String {
    ActivationCode::random(CRYPTO).unwrap().to_string()
}

/// A service beside an honest centre that gives licences of the first issue.
fn stand(name: &str) -> Bench {
    let url = centre(|text| answer(&Asked::read(CRYPTO, "test", text).unwrap(), 1));
    bench(&format!("forms-{name}"), &url)
}

impl Bench {
    fn send(&self, target: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let response = self.ask(filled(target, CHANGED, fields));
        (response.status, text(&response))
    }

    fn page(&self, target: &str) -> String {
        let response = self.ask(request("GET", target, CHANGED));
        assert_eq!(response.status, 200, "{target}: {}", text(&response));
        text(&response)
    }

    fn activated(&self) {
        let (status, page) = self.send("/activation", &[("code", &code())]);
        assert_eq!(status, 201, "{page}");
    }

    /// Sends a form for a request file; the centre's answer to the file.
    fn by_file(&self, target: &str, fields: &[(&str, &str)]) -> String {
        let response = self.ask(filled(target, CHANGED, &[fields, &[("how", "file")]].concat()));
        assert_eq!(response.status, 200, "{}", text(&response));
        let disposition = response.headers.get("content-disposition").unwrap().to_owned();
        assert!(disposition.starts_with("attachment; filename=\"") && disposition.ends_with(".request\""));
        assert_eq!(response.headers.get("cache-control"), Some("no-store"));
        answer(&Asked::read(CRYPTO, "test", &text(&response)).unwrap(), 1).1
    }

    fn state(&self) -> Value {
        self.get("/api/licences/1").1
    }

    /// Act, status and account of what stands in the audit trail, the latest first.
    fn trail(&self) -> Vec<(String, u64, String)> {
        let (_, body) = self.get("/api/events");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = body["Events"].as_array().unwrap().iter();
        events.map(|event| (text(&event["Act"]), event["Status"].as_u64().unwrap(), text(&event["UserName"]))).collect()
    }
}

fn entry(act: &str, status: u64) -> (String, u64, String) {
    (act.into(), status, "admin".into())
}

#[test]
fn a_code_is_activated_online_and_the_trail_says_so_without_the_code() {
    let url = centre(|text| signed(&honest(&Asked::read(CRYPTO, "test", text).unwrap())));
    let bench = bench("forms-online", &url);
    let typed = code();
    let (status, page) = bench.send("/activation", &[("code", &typed), ("itn", "0123456789"), ("how", "online")]);
    assert!(status == 201 && page.contains("672B.1"), "{page}");
    assert_eq!((bench.seats(), &bench.state()["ITN"]), (5, &json!("0123456789")));
    let (status, page) = bench.send("/activation", &[("code", "1234-5")]);
    assert!(status == 400 && page.contains("value=\"1234-5\""), "{page}");
    let trail = bench.trail();
    assert_eq!(trail, [entry("POST /activation", 400), entry("POST /activation", 201)]);
    assert!(!bench.get("/api/events").1.to_string().contains(&typed));
}

#[test]
fn a_licence_comes_by_files_too() {
    let bench = stand("by-file");
    let response = bench.by_file("/activation", &[("code", &code())]);
    assert_eq!(bench.seats(), 0);
    let (status, page) = bench.send("/responses", &[("text", &response.replace('\n', "\r\n"))]);
    assert!(status == 201 && page.contains("672B.1"), "{page}");
    assert_eq!(bench.seats(), 5);
    let (status, page) = bench.send("/responses", &[("text", &response)]);
    assert!(status == 409 && page.contains("belongs to no request"), "{page}");
    for wrong in ["", "SLK-ANSWER 1", HOSTILE] {
        let (status, page) = bench.send("/responses", &[("text", wrong)]);
        assert!((400..500).contains(&status) && !page.contains("<script"), "{wrong}: {page}");
    }
    assert_eq!(bench.trail().last(), Some(&entry("POST /activation", 200)));
}

#[test]
fn an_answer_is_uploaded_as_a_file() {
    let bench = stand("uploaded");
    let response = bench.by_file("/activation", &[("code", &code())]);
    let page = bench.page("/");
    assert!(page.contains("type=\"file\"") && page.contains("enctype=\"multipart/form-data\""), "{page}");
    let foreign = with(uploaded("/responses", CHANGED, &response), "Origin", "http://evil.example");
    assert_eq!(bench.ask(foreign).status, 403);
    let installed = bench.ask(uploaded("/responses", CHANGED, &response));
    assert!(installed.status == 201 && text(&installed).contains("672B.1"), "{}", text(&installed));
    let nothing = bench.ask(uploaded("/responses", CHANGED, ""));
    assert!(nothing.status == 400 && text(&nothing).contains("no file was chosen"), "{}", text(&nothing));
    let damaged = bench.ask(uploaded("/responses", CHANGED, HOSTILE));
    assert!(damaged.status == 400 && !text(&damaged).contains("<script"), "{}", text(&damaged));
}

#[test]
fn the_console_tells_what_a_code_would_give_and_installs_nothing() {
    let bench = stand("code");
    assert!(bench.page("/").contains("formaction=\"/codes\""));
    let (status, page) = bench.send("/codes", &[("code", &code()), ("itn", "7701000001")]);
    assert!(status == 200 && page.contains("Can be installed") && page.contains("672B"), "{page}");
    let (status, page) = bench.send("/codes", &[("code", "1234"), ("itn", "7701000001")]);
    assert!(status == 400 && page.contains("value=\"1234\"") && page.contains("value=\"7701000001\""), "{page}");
    assert_eq!((bench.seats(), bench.trail().len()), (0, 2));
}

#[test]
fn a_demo_licence_is_asked_for_by_its_series() {
    let bench = bench("forms-demo", &centre(|_| panic!("nobody is asked")));
    let response = bench.ask(filled("/activation", CHANGED, &[("demo", "1"), ("series", "672b"), ("how", "file")]));
    let asked = Asked::read(CRYPTO, "test", &text(&response)).unwrap();
    match asked.purpose {
        Purpose::Activate(asked) => {
            assert!(matches!(asked.want, licence::activation::Want::Demo { key_id, .. } if key_id.0 == 0x672B));
        }
        other => panic!("{other:?}"),
    }
    for series in ["", "nonsense"] {
        let (status, page) = bench.send("/activation", &[("demo", "1"), ("series", series)]);
        assert!(status == 400 && page.contains("name=\"demo\""), "{page}");
    }
    let (status, page) = bench.send("/activation", &[("code", &code()), ("carrier", "77")]);
    assert!(status == 409 && page.contains("Carrier 77 is not plugged in") && page.contains("value=\"77\""), "{page}");
}

#[test]
fn the_page_of_a_key_tells_what_it_is_and_what_it_knows_of_the_machine() {
    let bench = stand("key");
    bench.activated();
    let page = bench.page("/licences/1");
    for part in ["Key 672B.1", "Available", "Known again: 7 of 7; needed at least 4.", "this computer"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(bench.page("/").contains("href=\"/licences/1?KeyID=672B&#38;SeriesKey="));
    bench.install(2, |licence| {
        licence.binding = Binding::Blank(77);
        licence.key_type = KeyType::Additional;
    });
    let page = bench.page("/licences/2");
    assert!(page.contains("USB 77") && page.contains("not plugged in") && !page.contains("Known again"), "{page}");
    for missing in ["/licences/9", "/licences/x", "/licences/1?KeyID=0001"] {
        assert_eq!(bench.ask(request("GET", missing, CHANGED)).status, 404, "{missing}");
    }
}

#[test]
fn a_number_that_two_vendors_use_is_told_apart() {
    let bench = stand("vendors");
    bench.install(1, |_| {});
    let second = Vendor::second();
    bench.put(
        "second.licence",
        second.licence(bench.identity(), 1, |licence| licence.product_name = "Other".into()).text,
    );
    bench.service.reload_keys();
    assert_eq!(bench.ask(request("GET", "/licences/1?KeyID=672B", CHANGED)).status, 400);
    let target = format!("/licences/1?KeyID=672B&SeriesKey={}", second.series().root);
    assert!(bench.page(&target).contains("Other"));
}

#[test]
fn a_key_is_switched_off_and_on() {
    let bench = stand("switch");
    bench.activated();
    for (enabled, seats) in [("0", 0), ("1", 5)] {
        let response = bench.ask(filled("/licences/1/enabled?menu=false", CHANGED, &[("enabled", enabled)]));
        assert_eq!(response.status, 303);
        let location = response.headers.get("location").unwrap();
        assert!(location.starts_with("/licences/1?KeyID=672B&SeriesKey=") && location.ends_with("&menu=false"));
        assert_eq!(bench.seats(), seats);
    }
    assert_eq!(bench.send("/licences/1/enabled", &[]).0, 400);
    assert_eq!(bench.send("/licences/9/enabled", &[("enabled", "0")]).0, 404);
    let trail = bench.trail();
    assert_eq!(
        trail.iter().filter(|one| **one == entry("POST /licences/{KeyNo}/enabled", 303)).count(),
        2,
        "{trail:?}"
    );
}

#[test]
fn news_are_fetched_online_and_by_files() {
    let bench = stand("update");
    bench.install(1, |_| {});
    let (status, page) = bench.send("/licences/1/update", &[("how", "online")]);
    assert!(status == 200 && page.contains("no news"), "{page}");
    let (status, page) = bench.send("/responses", &[("text", &bench.by_file("/licences/1/update", &[]))]);
    assert!(status == 200 && page.contains("no news"), "{page}");
    assert_eq!(bench.send("/licences/9/update", &[]).0, 404);
}

#[test]
fn passwords_of_a_memory_are_taken_away_after_a_confirmation_and_its_text_is_never_shown() {
    let bench = stand("memory");
    bench.activated();
    let page = "/licences/1/memory";
    assert!(bench.page("/licences/1").contains("href=\"/licences/1/memory"));
    let plain = bench.page(page);
    assert!(plain.contains("none") && !plain.contains("<form"), "{plain}");

    let mut client = connect(&bench);
    let hidden = |text: &str| Hidden(text.into());
    let mut ask = |call| assert!(client.call(&bench, call).is_ok());
    ask(Call::Acquire(Box::new(session(1, None))));
    let write = KeyCall::WriteMemory { key_no: None, password: hidden(""), data: hidden("s3cret text") };
    ask(Call::Key(Box::new(write)));
    let new = [hidden("one"), hidden("two")];
    ask(Call::Key(Box::new(KeyCall::SetPasswords { key_no: None, old: Default::default(), new })));

    let closed = bench.page(page);
    assert!(
        closed.contains("<dd>11</dd>") && closed.contains("name=\"confirm\"") && !closed.contains("s3cret"),
        "{closed}"
    );
    let (status, unconfirmed) = bench.send(page, &[]);
    assert!(status == 400 && unconfirmed.contains("was not confirmed"), "{unconfirmed}");
    let done = bench.ask(filled(page, CHANGED, &[("confirm", "1")]));
    assert!(done.status == 303 && done.headers.get("location").is_some_and(|to| to.starts_with(page)));
    assert_eq!(
        bench.trail()[..2],
        [entry("POST /licences/{KeyNo}/memory", 303), entry("POST /licences/{KeyNo}/memory", 400)]
    );
    let (_, open) = bench.get("/api/licences/1/memory");
    assert_eq!(
        (&open["Length"], &open["ReadPassword"], &open["WritePassword"]),
        (&json!(11), &json!(false), &json!(false))
    );
    assert_eq!(bench.send("/licences/9/memory", &[("confirm", "1")]).0, 404);
}

#[test]
fn a_reserve_code_is_given_after_a_confirmation_and_shown_again() {
    let bench = stand("reserve");
    bench.activated();
    let page = bench.page("/licences/1/reserve");
    assert!(page.contains("name=\"confirm\"") && page.contains("stops counting"), "{page}");
    let why = [("reason", HOSTILE), ("comment", HOSTILE)];
    let (status, page) = bench.send("/licences/1/reserve", &why);
    assert!(status == 400 && page.contains("was not confirmed") && !page.contains("<script"), "{page}");
    assert_eq!(page.matches("&#60;script&#62;").count(), 2, "what was typed stays in the form: {page}");
    assert_eq!(bench.state()["Enabled"], json!(true));
    let long = "x".repeat(1001);
    assert_eq!(bench.send("/licences/1/reserve", &[("confirm", "1"), ("reason", &long)]).0, 400);

    let confirmed = [("reason", HOSTILE), ("confirm", "1")];
    let shown = reserve_code().to_string();
    for _ in 0..2 {
        let (status, page) = bench.send("/licences/1/reserve", &confirmed);
        assert!(status == 200 && page.contains(&shown) && !page.contains("<script"), "{page}");
        assert_eq!(bench.state()["Enabled"], json!(false));
    }
    let page = bench.page("/licences/1");
    assert!(page.contains("Deactivated") && page.contains("Show the reserve code again"), "{page}");
    assert!(bench.page("/licences/1/reserve").contains("deactivated already"));
    assert_eq!(bench.trail()[0], entry("POST /licences/{KeyNo}/reserve", 200));
    assert!(!bench.get("/api/events").1.to_string().contains(&shown));
}

#[test]
fn by_files_a_key_counts_until_the_answer_is_installed() {
    let bench = stand("reserve-file");
    bench.activated();
    let response = bench.by_file("/licences/1/reserve", &[("confirm", "1")]);
    assert_eq!(bench.state()["Enabled"], json!(true));
    let (status, page) = bench.send("/responses", &[("text", &response)]);
    assert!(status == 200 && page.contains(&reserve_code().to_string()), "{page}");
    assert_eq!(bench.state()["Enabled"], json!(false));
}

#[test]
fn a_session_is_ended_by_its_button() {
    let bench = stand("session");
    bench.install(1, |_| {});
    let (_, session) = bench.claim();
    let end = format!("/sessions/{session}/end");
    assert!(bench.page("/").contains(&format!("action=\"{end}\"")));
    let response = bench.ask(filled(&end, CHANGED, &[]));
    assert_eq!((response.status, response.headers.get("location")), (303, Some("/#sessions")));
    assert_eq!(bench.get(&format!("/api/sessions/{session}")).0, 404);
    for missing in [&*end, "/sessions/x/end"] {
        assert_eq!(bench.send(missing, &[]).0, 404, "{missing}");
    }
    assert_eq!(bench.trail().last(), Some(&entry("POST /sessions/{ID}/end", 303)));
}

/// Every form with fields that would do something.
fn forms(session: &str) -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    vec![
        ("/activation".into(), vec![("code", "1234-5678-9012-3456-7888"), ("how", "file")]),
        ("/codes".into(), vec![("code", "1234-5678-9012-3456-7888")]),
        ("/responses".into(), vec![("text", "x")]),
        ("/licences/1/update".into(), vec![("how", "file")]),
        ("/licences/1/enabled".into(), vec![("enabled", "0")]),
        ("/licences/1/reserve".into(), vec![("confirm", "1"), ("how", "file")]),
        ("/licences/1/memory".into(), vec![("confirm", "1")]),
        (format!("/sessions/{session}/end"), vec![]),
    ]
}

#[test]
fn a_page_of_another_site_can_send_no_form() {
    let bench = stand("origin");
    bench.install(1, |_| {});
    let (_, session) = bench.claim();
    for (target, fields) in forms(&session) {
        for (name, value) in
            [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Referer", "http://evil.example/x")]
        {
            let response = bench.ask(with(filled(&target, CHANGED, &fields), name, value));
            assert_eq!(response.status, 403, "{target} {name}");
        }
        assert_eq!(bench.ask(request("GET", &format!("{target}?lang=ru"), CHANGED)).status / 100, {
            if target.ends_with("/reserve") || target.ends_with("/memory") { 2 } else { 3 }
        });
    }
    assert_eq!(bench.state()["Enabled"], json!(true));
    assert_eq!(bench.get(&format!("/api/sessions/{session}")).0, 200);
    let trail = bench.trail();
    assert!(trail.len() == 24 && trail.iter().all(|(_, status, _)| *status == 403), "{trail:?}");
}

#[test]
fn roles_hold_in_the_console_as_in_the_api() {
    // In mode 0 pages are shown to whoever looks, with all that the server offers.
    let bench = Bench::new("forms-roles", "[Console]\nPassword=another password\nAuthorization=1\n");
    for (account, role) in [(VIEWER, Role::Viewer), (OPERATOR, Role::Operator)] {
        let (name, password) = account.unwrap();
        set_account(&paths(&bench.root), CRYPTO, name, role, password).unwrap();
    }
    bench.service.reload_keys();
    bench.install(1, |_| {});
    let (_, session) = bench.claim();
    let seen = |target: &str, account| {
        let response = bench.ask(request("GET", target, account));
        (response.status, text(&response).contains("<form"))
    };
    assert_eq!((seen("/", VIEWER), seen("/licences/1", VIEWER)), ((200, false), (200, false)));
    assert_eq!((seen("/", OPERATOR), seen("/licences/1", OPERATOR)), ((200, true), (200, false)));
    let reserve = |account| bench.ask(request("GET", "/licences/1/reserve", account)).status;
    assert_eq!((reserve(VIEWER), reserve(OPERATOR), reserve(CHANGED)), (403, 403, 200));
    let memory = |account| bench.ask(request("GET", "/licences/1/memory", account)).status;
    assert_eq!((memory(VIEWER), memory(OPERATOR), memory(CHANGED)), (403, 403, 200));
    for (target, fields) in forms(&session) {
        let send = |account| bench.ask(filled(&target, account, &fields)).status;
        assert_eq!((send(None), send(VIEWER)), (401, 403), "{target}");
        let ends = target.starts_with("/sessions");
        assert_eq!(send(OPERATOR), if ends { 303 } else { 403 }, "{target}");
    }
    assert_eq!(bench.state()["Enabled"], json!(true));
}

#[test]
fn where_everybody_may_look_forms_ask_who_it_is_and_the_default_password_opens_none() {
    for (mode, password) in [(0, "another password"), (1, "admin"), (0, "admin")] {
        let conf = format!("[Console]\nAuthorization={mode}\nPassword={password}\n");
        let bench = Bench::new(&format!("forms-mode-{mode}-{}", password.len()), &conf);
        bench.install(1, |_| {});
        let (_, session) = bench.claim();
        let look = |target: &str, account| bench.ask(request("GET", target, account)).status;
        let open = if mode == 0 { 200 } else { 401 };
        assert_eq!((look("/", None), look("/licences/1", None), look("/licences/1/reserve", None)), (open, open, 401));
        for (target, fields) in forms(&session) {
            assert_eq!(bench.ask(filled(&target, None, &fields)).status, 401, "{target}");
            if password == "admin" {
                assert_eq!(bench.ask(filled(&target, DEFAULT, &fields)).status, 403, "{target}");
            }
        }
        if password == "admin" {
            assert_eq!((look("/licences/1", DEFAULT), look("/licences/1/reserve", DEFAULT)), (200, 403));
        }
    }
}

#[test]
fn refusals_usage_and_the_trail_have_pages_for_those_who_may_see_them() {
    let bench = Bench::new("forms-records", "[Console]\nPassword=another password\nAuthorization=1\n");
    for (account, role) in [(VIEWER, Role::Viewer), (OPERATOR, Role::Operator)] {
        let (name, password) = account.unwrap();
        set_account(&paths(&bench.root), CRYPTO, name, role, password).unwrap();
    }
    bench.install(1, |licence| licence.licence_count = 1);
    assert!(
        bench.page("/denials").contains("Nobody was refused") && bench.page("/events").contains("Nothing was changed")
    );
    let asked = |name: &str| {
        bench.post("/api/sessions", &json!({ "KeyID": "672B", "ClientSessionID": name, "UserName": HOSTILE })).0
    };
    assert_eq!((asked("1"), asked("2")), (201, 409));
    let page = bench.page("/denials");
    assert!(page.contains("&#60;script&#62;") && page.contains("1 / 1") && !page.contains("<script"), "{page}");
    assert_eq!(bench.send("/licences/1/enabled", &[]).0, 400);
    let page = bench.page("/events");
    assert!(
        page.contains("POST /licences/{KeyNo}/enabled") && page.contains("admin") && page.contains("400"),
        "{page}"
    );
    assert!(bench.page("/usage").contains("hour by hour"));
    let look = |target: &str, account| bench.ask(request("GET", target, account)).status;
    for target in ["/denials", "/usage"] {
        assert_eq!((look(target, None), look(target, VIEWER)), (401, 200), "{target}");
    }
    assert_eq!((look("/events", None), look("/events", VIEWER), look("/events", OPERATOR)), (401, 403, 200));
    let menu = |account| text(&bench.ask(request("GET", "/", account))).contains("href=\"/events\"");
    assert_eq!((menu(VIEWER), menu(OPERATOR)), (false, true));
}
