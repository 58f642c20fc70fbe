//! The API against the samples of the administrator's guide, and its signature.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use licence::crypto::Crypto;
use licence::crypto::public_key_from_pem;
use licence::crypto::ring::PROVIDER;
use serde_json::{Value, json};
use web::{Reply, Response, Service};

use crate::bench::*;

fn samples() -> Value {
    json!({
        "error": { "Code": 404, "Text": "Not found", "Message": "(EHTTPNotFound) …", "Exception": "EHTTPNotFound" },
        "about": { "Version": "3.0.15.7528", "Urns": ["/api/serverinfo"] },
        "serverinfo": {
            "ComputerName": "MORA-HP", "LocalIP": "192.168.56.1", "OSType": "Windows", "OSVersion": "Windows 10",
            "ModuleName": "licenceserver.exe", "PID": 5736, "CPU": "i386", "Version": "3.0.15.7528",
            "Started": "2018-04-02T20:41:13.272Z", "ComputerID": "D365ACC38180015CD3A30E62BF1072392D4DD5C1"
        },
        "licence": {
            "Type": "Virtual", "FileName": "672B.7131766.licence", "Enabled": true, "IsBlank": false, "Workable": true,
            "OpenError": null, "Version": "6", "KeyNo": 7131766, "KeyID": "672B", "RegNo": 202, "KeyType": 3,
            "ServiceType": 0, "LicenceCount": 5, "ProductVersion": 0, "BlankKeyNo": null,
            "ActivationCode": "4345-9320-2035-7421-5361", "ActivationDate": "2018-03-30T21:00:00.414Z",
            "StartDate": null, "Period": 0, "ExpireDate": null, "DaysLeft": null, "Expired": false, "Flags": "0",
            "ITN": 1234567890, "IEC": null, "ProductName": "x", "Article": "111111111111", "ArticleName": "x"
        },
        "connection": {
            "ID": "AF72CC4124DD4B588AA9039D31035A5C", "PeerIP": "127.0.0.1", "Created": "2018-04-03T14:06:59.317Z",
            "LastUsed": "2018-04-03T14:07:09.320Z", "OSVersion": "x", "ComputerName": "MORA-HP", "LocalIP": "192.168.1.38",
            "Process": "1cv8c.exe", "CPU": "i386", "PID": "8236", "IsServer": false, "PlatformVersion": "8.3.11.2954",
            "ModuleName": "v8.tmp", "Version": "3.0.15.7522", "KeyID": "672B", "ExpireTime": "2018-04-03T14:07:29.320Z",
            "Expired": "False"
        },
        "session": {
            "ID": "DB4AC14978FA4B5815A813550A031424", "SessionNumber": "2", "IsServer": false,
            "InfoBaseConnectionString": "File=\"D:\\\\DemoDb\";", "AppName": "1CV8C", "ComputerName": "MORA-HP",
            "UserName": null, "SessionStarted": "2018-04-03T14:06:58.000Z",
            "SessionConnection": "AF72CC4124DD4B588AA9039D31035A5C", "AccessCode": null,
            "ExpireTime": "2018-04-03T14:23:43.787Z", "Expired": "False", "KeyID": "672B", "UsedLicence": 7131766
        }
    })
}

/// Every field of the sample is there, of the sample's type, and times are written as the guide writes them.
fn fits(name: &str, actual: &Value) {
    let samples = samples();
    let (sample, actual) = (samples[name].as_object().unwrap(), actual.as_object().unwrap());
    for (field, expected) in sample {
        let value = actual.get(field).unwrap_or_else(|| panic!("{name}: no {field}"));
        let same = std::mem::discriminant(value) == std::mem::discriminant(expected);
        assert!(same, "{name}.{field}: {value} where the guide has {expected}");
        if expected.as_str().is_some_and(|text| text.ends_with('Z') && text.contains('T')) {
            let text = value.as_str().unwrap();
            assert!(text.len() == 24 && text.ends_with('Z') && &text[19..20] == ".", "{name}.{field}: {text}");
        }
    }
    let known = |field: &String| sample.contains_key(field) || beside(name).contains(&field.as_str());
    let extra: Vec<_> = actual.keys().filter(|field| !known(field)).collect();
    assert!(extra.is_empty(), "{name}: {extra:?}");
    for field in beside(name) {
        assert!(actual.contains_key(*field), "{name}: no {field}");
    }
}

/// Fields beside the guide's: our own, and those of newer servers.
fn beside(name: &str) -> &'static [&'static str] {
    match name {
        "error" => &["ErrorCode", "Error"],
        "about" => &["Operations"],
        "serverinfo" => &["Clock", "Warnings"],
        "licence" => &[
            "SeriesKey",
            "SwitchedOn",
            "SupportDate",
            "SupportPeriod",
            "SupportTypeName",
            "IndustrySupportTypeName",
            "SupportType",
            "IndustrySupportDate",
            "IndustrySupportPeriod",
            "IndustrySupportType",
            "ProductVersionName",
            "Recovered",
            "UpdateDate",
        ],
        "session" => &["InfoBaseConnectionStr"],
        _ => &[],
    }
}

#[test]
fn what_the_vendor_states_of_support_is_shown_with_codes_that_programs_compare() {
    let bench = Bench::ready("support");
    bench.install(1, |licence| {
        licence.support.support_date = Some("2027-05-01".parse().unwrap());
        licence.support.product_version_name = Some("ПРОФ 3.1".into());
        licence.support.support_type = Some("ПРОФ".into());
    });
    bench.install(2, |licence| (licence.key_type, licence.product_version) = (licence::key::KeyType::Additional, 3));
    let (_, key) = bench.get("/api/licences/1");
    assert_eq!(key["SupportDate"], "2027-05-01T00:00:00.000Z");
    assert_eq!(key["ProductVersionName"], "ПРОФ 3.1");
    assert_eq!((&key["SupportType"], &key["SupportTypeName"]), (&json!(2), &json!("ПРОФ")));
    for field in ["SupportPeriod", "IndustrySupportPeriod", "IndustrySupportType"] {
        assert_eq!(key[field], 0, "{field}: {key}");
    }
    assert_eq!(key["UpdateDate"], key["ActivationDate"], "nothing was updated yet");
    assert_eq!(bench.get("/api/licences/2").1["ProductVersionName"], "3");
    for field in ["IndustrySupportDate", "IndustrySupportTypeName", "Recovered"] {
        assert!(key[field].is_null() && key.as_object().unwrap().contains_key(field), "{field}: {key}");
    }
    let page = String::from_utf8(bench.ask(request("GET", "/licences/1?lang=en", CHANGED)).body).unwrap();
    assert!(
        page.contains("ПРОФ until 2027-05-01")
            && !page.contains("Updated")
            && page.contains("ПРОФ 3.1")
            && !page.contains("Industry"),
        "{page}"
    );
}

#[test]
fn answers_have_the_fields_and_types_of_the_guide_s_samples() {
    let bench = Bench::ready("samples");
    bench.install(7_131_766, |_| {});
    let (connection, session) = bench.claim();

    let (_, about) = bench.get("/api");
    fits("about", &about);
    assert_eq!(about["Version"], licence::version::VERSION);
    let first = ["/api/serverinfo", "/api/licences", "/api/connections", "/api/sessions"];
    assert_eq!(about["Urns"].as_array().unwrap()[..4], first.map(Value::from), "in the guide's order");
    let (_, info) = bench.get("/api/serverinfo");
    fits("serverinfo", &info);
    assert_eq!(info["PID"], std::process::id());
    fits("licence", &bench.get("/api/licences").1["Licences"][0]);
    fits("licence", &bench.get("/api/licences/7131766").1);
    fits("connection", &bench.get("/api/connections").1["Connections"][0]);
    fits("connection", &bench.get(&format!("/api/connections/{connection}")).1);
    fits("session", &bench.get("/api/sessions").1["Sessions"][0]);
    let (_, shown) = bench.get(&format!("/api/sessions/{session}"));
    fits("session", &shown);
    for name in ["InfoBaseConnectionString", "InfoBaseConnectionStr"] {
        assert_eq!(shown[name], "File=\"D:\\DemoDb\";");
    }
    let (status, missing) = bench.get("/api/someurl");
    fits("error", &missing);
    assert_eq!((status, &missing["Code"], &missing["Text"]), (404, &json!(404), &json!("Not found")));
    assert!(missing["Message"].as_str().unwrap().contains("The requested URL \"/api/someurl\" was not found."));
    for path in ["/api/licences/1", "/api/licences/x", "/api/sessions/1", "/api/connections/zz"] {
        assert_eq!(bench.get(path).0, 404, "{path}");
    }
}

#[test]
fn an_external_session_takes_a_licence_once_and_renews_it() {
    let bench = Bench::ready("external");
    bench.install(1, |licence| licence.licence_count = 1);
    let body = json!({
        "KeyID": "672b", "ClientSessionID": "0123456789ABCDEF", "AppName": "MobileClient", "UserName": "MobileUser",
        "ComputerName": "Tablet", "SessionStarted": "2020-01-01T12:52:20"
    });
    let (status, mut licence) = bench.post("/api/sessions", &body);
    assert_eq!((status, &licence["KeyNo"]), (201, &json!(1)));
    let before = bench.get("/api/sessions").1["Sessions"][0].clone();
    let lease = ["SessionID", "ExpireTime"].map(|field| licence.as_object_mut().unwrap().remove(field).unwrap());
    assert_eq!(lease, [before["ID"].clone(), before["ExpireTime"].clone()]);
    fits("licence", &licence);
    fits(
        "session",
        &json!({ "InfoBaseConnectionString": "", "SessionConnection": "", "UserName": null })
            .as_object()
            .unwrap()
            .iter()
            .fold(before.clone(), |mut value, (field, sample)| {
                value[field] = sample.clone();
                value
            }),
    );
    bench.clock.advance(60_000);
    assert_eq!(bench.post("/api/sessions", &body).0, 200);
    let after = bench.get("/api/sessions").1["Sessions"][0].clone();
    assert_eq!(before["ID"], after["ID"]);
    assert!(before["ExpireTime"].as_str() < after["ExpireTime"].as_str(), "{before} {after}");
    let (status, refusal) = bench.post("/api/sessions", &json!({ "KeyID": "672B", "ClientSessionID": "other" }));
    assert_eq!((status, &refusal["Exception"]), (409, &json!("EServerResult.ELicenceNotFound")));
    assert_eq!(bench.post("/api/sessions", &json!({ "KeyID": "0001", "ClientSessionID": "x" })).0, 404);
    for wrong in [json!({}), json!([]), json!({ "KeyID": "672B" }), json!({ "KeyID": "672B", "ClientSessionID": "" })] {
        assert_eq!(bench.post("/api/sessions", &wrong).0, 400, "{wrong}");
    }
}

fn signature_holds(bench: &Bench, query: &str, response: &Response) {
    let pem = bench.ask(request("GET", "/api/publickey", None));
    let spki = public_key_from_pem(std::str::from_utf8(&pem.body).unwrap()).unwrap();
    let signature = response.headers.get("licence-signature").expect("no signature");
    assert_eq!(response.headers.get("licence-querysignature"), Some(signature));
    let signature = STANDARD.decode(signature).unwrap();
    let message = [query.as_bytes(), &response.body].concat();
    assert!(PROVIDER.rsa_verify(&spki, &message, &signature));
    assert!(!PROVIDER.rsa_verify(&spki, &[b"x".as_slice(), &message].concat(), &signature));
    assert_eq!(response.headers.get("licence-serverversion"), Some(licence::version::SERVER_VERSION));
}

#[test]
fn every_answer_errors_included_is_signed_over_query_and_body() {
    let bench = Bench::ready("signature");
    for (method, path, account, status) in [
        ("GET", "/api", CHANGED, 200),
        ("GET", "/api/licences", CHANGED, 200),
        ("GET", "/api/publickey", None, 200),
        ("GET", "/api/licences", None, 401),
        ("GET", "/api/licences/1", CHANGED, 404),
        ("GET", "/api/nothing", CHANGED, 404),
        ("DELETE", "/api/licences", CHANGED, 405),
        ("POST", "/api/sessions", CHANGED, 400),
        ("GET", "/api/certificate", CHANGED, 400),
    ] {
        let asked = with(request(method, path, account), "Licence-QueryID", "20200127230600");
        let response = bench.ask(asked);
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(response.headers.get("licence-queryid"), Some("20200127230600"));
        signature_holds(&bench, "20200127230600", &response);
        let plain = bench.ask(request(method, path, account));
        assert_eq!(plain.headers.get("licence-queryid"), None);
        signature_holds(&bench, "", &plain);
    }
}

#[test]
fn an_identifier_that_could_be_a_chosen_text_is_neither_signed_nor_repeated() {
    let bench = Bench::ready("chosen");
    let long = "1".repeat(129);
    for id in ["{\"Code\":200}", "a\\u0022", "", &long] {
        let response = bench.ask(with(request("GET", "/api", CHANGED), "Licence-QueryID", id));
        assert_eq!(response.status, 400, "{id}");
        for name in ["licence-queryid", "licence-signature", "licence-querysignature"] {
            assert_eq!(response.headers.get(name), None);
        }
    }
}

#[test]
fn dates_with_spaces_and_identifiers_in_braces_are_repeated_and_signed() {
    let bench = Bench::ready("spaced");
    let long = "~".repeat(128);
    for id in ["27.01.2020 23:06:00", "{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "a/b?c=d&e;[f]", &long] {
        let response = bench.ask(with(request("GET", "/api", CHANGED), "Licence-QueryID", id));
        assert_eq!((response.status, response.headers.get("licence-queryid")), (200, Some(id)));
        signature_holds(&bench, id, &response);
    }
}

#[test]
fn a_switched_off_api_says_so() {
    let bench = Bench::new("api-off", "[API]\nEnabled=0\n[Console]\nPassword=another password\n");
    let (status, body) = bench.get("/api/licences");
    assert_eq!((status, &body["Code"]), (503, &json!(503)));
    assert!(body["Message"].as_str().unwrap().contains("[API] Enabled=1"));
    assert_eq!(bench.ask(request("GET", "/healthz", None)).status, 200);
}

#[test]
fn texts_are_in_the_language_that_was_asked_for_else_in_that_of_the_settings() {
    let bench = Bench::ready("language");
    let said = |language: Option<&str>| {
        let mut asked = request("GET", "/api/nothing", CHANGED);
        asked.headers.remove("accept-language");
        let asked = language.map_or(asked.clone(), |language| with(asked, "Accept-Language", language));
        json(&bench.ask(asked))["Message"].as_str().unwrap().to_owned()
    };
    assert!(said(Some("en-GB,ru;q=0.5")).contains("was not found"));
    assert!(said(Some("ru")).contains("не найден") && said(None).contains("не найден"));
}

#[test]
fn a_flood_of_strangers_does_not_hold_up_those_who_have_signed_in() {
    let bench = Bench::ready("flood");
    let strangers: Vec<_> = (0..500).map(|_| bench.service.call(request("GET", "/api/licences", None))).collect();
    assert_eq!(bench.get("/api/licences").0, 200);
    for reply in strangers {
        let Reply::Later(pending) = reply else { panic!("{reply:?}") };
        let answer = pending.wait();
        // Who was turned away unheard is told so as everybody else is.
        let code = if answer.status == 503 { 108 } else { 103 };
        assert!([401, 503].contains(&answer.status), "{}", answer.status);
        assert_eq!(json(&answer)["ErrorCode"], code);
    }
}
