//! What `licenceserver check` finds.

use std::collections::BTreeMap;

use licence::Lang;

use super::*;

fn filled() -> Folder {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(3);
    (0..5).for_each(|number| drop(desk.claim(number)));
    drop(desk);
    folder
}

fn change(folder: &Folder, statement: &str) {
    rusqlite::Connection::open(folder.store()).unwrap().execute_batch(statement).unwrap();
}

fn problems(folder: &Folder) -> Vec<String> {
    let report = check::inspect(&folder.0).unwrap();
    report.problems.iter().map(|problem| problem.text(Lang::English).to_owned()).collect()
}

#[test]
fn a_good_store_has_no_problems_and_is_left_as_it_is() {
    let folder = filled();
    let before = fs::read(folder.store()).unwrap();
    let report = check::inspect(&folder.0).unwrap();
    assert_eq!((report.problems.as_slice(), report.sessions, report.notes), (&[][..], 3, 1));
    assert_eq!((report.schema, report.sequence), (Some(4), Some(3)));
    assert_eq!((report.keys[0].key_no, report.keys[0].seats), (7, 3));
    assert_eq!(fs::read(folder.store()).unwrap(), before);
}

#[test]
fn the_journal_of_a_killed_server_is_read_and_left_as_it_is() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(3);
    desk.claim(1).unwrap();
    let killed = folder.copy();
    let files =
        |folder: &Folder| [fs::read(folder.store()).unwrap(), fs::read(folder.0.join("ledger.db-wal")).unwrap()];
    let before = files(&killed);
    assert!(!before[1].is_empty());
    let report = check::inspect(&killed.0).unwrap();
    assert_eq!((report.problems.as_slice(), report.sessions), (&[][..], 1));
    assert_eq!(files(&killed), before);
    assert_eq!(open(&killed, None).unwrap().records().len(), 1);
}

#[test]
fn a_store_in_use_is_not_looked_at_and_one_that_is_not_there_is_no_problem() {
    let folder = Folder::new();
    let none = folder.0.join("none");
    assert_eq!(check::inspect(&none).unwrap().size, None);
    assert!(!none.exists());
    assert_eq!(check::inspect(&folder.0).unwrap().problems, []);
    let _desk = open(&folder, None).unwrap();
    assert_eq!(code(check::inspect(&folder.0)), Code::StoreOwned);
    assert_eq!(code(check::set_aside(&folder.0, Time(0))), Code::StoreOwned);
}

#[test]
fn every_kind_of_damage_is_told() {
    let session = |number: usize| format!("(SELECT id FROM session ORDER BY ordinal LIMIT 1 OFFSET {number})");
    let (first, second) = (session(0), session(1));
    for (statement, expected) in [
        ("PRAGMA application_id = 5".to_owned(), "not a store of the licence server"),
        ("PRAGMA user_version = 99".to_owned(), "newer version"),
        (
            "CREATE TRIGGER t AFTER INSERT ON session BEGIN DELETE FROM session; END".to_owned(),
            "foreign content: trigger t",
        ),
        ("CREATE TABLE mine (a)".to_owned(), "foreign content: table mine"),
        ("DROP INDEX denial_last".to_owned(), "denial_last is missing"),
        (format!("UPDATE session SET seat = 'sofa:1' WHERE id = {first}"), "can't be read"),
        (format!("UPDATE session SET identity = '{{}}' WHERE id = {first}"), "can't be read"),
        (format!("UPDATE session SET ordinal = 2 WHERE id = {first}"), "two seats have the place 2"),
        (
            format!("UPDATE session SET seat = (SELECT seat FROM session WHERE id = {second}) WHERE id = {first}"),
            "on different keys",
        ),
        (format!("UPDATE session SET asker = '\"External\"' WHERE id = {first}"), "contradicts itself"),
        (
            format!(
                "UPDATE session SET (seat, identity, ordinal) =
                (SELECT seat, identity, ordinal FROM session WHERE id = {second}) WHERE id = {first}"
            ),
            "are the same one",
        ),
        (
            "INSERT INTO session SELECT 99, id, key_id, root, key_no, seat, ordinal, generation, secret_hash, granted,
            connection, access_code, asker, identity, displaced FROM session LIMIT 1"
                .to_owned(),
            "is there twice",
        ),
        ("UPDATE denial SET kind = 'sofa'".to_owned(), "a record of table denial"),
        ("INSERT INTO history VALUES (1, 0, 0, zeroblob(32), 0, 0, 0, 0, 0)".to_owned(), "a record of table history"),
        ("INSERT INTO audit VALUES (1, 0, '', 'x', '', '', 0, NULL)".to_owned(), "a record of table audit"),
        ("DELETE FROM counter".to_owned(), "can't be read"),
    ] {
        let folder = filled();
        change(&folder, &statement);
        let found = problems(&folder);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{statement}: {found:?}");
    }
}

#[test]
fn a_file_that_sqlite_can_not_read_is_told() {
    let folder = filled();
    let good = fs::read(folder.store()).unwrap();
    let mut torn = good.clone();
    torn[4096 * 2..4096 * 3].fill(0xA5);
    for bad in [Vec::new(), vec![0x20; 5000], torn, good[..good.len() / 2].to_vec()] {
        fs::write(folder.store(), &bad).unwrap();
        let found = problems(&folder);
        assert!(!found.is_empty());
        assert_eq!(fs::read(folder.store()).unwrap(), bad, "{found:?}");
    }
}

#[test]
fn more_seats_than_the_licences_give_are_told() {
    let mut report = check::inspect(&filled().0).unwrap();
    report.compare(&BTreeMap::from([((SERIES, 7), 3)]));
    assert_eq!(report.problems, []);
    report.compare(&BTreeMap::from([((SERIES, 7), 2)]));
    report.compare(&BTreeMap::new());
    let texts: Vec<&str> = report.problems.iter().map(|problem| problem.text(Lang::English)).collect();
    assert!(texts[0].contains("its licence gives 2") && texts[1].contains("has no licence"), "{texts:?}");
}

#[test]
fn a_damaged_store_names_the_command_and_can_be_set_aside_with_its_journal() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(3);
    desk.claim(1).unwrap();
    let killed = folder.copy();
    fs::write(killed.store(), [0x20; 5000]).unwrap();
    let error = open(&killed, None).err().unwrap();
    assert_eq!(error.code, Code::StoreDamaged);
    for text in [error.cause(Lang::Russian), error.cause(Lang::English)] {
        assert!(text.contains("ledger.db") && text.contains("licenceserver check --set-aside"), "{text}");
    }
    let moved = check::set_aside(&killed.0, Time(0)).unwrap();
    let names: Vec<_> = moved.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["ledger.db.aside-19700101T000000.000Z", "ledger.db.aside-19700101T000000.000Z-wal"]);
    assert_eq!(fs::read(&moved[0]).unwrap(), [0x20; 5000]);
    assert_eq!(open(&killed, None).unwrap().records(), []);
    assert_eq!(code(check::set_aside(&killed.0.join("none"), Time(0))), Code::RecordNotFound);
}

#[test]
fn setting_aside_that_was_cut_short_is_finished_by_the_same_command() {
    let folder = Folder::new();
    let desk = open(&folder, None).unwrap().with_pool(3);
    desk.claim(1).unwrap();
    let killed = folder.copy();
    fs::remove_file(killed.store()).unwrap();
    assert!(problems(&killed)[0].contains("only its journal"));
    assert_eq!(check::set_aside(&killed.0, Time(0)).unwrap().len(), 1);
    assert!(open(&killed, None).is_ok());
}
