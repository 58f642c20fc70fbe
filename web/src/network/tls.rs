//! TLS of the front: certificate and key from PEM files, taken up again when they are renewed. It must never serve with a key
//! that does not fit its certificate, and keeps the former pair when the new one is no good.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// First byte of a TLS connection: a handshake record (RFC 8446, 5.1). No HTTP method begins with it.
pub(super) const HANDSHAKE: u8 = 0x16;

/// Reads a file of a certificate or key: the program knows what it may open, and how.
pub type ReadFile = fn(&Path) -> io::Result<Vec<u8>>;

/// A certificate and its key.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    read: ReadFile,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// When the files were changed, as last read.
    state: [Option<SystemTime>; 2],
}

impl Tls {
    /// Reads a certificate chain, the server's own certificate first, and its private key.
    ///
    /// # Errors
    /// When a file can't be read, holds none, or the two don't fit; the text names the file.
    pub fn open(certificate: &Path, key: &Path, read: ReadFile) -> io::Result<Tls> {
        let state = state(certificate, key);
        let current = Mutex::new(Current { config: config(certificate, key, read)?, state });
        Ok(Tls { certificate: certificate.to_owned(), key: key.to_owned(), read, current })
    }

    /// Reads the files again if they have changed; whether new ones are in force.
    ///
    /// # Errors
    /// As [`Tls::open`], once for each change; the former pair stays in force.
    pub fn refresh(&self) -> io::Result<bool> {
        let state = state(&self.certificate, &self.key);
        let mut current = self.current.lock();
        if current.state == state {
            return Ok(false);
        }
        current.state = state;
        current.config = config(&self.certificate, &self.key, self.read)?;
        Ok(true)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.lock().config.clone().into()
    }
}

fn config(certificate: &Path, key: &Path, read: ReadFile) -> io::Result<Arc<ServerConfig>> {
    let failed = |path: &Path, cause: &dyn std::fmt::Display| io::Error::other(format!("{}: {cause}", path.display()));
    let chain = read(certificate).map_err(|e| failed(certificate, &e))?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| failed(certificate, &e))?;
    let private = read(key).map_err(|e| failed(key, &e))?;
    let private = PrivateKeyDer::from_pem_slice(&private).map_err(|e| failed(key, &e))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| failed(certificate, &e))?;
    let config = builder.with_no_client_auth().with_single_cert(chain, private);
    let mut config = config.map_err(|e| failed(certificate, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn state(certificate: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [certificate, key].map(|path| std::fs::metadata(path).and_then(|facts| facts.modified()).ok())
}
