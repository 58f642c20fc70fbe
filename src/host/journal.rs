//! Log files as the guide names them: `licenceserver.{YYYYMMDD-HHNNSS}.{pid}.log`, one per process. Logs of processes that
//! are gone are deleted at the next start unless they are to be kept. A folder that can't be written is no error.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use log::LevelFilter;
use simplelog::{CombinedLogger, ConfigBuilder, SharedLogger, WriteLogger};

use crate::host::os;
use crate::time::Time;

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
    let config = ConfigBuilder::new().set_time_format_rfc3339().set_target_level(LevelFilter::Debug).build();
    let mut outputs: Vec<Box<dyn SharedLogger>> = Vec::new();
    let file = open(journal, now);
    let path = file.as_ref().map(|(path, _)| path.clone());
    if let Some((_, file)) = file {
        outputs.push(WriteLogger::new(LevelFilter::Trace, config.clone(), file));
    }
    if journal.to_terminal {
        // Standard output belongs to what a command answers.
        outputs.push(WriteLogger::new(LevelFilter::Trace, config, std::io::stderr()));
    }
    // Only the first logger of a process counts: a component may be loaded beside another of ours.
    CombinedLogger::init(outputs).ok()?;
    // The level is one of the whole process, so that it can be changed while that runs.
    log::set_max_level(level);
    path
}

/// Opens the log's file, and deletes those of processes that are gone; for a program that has a logger of its own.
pub fn open(journal: &Journal<'_>, now: Time) -> Option<(PathBuf, File)> {
    fs::create_dir_all(journal.folder).ok()?;
    if !journal.keep_previous {
        let today = journal.keep_current_date.then(|| stamp(now).0);
        delete_previous(journal.folder, journal.program, today.as_deref());
    }
    let path = journal.folder.join(file_name(journal, now, std::process::id()));
    let file = OpenOptions::new().create(true).append(true).open(&path).ok()?;
    Some((path, file))
}

fn file_name(journal: &Journal<'_>, now: Time, pid: u32) -> String {
    let (date, time) = stamp(now);
    let module = journal.module.map(|module| format!(".{module}")).unwrap_or_default();
    format!("{}.{date}-{time}.{pid}{module}.log", journal.program)
}

/// Date and time as names of logs have them: 2018-04-02T20:41:13.272Z is 20180402 and 204113.
fn stamp(now: Time) -> (String, String) {
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let (date, time) = digits.split_at_checked(8).unwrap_or((&digits, ""));
    (date.to_owned(), time.to_owned())
}

/// Deletes logs of processes that are gone, but those of the day `kept`.
fn delete_previous(folder: &Path, program: &str, kept: Option<&str>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((date, pid)) = name.to_str().and_then(|name| day_and_process(name, program)) else { continue };
        if kept != Some(date) && pid != std::process::id() && !os::process_lives(pid) {
            // A log that can't be deleted is tried again at the next start.
            let _ = fs::remove_file(entry.path());
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
    use super::*;

    #[test]
    fn a_log_is_named_by_time_process_and_module() {
        let journal = Journal {
            program: "licenceaddin",
            module: Some("v8_3F2F_d"),
            folder: Path::new("."),
            keep_previous: false,
            keep_current_date: false,
            to_terminal: false,
        };
        let name = file_name(&journal, "2018-04-02T20:41:13.272Z".parse().unwrap(), 77);
        assert_eq!(name, "licenceaddin.20180402-204113.77.v8_3F2F_d.log");
        assert_eq!(day_and_process(&name, "licenceaddin"), Some(("20180402", 77)));
        assert_eq!(day_and_process(&name, "licenceserver"), None);
        assert_eq!(day_and_process("licenceserver.conf", "licenceserver"), None);
    }

    #[test]
    fn only_logs_of_processes_that_are_gone_are_deleted() {
        let folder = std::env::temp_dir().join(format!("slk-journal-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // Process numbers stay below 2^22 on Linux, so this one can't live.
        let (gone, lives) =
            ("p.20180402-204113.4294967294.log", format!("p.20180402-204113.{}.log", std::process::id()));
        for name in [gone, &lives, "p.conf", "q.20180402-204113.4294967294.log"] {
            fs::write(folder.join(name), "").unwrap();
        }
        delete_previous(&folder, "p", Some("20180402"));
        assert!(folder.join(gone).exists(), "of the same day");
        delete_previous(&folder, "p", Some("20180403"));
        assert_eq!(folder.join(gone).exists(), !cfg!(target_os = "linux"));
        assert!(folder.join(&lives).exists() && folder.join("p.conf").exists());
        assert!(folder.join("q.20180402-204113.4294967294.log").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
