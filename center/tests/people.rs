//! What people do: request files, tokens, the REST API, pages.

mod vendor;

use licence::activation::{Answer, Granted, Purpose, Request, Reserve, Update};
use licence::error::Code;
use licence::identity::Identity;
use licence::key::Key;
use serde_json::json;
use vendor::{CRYPTO, Centre, Vendor, request};

/// Sends a request that must be granted.
fn granted(centre: &Centre, asked: &Request, identity: &Identity) -> Granted {
    let (status, body) = centre.post(asked.sign(CRYPTO, identity).unwrap().as_bytes());
    assert_eq!(status, 200, "{body}");
    Answer::read(CRYPTO, "x", &body).unwrap().accept(CRYPTO, asked, identity).unwrap()
}

fn activated(centre: &Centre, identity: &Identity, code: &str) -> Key {
    match granted(centre, &request(identity, "a", code), identity) {
        Granted::Activated { key, .. } => *key,
        other => panic!("{other:?}"),
    }
}

/// A request to give a key up.
fn giving_up(identity: &Identity, key: &Key) -> Request {
    let (series, key_no, issue) = (key.series, key.licence.key_no, key.licence.issue);
    let reserve = Reserve { series, key_no, issue, reason: "moved".into(), comment: String::new(), memory: None };
    Request { purpose: Purpose::Reserve(reserve), ..request(identity, "a", &key.licence.activation_code.to_string()) }
}

#[test]
fn a_request_file_becomes_an_answer_file_at_the_desk_and_a_copy_of_the_store_is_made() {
    let vendor = Vendor::with_series("files");
    let code = vendor.code(&["--licences", "1"]);
    let identity = Identity::generate(CRYPTO).unwrap();
    let asked = request(&identity, "a", &code);
    vendor.write("server.request", asked.sign(CRYPTO, &identity).unwrap());
    vendor.edit_ok(&["answer", "server.request", "--center", "centre"]);
    assert!(vendor.edit_fails(&["answer", "server.request", "--center", "centre"]).contains("-y"));
    let text = std::fs::read_to_string(vendor.path("server.answer")).unwrap();
    let granted = Answer::read(CRYPTO, "x", &text).unwrap().accept(CRYPTO, &asked, &identity).unwrap();
    assert!(matches!(granted, Granted::Activated { .. }));
    vendor.centre_ok(&["backup", "copy.db", "--center", "centre"]);
    assert!(std::fs::read(vendor.path("copy.db")).unwrap().starts_with(b"SQLite format 3"));
}

#[test]
fn a_token_opens_what_its_role_allows_in_the_api_and_the_pages() {
    let vendor = Vendor::with_series("tokens");
    let code = vendor.code(&["--licences", "1"]);
    let (viewer, operator) = (vendor.token("look", "viewer"), vendor.token("support", "operator"));
    let centre = vendor.start_centre();
    let (query, of_code) = (json!({ "Query": code }), json!({ "Code": code }));
    assert_eq!(centre.call("POST", "/api/find", "wrong", &query).0, 401);
    let (status, found) = centre.call("POST", "/api/find", &viewer, &query);
    let masked = code.parse::<licence::code::ActivationCode>().unwrap().masked();
    assert_eq!((status, &found["Code"]["Code"]), (200, &json!(masked)));
    assert_eq!(centre.call("POST", "/api/find", &operator, &query).1["Code"]["Code"], json!(code));
    assert_eq!(centre.call("POST", "/api/codes/block", &viewer, &of_code).0, 403);
    let (status, blocked) = centre.call("POST", "/api/codes/block", &operator, &of_code);
    assert_eq!((status, &blocked["State"]), (200, &json!("Blocked")));
    assert_eq!(centre.get("/metrics").0, 401);
    assert_eq!(centre.get("/").0, 401);
    for path in ["/answer", "/api/openapi.json", "/assets/console.css"] {
        assert_eq!(centre.get(path).0, 200, "{path}");
    }
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    for path in ["/", "/reports"] {
        let call = agent.get(format!("{}{path}", centre.address)).header("Authorization", format!("Bearer {viewer}"));
        assert_eq!(call.call().unwrap().status().as_u16(), 200, "{path}");
    }
    let listed = vendor.centre_ok(&["token", "list", "--center", "centre"]);
    assert!(listed.contains("support\toperator") && !listed.contains(&operator));
}

#[test]
fn what_is_written_over_the_api_is_what_codes_and_keys_are_made_of() {
    let vendor = Vendor::with_series("writes");
    let (administrator, operator) = (vendor.token("boss", "administrator"), vendor.token("support", "operator"));
    let centre = vendor.start_centre();
    let write = |method: &str, path: &str, body: serde_json::Value| {
        let (status, answer) = centre.call(method, path, &administrator, &body);
        assert!(matches!(status, 200 | 204), "{path}: {answer}");
        answer
    };
    let read = |path: &str| centre.call("GET", path, &administrator, &json!(null)).1;
    let series = read("/api/series")[0].clone();
    let (key_id, root) = (&series["KeyID"], &series["Root"]);
    assert_eq!((key_id, &series["Name"]), (&json!("672B"), &json!("Товар")));

    write("PUT", "/api/products", json!({ "KeyID": key_id, "Root": root, "Name": "Склад", "Note": "2026" }));
    assert_eq!(read("/api/products")[0]["Note"], "2026");
    let terms = json!({ "KeyType": 3, "LicenceCount": 7, "ProductName": "Склад", "Article": "A-7", "ArticleName": "7 мест",
        "Parameters": { "Филиалы": "3" } });
    write("PUT", "/api/articles", json!({ "KeyID": key_id, "Root": root, "Terms": terms }));
    assert_eq!(read("/api/articles")[0]["Terms"]["Parameters"], json!({ "Филиалы": "3" }));
    write("PUT", "/api/customers", json!({ "ITN": "7701000001", "IEC": "", "Name": "ООО Ромашка", "Note": "" }));
    assert_eq!(read("/api/customers?ITN=7701000001")[0]["Name"], "ООО Ромашка");
    let refused = centre.call("PUT", "/api/articles", &operator, &json!({}));
    assert_eq!((refused.0, read("/api/articles").as_array().unwrap().len()), (403, 1));

    let order = json!({ "KeyID": key_id, "Article": "A-7", "ITN": "7701000001", "Count": 2 });
    let codes = write("POST", "/api/codes", order)["Codes"].clone();
    let [first, second] = [0, 1].map(|at| codes[at].as_str().unwrap());
    assert_ne!(first, second);
    for wrong in
        [json!({ "KeyID": key_id, "Article": "none" }), json!({ "KeyID": key_id, "Article": "A-7", "Count": 0 })]
    {
        assert!(matches!(centre.call("POST", "/api/codes", &administrator, &wrong).0, 400 | 404), "{wrong}");
    }
    let identity = Identity::generate(CRYPTO).unwrap();
    assert_eq!(centre.refusal(&request(&identity, "a", first), &identity).1.code, Code::OwnerMismatch);
    let with_owner = |code: &str| {
        let asked = request(&identity, "a", code);
        let owned = licence::activation::Activate { itn: Some("7701000001".into()), ..vendor::activate(code) };
        Request { purpose: Purpose::Activate(owned), ..asked }
    };
    let Granted::Activated { key, .. } = granted(&centre, &with_owner(first), &identity) else { panic!() };
    assert_eq!((key.licence.licence_count, key.licence.article.as_str()), (7, "A-7"));
    assert_eq!(key.licence.parameters.get("Филиалы").map(String::as_str), Some("3"));
    let (status, history) = centre.call("GET", "/api/keys/672B/1", &operator, &json!(null));
    assert_eq!((status, &history["Key"]["ITN"]), (200, &json!("7701000001")), "{history}");

    // No transfers are allowed any more, but one by the vendor's word.
    write("PUT", "/api/series/672B/policy", json!({ "Transfers": 0, "TransferDays": 365 }));
    let up = giving_up(&identity, &key);
    assert_eq!(centre.refusal(&up, &identity).1.code, Code::TransferLimit);
    let (status, allowed) = centre.call("POST", "/api/keys/allow", &operator, &json!({ "KeyID": key_id, "KeyNo": 1 }));
    assert_eq!((status, &allowed["Allowance"]), (200, &json!(1)));
    let Granted::Reserved { code: reserve, .. } = granted(&centre, &up, &identity) else { panic!() };
    let Granted::Activated { key, .. } = granted(&centre, &with_owner(&reserve.to_string()), &identity) else {
        panic!()
    };
    assert_eq!((key.licence.key_no, key.licence.issue), (1, 2));

    // Changed terms come with the next update.
    let mut more = terms.clone();
    more["LicenceCount"] = json!(9);
    more["SupportDate"] = json!("2027-05-01");
    write("POST", "/api/codes/terms", json!({ "Code": reserve, "Terms": more }));
    let installed =
        licence::activation::Installed { series: key.series, key_no: 1, issue: 2, key_type: key.licence.key_type };
    let purpose = Purpose::Update(Update { series: key.series });
    let update = Request { purpose, installed: vec![installed], ..request(&identity, "a", second) };
    let Granted::Updated { keys, .. } = granted(&centre, &update, &identity) else { panic!() };
    assert_eq!((keys[0].licence.licence_count, keys[0].licence.issue), (9, 3));
    assert_eq!(keys[0].licence.support.support_date, Some("2027-05-01".parse().unwrap()));

    let audit = read("/api/audit").to_string();
    for kind in
        ["codes_made", "catalogue_changed", "activated", "reserved", "allowed", "terms_changed", "token_changed"]
    {
        assert!(audit.contains(kind), "{kind}: {audit}");
    }
    assert!(audit.contains("support") && !audit.contains(first) && !audit.contains(&reserve.to_string()), "{audit}");
    assert_eq!(centre.call("GET", "/api/audit", &operator, &json!(null)).0, 403);
    let tokens = read("/api/tokens");
    assert!(tokens.to_string().contains("boss") && !tokens.to_string().contains(&administrator));
}

#[test]
fn a_field_that_nobody_knows_is_refused_by_name_in_every_body() {
    let vendor = Vendor::with_series("strict");
    let administrator = vendor.token("boss", "administrator");
    let centre = vendor.start_centre_with(&["--attempts-per-minute", "0"], &[]);
    let document: serde_json::Value = serde_json::from_str(&centre.get("/api/openapi.json").1).unwrap();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, _) in operations
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, operation)| operation["requestBody"]["content"]["application/json"].is_object())
        {
            let path = path.replace("{KeyID}", "672B");
            let call =
                centre.call(&method.to_uppercase(), &path, &administrator, &json!({ "SuportDate": "2027-05-01" }));
            assert!(call.0 == 400 && call.1.to_string().contains("SuportDate"), "{method} {path}: {call:?}");
            tried += 1;
        }
    }
    assert!(tried >= 9, "{tried}");
    let series = centre.call("GET", "/api/series", &administrator, &json!(null)).1[0].clone();
    let (key_id, root) = (&series["KeyID"], &series["Root"]);
    let terms = json!({ "KeyType": 3, "LicenceCount": 1, "ProductName": "x", "SuportDate": "2027-05-01" });
    let deep = [
        ("POST", "/api/codes", json!({ "KeyID": key_id, "Terms": terms })),
        ("PUT", "/api/articles", json!({ "KeyID": key_id, "Root": root, "Terms": terms })),
        ("PUT", "/api/series/672B/policy", json!({ "Demo": terms })),
    ];
    for (method, path, body) in deep {
        let call = centre.call(method, path, &administrator, &body);
        assert!(call.0 == 400 && call.1.to_string().contains("SuportDate"), "{method} {path}: {call:?}");
    }
    let customer = json!({ "ITN": "7701000001", "Email": "a@example.org" });
    let (status, refused) = centre.call("PUT", "/api/customers", &administrator, &customer);
    assert!(status == 400 && refused.to_string().contains("Email"), "{refused}");
}

#[test]
fn changing_terms_keeps_what_is_not_named_and_the_audit_has_old_and_new_values() {
    let vendor = Vendor::with_series("terms");
    let code = vendor.code(&[
        "--licences",
        "7",
        "--itn",
        "7701000001",
        "--flags",
        "3",
        "--parameter",
        "A=1",
        "--parameter",
        "B=2",
        "--article",
        "A-7",
    ]);
    let administrator = vendor.token("boss", "administrator");
    let centre = vendor.start_centre();
    let change = |terms: serde_json::Value| {
        centre.call("POST", "/api/codes/terms", &administrator, &json!({ "Code": code, "Terms": terms }))
    };
    let terms = || {
        let (_, found) = centre.call("POST", "/api/find", &administrator, &json!({ "Query": code }));
        found["Code"]["Terms"].clone()
    };
    let former = terms();
    assert_eq!((&former["ITN"], &former["Article"]), (&json!("7701000001"), &json!("A-7")));
    assert_eq!(change(json!({ "LicenceCount": 9, "Parameters": { "B": null, "C": "3" } })).0, 204);
    let mut expected = former.clone();
    expected["LicenceCount"] = json!(9);
    expected["Parameters"] = json!({ "A": "1", "C": "3" });
    assert_eq!(terms(), expected);
    let audit = centre.call("GET", "/api/audit", &administrator, &json!(null)).1;
    let details = audit[0]["Details"].as_str().unwrap();
    assert!(details.contains("LicenceCount: 7 → 9") && !details.contains("Article"), "{details}");
    for wrong in [json!({ "LicenceCount": null }), json!({ "LicenceCount": 0 }), json!({ "ITN": "7701000002" })] {
        assert_eq!(change(wrong.clone()).0, 400, "{wrong}");
    }
    assert_eq!(terms(), expected);
}

#[test]
fn an_itn_is_checked_when_it_is_given_and_stays_where_it_is() {
    let vendor = Vendor::with_series("itn");
    assert!(
        vendor
            .edit_fails(&["code", "--center", "centre", "--serie", "672B", "--licences", "1", "--itn", "7701000002"])
            .contains("7701000002")
    );
    let administrator = vendor.token("boss", "administrator");
    let centre = vendor.start_centre();
    let terms = |itn: &str| json!({ "KeyType": 3, "LicenceCount": 1, "ProductName": "x", "Article": "A", "ITN": itn });
    let series = centre.call("GET", "/api/series", &administrator, &json!(null)).1[0].clone();
    let (key_id, root) = (&series["KeyID"], &series["Root"]);
    let bodies = |itn: &str, iec: &str| {
        [
            ("POST", "/api/codes", json!({ "KeyID": key_id, "Terms": terms(itn), "IEC": iec })),
            ("PUT", "/api/articles", json!({ "KeyID": key_id, "Root": root, "Terms": terms(itn) })),
            ("PUT", "/api/customers", json!({ "ITN": itn, "IEC": iec })),
        ]
    };
    for (method, path, body) in bodies("7701000002", "770101001") {
        let (status, refused) = centre.call(method, path, &administrator, &body);
        assert!(status == 400 && refused.to_string().contains("7701000002"), "{path}: {refused}");
    }
    for (method, path, body) in bodies("500100732259", "770101001") {
        assert!(matches!(centre.call(method, path, &administrator, &body).0, 200 | 204), "{path}");
    }
    assert_eq!(
        centre.call("PUT", "/api/customers", &administrator, &json!({ "ITN": "7701000001", "IEC": "7" })).0,
        400
    );
}

#[test]
fn a_post_under_a_key_does_nothing_twice() {
    let vendor = Vendor::with_series("once");
    let (boss, other) = (vendor.token("boss", "administrator"), vendor.token("other", "administrator"));
    let body = json!({ "KeyID": "672B", "Terms": { "KeyType": 3, "LicenceCount": 1, "ProductName": "x" }, "Count": 2 });
    let count = || vendor.edit_ok(&["codes", "--center", "centre"]).lines().count();
    let mut centre = vendor.start_centre();
    let first = centre.post_once("/api/codes", (&boss, "order 1"), &body);
    assert_eq!((first.0, count()), (200, 2), "{first:?}");
    let again = || {
        std::thread::scope(|scope| {
            let asking: Vec<_> =
                (0..4).map(|_| scope.spawn(|| centre.post_once("/api/codes", (&boss, "order 2"), &body))).collect();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let together = again();
    assert!(together.iter().all(|answer| *answer == together[0] && answer.0 == 200), "{together:?}");
    assert_eq!(count(), 4);
    centre.stop();
    let centre = vendor.start_centre();
    assert_eq!(centre.post_once("/api/codes", (&boss, "order 1"), &body), first);
    assert_eq!(count(), 4);
    let mut different = body.clone();
    different["Count"] = json!(3);
    assert_eq!(centre.post_once("/api/codes", (&boss, "order 1"), &different).0, 409);
    assert_eq!(centre.post_once("/api/codes", (&boss, ""), &body).0, 400);
    assert_eq!(count(), 4);
    // A key is its sender's own, and a refusal is kept by nobody.
    assert_ne!(centre.post_once("/api/codes", (&other, "order 1"), &body), first);
    assert_eq!(count(), 6);
    let allow = json!({ "KeyID": "672B", "KeyNo": 1 });
    assert_eq!(centre.post_once("/api/keys/allow", (&boss, "a"), &allow).0, 404);
    let listed = vendor.edit_ok(&["codes", "--center", "centre"]);
    let code = listed.split('\t').next().unwrap();
    activated(&centre, &Identity::generate(CRYPTO).unwrap(), code);
    for _ in 0..3 {
        let (status, key) = centre.post_once("/api/keys/allow", (&boss, "a"), &allow);
        assert!(status == 200 && key.contains("\"Allowance\":1"), "{key}");
    }
}

#[test]
fn unused_codes_are_found_by_itn_and_customer_and_a_viewer_sees_none_in_full() {
    let vendor = Vendor::with_series("unused");
    let own = vendor.code(&["--licences", "1", "--itn", "7701000001", "--count", "2"]);
    let own: Vec<&str> = own.lines().collect();
    vendor.code(&["--licences", "1", "--itn", "7707083893"]);
    let (viewer, operator) = (vendor.token("look", "viewer"), vendor.token("support", "operator"));
    let centre = vendor.start_centre();
    let customer = json!({ "ITN": "7701000001", "Name": "ООО Ромашка" });
    assert_eq!(centre.call("PUT", "/api/customers", &operator, &customer).0, 204);
    let found = |token: &str, query: &str| centre.call("POST", "/api/find", token, &json!({ "Query": query })).1;
    for query in ["7701000001", "ромашк"] {
        let codes = found(&operator, query)["Codes"].clone();
        let codes: Vec<&str> = codes.as_array().unwrap().iter().map(|code| code["Code"].as_str().unwrap()).collect();
        assert!(codes.len() == 2 && own.iter().all(|code| codes.contains(code)), "{query}: {codes:?}");
        let page = centre.form("/", (&operator, &centre.address), &[("query", query)]).text;
        assert!(own.iter().all(|code| page.contains(code)), "{page}");
        let page = centre.form("/", (&viewer, &centre.address), &[("query", query)]).text;
        assert!(!own.iter().any(|code| page.contains(code) || page.contains(&code.replace('-', ""))), "{page}");
        let seen = found(&viewer, query).to_string();
        assert!(!own.iter().any(|code| seen.contains(code)), "{seen}");
    }
    // A reserve code is as good as a new one.
    let identity = Identity::generate(CRYPTO).unwrap();
    let code = vendor.code(&["--licences", "1"]);
    let key = activated(&centre, &identity, &code);
    let Granted::Reserved { code: reserve, .. } = granted(&centre, &giving_up(&identity, &key), &identity) else {
        panic!()
    };
    let history = |token: &str| centre.call("GET", "/api/keys/672B/1", token, &json!(null)).1.to_string();
    assert!(history(&operator).contains(&reserve.to_string()));
    assert!(!history(&viewer).contains(&reserve.to_string()), "{}", history(&viewer));
    assert!(!found(&viewer, "1").to_string().contains(&reserve.to_string()));
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let page = agent.get(format!("{}/keys/672B/1", centre.address)).header("Authorization", format!("Bearer {viewer}"));
    assert!(!page.call().unwrap().body_mut().read_to_string().unwrap().contains(&reserve.to_string()));
    assert!(!vendor.edit_ok(&["codes", "--center", "centre"]).contains("\tnew\t3\t1\t1\t"));
}

#[test]
fn lists_come_in_parts_and_unknown_parameters_are_refused() {
    let vendor = Vendor::with_series("parts");
    let boss = vendor.token("boss", "administrator");
    vendor.token("other", "viewer");
    let centre = vendor.start_centre();
    for itn in ["7701000001", "7707083893", "500100732259"] {
        assert_eq!(centre.call("PUT", "/api/customers", &boss, &json!({ "ITN": itn })).0, 204);
    }
    let get = |path: &str| centre.call("GET", path, &boss, &json!(null));
    for path in ["/api/customers", "/api/tokens", "/api/audit"] {
        let whole = get(path).1;
        let whole = whole.as_array().unwrap();
        assert!(whole.len() > 1, "{path}");
        assert_eq!(get(&format!("{path}?limit=1&offset=1")).1, json!([whole[1]]), "{path}");
        assert_eq!(get(&format!("{path}?offset=1")).1, json!(whole[1..]), "{path}");
        assert_eq!(get(&format!("{path}?limit=0")).1, json!([]), "{path}");
    }
    for path in ["/api/series", "/api/products", "/api/articles", "/api/reports"] {
        assert_eq!(get(&format!("{path}?limit=1&offset=1")), (200, json!([])), "{path}");
    }
    let (status, refused) = get("/api/customers?itm=7701000001");
    assert!(status == 400 && refused.to_string().contains("itm"), "{refused}");
    assert_eq!(get("/api/audit?limit=all").0, 400);
    assert_eq!(get("/api/audit?limit=-1").0, 400);
}

#[test]
fn what_a_record_refers_to_must_be_there_and_a_store_that_fails_is_told_as_the_centres() {
    let vendor = Vendor::with_series("foreign");
    let code = vendor.code(&["--licences", "1"]);
    let boss = vendor.token("boss", "administrator");
    let centre = vendor.start_centre();
    let root = "0".repeat(64);
    let terms = json!({ "KeyType": 3, "LicenceCount": 1, "ProductName": "x", "Article": "A" });
    let unknown = [
        ("/api/products", json!({ "KeyID": "672B", "Root": root, "Name": "x" })),
        ("/api/articles", json!({ "KeyID": "672B", "Root": root, "Terms": terms })),
    ];
    for (path, body) in unknown {
        let (status, refused) = centre.call("PUT", path, &boss, &body);
        assert!(status == 404 && refused.to_string().contains("672B"), "{path}: {refused}");
    }
    let policy = format!("/api/series/672B/policy?Root={root}");
    assert_eq!(centre.call("PUT", &policy, &boss, &json!({ "Transfers": 1 })).0, 404);
    let store = rusqlite::Connection::open(vendor.path("centre/center.db")).unwrap();
    store.execute_batch("ALTER TABLE codes RENAME TO gone").unwrap();
    let identity = Identity::generate(CRYPTO).unwrap();
    let (status, error) = centre.refusal(&request(&identity, "a", &code), &identity);
    assert_eq!((status, error.code), (503, Code::CentreStoreFailed), "{error}");
}

#[test]
fn support_finds_blocks_and_allows_on_pages_and_no_foreign_page_does() {
    let vendor = Vendor::with_series("pages");
    let codes = vendor.code(&["--licences", "1", "--count", "2"]);
    let codes: Vec<&str> = codes.lines().collect();
    let (viewer, operator) = (vendor.token("look", "viewer"), vendor.token("support", "operator"));
    let centre = vendor.start_centre();
    let site = centre.address.as_str();
    let post = |path: &str, token: &str, fields: &[(&str, &str)]| centre.form(path, (token, site), fields);
    let identity = Identity::generate(CRYPTO).unwrap();
    activated(&centre, &identity, codes[0]);

    let found = post("/", &viewer, &[("query", codes[0])]);
    assert!(found.status == 200 && found.text.contains("672B.1") && found.text.contains("active"), "{}", found.text);
    let key = found.text.split("href=\"").find_map(|text| text.starts_with("/keys/").then(|| text.split('"').next()));
    let key = key.flatten().unwrap();
    let hidden = post("/", &viewer, &[("query", codes[1])]);
    // The form has what was typed; the page adds nothing to it.
    assert!(hidden.text.matches(codes[1]).count() == 1 && !hidden.text.contains("/codes/block"), "{}", hidden.text);
    let unsold = post("/", &operator, &[("query", codes[1])]);
    assert!(unsold.text.contains("/codes/block") && unsold.text.contains(codes[1]), "{}", unsold.text);
    let nothing = post("/", &viewer, &[("query", "<script>")]);
    assert!(nothing.text.contains("Nothing was found") && !nothing.text.contains("<script>"), "{}", nothing.text);

    let allow = key.replace('?', "/allow?");
    assert_eq!(post(&allow, &viewer, &[]).status, 403);
    assert_eq!(centre.form(&allow, (&operator, "http://example.org"), &[]).status, 403);
    let allowed = post(&allow, &operator, &[]);
    assert_eq!((allowed.status, allowed.location.as_deref()), (303, Some(key)));
    let (_, history) = centre.call("GET", "/api/keys/672B/1", &viewer, &json!(null));
    assert_eq!(history["Key"]["Allowance"], 1);

    assert_eq!(post("/codes/block", &viewer, &[("code", codes[1])]).status, 403);
    assert_eq!(post("/codes/block", &operator, &[("code", "12")]).status, 400);
    assert_eq!(post("/codes/block", &operator, &[("code", codes[1])]).location.as_deref(), Some("/"));
    assert_eq!(post("/codes/block", &operator, &[("code", codes[0])]).location.as_deref(), Some(key));
    let (_, history) = centre.call("GET", "/api/keys/672B/1", &viewer, &json!(null));
    assert_eq!(history["Key"]["Revoked"], true);
    let listed = vendor.edit_ok(&["codes", "--center", "centre"]);
    assert_eq!(listed.matches("\tblocked\t").count(), 2, "{listed}");
}

#[test]
fn the_page_for_request_files_shows_the_answer_and_gives_it_as_a_file() {
    let vendor = Vendor::with_series("answers");
    let code = vendor.code(&["--licences", "1"]);
    let centre = vendor.start_centre();
    let identity = Identity::generate(CRYPTO).unwrap();
    let asked = request(&identity, "a", &code);
    // As a browser sends a text area.
    let text = asked.sign(CRYPTO, &identity).unwrap().replace('\n', "\r\n");
    let send = |fields: &[(&str, &str)]| centre.form("/answer", ("", &centre.address), fields);
    let licence_of = |text: &str| match Answer::read(CRYPTO, "x", text).unwrap().accept(CRYPTO, &asked, &identity) {
        Ok(Granted::Activated { key, .. }) => key.text.clone(),
        other => panic!("{other:?}"),
    };
    let shown = send(&[("request", &text)]);
    assert!(shown.status == 200 && shown.disposition.is_none(), "{}", shown.text);
    let area = shown.text.split_once("readonly").and_then(|(_, rest)| rest.split_once('>')).unwrap().1;
    let area = area.split_once("</textarea>").unwrap().0;
    let saved = send(&[("request", &text), ("save", "1")]);
    assert_eq!(saved.disposition.as_deref(), Some("attachment; filename=\"672B.answer\""));
    assert_eq!(licence_of(&saved.text), licence_of(&area.replace("&#34;", "\"").replace("&#38;", "&")));
    let uploaded = centre.upload("/answer", &[("request", ""), ("file", &text), ("save", "1")]);
    assert_eq!(licence_of(&uploaded.text), licence_of(&saved.text));
    let refused = send(&[("request", "SLK-REQUEST 1")]);
    assert!(refused.status == 400 && refused.text.contains("role=\"alert\""), "{}", refused.text);
}

#[test]
fn the_desk_allows_one_more_transfer() {
    let vendor = Vendor::with_series("allow");
    let code = vendor.code(&["--licences", "1"]);
    let administrator = vendor.token("boss", "administrator");
    let centre = vendor.start_centre();
    centre.call("PUT", "/api/series/672B/policy", &administrator, &json!({ "Transfers": 0 }));
    let identity = Identity::generate(CRYPTO).unwrap();
    let key = activated(&centre, &identity, &code);
    let up = giving_up(&identity, &key);
    assert_eq!(centre.refusal(&up, &identity).1.code, Code::TransferLimit);
    assert_eq!(vendor.edit_ok(&["allow", "1", "--serie", "672B", "--center", "centre"]).trim(), "672B\t1\t1");
    assert!(matches!(granted(&centre, &up, &identity), Granted::Reserved { .. }));
    assert!(vendor.edit_fails(&["allow", "2", "--serie", "672B", "--center", "centre"]).contains('2'));
}
