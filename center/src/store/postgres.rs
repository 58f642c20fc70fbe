//! The store in PostgreSQL: for several centres behind a balancer. Every centre keeps a few connections; one that breaks is
//! replaced by the next caller.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use licence::error::{Code, Error, Result};
use parking_lot::Mutex;
use postgres::config::Host;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement};

use super::database::{Database, Job, Row, Transaction, Value};
use super::sqlite::SCHEMA;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// Connections that stay open while nobody uses them.
const IDLE: usize = 16;
/// Only one program at a time may make the tables: the number of the lock is ours.
const LOCK: i64 = 0x534C_4B43;

/// A database of PostgreSQL.
pub struct Postgres {
    config: Config,
    place: String,
    idle: Mutex<Vec<Session>>,
}

/// One connection with its prepared statements.
struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Postgres {
    /// Connects, and makes the tables at the first time. `file` names where the address comes from in errors: the address
    /// itself may hold a password.
    pub fn open(file: &str, address: &str) -> Result<Postgres> {
        let mut config: Config = address.parse().map_err(|_| {
            Error::new(Code::SettingsWrong)
                .with(file)
                .with(1)
                .with_text("нужен адрес postgresql://…", "an address postgresql://… is expected")
        })?;
        config.connect_timeout(CONNECT).application_name("licencecenter");
        let place = format!("PostgreSQL {}", config.get_dbname().unwrap_or_default());
        let postgres = Postgres { config, place, idle: Mutex::default() };
        postgres.prepare()?;
        Ok(postgres)
    }

    fn prepare(&self) -> Result<()> {
        self.transact(&mut |transaction| {
            transaction.rows("SELECT pg_advisory_xact_lock($1)", &[LOCK.into()])?;
            let sql = "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'slk_center'";
            if transaction.rows(sql, &[])?.is_empty() {
                let schema =
                    super::SCHEMA_SQL.replace(super::SERIAL, "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
                for statement in schema.split(';').filter(|statement| !statement.trim().is_empty()) {
                    transaction.execute(statement, &[])?;
                }
                transaction.execute("CREATE TABLE slk_center (version BIGINT NOT NULL)", &[])?;
                transaction.execute("INSERT INTO slk_center (version) VALUES ($1)", &[i64::from(SCHEMA).into()])?;
            }
            let version = transaction.rows("SELECT version FROM slk_center", &[])?;
            let version: i32 = version.first().map_or(Ok(0), |row| row.number(0))?;
            match version {
                SCHEMA => Ok(()),
                newer if newer > SCHEMA => Err(Error::new(Code::StoreVersion).with(&self.place).with(newer)),
                other => Err(Error::new(Code::StoreDamaged).with(&self.place).with(format_args!("schema {other}"))),
            }
        })
    }

    fn session(&self) -> Result<Session> {
        while let Some(session) = self.idle.lock().pop() {
            if !session.client.is_closed() {
                return Ok(session);
            }
        }
        let client = self.config.connect(NoTls).map_err(|e| self.failed(&e))?;
        Ok(Session { client, statements: HashMap::new() })
    }

    fn failed(&self, cause: &postgres::Error) -> Error {
        failed(cause).with(&self.place)
    }
}

impl Database for Postgres {
    fn transact(&self, job: Job<'_>) -> Result<()> {
        let mut session = self.session()?;
        session.run("BEGIN")?;
        match job(&mut session).and_then(|()| session.run("COMMIT")) {
            Ok(()) => {
                let mut idle = self.idle.lock();
                if idle.len() < IDLE {
                    idle.push(session);
                }
                Ok(())
            }
            Err(error) => {
                // Where even this fails the connection is closed by dropping it, and the database rolls back by itself.
                if session.run("ROLLBACK").is_ok() {
                    self.idle.lock().push(session);
                }
                Err(error)
            }
        }
    }

    fn backup(&self, to: &Path) -> Result<()> {
        let wrong = |cause: &dyn std::fmt::Display| Error::new(Code::FileFailed).with(to.display()).with(cause);
        if std::fs::symlink_metadata(to).is_ok() {
            return Err(wrong(&std::io::Error::from(std::io::ErrorKind::AlreadyExists)));
        }
        // Its own tool writes a dump that its own tools read. The address goes by the environment: arguments are for all to see.
        let mut dump = Command::new("pg_dump");
        dump.arg("--format=custom").arg("--file").arg(to).stdin(Stdio::null()).env("PGCONNECT_TIMEOUT", "10");
        if let Some(host) = self.config.get_hosts().first() {
            match host {
                Host::Tcp(name) => dump.env("PGHOST", name),
                #[cfg(unix)]
                Host::Unix(folder) => dump.env("PGHOST", folder),
            };
        }
        if let Some(port) = self.config.get_ports().first() {
            dump.env("PGPORT", port.to_string());
        }
        let texts = [("PGUSER", self.config.get_user()), ("PGDATABASE", self.config.get_dbname())];
        dump.envs(texts.into_iter().filter_map(|(name, text)| Some((name, text?))));
        if let Some(password) = self.config.get_password() {
            dump.env("PGPASSWORD", String::from_utf8_lossy(password).as_ref());
        }
        let output = dump.output().map_err(|e| wrong(&format_args!("pg_dump: {e}")))?;
        if output.status.success() { Ok(()) } else { Err(wrong(&String::from_utf8_lossy(&output.stderr).trim())) }
    }
}

impl Session {
    fn run(&mut self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).map_err(|e| failed(&e))
    }

    fn statement(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).map_err(|e| failed(&e))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Transaction for Session {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64> {
        let statement = self.statement(sql)?;
        self.client.execute(&statement, &parameters(values)).map_err(|e| failed(&e))
    }

    fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        let statement = self.statement(sql)?;
        let rows = self.client.query(&statement, &parameters(values)).map_err(|e| failed(&e))?;
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
        Some(error) => {
            Error::new(Code::StoreFailed).with(format_args!("{} ({})", error.message(), error.code().code()))
        }
        None => Error::new(Code::StoreFailed).with(cause),
    }
}
