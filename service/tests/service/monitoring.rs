//! What monitoring reads: the summary, what was written down, figures for Prometheus, the description of the API; and the keys
//! that an administrator switches and removes.

use serde_json::{Value, json};
use web::{Access, Method};

use crate::bench::*;

#[test]
fn the_summary_counts_keys_seats_and_sessions_by_series() {
    let bench = Bench::ready("summary");
    bench.install(1, |_| {});
    bench.install(2, |licence| {
        licence.key_type = licence::key::KeyType::Additional;
        licence.licence_count = 3;
        licence.start_date = Some(licence::Time(NOW - DAY));
        licence.period = 10;
    });
    bench.install(3, |licence| licence.identity = bench.other_identity());
    assert_eq!(bench.seats(), 8);
    bench.claim_refused();
    let (status, summary) = bench.get("/api/summary");
    assert_eq!(status, 200);
    assert_eq!(
        ["Keys", "UsableKeys", "Total", "Used", "Free", "Connections", "Sessions"]
            .map(|name| summary[name].as_u64().unwrap()),
        [3, 2, 8, 8, 0, 1, 8]
    );
    let series = &summary["Series"][0];
    assert_eq!(
        (&series["KeyID"], &series["ProductName"], &series["Peak"]),
        (&json!("672B"), &json!("Тестовая серия"), &json!(8))
    );
    assert_eq!(series["ByKeyType"][0], json!({ "KeyType": 3, "Keys": 2, "Total": 5, "Used": 5 }));
    assert_eq!(series["ByKeyType"][1], json!({ "KeyType": 4, "Keys": 1, "Total": 3, "Used": 3 }));
    assert_eq!(series["ByKind"], json!({ "Server": 0, "Desktop": 0, "Terminal": 0, "External": 8 }));
    assert_eq!((&summary["Warnings"][0]["KeyNo"], &summary["StoreFailure"]), (&json!(2), &Value::Null));

    let (_, denials) = bench.get("/api/denials?fields=KeyID,Kind,ErrorCode,Held,Total,Count&sort=Kind");
    assert_eq!(
        denials["Denials"],
        json!([
            { "KeyID": "672B", "Kind": "desktop", "ErrorCode": 302, "Held": 8, "Total": 8, "Count": 1 },
            { "KeyID": "672B", "Kind": "external", "ErrorCode": 302, "Held": 8, "Total": 8, "Count": 1 }
        ])
    );
    assert_eq!(bench.get("/api/denials?until=2000-01-01").1["Denials"], json!([]));
}

#[test]
fn usage_is_told_by_intervals() {
    let bench = Bench::ready("usage");
    bench.install(1, |_| {});
    assert_eq!(bench.seats(), 5);
    // The ledger's timer samples by itself, once its clock has gone on for long enough.
    let rows = std::iter::repeat_with(|| {
        bench.clock.advance(11_000);
        std::thread::yield_now();
        bench.get("/api/usage?grain=5m").1["Usage"].as_array().unwrap().clone()
    });
    let rows = rows.take(100_000).find(|rows| !rows.is_empty()).unwrap();
    assert_eq!((&rows[0]["KeyID"], &rows[0]["Seconds"]), (&json!("672B"), &json!(300)));
    assert_eq!((&rows[0]["PeakUsed"], &rows[0]["PeakTotal"]), (&json!(5), &json!(5)));
}

#[test]
fn what_administrators_do_is_told_by_the_events() {
    let bench = Bench::ready("events");
    bench.install(1, |_| {});
    assert_eq!(bench.write("PUT", "/api/licences/1", &json!({ "Enabled": false })).0, 202);
    assert_eq!(bench.delete("/api/sessions/AF72CC4124DD4B588AA9039D31035A5C").0, 404);
    let (status, events) = bench.get("/api/events?fields=Act,Object,UserName,PeerIP,Status,ErrorCode");
    assert_eq!(status, 200);
    let by = |act: &str, object: &str, status: u16, error: Value| json!({ "Act": act, "Object": object, "UserName": "admin", "PeerIP": "127.0.0.1", "Status": status, "ErrorCode": error });
    let path = "/api/sessions/AF72CC4124DD4B588AA9039D31035A5C";
    assert_eq!(
        events["Events"],
        json!([
            by("DELETE /api/sessions/{ID}", path, 404, json!(112)),
            by("PUT /api/licences/{KeyNo}", "/api/licences/1", 202, Value::Null)
        ])
    );
}

#[test]
fn a_key_is_switched_off_and_on_and_removed_with_a_copy_kept() {
    let bench = Bench::ready("switch");
    let key = bench.install(1, |_| {});
    bench.put("copy.licence", &key.text);
    bench.service.reload_keys();
    for (method, enabled, seats) in [("PUT", false, 0), ("POST", true, 5)] {
        let (status, info) = bench.write(method, "/api/licences/1", &json!({ "Enabled": enabled }));
        let told = (status, &info["Enabled"], &info["SwitchedOn"], &info["Workable"]);
        assert_eq!(told, (202, &json!(enabled), &json!(enabled), &json!(true)));
        assert_eq!(bench.get("/api/summary").1["Total"], seats);
    }
    for wrong in [json!({}), json!({ "Enabled": "no" }), json!(null)] {
        assert_eq!(bench.write("PUT", "/api/licences/1", &wrong).0, 400, "{wrong}");
    }
    assert_eq!(bench.delete("/api/licences/1").1["KeyNo"], 1);
    assert_eq!(
        (bench.delete("/api/licences/1").0, bench.write("PUT", "/api/licences/1", &json!({ "Enabled": true })).0),
        (404, 404)
    );
    assert_eq!(bench.get("/api/licences").1["Licences"], json!([]), "its copies go too");
    let root = &key.series.root.to_string()[..8];
    let kept = bench.root.join(format!("data/old/672B.1.{root}.1.licence"));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), key.text);
}

#[test]
fn prometheus_gets_figures_by_its_conventions() {
    let bench = Bench::ready("metrics");
    bench.install(1, |licence| licence.period = 10);
    assert_eq!(bench.seats(), 5);
    let response = bench.ask(request("GET", "/metrics", CHANGED));
    assert_eq!(response.headers.get("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8(response.body).unwrap();
    let labels = format!("series=\"672B\",series_key=\"{}\"", Vendor::first().series().root);
    for line in [
        "licenceserver_store_failing 0".to_owned(),
        "licenceserver_denials_total 1".to_owned(),
        format!("licenceserver_licences{{{labels}}} 5"),
        format!("licenceserver_licences_used{{{labels}}} 5"),
        format!("licenceserver_sessions{{{labels},kind=\"external\"}} 5"),
        format!("licenceserver_key_usable{{{labels},key_no=\"1\"}} 1"),
        format!("licenceserver_key_expire_time_seconds{{{labels},key_no=\"1\"}} {}", (NOW + 9 * DAY) / 1000),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(text.contains(&format!("# TYPE {name} ")), "{name} has no type");
        let is_counter = text.contains(&format!("# TYPE {name} counter"));
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
    }
    let off = Bench::new("metrics-off", "[API]\nEnabled=0\n[Console]\nPassword=another password\n");
    assert_eq!(off.ask(request("GET", "/metrics", CHANGED)).status, 200, "monitoring is not the API");
}

#[test]
fn balancers_ask_for_health_and_readiness_by_any_method_and_name_from_anywhere() {
    let bench =
        Bench::new("balanced", "[Console]\nLocalAccessOnly=1\nAllowedAddresses=10.0.0.0/8\n[TLS]\nRequired=1\n");
    for path in ["/healthz", "/readyz", "/systeminfo"] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(bench.ask(request_from(REMOTE, method, path, None)).status, 200, "{method} {path}");
            let named = with(request_from(REMOTE, method, path, None), "Host", "balancer.example");
            assert_eq!(bench.ask(named).status, 200, "{method} {path}");
        }
    }
    let named = with(request("GET", "/api", DEFAULT), "Host", "balancer.example");
    assert_eq!(bench.ask(named).status, 403, "nothing else is open");
}

#[test]
fn the_computer_s_own_names_need_no_setting() {
    let bench = Bench::ready("own-names");
    for name in licence::host::own_names::own_names() {
        let named = with(request("GET", "/api", CHANGED), "Host", &format!("{}.:9099", name.to_uppercase()));
        assert_eq!(bench.ask(named).status, 200, "{name}");
        let foreign = with(request("GET", "/api", CHANGED), "Host", &format!("{name}.evil.example"));
        assert_eq!(bench.ask(foreign).status, 403, "{name}");
    }
}

#[test]
fn a_service_that_ends_is_alive_but_not_ready() {
    let bench = Bench::ready("ready");
    assert_eq!(bench.ask(request("GET", "/readyz", None)).body, b"ready\n");
    bench.service.stop();
    assert_eq!(bench.ask(request("GET", "/readyz", None)).status, 503);
    assert_eq!(bench.ask(request("GET", "/healthz", None)).status, 200);
}

#[test]
fn the_list_of_addresses_and_the_description_name_every_route() {
    let bench = Bench::ready("described");
    let (_, about) = bench.get("/api");
    let (status, document) = bench.get("/api/openapi.json");
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    for (method, pattern, access) in bench.service.api_routes() {
        let told = about["Operations"].as_array().unwrap().iter();
        let line = told.clone().find(|line| line["Urn"] == pattern && line["Method"] == method.name()).unwrap();
        assert_eq!(line["Access"], format!("{access:?}"));
        let operation = &document["paths"][pattern][method.name().to_ascii_lowercase()];
        assert!(operation["responses"]["400"].is_object(), "{pattern}");
        assert_eq!(operation.get("security").is_some(), access == Access::Public, "{pattern}");
        if method == Method::Get && pattern != "/api" {
            assert_eq!(
                about["Urns"].as_array().unwrap().contains(&json!(pattern)),
                !pattern.contains('{'),
                "{pattern}"
            );
        }
    }
    let session = &document["paths"]["/api/sessions/{ID}"]["get"]["responses"]["200"]["content"]["application/json"];
    assert_eq!(session["schema"]["$ref"], "#/components/schemas/SessionInfo");
    assert_eq!(document["components"]["schemas"]["SessionInfo"]["properties"]["ExpireTime"]["format"], "date-time");
}

#[test]
fn settings_are_read_and_changed_without_touching_the_rest_of_the_file() {
    let conf = "; keep me\n[Console]\nPassword=another password\n[API]\n; and me\nEnabled=1\n";
    let bench = Bench::new("settings", conf);
    let value = |key: &str| bench.get(&format!("/api/settings?Key={key}")).1["Settings"][0].clone();
    assert_eq!(value("Password")["Value"], Value::Null);
    assert_eq!((&value("Lang")["Value"], &value("ServerPort")["AfterRestart"]), (&json!("ru"), &json!(true)));
    let change = |section: &str, key: &str, value: Value| json!({ "Section": section, "Key": key, "Value": value });
    let put = |changes: &[Value]| bench.write("PUT", "/api/settings", &json!({ "Settings": changes }));
    let (status, changed) =
        put(&[change("common", "lang", json!("en")), change("Console", "HostNames", json!("lic.example"))]);
    assert_eq!((status, &changed["Settings"][0]["Value"]), (202, &json!("en")));
    let path = bench.root.join("settings/licenceserver.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("HostNames=lic.example")
            && text.contains("; keep me\n")
            && text.contains("; and me\nEnabled=1\n"),
        "{text}"
    );
    assert_eq!(put(&[change("Common", "Lang", Value::Null)]).1["Settings"][0]["Value"], "ru", "its default");

    let before = std::fs::read_to_string(&path).unwrap();
    for (section, key, new, code) in [
        ("Common", "Nothing", "1", 121),
        ("API", "Enabled", "perhaps", 122),
        ("Console", "Password", "x", 100),
        ("Console", "UserName", "a\nb", 100),
    ] {
        let (status, refusal) = put(&[change("Common", "Lang", json!("en")), change(section, key, json!(new))]);
        assert_eq!((status, &refusal["ErrorCode"]), (400, &json!(code)), "{key}: {refusal}");
    }
    // Whom the server trusts and which files it opens is for those who can edit the file.
    for (section, key, new) in [
        ("Common", "LicenceCenterUrl", json!("https://attacker.example")),
        ("common", "licencecenterurl", Value::Null),
        ("TLS", "Certificate", json!("/etc/shadow")),
        ("TLS", "Key", json!("../data/server.identity")),
    ] {
        let (status, refusal) = put(&[change(section, key, new)]);
        assert_eq!((status, &refusal["ErrorCode"]), (403, &json!(150)), "{key}: {refusal}");
    }
    assert_eq!((&value("LicenceCenterUrl")["FileOnly"], &value("Lang")["FileOnly"]), (&json!(true), &json!(false)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "all changes or none");
    let fresh = Bench::new("settings-default", "");
    assert_eq!(json(&fresh.ask(request("GET", "/api/settings", DEFAULT)))["ErrorCode"], 105);
}
