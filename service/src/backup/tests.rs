use std::fs;
use std::io::Write;
use std::path::Path;

use licence::crypto::Crypto;
use licence::crypto::ring::PROVIDER;
use licence::error::{Code, Error, Result};
use licence::identity::Identity;

use super::*;
use crate::IDENTITY_FILE;

/// A data folder, and a place for archives.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let root = std::env::temp_dir().join(format!("slk-backup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("data/old")).unwrap();
        let place = Place(root);
        let identity = Identity::generate(&PROVIDER).unwrap().write().unwrap();
        place.put(IDENTITY_FILE, identity.as_bytes());
        place
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.data().join(name), bytes).unwrap();
    }

    fn archive(&self) -> PathBuf {
        self.0.join("b.tar")
    }

    /// What the folder holds.
    fn holds(&self) -> Vec<(String, Vec<u8>)> {
        let mut held = Vec::new();
        for entry in fs::read_dir(self.data()).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name != ledger::OWNER && name != OLD {
                held.push((name, fs::read(entry.path()).unwrap_or_default()));
            }
        }
        held.sort();
        held
    }

    fn pack(&self, computer: &str) -> Result<Summary> {
        let computer = at(computer);
        pack(&self.data(), b"ledger", &self.archive(), scene(&computer), &mut |_, _| {})
    }

    fn restore(&self, archive: &Path, computer: &str, force: bool) -> Result<Summary> {
        let computer = at(computer);
        restore(&self.data(), archive, force, scene(&computer), &mut |_, _| {})
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn at(name: &str) -> Computer {
    let hash = PROVIDER.sha256(&[name.as_bytes()]);
    Computer { name: name.into(), id: Some(ComputerId(hash[..20].try_into().unwrap())) }
}

fn scene(computer: &Computer) -> Scene<'_> {
    Scene { crypto: &PROVIDER, now: Time(1_500_000_000_000), computer }
}

fn code(result: Result<Summary>) -> Code {
    result.err().map_or_else(|| panic!("it was restored"), |error| error.code)
}

#[test]
fn what_is_packed_comes_back_with_long_names_and_old_files() {
    let place = Place::new("round");
    let long = format!("{}.licence", "ключ".repeat(30));
    place.put(&long, b"long");
    place.put("old/672B.1.licence", &vec![7; 200_000]);
    let packed = place.pack("pc").unwrap();
    assert_eq!((packed.files, packed.bytes > 200_000), (4, true));
    assert_eq!(place.pack("pc").unwrap_err().code, Code::FileFailed, "nothing is written over");
    fs::remove_file(place.data().join(&long)).unwrap();
    fs::remove_file(place.data().join("old/672B.1.licence")).unwrap();
    let restored = place.restore(&place.archive(), "pc", false).unwrap();
    assert_eq!((restored.files, restored.bytes), (packed.files, packed.bytes));
    assert_eq!(fs::read(place.data().join(&long)).unwrap(), b"long");
    assert_eq!(fs::read(place.data().join("old/672B.1.licence")).unwrap().len(), 200_000);
    assert_eq!(fs::read(place.data().join(ledger::FILE)).unwrap(), b"ledger");
    assert!(!place.data().join(".restore").exists());
}

#[test]
fn a_backup_of_another_server_or_computer_is_restored_only_when_it_is_meant() {
    let (one, other, fresh) = (Place::new("one"), Place::new("other"), Place::new("fresh"));
    one.pack("first pc").unwrap();
    let before = other.holds();
    let error = other.restore(&one.archive(), "first pc", false).unwrap_err();
    assert_eq!((error.code, other.holds() == before), (Code::BackupOfOther, true), "another server");
    assert!(error.to_string().contains("first pc"), "{error}");
    fs::remove_file(fresh.data().join(IDENTITY_FILE)).unwrap();
    let error = fresh.restore(&one.archive(), "second pc", false).unwrap_err();
    assert_eq!((error.code, fresh.holds()), (Code::BackupOfOther, vec![]), "another computer");
    fresh.restore(&one.archive(), "first pc", false).unwrap();
    other.restore(&one.archive(), "second pc", true).unwrap();
    assert_eq!(fs::read(other.data().join(IDENTITY_FILE)).unwrap(), fs::read(one.data().join(IDENTITY_FILE)).unwrap());
    // A damaged identity is no other server's.
    one.put(IDENTITY_FILE, b"{");
    one.restore(&one.archive(), "first pc", false).unwrap();
}

/// An archive of these entries, as bytes; the manifest is right for them unless it is given.
fn tar_of(place: &Place, entries: &[(tar::EntryType, &str, &[u8], u64)]) -> PathBuf {
    let path = place.0.join("made.tar");
    let _ = fs::remove_file(&path);
    let identity = fs::read(place.data().join(IDENTITY_FILE)).unwrap();
    let plain = [(ledger::FILE, &b"ledger"[..]), (IDENTITY_FILE, &identity)];
    let listed = plain.iter().copied().chain(entries.iter().map(|(_, name, bytes, _)| (*name, *bytes)));
    let files = listed.map(|(name, bytes)| manifest::Packed {
        name: name.into(),
        size: bytes.len() as u64,
        sha256: licence::id::Bytes32(PROVIDER.sha256(&[bytes])),
    });
    let text = serde_json::to_vec(&manifest::Manifest::new(Time(0), &at("pc"), files.collect())).unwrap();
    let mut file = fs::File::create(&path).unwrap();
    let regular = tar::EntryType::Regular;
    let mut all = vec![(regular, manifest::FILE, &text[..], text.len() as u64)];
    all.extend(plain.iter().map(|(name, bytes)| (regular, *name, *bytes, bytes.len() as u64)));
    all.extend(entries);
    for (kind, name, bytes, size) in all {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        file.write_all(header.as_bytes()).unwrap();
        file.write_all(bytes).unwrap();
        file.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()]).unwrap();
    }
    file.write_all(&[0; 1024]).unwrap();
    path
}

#[test]
fn what_tar_knows_beside_plain_files_is_refused_and_changes_nothing() {
    use tar::EntryType as Kind;
    let place = Place::new("kinds");
    place.put("x.licence", b"present");
    let before = place.holds();
    let good = tar_of(&place, &[(Kind::Regular, "x.licence", b"restored", 8)]);
    for kind in [
        Kind::Link,
        Kind::Symlink,
        Kind::Char,
        Kind::Block,
        Kind::Directory,
        Kind::Fifo,
        Kind::Continuous,
        Kind::GNUSparse,
        Kind::GNULongLink,
        Kind::XGlobalHeader,
        Kind::XHeader,
    ] {
        let path = tar_of(&place, &[(kind, "x.licence", b"restored", 8)]);
        assert_eq!(
            (code(place.restore(&path, "pc", true)), place.holds() == before),
            (Code::BackupWrong, true),
            "{kind:?}"
        );
    }
    for (name, size) in
        [("x.licence", 1 << 40), ("x.licence", 0), ("x.licence", 7), ("x\u{1b}[2J", 8), ("../x", 8), ("/x", 8)]
    {
        let path = tar_of(&place, &[(Kind::Regular, name, b"restored", size)]);
        let error = place.restore(&path, "pc", true).unwrap_err();
        assert_eq!((error.code, place.holds() == before), (Code::BackupWrong, true), "{name:?} {size}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
    // Cut anywhere, it changes nothing.
    let whole = fs::read(tar_of(&place, &[(Kind::Regular, "x.licence", b"restored", 8)])).unwrap();
    for length in (0..whole.len() - 1536).step_by(256) {
        fs::write(&good, &whole[..length]).unwrap();
        let error: Error = place.restore(&good, "pc", true).unwrap_err();
        assert_eq!((error.code, place.holds() == before), (Code::BackupWrong, true), "{length}");
    }
    fs::write(&good, &whole).unwrap();
    place.restore(&good, "pc", false).unwrap();
    assert_eq!(fs::read(place.data().join("x.licence")).unwrap(), b"restored");
}
