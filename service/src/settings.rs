//! The settings in force: read by every request, changed when the file changes or a password is set. Address and port are
//! the front's and change with a restart only.

use std::sync::Arc;
use std::time::SystemTime;

use licence::error::Result;
use licence::host::files;
use licence::host::paths::Paths;
use licence::settings::{Ini, MAX_FILE, ServerSettings};
use parking_lot::{Mutex, RwLock};

/// The settings in force.
pub struct Live {
    current: RwLock<Arc<ServerSettings>>,
    /// Time and size of the file as last read.
    read: Mutex<Option<(SystemTime, u64)>>,
}

impl Live {
    /// Settings as the program has read them from `paths`.
    pub fn new(settings: ServerSettings, paths: &Paths) -> Live {
        Live { current: RwLock::new(Arc::new(settings)), read: Mutex::new(changed(paths)) }
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

    /// Reads the file again if it has changed; whether other settings are in force now. Wrong ones are reported once and the
    /// former ones stay.
    pub fn refresh(&self, paths: &Paths) -> bool {
        let mut read = self.read.lock();
        let now = changed(paths);
        if *read == now {
            return false;
        }
        *read = now;
        match load(paths) {
            Ok(settings) => {
                log::info!("{}: read again", paths.server_conf().display());
                let mut current = self.current.write();
                *current = Arc::new(ServerSettings { address: current.address, port: current.port, ..settings });
                true
            }
            Err(error) => {
                log::error!("{error} The former settings stay in force.");
                false
            }
        }
    }
}

/// Reads the settings of a server; without a file they have their defaults.
pub fn load(paths: &Paths) -> Result<ServerSettings> {
    let path = paths.server_conf();
    let text = files::read_text_if_there(&path, MAX_FILE)?.unwrap_or_default();
    ServerSettings::read(&Ini::parse(&path.display().to_string(), &text)?)
}

fn changed(paths: &Paths) -> Option<(SystemTime, u64)> {
    let facts = std::fs::metadata(paths.server_conf()).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}
