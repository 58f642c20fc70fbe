//! A code, or the wish for a demo, becomes a licence: once, and only where it can work.

use super::*;

on_both! {
    a_licence_has_the_terms_of_its_code_and_the_subkeys_that_they_earn
    a_lost_answer_can_be_asked_again_even_after_the_issuing_key_was_renewed
    a_code_is_not_spent_on_a_key_that_could_not_work
    an_expired_certificate_issues_nothing_and_spends_nothing
    another_identity_or_machine_does_not_get_a_used_code
    at_two_centres_at_the_same_time_a_code_gives_one_licence
    a_demo_licence_is_given_once_to_a_computer
    the_parameters_of_a_code_are_told_without_spending_it
    an_answer_is_of_the_newest_version_that_the_server_reads
}

fn a_licence_has_the_terms_of_its_code_and_the_subkeys_that_they_earn(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let mut sold = terms(KeyType::Main);
    sold.offer.period = 30;
    sold.offer.flags = licence::flags::Flags::of(&[3]).unwrap();
    sold.offer.article = "A-1".into();
    sold.offer.service_type = 2;
    let asked = Activate { itn: Some("7700000001".into()), ..activate(bench.code(&sold)) };
    let asked = server.request(Purpose::Activate(asked));
    let key = server.licence(&asked).unwrap();
    let licence = &key.licence;
    assert_eq!((licence.key_no, licence.reg_no, licence.issue, licence.licence_count), (1, 1, 1, 5));
    assert_eq!((licence.article.as_str(), licence.period, licence.activation_date), ("A-1", 30, Time(DAY)));
    assert_eq!((licence.itn.as_deref(), licence.renew_by), (Some("7700000001"), None));
    assert_eq!(licence.binding, Binding::Computer(asked.fingerprint.clone()));
    let earned = SeriesSecret::new([7; 32]).earned(CRYPTO, &licence.entitlement()).unwrap();
    assert_eq!(key.subkeys(CRYPTO, &server.identity).unwrap(), earned);

    let carrier = Activate { blank_key_no: Some(17), ..activate(bench.main_code()) };
    let second = server.licence(&server.request(Purpose::Activate(carrier))).unwrap();
    assert_eq!((second.licence.key_no, second.licence.binding), (2, Binding::Blank(17)));
}

fn a_lost_answer_can_be_asked_again_even_after_the_issuing_key_was_renewed(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    let first = server.activate(code).unwrap();
    bench.pass_days(1001);
    assert_eq!(code_of(server.activate(code)), Code::SeriesNotServed);
    // The root stands in for a new issuing key.
    bench.centre.serve(vec![issuing(ROOT, 2000)]).unwrap();
    assert_eq!(server.activate(code).unwrap().text, first.text);
}

fn a_code_is_not_spent_on_a_key_that_could_not_work(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.code(&terms(KeyType::Additional));
    let alone = server.request(Purpose::Activate(activate(code)));
    assert_eq!(code_of(server.licence(&alone)), Code::KeyRuleViolated);
    let other = Activate { key_id: Some(KeyId(1)), ..activate(code) };
    assert_eq!(code_of(server.licence(&server.request(Purpose::Activate(other)))), Code::CodeOfOtherSeries);
    let other = Activate { key_id: Some(KeyId(0x672B)), root: Some(RootHash([9; 32])), ..activate(code) };
    assert_eq!(code_of(server.licence(&server.request(Purpose::Activate(other)))), Code::CodeOfOtherVendor);
    let main = Installed { series: bench.series, key_no: 900, issue: 1, key_type: KeyType::Main };
    let beside = Request { installed: vec![main], ..alone };
    assert_eq!(server.licence(&beside).unwrap().licence.key_type, KeyType::Additional);

    let mut over = terms(KeyType::Main);
    over.offer.until = Some(Time(DAY));
    assert_eq!(code_of(server.activate(bench.code(&over))), Code::OfferOver);
    over.offer.until = Some(Time(DAY + 1));
    let in_time = bench.code(&over);
    let first = server.activate(in_time).unwrap();
    bench.pass_days(9);
    assert_eq!(server.activate(in_time).unwrap().text, first.text, "a lost answer is no new exchange");
    let unknown = "00000000000000000098".parse().unwrap();
    assert_eq!(code_of(server.activate(unknown)), Code::CodeUnknown);
}

fn an_expired_certificate_issues_nothing_and_spends_nothing(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    bench.pass_days(1001);
    assert_eq!(code_of(server.activate(code)), Code::SeriesNotServed);
    bench.pass_days(-1001);
    assert_eq!(bench.centre.find(&code.to_string()).unwrap().codes[0].state, State::New);
    assert_eq!(server.activate(code).unwrap().licence.key_no, 1);
}

fn another_identity_or_machine_does_not_get_a_used_code(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    server.activate(code).unwrap();
    assert_eq!(code_of(bench.server("a").activate(code)), Code::CodeUsed);
    let forged = server.request(Purpose::Activate(activate(code))).sign(CRYPTO, &bench.server("a").identity).unwrap();
    assert_eq!(code_of(bench.centre.read(&forged)), Code::RequestSignature);
}

fn at_two_centres_at_the_same_time_a_code_gives_one_licence(on: On) {
    let bench = bench(on);
    let code = bench.main_code();
    let won = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for instance in 0..2 {
            for _ in 0..3 {
                let (bench, won) = (&bench, &won);
                scope.spawn(move || {
                    let other = centre(&bench.folder, &bench.clock);
                    let asked_of = if instance == 0 { &bench.centre } else { &other };
                    let server = bench.server("a");
                    let text =
                        server.request(Purpose::Activate(activate(code))).sign(CRYPTO, &server.identity).unwrap();
                    match asked_of.answer(&asked_of.read(&text).unwrap()).and_then(Unsettled::settle) {
                        Ok(_) => drop(won.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert_eq!(error.code, Code::CodeUsed),
                    }
                });
            }
        }
        // And one server at both at once, with the same request: it gets one licence, twice.
        let (server, code) = (bench.server("b"), bench.main_code());
        let texts: Vec<String> = std::thread::scope(|scope| {
            let ask = |_| scope.spawn(|| server.activate(code).unwrap().text);
            (0..4).map(ask).collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(texts.iter().all(|text| *text == texts[0]));
    });
    assert_eq!(won.into_inner(), 1);
}

fn a_demo_licence_is_given_once_to_a_computer(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let demo = |key_id| Activate {
        want: Want::Demo { key_id, root: None },
        ..activate("00000000000000000098".parse().unwrap())
    };
    let asked = server.request(Purpose::Activate(demo(bench.series.key_id)));
    assert_eq!(code_of(server.licence(&asked)), Code::DemoRefused);
    bench.policy(Policy { demo: Some(terms(KeyType::Demo).offer), ..Policy::default() });
    let key = server.licence(&asked).unwrap();
    assert_eq!(key.licence.key_type, KeyType::Demo);
    assert_eq!(server.licence(&asked).unwrap().text, key.text);
    let elsewhere = server.request(Purpose::Activate(demo(KeyId(1))));
    assert_eq!(code_of(server.licence(&elsewhere)), Code::SeriesNotServed);
    // The same computer with a new identity, and another one.
    let (same, other) = (bench.server("a"), bench.server("bb"));
    let of = |server: &Server<'_>| server.licence(&server.request(Purpose::Activate(demo(bench.series.key_id))));
    assert_eq!(code_of(of(&same)), Code::DemoRefused);
    assert_eq!(bench.reports(), []);
    let mut clone = server;
    clone.machine = "ccc".into();
    assert_eq!((code_of(of(&clone)), bench.reports()), (Code::DemoRefused, vec![Kind::Cloned]));
    let main = Installed { series: bench.series, key_no: 900, issue: 1, key_type: KeyType::Main };
    let beside = Request { installed: vec![main], ..other.request(Purpose::Activate(demo(bench.series.key_id))) };
    assert_eq!(code_of(other.licence(&beside)), Code::KeyRuleViolated);
    assert_eq!(of(&other).unwrap().licence.key_no, 2);
}

fn the_parameters_of_a_code_are_told_without_spending_it(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let mut sold = terms(KeyType::Main);
    sold.itn = Some("7700000001".into());
    let code = bench.code(&sold);
    let parameters = || match server.ask(&server.request(Purpose::CodeParameters(code))).unwrap() {
        Granted::CodeParameters(parameters) => *parameters,
        other => panic!("{other:?}"),
    };
    let told = parameters();
    assert_eq!((told.state, told.itn_required, told.iec_required), (State::New, true, false));
    assert_eq!((told.offer, told.series), (sold.offer, bench.series));
    let asked = Activate { itn: Some("7700000001".into()), ..activate(code) };
    let key = server.licence(&server.request(Purpose::Activate(asked))).unwrap();
    assert_eq!((parameters().state, parameters().key_no), (State::Used, Some(key.licence.key_no)));
}

fn an_answer_is_of_the_newest_version_that_the_server_reads(on: On) {
    let bench = bench(on);
    let server = bench.server("a");
    let code = bench.main_code();
    for (newest, version) in [(0, 1), (1, 1), (2, 2), (u32::MAX, 2)] {
        let asked = Request { answers: newest, ..server.request(Purpose::Activate(activate(code))) };
        let done = bench.centre.answer(&asked).unwrap().settle().unwrap();
        assert!(done.answer.starts_with(&format!("SLK-ANSWER {version}\n")), "{newest}");
        let received = Answer::read(CRYPTO, "x", &done.answer).unwrap();
        assert!(matches!(received.accept(CRYPTO, &asked, &server.identity), Ok(Granted::Activated { .. })));
    }
}
