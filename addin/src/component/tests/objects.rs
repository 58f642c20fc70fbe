//! Which objects of which datafiles open, under which anchor.

use super::*;

#[test]
fn an_object_opens_for_a_session_with_a_licence_by_alias_or_name_in_any_case() {
    let network = Network::new();
    network.add("a");
    let mut slot = slot(&network, wanted());
    assert_eq!(code(slot.object("Обработка")), Code::NoObject);
    slot.load(packed(ROOT, SERIES), "ДанныеСЛК", true, || network.nets()).unwrap();
    assert_eq!(code(slot.object("Обработка")), Code::SeatNeeded);
    assert_eq!(bytes(&mut slot, "Открытая.Часть"), "text of Открытая.Часть");
    slot.take_licence(claim(1)).unwrap();
    for name in ["Обработка", "ДанныеСЛК.Обработка", "данныеслк.ОБРАБОТКА"]
    {
        assert_eq!(bytes(&mut slot, name), "text of Обработка");
    }
    assert_eq!(code(slot.object("Чужие.Обработка")), Code::NoObject);
    slot.release().unwrap();
    assert_eq!(code(slot.object("Обработка")), Code::BadSession);
    assert_eq!(bytes(&mut slot, "ДанныеСЛК.Открытая.Часть"), "text of Открытая.Часть");
}

#[test]
fn a_datafile_of_another_root_series_or_tool_is_refused() {
    let network = Network::new();
    network.add("a");
    let mut slot = slot(&network, wanted());
    let mut load = |bytes| code(slot.load(bytes, "a", true, || network.nets()));
    assert_eq!(load(packed(ISSUING, SERIES)), Code::AnchorConflict);
    assert_eq!(load(packed(ROOT, KeyId(0xAAAA))), Code::BadArgument);
    assert_eq!(load(b"LSDF\x00\x01".to_vec()), Code::ForeignFile);
    assert_eq!(load(b"LSPF\n\n\n".to_vec()), Code::ForeignFile);
    let mut damaged = packed(ROOT, SERIES);
    damaged.truncate(500);
    assert_eq!(load(damaged), Code::DocumentDamaged);
    assert_eq!(load(Vec::new()), Code::DocumentDamaged);
    assert!(slot.data.loaded().is_empty());
}

#[test]
fn without_an_anchor_the_configurations_own_datafile_sets_it_and_the_session_goes_along() {
    let network = Network::new();
    let a = network.add("a");
    let mut slot = slot(&network, Wanted { anchor: None, ..wanted() });
    slot.take_licence(claim(1)).unwrap();
    assert_eq!(code(slot.object("Обработка")), Code::NoAnchor);
    slot.load(packed(ROOT, SERIES), "ДанныеСЛК", true, || network.nets()).unwrap();
    assert_eq!(slot.started.wanted.anchor, Some(root()));
    assert_eq!(bytes(&mut slot, "Обработка"), "text of Обработка");
    assert_eq!(a.held(), 1);
}

#[test]
fn a_server_with_a_root_of_its_own_opens_nothing() {
    let network = Network::new();
    let a = network.add("a");
    let stranger = licence::identity::Identity::generate(&PROVIDER).unwrap();
    *a.licences.lock().unwrap() = vec![licence_for(&stranger)];
    let mut slot = slot(&network, Wanted { anchor: None, ..wanted() });
    assert_eq!(code(slot.load(packed(ROOT, SERIES), "a", true, || network.nets())), Code::ServerNotTrusted);
    assert!(slot.started.wanted.anchor.is_none() && slot.data.loaded().is_empty());
    assert_eq!(code(slot.object("Обработка")), Code::NoAnchor);
    assert_eq!(code(start(&network, wanted())), Code::ServerNotTrusted);
}

#[test]
fn a_datafile_sets_the_anchor_that_the_first_key_is_installed_under() {
    let network = Network::new();
    let a = network.add("a");
    a.keyless.store(true, Ordering::SeqCst);
    let (wanted, endpoints) = (Wanted { anchor: None, ..wanted() }, vec![network.endpoint("a")]);
    let mut slot = Slot::enter(&PROVIDER, wanted, endpoints, || network.nets()).unwrap();
    let install = |slot: &Slot| slot.started.about_keys(None, KeyCall::Install(Install::default()));
    assert_eq!(code(slot.started.connect()), Code::NoKey);
    assert_eq!(code(install(&slot)), Code::NoAnchor);
    slot.load(packed(ROOT, SERIES), "ДанныеСЛК", true, || network.nets()).unwrap();
    assert_eq!(code(slot.take_licence(claim(1))), Code::NoKey);
    install(&slot).unwrap();
    a.keyless.store(false, Ordering::SeqCst);
    slot.take_licence(claim(1)).unwrap();
    assert_eq!(bytes(&mut slot, "Обработка"), "text of Обработка");
}

#[test]
fn an_object_is_found_in_what_1c_passed_then_beside_the_server_then_on_a_disk() {
    let network = Network::new();
    let a = network.add("a");
    let folder = std::env::temp_dir().join(format!("slk-places-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut slot = slot(&network, wanted());
    slot.data.folders = vec![folder.join("absent"), folder.clone()];
    slot.take_licence(claim(1)).unwrap();
    assert_eq!(code(slot.object("Обработка")), Code::NoObject);
    std::fs::write(folder.join("672B.datafile"), file(1, &[], b"disk")).unwrap();
    assert_eq!(bytes(&mut slot, "обработка"), "disk");
    let beside = |part, text: &[u8]| a.datafiles.lock().unwrap().insert(part, file(2, &[], text));
    beside(Part::Main, b"server");
    assert_eq!(bytes(&mut slot, "Обработка"), "server");
    assert_eq!(code(slot.object("Extension.Обработка")), Code::NoObject);
    beside(Part::Extension, b"extension");
    assert_eq!(bytes(&mut slot, "extension.Обработка"), "extension");
    slot.load(file(3, &[], b"passed"), "ДанныеСЛК", true, || network.nets()).unwrap();
    assert_eq!(bytes(&mut slot, "Обработка"), "passed");
    assert_eq!(bytes(&mut slot, "Extension.Обработка"), "extension");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_file_beside_the_server_comes_in_pieces_once_and_anew_when_it_was_replaced() {
    let network = Network::new();
    let a = network.add("a");
    let large: Vec<u8> = (0..1_300_000_u32).map(|at| at as u8).collect();
    a.datafiles.lock().unwrap().insert(Part::Main, file(1, &[], &large));
    let mut slot = slot(&network, wanted());
    slot.take_licence(claim(1)).unwrap();
    let asked = |slot: &mut Slot| {
        let before = a.performed.load(Ordering::SeqCst);
        let plain = open(slot, "Обработка").unwrap();
        (plain, a.performed.load(Ordering::SeqCst) - before)
    };
    // Whether the file is there, its three pieces, the key.
    assert!(asked(&mut slot) == (large.clone(), 5));
    assert!(asked(&mut slot) == (large, 2));
    a.datafiles.lock().unwrap().insert(Part::Main, file(2, &[], b"new"));
    assert_eq!(asked(&mut slot), (b"new".to_vec(), 3));
}

#[test]
fn all_that_an_object_needs_of_a_slow_server_has_one_limit_and_what_has_come_is_kept() {
    let network = Network::new();
    let a = network.add("a");
    a.datafiles.lock().unwrap().insert(Part::Main, file(1, &[], &vec![7; 5_000_000]));
    let mut slot = slot(&network, wanted());
    slot.take_licence(claim(1)).unwrap();
    a.takes.store(4_000, Ordering::SeqCst);
    let before = slot.started.now();
    assert_eq!(code(slot.object("Обработка")), Code::DatafileSlow);
    let took = slot.started.now().since(before);
    assert!(took <= OBJECT_LIMIT, "{took:?}");
    assert_eq!(open(&mut slot, "Обработка").unwrap().len(), 5_000_000);
}

#[test]
fn a_file_beside_the_server_is_taken_under_the_anchor_only() {
    let network = Network::new();
    let a = network.add("a");
    let mut slot = slot(&network, wanted());
    slot.take_licence(claim(1)).unwrap();
    let mut refuses = |bytes: Vec<u8>| {
        a.datafiles.lock().unwrap().insert(Part::Main, bytes);
        code(open(&mut slot, "Обработка"))
    };
    assert_eq!(refuses(packed(ISSUING, SERIES)), Code::AnchorConflict);
    assert_eq!(refuses(packed(ROOT, KeyId(0xAAAA))), Code::BadArgument);
    assert_eq!(refuses(b"LSDF\x00\x01\xFF".to_vec()), Code::ForeignFile);
    assert_eq!(refuses(b"LSPF\n\n\n".to_vec()), Code::ForeignFile);
    let mut altered = file(1, &[], b"text");
    altered[40] ^= 1;
    assert!([Code::SignatureWrong, Code::DocumentDamaged].contains(&refuses(altered)));
    let mut damaged = file(1, &[], b"text");
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(refuses(damaged), Code::ObjectDamaged);
    // The same index over whole bytes: nothing of the damaged ones is kept.
    a.datafiles.lock().unwrap().insert(Part::Main, file(1, &[], b"text"));
    assert_eq!(bytes(&mut slot, "Обработка"), "text");
}

#[test]
fn an_alias_that_is_loaded_stays_unless_it_is_replaced() {
    let network = Network::new();
    network.add("a");
    let mut slot = slot(&network, wanted());
    slot.take_licence(claim(1)).unwrap();
    let mut load = |text: &[u8], replaces| {
        slot.load(file(1, &[], text), "ДанныеСЛК", replaces, || network.nets()).unwrap();
        bytes(&mut slot, "Обработка")
    };
    assert_eq!(load(b"first", false), "first");
    assert_eq!(load(b"second", false), "first");
    assert_eq!(load(b"third", true), "third");
}

#[test]
fn a_key_that_a_datafile_revokes_holds_no_seat_and_opens_nothing() {
    let network = Network::new();
    let a = network.add("a");
    let mut slot = slot(&network, wanted());
    slot.take_licence(claim(1)).unwrap();
    slot.load(file(1, &[], b"text"), "ДанныеСЛК", true, || network.nets()).unwrap();
    assert_eq!((bytes(&mut slot, "Обработка").as_str(), a.held()), ("text", 1));
    slot.load(file(5, &[3, 7], b"text"), "Новые", true, || network.nets()).unwrap();
    assert_eq!(a.held(), 0);
    assert_eq!(code(slot.object("Обработка")), Code::KeyRevoked);
    assert_eq!(code(slot.licence()), Code::KeyRevoked);
    assert_eq!((code(slot.take_licence(claim(1))), a.held()), (Code::KeyRevoked, 0));
    assert_eq!((code(slot.take_licence(claim(2))), a.held()), (Code::KeyRevoked, 0));
    // An object that needs no seat is opened under some key of the server: this one.
    slot.load(packed(ROOT, SERIES), "Открытые", true, || network.nets()).unwrap();
    assert_eq!(code(slot.object("Открытая.Часть")), Code::KeyRevoked);
    // An older list changes nothing, a newer one does.
    slot.load(file(4, &[0], b"text"), "Старые", true, || network.nets()).unwrap();
    assert_eq!(code(slot.take_licence(claim(1))), Code::KeyRevoked);
    slot.load(file(6, &[0], b"text"), "Снова", true, || network.nets()).unwrap();
    slot.take_licence(claim(1)).unwrap();
    assert_eq!((bytes(&mut slot, "Обработка").as_str(), a.held()), ("text", 1));
}

#[test]
fn loaded_objects_are_listed_with_their_aliases() {
    let network = Network::new();
    network.add("a");
    let mut object = LicenceExtension::create();
    object.slots.push(Some(slot(&network, wanted())));
    let loaded = |object: &mut LicenceExtension, alias: &str| {
        call(object, LicenceExtension::is_loaded, vec![Value::Int(1), alias.into()])
    };
    assert_eq!(loaded(&mut object, "а"), Value::Bool(false));
    assert_eq!(object.error_code().unwrap(), Value::Int(0), "it is no refusal");
    for alias in ["а", "б"] {
        object.slots[0].as_mut().unwrap().load(packed(ROOT, SERIES), alias, true, || network.nets()).unwrap();
    }
    assert_eq!(loaded(&mut object, "А"), Value::Bool(true));
    let mut list = |alias: &str| -> Vec<String> {
        let names = call(&mut object, LicenceExtension::object_list, vec![Value::Int(1), alias.into()]);
        serde_json::from_str(names.as_text().unwrap()).unwrap()
    };
    assert_eq!(list("б"), ["б.Обработка", "б.Открытая.Часть"]);
    assert_eq!((list("").len(), list("в").len()), (4, 0));
}
