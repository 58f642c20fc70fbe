//! Files of the store, or all of its folder, that vanish, are replaced or cut while the ledger is open.

use super::*;

/// Nothing is granted, it is told why, and what is held lives on.
fn is_lost(desk: &Desk, expected: Code, number: u32) {
    let refused = desk.claim(number).unwrap_err();
    assert_eq!(refused.code, Code::StoreFailed, "{refused}");
    until(|| desk.ledger.failing().is_some());
    let failing = desk.ledger.failing().unwrap();
    assert_eq!(failing.code, expected, "{failing}");
    assert!(refused.to_string().contains(&failing.args[0]), "{refused} does not name {}", failing.args[0]);
    desk.ledger.touch(|book, now| book.heartbeat(desk.connection, now)).unwrap();
    assert_eq!(desk.used(), 1);
}

fn heals(desk: &Desk, number: u32) {
    until(|| desk.ledger.failing().is_none());
    assert_eq!(desk.used(), 1);
    let granted = desk.claim(number).unwrap();
    assert_eq!(desk.used(), 2);
    let (sender, receiver) = channel();
    let connection = desk.connection;
    let release = move |book: &mut Book, now| book.release(connection, granted.session, now);
    desk.ledger.submit(release, move |done| sender.send(done).unwrap());
    receiver.recv().unwrap().unwrap();
    assert_eq!(desk.used(), 1);
}

fn desk(folder: &Folder) -> Desk {
    let desk = open(folder, None).unwrap().with_pool(5);
    desk.claim(1).unwrap();
    desk
}

#[test]
fn a_store_that_is_moved_away_grants_nothing_is_not_made_anew_and_goes_on_when_it_is_back() {
    let folder = Folder::new();
    let desk = desk(&folder);
    for (number, name) in [(10, "ledger.db"), (20, "ledger.db-wal")] {
        let (path, aside) = (folder.0.join(name), folder.0.join("aside"));
        fs::rename(&path, &aside).unwrap();
        is_lost(&desk, Code::FileGone, number);
        assert_eq!(code(desk.ask(number).try_recv().unwrap()), Code::StoreFailed, "refused at once");
        assert!(!path.exists());
        fs::rename(&aside, &path).unwrap();
        heals(&desk, number);
    }
    assert_eq!(open(&folder.copy(), None).unwrap().records(), desk.records());
}

#[test]
fn an_older_copy_in_the_place_of_the_store_is_not_taken() {
    let folder = Folder::new();
    drop(open(&folder, None).unwrap());
    let older = folder.copy();
    let desk = desk(&folder);
    let (path, aside) = (folder.store(), folder.0.join("aside"));
    fs::hard_link(&path, &aside).unwrap();
    fs::copy(older.store(), folder.0.join("older")).unwrap();
    fs::rename(folder.0.join("older"), &path).unwrap();
    is_lost(&desk, Code::FileReplaced, 2);
    fs::rename(&aside, &path).unwrap();
    heals(&desk, 2);
}

#[test]
fn a_store_that_is_cut_or_written_over_is_not_used_any_more() {
    for (name, length) in [("ledger.db", 0), ("ledger.db", 8192), ("ledger.db-wal", 0)] {
        let folder = Folder::new();
        let desk = desk(&folder);
        fs::File::options().write(true).open(folder.0.join(name)).unwrap().set_len(length).unwrap();
        is_lost(&desk, Code::FileAltered, 2);
        let left = fs::read(folder.0.join(name)).unwrap();
        drop(desk);
        assert_eq!(fs::read(folder.0.join(name)).unwrap(), left, "nothing is written into it at the end");
    }
}

#[test]
fn a_folder_that_is_moved_or_exchanged_is_noticed_and_left_alone() {
    let folder = Folder::new();
    let desk = desk(&folder);
    let aside = folder.0.with_extension("aside");
    fs::rename(&folder.0, &aside).unwrap();
    is_lost(&desk, Code::FolderGone, 2);
    fs::create_dir_all(&folder.0).unwrap();
    until(|| desk.ledger.failing().is_some_and(|error| error.to_string().contains("another folder")));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "nothing of ours belongs there");
    fs::remove_dir(&folder.0).unwrap();
    fs::rename(&aside, &folder.0).unwrap();
    heals(&desk, 2);
}

#[test]
fn it_is_noticed_without_a_claim() {
    let folder = Folder::new();
    let desk = desk(&folder);
    fs::rename(folder.store(), folder.0.join("aside")).unwrap();
    desk.clock.0.fetch_add(2000, Ordering::SeqCst);
    desk.ledger.shared.closing.notify_all();
    until(|| desk.ledger.failing().is_some());
    fs::rename(folder.0.join("aside"), folder.store()).unwrap();
    until(|| desk.ledger.failing().is_none());
}

#[test]
fn a_store_that_vanishes_while_it_takes_no_writes_is_not_made_anew() {
    let folder = Folder::new();
    let (broken, hook) = switch();
    let desk = open(&folder, hook).unwrap().with_pool(5);
    desk.claim(1).unwrap();
    broken.store(true, Ordering::SeqCst);
    is_lost(&desk, Code::StoreFailed, 2);
    let aside = folder.0.join("aside");
    fs::rename(folder.store(), &aside).unwrap();
    broken.store(false, Ordering::SeqCst);
    until(|| desk.ledger.failing().is_some_and(|error| error.code == Code::FileGone));
    assert!(!folder.store().exists());
    fs::rename(&aside, folder.store()).unwrap();
    heals(&desk, 2);
}

#[test]
fn an_owners_lock_that_is_removed_is_taken_again() {
    let folder = Folder::new();
    let desk = desk(&folder);
    fs::remove_file(folder.0.join(OWNER)).unwrap();
    desk.claim(2).unwrap();
    assert_eq!(open(&folder, None).err().unwrap().code, Code::StoreOwned);
}
