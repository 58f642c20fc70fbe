use std::fs;
use std::path::PathBuf;

use super::*;

/// A computer of its own: a data folder, and a place for what the machine remembers.
struct Machine(Paths, PathBuf);

impl Machine {
    fn new(name: &str) -> Machine {
        let root = std::env::temp_dir().join(format!("slk-instance-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("data")).unwrap();
        let paths =
            Paths { settings: root.clone(), data: root.join("data"), machine: root.join("machine"), user: None };
        Machine(paths, root)
    }

    fn take(&self, name: &str) -> Result<Instance> {
        take(&format!("{name}-{}", std::process::id()), &self.0, Time(0))
    }

    #[cfg(unix)]
    fn file(&self, name: &str) -> PathBuf {
        self.0.machine.join(format!("{name}-{}.lock", std::process::id()))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.1);
    }
}

#[test]
fn a_lock_is_held_once_and_free_again_when_dropped() {
    let machine = Machine::new("once");
    let held = machine.take("once").unwrap();
    let error = machine.take("once").unwrap_err();
    assert_eq!(error.code, Code::IdentityServedElsewhere);
    if cfg!(unix) {
        let text = error.to_string();
        assert!(text.contains(&format!("PID {}", std::process::id())), "{text}");
        assert!(text.contains(&*machine.0.data.to_string_lossy()) && text.contains("1970-01-01"), "{text}");
    }
    assert!(machine.take("other").is_ok());
    drop(held);
    // The file is there still: the lock is what counts.
    assert!(machine.take("once").is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn servers_with_other_folders_or_none_see_the_name() {
    use std::os::unix::fs::PermissionsExt;
    let (here, there) = (Machine::new("here"), Machine::new("there"));
    let held = here.take("name").unwrap();
    let own = format!("PID {}", std::process::id());
    for mode in [0o700, 0o777] {
        fs::create_dir_all(&there.0.machine).unwrap();
        fs::set_permissions(&there.0.machine, fs::Permissions::from_mode(mode)).unwrap();
        let error = there.take("name").unwrap_err();
        assert_eq!(error.code, Code::IdentityServedElsewhere);
        assert!(error.to_string().contains(&own) && error.to_string().contains("uid "), "{error}");
    }
    drop(held);
    let held = there.take("name").unwrap();
    assert_eq!(here.take("name").unwrap_err().code, Code::IdentityServedElsewhere);
    drop(held);
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_can_not_be_asked_is_found_by_its_process() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let machine = Machine::new("flood");
    let held = machine.take("flood").unwrap();
    let address = SocketAddr::from_abstract_name(format!("slk-flood-{}", std::process::id())).unwrap();
    // Somebody connects until nothing is taken any more.
    let callers: Vec<_> = std::iter::from_fn(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let address = address.clone();
        std::thread::spawn(move || sender.send(UnixStream::connect_addr(&address)));
        receiver.recv_timeout(std::time::Duration::from_millis(300)).ok()?.ok()
    })
    .take(64)
    .collect();
    assert!((1..64).contains(&callers.len()), "{} connections cost memory", callers.len());
    let other = Machine::new("flooded");
    let error = other.take("flood").unwrap_err();
    assert!(error.to_string().contains(&format!("PID {}", std::process::id())), "{error}");
    drop(held);
}

#[cfg(unix)]
#[test]
fn what_is_not_ours_is_refused() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    let machine = Machine::new("foreign");
    let victim = machine.1.join("victim");
    fs::write(&victim, "x").unwrap();
    drop(machine.take("foreign").unwrap());
    let file = machine.file("foreign");
    let refused = |what: &str| {
        let error = machine.take("foreign").unwrap_err();
        assert_eq!(error.code, Code::LockUnusable, "{what}");
        assert!(error.to_string().contains(&*file.to_string_lossy()), "{what}: {error}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "x", "{what}");
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    refused("others may write it");
    fs::remove_file(&file).unwrap();
    fs::hard_link(&victim, &file).unwrap();
    refused("another name of a file");
    fs::remove_file(&file).unwrap();
    symlink(&victim, &file).unwrap();
    refused("a link");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused("a folder");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, "").unwrap();
    // Only root may give a file away.
    if chown(&file, Some(65_534), Some(65_534)).is_ok() {
        refused("another user's");
    }
    fs::remove_file(&file).unwrap();
    assert!(machine.take("foreign").is_ok());
}
