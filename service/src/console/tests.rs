use licence::KeyId;
use licence::accounting::book::{KeyUsage, Usage};
use licence::api::{ConnectionInfo, LicenceEntry, LicenceInfo, ServerInfo, SessionInfo, UnreadableLicence};
use licence::fingerprint::{Match, PartKind};
use serde_json::json;
use web::Headers;

use super::fields::Fields;
use super::overview::{Notices, Overview};
use super::*;

const HOSTILE: &str = "\"'><script>alert(1)</script>";

fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Request {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.set(name, value).unwrap();
    }
    Request::build(method, target, headers, "127.0.0.1:1".parse().unwrap(), false).unwrap()
}

fn reader(target: &str, lang: Lang) -> Reader {
    Reader { request: request("GET", target, &[]), lang, user: None, may: Access::Administrator }
}

fn form(body: &str) -> Request {
    let mut request = request("POST", ACTIVATION, &[("Content-Type", "application/x-www-form-urlencoded")]);
    request.body = body.into();
    request
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).unwrap()
}

fn key(number: u32, change: impl FnOnce(&mut serde_json::Value)) -> LicenceInfo {
    let mut fields = json!({
        "Type": "Virtual", "FileName": "672B.licence", "Enabled": true, "IsBlank": false, "Workable": true,
        "OpenError": null, "Version": "1", "KeyNo": number, "KeyID": "672B", "RegNo": 202, "KeyType": 3, "ServiceType": 0,
        "LicenceCount": 5, "ProductVersion": 0, "BlankKeyNo": null, "ActivationCode": "4345-9320-2035-7421-5361",
        "ActivationDate": "2018-03-30T21:00:00.414Z", "StartDate": null, "Period": 0, "ExpireDate": null,
        "DaysLeft": null, "Expired": false, "Flags": "0".repeat(51), "ITN": 1234567890, "IEC": "012345678",
        "ProductName": "Тестовая серия", "Article": "1", "ArticleName": "a"
    });
    change(&mut fields);
    serde_json::from_value(fields).unwrap()
}

fn session(name: &str) -> SessionInfo {
    serde_json::from_value(json!({
        "ID": "DB4AC14978FA4B5815A813550A031424", "SessionNumber": "2", "IsServer": false,
        "InfoBaseConnectionString": format!("File=\"D:\\{name}\";"), "AppName": name, "ComputerName": name,
        "UserName": name, "SessionStarted": "2018-04-03T14:06:58.000Z", "SessionConnection": null, "AccessCode": null,
        "ExpireTime": "2018-04-03T14:23:43.787Z", "Expired": "False", "KeyID": "672B", "UsedLicence": 7131766
    }))
    .unwrap()
}

fn connection(name: &str) -> ConnectionInfo {
    serde_json::from_value(json!({
        "ID": "AF72CC4124DD4B588AA9039D31035A5C", "PeerIP": "192.168.1.38", "Created": "2018-04-03T14:06:59.317Z",
        "LastUsed": "2018-04-03T14:07:09.320Z", "OSVersion": name, "ComputerName": name, "LocalIP": name,
        "Process": name, "CPU": name, "PID": name, "IsServer": false, "PlatformVersion": name, "ModuleName": name,
        "Version": name, "KeyID": "672B", "ExpireTime": "2018-04-03T14:07:29.320Z", "Expired": "False"
    }))
    .unwrap()
}

fn sample(name: &str) -> Overview {
    let info: ServerInfo = serde_json::from_value(json!({
        "ComputerName": name, "LocalIP": "192.168.56.1,192.168.1.38", "OSType": "Linux", "OSVersion": "Debian 12 (x86_64)",
        "ModuleName": "/opt/1C/licence/3.0/licenceserver", "PID": 5736, "CPU": "x86_64", "Version": VERSION,
        "Started": "2018-04-02T20:41:13.272Z", "ComputerID": "D365ACC38180015CD3A30E62BF1072392D4DD5C1"
    }))
    .unwrap();
    let expired = key(7_131_767, |fields| {
        fields["KeyType"] = 4.into();
        fields["Enabled"] = false.into();
        fields["Expired"] = true.into();
        fields["ExpireDate"] = "2018-05-01T00:00:00.000Z".into();
        fields["DaysLeft"] = 0.into();
        fields["OpenError"] = Error::new(Code::KeyExpired).with(7_131_767).with(name).message(Lang::Russian).into();
    });
    let usage = Usage { total: 5, used: 2, keys: vec![KeyUsage { key_no: 7_131_766, total: 5, used: 2 }] };
    Overview {
        info,
        licences: vec![
            LicenceEntry::Readable(Box::new(key(7_131_766, |fields| {
                fields["ProductName"] = name.into();
                fields["ExpireDate"] = "2099-01-01T00:00:00.000Z".into();
                fields["DaysLeft"] = 7.into();
            }))),
            LicenceEntry::Readable(Box::new(expired)),
            LicenceEntry::Unreadable(Box::new(UnreadableLicence::new(name.into(), name.into()))),
        ],
        usage: vec![(KeyId(0x672B), usage)],
        connections: vec![connection(name)],
        total_connections: 1,
        sessions: vec![session(name)],
        total_sessions: 1200,
        notices: Notices::default(),
        failures: vec![Error::new(Code::StoreFailed).with(name)],
        advice: vec![Error::new(Code::KeyExpiresSoon).with(7).with(name).with(3)],
    }
}

fn page(target: &str, lang: Lang, data: &Overview) -> String {
    text(&overview::page(&reader(target, lang), data))
}

#[test]
fn names_that_clients_gave_are_shown_as_text() {
    let page = page("/", Lang::Russian, &sample(HOSTILE));
    assert!(!page.contains("<script"), "{page}");
    assert!(page.matches("&#60;script&#62;").count() > 10);
    let refused = text(&refusal(&reader("/", Lang::Russian), &Error::new(Code::NotFound).with(HOSTILE)));
    assert!(!refused.contains("<script"));
    let typed = form("code=%22%3E%3Cscript%3E&itn=%3Cscript%3E&iec=%27%3E%3Cscript%3E&carrier=%22%3E%3Cscript%3E");
    let typed = Fields::of(&typed).unwrap();
    let failed =
        text(&activation::failed(&reader("/", Lang::English), ("Нет", "No"), &typed, &Code::CentreNotSet.into()));
    assert!(!failed.contains("<script") && failed.matches("&#60;script&#62;").count() == 4, "{failed}");
    let typed = Fields::of(&form("text=%3C%2Ftextarea%3E%3Cscript%3E")).unwrap();
    let failed = text(&life::response_failed(&reader("/", Lang::English), &typed, &Code::ResponseUnknown.into()));
    assert!(!failed.contains("<script") && failed.matches("</textarea>").count() == 1, "{failed}");
}

#[test]
fn pages_need_neither_scripts_nor_styles_of_their_own() {
    let page = page("/", Lang::Russian, &sample("MORA-HP"));
    for inline in ["<script", "<style", " style=", " onclick=", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[test]
fn the_overview_tells_series_keys_sessions_and_connections_in_both_languages() {
    let data = sample("MORA-HP");
    let russian = page("/", Lang::Russian, &data);
    for part in [
        "<html lang=\"ru\">",
        "D365ACC38180015CD3A30E62BF1072392D4DD5C1",
        "<td class=\"number\">5</td><td class=\"number\">2</td><td class=\"number\">3</td>",
        "672B.7131766",
        "Доступен",
        "Срок действия истёк",
        "Дополнительный",
        "1234567890 / 012345678",
        "01.05.2018",
        "01.01.2099</span><br><span class=\"muted\">осталось дней: 7</span>",
        "Показаны последние 1",
        "192.168.1.38",
        "<form method=\"post\" action=\"/activation\"",
    ] {
        assert!(russian.contains(part), "{part}: {russian}");
    }
    let english = page("/", Lang::English, &data);
    for part in
        ["<html lang=\"en\">", "Available", "Expired", "Additional", "2018-05-01", "Nobody", "Install the licence"]
    {
        assert_eq!(english.contains(part), part != "Nobody", "{part}: {english}");
    }
    assert!(!english.contains("(EKeyUnusable)"));
}

#[test]
fn what_an_administrator_must_know_stands_first_and_only_when_it_holds() {
    let mut data = sample("MORA-HP");
    let warnings = ["licenceserver passwd", "LocalAccessOnly=1", "LicenceCenterUrl"];
    assert!(warnings.iter().all(|text| !page("/", Lang::English, &data).contains(text)));
    data.notices = Notices { default_password: true, plain_http: true, centre_unset: true };
    let shown = page("/", Lang::English, &data);
    let first_table = shown.find("<table").unwrap();
    assert!(warnings.iter().all(|text| shown.find(text).is_some_and(|at| at < first_table)));
}

#[test]
fn a_page_offers_what_its_reader_may_do() {
    let seen = |may| {
        let reader = Reader { may, ..reader("/", Lang::Russian) };
        let page = text(&overview::page(&reader, &sample("MORA-HP")));
        (page.contains("action=\"/activation\""), page.contains("/end\""))
    };
    assert_eq!(seen(Access::Viewer), (false, false));
    assert_eq!(seen(Access::Operator), (false, true));
    assert_eq!(seen(Access::Administrator), (true, true));
}

fn facts(name: &str) -> key::Facts {
    key::Facts {
        info: key(7, |fields| {
            fields["ProductName"] = name.into();
            fields["ArticleName"] = name.into();
            fields["FileName"] = name.into();
            fields["SeriesKey"] = "ab".repeat(32).into();
        }),
        used: Some(3),
        fits: Some(Match {
            parts: vec![(PartKind::MachineId, 3, true), (PartKind::Disk, 2, false)],
            matched: 3,
            total: 5,
            needed: 2,
        }),
        is_plugged: false,
        is_own: true,
        is_retired: false,
    }
}

#[test]
fn the_page_of_a_key_tells_its_fields_and_the_parts_that_it_knows() {
    let page = text(&key::page(&reader("/licences/7?menu=false", Lang::English), &facts(HOSTILE)));
    for part in [
        "Key 672B.7",
        "Available",
        "Known again: 3 of 5; needed at least 2.",
        "Installation of the operating system",
        "…-5361",
        "/licences/7/reserve?KeyID=672B&#38;SeriesKey=ABAB",
        "menu=false",
        "Switch off",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains("4345-9320"), "{page}");
    let viewer = Reader { may: Access::Viewer, ..reader("/licences/7", Lang::Russian) };
    assert!(!text(&key::page(&viewer, &facts("x"))).contains("<form"));
    let carrier =
        key::Facts { info: key(7, |fields| fields["BlankKeyNo"] = 77.into()), fits: None, is_own: false, ..facts("x") };
    let page = text(&key::page(&reader("/licences/7", Lang::English), &carrier));
    assert!(page.contains("USB 77") && page.contains("not plugged in"), "{page}");
    assert!(!page.contains("/reserve") && !page.contains("/update"), "a key of another server");
    let retired = key::Facts { is_retired: true, ..facts("x") };
    let page = text(&key::page(&reader("/licences/7", Lang::English), &retired));
    assert!(page.contains("Deactivated") && page.contains("Show the reserve code again"), "{page}");
    assert!(!page.contains("/enabled"));
}

#[test]
fn without_the_menu_the_page_and_what_follows_have_none() {
    let data = sample("MORA-HP");
    assert!(page("/", Lang::Russian, &data).contains("<nav"));
    let bare = page("/?menu=false&header=true", Lang::Russian, &data);
    assert!(!bare.contains("<nav") && bare.contains("action=\"/activation?menu=false\""), "{bare}");
}

#[test]
fn the_language_is_the_readers_choice_else_the_servers() {
    let of = |target: &str, fields: &[(&str, &str)]| language(&request("GET", target, fields), Lang::English);
    assert_eq!(of("/", &[]), Lang::English);
    assert_eq!(of("/", &[("Accept-Language", "de, fr;q=0.5")]), Lang::English);
    assert_eq!(of("/", &[("Accept-Language", "de, ru;q=0.5")]), Lang::Russian);
    assert_eq!(of("/?lang=ru", &[("Accept-Language", "en")]), Lang::Russian);
    assert_eq!(of("/", &[("Accept-Language", "en"), ("Cookie", "lang=ru")]), Lang::Russian);
    assert_eq!(of("/?lang=x", &[]), Lang::English);
}

#[test]
fn a_form_without_a_code_is_told_apart_from_no_form() {
    let order = |request: &Request| Fields::of(request).and_then(|fields| activation::order(&fields));
    let code = |request: &Request| order(request).map(|order| order.activation_code_string);
    assert_eq!(code(&form("code=+1234+&itn=&iec=")).unwrap(), "1234");
    assert_eq!(code(&form("itn=1")).unwrap_err().code, Code::CodeMalformed);
    assert_eq!(code(&request("POST", ACTIVATION, &[])).unwrap_err().code, Code::BadRequest);
    let whole = order(&form("code=1&itn=7&carrier=+9+")).unwrap();
    assert_eq!((whole.blank_key_no, whole.key_id, whole.iec), (Some(9), None, None));
    for wrong in ["demo=1&series=", "demo=1&series=x", "code=1&carrier=x"] {
        assert_eq!(code(&form(wrong)).unwrap_err().code, Code::BadRequest, "{wrong}");
    }
    assert_eq!(order(&form("demo=1&series=672b")).unwrap().key_id, Some(KeyId(0x672B)));
}

#[test]
fn a_refused_code_stays_in_the_form_with_its_cause() {
    let error = Error::new(Code::CodeMalformed).with("19");
    let typed = Fields::of(&form("code=1234-5&itn=77")).unwrap();
    let response = activation::failed(&reader("/", Lang::English), ("Нет", "No"), &typed, &error);
    let page = text(&response);
    assert_eq!(response.status, 400);
    for part in ["value=\"1234-5\"", "value=\"77\"", "aria-invalid=\"true\"", "5 groups of 4; check it"] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn an_installed_key_that_can_not_be_used_says_why() {
    let good = activation::installed(&reader("/", Lang::English), &key(1, |_| ()));
    assert!(good.status == 201 && text(&good).contains("notice good"));
    let lonely = key(1, |fields| {
        fields["Enabled"] = false.into();
        fields["OpenError"] = Error::new(Code::NoMainKey).with(1).message(Lang::English).into();
    });
    let shown = text(&activation::installed(&reader("/", Lang::English), &lonely));
    assert!(shown.contains("notice warn") && shown.contains("Install the main key"), "{shown}");
}

#[test]
fn only_a_missing_sign_in_asks_for_a_password() {
    let challenge = |code: Code| {
        let response = refusal(&reader("/", Lang::English), &code.into());
        (response.status, response.headers.contains("www-authenticate"))
    };
    assert_eq!(challenge(Code::Unauthorized), (401, true));
    assert_eq!(challenge(Code::Forbidden), (403, false));
}
