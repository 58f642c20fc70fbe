//! `licenceedit series` and `licenceedit issuer`: the root of a series, and the issuing key that the root lets a centre use.

use std::path::PathBuf;

use licence::KeyId;
use licence::crypto::public_key_pem;
use licence::host::files::{self, Access};
use licence::id::RootHash;
use licence::series::{Certificate, RootKey};
use licence::subkeys::SeriesSecret;

use super::{may_write, now, open_cryptkey, remark_unsealed, write};
use crate::CRYPTO;
use crate::failure::{Console, Failure, Outcome};
use crate::keyfile::{Cryptkey, IssuerFile, Secrets};
use crate::passphrase::Source;

/// Bits of an issuing key: it lives for some years only, and a centre signs with it all day.
const ISSUING_BITS: usize = 2048;
/// A certificate is good from a day before it was made, for centres whose clock is behind.
const CLOCK_DAYS: i64 = 1;

#[derive(clap::Args)]
pub(super) struct New {
    /// Number of the series, 4 hex digits.
    #[arg(value_name = "KeyID")]
    key_id: KeyId,
    /// Name of the product, shown on licences.
    #[arg(long)]
    name: String,
    /// Folder for the files.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Size of the root key: 2048 to 4096.
    #[arg(long, default_value_t = 3072)]
    bits: usize,
    /// Replaces files that are there already: licences and datafiles of the former root become worthless.
    #[arg(short, long)]
    yes: bool,
}

#[derive(clap::Args)]
pub(super) struct Issue {
    /// Root key of the series.
    #[arg(long, value_name = "FILE")]
    cryptkey: PathBuf,
    /// Folder of the centre.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
    /// Days for which licences may be issued.
    #[arg(long, default_value_t = 1825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Passphrase of the new issuing key, first line of this file; else SLK_CENTER_PASSPHRASE or the terminal.
    #[arg(long, value_name = "FILE")]
    center_passphrase_file: Option<PathBuf>,
    /// Replaces an issuing key that is there already; licences issued with it stay good.
    #[arg(short, long)]
    yes: bool,
}

impl New {
    pub(super) fn run(&self, console: &mut Console<'_>, source: &Source) -> Outcome {
        let name = self.name.trim();
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Failure::told("--name: нужно название продукта.", "--name: the product's name is needed."));
        }
        let key_path = self.out.join(format!("{}.cryptkey", self.key_id));
        let anchor_path = self.out.join(format!("{}.anchor", self.key_id));
        may_write(&key_path, self.yes)?;
        may_write(&anchor_path, self.yes)?;
        files::create_folder(&self.out)?;
        let passphrase = source.new_one(&key_path)?;
        let secret = SeriesSecret::random(CRYPTO)?;
        let secrets = Secrets::generate(CRYPTO, self.bits, &secret)?;
        let file =
            Cryptkey::new(CRYPTO, (self.key_id, name), now(), secrets, passphrase.as_ref().map(|text| text.as_str()))?;
        write(&key_path, file.write()?.as_bytes(), Access::Private)?;
        write(&anchor_path, anchor(file.root())?.as_bytes(), Access::Common)?;
        if !file.is_sealed() {
            remark_unsealed(console, &key_path);
        }
        console.remark(
            "Сделайте копию ключа: без него серию не восстановить.",
            "Keep a copy of the key: without it the series can't be restored.",
        );
        console.result(key_path.display())?;
        console.result(anchor_path.display())
    }
}

/// What a vendor pastes into his configuration: the root in PEM, and its hash, either of which is an anchor.
fn anchor(root: &RootKey) -> licence::error::Result<String> {
    let RootHash(hash) = root.hash(CRYPTO);
    Ok(format!("{}SHA-256: {}\n", public_key_pem(root.spki())?, licence::id::hex(&hash)))
}

impl Issue {
    pub(super) fn run(&self, console: &mut Console<'_>, source: &Source) -> Outcome {
        let (root_file, root) = open_cryptkey(&self.cryptkey, source)?;
        let path = self.center.join(format!("{}.issuer", root_file.key_id()));
        may_write(&path, self.yes)?;
        files::create_folder(&self.center)?;
        let own =
            Source { file: self.center_passphrase_file.clone(), variable: "SLK_CENTER_PASSPHRASE", lang: console.lang };
        let passphrase = own.new_one(&path)?;
        let secrets = Secrets::generate(CRYPTO, ISSUING_BITS, &root.secret)?;
        let created = now();
        let certificate = Certificate {
            key_id: root_file.key_id(),
            root: root_file.root().clone(),
            key: secrets.signer(CRYPTO)?.public_key().to_vec(),
            not_before: created.plus_days(-CLOCK_DAYS),
            not_after: created.plus_days(i64::from(self.days)),
        };
        let text = certificate.sign(root.signer.as_ref())?;
        let passphrase = passphrase.as_ref().map(|text| text.as_str());
        let file = IssuerFile::new(CRYPTO, (root_file.name(), &text), created, secrets, passphrase)?;
        write(&path, file.write()?.as_bytes(), Access::Private)?;
        if !file.is_sealed() {
            remark_unsealed(console, &path);
        }
        console.remark(
            &format!("Лицензии можно выпускать до {}.", certificate.not_after),
            &format!("Licences can be issued until {}.", certificate.not_after),
        );
        console.result(path.display())
    }
}

#[cfg(test)]
mod tests {
    use licence::series::TrustAnchor;

    use super::*;

    #[test]
    fn an_anchor_file_is_an_anchor_as_a_whole_and_by_its_last_line() {
        let root = CRYPTO.rsa_signer(include_bytes!("../../../golden/test-root.pk8")).unwrap();
        let root = RootKey::new(root.public_key().to_vec()).unwrap();
        let text = anchor(&root).unwrap();
        let expected = TrustAnchor(root.hash(CRYPTO));
        assert_eq!(TrustAnchor::parse(CRYPTO, &text).unwrap(), expected);
        let hash = text.lines().last().unwrap().strip_prefix("SHA-256: ").unwrap();
        assert_eq!(TrustAnchor::parse(CRYPTO, hash).unwrap(), expected);
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(TrustAnchor::parse(CRYPTO, &crlf).unwrap(), expected);
    }
}
