//! `licenceedit list`: what is in a datafile, and whether it is whole.

use std::path::PathBuf;

use licence::datafile::Datafile;
use licence::error::{Code, Error};
use licence::host::datafile::OnDisk;
use licence::host::files;
use licence::series::TrustAnchor;
use licence::subkeys::Policy;

use super::lang_words;
use crate::CRYPTO;
use crate::failure::{Console, Outcome};

const ANCHOR_LIMIT: u64 = 64 * 1024;

#[derive(clap::Args)]
pub(super) struct Show {
    /// The datafile.
    datafile: PathBuf,
    /// Trust anchor that it must stand under (672B.anchor); else the root inside it is believed.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
}

impl Show {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        let place = self.datafile.display().to_string();
        let missing = || Error::new(Code::FileFailed).with(&place).with("not found");
        let file = OnDisk::find(&self.datafile)?.ok_or_else(missing)?;
        let datafile = Datafile::at(CRYPTO, Box::new(file), None)?;
        if let Some(path) = &self.anchor {
            let TrustAnchor(root) = TrustAnchor::parse(CRYPTO, &files::read_text(path, ANCHOR_LIMIT)?)?;
            if root != datafile.series.root {
                return Err(Error::new(Code::AnchorConflict).with(datafile.series.key_id).with(place).into());
            }
        }
        let lang = console.lang;
        let word = |russian, english| lang_words(lang, (russian, english));
        let index = &datafile.index;
        console.result(format_args!("{} {}", word("Серия:", "Series:"), datafile.series.key_id))?;
        console.result(format_args!("{} {}", word("Корень:", "Root:"), datafile.series.root))?;
        console.result(format_args!("{} {}", word("Создан:", "Created:"), index.created))?;
        if !index.revoked.is_empty() {
            let revoked: Vec<String> = index.revoked.iter().map(u32::to_string).collect();
            console.result(format_args!("{} {}", word("Отозваны:", "Revoked:"), revoked.join(", ")))?;
        }
        let mut damaged = None;
        for object in &index.objects {
            let intact = datafile.is_intact(CRYPTO, object)?;
            let state = if intact { "ok" } else { word("ПОВРЕЖДЁН", "DAMAGED") };
            console.result(format_args!("{}\t{}\t{}\t{state}", object.name, object.size, summary(&object.policy)))?;
            if !intact {
                damaged = damaged.or(Some(&object.name));
            }
        }
        match damaged {
            Some(name) => Err(Error::new(Code::ObjectDamaged).with(name).with("SHA-256").into()),
            None => Ok(()),
        }
    }
}

fn summary(policy: &Policy) -> String {
    serde_json::to_string(policy).unwrap_or_default()
}
