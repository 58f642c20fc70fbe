//! Configuration that runs programs (CVE-2021-44153): no setting names a program, and what looks like one is text.

use std::fs;

use e2e::server::command;
use e2e::{Outcome, Root};

use crate::stage::{server, unharmed};

#[test]
fn no_setting_is_ever_run() -> Outcome {
    let root = Root::new("programs-example")?;
    let example = String::from_utf8(command(root.path(), &["conf"])?.output()?.stdout)?;
    let keys: Vec<(String, String)> = example
        .lines()
        .scan(String::new(), |section, line| {
            if let Some(name) = line.strip_prefix('[') {
                *section = name.trim_end_matches(']').to_owned();
            }
            Some((
                section.clone(),
                line.strip_prefix(';').and_then(|line| line.split_once('=')).map(|(key, _)| key.to_owned()),
            ))
        })
        .filter_map(|(section, key)| Some((section, key?)))
        .filter(|(_, key)| !key.starts_with(' '))
        .collect();
    assert!(keys.len() > 30, "{keys:?}");
    // Everything that takes text gets a command; what takes none keeps its default and says so.
    let fixed = [
        "ServerAddr",
        "ServerPort",
        "Certificate",
        "Key",
        "UserName",
        "Password",
        "LocalAccessOnly",
        "AllowedAddresses",
    ];
    let canary = root.path().join("canary");
    let attack = format!("$(touch {0}); `touch {0}` | touch {0} & touch {0}", canary.display());
    let mut settings = String::new();
    for (section, key) in keys.iter().filter(|(_, key)| !fixed.contains(&key.as_str())) {
        settings.push_str(&format!("[{section}]\n{key}={attack}\n"));
    }
    let server = server("programs", &settings)?;
    assert!(server.said().contains("LogLevel"), "{}", server.said());
    unharmed(&server)?;
    assert!(!fs::exists(&canary)?);
    Ok(())
}
