//! Keys that are bound to USB carriers, with carriers that a test plugs in and pulls.

use std::path::PathBuf;
use std::sync::Arc;

use licence::KeyNo;
use licence::host::clock::SystemClock;
use licence::key::{Binding, KeyType};
use licence::time::Clock;
use parking_lot::Mutex;
use serde_json::{Value, json};
use service::keys::Carriers;
use service::{LicenceService, Options, Scope};
use web::{Reply, Service};

use crate::bench::*;
use crate::vendor::{SERIES, Site};

/// Carriers in a test's hands.
#[derive(Clone, Default)]
struct Plugs(Arc<Mutex<Vec<KeyNo>>>);

impl Carriers for Plugs {
    fn present(&self) -> Vec<KeyNo> {
        self.0.lock().clone()
    }
}

fn bench(name: &str, plugs: &Plugs) -> Bench {
    Bench::over(name, "[Console]\nPassword=another password\n", Box::new(plugs.clone()))
}

#[test]
fn a_key_on_a_carrier_counts_while_the_carrier_is_plugged_in_and_a_main_one_a_little_longer() {
    let plugs = Plugs::default();
    let bench = bench("plugged", &plugs);
    bench.install(1, |licence| licence.binding = Binding::Blank(77));
    bench.install(2, |licence| {
        licence.binding = Binding::Blank(78);
        licence.key_type = KeyType::Additional;
    });
    let usable = || bench.errors().iter().map(|(_, error)| error.is_none()).collect::<Vec<_>>();
    assert_eq!(usable(), [false, false]);
    plugs.0.lock().extend([77, 78]);
    bench.service.reload_keys();
    assert_eq!((usable(), bench.seats()), (vec![true, true], 10));
    assert_eq!(bench.get("/api/licences/1").1["BlankKeyNo"], 77);

    plugs.0.lock().clear();
    bench.service.reload_keys();
    assert_eq!(usable(), [true, false], "a main key has a grace, an additional one has none");
    bench.clock.advance(61_000);
    bench.service.reload_keys();
    assert_eq!(usable(), [false, false]);
}

/// The service on a real computer by the real time, that activates at a vendor's real centre.
struct Computer {
    service: Arc<LicenceService>,
    plugs: Plugs,
    root: PathBuf,
}

impl Computer {
    fn new(name: &str, centre: &str) -> Computer {
        let root = std::env::temp_dir().join(format!("slk-service-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let paths = paths(&root);
        std::fs::create_dir_all(&paths.settings).unwrap();
        let conf = format!(
            "[Common]\nLicenceCenterUrl={centre}\nLicenceCenterUseProxy=0\nCarrierGrace=0\n[Console]\nPassword=another password\n"
        );
        std::fs::write(paths.server_conf(), conf).unwrap();
        let (plugs, clock) = (Plugs::default(), Arc::new(SystemClock));
        let started = clock.now().wall;
        let service = LicenceService::start(Options {
            settings: service::settings::load(&paths).unwrap().0,
            paths,
            clock,
            crypto: CRYPTO,
            machine: licence::host::machine::read,
            carriers: Box::new(plugs.clone()),
            make_response_key: Some(|| Ok(include_bytes!("../../../golden/test-issuing.pk8").to_vec())),
            scope: Scope::Full,
            started,
        });
        Computer { service: service.unwrap(), plugs, root }
    }

    fn call(&self, method: &str, path: &str, kind: &str, body: String) -> (u16, String) {
        let mut asked = with(request(method, path, CHANGED), "Content-Type", kind);
        asked.body = body.into_bytes();
        let response = match self.service.call(asked) {
            Reply::Now(response) => response,
            Reply::Later(pending) => pending.wait(),
            Reply::Stream(_) => panic!("a stream"),
        };
        (response.status, String::from_utf8(response.body).unwrap())
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let (status, text) = self.call("POST", path, "application/json", body.to_string());
        (status, serde_json::from_str(&text).unwrap())
    }

    fn plug(&self, carriers: &[KeyNo]) {
        *self.plugs.0.lock() = carriers.to_vec();
        self.service.reload_keys();
    }

    /// Licences that count.
    fn licences(&self) -> u64 {
        let (_, text) = self.call("GET", "/api/licences", "application/json", String::new());
        let list: Value = serde_json::from_str(&text).unwrap();
        let usable = list["Licences"].as_array().unwrap().iter().filter(|key| key["Enabled"] == true);
        usable.filter_map(|key| key["LicenceCount"].as_u64()).sum()
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        self.service.stop();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

#[test]
fn a_key_on_a_carrier_counts_where_the_carrier_is_by_whatever_way_it_came() {
    let site = Site::new("carrier");
    let computer = Computer::new("carrier", &site.url);
    computer.plug(&[77, 78]);

    // A carrier that is not plugged in is refused here, before the centre hears of the code.
    let code = site.code(3, &[]);
    let order = |code: &str, carrier: KeyNo| json!({ "ActivationCodeString": code, "BlankKeyNo": carrier });
    let (status, refusal) = computer.post("/api/licences", &order(&code, 79));
    assert_eq!((status, &refusal["ErrorCode"]), (409, &json!(212)), "{refusal}");

    // By the API, by a form of the console, by a file.
    let (status, key) = computer.post("/api/licences", &order(&code, 77));
    assert_eq!((status, &key["BlankKeyNo"], &key["Enabled"]), (201, &json!(77), &json!(true)), "{key}");
    let form = format!("code={}&carrier=78&how=online", site.code(5, &["--type", "additional"]));
    let (status, page) = computer.call("POST", "/activation", "application/x-www-form-urlencoded", form);
    assert_eq!(status, 201, "{page}");
    let mut wish = order(&site.code(7, &["--type", "additional"]), 78);
    wish["Purpose"] = "Activate".into();
    let (_, file) = computer.post("/api/requests", &wish);
    let answer = site.answer(file["Text"].as_str().unwrap());
    let (status, brought) = computer.post("/api/responses", &json!({ "Text": answer }));
    assert_eq!((status, &brought["Licence"]["BlankKeyNo"]), (200, &json!(78)), "{brought}");
    assert_eq!(computer.licences(), 15);
    computer.plug(&[77]);
    assert_eq!(computer.licences(), 3, "the additional keys are on the other one");
    computer.plug(&[78]);
    assert_eq!(computer.licences(), 0, "additional keys without a main one");
    computer.plug(&[77, 78]);

    // Asked again the centre gives the same; it knows the carrier, and for another one the code is used.
    assert_eq!(computer.post("/api/licences", &order(&code, 77)).1["KeyNo"], key["KeyNo"]);
    assert_eq!(computer.post("/api/licences", &order(&code, 78)).1["ErrorCode"], 402);

    // Given up, and the reserve code onto the other carrier, then onto the computer, then onto a carrier again.
    for carrier in [Some(78), None, Some(77)] {
        let (status, reserved) = computer.post(&format!("/api/licences/{}/reserve", key["KeyNo"]), &json!({}));
        assert_eq!((status, computer.licences()), (200, 0), "{reserved}");
        let wish = json!({ "ActivationCodeString": reserved["ReserveCode"], "BlankKeyNo": carrier });
        let (status, moved) = computer.post("/api/licences", &wish);
        assert_eq!((status, &moved["KeyNo"], &moved["BlankKeyNo"]), (201, &key["KeyNo"], &json!(carrier)), "{moved}");
        assert_eq!(computer.licences(), 15);
    }
    let (status, news) = computer.post("/api/updates", &json!({ "KeyID": SERIES }));
    assert_eq!((status, computer.licences()), (200, 15), "{news}");
    computer.plug(&[78]);
    assert_eq!(computer.licences(), 0, "it is on the carrier that was pulled");
}
