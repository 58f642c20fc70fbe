//! `licenceedit template`: puts libraries of the component into a template for 1C, with the vendor's trust anchors inside, and
//! checks templates.

use std::path::{Path, PathBuf};

use licence::host::files::{self, Access};
use licence::series::TrustAnchor;
use licence::trailer::Trailer;
use licence::version::VERSION;
use licence::{KeyId, SeriesId};

use super::{may_write, write};
use crate::CRYPTO;
use crate::bundle::{self, Bundle, check};
use crate::failure::{Console, Failure, Outcome};
use crate::keyfile::{self, Cryptkey};
use crate::passphrase::Passphrase;

const ANCHOR_LIMIT: u64 = 64 * 1024;

#[derive(clap::Args)]
pub(super) struct Template {
    /// A library of the component; each system has its own.
    #[arg(long = "library", value_name = "FILE", conflicts_with = "template")]
    libraries: Vec<PathBuf>,
    /// A template whose libraries are taken; anchors in it are replaced.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// A series whose trust anchor is put in: its 672B.cryptkey, of which only the public part is read, or its 672B.anchor
    /// under that name.
    #[arg(long = "anchor", value_name = "FILE")]
    anchors: Vec<PathBuf>,
    /// Folder for the template.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Replaces the template if it is there already.
    #[arg(short, long)]
    yes: bool,
    /// Checks this template, and makes none.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["libraries", "template", "anchors", "out", "yes"])]
    check: Option<PathBuf>,
}

impl Template {
    pub(super) fn run(&self, console: &mut Console<'_>) -> Outcome {
        if let Some(path) = &self.check {
            return examine(console, path);
        }
        let mut bundle = self.bundle()?;
        if !self.anchors.is_empty() {
            let anchors = self.anchors.iter().map(|path| anchor(path)).collect::<Outcome<Vec<_>>>()?;
            bundle.brand(CRYPTO, &Trailer::new("--anchor", anchors)?);
        }
        let path = self.out.join(bundle.file_name());
        may_write(&path, self.yes)?;
        files::create_folder(&self.out)?;
        let bytes = bundle.write()?;
        // What is shipped is checked first: nobody finds a bad template at a customer's.
        let checked = check::check(CRYPTO, &bytes);
        tell(console, &checked);
        if !checked.is_good() {
            return Err(refused(&path));
        }
        write(&path, &bytes, Access::Common)?;
        let targets: Vec<String> = bundle.targets().map(|target| target.to_string()).collect();
        let targets = targets.join(", ");
        console.remark(&format!("Библиотеки: {targets}."), &format!("Libraries: {targets}."));
        console.result(path.display())
    }

    fn bundle(&self) -> Outcome<Bundle> {
        if let Some(path) = &self.template {
            if self.anchors.is_empty() {
                return Err(Failure::told("Укажите якорь: --anchor.", "Give an anchor: --anchor."));
            }
            return Ok(Bundle::read(CRYPTO, &path.display().to_string(), &files::read(path, bundle::LIMIT)?)?);
        }
        if self.libraries.is_empty() {
            return Err(Failure::told(
                "Укажите --library, --template или --check.",
                "Give --library, --template or --check.",
            ));
        }
        let read = |path: &PathBuf| Ok((path.display().to_string(), files::read(path, bundle::LIBRARY_LIMIT)?));
        let libraries = self.libraries.iter().map(read).collect::<Outcome<_>>()?;
        Ok(Bundle::new(VERSION, libraries)?)
    }
}

fn examine(console: &mut Console<'_>, path: &Path) -> Outcome {
    let checked = check::check(CRYPTO, &files::read(path, bundle::LIMIT)?);
    tell(console, &checked);
    if !checked.is_good() {
        return Err(refused(path));
    }
    console.result(path.display())
}

fn tell(console: &mut Console<'_>, checked: &check::Checked) {
    for finding in &checked.findings {
        let text = finding.text(console.lang);
        console.remark(&text, &text);
    }
}

fn refused(path: &Path) -> Failure {
    let path = path.display();
    Failure::told(
        format!("{path}: не годится как макет компоненты 1С."),
        format!("{path}: no good as a template of a component for 1C."),
    )
}

/// The anchor of a series out of its root key file, or out of an anchor file whose name tells the series.
fn anchor(path: &Path) -> Outcome<SeriesId> {
    if path.extension().is_some_and(|extension| extension == "cryptkey") {
        let text = Passphrase::new(files::read_text(path, keyfile::LIMIT)?);
        let file = Cryptkey::read(&path.display().to_string(), &text)?;
        return Ok(SeriesId { key_id: file.key_id(), root: file.root().hash(CRYPTO) });
    }
    let TrustAnchor(root) = TrustAnchor::parse(CRYPTO, &files::read_text(path, ANCHOR_LIMIT)?)?;
    let key_id: Option<KeyId> = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
    let unnamed = || {
        let path = path.display();
        Failure::told(
            format!("{path}: имя файла якоря должно быть номером серии: 672B.anchor."),
            format!("{path}: the name of an anchor file must be the number of its series: 672B.anchor."),
        )
    };
    Ok(SeriesId { key_id: key_id.ok_or_else(unnamed)?, root })
}
