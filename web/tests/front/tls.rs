//! TLS on the same port as plain HTTP, with certificates of a test authority (`golden/tls`).

use crate::site::{PATIENCE, Site, status};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use web::network::{Limits, Tls};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../golden/tls");

/// A folder with a certificate and its key.
struct Pair(PathBuf);

impl Pair {
    fn new(name: &str) -> Pair {
        let folder = std::env::temp_dir().join(format!("web-tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pair = Pair(folder);
        pair.put("first", "first", 1);
        pair
    }

    /// Puts golden files in place, as if changed so many hours ago.
    fn put(&self, certificate: &str, key: &str, hours: u64) {
        for (name, file) in [("crt", certificate), ("key", key)] {
            let to = self.0.join(name);
            fs::copy(format!("{GOLDEN}/{file}.{name}"), &to).unwrap();
            let changed = SystemTime::now() - Duration::from_secs(hours * 3600);
            fs::File::options().write(true).open(&to).unwrap().set_modified(changed).unwrap();
        }
    }

    fn open(&self) -> std::io::Result<Tls> {
        Tls::open(&self.0.join("crt"), &self.0.join("key"), |path| fs::read(path))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn client(site: &Site) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(format!("{GOLDEN}/ca.crt")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config.with_no_client_auth()), name).unwrap();
    let stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(session, stream)
}

/// Asks over TLS; the answer, and the certificate that the server showed.
fn ask(site: &Site, path: &str) -> (String, Vec<u8>) {
    let mut client = client(site);
    write!(client, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let shown = client.conn.peer_certificates().unwrap()[0].to_vec();
    (answer, shown)
}

fn golden(name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(format!("{GOLDEN}/{name}.crt")).unwrap().to_vec()
}

#[test]
fn one_port_serves_tls_and_plain_http() {
    let pair = Pair::new("both");
    let site = Site::start_with(Limits::default(), Some(Arc::new(pair.open().unwrap())));
    let (answer, shown) = ask(&site, "/tls");
    assert!(status(&answer) == 200 && answer.ends_with("GET /tls 0 secure"), "{answer}");
    assert_eq!(shown, golden("first"));
    assert_eq!(site.connect().get("/plain"), (200, "GET /plain 0".into()));
}

#[test]
fn a_renewed_certificate_is_taken_up_and_a_bad_one_is_not() {
    let pair = Pair::new("renewed");
    let tls = Arc::new(pair.open().unwrap());
    let site = Site::start_with(Limits::default(), Some(tls.clone()));
    assert!(!tls.refresh().unwrap());
    pair.put("first", "second", 2);
    assert!(tls.refresh().is_err(), "the key of another certificate");
    assert!(!tls.refresh().unwrap(), "told once");
    assert_eq!(ask(&site, "/").1, golden("first"));
    pair.put("second", "second", 3);
    assert!(tls.refresh().unwrap());
    assert_eq!(ask(&site, "/").1, golden("second"));
    fs::write(pair.0.join("crt"), "no certificate").unwrap();
    let error = tls.refresh().unwrap_err().to_string();
    assert!(error.contains("crt"), "{error}");
    assert_eq!(ask(&site, "/").1, golden("second"));
}

#[test]
fn a_handshake_that_is_slow_or_nonsense_is_cut() {
    let pair = Pair::new("slow");
    let limits = Limits { header: Duration::from_millis(100), ..Limits::default() };
    let site = Site::start_with(limits, Some(Arc::new(pair.open().unwrap())));
    // Nothing, the beginning of a handshake, and one that is none.
    assert_eq!(status(&site.last_words("")), 408);
    assert_eq!(site.connect_raw(b"\x16\x03\x01\x02\x00\x01"), Vec::<u8>::new());
    let alert = site.connect_raw(b"\x16\x03\x01\x00\x04nope");
    assert!(alert.is_empty() || alert[0] == 0x15, "{alert:?}");
    assert_eq!(status(&ask(&site, "/on").0), 200);
}

#[test]
fn a_reader_over_tls_gets_all_of_a_large_answer() {
    let pair = Pair::new("large");
    let site = Site::start_with(Limits::default(), Some(Arc::new(pair.open().unwrap())));
    assert!(ask(&site, "/large").0.len() > crate::site::LARGE);
}
