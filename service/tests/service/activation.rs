//! Activation against a small centre that signs with the test keys.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use licence::activation::{
    ANSWER, Activate, Activated, Answer, ApiCertificate, FIRST_ANSWER, Outcome, Purpose, Request, Want,
};
use licence::code::ActivationCode;
use licence::key::Key;
use licence::{Code, Error};
use serde_json::{Value, json};

use crate::bench::*;

/// Serves `answer` on a free port until the process ends; gives its address.
pub fn centre(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let (status, text) = answer(std::str::from_utf8(&body).unwrap());
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
            (&stream).write_all((head + &text).as_bytes()).unwrap();
        }
    });
    address
}

/// The vendor's honest answer: key 1 with 5 seats, bound to the server that asks.
pub fn honest(request: &Request) -> Answer {
    let vendor = Vendor::first();
    let asked = asked(request);
    let key: Key = vendor.licence(request.identity, 1, |licence| {
        licence.activation_code = request.code().unwrap();
        licence.binding = licence::key::Binding::Computer(request.fingerprint.clone());
        licence.itn.clone_from(&asked.itn);
        licence.iec.clone_from(&asked.iec);
    });
    let certificate = ApiCertificate {
        key_id: vendor.series().key_id,
        identity: request.identity,
        key: request.api_key.clone(),
        issued: licence::Time(NOW),
    };
    let api_certificate = certificate.sign(vendor.issuing.as_ref(), &vendor.issuer).unwrap();
    let outcome = Outcome::Activated(Activated { licence: key.text, api_certificate, memory: None });
    Answer { nonce: request.nonce, time: licence::Time(NOW), outcome }
}

fn asked(request: &Request) -> &Activate {
    match &request.purpose {
        Purpose::Activate(asked @ Activate { want: Want::Code(_), .. }) => asked,
        other => panic!("{other:?}"),
    }
}

pub fn signed(answer: &Answer) -> (u16, String) {
    let vendor = Vendor::first();
    (200, answer.sign(ANSWER.version, vendor.issuing.as_ref(), &vendor.issuer).unwrap())
}

pub fn bench(name: &str, centre: &str) -> Bench {
    Bench::new(
        name,
        &format!(
            "[Common]\nLicenceCenterUrl={centre}\nLicenceCenterUseProxy=0\n[Console]\nPassword=another password\n"
        ),
    )
}

fn order(code: &str) -> Value {
    json!({ "ActivationCodeString": code, "ITN": "0123456789", "IEC": 123456789, "BlankKeyNo": null })
}

#[test]
fn a_code_becomes_a_licence_that_is_used_at_once() {
    let url = centre(|text| {
        let request = Request::read(CRYPTO, "test", text).unwrap();
        assert_eq!(asked(&request).itn.as_deref(), Some("0123456789"));
        assert_eq!(request.answers, ANSWER.version);
        signed(&honest(&request))
    });
    let bench = bench("activate", &url);
    assert_eq!(bench.seats(), 0);
    let code = ActivationCode::random(CRYPTO).unwrap().to_string();
    let (status, licence) = bench.post("/api/licences", &order(&format!(" {} ", code.replace('-', " "))));
    assert_eq!(
        (status, &licence["Workable"], &licence["ActivationCode"]),
        (201, &json!(true), &json!(code)),
        "{licence}"
    );
    assert_eq!((&licence["ITN"], &licence["IEC"]), (&json!("0123456789"), &json!(123456789)));
    assert!(bench.root.join("data/672B.1.licence").exists());
    assert_eq!(bench.seats(), 5);

    let certificate = bench.ask(request("GET", "/api/certificate?KeyID=672b", CHANGED));
    let text = String::from_utf8(certificate.body).unwrap();
    let (certificate, issuer) = ApiCertificate::read(CRYPTO, "test", &text).unwrap();
    assert_eq!(issuer.series, Vendor::first().series());
    let pem = bench.ask(request("GET", "/api/publickey", None)).body;
    assert_eq!(licence::crypto::public_key_from_pem(std::str::from_utf8(&pem).unwrap()).unwrap(), certificate.key);
    assert_eq!(bench.get("/api/certificate?KeyID=0001").0, 404);

    let (status, _) = bench.post("/api/licences", &order(&code));
    assert_eq!((status, bench.errors().len()), (201, 1), "a lost answer is asked for again and gives the same key");
}

#[test]
fn what_is_no_code_is_told_before_anybody_is_asked() {
    let bench = bench("no-code", "http://127.0.0.1:1");
    let (status, body) = bench.post("/api/licences", &order("4345-9320-2035-7421-5360"));
    assert_eq!((status, &body["ErrorCode"]), (400, &json!(400)));
    let code = ActivationCode::random(CRYPTO).unwrap().to_string();
    let mut letters = order(&code);
    letters["ITN"] = json!("12a");
    assert_eq!(bench.post("/api/licences", &letters).1["ErrorCode"], 100);
    let mut carrier = order(&code);
    carrier["BlankKeyNo"] = json!(9);
    assert_eq!(bench.post("/api/licences", &carrier).1["ErrorCode"], 212);
    let unset = Bench::ready("unset");
    assert_eq!(unset.post("/api/licences", &order(&code)).1["ErrorCode"], 405);
}

#[test]
fn a_centre_that_is_out_of_reach_is_named_with_the_remedy() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let bench = bench("unreachable", &format!("http://{free}"));
    let code = ActivationCode::random(CRYPTO).unwrap().to_string();
    let (status, body) = bench.post("/api/licences", &order(&code));
    assert_eq!((status, &body["ErrorCode"]), (502, &json!(404)));
    assert!(body["Message"].as_str().unwrap().contains("LicenceCenterUrl"));
    assert!(!body.to_string().contains(&code), "a code is not repeated in an error");
}

#[test]
fn a_refusal_of_the_centre_is_passed_on_in_the_asker_s_language() {
    let url = centre(|_| {
        let body = licence::api::Refusal::of(&Error::new(Code::CodeUsed), licence::Lang::Russian, "Conflict");
        (409, serde_json::to_string(&body).unwrap())
    });
    let bench = bench("refusal", &url);
    let code = ActivationCode::random(CRYPTO).unwrap().to_string();
    let (status, body) = bench.post("/api/licences", &order(&code));
    assert_eq!((status, &body["ErrorCode"], &body["Exception"]), (409, &json!(402), &json!("EActivationCode")));
    assert!(body["Message"].as_str().unwrap().contains("already used"));
}

#[test]
fn a_centre_of_an_older_version_is_understood() {
    let url = centre(|text| {
        let vendor = Vendor::first();
        let answer = honest(&Request::read(CRYPTO, "test", text).unwrap());
        (200, answer.sign(FIRST_ANSWER.version, vendor.issuing.as_ref(), &vendor.issuer).unwrap())
    });
    let bench = bench("older-centre", &url);
    let (status, licence) = bench.post("/api/licences", &order(&ActivationCode::random(CRYPTO).unwrap().to_string()));
    assert_eq!((status, &licence["Workable"]), (201, &json!(true)), "{licence}");
}

#[test]
fn an_answer_that_does_not_fit_the_request_installs_nothing() {
    type Forgery = fn(&Request) -> (u16, String);
    let forgeries: [(&str, Forgery); 5] = [
        ("nonce", |request| signed(&Answer { nonce: licence::id::Bytes32([0; 32]), ..honest(request) })),
        ("signer", |request| {
            let second = Vendor::second();
            (200, honest(request).sign(ANSWER.version, second.issuing.as_ref(), &second.issuer).unwrap())
        }),
        ("server", |request| {
            let other = licence::identity::Identity::generate(CRYPTO).unwrap().public();
            signed(&honest(&Request { identity: other, ..request.clone() }))
        }),
        ("page", |_| (200, "<html>".into())),
        ("status", |_| (302, String::new())),
    ];
    for (name, forge) in forgeries {
        let url = centre(move |text| forge(&Request::read(CRYPTO, "test", text).unwrap()));
        let bench = bench(&format!("forged-{name}"), &url);
        let code = ActivationCode::random(CRYPTO).unwrap().to_string();
        let (status, body) = bench.post("/api/licences", &order(&code));
        assert!(status >= 400, "{name}: {body}");
        assert_eq!(bench.errors().len(), 0, "{name}");
    }
}

#[test]
fn one_code_is_never_activated_twice_at_once() {
    let (enter, entered) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let url = centre(move |text| {
        enter.send(()).unwrap();
        left.recv().unwrap();
        signed(&honest(&Request::read(CRYPTO, "test", text).unwrap()))
    });
    let bench = bench("twice", &url);
    let code = ActivationCode::random(CRYPTO).unwrap().to_string();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| bench.post("/api/licences", &order(&code)));
        entered.recv().unwrap();
        assert_eq!(bench.post("/api/licences", &order(&code)).0, 503);
        leave.send(()).unwrap();
        assert_eq!(first.join().unwrap().0, 201);
    });
}
