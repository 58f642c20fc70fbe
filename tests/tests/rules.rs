//! What may not be installed is refused with the reason and the way out before a code is spent: every rule is broken once, and then kept.

use e2e::{Outcome, SERIES, Server, Site};
use serde_json::{Value, json};

/// Another series of the same vendor.
const OTHER: &str = "1A2B";

/// Refuses a wish; the code is as new as before, and nothing was installed.
fn refused(site: &Site, server: &Server, order: &Value, status: u16, number: u64) -> Outcome {
    let keys = server.keys()?.len();
    let answer = server.rest().post("/api/licences", order)?;
    assert_eq!(answer.refusal(status)?, number, "{order}: {answer}");
    let message = answer.json()?["Message"].as_str().unwrap_or_default().to_owned();
    let ways_out = ["не потрачен", "Проверьте ИНН", "Обратитесь к поставщику"];
    assert!(ways_out.iter().any(|way| message.contains(way)), "{message}");
    let found = site.center.office("POST", "/api/find", Some(&json!({ "Query": order["ActivationCodeString"] })))?;
    assert_eq!((&found["Code"]["State"], server.keys()?.len()), (&json!("New"), keys), "{order}: {found}");
    Ok(())
}

#[test]
fn a_code_survives_every_rule_that_refuses_it() -> Outcome {
    let site = Site::with_series("rules", &[OTHER])?;
    let server = site.server("rules")?;
    let order = |code: &str| json!({ "ActivationCodeString": code });
    let installed = |order: &Value| server.rest().post("/api/licences", order)?.expect(201);

    let additional = site.vendor.code(2, &["--type", "additional"])?;
    refused(&site, &server, &order(&additional), 409, 410)?;
    let main = site.vendor.code(1, &[])?;
    let of_other = |code: &str| json!({ "ActivationCodeString": code, "KeyID": OTHER });
    refused(&site, &server, &of_other(&main), 409, 451)?;
    installed(&json!({ "ActivationCodeString": main, "KeyID": SERIES }))?;
    installed(&order(&additional))?;
    assert_eq!(server.seats()?, (0, 3));

    // A main key of another series is none beside an additional one.
    let additional = site.others[0].code(2, &["--type", "additional"])?;
    refused(&site, &server, &order(&additional), 409, 410)?;

    let owned = site.vendor.code(4, &["--itn", "7701000001", "--iec", "770101001"])?;
    refused(&site, &server, &order(&owned), 403, 408)?;
    let by = |itn: &str, iec: &str| json!({ "ActivationCodeString": owned, "ITN": itn, "IEC": iec });
    refused(&site, &server, &by("7701000002", "770101001"), 403, 408)?;
    refused(&site, &server, &by("7701000001", "770101002"), 403, 408)?;
    installed(&by("7701000001", "770101001"))?;

    let late = site.vendor.code(8, &[])?;
    let found = site.center.office("POST", "/api/find", Some(&json!({ "Query": late })))?;
    let until = |moment: Value| -> Outcome {
        let mut terms = found["Code"]["Terms"].clone();
        terms["Until"] = moment;
        site.center.office("POST", "/api/codes/terms", Some(&json!({ "Code": late, "Terms": terms }))).map(drop)
    };
    until("2020-01-01T00:00:00.000Z".into())?;
    refused(&site, &server, &order(&late), 409, 411)?;
    until(Value::Null)?;
    installed(&order(&late))?;
    assert_eq!(server.seats()?, (0, 15));

    // A key that is here is not here twice, and a blocked code is good for nothing.
    let again = installed(&order(&late))?;
    assert_eq!((server.seats()?, &again["LicenceCount"]), ((0, 15), &json!(8)));
    let blocked = site.vendor.code(1, &[])?;
    site.vendor.block(&blocked)?;
    assert_eq!(server.rest().post("/api/licences", &order(&blocked))?.refusal(403)?, 403);
    assert_eq!(site.center.reports()?, []);
    Ok(())
}
