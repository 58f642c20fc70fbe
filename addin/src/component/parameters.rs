//! Where the servers are: what `licenceaddin.conf` and 1C code say, in the order of the guide.

use std::path::PathBuf;

use licence::error::Result;
use licence::host::files;
use licence::host::paths::Paths;
use licence::id::KeyId;
use licence::settings::{self, Connect, Endpoint, Ini, component_parameters};

/// The settings file in force.
pub struct Conf {
    /// Where it is.
    pub path: PathBuf,
    ini: Ini,
}

impl Conf {
    /// Reads the file. A client takes its user's, and the common one if there is none; a server only the common one.
    pub fn read(paths: &Paths, is_server: bool) -> Result<Option<Conf>> {
        let user = paths.user_addin_conf().filter(|_| !is_server);
        for path in user.into_iter().chain([paths.addin_conf()]) {
            if let Some(text) = files::read_text_if_there(&path, settings::MAX_FILE)? {
                let ini = Ini::parse(&path.display().to_string(), &text)?;
                return Ok(Some(Conf { path, ini }));
            }
        }
        Ok(None)
    }

    /// Whether logs of earlier processes stay.
    pub fn keeps_logs(&self) -> bool {
        self.ini.get("Common", "KeepPreviousLogs").and_then(settings::flag).unwrap_or(false)
    }
}

/// The servers of a series, in order.
pub fn servers(conf: Option<&Conf>, key_id: KeyId, from_code: &str) -> Result<Vec<Endpoint>> {
    let from_code = Connect::parse(from_code)?;
    component_parameters(conf.map(|conf| &conf.ini), key_id, &from_code)?.endpoints()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_client_takes_its_users_file_and_a_server_only_the_common_one() {
        let root = std::env::temp_dir().join(format!("slk-conf-{}", std::process::id()));
        let (settings, user) = (root.join("common"), root.join("user"));
        fs::create_dir_all(&settings).unwrap();
        fs::create_dir_all(&user).unwrap();
        let paths = Paths { settings, data: root.clone(), machine: root.clone(), user: Some(user) };
        let server = |is_server| {
            let conf = Conf::read(&paths, is_server).unwrap();
            servers(conf.as_ref(), KeyId(0x672B), "").unwrap()[0].to_string()
        };
        assert_eq!(server(false), "localhost:9099");
        fs::write(paths.addin_conf(), "[Common]\nServerAddr=common\n").unwrap();
        assert_eq!((server(false), server(true)), ("common:9099".into(), "common:9099".into()));
        fs::write(paths.user_addin_conf().unwrap(), "[672B]\nServerAddr=own:1\n").unwrap();
        assert_eq!((server(false), server(true)), ("own:1".into(), "common:9099".into()));
        fs::write(paths.addin_conf(), "[Common]\nServerPort=many\n").unwrap();
        let conf = Conf::read(&paths, true).unwrap();
        let error = servers(conf.as_ref(), KeyId(0x672B), "").unwrap_err();
        assert_eq!(error.args[1], "2");
        fs::remove_dir_all(&root).unwrap();
    }
}
