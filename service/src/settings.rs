//! The settings in force: read by every request, changed when the file changes or a password is set. What the front has taken
//! at its start (addresses, limits) changes with a restart only.

use std::sync::Arc;
use std::time::SystemTime;

use licence::error::{Code, Error, Result};
use licence::host::files::{self, Access};
use licence::host::paths::Paths;
use licence::settings::{Ini, MAX_FILE, Remark, ServerSettings};
use parking_lot::{Mutex, RwLock};
use zeroize::Zeroizing;

/// The settings in force.
pub struct Live {
    current: RwLock<Arc<ServerSettings>>,
    file: Mutex<File>,
}

/// The file as last read.
struct File {
    /// Its time and size.
    state: Option<(SystemTime, u64)>,
    settings: ServerSettings,
    remarks: Arc<[Remark]>,
}

impl Live {
    /// Settings as the program has them from `paths`, command line included.
    pub fn new(settings: ServerSettings, paths: &Paths) -> Live {
        let state = state(paths);
        // What is wrong with the file the program has logged.
        let (file, remarks) = load(paths).unwrap_or_else(|_| (settings.clone(), Vec::new()));
        let file = File { state, settings: file, remarks: remarks.into() };
        Live { current: RwLock::new(Arc::new(settings)), file: Mutex::new(file) }
    }

    /// What of the file is not in force as it stands there.
    pub fn remarks(&self) -> Arc<[Remark]> {
        self.file.lock().remarks.clone()
    }

    /// The same in one sentence, without values; `None` when nothing has to be done.
    pub fn not_in_force(&self) -> Option<Error> {
        let names: Vec<String> = self.remarks().iter().filter(|one| one.matters()).map(Remark::name).collect();
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
            return false;
        }
        file.state = state;
        let place = paths.server_conf();
        let ini = match read(paths) {
            Ok(ini) => ini,
            Err(error) => {
                log::error!("{error} The former settings stay in force.");
                return false;
            }
        };
        let mut current = self.current.write();
        let (new, wrong) = ServerSettings::read_again(&ini, &current);
        tell(&wrong);
        let mut next = ServerSettings::clone(&current);
        for setting in next.change_to(new.clone(), &file.settings) {
            log::warn!("{}: [{}] {} takes effect after a restart", place.display(), setting.section, setting.key);
        }
        file.settings = new;
        file.remarks = wrong.into();
        log::info!("{}: read again", place.display());
        let changed = **current != next;
        *current = Arc::new(next);
        changed
    }
}

/// Logs remarks on the file.
pub fn tell(remarks: &[Remark]) {
    for remark in remarks {
        let level = if remark.matters() { log::Level::Error } else { log::Level::Info };
        log::log!(level, "{}", remark.error);
    }
}

/// Reads the settings of a server that starts, and what of them is not in force as it stands in the file; without a file they have their defaults.
///
/// # Errors
/// When the file can't be read, or is no ini file in UTF-8.
pub fn load(paths: &Paths) -> Result<(ServerSettings, Vec<Remark>)> {
    read(paths).map(|ini| ServerSettings::read(&ini))
}

/// Changes the text of the settings file, one change after the other. It may hold passwords, so only its owner reads it.
pub fn edit(paths: &Paths, change: impl FnOnce(String) -> Result<String>) -> Result<()> {
    static EDITING: Mutex<()> = Mutex::new(());
    let _editing = EDITING.lock();
    let path = paths.server_conf();
    let text = files::read_text_if_there(&path, MAX_FILE)?.unwrap_or_default();
    let text = Zeroizing::new(change(text)?);
    files::create_folder(&paths.settings)?;
    files::write_atomically(&path, text.as_bytes(), Access::Private)
}

fn read(paths: &Paths) -> Result<Ini> {
    let path = paths.server_conf();
    let text = files::read_text_if_there(&path, MAX_FILE)?.unwrap_or_default();
    Ini::parse(&path.display().to_string(), &text)
}

fn state(paths: &Paths) -> Option<(SystemTime, u64)> {
    let facts = std::fs::metadata(paths.server_conf()).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}
