//! The commands of the README, pasted whole: they do what it says, in both languages.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::daemon::free_port;
use e2e::failure::{check, fail};
use e2e::{Outcome, Programs, Root};

/// Ports of the README: of the server and of the centre.
const PORTS: [&str; 2] = ["9099", "9199"];
/// Ends what the commands have started, and waits for its end.
const END: &str = "\nstatus=$?\nkill $(jobs -p)\nwait\nexit $status\n";

/// The block of commands that makes a server by hand.
fn block(text: &str) -> Option<&str> {
    text.split("```").find(|block| block.contains("licenceserver -r"))
}

#[test]
fn a_server_by_hand_works_when_it_is_pasted_whole() -> Outcome {
    for name in ["README.md", "README.ru.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name))?;
        let Some(block) = block(&text) else { return fail(format!("{name}: no commands")) };
        let root = Root::new("readme")?;
        let program = Programs::built()?.program("licenceserver");
        let Some(built) = program.parent() else { return fail("the programs are nowhere") };
        fs::create_dir(root.path().join("target"))?;
        std::os::unix::fs::symlink(built, root.path().join("target/debug"))?;
        let mut script = format!("{block}{END}");
        for port in PORTS {
            script = script.replace(port, &free_port()?.to_string());
        }
        let path = root.path().join("commands.sh");
        fs::write(&path, script)?;
        let mut command = Command::new("bash");
        command.arg(&path).current_dir(root.path()).stdin(Stdio::null());
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        let output = command.output()?;
        let said = format!(
            "{name}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        check(output.status.success() && said.contains("\"KeyNo\"") && said.contains("672B"), || said.clone())?;
        check(root.path().join("customer/var/1C/licence/data/server.identity").exists(), || said.clone())?;
    }
    Ok(())
}
