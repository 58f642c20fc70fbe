//! What updates bring, and what the vendor is told and does.

use super::*;

on_both! {
    an_update_brings_changed_terms_once
    an_update_retires_a_licence_restored_from_a_backup_and_tells_the_vendor
    an_update_takes_a_repaired_machine_anew
    a_copy_is_reported_when_it_activates_another_code
    a_clone_without_licence_files_is_reported
    an_identity_file_is_in_a_licence_whose_terms_allow_it_and_a_container_may_move
    a_licence_that_must_be_renewed_is_signed_anew_in_time
    a_blocked_code_revokes_its_key
    codes_and_keys_are_found_by_what_people_have_at_hand
}

fn an_update_brings_changed_terms_once(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    let first = server.activate(code).unwrap();
    let mut more = terms(KeyType::Main);
    more.offer.licence_count = 50;
    bench.centre.change_terms("test", code, |_| Ok(more.clone())).unwrap();
    let (news, _, _) = server.update(&[&first]);
    assert_eq!((news[0].licence.licence_count, news[0].licence.issue), (50, 2));
    assert_eq!(server.update(&[&first]).0[0].text, news[0].text, "a lost answer is asked for again");
    assert!(server.update(&[&news[0]]).0.is_empty());
    more.offer.licence_count = 0;
    assert_eq!(code_of(bench.centre.change_terms("test", code, |_| Ok(more.clone()))), Code::BadRequest);
    let stranger = bench.server("b");
    assert_eq!(stranger.update(&[&first]), (vec![], vec![], vec![]), "another server's key is none of his business");
}

fn an_update_retires_a_licence_restored_from_a_backup_and_tells_the_vendor(on: On) {
    let bench = bench(on);
    let (from, to) = (bench.server("a"), bench.server("b"));
    let first = from.activate(bench.main_code()).unwrap();
    let reserve = from.reserve(&first).unwrap();
    assert_eq!(from.update(&[&first]).1, [(1, 1)]);
    assert_eq!(bench.reports(), [Kind::Restored]);
    to.activate(reserve).unwrap();
    assert_eq!(from.update(&[&first]).1, [(1, 1)]);
    // Back on the same server as a newer issue: the old file is simply replaced.
    let back = bench.server("c");
    let key = back.activate(bench.main_code()).unwrap();
    let newer = back.activate(back.reserve(&key).unwrap()).unwrap();
    assert_eq!(back.update(&[&key]).0[0].text, newer.text);
}

fn an_update_takes_a_repaired_machine_anew(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let update = |disk: &str, keys: Vec<Installed>| {
        let mut asked = server.request(Purpose::Update(Update { series: bench.series }));
        asked.installed = keys;
        asked.fingerprint.parts[2] = crate::rules::tests::print(&server.identity, disk).parts[2].clone();
        match server.ask(&asked).unwrap() {
            Granted::Updated { keys, .. } => (keys, asked.fingerprint),
            other => panic!("{other:?}"),
        }
    };
    let (news, print) = update("new disk", vec![installed(&first)]);
    assert_eq!((news[0].licence.issue, &news[0].licence.binding), (2, &Binding::Computer(print)));
    assert!(update("new disk", vec![installed(&news[0])]).0.is_empty());
    // A part that is out of sight for a day does not make the key weaker.
    let mut poor = server.request(Purpose::Update(Update { series: bench.series }));
    poor.fingerprint.parts.truncate(2);
    poor.installed = vec![installed(&news[0])];
    let Granted::Updated { keys, .. } = server.ask(&poor).unwrap() else { panic!() };
    assert!(keys.is_empty());
}

fn a_copy_is_reported_when_it_activates_another_code(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let also = |server: &Server<'_>, held: &Installable| {
        let mut asked = server.request(Purpose::Activate(activate(bench.main_code())));
        asked.installed = vec![installed(held)];
        server.licence(&asked).unwrap()
    };
    let second = also(&server, &first);
    assert_eq!(bench.reports(), []);
    server.machine = "bb".into();
    also(&server, &first);
    assert_eq!(bench.reports(), [Kind::Cloned, Kind::Cloned], "of both keys, whichever it lists");
    server.machine = "a".into();
    server.reserve(&second).unwrap();
    also(&server, &second);
    // Here it asks on the first machine again, and the key of the second one is there.
    assert_eq!(bench.reports(), [Kind::Cloned, Kind::Restored, Kind::Cloned, Kind::Cloned]);
}

fn a_clone_without_licence_files_is_reported(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    let carrier = Activate { blank_key_no: Some(17), ..activate(bench.main_code()) };
    server.licence(&server.request(Purpose::Activate(carrier))).unwrap();
    server.activate(bench.main_code()).unwrap();
    assert_eq!(bench.reports(), []);
    server.reserve(&first).unwrap();
    server.machine = "bb".into();
    server.activate(bench.main_code()).unwrap();
    let events = bench.centre.store.work(|work| work.latest_events(true, (0, 9))).unwrap();
    assert_eq!(events.iter().map(|event| event.key_no).collect::<Vec<_>>(), [Some(3)], "a machine of another key");
}

fn an_identity_file_is_in_a_licence_whose_terms_allow_it_and_a_container_may_move(on: On) {
    let bench = bench(on);
    let mut server = bench.server("a");
    let mut allowed = terms(KeyType::Main);
    allowed.offer.identity_file = true;
    let in_container = |server: &Server<'_>, purpose: Purpose| {
        let file =
            licence::fingerprint::Machine { parts: vec![(PartKind::IdentityFile, "file of the container".into())] };
        let mut asked = server.request(purpose);
        asked.fingerprint.parts.extend(file.fingerprint(CRYPTO, server.identity.salt()).parts);
        asked
    };
    let knows_file = |key: &Installable| match &key.licence.binding {
        Binding::Computer(print) => print.parts.iter().any(|part| part.kind == PartKind::IdentityFile),
        Binding::Blank(_) => false,
    };
    let update = |server: &Server<'_>, key: &Installable| {
        let mut asked = in_container(server, Purpose::Update(Update { series: bench.series }));
        asked.installed = vec![installed(key)];
        match server.ask(&asked).unwrap() {
            Granted::Updated { mut keys, .. } => keys.pop(),
            other => panic!("{other:?}"),
        }
    };
    let first = server.licence(&in_container(&server, Purpose::Activate(activate(bench.code(&allowed))))).unwrap();
    let code = bench.main_code();
    let plain = server.licence(&in_container(&server, Purpose::Activate(activate(code)))).unwrap();
    assert!(knows_file(&first) && !knows_file(&plain));
    assert!(update(&server, &first).is_none() && update(&server, &plain).is_none());

    server.machine = "another host".into();
    let moved = update(&server, &first).unwrap();
    assert!(knows_file(&moved) && moved.licence.issue == 2, "the new host is taken in");
    assert!(update(&server, &plain).is_none());
    assert_eq!(bench.reports(), [Kind::Cloned], "the key whose terms do not know the file");

    // The vendor changes his mind about either.
    server.machine = "a".into();
    bench.centre.change_terms("test", code, |_| Ok(allowed.clone())).unwrap();
    let plain = update(&server, &plain).unwrap();
    assert!(knows_file(&plain));
    bench.centre.change_terms("test", code, |_| Ok(terms(KeyType::Main))).unwrap();
    assert!(!knows_file(&update(&server, &plain).unwrap()));
}

fn a_licence_that_must_be_renewed_is_signed_anew_in_time(on: On) {
    let bench = bench(on);
    bench.policy(Policy { renew_days: 30, ..Policy::default() });
    let server = bench.server("a");
    let first = server.activate(bench.main_code()).unwrap();
    assert_eq!(first.licence.renew_by, Some(Time(DAY * 31)));
    bench.pass_days(14);
    assert!(server.update(&[&first]).0.is_empty());
    bench.pass_days(1);
    let (news, _, _) = server.update(&[&first]);
    assert_eq!((news[0].licence.issue, news[0].licence.renew_by), (2, Some(Time(DAY * 46))));
}

fn a_blocked_code_revokes_its_key(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let (code, unused) = (bench.main_code(), bench.main_code());
    let key = server.activate(code).unwrap();
    assert_eq!(bench.centre.block("test", code).unwrap(), State::Used);
    assert_eq!(bench.centre.block("test", unused).unwrap(), State::New);
    for code in [code, unused] {
        assert_eq!(code_of(server.activate(code)), Code::CodeBlocked);
    }
    assert_eq!(code_of(server.reserve(&key)), Code::CodeBlocked);
    assert_eq!(server.update(&[&key]).2, [1]);
    let unknown = "00000000000000000098".parse().unwrap();
    assert_eq!(code_of(bench.centre.block("test", unknown)), Code::CodeUnknown);
}

fn codes_and_keys_are_found_by_what_people_have_at_hand(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    assert_eq!(bench.centre.find(&format!(" {code} ")).unwrap().codes[0].code, code);
    let asked = Activate { itn: Some("7700000001".into()), ..activate(code) };
    server.licence(&server.request(Purpose::Activate(asked))).unwrap();
    let customer = crate::store::Customer {
        itn: "7700000001".into(),
        iec: String::new(),
        name: "Ромашка".into(),
        note: String::new(),
    };
    bench.centre.store.work(|work| work.put_customer(&customer)).unwrap();
    let computer = licence::id::ComputerId([1; 20]).to_string();
    for query in [code.to_string(), "7700000001".into(), "1".into(), "ромаш".into(), computer] {
        let found = bench.centre.find(&query).unwrap();
        assert_eq!(found.keys.iter().map(|key| key.key_no).collect::<Vec<_>>(), [1], "{query}");
    }
    for query in ["", "2", "7700000002", "0000-0000-0000-0000-0098", "%"] {
        assert_eq!(bench.centre.find(query).unwrap(), Found::default(), "{query}");
    }
}
