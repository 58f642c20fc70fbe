//! Two vendors who have chosen the same number for their series: a code of the one is not spent where the other's is needed.

use e2e::component::{Kind, Process};
use e2e::failure::check;
use e2e::host::Value;
use e2e::vendor::try_edit;
use e2e::{Center, Outcome, Root, SERIES, Server, Site, Vendor};
use serde_json::json;

/// Number of the refusal.
const OTHER_VENDOR: u64 = 456;

/// A vendor whose root is not the one of the other tests.
fn other_site(name: &str) -> Outcome<Site> {
    let root = Root::new(name)?;
    let vendor = Vendor::new(&root.path().join("vendor"))?;
    let center = Center::start(&vendor.issuer_folder())?;
    Ok(Site { vendor, others: Vec::new(), center, root })
}

fn state_of(site: &Site, code: &str) -> Outcome<serde_json::Value> {
    let found = site.center.office("POST", "/api/find", Some(&json!({ "Query": code })))?;
    Ok(found["Code"]["State"].clone())
}

#[test]
fn a_code_of_another_vendor_is_refused_before_it_is_spent() -> Outcome {
    let (ours, theirs) = (Site::new("vendor-ours")?, other_site("vendor-theirs")?);
    assert_ne!(ours.vendor.anchor_hash()?, theirs.vendor.anchor_hash()?);
    let code = theirs.vendor.code(5, &[])?;

    // A configuration of ours at a server that asks their centre.
    let server = theirs.server("vendor-first")?;
    let root = Root::new("vendor-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", server.port());
    let (attached, started) = process.try_start(&address, &ours.vendor.anchor()?)?;
    check(started.is_err(), || "there is no key".to_owned())?;
    assert_eq!(process.call(&attached, "УстановитьЛицензию", &[code.as_str().into()])?, Value::Undefined);
    let refusal = process.refusal(attached.object)?;
    assert_eq!(u64::try_from(refusal.code)?, OTHER_VENDOR, "{}", refusal.text);
    assert!(refusal.text.contains("LicenceCenterUrl"), "{}", refusal.text);
    // By a file it is the same.
    let Value::Text(request) = process.call(&attached, "СоздатьФайловыйЗапрос", &[code.as_str().into()])?
    else {
        return e2e::fail(format!("{:?}", process.refusal(attached.object)?));
    };
    let file = root.path().join("a.request");
    std::fs::write(&file, request)?;
    let center = theirs.vendor.issuer_folder().display().to_string();
    let answered = try_edit(&["answer", &file.display().to_string(), "--center", &center])?;
    check(!answered.status.success() && !file.with_extension("answer").exists(), || "it was answered".to_owned())?;
    assert_eq!((state_of(&theirs, &code)?, server.keys()?.len()), (json!("New"), 0));
    process.detach(attached)?;
    process.finish()?;

    // A server with a key of ours, where the series is named; and where the vendor is named too.
    let server =
        Server::ready(Root::new("vendor-second")?, Some(&format!("{},{}", ours.center.url(), theirs.center.url())))?;
    server.activate(&ours.vendor.code(2, &[])?)?;
    let ours_named = json!({ "ActivationCodeString": code, "KeyID": SERIES, "SeriesKey": ours.vendor.anchor_hash()? });
    let unknown = server.rest().post("/api/licences", &ours_named)?;
    assert_eq!(unknown.refusal(404)?, 401, "our centre does not know it: {unknown}");
    let server = Server::ready(Root::new("vendor-third")?, Some(theirs.center.url()))?;
    server.activate(&theirs.vendor.code(2, &[])?)?;
    let named = |root: &str| json!({ "ActivationCodeString": code, "KeyID": SERIES, "SeriesKey": root });
    let refused = server.rest().post("/api/licences", &named(&ours.vendor.anchor_hash()?))?;
    assert_eq!(refused.refusal(409)?, OTHER_VENDOR, "{refused}");
    assert_eq!(state_of(&theirs, &code)?, "New");
    server.rest().post("/api/licences", &named(&theirs.vendor.anchor_hash()?))?.expect(201)?;
    assert_eq!(server.seats()?, (0, 7));
    Ok(())
}

#[test]
fn a_key_is_not_given_up_at_another_vendors_centre() -> Outcome {
    let (ours, theirs) = (Site::new("centre-ours")?, other_site("centre-theirs")?);
    let mut server = ours.server_with("centre-moved", 4, &[])?;
    server.after(|root| {
        let file = root.settings().join("licenceserver.conf");
        let text = std::fs::read_to_string(&file)?.replace(ours.center.url(), theirs.center.url());
        Ok(std::fs::write(file, text)?)
    })?;
    assert_eq!(server.rest().post("/api/licences/1/reserve", &json!({}))?.refusal(409)?, 407);
    assert_eq!(server.rest().post("/api/updates", &json!({}))?.refusal(409)?, 407);
    // The number is named, so a code must be of the vendor whose keys of that number are here.
    let code = theirs.vendor.code(1, &[])?;
    let order = json!({ "ActivationCodeString": code, "KeyID": SERIES });
    assert_eq!(server.rest().post("/api/licences", &order)?.refusal(409)?, OTHER_VENDOR);
    assert_eq!((server.seats()?, state_of(&theirs, &code)?), ((0, 4), json!("New")));
    // Where it isn't, two vendors' keys live side by side.
    server.activate(&code)?;
    assert_eq!(server.keys()?.iter().filter(|key| key["Enabled"] == true).count(), 2);
    Ok(())
}
