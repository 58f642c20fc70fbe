//! The vendor's desk: series, datafiles, activation codes, all made by `licenceedit`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use crate::SERIES;
use crate::failure::{Outcome, check, fail};
use crate::programs::Programs;
use crate::root::Root;

/// A vendor with a series.
pub struct Vendor {
    folder: PathBuf,
    series: &'static str,
}

/// What a code is good for, as arguments of `licenceedit code`.
pub type Terms<'a> = &'a [&'a str];

impl Vendor {
    /// Makes a series and its issuing key in `folder`. RSA keys take a second or two.
    pub fn new(folder: &Path) -> Outcome<Vendor> {
        fs::create_dir_all(folder)?;
        Vendor { folder: folder.to_owned(), series: SERIES }.with_keys()
    }

    /// The same vendor with another series of his, made now; his centre serves both.
    pub fn with_series(&self, series: &'static str) -> Outcome<Vendor> {
        Vendor { folder: self.folder.clone(), series }.with_keys()
    }

    fn with_keys(self) -> Outcome<Vendor> {
        let vendor = self;
        let out = vendor.folder.display().to_string();
        edit(&["series", vendor.series, "--name", "Учёт скидок", "--out", &out, "--bits", "2048"])?;
        let center = vendor.issuer_folder().display().to_string();
        edit(&["issuer", "--cryptkey", &vendor.cryptkey().display().to_string(), "--center", &center])?;
        Ok(vendor)
    }

    /// A vendor of this process, whose keys are made once; his folder, with a store of its own, is in `root`.
    pub fn shared(root: &Root) -> Outcome<Vendor> {
        /// Files of the series, by name; empty until it is made.
        static KEYS: Mutex<Vec<(PathBuf, Vec<u8>)>> = Mutex::new(Vec::new());
        let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = root.path().join("vendor");
        if !keys.is_empty() {
            for (name, bytes) in keys.iter() {
                let path = folder.join(name);
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::write(path, bytes)?;
            }
            return Ok(Vendor { folder, series: SERIES });
        }
        let vendor = Vendor::new(&folder)?;
        let names = [format!("{SERIES}.cryptkey"), format!("{SERIES}.anchor"), format!("center/{SERIES}.issuer")];
        let read = |name: String| Ok((PathBuf::from(&name), fs::read(folder.join(name))?));
        *keys = names.into_iter().map(read).collect::<std::io::Result<_>>()?;
        Ok(vendor)
    }

    /// The series, four hex digits.
    pub fn series(&self) -> &'static str {
        self.series
    }

    /// The offline root key.
    pub fn cryptkey(&self) -> PathBuf {
        self.folder.join(format!("{}.cryptkey", self.series))
    }

    /// The trust anchor that the configuration carries.
    pub fn anchor(&self) -> Outcome<String> {
        Ok(fs::read_to_string(self.folder.join(format!("{}.anchor", self.series)))?)
    }

    /// The anchor in its short form, 64 hex digits.
    pub fn anchor_hash(&self) -> Outcome<String> {
        let text = self.anchor()?;
        let line = text.lines().last().and_then(|line| line.strip_prefix("SHA-256: "));
        line.map_or_else(|| fail("the anchor file has no hash"), |hash| Ok(hash.trim().to_owned()))
    }

    /// Folder of the centre: its issuing key and its store.
    pub fn issuer_folder(&self) -> PathBuf {
        self.folder.join("center")
    }

    /// Packs files into a datafile; `policy` are more arguments.
    pub fn pack(&self, datafile: &Path, files: &[PathBuf], policy: &[&str]) -> Outcome {
        let (datafile, cryptkey) =
            (datafile.display().to_string(), format!("--cryptkey={}", self.cryptkey().display()));
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let serie = format!("--serie={}", self.series);
        let mut arguments = vec!["c", &datafile];
        arguments.extend(files.iter().map(String::as_str));
        arguments.extend([serie.as_str(), &cryptkey, "-y"]);
        arguments.extend(policy);
        edit(&arguments).map(drop)
    }

    /// Makes an activation code in the centre's store.
    pub fn code(&self, licences: u32, terms: Terms<'_>) -> Outcome<String> {
        let (center, licences) = (self.issuer_folder().display().to_string(), licences.to_string());
        let mut arguments = vec!["code", "--center", &center, "--serie", self.series, "--licences", &licences];
        arguments.extend(terms);
        let output = edit(&arguments)?;
        let code = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        check(code.len() == 24, || format!("not a code: {code}"))?;
        Ok(code)
    }

    /// Blocks a code.
    pub fn block(&self, code: &str) -> Outcome {
        edit(&["block", code, "--center", &self.issuer_folder().display().to_string()]).map(drop)
    }
}

/// Runs `licenceedit`; an error when it does not succeed.
pub fn edit(arguments: &[&str]) -> Outcome<Output> {
    let output = try_edit(arguments)?;
    check(output.status.success(), || {
        format!("licenceedit {}: {}\n{}", arguments.join(" "), output.status, String::from_utf8_lossy(&output.stderr))
    })?;
    Ok(output)
}

/// Runs `licenceedit`, whatever comes of it.
pub fn try_edit(arguments: &[&str]) -> Outcome<Output> {
    let mut command = Command::new(Programs::built()?.program("licenceedit"));
    command.args(arguments).stdin(std::process::Stdio::null()).env("LC_ALL", "C.UTF-8");
    Ok(command.output()?)
}
