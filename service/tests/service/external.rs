//! Sessions from outside 1C, one by one and many at once; keys that need an access code.

use serde_json::{Value, json};

use crate::bench::*;

fn named(name: &str) -> Value {
    json!({ "KeyID": "672B", "ClientSessionID": name })
}

fn many(names: &[&str]) -> Value {
    json!({ "Sessions": names.iter().map(|name| named(name)).collect::<Vec<_>>() })
}

fn statuses(body: &Value) -> Vec<u64> {
    body["Sessions"].as_array().unwrap().iter().map(|row| row["Status"].as_u64().unwrap()).collect()
}

#[test]
fn many_sessions_take_and_give_back_licences_in_one_call() {
    let bench = Bench::ready("bulk");
    bench.install(1, |licence| licence.licence_count = 2);
    let (status, body) = bench.post("/api/bulk/take", &many(&["a", "b", "c", "a"]));
    assert_eq!((status, statuses(&body)), (200, vec![201, 201, 409, 200]));
    let rows = &body["Sessions"];
    assert_eq!((&rows[0]["ID"], &rows[0]["UsedLicence"]), (&rows[3]["ID"], &json!(1)));
    assert_eq!((&rows[2]["ID"], &rows[2]["Error"]["ErrorCode"]), (&Value::Null, &json!(302)));
    let (_, listed) = bench.get("/api/sessions?fields=ID,SessionNumber,ExpireTime");
    assert_eq!(listed["Sessions"].as_array().unwrap().len(), 2);
    assert_eq!(listed["Sessions"][0]["ExpireTime"], rows[0]["ExpireTime"]);

    let mut wanted = many(&["b", "nobody"]);
    wanted["Sessions"].as_array_mut().unwrap().push(json!({ "KeyID": "0001", "ClientSessionID": "a" }));
    let (status, body) = bench.post("/api/bulk/release", &wanted);
    assert_eq!((status, statuses(&body)), (200, vec![200, 404, 404]));
    assert_eq!(statuses(&bench.post("/api/bulk/take", &many(&["c"])).1), [201], "its licence is free at once");

    let names: Vec<String> = (0..501).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for path in ["/api/bulk/take", "/api/bulk/release"] {
        assert_eq!(bench.post(path, &many(&names)).1["ErrorCode"], 125);
        assert_eq!(bench.post(path, &json!({ "Sessions": 1 })).0, 400);
        assert_eq!(statuses(&bench.post(path, &many(&[])).1), [0; 0]);
    }
}

#[test]
fn one_session_is_renewed_and_ended_by_its_identifier() {
    let bench = Bench::ready("renew");
    bench.install(1, |licence| licence.licence_count = 1);
    let taken = bench.ask(write("POST", "/api/sessions", CHANGED, &named("a")));
    let id = taken.headers.get("licence-sessionid").unwrap().to_owned();
    let path = format!("/api/sessions/{id}");
    let before = bench.get(&path).1;
    bench.clock.advance(60_000);
    for method in ["PUT", "POST"] {
        let (status, session) = bench.write(method, &path, &Value::Null);
        assert_eq!((status, &session["ID"]), (200, &json!(id)));
        assert!(session["ExpireTime"].as_str() > before["ExpireTime"].as_str(), "{session}");
    }
    assert_eq!(bench.delete(&path).1["SessionNumber"], "a");
    assert_eq!((bench.delete(&path).0, bench.write("PUT", &path, &Value::Null).0), (404, 404));
    assert_eq!(bench.post("/api/sessions", &named("b")).0, 201, "its licence is free at once");
    for path in ["/api/sessions/x", "/api/connections/x", "/api/connections/AF72CC4124DD4B588AA9039D31035A5C"] {
        assert_eq!(bench.delete(path).0, 404, "{path}");
    }
}

#[test]
fn a_session_is_given_back_under_the_name_that_its_application_gave_it() {
    let bench = Bench::ready("given-back");
    bench.install(1, |licence| licence.licence_count = 2);
    for name in ["phone 7", "0123456789ABCDEF0123456789ABCDEF"] {
        assert_eq!(bench.post("/api/sessions", &named(name)).0, 201);
        let path = format!("/api/sessions/{}", name.replace(' ', "%20"));
        assert_eq!(bench.get(&path).1["SessionNumber"], name);
        bench.clock.advance(60_000);
        assert_eq!(bench.write("PUT", &path, &Value::Null).0, 200);
        let (status, last) = bench.delete(&path);
        assert_eq!((status, &last["SessionNumber"]), (200, &json!(name)));
        assert_eq!(bench.delete(&path).0, 404);
    }
    assert_eq!(bench.get("/api/sessions").1["Sessions"], json!([]));
    assert!(!bench.get("/api/events").1.to_string().contains("phone"), "it is everyday use");
}

#[test]
fn a_name_that_sessions_of_two_series_have_is_asked_about() {
    let bench = Bench::ready("alike");
    let (one, other) = (Vendor::first(), Vendor::second());
    for (file, vendor) in [("one.licence", &one), ("other.licence", &other)] {
        bench.put(file, vendor.licence(bench.identity(), 1, |_| {}).text);
    }
    bench.service.reload_keys();
    for vendor in [&one, &other] {
        let mut body = named("a");
        body["SeriesKey"] = json!(vendor.series().root.to_string());
        assert_eq!(bench.post("/api/sessions", &body).0, 201);
    }
    let (status, refusal) = bench.delete("/api/sessions/a");
    assert_eq!((status, &refusal["ErrorCode"]), (400, &json!(128)));
    assert!(refusal["Message"].as_str().unwrap().contains(&other.series().root.to_string()), "{refusal}");
    assert_eq!(bench.delete(&format!("/api/sessions/a?serieskey={}", other.series().root)).0, 200);
    assert_eq!(bench.delete("/api/sessions/a").0, 200, "the other one is alone now");
}

#[test]
fn the_start_of_an_external_session_is_any_text() {
    let bench = Bench::ready("started");
    bench.install(1, |_| {});
    let started = |text: Value| {
        let mut body = named(&format!("s{}", text.to_string().replace('"', "")));
        body["SessionStarted"] = text;
        let (status, taken) = bench.post("/api/sessions", &body);
        assert_eq!(status, 201, "{taken}");
        bench.get(&format!("/api/sessions/{}", taken["SessionID"].as_str().unwrap())).1["SessionStarted"].clone()
    };
    assert_eq!(started(json!("2020-01-01T12:52:20")), "2020-01-01T12:52:20.000Z");
    assert_eq!(started(json!("01.01.2020 12:52:20")), "01.01.2020 12:52:20");
    assert_eq!(started(json!("утром")), "утром");
    assert_eq!((started(json!("")), started(Value::Null)), (Value::Null, Value::Null));
    let page = String::from_utf8(bench.ask(request("GET", "/", CHANGED)).body).unwrap();
    assert!(page.contains("утром"), "{page}");
}

#[test]
fn a_key_that_is_set_aside_opens_to_its_code_and_whoever_guesses_has_to_wait() {
    let conf = "[Console]\nPassword=another password\nEnableAccessCodes=1\n[AccessCodes]\nsesame=1\n";
    let bench = Bench::new("codes", conf);
    bench.install(1, |_| {});
    let coded = |name: &str, code: &str| {
        let mut body = named(name);
        body["AccessCode"] = json!(code);
        body
    };
    assert_eq!(bench.post("/api/sessions", &named("a")).1["ErrorCode"], 322, "no code");
    assert_eq!(bench.post("/api/sessions", &coded("a", "sesame")).0, 201);
    assert_eq!(bench.get("/api/sessions").1["Sessions"][0]["AccessCode"], "sesame");
    assert_eq!(bench.post("/api/sessions", &coded("a", " sesame ")).0, 200);
    for number in 0..4 {
        let (status, refusal) = bench.post("/api/sessions", &coded("b", &format!("guess {number}")));
        assert_eq!((status, &refusal["ErrorCode"]), (403, &json!(321)));
    }
    let guesses: Vec<Value> = (0..4).map(|number| coded("b", &format!("another {number}"))).collect();
    let (_, body) = bench.post("/api/bulk/take", &json!({ "Sessions": guesses }));
    let codes: Vec<_> =
        body["Sessions"].as_array().unwrap().iter().map(|row| row["Error"]["ErrorCode"].clone()).collect();
    assert_eq!(codes, [json!(321), json!(113), json!(113), json!(113)]);
    assert_eq!(bench.post("/api/sessions", &coded("b", "sesame")).1["ErrorCode"], 113, "even the right one waits");
    bench.clock.advance(60_000);
    assert_eq!(bench.post("/api/sessions", &coded("b", "sesame")).0, 201);
}

#[test]
fn a_session_of_the_component_is_not_a_caller_s_to_renew_but_an_operator_may_end_it() {
    let bench = Bench::ready("foreign");
    bench.install(1, |licence| licence.licence_count = 1);
    let (connection, session) = bench.claim();
    let path = format!("/api/sessions/{session}");
    assert_eq!(bench.write("PUT", &path, &Value::Null).1["ErrorCode"], 124);
    let (status, ended) = bench.delete(&format!("/api/connections/{connection}"));
    assert_eq!((status, &ended["ID"]), (200, &json!(connection)));
    assert_eq!((bench.get(&path).0, bench.get(&format!("/api/connections/{connection}")).0), (404, 404));
    assert_eq!(bench.post("/api/sessions", &named("b")).0, 201, "its licence is free at once");
}
