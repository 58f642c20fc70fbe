//! Strangers in the place of a server or a centre: they learn no secret, and what they say is shown plain and in short.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use e2e::component::{Attached, Kind, Process, server_session};
use e2e::host::Value;
use e2e::stranger::Stranger;
use e2e::{Outcome, Root, Server, Site, check};
use serde_json::{Value as Json, json};

const PASSWORD: &str = "Пароль-администратора";
const CODE: &str = "1234-5678-9012-3456-7888";
const ACCESS: &str = "КодДоступаКасса";
const MEMORY: &str = "Чтение1";
const DATA: &str = "остаток 7";
const ITN: &str = "7701000001";
const IEC: &str = "770101001";
/// Nobody may learn these who has not proved himself.
const SECRETS: [&str; 7] = [PASSWORD, CODE, ACCESS, MEMORY, DATA, ITN, IEC];

/// Members that carry secrets, with their arguments behind the handle.
fn secret_calls() -> Vec<(&'static str, Vec<Value>)> {
    let who: Vec<Value> = vec![Value::Number(7.0), "".into(), "".into(), "admin".into(), PASSWORD.into()];
    let install: Vec<Value> = vec![CODE.into(), ITN.into(), IEC.into()];
    let key = || Value::Number(7.0);
    vec![
        ("УстановитьЛицензию", install.clone()),
        ("СоздатьФайловыйЗапрос", install),
        ("ПолучитьПараметрыКодаАктивации", vec![CODE.into()]),
        ("ДеактивироватьЛицензию", who.clone()),
        ("СоздатьФайловыйЗапросДеактивации", who),
        ("УстановитьФайловыйОтвет", vec![DATA.into()]),
        ("ПрочитатьПамять", vec![key(), MEMORY.into()]),
        ("ЗаписатьПамять", vec![key(), MEMORY.into(), DATA.into()]),
        ("ОбнулитьПамять", vec![key(), MEMORY.into()]),
        ("УстановитьПароли", vec![key(), MEMORY.into(), MEMORY.into(), "".into(), "".into()]),
        ("УстановитьКодДоступа", vec![ACCESS.into()]),
        ("УстановитьПараметрыКонтроляЛицензии", vec![Value::Bool(false), ITN.into(), IEC.into()]),
    ]
}

/// Calls them all; every one must be refused with this number.
fn refused(process: &mut Process, attached: &Attached, code: i64) -> Outcome<String> {
    for (member, arguments) in secret_calls() {
        let value = process.call(attached, member, &arguments)?;
        let refusal = process.refusal(attached.object)?;
        check(matches!(value, Value::Undefined | Value::Bool(false)), || format!("{member}: {value:?}"))?;
        check(refusal.code == code, || format!("{member}: {refusal:?}"))?;
    }
    Ok(process.refusal(attached.object)?.text)
}

fn knows_nothing(stranger: &Stranger) -> Outcome {
    let heard = stranger.heard();
    for secret in SECRETS {
        check(!heard.iter().any(|said| said.contains(secret)), || format!("{secret} was told: {heard:?}"))?;
    }
    Ok(())
}

#[test]
fn a_server_that_has_not_proved_itself_learns_no_secret() -> Outcome {
    let stranger = Stranger::new()?;
    let root = Root::new("strangers-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", stranger.port());
    let (attached, started) = process.try_start(&address, "")?;
    started.map_err(|refusal| refusal.failure())?;
    let text = refused(&mut process, &attached, 505)?;
    check(text.contains("ЯкорьДоверия") && text.contains("licenceedit template"), || text.clone())?;
    // A licence without control and code is taken as ever, and nothing of what was refused goes along.
    process.set_session(&attached, &server_session(1))?.map_err(|refusal| refusal.failure())?;
    refused(&mut process, &attached, 505)?;
    check(stranger.heard().iter().any(|said| said.contains("\"acquire\"")), || format!("{:?}", stranger.heard()))?;
    knows_nothing(&stranger)?;
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn under_an_anchor_a_stranger_is_no_server_and_is_told_but_the_code_of_a_first_key() -> Outcome {
    let site = Site::new("strangers-anchor")?;
    let stranger = Stranger::new()?;
    let root = Root::new("strangers-anchor-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", stranger.port());
    let (attached, started) = process.try_start(&address, &site.vendor.anchor()?)?;
    let refusal = started.expect_err("he has no licence");
    check(refusal.code == 504, || refusal.text.clone())?;
    check(process.set_session(&attached, &server_session(1))?.is_err(), || "a session was granted".to_owned())?;
    for (member, arguments) in secret_calls() {
        process.call(&attached, member, &arguments)?;
        check(process.refusal(attached.object)?.code != 0 || member.starts_with("Установить"), || {
            member.to_owned()
        })?;
    }
    let heard = stranger.heard();
    for secret in [PASSWORD, ACCESS, MEMORY] {
        check(!heard.iter().any(|said| said.contains(secret)), || format!("{secret} was told: {heard:?}"))?;
    }
    check(!heard.iter().any(|said| said.contains("acquire")), || format!("{heard:?}"))?;
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

/// A refusal that would clear a screen, forge a line of a log and fill a disk.
fn rude() -> Json {
    let mut args = vec!["\u{1B}[2J\u{1B}]0;title\u{7}\n2026-12-01 INFO forged\u{202E}".to_owned(), "x".repeat(400_000)];
    args.extend((0..1_000).map(|number| number.to_string()));
    json!({ "code": "RecordNotFound", "args": args })
}

fn is_plain(text: &str) -> bool {
    text.chars().count() < 3_000 && !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202E}')
}

#[test]
fn what_a_server_says_reaches_1c_and_its_log_plain_and_short() -> Outcome {
    let stranger = Stranger::refusing(rude)?;
    let root = Root::new("strangers-rude")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", stranger.port());
    let (attached, started) = process.try_start(&address, "")?;
    started.map_err(|refusal| refusal.failure())?;
    process.call(&attached, "ПрочитатьПамять", &[Value::Number(7.0)])?;
    let refusal = process.refusal(attached.object)?;
    check(refusal.code == 112 && is_plain(&refusal.text), || format!("{refusal:?}"))?;
    check(!refusal.text.contains('\n'), || refusal.text.clone())?;
    let Value::Text(facts) = process.call(&attached, "ПолучитьИнформациюОСервере", &[])?
    else {
        return e2e::fail("no facts of the server");
    };
    check(serde_json::from_str::<Json>(&facts)?["Version"] == "3.0.100.0", || facts)?;
    let Value::Text(log) = process.host().call(attached.object, "ПолучитьЛог", &[])? else {
        return e2e::fail("no log");
    };
    check(log.contains("forged") && log.lines().all(is_plain), || format!("{log:?}"))?;
    check(!log.lines().any(|line| line.starts_with("2026-12-01 INFO")), || log.clone())?;
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

/// Whoever sits at a centre's address and refuses everything in these words.
fn centre(refusal: Json) -> Outcome<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    let body = json!({ "Error": refusal }).to_string();
    let answer = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut piece = [0; 16 * 1024];
            // A request file ends with its signature; what is cut is refused in the same words.
            while let Ok(length @ 1..) = client.read(&mut piece) {
                request.extend_from_slice(&piece[..length]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let Some(head) = text.find("\r\n\r\n") else { continue };
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                if request.len() >= head + 4 + length.unwrap_or_default() {
                    break;
                }
            }
            // Whoever is gone needs no answer.
            let _ = client.write_all(answer.as_bytes());
        }
    });
    Ok(url)
}

#[test]
fn what_a_centre_says_reaches_commands_the_api_and_the_log_plain_and_short() -> Outcome {
    let server = Server::ready(Root::new("strangers-centre")?, Some(&centre(rude())?))?;
    let shown = server.run(&["activate", CODE], "")?;
    let said = String::from_utf8_lossy(&shown.stderr).into_owned();
    check(shown.status.code() == Some(6) && said.contains("forged"), || format!("{shown:?}"))?;
    check(is_plain(&said) && said.trim_end().lines().count() == 1, || format!("{said:?}"))?;
    let answer = server.rest().post("/api/licences", &json!({ "ActivationCodeString": CODE }))?;
    assert_eq!(answer.refusal(404)?, 112);
    let refusal = answer.json()?;
    let text = refusal["Message"].as_str().unwrap_or_default();
    check(is_plain(text) && !text.contains('\n') && answer.to_string().len() < 10_000, || answer.to_string())?;
    check(server.said().lines().all(is_plain), || server.said())
}
