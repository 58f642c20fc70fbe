//! The component's log: files of this process in the guide's folder, open while any object has started a series.
//! Never an error to 1C, and nothing left behind in memory when the last object goes.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use licence::error::{Code, Error, Result};
use licence::host::clock::SystemClock;
use licence::host::journal::{self, Journal, Pages};
use licence::host::log_lines::logger;
use licence::host::paths::Paths;
use licence::time::{Clock, Time};
use log::{LevelFilter, Log, Metadata, Record};

use super::process;

/// How much of its end 1C code may read, in bytes.
const TAIL: u64 = 64 * 1024;

static OPEN: Mutex<Open> = Mutex::new(Open { writers: 0, began: None, file: None });

struct Open {
    writers: usize,
    /// When the last file was begun: objects come and go, and go on in that file.
    began: Option<Time>,
    file: Option<(Pages, Box<dyn Log>)>,
}

/// Keeps the log open.
pub struct Writing(());

impl Writing {
    /// Opens the log, if it is not open yet and can be.
    pub fn start(paths: &Paths, keep_previous: bool) -> Writing {
        let mut open = locked();
        open.writers += 1;
        if open.file.is_none() {
            let began = *open.began.get_or_insert_with(|| SystemClock.now().wall);
            open.file = file(paths, keep_previous, began);
            // Fails only when there is a logger already: it is this one.
            let _ = log::set_logger(&Forward);
            log::set_max_level(LevelFilter::Info);
        }
        Writing(())
    }

    /// The log's file.
    pub fn path(&self) -> Option<PathBuf> {
        locked().file.as_ref().map(|(pages, _)| pages.path())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut open = locked();
        open.writers -= 1;
        if open.writers == 0 {
            log::set_max_level(LevelFilter::Off);
            open.began = open.file.take().map(|(pages, _)| pages.began()).or(open.began);
        }
    }
}

/// The last lines; nothing while no log is open.
pub fn tail() -> Result<String> {
    let pages = locked().file.as_ref().map(|(pages, _)| pages.clone());
    let text = pages.map(|pages| pages.tail(TAIL)).transpose();
    text.map(Option::unwrap_or_default).map_err(|e| Error::new(Code::LogUnreadable).with(e))
}

fn locked() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file(paths: &Paths, keep_previous: bool, began: Time) -> Option<(Pages, Box<dyn Log>)> {
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
    let pages = journal::open(&journal, began)?;
    let writer = logger(LevelFilter::Info, journal::format(), pages.clone());
    Some((pages, writer))
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
