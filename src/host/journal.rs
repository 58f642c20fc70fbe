//! Log files as the guide names them: `licenceserver.{YYYYMMDD-HHNNSS}.{pid}.log`, written by one process each. A full file is closed with a
//! line that names the next one, and a process keeps its last two; logs of processes that are gone are deleted at the next start
//! unless they are to be kept. A folder that can't be written is no error. Owner and group may read them, nobody else.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use log::LevelFilter;
use simplelog::{CombinedLogger, Config, ConfigBuilder, SharedLogger};

use crate::host::clock::SystemClock;
use crate::host::log_lines::logger;
use crate::host::{files, mark, os};
use crate::time::{Clock, Time};

/// A file that has reached this size, in bytes, is closed: with the one before it, a process keeps twice as much at most.
const FULL: u64 = 8 * 1024 * 1024;
/// Longest line, in bytes; what is longer is cut.
const MAX_LINE: usize = 64 * 1024;

/// Where a program writes its log.
#[derive(Debug, Clone)]
pub struct Journal<'a> {
    /// First part of the file's name: `licenceserver`, `licenceaddin`.
    pub program: &'a str,
    /// Part after the process number: the module's name for the component.
    pub module: Option<&'a str>,
    /// The folder.
    pub folder: &'a Path,
    /// Whether logs of earlier processes stay.
    pub keep_previous: bool,
    /// Whether those of the same day stay all the same.
    pub keep_current_date: bool,
    /// Also to standard error.
    pub to_terminal: bool,
}

/// Starts logging for this process; gives the file, if it could be made. A second call changes nothing.
pub fn start(journal: &Journal<'_>, now: Time, level: LevelFilter) -> Option<PathBuf> {
    let mut outputs: Vec<Box<dyn SharedLogger>> = Vec::new();
    let pages = open(journal, now);
    let path = pages.as_ref().map(Pages::path);
    let kept = pages.clone();
    if let Some(pages) = pages {
        outputs.push(logger(LevelFilter::Trace, format(), pages));
    }
    if journal.to_terminal {
        // Standard output belongs to what a command answers.
        outputs.push(logger(LevelFilter::Trace, format(), io::stderr()));
    }
    // Only the first logger of a process counts: a component may be loaded beside another of ours.
    CombinedLogger::init(outputs).ok()?;
    if let Some(pages) = kept {
        // It is the first one, as its logger is.
        let _ = STARTED.set(pages);
    }
    // The level is one of the whole process, so that it can be changed while that runs.
    log::set_max_level(level);
    path
}

/// The log of this process, once it is started.
static STARTED: OnceLock<Pages> = OnceLock::new();

/// Goes on in a file of the former name, for a program that turns logs has renamed, moved or removed the one that is open.
///
/// # Errors
/// When there can be no such file; then the open one is written on.
pub fn reopen() -> io::Result<()> {
    STARTED.get().map_or(Ok(()), |pages| pages.page().reopen())
}

/// How a line looks.
pub fn format() -> Config {
    ConfigBuilder::new().set_time_format_rfc3339().set_target_level(LevelFilter::Debug).build()
}

/// Opens the log that begins `now`, and deletes those of processes that are gone; for a program that has a logger of its own.
pub fn open(journal: &Journal<'_>, now: Time) -> Option<Pages> {
    files::create_closed_folder(journal.folder).ok()?;
    if !journal.keep_previous {
        let today = journal.keep_current_date.then(|| stamp(now).0);
        delete(journal.folder, |name, path| {
            let written = day_and_process(name, journal.program);
            written.is_some_and(|(day, pid)| today.as_deref() != Some(day) && os::writer_is_gone(pid, path))
        });
    }
    let module = journal.module.map(|module| format!(".{module}")).unwrap_or_default();
    let mut page = Page {
        folder: journal.folder.to_owned(),
        program: journal.program.to_owned(),
        rest: format!("{}{module}.log", std::process::id()),
        full: FULL,
        path: PathBuf::new(),
        began: now,
        file: None,
        written: 0,
        line: Vec::new(),
    };
    page.turn_to(now).ok()?;
    Some(Pages(Arc::new(Mutex::new(page))))
}

/// The log of this process: a line at a time goes to its file.
#[derive(Clone)]
pub struct Pages(Arc<Mutex<Page>>);

struct Page {
    folder: PathBuf,
    program: String,
    /// What stands behind the time in the names of this process's files.
    rest: String,
    full: u64,
    path: PathBuf,
    began: Time,
    /// `None` after a failure to go on: then nothing is written any more.
    file: Option<File>,
    written: u64,
    line: Vec<u8>,
}

impl Pages {
    /// The file that is written now.
    pub fn path(&self) -> PathBuf {
        self.page().path.clone()
    }

    /// When it was begun.
    pub fn began(&self) -> Time {
        self.page().began
    }

    /// The last lines, `limit` bytes at most.
    pub fn tail(&self, limit: u64) -> io::Result<String> {
        let page = self.page();
        let mut text = end_of(&page.path, limit)?;
        let room = limit.saturating_sub(text.len() as u64);
        if room > 0
            && let Some(former) = page.former()
            // It may be gone by now, which leaves the rest.
            && let Ok(mut before) = end_of(&former, room)
        {
            before.append(&mut text);
            text = before;
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn page(&self) -> std::sync::MutexGuard<'_, Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut page = self.page();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MAX_LINE.saturating_sub(page.line.len());
            page.line.extend(part.iter().take(room));
            if part.ends_with(b"\n") {
                page.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn end_line(&mut self) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        self.put(&line)?;
        line.clear();
        // Its room is used again.
        self.line = line;
        if self.written < self.full {
            return Ok(());
        }
        let now = SystemClock.now().wall;
        let next = self.name(now);
        // Two files of one second would be one: it goes on until the second is over.
        if self.folder.join(&next) == self.path {
            return Ok(());
        }
        self.put(format!("continued in {next}\n").as_bytes())?;
        let former = self.path.clone();
        self.turn_to(now)?;
        let own = std::process::id();
        delete(&self.folder, |name, path| {
            self.is_own(name) && path != self.path && path != former && !os::writer_is_gone(own, path)
        });
        Ok(())
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all(line)?;
        self.written = self.written.saturating_add(line.len() as u64);
        Ok(())
    }

    /// Goes on in the file that begins `now`.
    fn turn_to(&mut self, now: Time) -> io::Result<()> {
        self.path = self.folder.join(self.name(now));
        self.file = None;
        let file = files::open_log(&self.path)?;
        self.written = file.metadata()?.len();
        (self.file, self.began) = (Some(file), now);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|file| mark::is_at(file, &self.path).unwrap_or(false)) {
            return Ok(());
        }
        if !self.folder.is_dir() {
            files::create_closed_folder(&self.folder).map_err(io::Error::other)?;
        }
        let file = files::open_log(&self.path)?;
        self.written = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn name(&self, now: Time) -> String {
        let (date, time) = stamp(now);
        format!("{}.{date}-{time}.{}", self.program, self.rest)
    }

    fn is_own(&self, name: &str) -> bool {
        let rest = name.strip_prefix(self.program.as_str()).and_then(|rest| rest.strip_prefix('.'));
        rest.and_then(|rest| rest.split_once('.')).is_some_and(|(_, rest)| rest == self.rest)
    }

    /// The file before the one that is written now.
    fn former(&self) -> Option<PathBuf> {
        let others = fs::read_dir(&self.folder).ok()?.flatten().map(|entry| entry.path());
        let own =
            others.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| self.is_own(name)));
        own.filter(|path| *path < self.path).max()
    }
}

/// Date and time as names of logs have them: 2018-04-02T20:41:13.272Z is 20180402 and 204113.
fn stamp(now: Time) -> (String, String) {
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let (date, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    (date.to_owned(), time.to_owned())
}

/// The whole lines at the end of a file, `limit` bytes at most; nothing of a file that is not there.
fn end_of(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = match files::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let start = file.metadata()?.len().saturating_sub(limit);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    if start > 0 {
        let first = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        bytes.drain(..first);
    }
    Ok(bytes)
}

fn delete(folder: &Path, which: impl Fn(&str, &Path) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        if name.to_str().is_some_and(|name| which(name, &path)) {
            // A log that can't be deleted is tried again at the next start.
            let _ = fs::remove_file(path);
        }
    }
}

/// Day and process number in a log's name, if it is a log of `program`.
fn day_and_process<'a>(name: &'a str, program: &str) -> Option<(&'a str, u32)> {
    let mut parts = name.strip_suffix(".log")?.strip_prefix(program)?.strip_prefix('.')?.split('.');
    let stamp = parts.next().filter(|stamp| stamp.len() == 15)?;
    Some((stamp.split_once('-')?.0, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("slk-journal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn journal(folder: &Path) -> Journal<'_> {
        Journal {
            program: "p",
            module: Some("v8_3F2F_d"),
            folder,
            keep_previous: false,
            keep_current_date: false,
            to_terminal: false,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    const BEGIN: &str = "2018-04-02T20:41:13.272Z";

    #[test]
    fn a_log_is_named_by_time_process_and_module() {
        let folder = folder("names");
        let pages = open(&journal(&folder), BEGIN.parse().unwrap()).unwrap();
        let name = format!("p.20180402-204113.{}.v8_3F2F_d.log", std::process::id());
        assert_eq!((pages.path(), names(&folder)), (folder.join(&name), vec![name.clone()]));
        assert_eq!(day_and_process(&name, "p"), Some(("20180402", std::process::id())));
        assert_eq!(day_and_process(&name, "licenceserver"), None);
        assert_eq!(day_and_process("licenceserver.conf", "licenceserver"), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn only_logs_of_processes_that_are_gone_are_deleted_even_if_their_number_is_used_again() {
        let folder = folder("gone");
        // Process numbers stay below 2^22 on Linux, so this one can't live.
        let gone = "p.20180402-204113.4294967294.log";
        let own = std::process::id();
        let (lives, again) = (format!("p.20180402-204113.{own}.log"), format!("p.20170402-204113.{own}.v8_3F2F_d.log"));
        let others = ["p.conf", "q.20180402-204113.4294967294.log"];
        for name in [gone, &lives, &again, others[0], others[1]] {
            fs::write(folder.join(name), "").unwrap();
        }
        let before = SystemTime::now() - Duration::from_secs(1_000_000);
        File::options().write(true).open(folder.join(&again)).unwrap().set_modified(before).unwrap();
        let kept = Journal { keep_previous: true, ..journal(&folder) };
        open(&kept, BEGIN.parse().unwrap()).unwrap();
        assert_eq!(names(&folder).len(), 6, "earlier logs are to be kept");
        let today = Journal { keep_current_date: true, ..journal(&folder) };
        open(&today, BEGIN.parse().unwrap()).unwrap();
        assert!(folder.join(gone).exists(), "of the same day");
        open(&journal(&folder), BEGIN.parse().unwrap()).unwrap();
        let left = names(&folder);
        if cfg!(target_os = "linux") {
            assert!(!left.contains(&gone.to_owned()) && !left.contains(&again), "{left:?}");
        }
        assert!(left.contains(&lives) && others.iter().all(|name| left.contains(&(*name).to_owned())), "{left:?}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_full_file_names_the_next_one_and_the_one_before_it_goes() {
        let folder = folder("full");
        let mut pages = open(&journal(&folder), BEGIN.parse().unwrap()).unwrap();
        pages.page().full = 100;
        let first = pages.path();
        writeln!(pages, "{}", "a".repeat(120)).unwrap();
        let second = pages.path();
        assert_ne!(first, second);
        let text = fs::read_to_string(&first).unwrap();
        let name = second.file_name().unwrap().to_str().unwrap();
        assert!(text.ends_with(&format!("continued in {name}\n")), "{text}");
        // As if the second file were an hour old.
        let older = folder.join(pages.page().name("2018-04-02T21:41:13Z".parse().unwrap()));
        fs::rename(&second, &older).unwrap();
        pages.page().path = older.clone();
        writeln!(pages, "{}", "b".repeat(120)).unwrap();
        assert!(!first.exists() && older.exists());
        write!(pages, "line ").unwrap();
        assert_eq!(fs::read_to_string(pages.path()).unwrap(), "", "a line is written whole");
        writeln!(pages, "of two parts").unwrap();
        assert!(pages.tail(1000).unwrap().ends_with("line of two parts\n"));
        assert!(pages.tail(1000).unwrap().starts_with("bbb"), "the former file goes before");
        assert_eq!(pages.tail(30).unwrap(), "line of two parts\n", "whole lines only");
        writeln!(pages, "{}", "c".repeat(2 * MAX_LINE)).unwrap();
        assert!(fs::metadata(pages.path()).unwrap().len() < MAX_LINE as u64 + 100);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_no_error() {
        let file = std::env::temp_dir().join(format!("slk-journal-file-{}", std::process::id()));
        fs::write(&file, "").unwrap();
        assert!(open(&journal(&file), BEGIN.parse().unwrap()).is_none());
        fs::remove_file(&file).unwrap();
    }
}
