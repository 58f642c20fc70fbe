//! A vendor with his centre, and servers of his customers: what most tests begin with.

use serde_json::json;

use crate::center::Center;
use crate::failure::Outcome;
use crate::root::Root;
use crate::server::Server;
use crate::vendor::{Terms, Vendor};

/// The vendor's side, running.
pub struct Site {
    /// The vendor with his series.
    pub vendor: Vendor,
    /// The same vendor with other series of his.
    pub others: Vec<Vendor>,
    /// His centre.
    pub center: Center,
    /// Folder of both; goes last.
    pub root: Root,
}

impl Site {
    /// A vendor and a centre.
    pub fn new(name: &str) -> Outcome<Site> {
        Site::with_series(name, &[])
    }

    /// A vendor with more than one series, and a centre that serves them all.
    pub fn with_series(name: &str, others: &[&'static str]) -> Outcome<Site> {
        let root = Root::new(name)?;
        let vendor = Vendor::shared(&root)?;
        let others = others.iter().map(|series| vendor.with_series(series)).collect::<Outcome<_>>()?;
        let center = Center::start(&vendor.issuer_folder())?;
        Ok(Site { vendor, others, center, root })
    }

    /// A server with a password, that activates here; it has no keys yet.
    pub fn server(&self, name: &str) -> Outcome<Server> {
        Server::ready(Root::new(name)?, Some(self.center.url()))
    }

    /// Sells another number of licences for a code that was exchanged before.
    pub fn sell(&self, code: &str, licences: u64) -> Outcome {
        let found = self.center.office("POST", "/api/find", Some(&json!({ "Query": code })))?;
        let mut terms = found["Keys"][0]["Terms"].clone();
        terms["LicenceCount"] = licences.into();
        self.center.office("POST", "/api/codes/terms", Some(&json!({ "Code": code, "Terms": terms }))).map(drop)
    }

    /// Gives a demo licence to whoever asks, of so many licences; 0: to nobody.
    pub fn allow_demo(&self, licences: u64) -> Outcome {
        let offer = json!({ "KeyType": 5, "LicenceCount": licences, "Period": 30, "ProductName": "Учёт скидок" });
        let policy = if licences == 0 { json!({}) } else { json!({ "Demo": offer }) };
        self.center.office("PUT", &format!("/api/series/{}/policy", self.vendor.series()), Some(&policy)).map(drop)
    }

    /// A server with one main key.
    pub fn server_with(&self, name: &str, licences: u32, terms: Terms<'_>) -> Outcome<Server> {
        let server = self.server(name)?;
        server.activate(&self.vendor.code(licences, terms)?)?;
        Ok(server)
    }
}
