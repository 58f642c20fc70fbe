//! The life of a key from 1C code: the component in the C++ host, real servers, the vendor's real centre.

use std::fs;

use e2e::component::{Attached, Kind, Process, server_session};
use e2e::cutter::{Cutter, LOSSES};
use e2e::host::Value;
use e2e::server::{PASSWORD, USER};
use e2e::vendor::edit;
use e2e::{Failure, Outcome, Root, SERIES, Server, Site, check};
use serde_json::Value as Json;

/// 1C at work with one server.
struct Desk {
    process: Process,
    attached: Attached,
    _root: Root,
}

impl Desk {
    /// Starts the series; a server without a key of it leaves a handle that a key can be installed with.
    fn open(site: &Site, server: &Server) -> Outcome<Desk> {
        Desk::open_at(site, server.port())
    }

    /// The same with whoever listens at a port.
    fn open_at(site: &Site, port: u16) -> Outcome<Desk> {
        let root = Root::new("key-members-1c")?;
        let mut process = Process::start(Kind::Server, root.path())?;
        let object = process.create()?;
        process.host().set(object, "ЯкорьДоверия", &site.vendor.anchor()?.as_str().into())?;
        let address = format!("ServerAddr=127.0.0.1;ServerPort={port}");
        process.host().set(object, "ПараметрыСвязи", &address.as_str().into())?;
        let started = process.host().call(object, "Запуск", &[SERIES.into()])?;
        if started != Value::Bool(true) {
            let refusal = process.refusal(object)?;
            check(refusal.code == 300, || refusal.text)?;
        }
        let attached = process.attached(object)?;
        Ok(Desk { process, attached, _root: root })
    }

    /// Takes a licence.
    fn seated(&mut self) -> Outcome {
        let session = server_session(1).to_string();
        self.ask("УстановитьДанныеСеанса", &[session.as_str().into()]).map(drop)
    }

    /// What a member gives; a refusal is a failure.
    fn ask(&mut self, member: &str, arguments: &[Value]) -> Outcome<Value> {
        let value = self.process.call(&self.attached, member, arguments)?;
        let refusal = self.process.refusal(self.attached.object)?;
        if refusal.code == 0 { Ok(value) } else { Err(Failure::new(format!("{member}: {}", refusal.failure()))) }
    }

    fn text(&mut self, member: &str, arguments: &[Value]) -> Outcome<String> {
        match self.ask(member, arguments)? {
            Value::Text(text) => Ok(text),
            other => Err(Failure::new(format!("{member} gives a text: {other:?}"))),
        }
    }

    fn json(&mut self, member: &str, arguments: &[Value]) -> Outcome<Json> {
        Ok(serde_json::from_str(&self.text(member, arguments)?)?)
    }

    /// Code of the refusal that a member must meet.
    fn refused(&mut self, member: &str, arguments: &[Value]) -> Outcome<i64> {
        let value = self.process.call(&self.attached, member, arguments)?;
        check(matches!(value, Value::Bool(false) | Value::Undefined), || format!("{member} gave {value:?}"))?;
        Ok(self.process.refusal(self.attached.object)?.code)
    }

    fn close(mut self) -> Outcome {
        self.process.detach(self.attached)?;
        self.process.finish().map(drop)
    }
}

/// Who gives a key up, as arguments.
fn giving_up(key_no: &Json, password: &str) -> Vec<Value> {
    let number = Value::Number(key_no.as_f64().unwrap_or_default());
    vec![number, "переезд".into(), "на новый сервер".into(), USER.into(), password.into()]
}

#[test]
fn a_key_lives_from_its_code_to_its_reserve_code_and_back_with_its_memory() -> Outcome {
    let site = Site::new("members-life")?;
    let server = site.server("members-life")?;
    let mut desk = Desk::open(&site, &server)?;
    assert_eq!(desk.refused("ПрочитатьПамять", &[SERIES.into(), "".into()])?, 300, "there is no key yet");
    let code = site.vendor.code(3, &["--parameter", "Тариф=полный"])?;

    let offered = desk.json("ПолучитьПараметрыКодаАктивации", &[code.as_str().into()])?;
    assert_eq!((&offered["State"], &offered["LicenceCount"]), (&"New".into(), &3.into()), "{offered}");
    let licence = desk.json("УстановитьЛицензию", &[code.as_str().into()])?;
    assert_eq!((&licence["Workable"], &licence["KeyID"]), (&true.into(), &SERIES.into()), "{licence}");
    let key_no = licence["KeyNo"].clone();
    let session = server_session(1).to_string();
    assert_eq!(
        desk.ask("УстановитьДанныеСеанса", &[session.as_str().into()])?,
        Value::Bool(true),
        "on the same handle"
    );
    let news = desk.json("ОбновитьЛицензии", &[])?;
    assert_eq!(news["Retired"], Json::Array(Vec::new()), "{news}");

    // What no licence has comes from the vendor's file.
    let parameter =
        |desk: &mut Desk, name: &str| desk.ask("ПолучитьПараметр", &[SERIES.into(), name.into(), Value::Bool(true)]);
    assert_eq!(parameter(&mut desk, "Тариф")?, "полный".into());
    assert_eq!(parameter(&mut desk, "Цвет")?, Value::Undefined);
    let params = server.root().data().join(format!("{SERIES}.params")).display().to_string();
    let (serie, cryptkey) = (format!("--serie={SERIES}"), format!("--cryptkey={}", site.vendor.cryptkey().display()));
    edit(&["params", &params, &serie, &cryptkey, "Тариф=базовый", "Цвет=синий"])?;
    assert_eq!((parameter(&mut desk, "Тариф")?, parameter(&mut desk, "Цвет")?), ("полный".into(), "синий".into()));

    // Memory: of the series' main key, then by the number of the key.
    let number = || Value::Number(key_no.as_f64().unwrap_or_default());
    assert_eq!(desk.ask("ЗаписатьПамять", &[SERIES.into(), "".into(), "остаток 7".into()])?, Value::Bool(true));
    let passwords = ["", "", "чтение", "запись"].map(Value::from);
    assert_eq!(desk.ask("УстановитьПароли", &[&[number()][..], &passwords].concat())?, Value::Bool(true));
    assert_eq!(desk.ask("ПрочитатьПамять", &[number(), "чтение".into()])?, "остаток 7".into());
    assert_eq!(
        desk.refused("УстановитьПароли", &[number(), "чтение".into(), "запись".into(), "123456789".into(), "".into()])?,
        453
    );

    // Given up by an administrator only; the code is the same however often it is asked for.
    assert_eq!(desk.refused("ДеактивироватьЛицензию", &giving_up(&key_no, "wrong"))?, 103);
    let reserve = desk.text("ДеактивироватьЛицензию", &giving_up(&key_no, PASSWORD))?;
    assert_eq!(desk.text("ДеактивироватьЛицензию", &giving_up(&key_no, PASSWORD))?, reserve);
    assert_eq!(server.health()?["Licences"], 0, "the old key stops counting at once");

    // At another server, by files: the key comes with its memory.
    let other = Server::ready(Root::new("members-other")?, None)?;
    let mut elsewhere = Desk::open(&site, &other)?;
    let request = elsewhere.text("СоздатьФайловыйЗапрос", &[reserve.as_str().into()])?;
    let file = other.root().path().join("moved.request");
    fs::write(&file, &request)?;
    let center = site.vendor.issuer_folder().display().to_string();
    edit(&["answer", &file.display().to_string(), "--center", &center])?;
    let response = fs::read(file.with_extension("answer"))?;
    let brought = elsewhere.json("УстановитьФайловыйОтвет", &[Value::Blob(response)])?;
    assert_eq!((&brought["Licence"]["KeyNo"], &brought["Reserve"]), (&key_no, &Json::Null), "{brought}");
    assert_eq!(elsewhere.ask("ПрочитатьПамять", &[SERIES.into(), "чтение".into()])?, "остаток 7".into());
    assert_eq!(elsewhere.refused("ОбнулитьПамять", &[SERIES.into(), "запись".into()])?, 458, "nobody has a seat");
    elsewhere.seated()?;
    assert_eq!(elsewhere.refused("ОбнулитьПамять", &[SERIES.into()])?, 452, "its password came along");
    assert_eq!(elsewhere.ask("ОбнулитьПамять", &[SERIES.into(), "запись".into()])?, Value::Bool(true));
    assert_eq!(elsewhere.ask("ПрочитатьПамять", &[SERIES.into(), "чтение".into()])?, "".into());

    // Nothing secret was written down.
    for (desk, server) in [(desk, server), (elsewhere, other)] {
        let mut desk = desk;
        let log = desk.process.host().call(desk.attached.object, "ПолучитьЛог", &[])?;
        let said = format!("{log:?}{}", server.said());
        for secret in [PASSWORD, "чтение", "запись", "остаток 7", &code, &reserve] {
            check(!said.contains(secret), || format!("{secret} is in a log"))?;
        }
        desk.close()?;
    }
    Ok(())
}

#[test]
fn request_files_ask_for_a_demo_for_news_and_for_a_reserve_code() -> Outcome {
    let site = Site::new("members-files")?;
    let server = site.server("members-files")?;
    let center = site.vendor.issuer_folder().display().to_string();
    let file = server.root().path().join("a.request");
    let answered = |request: &str| -> Outcome<Value> {
        fs::write(&file, request)?;
        edit(&["answer", &file.display().to_string(), "--center", &center, "-y"])?;
        Ok(Value::Text(fs::read_to_string(file.with_extension("answer"))?))
    };
    let mut desk = Desk::open(&site, &server)?;
    // The vendor allows no demo of this series: refused by the centre, the request itself is made.
    let demo = desk.text("СоздатьФайловыйЗапрос", &[])?;
    check(demo.contains("Demo") && answered(&demo).is_err(), || demo.clone())?;
    assert_ne!(desk.refused("УстановитьЛицензию", &[])?, 0);

    let licence = desk.json("УстановитьЛицензию", &[site.vendor.code(2, &[])?.as_str().into()])?;
    let request = desk.text("СоздатьФайловыйЗапросОбновления", &[])?;
    let brought = desk.json("УстановитьФайловыйОтвет", &[answered(&request)?])?;
    check(brought["Update"]["Retired"].is_array() && brought["Licence"].is_null(), || brought.to_string())?;
    let give_up = giving_up(&licence["KeyNo"], PASSWORD);
    assert_eq!(desk.refused("СоздатьФайловыйЗапросДеактивации", &giving_up(&licence["KeyNo"], ""))?, 103);
    let request = desk.text("СоздатьФайловыйЗапросДеактивации", &give_up)?;
    let brought = desk.json("УстановитьФайловыйОтвет", &[answered(&request)?])?;
    assert_eq!(brought["Reserve"]["KeyNo"], licence["KeyNo"], "{brought}");
    let reserve = brought["Reserve"]["ReserveCode"].as_str().unwrap_or_default().to_owned();
    assert_eq!(server.health()?["Licences"], 0);
    let back = desk.json("УстановитьЛицензию", &[reserve.as_str().into()])?;
    assert_eq!((&back["KeyNo"], &back["Workable"]), (&licence["KeyNo"], &true.into()), "the key is back");
    desk.close()
}

#[test]
fn whoever_guesses_at_the_password_of_a_memory_has_to_wait() -> Outcome {
    let site = Site::new("members-guess")?;
    let server = site.server_with("members-guess", 1, &[])?;
    let mut desk = Desk::open(&site, &server)?;
    desk.seated()?;
    let passwords = ["", "", "чтение", ""].map(Value::from);
    assert_eq!(desk.ask("УстановитьПароли", &[&[SERIES.into()][..], &passwords].concat())?, Value::Bool(true));
    let mut codes = Vec::new();
    while codes.len() < 20 && !codes.contains(&113) {
        codes.push(desk.refused("ПрочитатьПамять", &[SERIES.into(), "догадка".into()])?);
    }
    check(codes[0] == 452 && codes.contains(&113), || format!("{codes:?}"))?;
    assert_eq!(desk.refused("ПрочитатьПамять", &[SERIES.into(), "чтение".into()])?, 113, "the right one waits too");
    desk.close()
}

#[test]
fn what_1c_asks_about_keys_is_done_once_whatever_messages_are_lost_on_either_side_of_the_server() -> Outcome {
    let site = Site::new("members-cut")?;
    let above = Cutter::new(site.center.address()?)?;
    let mut server = Server::ready(Root::new("members-cut")?, Some(&above.url()))?;
    let below = Cutter::new(server.url().trim_start_matches("http://").parse()?)?;
    let port = below.address().port();
    server.activate(&site.vendor.code(1, &[])?)?;
    let mut seats = 1;
    for (number, losses) in LOSSES.into_iter().enumerate() {
        // Lost between 1C and the server, and each second time between the server and the centre as well.
        let beyond = if number % 2 == 0 { &[][..] } else { &losses[..1] };
        // A server counts what components ask of the centre, by address; a new one begins to count anew.
        server.restart()?;
        let mut desk = Desk::open_at(&site, port)?;
        let mut insist = |member: &str, arguments: &[Value]| {
            below.lose(losses);
            above.lose(beyond);
            let value = desk.process.call(&desk.attached, member, arguments)?;
            below.lose(&[]);
            above.lose(&[]);
            if value != Value::Undefined {
                return desk.text(member, arguments).map(|again| (value, again));
            }
            // Twice lost in a row is told, and the same call does the rest.
            assert!(losses.len() > 1, "{member}, {losses:?}: {:?}", desk.process.refusal(desk.attached.object)?);
            let done = desk.text(member, arguments)?;
            Ok((done.as_str().into(), done))
        };
        let code = site.vendor.code(2, &[])?;
        let (_, licence) = insist("УстановитьЛицензию", &[code.as_str().into()])?;
        let licence: Json = serde_json::from_str(&licence)?;
        assert_eq!(licence["Workable"], true, "{licence}");
        seats += 2;
        assert_eq!(server.seats()?.1, seats, "{losses:?}");
        insist("ОбновитьЛицензии", &[])?;
        let (first, reserve) = insist("ДеактивироватьЛицензию", &giving_up(&licence["KeyNo"], PASSWORD))?;
        assert_eq!((first, server.seats()?.1), (reserve.as_str().into(), seats - 2), "{losses:?}");
        let (_, back) = insist("УстановитьЛицензию", &[reserve.as_str().into()])?;
        let back: Json = serde_json::from_str(&back)?;
        assert_eq!((&back["KeyNo"], server.seats()?.1), (&licence["KeyNo"], seats), "{losses:?}");
        desk.close()?;
    }
    assert_eq!(site.center.reports()?, []);
    Ok(())
}
