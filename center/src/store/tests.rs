use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use licence::id::ComputerId;
use licence::identity::Identity;
use licence::key::KeyType;
use licence::{RootHash, SeriesId, Time};

use super::*;
use crate::CRYPTO;
use crate::rules::tests::{SERIES, print, terms};

#[path = "../../tests/vendor/cluster.rs"]
pub(crate) mod cluster;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// Makes each test twice: with SQLite and with PostgreSQL.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(crate::store::tests::On::Sqlite) })*
        }
        mod on_postgres {
            $(#[test] fn $name() { super::$name(crate::store::tests::On::Postgres) })*
        }
    };
}
pub(crate) use on_both;

/// A centre's folder, gone when dropped.
pub(crate) struct Folder(pub PathBuf);

static FOLDERS: AtomicU32 = AtomicU32::new(0);

impl Folder {
    pub(crate) fn new(on: On) -> Folder {
        let number = FOLDERS.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("slk-centre-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        if let On::Postgres = on {
            std::fs::write(path.join(ADDRESS_FILE), cluster::database() + "\n").unwrap();
        }
        Folder(path)
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.0).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

on_both! {
    what_fails_in_the_middle_leaves_nothing
    codes_of_a_series_that_the_store_does_not_know_are_not_made
    who_locks_a_code_is_waited_for
    a_code_that_was_changed_meanwhile_is_not_used
    a_former_demo_is_found_in_its_own_series_only
    the_same_report_is_kept_once
    a_token_is_found_by_its_hash_until_it_is_withdrawn
    a_customer_is_found_by_a_part_of_his_name_in_any_case
    a_store_that_is_opened_again_has_everything
    a_copy_is_whole_and_never_replaces_a_file
    a_store_of_an_older_layout_keeps_its_history
    a_request_under_a_key_is_done_once
    unused_codes_are_found_by_their_owner
    what_refers_to_nothing_is_no_fault_of_the_store
    a_copy_that_fails_leaves_no_file
}

fn with_series(on: On) -> (Folder, Store) {
    let folder = Folder::new(on);
    let store = folder.store();
    store.work(|work| work.add_series(&SERIES, "Товар")).unwrap();
    (folder, store)
}

fn one_code(store: &Store) -> licence::code::ActivationCode {
    store.work(|work| work.add_codes(CRYPTO, (&SERIES, &terms(KeyType::Main)), (1, Time(5)))).unwrap()[0]
}

fn what_fails_in_the_middle_leaves_nothing(on: On) {
    let (_folder, store) = with_series(on);
    let failed: Result<()> = store.work(|work| {
        work.add_codes(CRYPTO, (&SERIES, &terms(KeyType::Main)), (3, Time(5)))?;
        Err(Code::Busy.into())
    });
    assert_eq!(failed.unwrap_err().code, Code::Busy);
    assert!(store.work(|work| work.codes(None)).unwrap().is_empty());
    let broken = store.work(|work| work.execute("INSERT INTO nowhere VALUES (?1)", &[1_i64.into()]));
    assert_eq!(broken.unwrap_err().code, Code::StoreFailed);
    one_code(&store);
    assert_eq!(store.work(|work| work.codes(Some(&SERIES))).unwrap().len(), 1);
}

fn codes_of_a_series_that_the_store_does_not_know_are_not_made(on: On) {
    let store = Folder::new(on);
    let store = store.store();
    let add = |terms: &crate::terms::Terms| store.work(|work| work.add_codes(CRYPTO, (&SERIES, terms), (1, Time(5))));
    assert_eq!(add(&terms(KeyType::Main)).unwrap_err().code, Code::RecordNotFound);
    let mut useless = terms(KeyType::Main);
    useless.offer.licence_count = 0;
    assert_eq!(add(&useless).unwrap_err().code, Code::BadRequest);
}

fn who_locks_a_code_is_waited_for(on: On) {
    let (folder, store) = with_series(on);
    let code = one_code(&store);
    let sum = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Each with connections of its own, as several processes would have.
                let store = folder.store();
                let won = store.work(|work| {
                    let mut sold = work.lock_code(code)?.unwrap();
                    let first = sold.state == State::New;
                    sold.state = State::Used;
                    work.save_code(&sold).map(|()| first)
                });
                sum.fetch_add(won.unwrap().into(), Ordering::SeqCst);
            });
        }
    });
    assert_eq!(sum.into_inner(), 1);
}

fn a_code_that_was_changed_meanwhile_is_not_used(on: On) {
    let (_folder, store) = with_series(on);
    let code = one_code(&store);
    let look = || store.work(|work| work.code(code)).unwrap().unwrap();
    let seen = look();
    let mut cheaper = seen.clone();
    cheaper.terms.offer.licence_count += 1;
    store.work(|work| work.save_code(&cheaper)).unwrap();
    assert!(!store.work(|work| work.use_code(&seen, 1)).unwrap());
    assert_eq!((look().state, look().key_no), (State::New, None));
    let seen = look();
    assert!(store.work(|work| work.use_code(&seen, 1)).unwrap());
    assert!(!store.work(|work| work.use_code(&seen, 2)).unwrap(), "it is used already");
    assert_eq!((look().state, look().key_no), (State::Used, Some(1)));
}

fn a_former_demo_is_found_in_its_own_series_only(on: On) {
    let (_folder, store) = with_series(on);
    let other = SeriesId { root: RootHash([2; 32]), ..SERIES };
    store.work(|work| work.add_series(&other, "Другой")).unwrap();
    let servers = [(), ()].map(|()| Identity::generate(CRYPTO).unwrap());
    // Both have key 1 of a series; only the second has had a demo.
    let keys = [(SERIES, Origin::Sold, KeyType::Main), (other, Origin::Demo, KeyType::Demo)];
    for ((series, origin, key_type), server) in keys.into_iter().zip(&servers) {
        let (code, terms) = (store.work(|work| work.fresh_code(CRYPTO)).unwrap(), terms(key_type));
        let key = Key {
            series,
            key_no: 1,
            reg_no: 1,
            terms: terms.clone(),
            itn: None,
            iec: None,
            activated: Time(5),
            state: KeyState::Active,
            revoked: false,
            allowance: 0,
            issue: 1,
            code,
            identity: server.public(),
            fingerprint: print(server, "a"),
            blank_key_no: None,
            computer_id: Some(ComputerId([u8::from(origin == Origin::Demo); 20])),
            memory: None,
            licence: None,
        };
        let (state, key_no) = (State::Used, Some(1));
        let sold = Sold { code, series, origin, state, terms, created: Time(5), key_no, version: 0 };
        store.work(|work| work.insert_key(&key).and_then(|()| work.insert_code(&sold))).unwrap();
    }
    let found = |series: &SeriesId, server: &Identity, computer: u8| {
        let computer = Some(ComputerId([computer; 20]));
        store.work(|work| work.demo_key(series, (&server.public(), computer))).unwrap().map(|key| key.series)
    };
    let [first, second] = &servers;
    assert_eq!(found(&other, second, 7), Some(other));
    assert_eq!(found(&other, first, 1), Some(other), "the computer has had it");
    assert_eq!(found(&other, first, 0), None, "its key 1 is of another series");
    assert_eq!(found(&SERIES, first, 0), None, "what it has was sold");
    assert_eq!(found(&SERIES, second, 1), None);
}

fn the_same_report_is_kept_once(on: On) {
    let (_folder, store) = with_series(on);
    let event = Event::new(Time(7), "server", Kind::Cloned).of_key(&SERIES, 3).with("A");
    for details in ["A", "A", "B"] {
        store.work(|work| work.note(&event.clone().with(details))).unwrap();
    }
    store.work(|work| work.note(&Event::new(Time(8), "x", Kind::Allowed).of_key(&SERIES, 3))).unwrap();
    let details = |events: Vec<Event>| events.into_iter().map(|event| event.details).collect::<Vec<_>>();
    assert_eq!(details(store.work(|work| work.latest_events(true, (0, 9))).unwrap()), ["B", "A"]);
    assert_eq!(details(store.work(|work| work.events_of_key(&SERIES, 3)).unwrap()), ["A", "B", ""]);
    assert_eq!(store.work(|work| work.latest_events(false, (0, 1))).unwrap()[0].kind, Kind::Allowed);
}

fn a_token_is_found_by_its_hash_until_it_is_withdrawn(on: On) {
    let (_folder, store) = with_series(on);
    let token = Token { name: "shop".into(), role: web::Access::Operator, created: Time(9) };
    store.work(|work| work.insert_token("AA", &token)).unwrap();
    assert!(store.work(|work| work.insert_token("BB", &token)).is_err());
    assert_eq!(store.work(|work| work.token("AA")).unwrap(), Some(token));
    assert_eq!(store.work(|work| work.token("BB")).unwrap(), None);
    store.work(|work| work.delete_token("shop")).unwrap();
    assert_eq!(store.work(|work| work.delete_token("shop")).unwrap_err().code, Code::RecordNotFound);
    assert_eq!(store.work(|work| work.token("AA")).unwrap(), None);
}

fn a_customer_is_found_by_a_part_of_his_name_in_any_case(on: On) {
    let (_folder, store) = with_series(on);
    store.work(|work| work.meet_customer("7700000001", None)).unwrap();
    let named =
        Customer {
            itn: "7700000001".into(), iec: String::new(), name: "ООО \"Ромашка\"".into(), note: String::new()
        };
    store.work(|work| work.put_customer(&named)).unwrap();
    store.work(|work| work.meet_customer("7700000001", None)).unwrap();
    assert_eq!(store.work(|work| work.customers("")).unwrap(), std::slice::from_ref(&named));
    assert_eq!(store.work(|work| work.customers("7700000001")).unwrap(), [named]);
    assert!(store.work(|work| work.customers("77")).unwrap().is_empty());
    assert!(store.work(|work| work.find_keys("ромашка")).unwrap().is_empty(), "he has no keys yet");
}

fn a_store_that_is_opened_again_has_everything(on: On) {
    let (folder, store) = with_series(on);
    let code = one_code(&store);
    let policy = Policy { transfers: 1, renew_days: 30, ..Policy::default() };
    store.work(|work| work.set_policy(&SERIES, &policy)).unwrap();
    drop(store);
    let store = folder.store();
    store.work(|work| work.add_series(&SERIES, "Другое имя")).unwrap();
    let series = store.work(|work| work.series_of(SERIES.key_id)).unwrap();
    assert_eq!(series, Series { series: SERIES, name: "Другое имя".into(), policy });
    assert_eq!(store.work(|work| work.code(code)).unwrap().unwrap().terms, terms(KeyType::Main));
    store.check().unwrap();
}

fn a_copy_is_whole_and_never_replaces_a_file(on: On) {
    let (folder, store) = with_series(on);
    let code = one_code(&store);
    let copy = Folder::new(On::Sqlite);
    let file = copy.0.join(FILE);
    store.backup(&file).unwrap();
    assert_eq!(store.backup(&file).unwrap_err().code, Code::FileFailed);
    if let On::Sqlite = on {
        let restored = copy.store();
        assert!(restored.work(|work| work.code(code)).unwrap().is_some());
    } else {
        assert!(std::fs::read(&file).unwrap().starts_with(b"PGDMP"));
    }
    drop(folder);
}

/// What programs of layout 1 have left: a series, and key 1, a demo whose code was exchanged twice.
const LAYOUT_1: &str = include_str!("tests/schema-1.sql");

fn of_older_layout(layout: i32, folder: &Folder, on: On) {
    let series = database::series_name(&SERIES);
    let history = format!(
        "INSERT INTO series VALUES ('{series}', '672B', 'Товар', '{{}}', 1, 1);
        INSERT INTO codes VALUES ('00000000000000000098', '{series}', 'demo', 'used', '{{}}', 5, 1);
        INSERT INTO keys (series, key_no, reg_no, terms, activated, state, revoked, allowance, issue, code, identity, fingerprint, computer_id)
            VALUES ('{series}', 1, 1, '{{}}', 5, 'active', 0, 0, 2, '00000000000000000098', '{{}}', '{{}}', 'COMPUTER');
        INSERT INTO activations (series, key_no, issue, code, identity, at) VALUES ('{series}', 1, 1, '00000000000000000098', '{{}}', 5);
        INSERT INTO activations (series, key_no, issue, code, identity, at) VALUES ('{series}', 1, 2, '00000000000000000098', '{{}}', 9);
        INSERT INTO events (at, actor, kind, series, key_no, code, details)
            SELECT at, 'server', 'activated', series, key_no, code, 'issue ' || issue FROM activations;
        INSERT INTO events (at, actor, kind, series, key_no, details) VALUES (7, 'server', 'cloned', '{series}', 1, 'B');
        {}",
        UPGRADES[..usize::try_from(layout).unwrap() - 1].concat()
    );
    match on {
        On::Sqlite => {
            let raw = rusqlite::Connection::open(folder.0.join(FILE)).unwrap();
            raw.execute_batch(&LAYOUT_1.replace(SERIAL, "INTEGER PRIMARY KEY AUTOINCREMENT")).unwrap();
            raw.execute_batch(&history).unwrap();
            raw.pragma_update(None, "application_id", 0x534C_4B43).unwrap();
            raw.pragma_update(None, "user_version", layout).unwrap();
        }
        On::Postgres => {
            let address = std::fs::read_to_string(folder.0.join(ADDRESS_FILE)).unwrap();
            let mut raw = ::postgres::Client::connect(address.trim(), ::postgres::NoTls).unwrap();
            let serial = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY";
            raw.batch_execute(&LAYOUT_1.replace(SERIAL, serial)).unwrap();
            raw.batch_execute(&history).unwrap();
            let version = format!("INSERT INTO slk_center VALUES ({layout})");
            raw.batch_execute(&format!("CREATE TABLE slk_center (version BIGINT NOT NULL); {version}")).unwrap();
        }
    }
}

fn a_store_of_an_older_layout_keeps_its_history(on: On) {
    for older in 1..SCHEMA {
        let folder = Folder::new(on);
        of_older_layout(older, &folder, on);
        for _ in 0..2 {
            let store = folder.store();
            let activations = store.work(|work| work.activations(&SERIES, 1)).unwrap();
            assert_eq!(activations.iter().map(|done| (done.issue, done.at.0)).collect::<Vec<_>>(), [(1, 5), (2, 9)]);
            assert_eq!(store.work(|work| work.events_of_key(&SERIES, 1)).unwrap().len(), 3);
            assert_eq!(store.work(|work| work.latest_events(true, (0, 9))).unwrap().len(), 1);
            let demos = store.work(|work| work.rows("SELECT computer_id FROM demos WHERE key_no = 1", &[])).unwrap();
            assert_eq!(demos[0].text(0).unwrap(), "COMPUTER");
        }
        let version = match on {
            On::Sqlite => "SELECT user_version FROM pragma_user_version",
            On::Postgres => "SELECT version FROM slk_center",
        };
        let version = folder.store().work(|work| work.rows(version, &[])).unwrap();
        assert_eq!(version[0].number::<i32>(0).unwrap(), SCHEMA);
        // All columns and indexes that a new store has are there.
        let fresh = Folder::new(on);
        assert_eq!(layout(&folder.store(), on), layout(&fresh.store(), on));
    }
}

#[test]
fn the_keys_of_an_identity_are_found_without_reading_all_keys() {
    let folder = Folder::new(On::Sqlite);
    let store = folder.store();
    for (sql, values) in [(keys::machines(), 2), (keys::demos(), 3)] {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let steps = store.work(|work| work.rows(&sql, &vec!["".into(); values])).unwrap();
        let steps: Vec<&str> = steps.iter().map(|row| row.text(3).unwrap()).collect();
        assert!(steps.iter().any(|step| step.contains("keys USING INDEX keys_by_identity")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN") || step.ends_with("(series=?)")), "{steps:?}");
    }
}

/// Columns and indexes of the store.
fn layout(store: &Store, on: On) -> Vec<String> {
    let sql = match on {
        On::Sqlite => {
            "SELECT m.name || ' ' || p.name FROM sqlite_schema m JOIN pragma_table_info(m.name) p UNION ALL SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1"
        }
        On::Postgres => {
            "SELECT CAST(table_name || ' ' || column_name AS TEXT) FROM information_schema.columns WHERE table_schema = current_schema() UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
        }
    };
    let rows = store.work(|work| work.rows(sql, &[])).unwrap();
    rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect()
}

#[test]
fn a_newer_store_or_a_foreign_file_is_left_alone() {
    let folder = Folder::new(On::Sqlite);
    drop(folder.store());
    let raw = rusqlite::Connection::open(folder.0.join(FILE)).unwrap();
    raw.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    let refused = |folder: &Path| Store::open(folder).err().unwrap().code;
    assert_eq!(refused(&folder.0), Code::StoreVersion);
    raw.pragma_update(None, "application_id", 1).unwrap();
    assert_eq!(refused(&folder.0), Code::StoreDamaged);
    drop(raw);
    let text = "no database, but a text that is long enough to be looked at as one".repeat(99);
    std::fs::write(folder.0.join(FILE), text).unwrap();
    assert_eq!(refused(&folder.0), Code::StoreDamaged);
}

#[test]
fn a_newer_database_is_left_alone_and_a_wrong_address_shows_no_password() {
    let folder = Folder::new(On::Postgres);
    let store = folder.store();
    store.work(|work| work.execute("UPDATE slk_center SET version = ?1", &[i64::from(SCHEMA + 1).into()])).unwrap();
    assert_eq!(Store::open(&folder.0).err().unwrap().code, Code::StoreVersion);
    std::fs::write(folder.0.join(ADDRESS_FILE), "postgresql://slk:topsecret@[bad").unwrap();
    let error = Store::open(&folder.0).err().unwrap();
    assert!(error.code == Code::SettingsWrong && !error.to_string().contains("topsecret"));
}

#[test]
fn a_database_is_reached_by_tls_under_the_certificates_beside_its_address_only() {
    let folder = Folder::new(On::Postgres);
    let address = cluster::database() + "?sslmode=require";
    std::fs::write(folder.0.join(ADDRESS_FILE), &address).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/tls");
    let roots = folder.0.join(postgres::ROOTS_FILE);
    let refused = || Store::open(&folder.0).err().unwrap().code;
    assert_eq!(refused(), Code::FileFailed, "nobody is trusted unnamed");
    std::fs::copy(golden.join("second.crt"), &roots).unwrap();
    assert_eq!(refused(), Code::StoreFailed, "another certificate");
    std::fs::write(&roots, "no certificate").unwrap();
    assert_eq!(refused(), Code::FileFailed);
    std::fs::copy(golden.join("ca.crt"), &roots).unwrap();
    let store = folder.store();
    let encrypted = |store: &Store| {
        let sql = "SELECT CAST(ssl AS INTEGER) FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        store.work(|work| work.one(sql, &[])?.unwrap().number::<i64>(0)).unwrap()
    };
    assert_eq!(encrypted(&store), 1);
    store.backup(&folder.0.join("copy")).unwrap();
    std::fs::write(folder.0.join(ADDRESS_FILE), address.replace("?sslmode=require", "")).unwrap();
    assert_eq!(encrypted(&folder.store()), 0);
}

#[test]
fn a_centre_never_has_more_connections_than_its_bound() {
    let folder = Folder::new(On::Postgres);
    let store = folder.store();
    let count = || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'licencecenter' \
            AND datname = current_database()";
        store.work(|work| work.one(sql, &[])?.unwrap().number::<usize>(0)).unwrap()
    };
    let together = std::sync::Barrier::new(postgres::CONNECTIONS);
    std::thread::scope(|scope| {
        for _ in 0..postgres::CONNECTIONS {
            scope.spawn(|| store.work(|_| Ok(together.wait())).unwrap());
        }
    });
    assert_eq!(count(), postgres::CONNECTIONS);
    // More callers than that take turns.
    std::thread::scope(|scope| {
        for _ in 0..3 * postgres::CONNECTIONS {
            scope.spawn(|| store.work(|work| work.one("SELECT pg_sleep(0.01)", &[]).map(drop)).unwrap());
        }
    });
    assert_eq!(count(), postgres::CONNECTIONS);
    // A connection that the database has cut is replaced.
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'licencecenter' \
        AND datname = current_database() AND pid <> pg_backend_pid()";
    store.work(|work| work.execute(cut, &[]).map(drop)).unwrap();
    assert!((0..2 * postgres::CONNECTIONS).all(|_| store.work(|_| Ok(())).is_ok()));
}

fn a_request_under_a_key_is_done_once(on: On) {
    let folder = Folder::new(on);
    let store = folder.store();
    let repeat = |request: &str| Repeat { actor: "boss".into(), key: "1".into(), request: request.into() };
    let done = std::sync::atomic::AtomicU32::new(0);
    let once = |repeat: &Repeat, now: i64| {
        store.work(|work| {
            work.once((repeat, Time(now)), |work| {
                work.note(&Event::new(Time(now), "boss", Kind::Allowed))?;
                Ok(done.fetch_add(1, Ordering::SeqCst).to_string())
            })
        })
    };
    let refused =
        store.work(|work| work.once((&repeat("a"), Time(0)), |_| Err::<String, _>(Error::new(Code::KeyUnknown))));
    assert_eq!(refused.unwrap_err().code, Code::KeyUnknown);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4).map(|_| scope.spawn(|| once(&repeat("a"), 0).unwrap())).collect();
        let answers: Vec<String> = asking.into_iter().map(|asking| asking.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    });
    assert_eq!(once(&repeat("b"), 0).unwrap_err().code, Code::RepeatDiffers);
    assert_eq!(store.work(|work| work.latest_events(false, (0, 10))).unwrap().len(), 1);
    let later = Time(0).plus_days(31).0;
    assert!(once(&repeat("b"), later).is_ok(), "a key is remembered for a month");
}

fn unused_codes_are_found_by_their_owner(on: On) {
    let folder = Folder::new(on);
    let store = folder.store();
    let mut owned = terms(KeyType::Main);
    owned.itn = Some("7701000001".into());
    let codes = store
        .work(|work| {
            work.add_series(&SERIES, "x")?;
            work.add_codes(CRYPTO, (&SERIES, &terms(KeyType::Main)), (1, Time(0)))?;
            work.meet_customer("7701000001", None)?;
            work.put_customer(&Customer {
                itn: "7701000001".into(),
                iec: String::new(),
                name: "ООО Ромашка".into(),
                note: String::new(),
            })?;
            work.add_codes(CRYPTO, (&SERIES, &owned), (2, Time(0)))
        })
        .unwrap();
    for text in ["7701000001", "РОМАШ"] {
        let found = store.work(|work| work.find_codes(text)).unwrap();
        assert!(found.len() == 2 && found.iter().all(|sold| codes.contains(&sold.code)), "{text}");
    }
    assert!(store.work(|work| work.find_codes("%")).unwrap().is_empty());
}

fn what_refers_to_nothing_is_no_fault_of_the_store(on: On) {
    let folder = Folder::new(on);
    let store = folder.store();
    let product = Product { series: SERIES, name: "x".into(), note: String::new() };
    let refused = store.work(|work| work.put_product(&product)).unwrap_err();
    assert_eq!(refused.code, Code::RecordNotFound);
}

fn a_copy_that_fails_leaves_no_file(on: On) {
    let folder = Folder::new(on);
    let store = folder.store();
    let to = folder.0.join("copy");
    match on {
        On::Sqlite => {
            // All of it into the main file, so that this is what is read.
            let connection = rusqlite::Connection::open(folder.0.join(FILE)).unwrap();
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            drop(connection);
            std::fs::write(folder.0.join(FILE), [7; 8192]).unwrap();
        }
        On::Postgres => {
            let name: String = store
                .work(|work| work.one("SELECT current_database()::text", &[])?.unwrap().text(0).map(str::to_owned))
                .unwrap();
            let address = std::fs::read_to_string(folder.0.join(ADDRESS_FILE)).unwrap();
            let other = format!("{}/postgres", address.trim().rsplit_once('/').unwrap().0);
            let mut client = ::postgres::Client::connect(&other, ::postgres::NoTls).unwrap();
            client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
        }
    }
    assert!(store.backup(&to).is_err());
    assert!(!to.exists());
}

#[cfg(unix)]
#[test]
fn a_copy_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    for on in [On::Sqlite, On::Postgres] {
        let folder = Folder::new(on);
        let to = folder.0.join("copy");
        folder.store().backup(&to).unwrap();
        let data = std::fs::metadata(&to).unwrap();
        assert!(data.len() > 0 && data.permissions().mode() & 0o777 == 0o600, "{on:?}");
    }
}

#[test]
fn a_connection_to_a_database_that_takes_no_writes_any_more_is_replaced() {
    let folder = Folder::new(On::Postgres);
    let store = folder.store();
    store.work(|work| work.execute("SET default_transaction_read_only = on", &[]).map(drop)).unwrap();
    store.check().unwrap();
    store.work(|work| work.note(&Event::new(Time(0), "x", Kind::Allowed))).unwrap();
}

#[test]
fn of_several_hosts_the_one_that_serves_is_taken() {
    let folder = Folder::new(On::Postgres);
    let address = std::fs::read_to_string(folder.0.join(ADDRESS_FILE)).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let several = address.replace("127.0.0.1:", &format!("127.0.0.1:{nobody},127.0.0.1:"));
    std::fs::write(folder.0.join(ADDRESS_FILE), several).unwrap();
    let store = folder.store();
    store.check().unwrap();
    store.backup(&folder.0.join("copy")).unwrap();
}

#[cfg(unix)]
#[test]
fn the_store_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new(On::Sqlite);
    let _store = folder.store();
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}
