//! The settings in force: read by every request, changed when the file changes or a password is set. What the front has taken
//! at its start (addresses, limits) changes with a restart only.
//!
//! The last good settings are remembered in the data folder, so that a file that is lost opens nothing: see [`LastGood`].

use std::sync::Arc;
use std::time::Duration;

use licence::crypto::Provider;
use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::host::mark::FileMark;
use licence::host::paths::Paths;
use licence::settings::{Ini, LastGood, MAX_FILE, Remark, ServerSettings};
use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

use crate::access;

/// File of the last good settings in the data folder.
pub const LAST_GOOD: &str = "settings.state";
/// How long a change waits for another one.
const PATIENCE: Duration = Duration::from_secs(15);

/// The settings in force.
pub struct Live {
    current: RwLock<Arc<ServerSettings>>,
    crypto: Provider,
    file: Mutex<File>,
}

/// The file as last read.
struct File {
    /// Which file it was, with its size and times.
    state: Option<FileMark>,
    settings: ServerSettings,
    remarks: Arc<[Remark]>,
    last_good: LastGood,
    /// Whether they are in their file.
    saved: bool,
}

/// The file, read.
struct Reading {
    ini: Ini,
    /// What was read of it, when it was whole.
    whole: Option<String>,
    /// Why it counts as lost or cut, if it does.
    problem: Option<Remark>,
}

impl Live {
    /// Settings as the program has them from `paths`, command line included. What restricts access is that of the file as it is
    /// now, if somebody has changed it meanwhile; it is remembered.
    pub fn new(mut settings: ServerSettings, paths: &Paths, crypto: Provider) -> Live {
        let state = state(paths);
        let last_good = last_good(paths);
        let mut file = File { state, settings: settings.clone(), remarks: Arc::new([]), last_good, saved: true };
        // What is wrong with the file the program has logged.
        if let Ok(reading) = read(paths, &file.last_good) {
            let (read, mut remarks) = ServerSettings::read(&reading.ini);
            remarks.extend(reading.problem.clone());
            settings.restrict_as(&read);
            access::hash_in_memory(crypto, &mut settings);
            file.remember(&reading, &settings, paths);
            (file.settings, file.remarks) = (read, remarks.into());
        }
        Live { current: RwLock::new(Arc::new(settings)), crypto, file: Mutex::new(file) }
    }

    /// What of the file is not in force as it stands there.
    pub fn remarks(&self) -> Arc<[Remark]> {
        self.file.lock().remarks.clone()
    }

    /// The same in one sentence, without values; `None` when nothing has to be done.
    pub fn not_in_force(&self) -> Option<Error> {
        let remarks = self.remarks();
        if let Some(lost) = remarks.iter().find(|one| one.is_of_file()) {
            return Some(lost.error.clone());
        }
        let names: Vec<String> = remarks.iter().filter(|one| one.matters()).map(Remark::name).collect();
        (!names.is_empty()).then(|| Error::new(Code::SettingsNotInForce).with(names.join(", ")))
    }

    /// The settings now.
    pub fn get(&self) -> Arc<ServerSettings> {
        self.current.read().clone()
    }

    /// Changes the settings in memory.
    pub fn change(&self, edit: impl FnOnce(&mut ServerSettings)) {
        let mut current = self.current.write();
        let mut settings = ServerSettings::clone(&current);
        edit(&mut settings);
        *current = Arc::new(settings);
    }

    /// Reads the file again if it has changed; whether other settings are in force now. Says what is wrong, where the former
    /// value stays, and what only a restart can change.
    pub fn refresh(&self, paths: &Paths) -> bool {
        let mut file = self.file.lock();
        let state = state(paths);
        if file.state == state {
            file.save(paths);
            return false;
        }
        file.state = state;
        let place = paths.server_conf();
        let reading = match read(paths, &file.last_good) {
            Ok(reading) => reading,
            Err(error) => {
                log::error!("{error} The former settings stay in force.");
                file.remarks = Arc::new([Remark::of_file(error)]);
                return false;
            }
        };
        let (new, wrong) = ServerSettings::read_again(&reading.ini, &self.get());
        let mut hashed = new.clone();
        access::hash_plain_passwords(paths, self.crypto, &mut hashed);
        let mut current = self.current.write();
        let wrong: Vec<Remark> = reading.problem.clone().into_iter().chain(wrong).collect();
        tell(&wrong);
        let mut next = ServerSettings::clone(&current);
        for setting in next.change_to(hashed.clone(), &file.settings) {
            log::warn!("{}: [{}] {} takes effect after a restart", place.display(), setting.section, setting.key);
        }
        file.remember(&reading, &hashed, paths);
        file.settings = new;
        file.remarks = wrong.into();
        log::info!("{}: read again", place.display());
        let changed = **current != next;
        *current = Arc::new(next);
        changed
    }
}

impl File {
    /// Remembers what was read whole; `hashed` has no plain password.
    fn remember(&mut self, reading: &Reading, hashed: &ServerSettings, paths: &Paths) {
        let Some(text) = &reading.whole else { return };
        let good = LastGood::of(text, &reading.ini, hashed);
        if good != self.last_good {
            (self.last_good, self.saved) = (good, false);
            self.save(paths);
        }
    }

    /// Writes the last good settings down, if they are not yet.
    fn save(&mut self, paths: &Paths) {
        if self.saved {
            return;
        }
        let path = paths.data.join(LAST_GOOD);
        let text = self.last_good.write().map(Zeroizing::new);
        match text.and_then(|text| files::write_atomically(&path, text.as_bytes(), Access::Private)) {
            Ok(()) => self.saved = true,
            // Tried again in a moment.
            Err(error) => log::warn!("the settings could not be remembered: {error}"),
        }
    }
}

/// Logs remarks on the file.
pub fn tell(remarks: &[Remark]) {
    for remark in remarks {
        let level = if remark.matters() { log::Level::Error } else { log::Level::Info };
        log::log!(level, "{}", remark.error);
    }
}

/// Reads the settings of a server that starts, and what of them is not in force as it stands in the file. Where the file is gone or
/// cut, the last good settings are in force; where there never was one, defaults.
///
/// # Errors
/// When the file can't be read, or is no ini file in UTF-8.
pub fn load(paths: &Paths) -> Result<(ServerSettings, Vec<Remark>)> {
    let reading = read(paths, &last_good(paths))?;
    let (settings, remarks) = ServerSettings::read(&reading.ini);
    Ok((settings, reading.problem.into_iter().chain(remarks).collect()))
}

/// Changes the text of the settings file, one change after the other in all processes: who has been told that his change is made can
/// rely on it. The file may hold passwords, so only its owner reads it. One that is lost or cut is made whole first.
///
/// # Errors
/// Those of `change`; [`Code::FileLocked`] when another process does not get done with its change; those of files.
pub fn edit(paths: &Paths, change: impl FnOnce(String) -> Result<String>) -> Result<()> {
    static EDITING: Mutex<()> = Mutex::new(());
    let _editing = EDITING.lock();
    let path = paths.server_conf();
    files::create_folder_for(&paths.settings, &paths.data)?;
    let _lock = files::lock(&path.with_extension("conf.lock"), PATIENCE)?;
    let text = text(paths)?;
    let last_good = last_good(paths);
    let text = match last_good.complete(&path.display().to_string(), text.as_deref()) {
        Ok((_, Some(_))) => last_good.mended(&text.unwrap_or_default()),
        _ => text.unwrap_or_default(),
    };
    let text = Zeroizing::new(change(text)?);
    files::write_atomically_for(&path, text.as_bytes(), Access::Private, &paths.data)
}

fn read(paths: &Paths, last_good: &LastGood) -> Result<Reading> {
    let text = text(paths)?;
    let (ini, problem) = last_good.complete(&paths.server_conf().display().to_string(), text.as_deref())?;
    let whole = if problem.is_none() { text } else { None };
    Ok(Reading { ini, whole, problem: problem.map(Remark::of_file) })
}

/// The text of the file, `None` when there is none. A character that is cut at its end is left out.
fn text(paths: &Paths) -> Result<Option<String>> {
    let path = paths.server_conf();
    if std::fs::symlink_metadata(&path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let mut bytes = files::read(&path, MAX_FILE)?;
    if let Err(e) = std::str::from_utf8(&bytes)
        && e.error_len().is_none()
    {
        bytes.truncate(e.valid_up_to());
    }
    licence::text::with_mark(&path.display().to_string(), bytes).map(Some)
}

/// The last good settings. Where they can't be read nobody knows what was closed, so all of it is.
fn last_good(paths: &Paths) -> LastGood {
    let path = paths.data.join(LAST_GOOD);
    let read = files::read_text_if_there(&path, MAX_FILE).and_then(|text| {
        let text = text.map(Zeroizing::new);
        text.map_or(Ok(LastGood::default()), |text| LastGood::parse(&path.display().to_string(), &text))
    });
    read.unwrap_or_else(|error| {
        log::warn!("{error}");
        LastGood::closed(access::DECOY)
    })
}

fn state(paths: &Paths) -> Option<FileMark> {
    FileMark::look(&paths.server_conf()).ok()
}
