//! What members answer, and what servers are asked for it.

use super::*;

#[test]
fn an_object_that_goes_detaches_its_session_and_one_that_stops_gives_the_seat_back() {
    let network = Network::new();
    let a = network.add("a");
    let mut gone = slot(&network, wanted());
    let mut stopped = slot(&network, wanted());
    gone.take_licence(claim(1)).unwrap();
    stopped.take_licence(claim(2)).unwrap();
    network.events();
    drop(gone);
    stopped.stop();
    assert_eq!(network.events(), ["a detach", "a release", "a disconnect"]);
    assert_eq!(a.held(), 1);
    assert_eq!(Arc::strong_count(&network), 1);
}

#[test]
fn one_object_speaks_for_one_session_at_a_time() {
    let network = Network::new();
    let a = network.add("a");
    let mut slot = slot(&network, wanted());
    assert_eq!(code(slot.licence()), Code::BadSession);
    slot.take_licence(claim(1)).unwrap();
    slot.take_licence(claim(1)).unwrap();
    let performed = a.performed.load(Ordering::SeqCst);
    slot.licence().unwrap();
    assert_eq!(a.performed.load(Ordering::SeqCst), performed + 1);
    network.events();
    slot.take_licence(claim(2)).unwrap();
    assert_eq!(network.events(), ["a detach", "a acquire"]);
}

#[test]
fn a_refusal_is_a_value_and_keeps_its_code_and_text() {
    let mut object = LicenceExtension::create();
    assert_eq!(object.error_code().unwrap(), Value::Int(0));
    assert_eq!(call(&mut object, LicenceExtension::error_description, vec![]), Value::from(""));
    let handle = || Value::Number(1.0);
    assert_eq!(call(&mut object, LicenceExtension::licence, vec![handle()]), Value::Undefined);
    assert_eq!(object.error_code().unwrap(), Value::Int(507));
    let Value::Text(text) = call(&mut object, LicenceExtension::error_description, vec![]) else { panic!() };
    assert!(text.starts_with("(EExecuteError) Серия не запущена."), "{text}");
    object.set_language("en");
    let Value::Text(text) = call(&mut object, LicenceExtension::error_description, vec![]) else { panic!() };
    assert!(text.starts_with("(EExecuteError) The series is not started."), "{text}");
    for handle in [0, -1, 2, i64::MAX, i64::MIN] {
        assert_eq!(call(&mut object, LicenceExtension::release_licence, vec![Value::Int(handle)]), Value::Bool(false));
    }
    let start = vec![Value::from("67G2"), Value::Bool(true)];
    assert_eq!(call(&mut object, LicenceExtension::start, start), Value::Bool(false));
    assert_eq!(object.error_code().unwrap(), Value::Int(502));
    assert_eq!(object.series_handle().unwrap(), Value::Undefined);
}

#[test]
fn versions_demanded_by_public_configurations_are_met() {
    let mut object = LicenceExtension::create();
    let mut check = |required: &str| call(&mut object, LicenceExtension::check_version, vec![required.into()]);
    for required in ["3.0.14", "3.0.18.8054", "3.0.30.10493"] {
        assert_eq!(check(required), Value::Bool(true));
    }
    assert_eq!((check("3.1"), check("three")), (Value::Bool(false), Value::Undefined));
    assert_eq!(call(&mut object, LicenceExtension::check_version, vec![Value::Int(3)]), Value::Undefined);
}

#[test]
fn a_wrong_kind_of_argument_is_an_error_of_the_calling_code() {
    let mut object = LicenceExtension::create();
    let text = || Value::from("672B");
    assert!(LicenceExtension::start(&mut object, &mut [Value::Undefined, Value::Undefined]).is_err());
    assert!(LicenceExtension::licence(&mut object, &mut [text()]).is_err());
    assert!(
        LicenceExtension::load_protection_data(&mut object, &mut [Value::Int(1), text(), text(), Value::Bool(true)])
            .is_err()
    );
    assert!(LicenceExtension::set_session_data(&mut object, &mut [Value::Int(1), Value::Null]).is_err());
    assert!(LicenceExtension::stop(&mut object, &mut [text()]).is_err());
    assert!(object.set_parameters(Value::Int(1)).is_err());
    assert_eq!(object.error_code().unwrap(), Value::Int(0));
}

#[test]
fn an_anchor_is_read_back_as_hex_and_a_wrong_one_is_not_taken() {
    let mut object = LicenceExtension::create();
    assert_eq!(object.anchor().unwrap(), Value::from(""));
    object.set_anchor(root().to_string().to_lowercase().into()).unwrap();
    assert_eq!(object.anchor().unwrap(), Value::from(root().to_string()));
    assert!(object.set_anchor("-----BEGIN PUBLIC KEY-----".into()).is_err());
    assert_eq!(object.anchor().unwrap(), Value::from(root().to_string()));
    object.set_anchor(" ".into()).unwrap();
    assert_eq!(object.anchor().unwrap(), Value::from(""));
}

#[test]
fn session_data_may_hold_nulls_and_unknown_fields() {
    let data = session_data(r#"{"SessionNumber": 7, "UserName": null, "IsServer": null, "Else": [1]}"#).unwrap();
    assert_eq!((data.session_number.as_str(), data.is_server), ("7", None));
    for json in ["", "[]", "7", r#"{"SessionNumber": {}}"#, r#"{"SessionStarted": "yesterday"}"#] {
        assert_eq!(code(session_data(json)), Code::BadSession, "{json}");
    }
}

#[test]
fn diagnostics_hold_no_secret() {
    let network = Network::new();
    network.add("a");
    let mut object = LicenceExtension::create();
    let mut slot = slot(&network, wanted());
    slot.load(packed(ROOT, SERIES), "ДанныеСЛК", true, || network.nets()).unwrap();
    slot.take_licence(claim(1)).unwrap();
    object.slots.push(Some(slot));
    let Value::Text(text) = call(&mut object, LicenceExtension::diagnostics, vec![]) else { panic!() };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let series = &json["Series"][0];
    assert_eq!((&json["Version"], &series["Handle"], &series["KeyID"]), (&VERSION.into(), &1.into(), &"672B".into()));
    assert_eq!((&series["Base"], &series["Servers"][0]["Proven"]), (&"File".into(), &true.into()));
    assert_eq!(series["UsedLicence"], 7);
    assert!(!text.contains("/db") && !text.contains(&"05".repeat(16)), "{text}");
}

#[test]
fn the_end_of_an_object_ends_its_series() {
    let network = Network::new();
    network.add("a");
    let mut object = LicenceExtension::create();
    object.slots.push(Some(slot(&network, wanted())));
    object.done();
    assert_eq!(Arc::strong_count(&network), 1);
    assert_eq!(call(&mut object, LicenceExtension::licence, vec![Value::Int(1)]), Value::Undefined);
}

#[test]
fn the_document_lists_every_member_and_nothing_else() {
    let document = include_str!("../../../../docs/component.md");
    let member = |line: &str| -> Option<(String, String, String)> {
        let mut columns = line.strip_prefix("| `")?.split('|').map(|column| column.trim().trim_matches('`'));
        Some((columns.next()?.into(), columns.next()?.into(), columns.next()?.into()))
    };
    let listed: Vec<_> = document.lines().filter_map(member).collect();
    let properties = LicenceExtension::PROPERTIES.iter().map(|property| {
        let access = if property.access() == (true, true) { "read, write" } else { "read" };
        (property.names(), access.to_owned())
    });
    let methods = LicenceExtension::METHODS.iter().map(|method| {
        let (least, most) = method.arguments();
        let count = if least == most { least.to_string() } else { format!("{least}–{most}") };
        (method.names(), count)
    });
    let real = properties.chain(methods).map(|(names, shape)| (names.english.into(), names.russian.into(), shape));
    assert_eq!(listed, real.collect::<Vec<(String, String, String)>>());
}

#[test]
fn terms_count_for_the_next_session_and_move_the_one_that_is_known() {
    let network = Network::new();
    let a = network.add("a");
    let mut object = LicenceExtension::create();
    object.slots.push(Some(slot(&network, wanted())));
    let handle = || Value::Int(1);
    let last = || a.claims.lock().unwrap().last().cloned().unwrap();
    let control = |object: &mut LicenceExtension, only: bool, itn: Value, key_no: Value| {
        let nothing = || Value::from("");
        let arguments = vec![handle(), Value::Bool(only), itn, nothing(), nothing(), nothing(), key_no];
        call(object, LicenceExtension::set_control_parameters, arguments)
    };
    assert_eq!(control(&mut object, false, Value::Number(7_701_000_001.0), Value::Int(7)), Value::Bool(true));
    let coded = call(&mut object, LicenceExtension::set_access_code, vec![handle(), " код ".into()]);
    assert_eq!((coded, a.claims.lock().unwrap().len()), (Value::Bool(true), 0));
    object.slots[0].as_mut().unwrap().take_licence(claim(1)).unwrap();
    let claim = last();
    assert_eq!((claim.control.demands.itn.as_deref(), claim.control.demands.key_no), (Some("7701000001"), Some(7)));
    assert_eq!(claim.access_code.as_deref(), Some("код"));
    assert_eq!(call(&mut object, LicenceExtension::key_no, vec![handle()]), Value::from("7"));
    assert_eq!(control(&mut object, false, Value::Undefined, Value::Null), Value::Bool(true));
    assert_eq!((last().control, last().access_code.as_deref()), (Default::default(), Some("код")));

    *a.refuses_claims.lock().unwrap() = Some(Code::WrongItn.into());
    assert_eq!(control(&mut object, false, "1".into(), "".into()), Value::Bool(false));
    assert_eq!(object.error_code().unwrap(), Value::Int(315));
    *a.refuses_claims.lock().unwrap() = None;
    assert_eq!(call(&mut object, LicenceExtension::check_session_licence, vec![handle()]), Value::Bool(true));

    assert_eq!(control(&mut object, true, Value::Undefined, Value::Null), Value::Bool(true));
    assert_eq!(a.held(), 0, "the presence of a key takes no seat");
    assert!(matches!(call(&mut object, LicenceExtension::licence, vec![handle()]), Value::Text(_)));
    assert!(matches!(call(&mut object, LicenceExtension::key_no, vec![handle()]), Value::Text(_)));
    let lock = vec![handle(), "a".into(), Value::Bool(true)];
    assert_eq!(call(&mut object, LicenceExtension::set_lock, lock), Value::Bool(false));
    let opened = object.slots[0].as_mut().unwrap().load(packed(ROOT, SERIES), "a", true, || network.nets());
    opened.unwrap();
    assert_eq!(code(object.slots[0].as_mut().unwrap().object("Обработка")), Code::SeatNeeded);
    assert_eq!(control(&mut object, false, Value::Undefined, Value::Null), Value::Bool(true));
    assert_eq!(a.held(), 1, "the same session takes its seat");
}

#[test]
fn the_server_is_asked_in_the_name_of_the_session() {
    let network = Network::new();
    let a = network.add("a");
    let mut object = LicenceExtension::create();
    object.slots.push(Some(slot(&network, wanted())));
    let handle = || Value::Int(1);
    let json = |value: Value| -> serde_json::Value { serde_json::from_str(value.as_text().unwrap()).unwrap() };
    let info = json(call(&mut object, LicenceExtension::server_info, vec![handle()]));
    assert_eq!(
        (&info["Version"], &info["OSType"], &info["CPU"]),
        (&"3.0.100.0".into(), &"Linux".into(), &"x86_64".into())
    );
    let address = call(&mut object, LicenceExtension::console_address, vec![handle()]);
    assert_eq!(address, Value::from(format!("http://{}/", network.endpoint("a"))));
    assert_eq!(info["ConsoleUrl"], address.as_text().unwrap());

    let set = |value: Value| vec![handle(), "имя".into(), value];
    assert_eq!(call(&mut object, LicenceExtension::set_server_parameter, set("x".into())), Value::Bool(false));
    assert_eq!(object.error_code().unwrap(), Value::Int(314), "no session");
    object.slots[0].as_mut().unwrap().take_licence(claim(1)).unwrap();
    assert_eq!(call(&mut object, LicenceExtension::set_server_parameter, set(Value::Int(5))), Value::Bool(true));
    let get = || vec![handle(), "имя".into()];
    assert_eq!(call(&mut object, LicenceExtension::server_parameter, get()), Value::from("5"));
    assert_eq!(call(&mut object, LicenceExtension::set_server_parameter, set(Value::Undefined)), Value::Bool(true));
    assert_eq!(call(&mut object, LicenceExtension::server_parameter, get()), Value::Undefined);
    assert_eq!(object.error_code().unwrap(), Value::Int(0), "nothing there is no refusal");
    network.events();
    for locked in [true, false] {
        let lock = vec![handle(), "обмен".into(), Value::Bool(locked)];
        assert_eq!(call(&mut object, LicenceExtension::set_lock, lock), Value::Bool(true));
    }
    assert_eq!(network.events(), ["a lock обмен", "a unlock обмен"]);

    let mut ask = |key: Value| {
        let arguments = vec![handle(), key, "тариф".into(), Value::Bool(true)];
        call(&mut object, LicenceExtension::parameter, arguments)
    };
    assert_eq!(ask(Value::Number(9.0)), Value::from("Some(9) тариф true"));
    assert_eq!(ask("672b".into()), Value::from("None тариф true"), "the main key of the series");
    assert_eq!(ask(Value::Undefined), Value::from("Some(7) тариф true"), "the session's own key");
    assert_eq!(ask("x".into()), Value::Undefined);
    assert_eq!(object.error_code().unwrap(), Value::Int(502));
    assert_eq!(json(call(&mut object, LicenceExtension::counters, vec![handle()]))["Sessions"], 1);
    let list = json(call(&mut object, LicenceExtension::licences, vec![handle(), Value::Int(0), Value::Null]));
    assert_eq!(list.as_array().unwrap().len(), 1);
    a.stop();
    let from_memory = call(&mut object, LicenceExtension::console_address, vec![handle()]);
    assert_eq!(from_memory, address);
}

#[test]
fn calls_about_keys_carry_what_1c_code_says_and_bring_structures() {
    let network = Network::new();
    let a = network.add("a");
    let mut object = LicenceExtension::create();
    object.slots.push(Some(slot(&network, wanted())));
    let handle = || Value::Int(1);
    let asked = || a.asked.lock().unwrap().pop().unwrap();
    let json = |value: Value| -> serde_json::Value { serde_json::from_str(value.as_text().unwrap()).unwrap() };
    let hidden = |text: &str| Hidden(text.into());

    let tax = Value::Number(7_701_000_001.0);
    let arguments = vec![handle(), "1234".into(), tax, Value::Null, Value::Int(5)];
    let licence = json(call(&mut object, LicenceExtension::install_licence, arguments));
    assert_eq!(licence["KeyID"], "672B");
    let order = Install { code: hidden("1234"), itn: "7701000001".into(), iec: "".into(), blank_key_no: Some(5) };
    assert_eq!(asked(), KeyCall::Install(order.clone()));
    let text = call(&mut object, LicenceExtension::create_request_file, vec![handle()]);
    assert_eq!(text, Value::from("request"));
    assert_eq!(asked(), KeyCall::Request { wish: Wish::Install(Install::default()) }, "a demo licence");
    let news = json(call(&mut object, LicenceExtension::update_licences, vec![handle(), Value::Int(1), "".into()]));
    assert_eq!(
        (asked(), news),
        (KeyCall::Update, serde_json::json!({ "Updated": [7], "Retired": [], "Revoked": [8] }))
    );

    let who = || vec![handle(), "7".into(), "r".into(), Value::Null, "admin".into(), " s3cret ".into()];
    assert_eq!(call(&mut object, LicenceExtension::deactivate_licence, who()), Value::from("reserve"));
    let wish = Deactivate {
        key_no: 7,
        reason: "r".into(),
        comment: "".into(),
        login: "admin".into(),
        password: hidden(" s3cret "),
    };
    assert_eq!(asked(), KeyCall::Deactivate(wish.clone()));
    call(&mut object, LicenceExtension::create_deactivation_request_file, who());
    assert_eq!(asked(), KeyCall::Request { wish: Wish::Deactivate(wish) });
    let nameless = &mut [handle(), Value::Undefined];
    assert!(LicenceExtension::deactivate_licence(&mut object, nameless).is_err(), "which key must be said");

    for (response, member) in [("licence", "Licence"), ("reserve", "Reserve"), ("update", "Update")] {
        let brought = vec![handle(), Value::Blob(response.into())];
        let brought = json(call(&mut object, LicenceExtension::install_response_file, brought));
        let members: Vec<&str> =
            ["Licence", "Reserve", "Update"].into_iter().filter(|n| !brought[n].is_null()).collect();
        assert_eq!((members, asked()), (vec![member], KeyCall::Respond { text: response.into() }));
    }
    let binary = vec![handle(), Value::Blob(vec![0xFF])];
    assert_eq!(call(&mut object, LicenceExtension::install_response_file, binary), Value::Undefined);
    assert_eq!(object.error_code().unwrap(), Value::Int(502));

    let mut read = |key: Value| {
        let data = call(&mut object, LicenceExtension::read_memory, vec![handle(), key, "пароль".into()]);
        (data, object.last.clone())
    };
    assert_eq!(read("672B".into()).0, Value::from("memory"));
    assert_eq!(asked(), KeyCall::ReadMemory { key_no: None, password: hidden("пароль") }, "the main key");
    assert_eq!(read(Value::Number(9.0)).0, Value::from("memory"));
    assert_eq!(asked(), KeyCall::ReadMemory { key_no: Some(9), password: hidden("пароль") });
    let (refused, error) = read("s3cret".into());
    assert!(refused == Value::Undefined && !error.unwrap().to_string().contains("s3cret"));
    assert_eq!(read("".into()).0, Value::from("memory"));
    assert_eq!(
        asked(),
        KeyCall::ReadMemory { key_no: None, password: hidden("пароль") },
        "without a session the main key"
    );
    let mut write = || {
        let write = vec![handle(), "".into(), "".into(), " data ".into()];
        (call(&mut object, LicenceExtension::write_memory, write), object.error_code().unwrap())
    };
    assert_eq!(write(), (Value::Bool(false), Value::Int(458)), "there is no seat");
    assert!(a.asked.lock().unwrap().is_empty(), "and nobody was asked");
    object.slots[0].as_mut().unwrap().take_licence(claim(1)).unwrap();
    let write = vec![handle(), "".into(), "".into(), " data ".into()];
    assert_eq!(call(&mut object, LicenceExtension::write_memory, write), Value::Bool(true));
    let data = KeyCall::WriteMemory { key_no: Some(7), password: hidden(""), data: hidden(" data ") };
    assert_eq!(asked(), data, "the session's own key");
}

#[test]
fn the_hash_is_sha_256_of_the_text_in_utf_8() {
    let mut object = LicenceExtension::create();
    let hash = call(&mut object, LicenceExtension::hash_code, vec!["abc".into()]);
    assert_eq!(hash, Value::from("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
    assert!(LicenceExtension::hash_code(&mut object, &mut [Value::Int(1)]).is_err());
}
