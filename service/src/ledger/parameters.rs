//! Small named values that the server keeps for each series at the wish of its configuration. Bounded, since sessions write them;
//! decided in memory and durable before the answer, like a grant.

use std::collections::{BTreeMap, HashMap};

use licence::id::{KeyId, RootHash, SeriesId};
use licence::{Code, Error};
use rusqlite::{Connection, Row, params};

/// How many values a series has at most.
const MOST: usize = 64;
/// Longest name, in characters.
const MAX_NAME: usize = 64;
/// Longest value, in characters.
const MAX_VALUE: usize = 400;

/// A value that is set, or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The series that it belongs to.
    pub series: SeriesId,
    /// Its name.
    pub name: String,
    /// The value; `None` removes it.
    pub value: Option<String>,
}

/// The values of all series.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parameters(HashMap<SeriesId, BTreeMap<String, String>>);

impl Parameters {
    /// The value of a name.
    pub fn get(&self, series: SeriesId, name: &str) -> Option<&str> {
        self.0.get(&series)?.get(name).map(String::as_str)
    }

    /// Sets or removes a value; whether anything changed. [`Code::ParameterRefused`] beyond the bounds.
    pub fn assign(&mut self, assignment: &Assignment) -> Result<bool, Error> {
        let Assignment { series, name, value } = assignment;
        let refused = |russian: String, english: String| {
            Error::new(Code::ParameterRefused).with(name).with(series.key_id).with_text(russian, english)
        };
        let values = self.0.entry(*series).or_default();
        let Some(value) = value else { return Ok(values.remove(name).is_some()) };
        if name.trim().is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            let (russian, english) = ("в имени от 1 до {} знаков", "a name has 1 to {} characters");
            return Err(refused(counted(russian, MAX_NAME), counted(english, MAX_NAME)));
        }
        if value.chars().count() > MAX_VALUE {
            let (russian, english) = ("значение длиннее {} знаков", "the value is longer than {} characters");
            return Err(refused(counted(russian, MAX_VALUE), counted(english, MAX_VALUE)));
        }
        if values.len() >= MOST && !values.contains_key(name) {
            let (russian, english) = ("у серии уже {} параметров", "the series has {} parameters already");
            return Err(refused(counted(russian, MOST), counted(english, MOST)));
        }
        Ok(values.insert(name.clone(), value.clone()).as_ref() != Some(value))
    }
}

fn counted(text: &str, number: usize) -> String {
    text.replace("{}", &number.to_string())
}

/// Writes an assignment down, as a part of the transaction that is open.
pub fn write(connection: &Connection, assignment: &Assignment) -> rusqlite::Result<()> {
    let Assignment { series: SeriesId { key_id, root }, name, value } = assignment;
    match value {
        Some(value) => connection
            .prepare_cached("INSERT OR REPLACE INTO parameter VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key_id.0, root.0, name, value])?,
        None => connection
            .prepare_cached("DELETE FROM parameter WHERE key_id = ?1 AND root = ?2 AND name = ?3")?
            .execute(params![key_id.0, root.0, name])?,
    };
    Ok(())
}

/// All values.
pub fn read(connection: &Connection) -> rusqlite::Result<Parameters> {
    let mut all = Parameters::default();
    let mut statement = connection.prepare("SELECT key_id, root, name, value FROM parameter")?;
    for assignment in statement.query_map([], assignment_of)? {
        let Assignment { series, name, value } = assignment?;
        all.0.entry(series).or_default().extend(value.map(|value| (name, value)));
    }
    Ok(all)
}

/// A row of `parameter`.
pub fn assignment_of(row: &Row<'_>) -> rusqlite::Result<Assignment> {
    let series = SeriesId { key_id: KeyId(row.get(0)?), root: RootHash(row.get(1)?) };
    Ok(Assignment { series, name: row.get(2)?, value: Some(row.get(3)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: SeriesId = SeriesId { key_id: KeyId(0x672B), root: RootHash([1; 32]) };

    fn set(name: &str, value: &str) -> Assignment {
        Assignment { series: SERIES, name: name.into(), value: Some(value.into()) }
    }

    #[test]
    fn values_are_bounded_in_number_and_length_and_a_known_one_may_always_change() {
        let mut parameters = Parameters::default();
        for number in 0..MOST {
            assert_eq!(parameters.assign(&set(&number.to_string(), "x")), Ok(true));
        }
        assert_eq!(parameters.assign(&set("0", "x")), Ok(false));
        assert_eq!(parameters.assign(&set("0", "y")), Ok(true));
        let refused = |error: Result<bool, Error>| error.unwrap_err().code;
        assert_eq!(refused(parameters.assign(&set("one more", "x"))), Code::ParameterRefused);
        let elsewhere = Assignment { series: SeriesId { root: RootHash([2; 32]), ..SERIES }, ..set("a", "b") };
        assert_eq!(parameters.assign(&elsewhere), Ok(true));
        assert_eq!(parameters.assign(&Assignment { value: None, ..set("0", "") }), Ok(true));
        assert_eq!(parameters.assign(&set(&"я".repeat(MAX_NAME), &"я".repeat(MAX_VALUE))), Ok(true));
        assert_eq!(refused(parameters.assign(&set("1", &"x".repeat(MAX_VALUE + 1)))), Code::ParameterRefused);
        for name in ["", " ", "a\nb", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(refused(parameters.assign(&set(name, "x"))), Code::ParameterRefused, "{name:?}");
        }
        assert_eq!((parameters.get(SERIES, "0"), parameters.get(SERIES, "1")), (None, Some("x")));
    }
}
