//! `licenceedit params`: the file of parameters of a series, signed by its root. It lies beside servers as `672B.params`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use licence::KeyId;
use licence::host::files::Access;
use licence::parameters::{self, MAX_NAME, Parameters};
use licence::series::RootKey;

use super::{check_series, may_write, now, open_cryptkey, write};
use crate::CRYPTO;
use crate::failure::{Console, Failure, Outcome};
use crate::passphrase::Source;

#[derive(clap::Args)]
pub(super) struct Make {
    /// The file to write: 672B.params.
    out: PathBuf,
    /// Defaults of parameters.
    #[arg(value_name = "NAME=VALUE", required = true, value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// Number of the series.
    #[arg(long, alias = "series", value_name = "KeyID")]
    serie: KeyId,
    /// Root key of the series.
    #[arg(long, value_name = "FILE")]
    cryptkey: PathBuf,
    /// Replaces the file if it is there already.
    #[arg(short, long)]
    yes: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE")?;
    let name = name.trim();
    match parameters::is_name(name) {
        true => Ok((name.to_owned(), value.to_owned())),
        false => Err(format!("NAME: 1–{MAX_NAME}")),
    }
}

impl Make {
    pub(super) fn run(&self, console: &mut Console<'_>, source: &Source) -> Outcome {
        may_write(&self.out, self.yes)?;
        let mut values = BTreeMap::new();
        for (name, value) in &self.parameters {
            if values.insert(name.clone(), value.clone()).is_some() {
                return Err(Failure::told(
                    format!("{name}: параметр указан дважды."),
                    format!("{name}: the parameter is given twice."),
                ));
            }
        }
        let (file, key) = open_cryptkey(&self.cryptkey, source)?;
        check_series(&file, &self.cryptkey, self.serie)?;
        let root = RootKey::new(key.signer.public_key().to_vec())?;
        let parameters = Parameters { key_id: self.serie, root, created: now(), parameters: values };
        let text = parameters.sign(key.signer.as_ref())?;
        // What is shipped is read back first: nobody finds a bad file at a customer's.
        Parameters::read(CRYPTO, &self.out.display().to_string(), &text)?;
        write(&self.out, text.as_bytes(), Access::Common)?;
        let (out, count) = (self.out.display(), parameters.parameters.len());
        console.remark(&format!("{out}: параметров {count}."), &format!("{out}: {count} parameters."));
        Ok(())
    }
}
