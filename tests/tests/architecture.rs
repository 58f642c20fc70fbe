//! The rules of `docs/architecture.md` that a reader can't see at a glance: who may depend on whom, and what each crate must
//! never touch. Reads sources and manifests, starts nothing but cargo.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Package, the packages of ours that it stands on, those that it needs to be built.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    ("licence", &[], &[]),
    ("web", &[], &[]),
    ("epf", &[], &[]),
    ("service", &["licence", "web"], &[]),
    ("server-lite", &["service"], &[]),
    ("server", &["service", "web"], &[]),
    ("center", &["licence", "web"], &[]),
    ("licenceaddin", &["licence", "server-lite"], &["epf"]),
    // Not part of the system: it drives the programs from outside.
    ("e2e", &["epf", "licence"], &[]),
    ("benches", &["licence"], &[]),
    ("xtask", &[], &[]),
];

/// Arrows of the layout that nothing needs yet.
const NOT_YET: &[(&str, &str)] = &[("licenceaddin", "server-lite")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo starts");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn packages() -> Vec<Value> {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a name")
}

/// Direct dependencies of one kind: `null` is what the package stands on, `build` what it needs to be built.
fn dependencies<'a>(package: &'a Value, kind: Option<&str>) -> impl Iterator<Item = &'a Value> {
    let wanted = kind.map_or(Value::Null, Value::from);
    let all = package["dependencies"].as_array().expect("dependencies").iter();
    all.filter(move |dependency| dependency["kind"] == wanted)
}

fn ours<'a>(package: &'a Value, kind: Option<&str>) -> BTreeSet<&'a str> {
    dependencies(package, kind).filter(|dependency| dependency["path"].is_string()).map(name).collect()
}

fn features<'a>(package: &'a Value, dependency: &str) -> BTreeSet<&'a str> {
    let of_it = dependencies(package, None).filter(|one| name(one) == dependency);
    of_it.flat_map(|one| one["features"].as_array().expect("features")).filter_map(Value::as_str).collect()
}

/// What the arrows of a package reach.
fn reached(from: &str) -> BTreeSet<&'static str> {
    let (_, arrows, _) = ARROWS.iter().find(|(package, ..)| *package == from).expect("a package of ours");
    arrows.iter().flat_map(|to| std::iter::once(*to).chain(reached(to))).collect()
}

#[test]
fn the_arrows_of_the_layout_are_the_only_dependencies() {
    let packages = packages();
    let known: BTreeSet<&str> = packages.iter().map(name).collect();
    assert_eq!(known, ARROWS.iter().map(|(package, ..)| *package).collect(), "every package has its arrows");
    for (package, arrows, to_build) in ARROWS {
        let manifest = packages.iter().find(|one| name(one) == *package).expect("it is known");
        let has = ours(manifest, None);
        for arrow in *arrows {
            assert_ne!(has.contains(arrow), NOT_YET.contains(&(package, arrow)), "whether {package} stands on {arrow}");
        }
        // A package may name what it reaches by its arrows anyway.
        let reached = reached(package);
        let beside: Vec<_> = has.difference(&reached).collect();
        assert!(beside.is_empty(), "{package} must not depend on {beside:?}");
        let to_build = to_build.iter().copied().filter(|to| !NOT_YET.contains(&(package, to)));
        assert_eq!(ours(manifest, Some("build")), to_build.collect(), "{package}, to be built");
        // Tests may bend the arrows only towards what the package reaches.
        let beside: Vec<_> =
            ours(manifest, Some("dev")).into_iter().filter(|dev| !reached.contains(dev) && dev != package).collect();
        assert!(beside.is_empty(), "tests of {package} must not depend on {beside:?}");
    }
}

#[test]
fn a_network_front_and_a_provider_of_cryptography_are_chosen_by_programs_only() {
    let packages = packages();
    let of = |package: &str| packages.iter().find(|one| name(one) == package).expect("it is known");
    for package in ["server", "center"] {
        assert!(features(of(package), "web").contains("network"), "{package} listens beyond loopback");
        assert!(features(of(package), "licence").contains("aws-lc"), "{package} signs fast");
    }
    for package in ["licence", "web", "service", "server-lite", "licenceaddin"] {
        assert!(!features(of(package), "web").contains("network"), "{package} has no network front");
        assert!(!features(of(package), "licence").contains("aws-lc"), "{package} stays small");
    }
    let embedded = dependencies(of("licenceaddin"), None).filter(|one| name(one) == "server-lite").count();
    assert!(
        embedded == 0 || features(of("licenceaddin"), "server-lite").contains("embedded"),
        "only the embedded server"
    );
    for package in &packages {
        let direct: BTreeSet<&str> = dependencies(package, None).map(name).collect();
        assert!(!(direct.contains("hyper") && direct.contains("tiny_http")), "{}: one front each", name(package));
    }
}

#[test]
fn nothing_of_the_network_front_comes_into_the_process_of_1c() {
    let tree = cargo(&["tree", "--package", "licenceaddin", "--edges", "normal", "--prefix", "none", "--offline"]);
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(crates.contains("ring") && crates.contains("licence"), "the tree is that of the component");
    for foreign in ["hyper", "tokio", "aws-lc-rs", "aws-lc-sys", "clap"] {
        assert!(!crates.contains(foreign), "{foreign} is in the component");
    }
}

#[test]
fn every_package_keeps_the_common_rules() {
    for package in packages() {
        let path = package["manifest_path"].as_str().expect("a path");
        let manifest = fs::read_to_string(path).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{path}: the common lints");
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(manifest.contains(&format!("{field}.workspace = true")), "{path}: {field}");
        }
    }
}

/// A source file without what the compiler doesn't see.
struct Source {
    /// Path from the root, with slashes.
    path: String,
    text: String,
    /// Code alone: comments and literals are blank, lines stay where they are.
    code: String,
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    let folders =
        ["src", "web", "service", "server-lite", "server", "center", "addin", "epf", "tests", "benches", "xtask"];
    folders.iter().for_each(|folder| collect(&root().join(folder), &mut files));
    files.push(root().join("build.rs"));
    let sources: Vec<Source> = files.iter().map(|file| read(file)).collect();
    assert!(sources.len() > 100, "the sources are found");
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn read(file: &Path) -> Source {
    let path = file.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
    let text = fs::read_to_string(file).expect("a text");
    let code = code_of(&text);
    Source { path, text, code }
}

/// Blanks comments, texts and characters.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    let end_of =
        |from: usize, ends: &dyn Fn(usize) -> Option<usize>| (from..chars.len()).find_map(ends).unwrap_or(chars.len());
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    while at < chars.len() {
        let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        let end = if starts(at, "//") {
            end_of(at, &|i| (chars[i] == '\n').then_some(i))
        } else if starts(at, "/*") {
            end_of(at + 2, &|i| starts(i, "*/").then_some(i + 2))
        } else if chars[at] == 'r' && !in_word && chars.get(at + 1 + hashes) == Some(&'"') {
            let close = format!("\"{}", "#".repeat(hashes));
            end_of(at + hashes + 2, &|i| starts(i, &close).then_some(i + close.len()))
        } else if chars[at] == '"' {
            let mut i = at + 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i + 1
        } else if chars[at] == '\'' && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')) {
            // Not a lifetime. The character after the backslash may be a quote itself.
            let from = if chars[at + 1] == '\\' { at + 3 } else { at + 2 };
            end_of(from, &|i| (chars[i] == '\'').then_some(i + 1))
        } else {
            code.push(chars[at]);
            at += 1;
            continue;
        };
        let end = end.min(chars.len());
        code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    code
}

/// The code without items that are compiled for tests only. Relies on rustfmt: an item ends at a brace of its own indent.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let mut body = lines.by_ref().skip_while(|line| line.trim_start().starts_with("#["));
        if body.next().is_some_and(|item| !item.trim_end().ends_with([';', '}'])) {
            body.find(|line| *line == close);
        }
    }
    kept
}

/// Whether the file is a module of tests, declared under `#[cfg(test)]`.
fn is_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

/// Every path of the standard library that the code names, groups unfolded: `std::fs`, `std::time::Instant`.
fn std_paths(code: &str) -> Vec<String> {
    let flat: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let flat = flat.replace(" ::", "::").replace(":: ", "::");
    let mut found = Vec::new();
    for (at, _) in flat.match_indices("std::") {
        let before = flat[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            unfold("std", &flat[at + 5..], &mut found);
        }
    }
    found
}

fn unfold(prefix: &str, rest: &str, found: &mut Vec<String>) {
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    unfold(prefix, &group[start..at], found);
                    start = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*').collect();
    if word.is_empty() {
        return;
    }
    let path = format!("{prefix}::{word}");
    match rest[word.len()..].strip_prefix("::") {
        Some(deeper) => unfold(&path, deeper, found),
        None => found.push(path),
    }
}

/// Parts of the standard library that touch the world, and what of them is only a type or a constant.
const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
];
const CLOCKS: &[&str] = &["SystemTime", "Instant"];
const HARMLESS: &[&str] = &[
    "std::env::consts",
    "std::net::AddrParseError",
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
];

fn below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn touches_the_world(path: &str) -> bool {
    let world = WORLD.iter().any(|part| below(path, part)) && !HARMLESS.iter().any(|part| below(path, part));
    // `std::*` and `std::time::*` would hide the rest.
    let hidden = path == "std::*" || path == "std::time::*" || path == "std::io::*";
    world || hidden || (below(path, "std::time") && path.split("::").any(|word| CLOCKS.contains(&word)))
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|one| one == word)
}

#[test]
fn the_core_touches_the_world_in_its_host_module_only() {
    let core: Vec<Source> = sources().into_iter().filter(|source| source.path.starts_with("src/")).collect();
    assert!(core.iter().any(|source| source.path.starts_with("src/host/")), "the host module is where it was");
    for source in core.iter().filter(|source| !source.path.starts_with("src/host/") && !is_tests(&source.path)) {
        let code = without_tests(&source.code);
        let found: Vec<String> = std_paths(&code).into_iter().filter(|path| touches_the_world(path)).collect();
        assert!(found.is_empty(), "{} uses {found:?}", source.path);
        for foreign in ["libc", "simplelog", "getrandom", "SystemTime", "Instant", "TcpStream"] {
            assert!(!has_word(&code, foreign), "{} uses {foreign}", source.path);
        }
        assert!(!code.contains("::now("), "{} reads a clock", source.path);
    }
}

#[test]
fn unsafe_code_is_where_the_abi_and_the_system_are() {
    let allowed = ["addin/src/native/", "src/host/"];
    for source in sources() {
        if allowed.iter().any(|folder| source.path.starts_with(folder)) {
            every_block_tells_why_it_is_sound(&source);
        } else {
            assert!(!has_word(&source.code, "unsafe"), "{} has unsafe code", source.path);
        }
    }
}

#[test]
fn a_terminal_is_written_to_in_one_place_that_escapes_what_would_steer_it() {
    let programs = ["src/", "web/src/", "service/src/", "server/src/", "server-lite/src/", "center/src/", "addin/src/"];
    let printing = |source: &&Source| programs.iter().any(|folder| source.path.starts_with(folder));
    for source in sources().iter().filter(printing).filter(|source| !is_tests(&source.path)) {
        let code = without_tests(&source.code);
        // The log has a writer of its own, which escapes as well.
        let may = ["src/host/output.rs", "src/host/journal.rs"].contains(&source.path.as_str());
        for way in ["stdout", "stderr", "print", "println", "eprint", "eprintln", "dbg"] {
            let call = if way.starts_with("std") { format!("{way}()") } else { format!("{way}!(") };
            let is_word = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            let found = code.match_indices(&call).any(|(at, _)| is_word(at));
            assert!(may || !found, "{}: {call} past licence::host::output", source.path);
        }
        assert!(
            !has_word(&code, "WriteLogger") || source.path == "src/host/log_lines.rs",
            "{}: a logger whose records may be more than a line",
            source.path
        );
    }
}

/// The lint of clippy sees blocks; this sees implementations of traits as well, and that the line says something.
fn every_block_tells_why_it_is_sound(source: &Source) {
    let lines: Vec<&str> = source.text.lines().collect();
    for (at, code) in source.code.lines().enumerate() {
        let opens = code.contains("unsafe {") || code.contains("unsafe impl");
        // A macro's table of functions and the like stands under one line for the whole statement.
        let above = lines[..at].iter().rev().take(12).take_while(|line| !line.trim().is_empty());
        let told = above
            .chain([&lines[at]])
            .any(|line| line.split_once("SAFETY:").is_some_and(|(_, why)| why.trim().len() > 10));
        assert!(!opens || told, "{}:{}: no SAFETY line", source.path, at + 1);
    }
}

#[test]
fn a_file_is_named_after_what_it_owns() {
    for source in sources() {
        for vague in ["util", "utils", "helper", "helpers", "common", "misc"] {
            let part_of_it = source.path.trim_end_matches(".rs").split(['/', '_']).any(|part| part == vague);
            assert!(!part_of_it, "{}: a name that says nothing", source.path);
        }
    }
}

#[test]
fn a_module_begins_with_what_it_owns() {
    for source in sources().iter().filter(|source| !is_tests(&source.path)) {
        // A file that is included into modules has an ordinary comment there.
        assert!(source.text.starts_with("//"), "{}: no description at its head", source.path);
    }
}

#[test]
fn no_file_tells_where_it_was_written() {
    let mut words: Vec<String> = ["/work/", "/root/", "/home/", "todo!", "unimplemented!"].map(str::to_owned).to_vec();
    words.push(["TO", "DO"].concat());
    words.push(["FIX", "ME"].concat());
    for source in sources() {
        if source.path == "tests/tests/architecture.rs" {
            continue;
        }
        for word in &words {
            // The guide's own path of a user's settings is named in documentation.
            let text = source.text.replace("/home/{user}", "");
            assert!(!text.contains(word.as_str()), "{}: {word}", source.path);
        }
    }
}

#[test]
fn these_tests_see_what_they_look_for() {
    let code = code_of(
        "use std::{fs::File, io::{self, Read}, time::{Duration, Instant}}; // std::net\nlet s = \"std::env\"; 'a'; r#\"std::env\"#;",
    );
    let paths = std_paths(&code);
    assert_eq!(paths, ["std::fs::File", "std::io::self", "std::io::Read", "std::time::Duration", "std::time::Instant"]);
    let bad: Vec<_> = paths.iter().filter(|path| touches_the_world(path)).collect();
    assert_eq!(bad, ["std::fs::File", "std::time::Instant"]);
    assert!(touches_the_world("std::net::TcpStream") && !touches_the_world("std::net::IpAddr"));
    assert!(touches_the_world("std::env::var") && !touches_the_world("std::env::consts::OS"));
    let tests = without_tests("a\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\nb\n#[cfg(test)]\nmod tests;\nc\n");
    assert_eq!(tests, "a\nb\nc\n");
    assert!(has_word("unsafe {", "unsafe") && !has_word("unsafe_op", "unsafe"));
}
