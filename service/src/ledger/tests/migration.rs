//! Older schemas become the present one, or stay as they are.

use super::*;
use crate::ledger::schema::MIGRATIONS;

/// A store of the first schema, as the program of that time has made it.
const FIRST: &[u8] = include_bytes!("../../../../golden/ledger-1.db");

fn first() -> Folder {
    let folder = Folder::new();
    fs::write(folder.store(), FIRST).unwrap();
    folder
}

fn copies(folder: &Folder) -> Vec<PathBuf> {
    let names = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.to_string_lossy().contains(".v1-")).collect()
}

fn version(path: &std::path::Path) -> i64 {
    let database = rusqlite::Connection::open(path).unwrap();
    database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[test]
fn a_store_of_the_first_schema_is_brought_up_to_date_with_all_its_sessions_and_a_copy_of_it_stays() {
    let folder = first();
    let desk = open(&folder, None).unwrap().with_pool(5);
    let records = desk.records();
    assert_eq!(records.iter().map(|record| record.id.0[0]).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(records[0].access_code.as_deref(), Some("код"));
    assert_eq!(records[1].seat, Seat::Computer(ComputerId([3; 20])));
    assert_eq!(records[4].asker, Asker::External);
    assert_eq!((desk.used(), desk.ledger.sequence()), (5, 5));
    drop(desk);
    assert_eq!(version(&folder.store()), MIGRATIONS.len() as i64);
    let copies = copies(&folder);
    let [copy] = &copies[..] else { panic!("{copies:?}") };
    assert!(copy.ends_with("ledger.db.v1-19700101T001640.000Z"), "{copy:?}");
    assert_eq!(version(copy), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The copy is a store by itself.
    let other = Folder::new();
    fs::copy(copy, other.store()).unwrap();
    assert_eq!(open(&other, None).unwrap().records(), records);
    drop(open(&folder, None).unwrap());
    assert_eq!(self::copies(&folder).len(), 1, "the second start has nothing to change");
}

#[test]
fn a_migration_that_fails_leaves_the_old_store_as_it_was_and_no_copy() {
    let folder = first();
    let mut connection = rusqlite::Connection::open(folder.store()).unwrap();
    let steps = [MIGRATIONS[1], "INSERT INTO nowhere VALUES (1)"];
    assert!(schema::upgrade(&mut connection, &folder.store(), (1, &steps), StoreId([1; 16]), Time(0)).is_err());
    drop(connection);
    assert_eq!(fs::read(folder.store()).unwrap(), FIRST);
    assert!(copies(&folder).is_empty());
    assert_eq!(open(&folder, None).unwrap().records().len(), 5);
}

#[test]
fn without_a_copy_nothing_is_changed() {
    let folder = first();
    // Its name is taken by something that is no empty file.
    let taken = schema::beside(&folder.store(), "v1", Time(0));
    fs::create_dir(&taken).unwrap();
    let mut connection = rusqlite::Connection::open(folder.store()).unwrap();
    let error = schema::upgrade(&mut connection, &folder.store(), (1, &MIGRATIONS[1..]), StoreId([1; 16]), Time(0))
        .unwrap_err();
    assert!(error.to_string().contains("ledger.db.v1-"), "{error}");
    drop(connection);
    assert_eq!((fs::read(folder.store()).unwrap(), taken.is_dir()), (FIRST.to_vec(), true));
}

#[test]
fn a_migrated_store_has_the_same_schema_as_a_new_one() {
    let (old, new) = (first(), Folder::new());
    for folder in [&old, &new] {
        drop(open(folder, None).unwrap());
        assert_eq!(check::inspect(&folder.0).unwrap().problems, []);
    }
}
