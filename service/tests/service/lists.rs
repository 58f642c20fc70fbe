//! Filters, shape and paging of lists as they are served.

use serde_json::{Value, json};
use web::Response;

use crate::bench::*;

/// A service on which users `a`, `b` and `c` hold a licence each, taken one after the other.
fn with_sessions(name: &str) -> Bench {
    let bench = Bench::ready(name);
    bench.install(1, |_| {});
    for user in ["a", "b", "c"] {
        let body = json!({ "KeyID": "672B", "ClientSessionID": user, "UserName": user, "AppName": "=cmd,1" });
        assert_eq!(bench.post("/api/sessions", &body).0, 201);
        bench.clock.advance(1000);
    }
    bench
}

fn ask(bench: &Bench, query: &str) -> Response {
    bench.ask(request("GET", &format!("/api/sessions{query}"), CHANGED))
}

fn users(bench: &Bench, query: &str) -> Vec<String> {
    let (status, list) = bench.get(&format!("/api/sessions{query}"));
    assert_eq!(status, 200, "{list}");
    let rows = list["Sessions"].as_array().unwrap().iter();
    rows.map(|row| row["UserName"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_list_is_filtered_sorted_and_paged_by_its_query_string() {
    let bench = with_sessions("lists");
    assert_eq!(users(&bench, ""), ["a", "b", "c"], "in the order in which they were granted");
    assert_eq!(users(&bench, "?sort=-UserName&limit=2"), ["c", "b"]);
    assert_eq!(users(&bench, "?KeyID=672b&Expired=false&UserName=B&UserName=c"), ["b", "c"]);
    assert_eq!(users(&bench, "?KeyID=0001"), [""; 0]);
    assert_eq!(users(&bench, "?sort=ExpireTime&offset=2"), ["c"]);
    let page = ask(&bench, "?fields=UserName,KeyID&limit=1&offset=1");
    assert_eq!(page.body, br#"{"Sessions":[{"UserName":"b","KeyID":"672B"}]}"#);
    assert_eq!(page.headers.get("x-total-count"), Some("3"));
}

#[test]
fn a_list_comes_as_csv_too_with_nothing_that_a_spreadsheet_would_run() {
    let bench = with_sessions("csv");
    let csv = ask(&bench, "?format=csv&fields=UserName,AppName&limit=1");
    assert_eq!(csv.headers.get("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(String::from_utf8(csv.body).unwrap(), "UserName,AppName\r\na,\"'=cmd,1\"\r\n");
}

#[test]
fn an_unknown_name_is_refused_with_all_that_are_known() {
    let bench = with_sessions("unknown");
    for query in ["?Key=672B", "?fields=ID,Nothing", "?sort=Nothing", "?since=2020-01-01"] {
        let (status, refusal) = bench.get(&format!("/api/sessions{query}"));
        assert_eq!((status, &refusal["ErrorCode"]), (400, &json!(121)), "{query}");
        assert!(refusal["Message"].as_str().unwrap().contains("SessionNumber, IsServer"), "{refusal}");
    }
    for list in ["connections", "licences", "denials", "usage", "events"] {
        assert_eq!(bench.get(&format!("/api/{list}?Nothing=1")).1["ErrorCode"], 121, "{list}");
    }
    let names = |query: &str| bench.get(&format!("/api/sessions{query}")).1["Sessions"].clone();
    let (asked, spelled) =
        ("?IsServer=false&fields=ID,KeyID&limit=9", "?isserver=false&Fields=id,keyid&LIMIT=9&_=1700000000");
    assert_eq!(names(spelled), names(asked), "however names are written");
    assert!(names(asked)[0]["KeyID"].is_string());
    for query in ["?limit=0", "?limit=x", "?format=xml", "?IsServer=perhaps", "?ExpireTime=soon"] {
        assert_eq!(bench.get(&format!("/api/sessions{query}")).1["ErrorCode"], 122, "{query}");
    }
    assert_eq!(bench.get("/api/usage?grain=2h").1["ErrorCode"], 122);
    assert_eq!(bench.get("/api/denials?since=soon").1["ErrorCode"], 122);
}

#[test]
fn a_list_that_has_not_changed_is_not_sent_again() {
    let bench = with_sessions("etag");
    let first = ask(&bench, "");
    let tag = first.headers.get("etag").unwrap().to_owned();
    let again = |tag: &str| bench.ask(with(request("GET", "/api/sessions", CHANGED), "If-None-Match", tag));
    let same = again(&format!("\"other\", W/{tag}"));
    assert_eq!((same.status, same.body.len(), same.headers.get("etag")), (304, 0, Some(tag.as_str())));
    assert_eq!(again("*").status, 304);
    assert!(same.headers.get("licence-signature").is_some(), "signed over the query's identifier alone");
    let id = json(&first)["Sessions"][0]["ID"].as_str().unwrap().to_owned();
    assert_eq!(bench.delete(&format!("/api/sessions/{id}")).0, 200);
    let changed = again(&tag);
    assert_eq!((changed.status, json(&changed)["Sessions"].as_array().map(Vec::len)), (200, Some(2)));
}

#[test]
fn a_moment_that_lies_ahead_is_the_same_in_a_list_and_in_a_single_read() {
    let bench = with_sessions("same");
    let (_, list) = bench.get("/api/sessions");
    for row in list["Sessions"].as_array().unwrap() {
        // The two clocks of a real machine are not read in the same instant.
        bench.clock.skew(1);
        assert_eq!(bench.get(&format!("/api/sessions/{}", row["ID"].as_str().unwrap())).1, *row);
        bench.clock.skew(-1);
    }
}

#[test]
fn licences_are_listed_with_files_that_can_not_be_read_and_filtered_like_all_lists() {
    let bench = Bench::ready("licences");
    bench.install(1, |_| {});
    bench.install(2, |licence| licence.itn = Some("0123456789".into()));
    bench.put("broken.licence", "nothing");
    bench.service.reload_keys();
    let list = |query: &str| bench.get(&format!("/api/licences{query}")).1["Licences"].as_array().unwrap().clone();
    assert_eq!(list("").len(), 3);
    assert_eq!(list("?KeyNo=2&fields=ITN"), [json!({ "ITN": "0123456789" })], "text, for it begins with 0");
    assert_eq!(list("?ITN=1234567890&fields=KeyNo"), [json!({ "KeyNo": 1 })]);
    let broken = list("?KeyNo=&fields=KeyNo,Workable,Expired");
    assert_eq!(broken, [json!({ "KeyNo": null, "Workable": false, "Expired": null })]);
    let numbers: Vec<Value> = list("?sort=-KeyNo&fields=KeyNo").into_iter().map(|row| row["KeyNo"].clone()).collect();
    assert_eq!(numbers, [json!(2), json!(1), Value::Null]);
}
