//! Members of the component beside the main job: lists, numbers, licence control, access codes, values, logs, the manager's file,
//! and what it costs to have the component in a process.

use std::fs;
use std::path::Path;

use e2e::component::{Kind, Process, server_session};
use e2e::host::{HostError, Value};
use e2e::{Failure, Outcome, Root, SERIES, Server, Site};
use serde_json::Value as Json;

fn granted<T>(answer: Result<T, e2e::component::Refusal>) -> Outcome<T> {
    answer.map_err(|refusal| refusal.failure())
}

fn to(server: &Server) -> String {
    format!("ServerAddr=127.0.0.1;ServerPort={}", server.port())
}

fn json(value: Value) -> Outcome<Json> {
    match value {
        Value::Text(text) => Ok(serde_json::from_str(&text)?),
        other => Err(Failure::new(format!("a structure is a text: {other:?}"))),
    }
}

#[test]
fn keys_numbers_and_facts_of_the_server_are_what_the_api_shows() -> Outcome {
    let site = Site::new("facts")?;
    let server = site.server_with("facts", 2, &[])?;
    let root = Root::new("facts-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1))?)?;
    let shown = &server.keys()?[0];
    let list = json(process.call(&attached, "ПолучитьЛицензии", &[])?)?;
    assert_eq!((list.as_array().map(Vec::len), &list[0]["KeyNo"]), (Some(1), &shown["KeyNo"]));
    assert_eq!((&list[0]["Workable"], &list[0]["LicenceCount"]), (&true.into(), &2.into()));
    let code = list[0]["ActivationCode"].as_str().unwrap_or_default();
    assert!(code.starts_with("****-") && !shown["ActivationCode"].as_str().unwrap_or_default().starts_with("****"));
    let numbers = json(process.call(&attached, "ПолучитьСчетчики", &[])?)?;
    let expected = serde_json::json!({
        "Licences": 1, "Connections": 1, "Sessions": 1,
        "TotalLicenceCount": 2, "UseLicenceCount": 1, "FreeLicenceCount": 1,
    });
    assert_eq!(numbers, expected);
    let facts = json(process.call(&attached, "ПолучитьИнформациюОСервере", &[])?)?;
    let url = format!("http://127.0.0.1:{}/", server.port());
    assert_eq!((&facts["Version"], &facts["ConsoleUrl"]), (&licence::version::VERSION.into(), &url.as_str().into()));
    assert_eq!(facts["VersionOutdated"], false);
    assert_eq!(process.call(&attached, "ПолучитьАдресКонсоли", &[])?, Value::Text(url));
    let number = shown["KeyNo"].to_string();
    assert_eq!(process.call(&attached, "ПолучитьНомерКлюча", &[])?, Value::Text(number));
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn control_and_access_codes_decide_which_licence_a_session_gets() -> Outcome {
    let site = Site::new("terms")?;
    let mut server = site.server_with("terms", 1, &[])?;
    let own = server.keys()?[0]["KeyNo"].as_u64().unwrap_or_default();
    server.activate(&site.vendor.code(1, &[])?)?;
    let numbers: Vec<u64> = server.keys()?.iter().filter_map(|key| key["KeyNo"].as_u64()).collect();
    let other = numbers.into_iter().find(|number| *number != own).unwrap_or_default();
    let settings = server.root().settings().join("licenceserver.conf");
    server.after(|_| {
        let text = fs::read_to_string(&settings)?;
        let codes = format!("\n[AccessCodes]\nпродажи={other}\n");
        let text = text.replacen("[Console]", "[Console]\nEnableAccessCodes=1", 1) + &codes;
        Ok(fs::write(&settings, text)?)
    })?;
    let (root, anchor) = (Root::new("terms-1c")?, site.vendor.anchor()?);
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.attach(&to(&server), &anchor)?)?;
    let control = |process: &mut Process, only: bool, itn: Value, key_no: Value| {
        let nothing = || Value::Undefined;
        process.call(
            &attached,
            "УстановитьПараметрыКонтроляЛицензии",
            &[Value::Bool(only), itn, nothing(), nothing(), nothing(), key_no],
        )
    };
    let session = server_session(1);
    assert_eq!(control(&mut process, false, "7700000000".into(), Value::Undefined)?, Value::Bool(true));
    assert_eq!(process.set_session(&attached, &session)?.expect_err("no key has this ITN").code, 315);
    assert_eq!(control(&mut process, true, Value::Undefined, Value::Undefined)?, Value::Bool(true));
    granted(process.set_session(&attached, &session)?)?;
    assert_eq!(granted(process.licence(&attached)?)?["KeyNo"], own);
    assert_eq!(server.seats()?.0, 0, "the presence of a key takes no seat");

    let own_number = i64::try_from(own).unwrap_or_default();
    assert_eq!(control(&mut process, false, Value::Undefined, Value::Int(own_number))?, Value::Bool(true));
    assert_eq!((server.seats()?.0, &granted(process.licence(&attached)?)?["KeyNo"]), (1, &own.into()));
    assert_eq!(process.call(&attached, "УстановитьКодДоступа", &["чужой".into()])?, Value::Bool(false));
    assert_eq!(process.refusal(attached.object)?.code, 321);
    assert_eq!(process.call(&attached, "УстановитьКодДоступа", &["продажи".into()])?, Value::Bool(true));
    assert_eq!(control(&mut process, false, Value::Undefined, Value::Number(other as f64))?, Value::Bool(true));
    assert_eq!(granted(process.licence(&attached)?)?["KeyNo"], other, "the session has moved");

    server.kill9()?;
    server.restart()?;
    assert_eq!(process.call(&attached, "ПроверитьЛицензиюСеанса", &[])?, Value::Bool(true));
    assert_eq!(granted(process.licence(&attached)?)?["KeyNo"], other, "demands and code were sent again");
    assert_eq!(server.sessions()?[0]["AccessCode"], "продажи");
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn values_at_the_server_outlive_it_and_locks_are_for_one_session() -> Outcome {
    let site = Site::new("values")?;
    let mut server = site.server_with("values", 2, &[])?;
    let (root, anchor) = (Root::new("values-1c")?, site.vendor.anchor()?);
    let mut process = Process::start(Kind::Server, root.path())?;
    let one = granted(process.work(&to(&server), &anchor, &server_session(1))?)?;
    let two = granted(process.work(&to(&server), &anchor, &server_session(2))?)?;
    let name = || Value::from("настройка");
    assert_eq!(process.call(&one, "УстановитьСерверныйПараметр", &[name(), "да".into()])?, Value::Bool(true));
    server.kill9()?;
    server.restart()?;
    assert_eq!(process.call(&two, "ПолучитьСерверныйПараметр", &[name()])?, Value::Text("да".into()));
    assert_eq!(process.call(&two, "ПолучитьСерверныйПараметр", &["нет".into()])?, Value::Undefined);
    assert_eq!(process.call(&one, "УстановитьБлокировку", &[name()])?, Value::Bool(true));
    assert_eq!(process.call(&two, "УстановитьБлокировку", &[name()])?, Value::Bool(false));
    assert_eq!(process.refusal(two.object)?.code, 524);
    granted(process.release(&one)?)?;
    assert_eq!(process.call(&two, "УстановитьБлокировку", &[name()])?, Value::Bool(true));
    for attached in [one, two] {
        process.detach(attached)?;
    }
    process.finish()?;
    Ok(())
}

#[test]
fn a_wrong_call_keeps_its_text_and_code_for_a_host_that_shows_none() -> Outcome {
    let root = Root::new("wrong")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let object = process.create()?;
    let wrong = [
        ("ПолучитьЛицензии", vec![Value::Text("1".into())], 502),
        ("УстановитьПараметрыКонтроляЛицензии", vec![Value::Int(1), "да".into()], 502),
        ("УстановитьКодДоступа", vec![Value::Int(1), Value::Bool(true)], 502),
        ("ПолучитьХэшКод", vec![Value::Null], 502),
        ("УстановитьБлокировку", vec![Value::Int(1)], 520),
        ("ПолучитьЛог", vec![Value::Int(1)], 520),
    ];
    for (method, arguments, code) in wrong {
        match process.host().call(object, method, &arguments) {
            Err(HostError::AddIn { text, .. }) => assert!(text.contains(method), "{text}"),
            other => panic!("{method}: {other:?}"),
        }
        let refusal = process.refusal(object)?;
        assert!(refusal.code == code && refusal.text.contains(method), "{refusal:?}");
    }
    process.host().destroy(object)?;
    process.finish()?;
    Ok(())
}

#[test]
fn the_log_is_read_back_and_the_managers_file_goes_with_the_object() -> Outcome {
    let site = Site::new("log")?;
    let server = site.server_with("log", 1, &[])?;
    let root = Root::new("log-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1))?)?;
    let Value::Text(log) = process.host().call(attached.object, "GetLog", &[])? else {
        return Err(Failure::new("a log is a text"));
    };
    assert!(log.lines().any(|line| line.contains(SERIES) && line.contains("licence of key")), "{log}");
    let Value::Text(file) = process.host().call(attached.object, "ПолучитьМенеджерОбъектов", &[])?
    else {
        return Err(Failure::new("the manager is a file"));
    };
    assert_eq!(process.host().get(attached.object, "МенеджерОбъектов")?, Value::Text(file.clone()));
    assert!(file.starts_with(&root.path().display().to_string()) && file.ends_with(".epf"), "{file}");
    assert!(epf::processor::module_text(&fs::read(&file)?)?.contains("УстановитьОбъектКомпоненты"));
    process.detach(attached)?;
    assert!(!fs::exists(&file)?, "it goes with the last object");
    process.finish()?;
    Ok(())
}

/// Logs of the component below a folder.
fn logs(folder: &Path) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            found.extend(logs(&entry.path())?);
        } else if name.starts_with("licenceaddin.") && name.ends_with(".log") {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn logs_of_processes_that_are_gone_stay_only_where_the_settings_say_so() -> Outcome {
    let site = Site::new("kept-logs")?;
    let server = site.server_with("kept-logs", 1, &[])?;
    let (root, anchor) = (Root::new("kept-logs-1c")?, site.vendor.anchor()?);
    let run = |keep: u8| -> Outcome<(u32, Vec<String>)> {
        fs::write(root.settings().join("licenceaddin.conf"), format!("[Common]\nKeepPreviousLogs={keep}\n"))?;
        let mut process = Process::start(Kind::Server, root.path())?;
        let pid = process.host().pid();
        let attached = granted(process.attach(&to(&server), &anchor)?)?;
        process.detach(attached)?;
        process.finish()?;
        Ok((pid, logs(root.path())?))
    };
    let (first, alone) = run(0)?;
    let (second, both) = run(1)?;
    let (third, last) = run(0)?;
    let of = |pids: &[u32], names: &[String]| {
        // licenceaddin.20261123-185212.4711.licenceaddin-x86_64.log
        let own =
            |name: &&String| name.split('.').nth(2).is_some_and(|pid| pids.iter().any(|own| own.to_string() == pid));
        names.len() == pids.len() && names.iter().filter(own).count() == pids.len()
    };
    e2e::check(of(&[first], &alone), || format!("{first}: {alone:?}"))?;
    e2e::check(of(&[first, second], &both), || format!("{first}, {second}: {both:?}"))?;
    e2e::check(of(&[third], &last), || format!("{third}: {last:?}"))
}

#[cfg(target_os = "linux")]
#[test]
fn a_connected_component_takes_little_memory_of_its_process() -> Outcome {
    let resident = |pid: u32| -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    };
    let site = Site::new("memory")?;
    let server = site.server_with("memory", 1, &[])?;
    let root = Root::new("memory-1c")?;
    let bare = e2e::host::Host::start(e2e::host::HostOptions::default())?;
    let before = resident(bare.pid())?;
    bare.finish()?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1))?)?;
    let pid = process.host().pid();
    let grown = resident(pid)?.saturating_sub(before);
    let (empty, read) = process.host().time(attached.object, "Версия", 100_000)?;
    println!("memory: {grown} kB with the library loaded and connected; empty call {empty} ns, property {read} ns");
    // A build for tests is larger than what is shipped.
    assert!(grown < 16 * 1024, "{grown} kB");
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}
