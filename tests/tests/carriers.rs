//! Keys on carriers, from the wish to the seat: the licence service itself with carriers in the test's hands, the vendor's real centre,
//! and the real server for the computer where the carrier is plugged in next.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::failure::check;
use e2e::server::{PASSWORD, USER};
use e2e::{Outcome, Root, SERIES, Server, Site};
use licence::KeyNo;
use licence::crypto::ring::PROVIDER;
use licence::host::clock::SystemClock;
use licence::host::machine;
use licence::host::paths::Paths;
use licence::time::Clock;
use parking_lot::Mutex;
use serde_json::{Value, json};
use service::keys::Carriers;
use service::{LicenceService, Options, Scope};
use web::{Headers, Reply, Request, Service};

/// Carriers in a test's hands.
#[derive(Clone, Default)]
struct Plugs(Arc<Mutex<Vec<KeyNo>>>);

impl Carriers for Plugs {
    fn present(&self) -> Vec<KeyNo> {
        self.0.lock().clone()
    }
}

/// A computer with the service and USB ports.
struct Computer {
    service: Arc<LicenceService>,
    plugs: Plugs,
    _root: Root,
}

impl Computer {
    fn new(name: &str, centre: &str) -> Outcome<Computer> {
        let root = Root::new(name)?;
        let text = format!(
            "[Common]\nLicenceCenterUrl={centre}\nLicenceCenterUseProxy=0\nCarrierGrace=0\n[Console]\nUserName={USER}\nPassword={PASSWORD}\n"
        );
        std::fs::write(root.settings().join("licenceserver.conf"), text)?;
        let paths = Paths { settings: root.settings(), data: root.data(), user: None };
        let (settings, wrong) = service::settings::load(&paths)?;
        check(wrong.is_empty(), || format!("{wrong:?}"))?;
        let (clock, plugs) = (Arc::new(SystemClock), Plugs::default());
        let started = clock.now().wall;
        let service = LicenceService::start(Options {
            paths,
            settings,
            clock,
            crypto: &PROVIDER,
            machine: machine::read,
            carriers: Box::new(plugs.clone()),
            make_response_key: Some(|| Ok(include_bytes!("../../golden/test-issuing.pk8").to_vec())),
            scope: Scope::Full,
            started,
        })?;
        Ok(Computer { service, plugs, _root: root })
    }

    fn call(&self, method: &str, path: &str, (kind, body): (&str, String)) -> Outcome<(u16, String)> {
        let mut headers = Headers::new();
        let authorization = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        for (name, value) in [
            ("Host", "localhost"),
            ("Authorization", &authorization),
            ("Content-Type", kind),
            ("Accept-Language", "en"),
            ("Accept", "application/json"),
        ] {
            headers.set(name, value).map_err(|error| e2e::Failure::new(format!("{error:?}")))?;
        }
        let request = Request::build(method, path, headers, ([127, 0, 0, 1], 1).into(), false);
        let mut request = request.map_err(|refused| e2e::Failure::new(format!("{refused:?}")))?;
        request.body = body.into_bytes();
        let response = match self.service.call(request) {
            Reply::Now(response) => response,
            Reply::Later(pending) => pending.wait(),
            Reply::Stream(_) => return e2e::fail("a stream"),
        };
        Ok((response.status, String::from_utf8(response.body)?))
    }

    fn post(&self, path: &str, body: &Value) -> Outcome<(u16, Value)> {
        let (status, text) = self.call("POST", path, ("application/json", body.to_string()))?;
        Ok((status, serde_json::from_str(&text)?))
    }

    fn plug(&self, carriers: &[KeyNo]) {
        *self.plugs.0.lock() = carriers.to_vec();
        self.service.reload_keys();
    }

    fn licences(&self) -> Outcome<Value> {
        let (_, text) = self.call("GET", "/healthz", ("", String::new()))?;
        Ok(serde_json::from_str::<Value>(&text)?["Licences"].clone())
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        self.service.stop();
    }
}

#[test]
fn a_key_on_a_carrier_counts_where_the_carrier_is_by_whatever_way_it_came() -> Outcome {
    let site = Site::new("carrier")?;
    let computer = Computer::new("carrier", site.center.url())?;
    computer.plug(&[77, 78]);
    let number = |answer: &(u16, Value)| answer.1["KeyNo"].clone();

    // A carrier that is not plugged in is refused here, before the centre hears of the code.
    let code = site.vendor.code(3, &[])?;
    let order = |code: &str, carrier: KeyNo| json!({ "ActivationCodeString": code, "BlankKeyNo": carrier });
    let (status, refusal) = computer.post("/api/licences", &order(&code, 79))?;
    assert_eq!((status, &refusal["ErrorCode"]), (409, &json!(212)), "{refusal}");

    // By the API, by a form of the console, by a file.
    let key = computer.post("/api/licences", &order(&code, 77))?;
    assert_eq!((key.0, &key.1["BlankKeyNo"], &key.1["Workable"]), (201, &json!(77), &json!(true)), "{key:?}");
    let form = format!("code={}&carrier=78&how=online", site.vendor.code(5, &["--type", "additional"])?);
    let (status, page) = computer.call("POST", "/activation", ("application/x-www-form-urlencoded", form))?;
    assert_eq!(status, 201, "{page}");
    let mut wish = order(&site.vendor.code(7, &["--type", "additional"])?, 78);
    wish["Purpose"] = "Activate".into();
    let (_, file) = computer.post("/api/requests", &wish)?;
    let answer = site.center.answer(file["Text"].as_str().unwrap_or_default())?;
    let (status, brought) = computer.post("/api/responses", &json!({ "Text": answer }))?;
    assert_eq!((status, &brought["Licence"]["BlankKeyNo"]), (200, &json!(78)), "{brought}");
    assert_eq!(computer.licences()?, 15);
    computer.plug(&[77]);
    assert_eq!(computer.licences()?, 3, "the additional keys are on the other one");
    computer.plug(&[78]);
    assert_eq!(computer.licences()?, 0, "additional keys without a main one");
    computer.plug(&[77, 78]);

    // The centre knows the carrier; asked again it gives the same, for another carrier it does not.
    let found = site.center.office("POST", "/api/find", Some(&json!({ "Query": code })))?;
    assert_eq!(found["Keys"][0]["BlankKeyNo"], 77, "{found}");
    assert_eq!(number(&computer.post("/api/licences", &order(&code, 77))?), number(&key));
    assert_eq!(computer.post("/api/licences", &order(&code, 78))?.0, 409);

    // Given up, and the reserve code onto the other carrier, then onto the computer, then onto a carrier again.
    let mut last = key.1["KeyNo"].clone();
    for carrier in [Some(78), None, Some(77)] {
        let (status, reserved) = computer.post(&format!("/api/licences/{last}/reserve"), &json!({}))?;
        assert_eq!(status, 200, "{reserved}");
        assert_eq!(computer.licences()?, 0);
        let wish = json!({ "ActivationCodeString": reserved["ReserveCode"], "BlankKeyNo": carrier });
        let (status, moved) = computer.post("/api/licences", &wish)?;
        assert_eq!((status, &moved["KeyNo"], &moved["BlankKeyNo"]), (201, &last, &json!(carrier)), "{moved}");
        assert_eq!(computer.licences()?, 15);
        last = moved["KeyNo"].clone();
    }
    site.sell(&code, 4)?;
    assert_eq!(computer.post("/api/updates", &json!({ "KeyID": SERIES }))?.0, 200);
    assert_eq!(computer.licences()?, 16, "an update keeps the carrier");
    computer.plug(&[78]);
    assert_eq!(computer.licences()?, 0);

    // The programs have no such carriers.
    let server = Server::ready(Root::new("carrier-server")?, Some(site.center.url()))?;
    let refused = server.rest().post("/api/licences", &order(&site.vendor.code(1, &[])?, 77))?;
    assert_eq!(refused.refusal(409)?, 212);
    assert_eq!(site.center.reports()?, []);
    Ok(())
}
