//! Where the guide's files are. Every path is resolved below the folder that `SLK_ROOT` names, when it is set.

use std::env;
use std::path::{Path, PathBuf};

/// The paths of one installation, as seen by the current user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Settings: `/var/1C/licence/3.0`, `%ProgramData%\1C\licence\3.0`.
    pub settings: PathBuf,
    /// Licences and the server's own files: `/var/1C/licence/data`, `%ProgramData%\1C\Licence\Data`.
    pub data: PathBuf,
    /// What this computer knows of its servers wherever their data folders are: `/var/lib/licenceserver`,
    /// `%ProgramData%\1C\Licence\Machine`. See [`crate::host::registry`].
    pub machine: PathBuf,
    /// Settings and logs of the current user: `/home/{user}/.1C/licence/3.0`, `%LocalAppData%\1C\licence\3.0`.
    /// `None` for a user without a home.
    pub user: Option<PathBuf>,
}

impl Paths {
    /// The paths by the environment.
    pub fn current() -> Paths {
        let root = env::var_os("SLK_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from);
        let below = |path: PathBuf| match &root {
            Some(root) => root.join(without_root(&path)),
            None => path,
        };
        if cfg!(windows) {
            let common = env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from);
            let user = env::var_os("LocalAppData").map(PathBuf::from);
            Paths {
                settings: below(common.join(r"1C\licence\3.0")),
                data: below(common.join(r"1C\Licence\Data")),
                machine: below(common.join(r"1C\Licence\Machine")),
                user: user.map(|user| below(user.join(r"1C\licence\3.0"))),
            }
        } else {
            let user = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
            Paths {
                settings: below(PathBuf::from("/var/1C/licence/3.0")),
                data: below(PathBuf::from("/var/1C/licence/data")),
                machine: below(PathBuf::from("/var/lib/licenceserver")),
                user: user.map(|home| below(home.join(".1C/licence/3.0"))),
            }
        }
    }

    /// Folder for files that live as long as a process: the system's, or below `SLK_ROOT`.
    pub fn temporary() -> PathBuf {
        match env::var_os("SLK_ROOT").filter(|root| !root.is_empty()) {
            Some(root) => PathBuf::from(root).join("tmp"),
            None => env::temp_dir(),
        }
    }

    /// The server's settings file.
    pub fn server_conf(&self) -> PathBuf {
        self.settings.join("licenceserver.conf")
    }

    /// The component's common settings file.
    pub fn addin_conf(&self) -> PathBuf {
        self.settings.join("licenceaddin.conf")
    }

    /// The component's settings file of the current user.
    pub fn user_addin_conf(&self) -> Option<PathBuf> {
        Some(self.user.as_ref()?.join("licenceaddin.conf"))
    }

    /// Folder of the server's logs, and of components inside a web server.
    pub fn logs(&self) -> PathBuf {
        self.settings.join("logs")
    }

    /// Folder of the component's logs.
    pub fn user_logs(&self) -> Option<PathBuf> {
        Some(self.user.as_ref()?.join("logs"))
    }
}

/// The path without its root or drive, so that it can stand below another folder.
fn without_root(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_another_root_keeps_its_folders() {
        assert_eq!(without_root(Path::new("/var/1C/licence/3.0")), Path::new("var/1C/licence/3.0"));
        assert_eq!(without_root(Path::new("/../etc")), Path::new("etc"));
    }
}
