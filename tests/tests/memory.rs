//! The memory of a key: nobody closes it who has taken no seat, and an administrator opens what was closed.

use e2e::component::{Kind, Process, server_session as described};
use e2e::host::Value;
use e2e::link::server_session;
use e2e::server::{PASSWORD, USER};
use e2e::{Link, Outcome, Rest, Root, SERIES, Server, Site, check};
use licence::error::Code;
use licence::protocol::keys::{Hidden, KeyCall, KeyOutcome};
use licence::protocol::message::{Acquire, Control};
use licence::protocol::{Call, Outcome as Reply};
use serde_json::{Value as Json, json};

const DATA: &str = "остаток 7";

fn hidden(text: &str) -> Hidden {
    Hidden(text.into())
}

fn seal() -> KeyCall {
    let none = || hidden("");
    KeyCall::SetPasswords { key_no: None, old: [none(), none()], new: [hidden("чужой-1"), hidden("чужой-2")] }
}

fn write(data: &str) -> KeyCall {
    KeyCall::WriteMemory { key_no: None, password: hidden(""), data: hidden(data) }
}

/// What comes of a call about keys.
fn ask(link: &Link, call: KeyCall) -> Outcome<Result<KeyOutcome, Code>> {
    match link.call(Call::Key(Box::new(call)))? {
        Ok(Reply::Key(outcome)) => Ok(Ok(*outcome)),
        Ok(other) => e2e::fail(format!("{other:?}")),
        Err(error) => Ok(Err(error.code)),
    }
}

fn read(link: &Link, password: &str) -> Outcome<Result<String, Code>> {
    let asked = ask(link, KeyCall::ReadMemory { key_no: None, password: hidden(password) })?;
    Ok(asked.map(|outcome| match outcome {
        KeyOutcome::Memory { data } => data.0.clone(),
        other => format!("{other:?}"),
    }))
}

#[test]
fn a_stranger_without_a_seat_can_neither_write_nor_clear_nor_close_a_memory() -> Outcome {
    let site = Site::new("memory-stranger")?;
    let server = site.server_with("memory-stranger", 2, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    let stranger = Link::connect(server.url(), &anchor)?;
    let clear = || KeyCall::ClearMemory { key_no: None, password: hidden("") };
    let refused = |link: &Link| -> Outcome {
        for call in [write("x"), clear(), seal()] {
            assert_eq!(ask(link, call)?, Err(Code::MemoryNeedsSeat));
        }
        Ok(())
    };
    refused(&stranger)?;
    // Whoever only looks for a key has no seat either.
    let control = Control { key_only: true, ..Control::default() };
    let present = Acquire { session: server_session(9), control, ..Acquire::default() };
    check(stranger.call(Call::Acquire(Box::new(present)))?.is_ok(), || "there is a key".to_owned())?;
    refused(&stranger)?;

    let holder = Link::connect(server.url(), &anchor)?;
    let session = holder.acquire(server_session(1))?;
    assert_eq!(ask(&holder, write(DATA))?, Ok(KeyOutcome::Done));
    refused(&stranger)?;
    assert_eq!(read(&stranger, "")?, Ok(DATA.into()), "what has no password anybody may read");
    // The seat goes on over another connection, and the right to write goes with it.
    let other = Link::connect(server.url(), &anchor)?;
    other.resume(server_session(1), &session)??;
    refused(&holder)?;
    assert_eq!(ask(&other, write("остаток 6"))?, Ok(KeyOutcome::Done));
    other.release(session.session)?;
    refused(&other)
}

#[test]
fn the_member_writes_with_a_seat_also_after_its_server_was_started_again() -> Outcome {
    let site = Site::new("memory-member")?;
    let mut server = site.server_with("memory-member", 2, &[])?;
    let root = Root::new("memory-member-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", server.port());
    let (attached, started) = process.try_start(&address, &site.vendor.anchor()?)?;
    started.map_err(|refusal| refusal.failure())?;
    let arguments = [Value::from(SERIES), "".into(), DATA.into()];
    assert_eq!(process.call(&attached, "ЗаписатьПамять", &arguments)?, Value::Bool(false));
    let refusal = process.refusal(attached.object)?;
    check(refusal.code == 458 && refusal.text.contains("УстановитьДанныеСеанса"), || {
        refusal.text
    })?;
    process.set_session(&attached, &described(1))?.map_err(|refusal| refusal.failure())?;
    assert_eq!(process.call(&attached, "ЗаписатьПамять", &arguments)?, Value::Bool(true));
    server.restart()?;
    assert_eq!(process.call(&attached, "ОбнулитьПамять", &[SERIES.into()])?, Value::Bool(true));
    assert_eq!(server.seats()?, (1, 2), "the seat was taken up, not taken twice");

    // Key presence only: no seat, so it can but be read.
    let only = [Value::Bool(true)];
    assert_eq!(process.call(&attached, "УстановитьПараметрыКонтроляЛицензии", &only)?, Value::Bool(true));
    assert_eq!(process.call(&attached, "ЗаписатьПамять", &arguments)?, Value::Bool(false));
    assert_eq!(process.refusal(attached.object)?.code, 458);
    assert_eq!(process.call(&attached, "ПрочитатьПамять", &[SERIES.into(), "".into()])?, "".into());
    process.detach(attached)?;
    process.finish().map(drop)
}

/// A memory with content, closed with passwords that nobody here knows; who did it goes.
fn closed(server: &Server, anchor: &str) -> Outcome<u64> {
    let link = Link::connect(server.url(), anchor)?;
    let session = link.acquire(server_session(1))?;
    assert_eq!(ask(&link, write(DATA))?, Ok(KeyOutcome::Done));
    assert_eq!(ask(&link, seal())?, Ok(KeyOutcome::Done));
    assert_eq!(read(&link, "")?, Err(Code::MemoryClosed));
    link.release(session.session)?;
    server.keys()?[0]["KeyNo"].as_u64().ok_or_else(|| e2e::Failure::new("a key has a number"))
}

fn is_open(server: &Server, anchor: &str) -> Outcome {
    assert_eq!(read(&Link::connect(server.url(), anchor)?, "")?, Ok(DATA.into()));
    Ok(())
}

#[test]
fn an_administrator_opens_what_was_closed_over_the_api_the_console_and_by_a_command() -> Outcome {
    let site = Site::new("memory-reset")?;
    let mut server = site.server_with("memory-reset", 2, &[])?;
    let anchor = site.vendor.anchor_hash()?;
    let key_no = closed(&server, &anchor)?;
    let (path, page) = (format!("/api/licences/{key_no}/memory"), format!("/licences/{key_no}/memory"));
    let shut = server.rest().get(&path)?.expect(200)?;
    assert_eq!(
        (&shut["Length"], &shut["ReadPassword"], &shut["WritePassword"]),
        (&json!(9), &json!(true), &json!(true))
    );
    check(!shut.to_string().contains(DATA), || shut.to_string())?;

    // By the API, and by an administrator only.
    let reset = format!("{path}/passwords");
    assert_eq!(Rest::new(server.url()).delete(&reset)?.status, 401);
    server.run(&["passwd", "olga", "--role", "operator", "--stdin"], "operator's password\n")?;
    server.restart()?;
    let operator = Rest::new(server.url()).with_user("olga", "operator's password");
    assert_eq!(operator.delete(&reset)?.status, 403);
    assert_eq!(read(&Link::connect(server.url(), &anchor)?, "")?, Err(Code::MemoryClosed));
    let open = server.rest().delete(&reset)?.expect(200)?;
    assert_eq!(
        (&open["Length"], &open["ReadPassword"], &open["WritePassword"]),
        (&json!(9), &json!(false), &json!(false))
    );
    is_open(&server, &anchor)?;
    server.rest().delete(&format!("/api/licences/{}/memory/passwords", key_no + 1))?.refusal(404)?;

    // On the page of the key.
    closed(&server, &anchor)?;
    let (status, _) = server.form(&page, &[])?;
    assert_eq!(status, 400, "it was not confirmed");
    let (status, _) = server.form(&page, &[("confirm", "1")])?;
    check(status < 400, || format!("{status}"))?;
    is_open(&server, &anchor)?;

    // By a command, beside the server and without it.
    let number = key_no.to_string();
    let command = |server: &Server, arguments: &[&str]| -> Outcome<Json> {
        let done = server.run(&[&["memory", &number, "--json"], arguments].concat(), "")?;
        check(done.status.success(), || String::from_utf8_lossy(&done.stderr).into_owned())?;
        Ok(serde_json::from_slice(&done.stdout)?)
    };
    closed(&server, &anchor)?;
    assert_eq!(command(&server, &[])?["WritePassword"], true);
    assert_eq!(command(&server, &["--reset-passwords"])?["WritePassword"], false);
    is_open(&server, &anchor)?;
    closed(&server, &anchor)?;
    server.stop()?;
    assert_eq!(command(&server, &["--reset-passwords"])?["ReadPassword"], false);
    server.restart()?;
    is_open(&server, &anchor)?;

    let events = server.rest().with_user(USER, PASSWORD).get("/api/events")?.expect(200)?;
    let acts: Vec<&str> = events["Events"].as_array().into_iter().flatten().filter_map(|e| e["Act"].as_str()).collect();
    let api = acts.iter().filter(|act| **act == "DELETE /api/licences/{KeyNo}/memory/passwords").count();
    let console = acts.iter().filter(|act| **act == "POST /licences/{KeyNo}/memory").count();
    check(api >= 4 && console >= 2, || events.to_string())?;
    check(!events.to_string().contains(DATA), || "what is in a memory is in no trail".to_owned())
}
