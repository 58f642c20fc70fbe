//! File arguments of `licenceedit c`: names, or wildcards `*` and `?` in the last part of a path, expanded here too because
//! vendors' scripts quote them and Windows leaves them to the program.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};
use licence::host::files;

use crate::failure::{Failure, Outcome};

/// The files that the arguments name, each once, in the order given; those of one wildcard by name.
pub(super) fn expand(arguments: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for argument in arguments {
        for path in expand_one(argument)? {
            let real = std::fs::canonicalize(&path).map_err(|e| files::failed(&path, &e))?;
            if known.insert(real) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn expand_one(argument: &Path) -> Outcome<Vec<PathBuf>> {
    let name = argument.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    // A file may have such a name; then it is meant.
    if !name.contains(['*', '?']) || argument.is_file() {
        return Ok(vec![argument.to_owned()]);
    }
    let nothing = || {
        let argument = argument.display();
        Failure::told(format!("{argument}: нет ни одного такого файла."), format!("{argument}: there is no such file."))
    };
    // Of the library's patterns only these two wildcards are meant.
    let pattern = Pattern::new(&name.replace('[', "[[]").replace("**", "*")).map_err(|_| nothing())?;
    let options = MatchOptions { case_sensitive: !cfg!(windows), ..MatchOptions::new() };
    let parent = argument.parent().unwrap_or(Path::new(""));
    let folder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let failed = |e: std::io::Error| files::failed(folder, &e);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = parent.join(entry.file_name());
        if pattern.matches_with(&entry.file_name().to_string_lossy(), options) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() { Err(nothing()) } else { Ok(paths) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_expanded_in_the_last_part_of_a_path() {
        let folder = std::env::temp_dir().join(format!("slk-wildcard-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("dir.epf")).unwrap();
        for name in ["б.epf", "а.epf", "в.erf", "[а].epf"] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        let names = |patterns: &[&str]| {
            let arguments: Vec<PathBuf> = patterns.iter().map(|pattern| folder.join(pattern)).collect();
            expand(&arguments).map(|paths| {
                paths.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(names(&["*.epf"]).unwrap(), ["[а].epf", "а.epf", "б.epf"]);
        assert_eq!(names(&["?.e?f"]).unwrap(), ["а.epf", "б.epf", "в.erf"]);
        assert_eq!(names(&["б.epf", "*.epf"]).unwrap(), ["б.epf", "[а].epf", "а.epf"]);
        assert_eq!(names(&["[а].*"]).unwrap(), ["[а].epf"]);
        assert!(names(&["*.txt"]).is_err() && names(&["а.epf", "none.epf"]).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
