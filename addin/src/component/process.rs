//! What this process is: whether 1C's server code runs here, and what servers are told of it. Session identity never comes
//! from here, as an isolated add-in lives in a process of its own.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use licence::accounting::{Base, InfoBase};
use licence::crypto::ring::PROVIDER;
use licence::host::{machine, os, terminal};
use licence::id::ComputerId;
use licence::protocol::message::{ClientInfo, SessionData, Terminal};
use licence::version::{CPU, VERSION};

use crate::native::{Application, HostInfo};

/// Programs that open an infobase for others.
const SERVERS: &[&str] = &["rphost", "ragent", "rmngr", "ibsrv"];
/// Programs of web servers.
const WEB_SERVERS: &[&str] = &["httpd", "apache2", "w3wp"];
/// Programs of people.
const CLIENTS: &[&str] = &["1cv8", "1cv8c", "1cv8s"];

/// Whether this process is a 1C server or a web server. The name of its program is the surest sign where it is known: a
/// client that opens a file base runs server code itself. Then the host's word; else it is taken for a client.
pub fn is_server(host: &HostInfo) -> bool {
    by_program(&os::executable()).or_else(|| by_application(host.application)).unwrap_or(false)
}

/// Whether this process is a web server.
pub fn is_web_server() -> bool {
    is_among(&os::executable(), WEB_SERVERS)
}

/// Whether a session is a server's: by 1C code, by the process, by the kind of its infobase.
pub fn is_server_session(host: &HostInfo, session: &SessionData) -> bool {
    decide(session, by_program(&os::executable()), host.application)
}

fn decide(session: &SessionData, by_program: Option<bool>, application: Application) -> bool {
    let known = session.is_server.or(by_program).or_else(|| by_application(application));
    known.unwrap_or_else(|| base(session).is_some_and(|base| base != Base::File))
}

/// Kind of a session's infobase.
pub fn base(session: &SessionData) -> Option<Base> {
    session.info_base_connection_string.parse::<InfoBase>().ok().map(|base| base.base())
}

fn by_program(program: &Path) -> Option<bool> {
    if is_among(program, SERVERS) || is_among(program, WEB_SERVERS) {
        return Some(true);
    }
    is_among(program, CLIENTS).then_some(false)
}

fn is_among(program: &Path, names: &[&str]) -> bool {
    let stem = program.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    stem.is_some_and(|stem| names.contains(&stem.as_str()))
}

/// A web client has its server code at the web server.
fn by_application(application: Application) -> Option<bool> {
    match application {
        Application::Unknown => None,
        Application::Server | Application::WebClient | Application::MobileServer => Some(true),
        Application::ThinClient
        | Application::ThickClient
        | Application::ExternalConnection
        | Application::MobileClient => Some(false),
    }
}

/// The computer's identifier; read once, as hardware does not change under a process.
pub fn computer_id() -> Option<ComputerId> {
    static COMPUTER: OnceLock<Option<ComputerId>> = OnceLock::new();
    *COMPUTER.get_or_init(|| machine::read().computer_id(&PROVIDER))
}

/// The terminal client that this process serves.
pub fn terminal() -> Option<Terminal> {
    terminal::client().map(|terminal| Terminal { client: terminal.client, user: terminal.user })
}

/// What servers are told.
pub fn client_info(host: &HostInfo) -> ClientInfo {
    ClientInfo {
        version: VERSION.into(),
        os_version: os::os_version(),
        computer_name: os::computer_name(),
        computer: computer_id(),
        local_ip: os::local_ips().iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        process: os::executable().display().to_string(),
        cpu: CPU.into(),
        pid: std::process::id(),
        is_server: is_server(host),
        platform_version: host.version.clone().unwrap_or_default(),
        module_name: module().display().to_string(),
    }
}

/// The file of this library, where the system tells it: the one that this very function lies in.
pub fn module() -> PathBuf {
    os::module_of(module as *const ()).unwrap_or_else(|| PathBuf::from("licenceaddin"))
}

/// Keeps this library loaded to the end of the process; whether that worked. For threads that can't be waited for.
pub fn stay_loaded() -> bool {
    log::warn!("the system has not finished looking a server's name up: the component stays loaded");
    os::keep_loaded(stay_loaded as *const ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(is_server: Option<bool>, base: &str) -> SessionData {
        SessionData { is_server, info_base_connection_string: base.into(), ..SessionData::default() }
    }

    #[test]
    fn code_of_1c_then_the_process_then_the_infobase_tell_a_servers_session() {
        let file = "File=\"D:\\Db\";";
        assert!(decide(&session(Some(true), file), Some(false), Application::ThinClient));
        assert!(!decide(&session(Some(false), "Srvr=a;Ref=b;"), Some(true), Application::Server));
        assert!(decide(&session(None, file), Some(true), Application::ThinClient));
        assert!(!decide(&session(None, file), Some(false), Application::Server));
        assert!(decide(&session(None, file), None, Application::Server));
        assert!(!decide(&session(None, "Srvr=a;Ref=b;"), None, Application::ThinClient));
        assert!(decide(&session(None, "Srvr=a;Ref=b;"), None, Application::Unknown));
        assert!(decide(&session(None, "ws=http://a/b;"), None, Application::Unknown));
        assert!(!decide(&session(None, file), None, Application::Unknown));
    }

    #[test]
    fn programs_of_1c_and_of_web_servers_are_known_by_name() {
        assert_eq!(by_program(Path::new("/opt/1cv8/x86_64/8.3.27/rphost")), Some(true));
        assert_eq!(by_program(Path::new("/usr/sbin/Apache2")), Some(true));
        assert_eq!(by_program(Path::new("1CV8C.exe")), Some(false));
        assert_eq!(by_program(Path::new("/usr/bin/host")), None);
    }
}
