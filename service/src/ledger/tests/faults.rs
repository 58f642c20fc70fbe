//! Full disks and read-only folders, on a small file system of the test's own. Only root may mount one: else these tests say
//! so and do nothing.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::*;

/// A folder on a file system of its own, of so many KiB.
struct Disk(Folder, u32);

impl Disk {
    fn new(kib: u32) -> Option<Disk> {
        let folder = Folder::new();
        let size = format!("size={kib}k,mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "slk-test"]).arg(&folder.0).output();
        match mount {
            Ok(output) if output.status.success() => Some(Disk(folder, kib)),
            Ok(output) => {
                eprintln!("skipped: no file system can be mounted: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                eprintln!("skipped: no file system can be mounted: {error}");
                None
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.0.join("ballast")
    }

    /// Takes all space but for so many pages.
    ///
    /// A program that another test is starting has copies of our open files for a moment, and what was removed meanwhile keeps its
    /// space until then: so the disk is full only when its files fill it.
    fn fill_but(&self, pages: u64) {
        let file = fs::File::create(self.ballast()).unwrap();
        let page = [1; 4096];
        until(|| {
            while std::io::Write::write_all(&mut &file, &page).is_ok() {}
            let files = fs::read_dir(&self.0.0).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
            files.map(|facts| facts.blocks() / 2).sum::<u64>() == u64::from(self.1)
        });
        let size = file.metadata().unwrap().len() / 4096 * 4096;
        file.set_len(size.saturating_sub(pages * 4096)).unwrap();
    }

    fn empty(&self) {
        // For the same reason it is cut first.
        fs::File::create(self.ballast()).unwrap();
        fs::remove_file(self.ballast()).unwrap();
    }

    fn read_only(&self) {
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0.0).status();
        assert!(remount.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0.0).status();
    }
}

#[test]
fn a_full_disk_is_told_grants_nothing_wrong_and_is_over_when_space_returns() {
    let Some(disk) = Disk::new(4096) else { return };
    let desk = open(&disk.0, None).unwrap().with_pool(10_000);
    let mut granted = std::collections::BTreeSet::new();
    let mut number = 0;
    for pages in 0..40 {
        disk.fill_but(pages);
        // Room is left for some commits, so the one that fails meets the end of the disk somewhere else each time.
        let refused = loop {
            number += 1;
            match desk.claim(number) {
                Ok(grant) => assert!(granted.insert(grant.session)),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.code, Code::StoreFailed, "{refused}");
        assert!(refused.to_string().contains("ledger.db") && refused.to_string().contains("full"), "{refused}");
        assert!(desk.ledger.touch(|book, now| book.heartbeat(desk.connection, now)).is_ok());
        disk.empty();
        until(|| desk.ledger.failing().is_none());
        let held: std::collections::BTreeSet<_> = desk.records().iter().map(|record| record.id).collect();
        assert_eq!(held, granted, "with {pages} pages left");
        granted.insert(desk.claim(number).unwrap().session);
        let crashed: std::collections::BTreeSet<_> =
            open(&disk.0.copy(), None).unwrap().records().iter().map(|record| record.id).collect();
        assert_eq!(crashed, granted, "with {pages} pages left");
    }
    drop(desk);
    assert_eq!(open(&disk.0, None).unwrap().records().len(), granted.len());
}

#[test]
fn notes_that_find_no_space_wait_for_it() {
    let Some(disk) = Disk::new(2048) else { return };
    let desk = open(&disk.0, None).unwrap().with_pool(1);
    desk.claim(1).unwrap();
    disk.fill_but(0);
    assert_eq!(code(desk.claim(2)), Code::AllTaken);
    let entry = AuditEntry {
        at: Time(1),
        user: "admin".into(),
        address: None,
        act: "x".repeat(200),
        object: "y".repeat(200),
        status: 200,
        error: None,
    };
    desk.ledger.audit(entry.clone());
    // Opening the store anew may free the page that a commit without notes needs: then it has failed for a moment only.
    until(|| desk.ledger.failing().is_some() || desk.ledger.shared.state.lock().notes_after > Tick(0));
    disk.empty();
    until(|| desk.ledger.failing().is_none());
    desk.clock.0.fetch_add(60_000, Ordering::SeqCst);
    let (sender, receiver) = channel();
    desk.ledger.acts(AuditFilter { since: None, limit: 10 }, move |acts| sender.send(acts).unwrap());
    assert_eq!(receiver.recv().unwrap().unwrap(), [entry]);
}

#[test]
fn a_start_on_a_full_disk_fails_clearly_and_leaves_nothing_half_made() {
    let Some(disk) = Disk::new(1024) else { return };
    let mut failed = 0;
    loop {
        disk.fill_but(failed);
        let opened = open(&disk.0, None);
        disk.empty();
        let Err(error) = opened else { break };
        assert!([Code::StoreFailed, Code::FileFailed].contains(&error.code), "{error}");
        assert!(error.to_string().contains("ledger.db") || error.to_string().contains("owner.lock"), "{error}");
        assert!(!disk.0.store().exists());
        failed += 1;
    }
    assert!(failed > 3, "{failed}");
}

#[test]
fn a_migration_on_a_full_disk_leaves_the_old_store_as_it_was() {
    let Some(disk) = Disk::new(1024) else { return };
    let first = include_bytes!("../../../../golden/ledger-1.db");
    let mut migrated = 0;
    for pages in 0..64 {
        let _ = fs::remove_file(disk.0.0.join("ledger.db-wal"));
        fs::write(disk.0.store(), first).unwrap();
        disk.fill_but(pages);
        let opened = open(&disk.0, None);
        match opened {
            Ok(desk) => {
                migrated += 1;
                assert_eq!(desk.records().len(), 5);
            }
            Err(error) => {
                assert!([Code::StoreFailed, Code::FileFailed].contains(&error.code), "{error}");
                disk.empty();
                assert_eq!(open(&disk.0, None).unwrap().records().len(), 5, "with {pages} pages left");
                disk.fill_but(0);
            }
        }
        disk.empty();
        for entry in fs::read_dir(&disk.0.0).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    assert!((1..64).contains(&migrated), "{migrated}");
}

#[test]
fn a_read_only_folder_is_told_with_its_path() {
    let Some(disk) = Disk::new(1024) else { return };
    drop(open(&disk.0, None).unwrap());
    disk.read_only();
    let error = open(&disk.0, None).err().unwrap();
    assert_eq!(error.code, Code::FileFailed);
    assert!(error.to_string().contains(&*disk.0.0.to_string_lossy()), "{error}");
    assert_eq!(code(check::inspect(&disk.0.0)), Code::FileFailed);
}
