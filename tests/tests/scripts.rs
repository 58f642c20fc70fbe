//! Sequences of calls as configurations make them, from `tests/scripts`.

use std::fs;
use std::path::Path;

use e2e::{Outcome, Site, check, script};

#[test]
fn every_recorded_sequence_gets_the_answers_that_1c_code_relies_on() -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let paths = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    let mut scripts: Vec<_> = paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    scripts.sort();
    check(scripts.len() >= 8, || format!("{} holds {} scripts", folder.display(), scripts.len()))?;
    let site = Site::with_series("scripts", &["1A2B"])?;
    // All of them, then the failures: one wrong answer must not hide the next.
    let failures: Vec<String> =
        scripts.iter().filter_map(|path| script::run(path, &site).err()).map(|why| why.to_string()).collect();
    check(failures.is_empty(), || failures.join("\n"))
}
