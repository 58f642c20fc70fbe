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
