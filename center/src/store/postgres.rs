//! The store in PostgreSQL: for several centres behind a balancer. Every centre keeps a few connections and never opens more; one
//! that was cut while nobody used it is replaced unseen.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use licence::error::{Code, Error, Result};
use parking_lot::{Condvar, Mutex};
use postgres::config::{Host, SslMode, TargetSessionAttrs};
use postgres::error::SqlState;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::database::{Database, Fate, Job, Row, Transaction, Value, no_such_record};
use super::new_file::NewFile;
use super::{SCHEMA, upgrades};

/// How long a connection to one host may take to come about.
const CONNECT: Duration = Duration::from_secs(3);
/// A host from which nothing has come for so long, while something was sent or asked for, is gone.
const SILENCE: Duration = Duration::from_secs(10);
/// How often a host that is silent is asked whether it is there.
const ASKED: Duration = Duration::from_secs(2);
/// What a database says over a connection that is of no use any more: it goes down, it has become a standby, or it lacks what was
/// prepared.
const SPENT: [SqlState; 6] = [
    SqlState::ADMIN_SHUTDOWN,
    SqlState::CRASH_SHUTDOWN,
    SqlState::CANNOT_CONNECT_NOW,
    SqlState::READ_ONLY_SQL_TRANSACTION,
    SqlState::INVALID_SQL_STATEMENT_NAME,
    SqlState::FEATURE_NOT_SUPPORTED,
];
/// Most connections of one centre; further callers wait. A database takes 100 by default, and there may be several centres.
pub const CONNECTIONS: usize = 16;
/// Name of the file beside the address with the certificates that the database is known by.
pub const ROOTS_FILE: &str = "center.store.pem";
/// Only one program at a time may make the tables: the number of the lock is ours.
const LOCK: i64 = 0x534C_4B43;

/// A database of PostgreSQL.
pub struct Postgres {
    config: Config,
    /// Encrypts connections and knows the database by its certificate, where the address asks for it.
    tls: Option<(MakeRustlsConnect, PathBuf)>,
    place: String,
    pool: Mutex<Pool>,
    /// A connection is idle again, or gone.
    freed: Condvar,
}

/// The connections.
#[derive(Default)]
struct Pool {
    idle: Vec<Session>,
    /// How many there are, idle or lent.
    open: usize,
}

/// A connection in the hands of a caller; unless it is given back, it is closed when it is dropped.
struct Lent<'a> {
    postgres: &'a Postgres,
    session: Option<Session>,
}

/// One connection with its prepared statements.
struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
    /// The database is going down, takes no writes any more, or does not know our statements: another connection may do better.
    spent: bool,
}

impl Postgres {
    /// Connects, and makes the tables at the first time. `file` names where the address comes from in errors: the address
    /// itself may hold a password. With `sslmode=require` the certificates that the database is known by stand beside it.
    pub fn open(file: &Path, address: &str) -> Result<Postgres> {
        let mut config: Config = address.parse().map_err(|_| {
            Error::new(Code::SettingsWrong)
                .with(file.display())
                .with(1)
                .with_text("нужен адрес postgresql://…", "an address postgresql://… is expected")
        })?;
        config.connect_timeout(CONNECT).application_name("licencecenter");
        config.keepalives_idle(SILENCE).keepalives_interval(ASKED).keepalives_retries(3).tcp_user_timeout(SILENCE);
        // Of several hosts the one that takes writes, whichever that is today.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let tls = match config.get_ssl_mode() {
            SslMode::Require => {
                let roots = file.with_file_name(ROOTS_FILE);
                Some((MakeRustlsConnect::new(client(&roots)?), roots))
            }
            // A database that merely can encrypt is not one whose certificate anybody has named.
            _ => None,
        };
        let place = format!("PostgreSQL {}", config.get_dbname().unwrap_or_default());
        let postgres = Postgres { config, tls, place, pool: Mutex::default(), freed: Condvar::new() };
        postgres.prepare()?;
        Ok(postgres)
    }

    fn prepare(&self) -> Result<()> {
        self.transact(&mut |transaction| {
            transaction.rows("SELECT pg_advisory_xact_lock(?1)", &[LOCK.into()])?;
            let sql = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'slk_center'";
            if transaction.rows(sql, &[])?.is_empty() {
                run(
                    transaction,
                    &super::SCHEMA_SQL.replace(super::SERIAL, "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
                )?;
                transaction.execute("CREATE TABLE slk_center (version BIGINT NOT NULL)", &[])?;
                transaction.execute("INSERT INTO slk_center (version) VALUES (?1)", &[i64::from(SCHEMA).into()])?;
            }
            let version = transaction.rows("SELECT version FROM slk_center", &[])?;
            let version: i32 = version.first().map_or(Ok(0), |row| row.number(0))?;
            if version < 1 {
                return Err(Error::new(Code::StoreDamaged).with(&self.place).with(format_args!("schema {version}")));
            }
            let newer = || Error::new(Code::StoreVersion).with(&self.place).with(version);
            let lacking = upgrades(version).ok_or_else(newer)?;
            for (next, upgrade) in (version + 1..).zip(lacking) {
                run(transaction, &upgrade.replace(super::ITN_OF_TERMS, "terms::json ->> 'ITN'"))?;
                transaction.execute("UPDATE slk_center SET version = ?1", &[i64::from(next).into()])?;
            }
            Ok(())
        })
    }

    /// A connection with an open transaction.
    fn begin(&self) -> Result<Lent<'_>> {
        loop {
            let mut pool = self.pool.lock();
            while pool.idle.is_empty() && pool.open >= CONNECTIONS {
                self.freed.wait(&mut pool);
            }
            let idle = pool.idle.pop();
            let is_new = idle.is_none();
            pool.open += usize::from(is_new);
            drop(pool);
            let mut lent = Lent { postgres: self, session: idle };
            if is_new {
                lent.session = Some(self.connect()?);
            }
            match lent.session.as_mut().map_or(Ok(()), |session| session.run("BEGIN")) {
                Ok(()) => return Ok(lent),
                Err(error) if is_new => return Err(error),
                // The database was started again since it was used last.
                Err(_) => {}
            }
        }
    }

    fn connect(&self) -> Result<Session> {
        let client = match &self.tls {
            Some((tls, _)) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        };
        Ok(Session { client: client.map_err(|e| self.failed(&e))?, statements: HashMap::new(), spent: false })
    }

    fn failed(&self, cause: &postgres::Error) -> Error {
        failed(cause).with(&self.place)
    }
}

impl Database for Postgres {
    fn transact(&self, job: Job<'_>) -> Result<()> {
        let mut may_repeat = true;
        loop {
            let mut lent = self.begin()?;
            let Some(session) = lent.session.as_mut() else { return Err(Code::StoreFailed.into()) };
            let done = job(session);
            let decided = done.is_ok();
            let done = done.and_then(|()| session.run("COMMIT"));
            let lost = session.is_lost();
            // Where not even this works the connection is closed by dropping it, and the database rolls back by itself.
            if !lost && (done.is_ok() || session.run("ROLLBACK").is_ok()) {
                lent.give_back();
            }
            // What was cut off before its commit is not there, and may be done anew over another connection.
            if done.is_ok() || !lost || decided || !std::mem::take(&mut may_repeat) {
                return done;
            }
        }
    }

    /// Committed at once: the database itself lets commits share the disk.
    fn join(&self, job: Job<'_>, _: Option<&Fate>) -> Result<Fate> {
        self.transact(job).map(|()| Fate::known(Ok(0)))
    }

    fn settle(&self, fate: &Fate) -> Result<()> {
        fate.outcome().map_or(Ok(()), |outcome| outcome.map(drop))
    }

    /// Each connection has one that waits for the database, and meanwhile others sign.
    fn callers(&self) -> usize {
        CONNECTIONS + thread::available_parallelism().map_or(1, usize::from)
    }

    fn backup(&self, to: &Path) -> Result<()> {
        let wrong = |cause: &dyn std::fmt::Display| Error::new(Code::FileFailed).with(to.display()).with(cause);
        let copy = NewFile::create(to)?;
        // Its own tool writes a dump that its own tools read. The address goes by the environment: arguments are for all to see.
        let mut dump = Command::new("pg_dump");
        dump.arg("--format=custom").arg("--file").arg(to).stdin(Stdio::null()).env("PGCONNECT_TIMEOUT", "10");
        dump.env("PGTARGETSESSIONATTRS", "read-write");
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.to_string_lossy().into_owned(),
        });
        let ports = self.config.get_ports().iter().map(u16::to_string);
        for (name, list) in [("PGHOST", hosts.collect::<Vec<_>>()), ("PGPORT", ports.collect())] {
            if !list.is_empty() {
                dump.env(name, list.join(","));
            }
        }
        let texts = [("PGUSER", self.config.get_user()), ("PGDATABASE", self.config.get_dbname())];
        dump.envs(texts.into_iter().filter_map(|(name, text)| Some((name, text?))));
        if let Some(password) = self.config.get_password() {
            dump.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
        }
        if let Some((_, roots)) = &self.tls {
            dump.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", roots);
        }
        let output = dump.output().map_err(|e| wrong(&format_args!("pg_dump: {e}")))?;
        if !output.status.success() {
            return Err(wrong(&String::from_utf8_lossy(&output.stderr).trim()));
        }
        copy.keep()
    }
}

impl Lent<'_> {
    fn give_back(mut self) {
        let session = self.session.take();
        let mut pool = self.postgres.pool.lock();
        // What is counted off when this is dropped stays open after all.
        pool.open += 1;
        pool.idle.extend(session);
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.postgres.pool.lock().open -= 1;
        self.postgres.freed.notify_one();
    }
}

/// Runs statements that end in semicolons.
fn run(transaction: &mut dyn Transaction, sql: &str) -> Result<()> {
    let statements = sql.split(';').filter(|statement| !statement.trim().is_empty());
    statements.into_iter().try_for_each(|statement| transaction.execute(statement, &[]).map(drop))
}

/// TLS that knows the database by the certificates of a PEM file: its own, or those of whoever has signed it.
fn client(roots: &Path) -> Result<ClientConfig> {
    let wrong = |cause: &dyn std::fmt::Display| Error::new(Code::FileFailed).with(roots.display()).with(cause);
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots).map_err(|e| wrong(&e))? {
        store.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
    }
    if store.is_empty() {
        return Err(wrong(&"no certificate"));
    }
    let config = ClientConfig::builder_with_provider(default_provider().into()).with_safe_default_protocol_versions();
    Ok(config.map_err(|e| wrong(&e))?.with_root_certificates(store).with_no_client_auth())
}

impl Session {
    fn run(&mut self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).map_err(|e| self.failed(&e))
    }

    fn statement(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&in_dialect(sql)).map_err(|e| self.failed(&e))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn failed(&mut self, cause: &postgres::Error) -> Error {
        self.spent |= cause.is_closed() || cause.code().is_some_and(|code| SPENT.contains(code));
        failed(cause)
    }

    /// Whether nothing more is to be expected of this connection.
    fn is_lost(&self) -> bool {
        self.spent || self.client.is_closed()
    }
}

/// PostgreSQL counts its parameters as `$1`.
fn in_dialect(sql: &str) -> String {
    sql.replace('?', "$")
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Transaction for Session {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let statement = self.statement(sql)?;
        self.client.execute(&statement, &parameters(values)).map_err(|e| self.failed(&e))
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        let statement = self.statement(sql)?;
        let rows = self.client.query(&statement, &parameters(values)).map_err(|e| self.failed(&e))?;
        rows.iter().map(|row| (0..row.len()).map(|at| value(row, at)).collect::<Result<_>>().map(Row)).collect()
    }
}

fn value(row: &postgres::Row, at: usize) -> Result<Value> {
    let number = |number: Option<i64>| number.map_or(Value::Null, Value::Number);
    let column = row.columns().get(at).map(|column| column.type_().clone());
    match column {
        Some(Type::INT8) => row.try_get(at).map(number),
        Some(Type::INT4) => row.try_get::<_, Option<i32>>(at).map(|value| number(value.map(i64::from))),
        Some(Type::VOID) => Ok(Value::Null),
        _ => row.try_get::<_, Option<String>>(at).map(|text| text.map_or(Value::Null, Value::Text)),
    }
    .map_err(|e| failed(&e))
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Number(number) if *kind == Type::INT4 => i32::try_from(*number)?.to_sql(kind, out),
            Value::Number(number) => number.to_sql(kind, out),
            Value::Text(text) => text.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT4 | Type::INT8 | Type::TEXT)
    }

    to_sql_checked!();
}

/// The database's own words name tables and columns, never values: details of a row are left out.
fn failed(cause: &postgres::Error) -> Error {
    match cause.as_db_error() {
        Some(error) if *error.code() == SqlState::FOREIGN_KEY_VIOLATION => no_such_record(),
        Some(error) => {
            Error::new(Code::StoreFailed).with(format_args!("{} ({})", error.message(), error.code().code()))
        }
        None => Error::new(Code::StoreFailed).with(cause),
    }
}
