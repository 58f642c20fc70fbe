//! Tokens of the REST API. The store has their hashes only: a token is 256 random bits, so a plain hash keeps it secret.

use licence::Time;
use licence::error::{Code, Error, Result};
use web::Access;

use super::Work;
use super::codes::{meaning, word};
use super::database::Row;

/// A token as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Who has it.
    pub name: String,
    /// What it may do.
    pub role: Access,
    /// When it was made.
    pub created: Time,
}

const ROLES: [(Access, &str); 3] =
    [(Access::Viewer, "viewer"), (Access::Operator, "operator"), (Access::Administrator, "administrator")];

fn read(row: &Row) -> Result<Token> {
    Ok(Token { name: row.text(0)?.to_owned(), role: meaning(&ROLES, row.text(1)?)?, created: row.time(2)? })
}

impl Token {
    /// The word for its role.
    pub fn role_name(&self) -> &'static str {
        word(&ROLES, &self.role)
    }
}

impl Work<'_> {
    /// Writes a token under its hash.
    pub fn insert_token(&mut self, hash: &str, token: &Token) -> Result<()> {
        if self.one("SELECT 1 FROM tokens WHERE name = ?1", &[token.name.clone().into()])?.is_some() {
            let name = &token.name;
            return Err(Error::new(Code::BadRequest)
                .with_text(format_args!("токен {name} уже есть"), format_args!("there is a token {name} already")));
        }
        let sql = "INSERT INTO tokens (hash, name, role, created) VALUES (?1, ?2, ?3, ?4)";
        let role = token.role_name().into();
        self.execute(sql, &[hash.into(), token.name.clone().into(), role, token.created.into()]).map(drop)
    }

    /// The token with that hash.
    pub fn token(&mut self, hash: &str) -> Result<Option<Token>> {
        let sql = "SELECT name, role, created FROM tokens WHERE hash = ?1";
        self.one(sql, &[hash.into()])?.as_ref().map(read).transpose()
    }

    /// All tokens, by name.
    pub fn tokens(&mut self) -> Result<Vec<Token>> {
        self.rows("SELECT name, role, created FROM tokens ORDER BY name", &[])?.iter().map(read).collect()
    }

    /// Withdraws a token.
    pub fn delete_token(&mut self, name: &str) -> Result<()> {
        match self.execute("DELETE FROM tokens WHERE name = ?1", &[name.into()])? {
            0 => Err(Error::new(Code::RecordNotFound).with(name)),
            _ => Ok(()),
        }
    }
}
