//! Requests that may be sent again: who repeats one under its key gets the first answer, and nothing is done twice.

use licence::Time;
use licence::error::{Code, Error, Result};

use super::Work;

/// Days for which a key is remembered.
const DAYS: i64 = 30;

/// A request under a key.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// Who sends it; others may use the same key.
    pub actor: String,
    /// The key that he gave it.
    pub key: String,
    /// What tells it from other requests.
    pub request: String,
}

impl Work<'_> {
    /// Does `job` and keeps its answer; if it was done under that key already, gives the answer of then. Both are one transaction:
    /// who sends the same at the same time waits for the first.
    pub fn once(
        &mut self,
        (repeat, now): (&Repeat, Time),
        job: impl FnOnce(&mut Self) -> Result<String>,
    ) -> Result<String> {
        let Repeat { actor, key, request } = repeat.clone();
        self.execute("DELETE FROM repeats WHERE at < ?1", &[now.plus_days(-DAYS).into()])?;
        let sql = "INSERT INTO repeats (actor, key, request, answer, at) VALUES (?1, ?2, ?3, '', ?4) \
            ON CONFLICT (actor, key) DO NOTHING";
        let values = [actor.clone().into(), key.clone().into(), request.clone().into(), now.into()];
        let of_key = [actor.into(), key.clone().into()];
        if self.execute(sql, &values)? == 0 {
            let sql = "SELECT request, answer FROM repeats WHERE actor = ?1 AND key = ?2";
            let row = self.one(sql, &of_key)?.ok_or_else(|| Error::new(Code::Busy))?;
            return match row.text(0)? == request {
                true => row.text(1).map(str::to_owned),
                false => Err(Error::new(Code::RepeatDiffers).with(key)),
            };
        }
        let answer = job(self)?;
        let [actor, key] = of_key;
        let sql = "UPDATE repeats SET answer = ?3 WHERE actor = ?1 AND key = ?2";
        self.execute(sql, &[actor, key, answer.clone().into()])?;
        Ok(answer)
    }
}
