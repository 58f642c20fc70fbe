//! The key store: what counts, what does not, and what is said about it.

use licence::fingerprint::{Machine, PartKind};
use licence::flags::Flags;
use licence::host::files;
use licence::id::Bytes32;
use licence::identity::Identity;
use licence::key::{Binding, KeyType};
use licence::protocol::message::ObjectKeyQuery;
use licence::subkeys::{ObjectRef, Policy};
use licence::time::Time;
use licence::{Code, KeyId};
use serde_json::{Value, json};

use crate::bench::*;

#[test]
fn bad_licence_files_are_shown_with_their_reason_and_add_nothing() {
    let bench = Bench::ready("bad-files");
    let vendor = Vendor::first();
    let stranger = Identity::generate(CRYPTO).unwrap().public();
    let key = bench.install(1, |_| {});
    bench.put("truncated.licence", &key.text[..key.text.len() / 2]);
    bench.put("altered.licence", key.text.replace("\"LicenceCount\":5", "\"LicenceCount\":500"));
    bench.put("original.licence", b"LSPF\x00\x01\x02\xFF");
    bench.put("empty.licence", b"");
    bench.put("binary.licence", [0xFF; 100]);
    bench.put("broken.licence", b"SLK-LICENCE 1\n{\"Key\xFF");
    bench.put("huge.licence", vec![b'x'; 300_000]);
    std::fs::create_dir(bench.root.join("data/folder.licence")).unwrap();
    bench.put("stranger.licence", vendor.licence(stranger, 2, |_| {}).text);
    let other = Machine { parts: vec![(PartKind::MachineId, "x".into()), (PartKind::Disk, "y".into())] };
    let print = Binding::Computer(other.fingerprint(CRYPTO, Bytes32([1; 32])));
    bench.put("moved.licence", vendor.licence(bench.identity(), 3, |licence| licence.binding = print).text);
    let carrier = |licence: &mut licence::key::Licence| licence.binding = Binding::Blank(77);
    bench.put("carrier.licence", vendor.licence(bench.identity(), 4, carrier).text);
    bench.service.reload_keys();

    let errors = bench.errors();
    let said = |file: &str, words: &str| {
        let (_, error) = errors.iter().find(|(name, _)| name == file).unwrap_or_else(|| panic!("{file} is not listed"));
        let error = error.as_deref().unwrap_or_else(|| panic!("{file} is taken for good"));
        assert!(error.contains(words), "{file}: {error}");
    };
    assert_eq!(errors.len(), 12);
    assert_eq!(errors.iter().filter(|(_, error)| error.is_none()).count(), 1);
    said("truncated.licence", "damaged");
    said("altered.licence", "signature is wrong");
    said("original.licence", "no file of this system");
    said("empty.licence", "no header");
    said("binary.licence", "no file of this system");
    said("broken.licence", "byte 19: not UTF-8");
    said("huge.licence", "bytes");
    said("folder.licence", "not a regular file");
    said("stranger.licence", "another server");
    said("moved.licence", "weight 0 of 5");
    said("carrier.licence", "Carrier 77");
    assert_eq!(bench.seats(), 5);
}

#[test]
fn availability_the_device_and_the_switch_are_three_things() {
    let bench = Bench::ready("available");
    let vendor = Vendor::first();
    let other = Machine { parts: vec![(PartKind::MachineId, "x".into()), (PartKind::Disk, "y".into())] };
    let elsewhere = || Binding::Computer(other.fingerprint(CRYPTO, Bytes32([1; 32])));
    let put = |name: &str, number: u32, change: &dyn Fn(&mut licence::key::Licence)| {
        let change = |licence: &mut licence::key::Licence| {
            licence.key_type = if number == 1 { KeyType::Main } else { KeyType::Additional };
            change(licence);
        };
        bench.put(&format!("{name}.licence"), vendor.licence(bench.identity(), number, change).text);
    };
    put("a-good", 1, &|_| {});
    std::fs::copy(bench.root.join("data/a-good.licence"), bench.root.join("data/copy.licence")).unwrap();
    put("expired", 2, &|licence| (licence.start_date, licence.period) = (Some(Time(NOW - 9 * DAY)), 1));
    put("later", 3, &|licence| licence.start_date = Some(Time(NOW + 9 * DAY)));
    put("demo", 4, &|licence| licence.key_type = KeyType::Demo);
    put("moved", 5, &|licence| licence.binding = elsewhere());
    put("pulled", 6, &|licence| licence.binding = Binding::Blank(77));
    put("off", 7, &|_| {});
    put("moved-off", 8, &|licence| licence.binding = elsewhere());
    bench.put("spoilt.licence", "nonsense");
    bench.service.reload_keys();
    for number in [7, 8] {
        let path = format!("/api/licences/{number}");
        assert_eq!(bench.write("PUT", &path, &json!({ "Enabled": false })).0, 202);
    }
    let (_, list) = bench.get("/api/licences");
    let told = |name: &str| {
        let is_it = |key: &&Value| key["FileName"].as_str().unwrap().ends_with(&format!("/{name}.licence"));
        let key = list["Licences"].as_array().unwrap().iter().find(is_it).unwrap();
        assert_eq!(key["OpenError"].is_null(), key["Enabled"] == true, "{key}");
        json!([key["Enabled"], key["Workable"], key["SwitchedOn"]])
    };
    assert_eq!(told("a-good"), json!([true, true, true]));
    for name in ["copy", "expired", "later", "demo"] {
        assert_eq!(told(name), json!([false, true, true]), "{name}");
    }
    assert_eq!((told("moved"), told("pulled")), (json!([false, false, true]), json!([false, false, true])));
    assert_eq!((told("off"), told("moved-off")), (json!([false, true, false]), json!([false, false, false])));
    assert_eq!(told("spoilt"), json!([false, false, null]));
}

#[test]
fn what_is_unknown_of_a_file_is_null() {
    let bench = Bench::ready("unknown");
    bench.install(1, |_| {});
    bench.put("x.licence", "nonsense");
    bench.service.reload_keys();
    let (_, body) = bench.get("/api/licences");
    let known: Vec<&String> = body["Licences"][0].as_object().unwrap().keys().collect();
    let unknown = body["Licences"][1].as_object().unwrap();
    assert_eq!(unknown.keys().collect::<Vec<_>>(), known);
    assert_eq!(
        (&unknown["KeyNo"], &unknown["Enabled"], &unknown["Workable"]),
        (&Value::Null, &json!(false), &json!(false))
    );
    assert!(unknown["OpenError"].as_str().unwrap().contains("x.licence"));
}

#[test]
fn a_licence_counts_once_under_whatever_names() {
    let bench = Bench::ready("copies");
    let key = Vendor::first().licence(bench.identity(), 1, |_| {});
    for name in ["a.licence", "б.LICENCE", "672B.1.licence", "672B.2.licence"] {
        bench.put(name, &key.text);
    }
    bench.put(".hidden.licence", &key.text);
    bench.service.reload_keys();
    let good = bench.errors().into_iter().filter(|(_, error)| error.is_none()).count();
    assert_eq!((bench.errors().len(), good), (4, 1));
    assert_eq!(bench.get("/api/licences/1").1["Workable"], true);
    assert_eq!(bench.seats(), 5);
}

#[test]
fn a_copied_data_folder_is_not_served_a_second_time() {
    let bench = Bench::ready("copied");
    let copy = bench.root.join("copy");
    std::fs::create_dir_all(copy.join("data")).unwrap();
    for file in std::fs::read_dir(bench.root.join("data")).unwrap().flatten() {
        std::fs::copy(file.path(), copy.join("data").join(file.file_name())).unwrap();
    }
    let error = start(&copy, "", bench.clock.clone()).err().unwrap();
    assert_eq!(error.code, Code::IdentityServedElsewhere);
}

#[test]
fn a_restarted_service_has_its_identity_its_keys_and_its_sessions() {
    let bench = Bench::ready("restart");
    bench.install(1, |_| {});
    assert_eq!(bench.seats(), 5);
    let (identity, root, clock) = (bench.identity(), bench.root.clone(), bench.clock.clone());
    let kept = bench.root.with_extension("kept");
    let _ = std::fs::remove_dir_all(&kept);
    bench.service.stop();
    std::fs::rename(&root, &kept).unwrap();
    drop(bench);
    std::fs::rename(&kept, &root).unwrap();
    let service = start_again(&root, &clock);
    let bench = Bench { root, clock, service };
    assert_eq!(bench.identity(), identity);
    assert_eq!(bench.get("/api/sessions").1["Sessions"].as_array().unwrap().len(), 5);
    let (status, body) = bench.post("/api/sessions", &json!({ "KeyID": "672B", "ClientSessionID": "one more" }));
    assert_eq!((status, &body["ErrorCode"]), (409, &json!(302)));
}

#[cfg(unix)]
#[test]
fn secrets_in_the_data_folder_are_their_owner_s() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::ready("secrets");
    for name in ["server.identity", "server.apikey"] {
        let facts = std::fs::metadata(bench.root.join("data").join(name)).unwrap();
        assert_eq!(facts.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_key_ends_with_its_period() {
    let bench = Bench::ready("period");
    bench.install(1, |licence| licence.period = 10);
    assert_eq!(bench.get("/api/licences/1").1["DaysLeft"], 9);
    bench.clock.jump_days(9);
    bench.service.reload_keys();
    let (_, key) = bench.get("/api/licences/1");
    let told = (&key["Enabled"], &key["Workable"], &key["Expired"], &key["DaysLeft"]);
    assert_eq!(told, (&json!(false), &json!(true), &json!(true), &json!(0)));
    assert_eq!(bench.seats(), 0);
    let (status, body) = bench.post("/api/sessions", &json!({ "KeyID": "672B", "ClientSessionID": "x" }));
    assert_eq!((status, &body["ErrorCode"]), (409, &json!(301)));
}

#[test]
fn changed_files_and_passed_dates_are_noticed_and_nothing_else_is_read_again() {
    let bench = Bench::ready("noticed");
    bench.install(1, |licence| licence.period = 10);
    bench.service.stop();
    let keys = bench.service.keys();
    let usable = |days: i64| {
        let snapshot = keys.refresh(Time(NOW + days * DAY)).unwrap()?;
        Some(snapshot.views().filter(|view| view.usable.is_ok()).count())
    };
    assert_eq!(usable(0), None);
    bench.put("second.licence", Vendor::first().licence(bench.identity(), 2, |_| {}).text);
    assert_eq!(usable(0), Some(2));
    assert_eq!(usable(8), None);
    assert_eq!(usable(9), Some(1));
    assert_eq!(usable(9), None);
    std::fs::remove_file(bench.root.join("data/second.licence")).unwrap();
    assert_eq!((usable(9), usable(9)), (None, Some(0)), "what vanishes is believed at the second look");
}

#[test]
fn additional_and_demo_keys_follow_the_rules_of_their_series() {
    let bench = Bench::ready("rules");
    bench.install(2, |licence| (licence.key_type, licence.licence_count) = (KeyType::Additional, 2));
    assert_eq!(bench.seats(), 0);
    bench.install(3, |licence| licence.key_type = KeyType::Demo);
    bench.install(1, |_| {});
    let errors: Vec<bool> = bench.errors().into_iter().map(|(_, error)| error.is_some()).collect();
    assert_eq!(errors, [false, false, true]);
    assert_eq!(bench.seats(), 7);
}

#[test]
fn a_disabled_key_gives_nothing_until_it_is_enabled() {
    let bench = Bench::ready("disabled");
    let key = bench.install(1, |_| {});
    bench.service.set_enabled(key.series, 1, false).unwrap();
    let (_, shown) = bench.get("/api/licences/1");
    let told = (&shown["Enabled"], &shown["Workable"], &shown["SwitchedOn"]);
    assert_eq!(told, (&json!(false), &json!(true), &json!(false)));
    assert_eq!(bench.seats(), 0);
    bench.put("keys.state", "{");
    bench.service.reload_keys();
    assert_eq!(bench.seats(), 0, "nobody knows any more which keys are off");
    std::fs::remove_file(bench.root.join("data/keys.state")).unwrap();
    bench.service.set_enabled(key.series, 1, true).unwrap();
    assert_eq!(bench.seats(), 5);
}

#[test]
fn two_vendors_may_use_one_series_number() {
    let bench = Bench::ready("vendors");
    let (first, second) = (Vendor::first(), Vendor::second());
    let keys = bench.service.keys();
    assert_eq!(keys.series_of(KeyId(0x672B), None).unwrap_err().code, Code::NoKey);
    bench.install(1, |_| {});
    assert_eq!(keys.series_of(KeyId(0x672B), None), Ok(first.series()));
    bench.put("second.licence", second.licence(bench.identity(), 1, |licence| licence.licence_count = 3).text);
    bench.service.reload_keys();
    assert_eq!(keys.series_of(KeyId(0x672B), None).unwrap_err().code, Code::AmbiguousSeries);
    assert_eq!(keys.series_of(KeyId(0x672B), Some(second.series().root)), Ok(second.series()));
    let (status, body) = bench.get("/api/licences/1");
    assert!(status == 400 && body["Message"].as_str().unwrap().contains("SeriesKey="));
    let (_, key) = bench.get(&format!("/api/licences/1?SeriesKey={}", second.series().root));
    assert_eq!(key["LicenceCount"], 3);
    let body = json!({ "KeyID": "672B", "ClientSessionID": "x" });
    let (status, refusal) = bench.post("/api/sessions", &body);
    assert_eq!((status, &refusal["ErrorCode"]), (400, &json!(120)));
    for vendor in [&first, &second] {
        assert!(refusal["Message"].as_str().unwrap().contains(&vendor.series().root.to_string()), "{refusal}");
    }
    assert_eq!(bench.post(&format!("/api/sessions?SeriesKey={}", first.series().root), &body).0, 201);
    let named = json!({ "KeyID": "672B", "SeriesKey": second.series().root, "ClientSessionID": "x" });
    let (status, key) = bench.post("/api/sessions", &named);
    assert_eq!((status, &key["SeriesKey"]), (201, &json!(second.series().root)), "another session of another vendor");
}

#[test]
fn an_object_opens_under_any_usable_key_that_has_earned_it_and_under_no_other() {
    let bench = Bench::ready("objects");
    let vendor = Vendor::first();
    bench.install(1, |_| {});
    let policy = Policy { flags: vec![3], ..Policy::default() };
    let query = ObjectKeyQuery { session: None, name: "О".into(), policy: policy.clone(), salt: Bytes32([9; 32]) };
    let keys = bench.service.keys();
    let key = |no| keys.object_key(&vendor.series(), no, &query).map(|(_, key)| key);
    assert_eq!(key(Some(1)).unwrap_err().code, Code::SubkeyMissing);
    bench.install(2, |licence| licence.flags = Flags::of(&[3]).unwrap());
    let object = ObjectRef { name: "О", policy: &policy, salt: &[9; 32] };
    let expected = vendor.secret.object_key(CRYPTO, &object).unwrap();
    assert!(key(Some(1)).unwrap() == expected && key(None).unwrap() == expected);
    bench.service.set_enabled(vendor.series(), 2, false).unwrap();
    assert_eq!(key(Some(2)).unwrap_err().code, Code::SubkeyMissing);
    let flags = (1..=51).cycle().take(100_000).collect();
    let endless = ObjectKeyQuery { policy: Policy { flags, ..policy }, ..query.clone() };
    assert_eq!(keys.object_key(&vendor.series(), None, &endless).unwrap_err().code, Code::SubkeyMissing);
}

#[test]
fn documents_for_clients_are_this_server_s_usable_ones_first_and_bounded() {
    let bench = Bench::ready("documents");
    let vendor = Vendor::first();
    let spent = bench.install(1, |licence| licence.period = 1);
    let good = bench.install(2, |_| {});
    let stranger = Identity::generate(CRYPTO).unwrap().public();
    bench.put("stranger.licence", vendor.licence(stranger, 3, |_| {}).text);
    bench.service.reload_keys();
    let documents = |limit| bench.service.keys().documents(&vendor.series(), limit);
    assert_eq!(documents(usize::MAX), [good.text.clone(), spent.text.clone()]);
    assert_eq!(documents(good.text.len()).len(), 1);
    assert_eq!(documents(10), Vec::<String>::new());
}

#[test]
fn a_key_is_stored_under_numbers_and_never_over_another_vendor_s() {
    let bench = Bench::ready("names");
    let (first, second) = (Vendor::first(), Vendor::second());
    let keys = bench.service.keys();
    let mine = first.licence(bench.identity(), 1, |_| {});
    keys.install(&mine, "c", Time(NOW)).unwrap();
    let renewed = first.licence(bench.identity(), 1, |licence| licence.issue = 2);
    keys.install(&renewed, "c", Time(NOW)).unwrap();
    let theirs = second.licence(bench.identity(), 1, |_| {});
    keys.install(&theirs, "c", Time(NOW)).unwrap();
    let read = |name: &str| files::read_text(&bench.root.join("data").join(name), 1 << 20).unwrap();
    assert_eq!(read("672B.1.licence"), renewed.text);
    let root = second.series().root.to_string();
    assert_eq!(read(&format!("672B.1.{}.licence", &root[..8])), theirs.text);
    assert_eq!(bench.errors().len(), 2);
}
