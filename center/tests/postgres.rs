//! Centres over PostgreSQL, with the real programs: the address stands in `center.store` of each folder.
#![cfg(unix)]

#[path = "vendor/cluster.rs"]
mod cluster;
mod vendor;

use licence::activation::{Answer, Granted};
use licence::error::Code;
use licence::identity::Identity;
use vendor::{CRYPTO, Centre, Vendor, error, request};

/// A vendor whose two folders have the same issuing key and the same database.
fn vendor() -> Vendor {
    let vendor = Vendor::new("postgres");
    std::fs::create_dir_all(vendor.path("centre")).unwrap();
    vendor.write("centre/center.store", cluster::database() + "\n");
    vendor.edit_ok(&["series", "672B", "--name", "Товар", "--bits", "2048"]);
    vendor.edit_ok(&["issuer", "--cryptkey", "672B.cryptkey", "--center", "centre"]);
    std::fs::create_dir_all(vendor.path("second")).unwrap();
    for name in ["center.store", "672B.issuer"] {
        std::fs::copy(vendor.path("centre").join(name), vendor.path("second").join(name)).unwrap();
    }
    vendor
}

#[test]
fn two_centres_of_one_database_give_one_licence_for_a_code() {
    let vendor = vendor();
    let codes = vendor.code(&["--licences", "1", "--count", "4"]);
    let token = vendor.token("support", "operator");
    let centres = [vendor.start_centre(), vendor.start_centre_in("second")];
    let mut keys = Vec::new();
    for code in codes.lines() {
        let ask = |centre: &Centre| {
            let identity = Identity::generate(CRYPTO).unwrap();
            let asked = request(&identity, &centre.address, code);
            let (status, body) = centre.post(asked.sign(CRYPTO, &identity).unwrap().as_bytes());
            match status {
                200 => Answer::read(CRYPTO, "x", &body).unwrap().accept(CRYPTO, &asked, &identity).map_err(|e| e.code),
                _ => Err(error(&body).code),
            }
        };
        let answers = std::thread::scope(|scope| {
            let asking = centres.each_ref().map(|centre| scope.spawn(|| ask(centre)));
            asking.map(|asking| asking.join().unwrap())
        });
        let given = answers.iter().filter_map(|answer| match answer {
            Ok(Granted::Activated { key, .. }) => Some(key.licence.key_no),
            _ => None,
        });
        let given: Vec<_> = given.collect();
        let refused = answers.iter().filter(|answer| matches!(answer, Err(Code::CodeUsed))).count();
        assert_eq!((given.len(), refused), (1, 1), "{answers:?}");
        keys.extend(given);
    }
    assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
    assert_eq!(vendor.edit_ok(&["codes", "--center", "second"]).matches("\tused\t").count(), 4);
    // What one was told the other knows: the token, and the key that it has given.
    for (centre, key_no) in centres.iter().flat_map(|centre| keys.iter().map(move |key_no| (centre, key_no))) {
        let (status, history) =
            centre.call("GET", &format!("/api/keys/672B/{key_no}"), &token, &serde_json::json!(null));
        assert_eq!((status, &history["Key"]["KeyNo"]), (200, &serde_json::json!(key_no)));
    }
    for folder in ["centre", "second"] {
        assert!(!vendor.path(folder).join("center.db").exists(), "{folder}");
    }
}

/// Stands between centre and database, and can be cut.
struct Relay {
    port: u16,
    open: std::sync::Arc<std::sync::Mutex<Option<Vec<std::net::TcpStream>>>>,
}

impl Relay {
    /// A relay to that port.
    fn to(port: u16) -> Relay {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay { port: listener.local_addr().unwrap().port(), open: Default::default() };
        *relay.open.lock().unwrap() = Some(Vec::new());
        let open = relay.open.clone();
        std::thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                let mut open = open.lock().unwrap();
                let (Some(streams), Ok(to)) = (open.as_mut(), std::net::TcpStream::connect(("127.0.0.1", port))) else {
                    continue;
                };
                for (from, to) in [(&from, &to), (&to, &from)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
                streams.extend([from, to]);
            }
        });
        relay
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().take().into_iter().flatten() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn mend(&self) {
        *self.open.lock().unwrap() = Some(Vec::new());
    }
}

#[test]
fn a_centre_serves_again_by_itself_when_its_database_is_back() {
    let address = cluster::database();
    let (server, name) = address.rsplit_once('/').unwrap();
    let port = server.rsplit_once(':').unwrap().1.parse().unwrap();
    let relay = Relay::to(port);
    // The first host of the two is never there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let vendor = Vendor::new("cut");
    std::fs::create_dir_all(vendor.path("centre")).unwrap();
    let several = format!("postgresql://slk@127.0.0.1:{nobody},127.0.0.1:{}/{name}\n", relay.port);
    vendor.write("centre/center.store", several);
    vendor.edit_ok(&["series", "672B", "--name", "Товар", "--bits", "2048"]);
    vendor.edit_ok(&["issuer", "--cryptkey", "672B.cryptkey", "--center", "centre"]);
    let code = vendor.code(&["--licences", "1"]);
    let centre = vendor.start_centre();
    vendor.centre_ok(&["backup", "copy", "--center", "centre"]);
    for _ in 0..3 {
        assert_eq!((centre.get("/healthz").0, centre.get("/readyz").0), (200, 200));
        relay.cut();
        assert_eq!((centre.get("/healthz").0, centre.get("/readyz").0), (503, 503));
        let identity = Identity::generate(CRYPTO).unwrap();
        let (status, error) = centre.refusal(&request(&identity, "a", &code), &identity);
        assert_eq!((status, error.code), (503, Code::CentreStoreFailed));
        relay.mend();
        assert_eq!((centre.get("/healthz").0, centre.get("/readyz").0), (200, 200));
    }
    let identity = Identity::generate(CRYPTO).unwrap();
    let (status, body) = centre.post(request(&identity, "a", &code).sign(CRYPTO, &identity).unwrap().as_bytes());
    assert_eq!(status, 200, "{body}");
    relay.cut();
    let mut backup = vendor.command(env!("CARGO_BIN_EXE_licencecenter"), &["backup", "other", "--center", "centre"]);
    assert!(!backup.output().unwrap().status.success() && !vendor.path("other").exists());
}
