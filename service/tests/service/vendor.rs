//! A vendor's real desk and centre, as processes: for what no program of the customer's can show, such as carriers in a test's hands.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The series of this vendor.
pub const SERIES: &str = "672B";

/// A vendor whose centre runs until this is dropped.
pub struct Site {
    folder: PathBuf,
    programs: PathBuf,
    centre: Child,
    /// Address of the centre.
    pub url: String,
}

impl Site {
    pub fn new(name: &str) -> Site {
        let folder = std::env::temp_dir().join(format!("slk-service-{name}-vendor-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let programs = built();
        let edit = |arguments: &[&str]| run(&programs.join("licenceedit"), arguments);
        let (desk, center) = (folder.display().to_string(), folder.join("center").display().to_string());
        edit(&["series", SERIES, "--name", "Учёт скидок", "--out", &desk, "--bits", "2048"]);
        edit(&["issuer", "--cryptkey", &format!("{desk}/{SERIES}.cryptkey"), "--center", &center]);
        let mut serve = Command::new(programs.join("licencecenter"));
        serve.args(["serve", "--center", &center, "--listen", "127.0.0.1:0"]).stdin(Stdio::null());
        let mut centre = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(centre.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Site { folder, programs, centre, url }
    }

    /// Makes an activation code; `terms` are more arguments of `licenceedit code`.
    pub fn code(&self, licences: u32, terms: &[&str]) -> String {
        let (center, licences) = (self.folder.join("center").display().to_string(), licences.to_string());
        let own = ["code", "--center", &center, "--serie", SERIES, "--licences", &licences];
        run(&self.programs.join("licenceedit"), &[&own, terms].concat()).trim().to_owned()
    }

    /// The answer to a request file, made at the desk.
    pub fn answer(&self, request: &str) -> String {
        let file = self.folder.join("a.request");
        std::fs::write(&file, request).unwrap();
        let center = self.folder.join("center").display().to_string();
        run(&self.programs.join("licenceedit"), &["answer", &file.display().to_string(), "--center", &center, "-y"]);
        std::fs::read_to_string(file.with_extension("answer")).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.centre.kill();
        let _ = self.centre.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Folder of the built programs. The whole workspace is built, as the end-to-end tests build it, so that nothing is compiled twice.
fn built() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(Path::parent).unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--target-dir"]).arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    // What cargo has told this test of its own package would make build scripts of libraries run again.
    for (name, _) in std::env::vars() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"].iter().any(|told| name.starts_with(told)) {
            cargo.env_remove(name);
        }
    }
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "the workspace is built");
    folder
}
