//! `licenceedit answer`: answers a request file without the centre's web service.

use std::path::PathBuf;

use licence::host::files::{self, Access};

use super::{may_write, write};
use crate::failure::{Console, Outcome};
use crate::folder::{self, Keys};
use crate::passphrase::Source;

/// Longest request file that is read, in bytes.
const LIMIT: u64 = 256 * 1024;

#[derive(clap::Args)]
pub(super) struct Answer {
    /// The request file.
    request: PathBuf,
    /// Where to write the answer; else beside the request, with the extension `answer`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder of the centre.
    #[arg(long, value_name = "DIR")]
    center: PathBuf,
    /// Replaces a file that is there.
    #[arg(short)]
    yes: bool,
}

impl Answer {
    pub(super) fn run(&self, console: &mut Console<'_>, source: &Source) -> Outcome {
        let out = self.out.clone().unwrap_or_else(|| self.request.with_extension("answer"));
        // Before anything is decided: a code must not be spent on an answer that can't be written.
        may_write(&out, self.yes)?;
        let text = files::read_text(&self.request, LIMIT)?;
        let centre = folder::existing(&self.center)?;
        Keys::new(&self.center, source.clone()).open(&centre)?;
        let request = centre.read(&text)?;
        let done = centre.answer(&request)?.settle()?;
        write(&out, done.answer.as_bytes(), Access::Common)?;
        let key_no = done.key_no.map(|number| number.to_string()).unwrap_or_default();
        console.result(format_args!("{}\t{}\t{key_no}\t{}", done.what, done.series.key_id, out.display()))
    }
}
