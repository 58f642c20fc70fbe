//! Datafiles in the data folder: handed out to components, and what they say of revoked keys.

use licence::datafile::{Contents, Datafile, Part, Plain, pack};
use licence::id::Bytes32;
use licence::key::KeyType;
use licence::parameters::Parameters;
use licence::protocol::MAX_PIECE;
use licence::protocol::message::{Call, DatafilePiece, DatafileQuery, Outcome};
use licence::series::RootKey;
use licence::subkeys::Policy;
use licence::{Code, KeyNo, Time};

use crate::bench::{Bench, CRYPTO, ISSUING, ROOT, Vendor};
use crate::client::connect;

/// A datafile of the first vendor's number, signed by `root`.
fn datafile(root: &[u8], created: i64, revoked: &[KeyNo], bytes: usize) -> Vec<u8> {
    let object = Plain { name: "Обработка".into(), policy: Policy::default(), bytes: vec![7; bytes] };
    let contents = Contents {
        key_id: Vendor::first().series().key_id,
        created: Time(created),
        salt: Bytes32([4; 32]),
        revoked: revoked.to_vec(),
        objects: vec![object],
    };
    let root = CRYPTO.rsa_signer(root).unwrap();
    pack(CRYPTO, root.as_ref(), &Vendor::first().secret, contents).unwrap()
}

fn remove(bench: &Bench, name: &str) {
    std::fs::remove_file(bench.root.join("data").join(name)).unwrap();
    bench.service.reload_keys();
}

#[test]
fn a_datafile_beside_the_server_is_handed_out_in_pieces() {
    let bench = Bench::ready("datafile-pieces");
    bench.install(1, |_| {});
    let mut client = connect(&bench);
    let mut ask = |part, at, length| match client.call(&bench, Call::Datafile(DatafileQuery { part, at, length })) {
        Ok(Outcome::Datafile(piece)) => Ok(piece),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code),
    };
    assert_eq!(ask(Part::Main, 0, 10), Err(Code::NoDatafile));
    let packed = datafile(ROOT, 1, &[], 600_000);
    bench.put("672B.datafile", &packed);
    let size = packed.len() as u64;
    let stamp = Datafile::read(CRYPTO, "x", packed.clone()).unwrap().stamp;
    let first = ask(Part::Main, 0, u32::MAX).unwrap();
    assert_eq!((first.size, first.stamp, first.bytes.len()), (size, stamp, MAX_PIECE as usize));
    let second = ask(Part::Main, u64::from(MAX_PIECE), MAX_PIECE).unwrap();
    assert!([first.bytes, second.bytes].concat() == packed);
    for at in [size, size + 1, u64::MAX] {
        assert_eq!(ask(Part::Main, at, 10), Ok(DatafilePiece { size, stamp, bytes: Vec::new() }));
    }
    assert_eq!(ask(Part::Extension, 0, 10), Err(Code::NoDatafile));
    let other = datafile(ROOT, 2, &[], 10);
    bench.put("672B.datafile", &other);
    assert_eq!(ask(Part::Main, 0, 0).unwrap().size, other.len() as u64);
    bench.put("672B.datafile", datafile(ISSUING, 2, &[], 10));
    assert_eq!(ask(Part::Main, 0, 10), Err(Code::AnchorConflict), "of another vendor");
    bench.put("672B.datafile", b"LSDF\x00\x01\xFF");
    assert_eq!(ask(Part::Main, 0, 10), Err(Code::ForeignFile));
    bench.put("672B.Extension.datafile", &packed[..packed.len() - 1]);
    assert_eq!(ask(Part::Extension, 0, 10), Err(Code::DocumentDamaged));
}

/// A file of parameters of the first vendor's number, signed by `root`.
fn params(root: &[u8], value: &str) -> String {
    let root = CRYPTO.rsa_signer(root).unwrap();
    let parameters = Parameters {
        key_id: Vendor::first().series().key_id,
        root: RootKey::new(root.public_key().to_vec()).unwrap(),
        created: Time(0),
        parameters: [("Тариф".to_owned(), value.to_owned()), ("Цвет".to_owned(), "синий".to_owned())].into(),
    };
    parameters.sign(root.as_ref()).unwrap()
}

#[test]
fn a_parameter_comes_from_the_key_then_from_the_main_key_then_from_the_vendors_file() {
    let bench = Bench::ready("parameters");
    let with = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    bench.install(1, |licence| licence.parameters = with("Тариф", "основной"));
    bench.install(2, |licence| {
        licence.key_type = KeyType::Additional;
        licence.parameters = with("Склад", "свой");
    });
    let mut client = connect(&bench);
    let mut ask = |key_no, name: &str, or_main| match client
        .call(&bench, Call::Parameter { key_no, name: name.into(), or_main })
    {
        Ok(Outcome::Value { value }) => Ok(value),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code),
    };
    let some = |value: &str| Ok(Some(value.to_owned()));
    assert_eq!((ask(Some(2), "Цвет", true), ask(Some(2), "Тариф", false)), (Ok(None), Ok(None)));
    bench.put("672B.params", params(ROOT, "по умолчанию"));
    assert_eq!(ask(Some(2), "Склад", true), some("свой"));
    assert_eq!(ask(Some(2), "Тариф", true), some("основной"));
    assert_eq!(ask(Some(2), "Тариф", false), some("по умолчанию"));
    assert_eq!((ask(None, "Цвет", false), ask(None, "Размер", true)), (some("синий"), Ok(None)));
    assert_eq!(ask(Some(77), "Цвет", true), Err(Code::KeyNoMissing));
    bench.put("672B.params", params(ROOT, "другой"));
    assert_eq!(ask(Some(2), "Тариф", false), some("другой"), "a new file counts at once");
    bench.put("672B.params", params(ISSUING, "чужой"));
    assert_eq!(ask(None, "Цвет", false), Err(Code::AnchorConflict), "of another vendor");
    assert_eq!(ask(None, "Тариф", false), some("основной"), "what a licence says needs no file");
    bench.put("672B.params", b"LSPF\x00\x01\xFF");
    assert_eq!(ask(None, "Цвет", false), Err(Code::ForeignFile));
    remove(&bench, "672B.params");
    assert_eq!(ask(None, "Цвет", false), Ok(None));
}

/// Numbers of the keys that can be used.
fn usable(bench: &Bench) -> Vec<KeyNo> {
    let snapshot = bench.service.keys().snapshot();
    let views = snapshot.views().filter(|view| view.usable.is_ok());
    views.filter_map(|view| Some(view.entry.key.as_ref()?.licence.key_no)).collect()
}

#[test]
fn a_key_that_a_datafile_beside_the_server_revokes_gives_nothing_even_when_the_datafile_has_gone() {
    let bench = Bench::ready("datafile-revoked");
    bench.install(1, |_| {});
    bench.install(2, |_| {});
    assert_eq!(usable(&bench), [1, 2]);
    bench.put("672B.datafile", datafile(ROOT, 10, &[1], 10));
    bench.service.reload_keys();
    assert_eq!(usable(&bench), [2]);
    assert!(bench.errors().iter().any(|(_, error)| error.as_ref().is_some_and(|e| e.contains("revoked"))));
    assert_eq!(bench.service.keys().snapshot().pools()[&Vendor::first().series()].size(), 5);
    // Another vendor has no say, and neither has an older list of this one.
    bench.put("other.datafile", datafile(ISSUING, 20, &[2], 10));
    bench.put("older.datafile", datafile(ROOT, 9, &[1, 2], 10));
    bench.service.reload_keys();
    assert_eq!(usable(&bench), [2]);
    remove(&bench, "672B.datafile");
    assert_eq!(usable(&bench), [2]);
    bench.put("672B.datafile", datafile(ROOT, 30, &[], 10));
    bench.service.reload_keys();
    assert_eq!(usable(&bench), [2], "a datafile without a list says nothing of it");
    bench.put("672B.Extension.datafile", datafile(ROOT, 31, &[0], 10));
    bench.service.reload_keys();
    assert_eq!(usable(&bench), [1, 2]);
}
