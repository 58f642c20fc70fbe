//! The first key of a series comes through 1C: a start that is refused for lack of it leaves a handle to install it with, and
//! nothing else works until it is there.

use std::fs;

use e2e::component::{Attached, Kind, Process, server_session};
use e2e::host::Value;
use e2e::{Failure, Outcome, Root, SERIES, Site};
use serde_json::Value as Json;

fn granted<T>(answer: Result<T, e2e::component::Refusal>) -> Outcome<T> {
    answer.map_err(|refusal| refusal.failure())
}

/// Calls a member that gives a text.
fn text(process: &mut Process, attached: &Attached, member: &str, arguments: &[Value]) -> Outcome<String> {
    match process.call(attached, member, arguments)? {
        Value::Text(text) => Ok(text),
        other => Err(Failure::new(format!("{member}: {other:?}, {:?}", process.refusal(attached.object)?))),
    }
}

#[test]
fn a_configuration_installs_the_first_key_and_goes_on_with_the_same_handle() -> Outcome {
    let site = Site::new("first-key")?;
    let server = site.server("first-key")?;
    let code = site.vendor.code(2, &[])?;
    let (plain, sealed) = (site.root.path().join("Объект.epf"), site.root.path().join("packed.datafile"));
    fs::write(&plain, b"secret")?;
    site.vendor.pack(&sealed, &[plain], &[])?;
    let root = Root::new("first-key-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", server.port());
    let (attached, started) = process.try_start(&address, &site.vendor.anchor()?)?;
    let refusal = started.expect_err("there is no key");
    assert!(refusal.code == 300 && refusal.text.starts_with("(EServerResult.ELicenceNotFound)"), "{refusal:?}");
    assert_eq!(process.host().get(attached.object, "ДескрипторСерии")?, Value::Int(1));

    let refused: [(&str, Vec<Value>); 4] = [
        ("ПолучитьЛицензии", vec![]),
        ("ОбновитьЛицензии", vec![]),
        ("ПрочитатьПамять", vec!["1".into()]),
        ("ДеактивироватьЛицензию", vec!["1".into(), "".into(), "".into(), "admin".into(), "admin".into()]),
    ];
    for (member, arguments) in refused {
        assert_eq!(process.call(&attached, member, &arguments)?, Value::Undefined, "{member}");
        assert_eq!(process.refusal(attached.object)?.code, 300, "{member}");
    }
    let refusal = process.set_session(&attached, &server_session(1))?.expect_err("there is no key");
    assert_eq!(refusal.code, 300, "{refusal:?}");

    let offer = text(&mut process, &attached, "ПолучитьПараметрыКодаАктивации", &[code.as_str().into()])?;
    assert!(offer.contains(SERIES), "{offer}");
    let licence = text(&mut process, &attached, "УстановитьЛицензию", &[code.as_str().into()])?;
    let licence: Json = serde_json::from_str(&licence)?;
    assert_eq!((&licence["Workable"], &licence["LicenceCount"]), (&true.into(), &2.into()));
    assert_eq!(server.keys()?.len(), 1);

    granted(process.set_session(&attached, &server_session(1))?)?;
    granted(process.load_datafile(&attached, &fs::read(sealed)?)?)?;
    assert_eq!(granted(process.object(&attached, "Объект")?)?, b"secret");
    assert_eq!(process.host().call(attached.object, "Запуск", &[SERIES.into()])?, Value::Bool(true));
    assert_eq!(process.host().get(attached.object, "ДескрипторСерии")?, Value::Int(1));
    assert_eq!(server.seats()?, (1, 2));
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}
