use super::*;
use proptest::prelude::*;

fn request(target: &str, fields: &[(&str, &str)]) -> Result<Request, Box<Rejection>> {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.receive(name, value.as_bytes()).unwrap();
    }
    Request::build("GET", target, headers, "127.0.0.1:5000".parse().unwrap(), false)
}

#[test]
fn a_path_is_decoded_once() {
    let request = request("/api/%D0%BA%252e?a=%26+b&c", &[]).unwrap();
    assert_eq!(request.path, "/api/к%2e");
    assert_eq!(request.query, [("a".to_owned(), "& b".to_owned()), ("c".to_owned(), String::new())]);
    assert_eq!(request.query("a"), Some("& b"));
}

#[test]
fn an_absolute_target_is_read_as_its_path() {
    assert_eq!(request("http://host:9099/api?x=1", &[]).unwrap().path, "/api");
    assert_eq!(request("http://host", &[]).unwrap().path, "/");
}

#[test]
fn a_path_that_could_lead_elsewhere_is_refused() {
    let bad = [
        "/..",
        "/a/../b",
        "/%2e%2e/x",
        "/a/.%2e",
        "/.",
        "/a/./b",
        "//a",
        "/a//b",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/a%0d%0ab",
        "/%",
        "/%zz",
        "/%ff",
        "api",
        "*",
        "",
        "/a b",
        "/é",
        "/a#b",
        "/?%zz",
        "ftp://host/a",
    ];
    for target in bad {
        assert_eq!(request(target, &[]).unwrap_err().status, 400, "{target}");
    }
}

#[test]
fn an_unknown_method_is_501_and_two_hosts_are_400() {
    let peer = "127.0.0.1:1".parse().unwrap();
    assert_eq!(Request::build("BREW", "/", Headers::new(), peer, false).unwrap_err().status, 501);
    assert_eq!(request("/", &[("Host", "a"), ("host", "b")]).unwrap_err().status, 400);
}

#[test]
fn a_forwarded_request_is_not_loopback() {
    assert!(request("/", &[("Host", "localhost")]).unwrap().is_loopback());
    for name in ["Forwarded", "X-Forwarded-For", "x-forwarded-host", "X-Real-IP", "Via", "X-Original-Host"] {
        assert!(!request("/", &[(name, "10.0.0.1")]).unwrap().is_loopback(), "{name}");
    }
    let mut mapped = request("/", &[]).unwrap();
    mapped.peer = "[::ffff:127.0.0.1]:1".parse().unwrap();
    assert!(mapped.is_loopback());
    mapped.peer = "[::ffff:10.0.0.1]:1".parse().unwrap();
    assert!(!mapped.is_loopback());
}

#[test]
fn basic_credentials_keep_colons_of_the_password() {
    let value = format!("basic {}", STANDARD.encode("имя:a:b"));
    let request_with = request("/", &[("authorization", &value)]).unwrap();
    assert_eq!(request_with.basic_credentials(), Some(("имя".into(), "a:b".into())));
    for bad in ["Basic", "Basic !!", "Bearer YTpi", "Basic YWI="] {
        assert_eq!(request("/", &[("authorization", bad)]).unwrap().basic_credentials(), None, "{bad}");
    }
}

#[test]
fn json_of_a_page_needs_its_content_type() {
    for page in [("Origin", "http://a"), ("Referer", "http://a/b"), ("Sec-Fetch-Mode", "cors")] {
        let mut sent = request("/", &[("Content-Type", "text/plain"), page]).unwrap();
        sent.body = b"[1]".to_vec();
        assert_eq!(sent.json::<Vec<u8>>().unwrap_err().status, 415, "{page:?}");
        sent.headers.set("content-type", "Application/JSON; charset=utf-8").unwrap();
        assert_eq!(sent.json::<Vec<u8>>(), Ok(vec![1]));
        sent.body = b"[1".to_vec();
        assert_eq!(sent.json::<Vec<u8>>().unwrap_err().status, 400);
        assert_eq!(sent.form().unwrap_err().status, 415);
    }
}

#[test]
fn json_of_a_script_may_come_under_any_content_type_and_with_a_byte_order_mark() {
    let types = ["", "text/plain", "application/x-www-form-urlencoded", "application/json", "application/octet-stream"];
    for content_type in types {
        let mut sent = request("/", &[]).unwrap();
        if !content_type.is_empty() {
            sent.headers.set("Content-Type", content_type).unwrap();
        }
        sent.body = "\u{feff} [1]".into();
        assert_eq!(sent.json::<Vec<u8>>(), Ok(vec![1]), "{content_type}");
        sent.body = b"a=1".to_vec();
        assert_eq!(sent.json::<Vec<u8>>().unwrap_err().status, 400);
    }
}

#[test]
fn the_language_is_the_chosen_one_then_the_preferred_one_then_russian() {
    let language = |target, fields: &[(&str, &str)]| request(target, fields).unwrap().language();
    assert_eq!(language("/", &[]), Language::Russian);
    assert_eq!(language("/", &[("Accept-Language", "de, en-GB;q=0.8, ru;q=0.7")]), Language::English);
    assert_eq!(language("/", &[("Accept-Language", "en;q=0, fr")]), Language::Russian);
    assert_eq!(language("/", &[("Cookie", "a=b; lang=en"), ("Accept-Language", "ru")]), Language::English);
    assert_eq!(language("/?lang=ru", &[("Cookie", "lang=en")]), Language::Russian);
    assert_eq!(language("/?lang=de", &[("Cookie", "lang=en")]), Language::English);
}

proptest! {
    #[test]
    fn no_accepted_path_has_a_dangerous_segment(target in "(/[a-zA-Z.%0-9\\\\]{0,6}){1,5}") {
        if let Ok(request) = request(&target, &[]) {
            prop_assert!(request.path.split('/').all(|part| part != ".." && part != "."));
            prop_assert!(!request.path.contains(['\\', '\0']));
            prop_assert_eq!(request.path.matches('/').count(), target.matches('/').count());
        }
    }

    #[test]
    fn any_target_is_judged_without_panic(target in "\\PC{0,40}") {
        let _ = request(&target, &[]);
    }
}
