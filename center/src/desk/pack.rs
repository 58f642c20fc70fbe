//! `licenceedit c`: files become the objects of a datafile, each under the policy that the command line or the policy file
//! gives it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use licence::datafile::{self, Contents, Datafile, Plain};
use licence::error::{Code, Error};
use licence::host::files::{self, Access};
use licence::id::Bytes32;
use licence::subkeys::Policy;
use licence::{KeyId, KeyNo};

use super::{check_series, may_write, now, open_cryptkey, wildcard, write};
use crate::CRYPTO;
use crate::failure::{Console, Failure, Outcome};
use crate::passphrase::Source;

/// Largest file that is packed, in bytes: an object is handed to 1C in one piece.
const OBJECT_LIMIT: u64 = 1024 * 1024 * 1024;
const POLICY_LIMIT: u64 = 16 * 1024 * 1024;
const REVOKED_LIMIT: u64 = 16 * 1024 * 1024;

#[derive(clap::Args)]
pub(super) struct Pack {
    /// The datafile to write.
    out: PathBuf,
    /// Files to protect; wildcards * and ? may be quoted. The name without its extension names the object.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Number of the series.
    #[arg(long, alias = "series", value_name = "KeyID")]
    serie: KeyId,
    /// Root key of the series.
    #[arg(long, value_name = "FILE")]
    cryptkey: PathBuf,
    /// Replaces the datafile if it is there already.
    #[arg(short, long)]
    yes: bool,
    /// Accepted for the sake of older scripts: objects are packed as bytes.
    #[arg(long)]
    encoding: Option<String>,
    /// Functionality flags that a licence needs to open the objects.
    #[arg(long = "flag", value_name = "N", value_delimiter = ',')]
    flags: Vec<u8>,
    /// Service type that the licence must have.
    #[arg(long, value_name = "N")]
    service_type: Option<u8>,
    /// Demo keys don't open the objects.
    #[arg(long)]
    not_demo: bool,
    /// Lowest product version of the licence.
    #[arg(long, value_name = "N", default_value_t = 0)]
    product_version: u16,
    /// The objects open without a seat: their code is protected, their use is not counted.
    #[arg(long)]
    no_seat: bool,
    /// Policies of single objects instead of the one above, JSON: {"Object": {"Flags": [3], "NotDemo": true}}.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Numbers of all keys that are revoked; 0 alone: none is any more.
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    revoked: Vec<KeyNo>,
    /// The same in a file: numbers with anything but digits between them, # begins a comment.
    #[arg(long, value_name = "FILE")]
    revoked_file: Option<PathBuf>,
}

impl Pack {
    pub(super) fn run(&self, console: &mut Console<'_>, source: &Source) -> Outcome {
        if self.encoding.is_some() {
            console.remark(
                "--encoding не нужен: объекты упаковываются как есть.",
                "--encoding is not needed: objects are packed as they are.",
            );
        }
        may_write(&self.out, self.yes)?;
        let objects = self.objects()?;
        let (file, key) = open_cryptkey(&self.cryptkey, source)?;
        check_series(&file, &self.cryptkey, self.serie)?;
        let count = objects.len();
        let revoked = self.all_revoked()?;
        let salt = Bytes32(CRYPTO.random_array()?);
        let contents = Contents { key_id: self.serie, created: now(), salt, revoked, objects };
        let bytes = datafile::pack(CRYPTO, key.signer.as_ref(), &key.secret, contents)?;
        // What is shipped is read back first: nobody finds a bad datafile at a customer's.
        let bytes = Datafile::read(CRYPTO, &self.out.display().to_string(), bytes)?.into_bytes()?;
        write(&self.out, &bytes, Access::Common)?;
        let (out, size) = (self.out.display(), bytes.len());
        console.remark(
            &format!("{out}: объектов {count}, байт {size}."),
            &format!("{out}: {count} objects, {size} bytes."),
        );
        Ok(())
    }

    fn all_revoked(&self) -> Outcome<Vec<KeyNo>> {
        let mut revoked = self.revoked.clone();
        if let Some(path) = &self.revoked_file {
            let text = files::read_text(path, REVOKED_LIMIT)?;
            let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(numbers, _)| numbers));
            for number in lines.flat_map(|line| line.split(|c: char| !c.is_ascii_digit())).filter(|n| !n.is_empty()) {
                let wrong = |_| Error::new(Code::DocumentDamaged).with(path.display()).with(number);
                revoked.push(number.parse().map_err(wrong)?);
            }
        }
        revoked.sort_unstable();
        revoked.dedup();
        Ok(revoked)
    }

    fn objects(&self) -> Outcome<Vec<Plain>> {
        let paths = wildcard::expand(&self.files)?;
        let mut own = self.policies()?;
        let default = self.default_policy().checked()?;
        let mut objects: Vec<Plain> = Vec::new();
        for path in paths {
            if matches!(path.extension().and_then(OsStr::to_str), Some("cryptkey" | "issuer")) {
                let path = path.display();
                return Err(Failure::told(
                    format!("{path}: ключ вендора в файл данных не упаковывается."),
                    format!("{path}: the vendor's key does not belong into a datafile."),
                ));
            }
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let policy = own.remove(&name.to_lowercase()).map_or_else(|| default.clone(), |(_, policy)| policy);
            objects.push(Plain { name, policy, bytes: files::read(&path, OBJECT_LIMIT)? });
        }
        // A policy for an object that is not there is a misspelt name, and the object that was meant would go unprotected.
        match (own.into_values().next(), &self.policy) {
            (Some((name, _)), Some(path)) => {
                Err(policy_fault(path, &format!("\"{name}\": нет такого объекта / no such object")).into())
            }
            _ => Ok(objects),
        }
    }

    fn default_policy(&self) -> Policy {
        Policy {
            flags: self.flags.clone(),
            service_type: self.service_type,
            not_demo: self.not_demo,
            product_version: self.product_version,
            seat: !self.no_seat,
        }
    }

    /// Policies of the policy file by lower-case name, with the name as it is written there.
    fn policies(&self) -> Outcome<BTreeMap<String, (String, Policy)>> {
        let Some(path) = &self.policy else { return Ok(BTreeMap::new()) };
        let text = files::read_text(path, POLICY_LIMIT)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let read: BTreeMap<String, Policy> =
            serde_json::from_str(text).map_err(|e| policy_fault(path, &e.to_string()))?;
        let mut policies = BTreeMap::new();
        for (name, policy) in read {
            let policy = policy.checked()?;
            if let Some((other, _)) = policies.insert(name.to_lowercase(), (name.clone(), policy)) {
                return Err(policy_fault(path, &format!("\"{other}\" = \"{name}\"")).into());
            }
        }
        Ok(policies)
    }
}

fn policy_fault(path: &Path, cause: &str) -> Error {
    Error::new(Code::DocumentDamaged).with(path.display()).with(cause)
}
