//! What people do: request files, tokens, the REST API, pages.

mod vendor;

use licence::activation::{Answer, Granted};
use licence::identity::Identity;
use vendor::{CRYPTO, Vendor, request};

fn licencecenter(vendor: &Vendor, arguments: &[&str]) -> String {
    let output = vendor.command(env!("CARGO_BIN_EXE_licencecenter"), arguments).output().unwrap();
    assert!(output.status.success(), "{}", vendor::text(&output.stderr));
    vendor::text(&output.stdout).trim().to_owned()
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
    licencecenter(&vendor, &["backup", "copy.db", "--center", "centre"]);
    assert!(std::fs::read(vendor.path("copy.db")).unwrap().starts_with(b"SQLite format 3"));
}

#[test]
fn a_token_opens_what_its_role_allows_in_the_api_and_the_pages() {
    let vendor = Vendor::with_series("tokens");
    let code = vendor.code(&["--licences", "1"]);
    let token =
        |name: &str, role: &str| licencecenter(&vendor, &["token", "add", name, "--role", role, "--center", "centre"]);
    let (viewer, operator) = (token("look", "viewer"), token("support", "operator"));
    let centre = vendor.start_centre();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |path: &str, token: &str, body: String| {
        let call = agent.post(format!("{}{path}", centre.address)).header("Authorization", format!("Bearer {token}"));
        let mut response = call.header("Content-Type", "application/json").send(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    let of_code = format!(r#"{{"Code": "{code}"}}"#);
    assert_eq!(post("/api/find", "wrong", format!(r#"{{"Query": "{code}"}}"#)).0, 401);
    let (status, found) = post("/api/find", &viewer, format!(r#"{{"Query": "{code}"}}"#));
    assert!(status == 200 && found.contains(&code), "{found}");
    assert_eq!(post("/api/codes/block", &viewer, of_code.clone()).0, 403);
    let (status, blocked) = post("/api/codes/block", &operator, of_code);
    assert!(status == 200 && blocked.contains("\"Blocked\""), "{blocked}");
    assert_eq!(centre.get("/metrics").0, 401);
    assert_eq!(centre.get("/").0, 401);
    for path in ["/answer", "/api/openapi.json", "/assets/console.css"] {
        assert_eq!(centre.get(path).0, 200, "{path}");
    }
    for path in ["/", "/reports"] {
        let call = agent.get(format!("{}{path}", centre.address)).header("Authorization", format!("Bearer {viewer}"));
        assert_eq!(call.call().unwrap().status().as_u16(), 200, "{path}");
    }
    let listed = licencecenter(&vendor, &["token", "list", "--center", "centre"]);
    assert!(listed.contains("support\toperator") && !listed.contains(&operator));
}
