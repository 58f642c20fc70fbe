//! Issuing keys at work: which series are served, and the deputies that sign what is not a licence.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use licence::activation::{Answer, ApiCertificate, Request, Retirement, Revocations};
use licence::crypto::{Crypto, Signer};
use licence::error::{Code, Error, Result};
use licence::host::files;
use licence::id::Bytes32;
use licence::key::Licence;
use licence::series::{Certificate, Deputy, Issuer};
use licence::{KeyNo, SeriesId, Time};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::Centre;
use crate::keyfile::{self, IssuerFile, Opened};

/// A deputy signs for so many days …
const DEPUTY_DAYS: i64 = 2;
/// … and is replaced after one, so that there is always a day left for a clock that goes back.
const DEPUTY_RENEWED: i64 = 1;

/// A series that the centre issues licences of.
pub struct Issuing {
    issuer: Issuer,
    key: Opened,
    deputy: Mutex<Option<Arc<Deputised>>>,
}

/// A deputy's key, which lives in memory only, and the certificates to put behind what it signs.
struct Deputised {
    signer: Box<dyn Signer>,
    issuer: Issuer,
    renewed: Time,
    not_before: Time,
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
            let text = Zeroizing::new(files::read_text(&path, keyfile::LIMIT)?);
            let file = IssuerFile::read(crypto, &path.display().to_string(), &text)?;
            Ok((path, file))
        })
        .collect()
}

impl Centre {
    /// Serves the series of opened issuing keys, and no others.
    pub fn serve(&self, opened: Vec<(IssuerFile, Opened)>) -> Result<()> {
        self.store.work(|work| opened.iter().try_for_each(|(file, _)| work.add_series(&file.series(), file.name())))?;
        let issuing = opened.into_iter().map(|(file, key)| {
            let issuing = Issuing { issuer: file.issuer().clone(), key, deputy: Mutex::default() };
            (file.series(), Arc::new(issuing))
        });
        let issuing = issuing.collect();
        *self.issuing.write() = issuing;
        Ok(())
    }

    /// Series served, with the end of their certificates.
    pub fn series(&self) -> Vec<(SeriesId, Time)> {
        let issuing = self.issuing.read();
        let mut all: Vec<_> =
            issuing.iter().map(|(series, issuing)| (*series, issuing.certificate().not_after)).collect();
        all.sort();
        all
    }
}

impl Issuing {
    /// The certificate of the issuing key.
    pub fn certificate(&self) -> &Certificate {
        &self.issuer.certificate
    }

    /// Seals to a licence the subkeys that it has earned, and signs it.
    pub(super) fn sign_licence(&self, crypto: &dyn Crypto, licence: &mut Licence) -> Result<String> {
        let subkeys = self.key.secret.earned(crypto, &licence.entitlement())?;
        licence.seal(crypto, &self.issuer.series, &subkeys)?;
        licence.sign(self.key.signer.as_ref(), &self.issuer)
    }

    /// Signs an answer to a request.
    pub(super) fn sign_answer(&self, crypto: &dyn Crypto, request: &Request, answer: &Answer) -> Result<String> {
        let deputy = self.deputy(crypto, answer.time)?;
        answer.sign(request.answers, deputy.signer.as_ref(), &deputy.issuer)
    }

    /// Certifies the API key of a request.
    pub(super) fn certify(&self, crypto: &dyn Crypto, now: Time, request: &Request) -> Result<String> {
        let (key_id, identity, key) = (self.issuer.series.key_id, request.identity, request.api_key.clone());
        let deputy = self.deputy(crypto, now)?;
        ApiCertificate { key_id, identity, key, issued: now }.sign(deputy.signer.as_ref(), &deputy.issuer)
    }

    /// States that a key is retired up to an issue.
    pub(super) fn retire(&self, crypto: &dyn Crypto, now: Time, (key_no, issue): (KeyNo, u32)) -> Result<String> {
        let retirement = Retirement { key_id: self.issuer.series.key_id, key_no, issue, retired: now };
        let deputy = self.deputy(crypto, now)?;
        retirement.sign(deputy.signer.as_ref(), &deputy.issuer)
    }

    /// Signs a revocation list.
    pub(super) fn revoke(&self, crypto: &dyn Crypto, now: Time, revoked: Vec<KeyNo>) -> Result<String> {
        let list = Revocations { key_id: self.issuer.series.key_id, issued: now, revoked };
        let deputy = self.deputy(crypto, now)?;
        list.sign(deputy.signer.as_ref(), &deputy.issuer)
    }

    fn deputy(&self, crypto: &dyn Crypto, now: Time) -> Result<Arc<Deputised>> {
        let mut current = self.deputy.lock();
        if let Some(deputy) = current.as_ref().filter(|deputy| (deputy.not_before..deputy.renewed).contains(&now)) {
            return Ok(deputy.clone());
        }
        let seed = Zeroizing::new(crypto.random_array()?);
        let signer = crypto.ed25519_signer(&seed)?;
        let public = signer.public_key().try_into();
        let key = Bytes32(public.map_err(|_| Error::new(Code::CryptoFailed).with("Ed25519"))?);
        let (key_id, not_after) = (self.issuer.series.key_id, now.plus_days(DEPUTY_DAYS));
        let payload = Deputy { key_id, key, not_before: now, not_after };
        let issuer = self.issuer.with_deputy(payload, self.key.signer.as_ref())?;
        let deputy = Deputised { signer, issuer, renewed: now.plus_days(DEPUTY_RENEWED), not_before: now };
        Ok(current.insert(Arc::new(deputy)).clone())
    }
}
