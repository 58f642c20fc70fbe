use licence::identity::Identity;
use licence::key::KeyType;

use super::*;
use crate::CRYPTO;
use crate::rules::tests::{SERIES, activate, request, terms};
use crate::terms::Terms;

/// The request of `machine` for `code`, claimed.
fn claim(
    store: &Store,
    identity: &Identity,
    (machine, code): (&str, ActivationCode),
    now: Time,
    judge: &dyn Fn(&Sold) -> Result<()>,
) -> Result<Activation> {
    let asked = activate(code);
    store.claim((&request(identity, machine, asked.clone()), &asked, code), now, judge)
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("slk-centre-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn with_codes(folder: &Folder, count: u32) -> (Store, Vec<licence::code::ActivationCode>) {
    let store = Store::open(&folder.0).unwrap();
    store.add_series(&SERIES, "Товар").unwrap();
    let codes = store.add_codes(CRYPTO, &SERIES, &terms(KeyType::Main), (count, Time(5))).unwrap();
    (store, codes)
}

fn allow(_: &Sold) -> Result<()> {
    Ok(())
}

#[test]
fn key_numbers_are_unique_and_grow_and_a_repeated_claim_gives_the_same() {
    let folder = Folder::new("numbers");
    let (store, codes) = with_codes(&folder, 3);
    let identity = Identity::generate(CRYPTO).unwrap();
    let mut numbers = Vec::new();
    for code in &codes {
        let first = claim(&store, &identity, ("a", *code), Time(7), &allow).unwrap();
        let refuse = |_: &Sold| Err(Error::new(Code::KeyRuleViolated));
        let again = claim(&store, &identity, ("a", *code), Time(9), &refuse).unwrap();
        assert_eq!(Activation { repeated: false, sold: first.sold.clone(), ..again.clone() }, first);
        assert!(again.repeated && again.sold.state == State::Used);
        numbers.push((first.key_no, first.reg_no));
    }
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 3)]);
    let listed = store.codes(Some(SERIES.key_id)).unwrap();
    assert_eq!(listed.iter().map(|code| code.activated).collect::<Vec<_>>(), [1, 2, 3].map(|no| Some((no, Time(7)))));
    assert!(store.codes(Some(KeyId(1))).unwrap().is_empty());
}

#[test]
fn another_identity_or_machine_does_not_get_a_used_code() {
    let folder = Folder::new("used");
    let (store, codes) = with_codes(&folder, 1);
    let (ours, other) = (Identity::generate(CRYPTO).unwrap(), Identity::generate(CRYPTO).unwrap());
    claim(&store, &ours, ("a", codes[0]), Time(7), &allow).unwrap();
    for (identity, machine) in [(&other, "a"), (&ours, "b")] {
        let refused = claim(&store, identity, (machine, codes[0]), Time(7), &allow).unwrap_err();
        assert_eq!(refused.code, Code::CodeUsed);
    }
}

#[test]
fn a_refused_claim_spends_nothing() {
    let folder = Folder::new("refused");
    let (store, codes) = with_codes(&folder, 1);
    let identity = Identity::generate(CRYPTO).unwrap();
    let refuse = |_: &Sold| Err(Error::new(Code::KeyRuleViolated));
    assert_eq!(claim(&store, &identity, ("a", codes[0]), Time(7), &refuse).unwrap_err().code, Code::KeyRuleViolated);
    assert_eq!(store.codes(None).unwrap()[0].sold.state, State::New);
    assert_eq!(claim(&store, &identity, ("a", codes[0]), Time(7), &allow).unwrap().key_no, 1);
}

#[test]
fn of_many_machines_at_the_same_time_one_wins() {
    let folder = Folder::new("race");
    let (_, codes) = with_codes(&folder, 1);
    let won = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Each with a connection of its own, as several processes would have.
                let store = Store::open(&folder.0).unwrap();
                let identity = Identity::generate(CRYPTO).unwrap();
                match claim(&store, &identity, ("a", codes[0]), Time(7), &allow) {
                    Ok(_) => drop(won.fetch_add(1, std::sync::atomic::Ordering::SeqCst)),
                    Err(error) => assert_eq!(error.code, Code::CodeUsed),
                }
            });
        }
    });
    assert_eq!(won.into_inner(), 1);
}

#[test]
fn the_licence_that_was_kept_first_counts() {
    let folder = Folder::new("kept");
    let (store, codes) = with_codes(&folder, 1);
    let identity = Identity::generate(CRYPTO).unwrap();
    let activation = claim(&store, &identity, ("a", codes[0]), Time(7), &allow).unwrap();
    assert_eq!(store.keep_licence(&activation, "one").unwrap(), "one");
    assert_eq!(store.keep_licence(&activation, "two").unwrap(), "one");
    assert_eq!(claim(&store, &identity, ("a", codes[0]), Time(8), &allow).unwrap().licence.as_deref(), Some("one"));
}

#[test]
fn a_blocked_code_is_refused_even_to_its_owner_and_an_unknown_one_is_told_so() {
    let folder = Folder::new("blocked");
    let (store, codes) = with_codes(&folder, 1);
    let identity = Identity::generate(CRYPTO).unwrap();
    claim(&store, &identity, ("a", codes[0]), Time(7), &allow).unwrap();
    assert_eq!(store.block(codes[0]).unwrap(), State::Used);
    assert_eq!(claim(&store, &identity, ("a", codes[0]), Time(7), &allow).unwrap_err().code, Code::CodeBlocked);
    let unknown = "00000000000000000098".parse().unwrap();
    assert_eq!(claim(&store, &identity, ("a", unknown), Time(7), &allow).unwrap_err().code, Code::CodeUnknown);
    assert_eq!(store.block(unknown).unwrap_err().code, Code::CodeUnknown);
}

#[test]
fn codes_of_a_series_that_the_store_does_not_know_are_not_made() {
    let folder = Folder::new("unknown");
    let store = Store::open(&folder.0).unwrap();
    let error = store.add_codes(CRYPTO, &SERIES, &terms(KeyType::Main), (1, Time(5))).unwrap_err();
    assert_eq!(error.code, Code::RecordNotFound);
    let useless = Terms { licence_count: 0, ..terms(KeyType::Main) };
    assert_eq!(store.add_codes(CRYPTO, &SERIES, &useless, (1, Time(5))).unwrap_err().code, Code::BadRequest);
}

#[test]
fn a_newer_store_or_a_foreign_file_is_left_alone() {
    let folder = Folder::new("newer");
    drop(Store::open(&folder.0).unwrap());
    let raw = Connection::open(folder.0.join(FILE)).unwrap();
    raw.pragma_update(None, "user_version", SCHEMA + 1).unwrap();
    assert_eq!(Store::open(&folder.0).err().unwrap().code, Code::StoreVersion);
    raw.pragma_update(None, "application_id", 1).unwrap();
    assert_eq!(Store::open(&folder.0).err().unwrap().code, Code::StoreDamaged);
    drop(raw);
    std::fs::write(
        folder.0.join(FILE),
        "no database, but a text that is long enough to be looked at as one".repeat(99),
    )
    .unwrap();
    assert_eq!(Store::open(&folder.0).err().unwrap().code, Code::StoreDamaged);
}

#[cfg(unix)]
#[test]
fn the_store_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("rights");
    let (_store, _) = with_codes(&folder, 1);
    for entry in std::fs::read_dir(&folder.0).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
    }
}
