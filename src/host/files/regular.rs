//! Opening regular files and nothing else: a pipe, device, socket or folder in the place of a file would make a program wait
//! for ever or act on what it must not touch. What counts is what was opened, not what a look before has shown.

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::path::Path;

use super::owner;

/// What lies in the place of a file, in Russian and English.
#[derive(Debug, Clone, Copy)]
pub(super) struct NotRegular(pub(super) [&'static str; 2]);

impl fmt::Display for NotRegular {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a regular file but {}", self.0[1])
    }
}

impl std::error::Error for NotRegular {}

/// Opens a regular file for reading, at once. Links are followed to what they name.
///
/// # Errors
/// Those of the system; one for anything that is no regular file, which [`super::failed`] knows.
pub fn open(path: &Path) -> io::Result<File> {
    checked(path, Links::Followed, at_once(OpenOptions::new().read(true), Links::Followed).open(path))
}

/// Makes a file that must not be there yet. What root makes belongs to whom the folder belongs.
///
/// # Errors
/// Those of the system: [`io::ErrorKind::AlreadyExists`] for whatever has the name, a link too.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = with_mode(OpenOptions::new().read(true).write(true).create_new(true), mode).open(path)?;
    owner::inherit(&file, super::folder_of(path), None);
    Ok(file)
}

/// Opens a file of the program's own for reading and writing, which only its owner may read; makes it when there is none.
/// A link in its place is refused.
///
/// # Errors
/// Those of [`open`] and [`create_new`].
pub fn open_private(path: &Path) -> io::Result<File> {
    open_or_create(path, OpenOptions::new().read(true).write(true), 0o600)
}

/// Opens a file to write at its end, which its group may read; makes it when there is none. A link in its place is refused.
///
/// # Errors
/// Those of [`open`] and [`create_new`].
pub fn open_log(path: &Path) -> io::Result<File> {
    open_or_create(path, OpenOptions::new().append(true), 0o640)
}

/// Opens a file that is there, in the way of `options`; a link in its place is refused.
pub(super) fn open_existing(path: &Path, options: &OpenOptions) -> io::Result<File> {
    checked(path, Links::Refused, at_once(&mut options.clone(), Links::Refused).open(path))
}

pub(super) fn open_or_create(path: &Path, options: &OpenOptions, mode: u32) -> io::Result<File> {
    loop {
        match with_mode(options.clone().create_new(true), mode).open(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                let file = made?;
                owner::inherit(&file, super::folder_of(path), None);
                return Ok(file);
            }
        }
        match open_existing(path, options) {
            // It has gone since.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Ok(file) => {
                owner::mend(&file, super::folder_of(path));
                return Ok(file);
            }
            failed => return failed,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Links {
    Followed,
    Refused,
}

/// Opening and reading never wait for somebody else, and no terminal becomes that of the program.
#[cfg(unix)]
fn at_once(options: &mut OpenOptions, links: Links) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let links = if links == Links::Refused { libc::O_NOFOLLOW } else { 0 };
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | links)
}

#[cfg(not(unix))]
fn at_once(options: &mut OpenOptions, _links: Links) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn with_mode(options: &mut OpenOptions, mode: u32) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, mode)
}

#[cfg(not(unix))]
fn with_mode(options: &mut OpenOptions, _mode: u32) -> &mut OpenOptions {
    options
}

/// The file that was opened, if it is a regular one.
fn checked(path: &Path, links: Links, opened: io::Result<File>) -> io::Result<File> {
    let kind = match &opened {
        Ok(file) => file.metadata()?.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return opened,
        // A socket, a link that is refused, and on some systems a folder can't even be opened.
        Err(_) => {
            let facts = if links == Links::Followed { fs::metadata(path) } else { fs::symlink_metadata(path) };
            let Ok(facts) = facts else { return opened };
            facts.file_type()
        }
    };
    if kind.is_file() { opened } else { Err(io::Error::other(NotRegular(name(kind)))) }
}

fn name(kind: FileType) -> [&'static str; 2] {
    if kind.is_dir() {
        return ["папка", "a folder"];
    }
    if kind.is_symlink() {
        return ["ссылка", "a link"];
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return ["канал (FIFO)", "a pipe (FIFO)"];
        }
        if kind.is_socket() {
            return ["сокет", "a socket"];
        }
    }
    ["устройство", "a device"]
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::super::failed;
    use super::*;
    use crate::error::Code;

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let folder = std::env::temp_dir().join(format!("slk-regular-{}", std::process::id()));
        fs::create_dir_all(folder.join("folder")).unwrap();
        let at = |name: &str| folder.join(name);
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink(at("pipe"), at("to pipe")).unwrap();
        symlink("/dev/tty", at("device")).unwrap();
        fs::write(at("file"), "x").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("none"), at("dangling")).unwrap();
        for name in ["folder", "pipe", "socket", "to pipe", "device"] {
            for opened in [open(&at(name)), open_private(&at(name)), open_log(&at(name))] {
                let error = failed(&at(name), &opened.unwrap_err());
                assert_eq!(error.code, Code::NotRegularFile, "{name}: {error}");
            }
        }
        assert!(open(&at("file")).is_ok() && open(&at("link")).is_ok());
        assert_eq!(open(&at("dangling")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(open_private(&at("link")).is_err() && open_log(&at("dangling")).is_err(), "a link to write through");
        assert!(!at("none").exists());
        assert!(open_private(&at("new")).is_ok() && open_private(&at("new")).is_ok());
        assert_eq!(create_new(&at("new"), 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_dir_all(&folder).unwrap();
    }
}
