//! The component's log: one file per process in the guide's folders, open while any object has started a series.
//! Never an error to 1C, and nothing left behind when the last object goes.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use licence::host::clock::SystemClock;
use licence::host::journal::{self, Journal};
use licence::host::paths::Paths;
use licence::time::{Clock, Time};
use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};

use super::process;

static OPEN: Mutex<Open> = Mutex::new(Open { writers: 0, file: None });

struct Open {
    writers: usize,
    file: Option<(PathBuf, Box<WriteLogger<File>>)>,
}

/// Keeps the log open.
pub struct Writing(());

impl Writing {
    /// Opens the log, if it is not open yet and can be.
    pub fn start(paths: &Paths, keep_previous: bool) -> Writing {
        let mut open = locked();
        open.writers += 1;
        if open.file.is_none() {
            open.file = file(paths, keep_previous);
            // Fails only when there is a logger already: it is this one.
            let _ = log::set_logger(&Forward);
            log::set_max_level(LevelFilter::Info);
        }
        Writing(())
    }

    /// The log's file.
    pub fn path(&self) -> Option<PathBuf> {
        locked().file.as_ref().map(|(path, _)| path.clone())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut open = locked();
        open.writers -= 1;
        if open.writers == 0 {
            log::set_max_level(LevelFilter::Off);
            open.file = None;
        }
    }
}

fn locked() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file(paths: &Paths, keep_previous: bool) -> Option<(PathBuf, Box<WriteLogger<File>>)> {
    // Objects come and go; all of a process write one file.
    static STARTED: OnceLock<Time> = OnceLock::new();
    let own = paths.user_logs().filter(|_| !process::is_web_server());
    let folder = own.unwrap_or_else(|| paths.logs());
    let module = process::module();
    let module = module.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let journal = Journal {
        program: "licenceaddin",
        module: module.as_deref(),
        folder: &folder,
        keep_previous,
        keep_current_date: false,
        to_terminal: false,
    };
    let (path, file) = journal::open(&journal, *STARTED.get_or_init(|| SystemClock.now().wall))?;
    let config = ConfigBuilder::new().set_time_format_rfc3339().set_target_level(LevelFilter::Debug).build();
    Some((path, WriteLogger::new(LevelFilter::Info, config, file)))
}

struct Forward;

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries that we use have their own words, and may quote what passes through them.
        metadata.target().starts_with("licence")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata())
            && let Some((_, file)) = &locked().file
        {
            file.log(record);
        }
    }

    fn flush(&self) {}
}
