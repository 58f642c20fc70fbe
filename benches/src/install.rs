//! An installation of the server in a folder of its own, with a licence of the test series for this computer, and its process.
//! The licence is signed with the published test keys: nobody trusts it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use licence::code::ActivationCode;
use licence::crypto::Provider;
use licence::crypto::ring::PROVIDER;
use licence::flags::Flags;
use licence::host::clock::SystemClock;
use licence::host::files::{self, Access};
use licence::host::machine;
use licence::identity::{Identity, PublicIdentity};
use licence::key::{Binding, KeyType, Licence};
use licence::series::Issuer;
use licence::subkeys::SeriesSecret;
use licence::time::{Clock, Time};
use licence::{KeyId, KeyNo};

use crate::Outcome;
use crate::process::Process;
use crate::wire::{Wire, request};

/// The cryptographic provider of the clients.
pub const CRYPTO: Provider = &PROVIDER;
/// The test series.
pub const SERIES: KeyId = KeyId(0x672B);
/// The administrator's password in every installation.
pub const PASSWORD: &str = "password of benches";

/// The published issuing key of the test series, PKCS#8.
pub const ISSUING: &[u8] = include_bytes!("../../golden/test-issuing.pk8");
const CERTIFICATE: &str = include_str!("../../golden/672B.certificate");
/// The secret of the test series is 32 bytes of this value.
const SECRET: u8 = 7;
pub const KEY_NO: KeyNo = 7_121_172;
/// Where settings and data are below `SLK_ROOT`.
const SETTINGS: &str = "var/1C/licence/3.0";
const DATA: &str = "var/1C/licence/data";

/// File of the server beside this program.
pub const PROGRAM: &str = if cfg!(windows) { "licenceserver.exe" } else { "licenceserver" };

/// A folder with everything that a server needs. Removed when dropped.
pub struct Installation {
    root: PathBuf,
    /// Seats of its pool.
    pub seats: u32,
}

impl Installation {
    /// Makes one with a licence for so many seats. It lies beside this program, so that it is on a disk and not in memory.
    pub fn new(seats: u32) -> Outcome<Installation> {
        Installation::with_settings(seats, "")
    }

    /// The same with more sections of settings.
    pub fn with_settings(seats: u32, more: &str) -> Outcome<Installation> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let root = folder()?.join(format!("bench-{}-{number}", std::process::id()));
        let installation = Installation { root, seats };
        let (settings, data) = (installation.root.join(SETTINGS), installation.root.join(DATA));
        fs::create_dir_all(&settings)?;
        fs::create_dir_all(&data)?;
        fs::write(settings.join("licenceserver.conf"), format!("[Console]\nPassword={PASSWORD}\n{more}"))?;
        let identity = Identity::generate(CRYPTO)?;
        files::write_atomically(&data.join("server.identity"), identity.write()?.as_bytes(), Access::Private)?;
        let fingerprint = machine::read().fingerprint(CRYPTO, identity.salt());
        let (name, text) = licence(identity.public(), Binding::Computer(fingerprint), seats)?;
        fs::write(data.join(name), text)?;
        Ok(installation)
    }

    /// How the server is started over it.
    pub const ARGUMENTS: [&str; 5] = ["-r", "--address", "127.0.0.1", "--port", "0"];

    /// Folder of all its files.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The key by which its server signs, once it has been started; PKCS#8 in PEM.
    pub fn response_key(&self) -> PathBuf {
        self.root.join(DATA).join("server.apikey")
    }

    /// Starts the server and waits until it has answered.
    pub async fn start(&self) -> Outcome<Server> {
        let begun = Instant::now();
        let process = Process::start(&folder()?.join(PROGRAM), &Installation::ARGUMENTS, &self.root)?;
        let server = self.answering(process).await?;
        Ok(Server { start: begun.elapsed(), ..server })
    }

    /// A server over it that runs already, once it has answered.
    pub async fn answering(&self, process: Process) -> Outcome<Server> {
        let server = Server { address: process.address, process, start: Duration::ZERO };
        let (used, seats) = server.used().await?;
        if seats != u64::from(self.seats) {
            return Err(format!("the server has {seats} seats ({used} taken), not {}", self.seats).into());
        }
        Ok(server)
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A running server. Killed when dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The process.
    pub process: Process,
    /// From the start of the process until it had answered.
    pub start: Duration,
}

impl Server {
    /// Seats taken and seats in all, as it says itself.
    pub async fn used(&self) -> Outcome<(u64, u64)> {
        let mut wire = Wire::open(self.address, None).await?;
        let answer = wire.exchange(&request("GET", "/healthz", "Accept: application/json\r\n", b"")).await?;
        let health: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let number = |name: &str| health[name].as_u64().ok_or_else(|| format!("/healthz: {health}"));
        Ok((number("Used")?, number("Licences")?))
    }
}

/// Folder of the built programs, on the disk that is measured.
pub fn folder() -> Outcome<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().map(Path::to_owned).ok_or("the program's own folder is unknown")?)
}

/// Name and text of a licence.
fn licence(identity: PublicIdentity, binding: Binding, seats: u32) -> Outcome<(String, String)> {
    let issuer = Issuer::read(CRYPTO, "672B.certificate", CERTIFICATE)?;
    let signer = CRYPTO.rsa_signer(ISSUING)?;
    let yesterday = Time(SystemClock.now().wall.0 - licence::time::DAY_MS);
    let mut licence = Licence {
        key_id: SERIES,
        key_no: KEY_NO,
        issue: 1,
        reg_no: 202,
        key_type: KeyType::Main,
        service_type: 0,
        licence_count: seats,
        product_version: 0,
        activation_code: ActivationCode::random(CRYPTO)?,
        activation_date: yesterday,
        start_date: None,
        period: 0,
        flags: Flags::default(),
        itn: None,
        iec: None,
        product_name: "Тестовая серия".into(),
        article: "111111111111".into(),
        article_name: "Измерения".into(),
        support: Default::default(),
        issued: yesterday,
        renew_by: None,
        parameters: std::collections::BTreeMap::new(),
        identity,
        binding,
        sealed: Vec::new(),
    };
    let earned = SeriesSecret::new([SECRET; 32]).earned(CRYPTO, &licence.entitlement())?;
    licence.seal(CRYPTO, &issuer.series, &earned)?;
    Ok((licence.file_name(), licence.sign(signer.as_ref(), &issuer)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_for_this_computer_can_be_made() {
        let identity = Identity::generate(CRYPTO).unwrap();
        let fingerprint = machine::read().fingerprint(CRYPTO, identity.salt());
        let (_, text) = licence(identity.public(), Binding::Computer(fingerprint), 100_000).unwrap();
        assert_eq!(licence::key::Key::read(CRYPTO, "test", &text).unwrap().licence.licence_count, 100_000);
    }
}
