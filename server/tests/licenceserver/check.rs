//! The store as `licenceserver check` finds it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::daemon::Root;

/// A server over `root`, which outlives it. Killed, not asked to stop: its journal stays.
struct Killed(Child);

impl Killed {
    fn start(root: &Root) -> Killed {
        let mut child =
            root.command(&["-r", "--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{line:?}");
        Killed(child)
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(root: &Root, more: &[&str]) -> (Option<i32>, String) {
    let output = root.run(&[&["check", "--lang", "en"], more].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_store_is_checked_while_the_server_is_stopped_and_a_damaged_one_is_set_aside_only_when_told() {
    let root = Root::new();
    let (status, said) = check(&root, &[]);
    assert!(status == Some(0) && said.contains("none yet"), "{said}");
    let server = Killed::start(&root);
    let (status, said) = check(&root, &[]);
    assert!(status == Some(5) && said.contains("server runs"), "{said}");
    let (status, said) = check(&root, &["--json"]);
    assert_eq!((status, serde_json::from_str::<Value>(&said).unwrap()["InUse"].as_bool()), (Some(5), Some(true)));
    drop(server);

    let (status, said) = check(&root, &["--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, report["Good"].as_bool(), report["Sessions"].as_u64()), (Some(0), Some(true), Some(0)));
    let (status, said) = check(&root, &["--set-aside"]);
    assert!(status == Some(1) && said.contains("the store is good"), "{said}");

    let store = root.data().join("ledger.db");
    fs::write(&store, "not a store").unwrap();
    let refused = root.run(&["-r", "--port", "0", "--lang", "en"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("ledger.db") && said.contains("licenceserver check --set-aside"), "{said}");
    assert_eq!(fs::read(&store).unwrap(), b"not a store");

    let (status, said) = check(&root, &[]);
    assert!(status == Some(1) && said.contains("Problems:"), "{said}");
    let (status, said) = check(&root, &["--set-aside"]);
    assert!(status == Some(0) && said.contains("ledger.db.aside-"), "{said}");
    assert!(!store.exists());
    drop(Killed::start(&root));
}
