//! The centre itself: a signed request becomes a signed answer. It holds issuing keys, never roots, and a code is spent only
//! when nothing but the signing is left to do.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use licence::activation::{Activate, Activated, Answer, ApiCertificate, Outcome, Purpose, Request, Want};
use licence::code::ActivationCode;
use licence::crypto::Crypto;
use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::key::{Binding, Licence};
use licence::series::Issuer;
use licence::time::Clock;
use licence::{KeyNo, SeriesId, Time};

use crate::keyfile::{self, IssuerFile, Opened};
use crate::rules;
use crate::store::{Activation, Sold, Store};

/// A series that the centre issues licences of.
struct Issuing {
    issuer: Issuer,
    key: Opened,
}

/// The centre.
pub struct Centre {
    crypto: &'static dyn Crypto,
    clock: Box<dyn Clock>,
    store: Store,
    issuing: HashMap<SeriesId, Issuing>,
}

/// What a request has led to, for the log.
#[derive(Debug)]
pub struct Issued {
    /// Text of the signed answer.
    pub answer: String,
    /// The code.
    pub code: ActivationCode,
    /// Series of the key.
    pub series: SeriesId,
    /// Number of the key.
    pub key_no: KeyNo,
    /// Whether the licence had been issued before.
    pub repeated: bool,
}

/// A request that was refused, and its code if it could be read that far.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: Error,
    /// The code.
    pub code: Option<ActivationCode>,
}

/// The issuing key files in the centre's folder, in order of their names.
pub fn issuer_files(crypto: &dyn Crypto, folder: &Path) -> Result<Vec<(PathBuf, IssuerFile)>> {
    let failed = |e: std::io::Error| Error::new(Code::FileFailed).with(folder.display()).with(e);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| path.extension() == Some(OsStr::new("issuer")));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = zeroize::Zeroizing::new(files::read_text(&path, keyfile::LIMIT)?);
            let file = IssuerFile::read(crypto, &path.display().to_string(), &text)?;
            Ok((path, file))
        })
        .collect()
}

impl Centre {
    /// A centre over a store; it serves no series yet.
    pub fn new(crypto: &'static dyn Crypto, clock: Box<dyn Clock>, store: Store) -> Centre {
        Centre { crypto, clock, store, issuing: HashMap::new() }
    }

    /// Serves the series of an opened issuing key.
    pub fn serve(&mut self, file: &IssuerFile, key: Opened) -> Result<()> {
        self.store.add_series(&file.series(), file.name())?;
        self.issuing.insert(file.series(), Issuing { issuer: file.issuer().clone(), key });
        Ok(())
    }

    /// Exchanges the code of a signed request for a licence. Blocks on the disk and on RSA.
    pub fn activate(&self, text: &str) -> Result<Issued, Refused> {
        let mut request = Request::read(self.crypto, "request", text).map_err(|error| Refused { error, code: None })?;
        request.fingerprint = rules::weighed(request.fingerprint);
        let code = request.code();
        self.issue(&request).map_err(|error| Refused { error, code })
    }

    fn issue(&self, request: &Request) -> Result<Issued> {
        let Purpose::Activate(asked @ Activate { want: Want::Code(code), .. }) = &request.purpose else {
            return Err(Error::new(Code::BadRequest).with("Purpose"));
        };
        rules::well_formed(request, asked)?;
        let now = self.clock.now().wall;
        let judge = |sold: &Sold| self.judge(sold, (request, asked), now);
        let activation = self.store.claim((request, asked, *code), now, &judge)?;
        let series = activation.sold.series;
        let issuing = self.issuing(&series, now)?;
        let licence = match &activation.licence {
            Some(licence) => licence.clone(),
            None => self.store.keep_licence(&activation, &self.sign(issuing, &activation, now)?)?,
        };
        let certificate = ApiCertificate {
            key_id: series.key_id,
            identity: request.identity,
            key: request.api_key.clone(),
            issued: now,
        };
        let signer = issuing.key.signer.as_ref();
        let api_certificate = certificate.sign(signer, &issuing.issuer)?;
        let outcome = Outcome::Activated(Activated { licence, api_certificate, memory: None });
        let answer = Answer { nonce: request.nonce, time: now, outcome }.sign(signer, &issuing.issuer)?;
        let Activation { key_no, repeated, .. } = activation;
        Ok(Issued { answer, code: *code, series, key_no, repeated })
    }

    fn judge(&self, sold: &Sold, (request, asked): (&Request, &Activate), now: Time) -> Result<()> {
        self.issuing(&sold.series, now)?;
        rules::is_owner(&sold.terms, asked)?;
        rules::may_install(&sold.series, sold.terms.key_type, &request.installed)
    }

    fn issuing(&self, series: &SeriesId, now: Time) -> Result<&Issuing> {
        let not_served = |why: String| Error::new(Code::SeriesNotServed).with(series.key_id).with(why);
        let issuing =
            self.issuing.get(series).ok_or_else(|| not_served("нет ключа выпуска / no issuing key".into()))?;
        let certificate = &issuing.issuer.certificate;
        if certificate.allows(now) {
            Ok(issuing)
        } else {
            let (from, to) = (certificate.not_before, certificate.not_after);
            Err(not_served(format!("сертификат / certificate: {from} – {to}")))
        }
    }

    fn sign(&self, issuing: &Issuing, activation: &Activation, now: Time) -> Result<String> {
        let Sold { code, series, terms, .. } = &activation.sold;
        let binding = match activation.blank_key_no {
            Some(carrier) => Binding::Blank(carrier),
            None => Binding::Computer(activation.fingerprint.clone()),
        };
        let mut licence = Licence {
            key_id: series.key_id,
            key_no: activation.key_no,
            issue: activation.issue,
            reg_no: activation.reg_no,
            key_type: terms.key_type,
            service_type: terms.service_type,
            licence_count: terms.licence_count,
            product_version: terms.product_version,
            activation_code: *code,
            activation_date: activation.activated,
            start_date: terms.start_date,
            period: terms.period,
            flags: terms.flags,
            itn: activation.itn.clone(),
            iec: activation.iec.clone(),
            product_name: terms.product_name.clone(),
            article: terms.article.clone(),
            article_name: terms.article_name.clone(),
            issued: now,
            renew_by: None,
            parameters: std::collections::BTreeMap::new(),
            identity: activation.identity,
            binding,
            sealed: Vec::new(),
        };
        let subkeys = issuing.key.secret.earned(self.crypto, &licence.entitlement())?;
        licence.seal(series, &subkeys)?;
        licence.sign(issuing.key.signer.as_ref(), &issuing.issuer)
    }

    /// Whether the store answers.
    pub fn check(&self) -> Result<()> {
        self.store.check()
    }

    /// Series served, with the end of their certificates.
    pub fn series(&self) -> impl Iterator<Item = (SeriesId, Time)> {
        self.issuing.iter().map(|(series, issuing)| (*series, issuing.issuer.certificate.not_after))
    }
}

#[cfg(test)]
mod tests;
