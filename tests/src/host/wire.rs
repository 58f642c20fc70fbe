//! The words of the host's protocol (`tests/host/wire.hpp`). Reads and writes lines, and does nothing else.

use std::str::FromStr;

use super::{Counts, HostError, Member};

/// A value of 1C.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Неопределено.
    Undefined,
    /// NULL.
    Null,
    /// Булево.
    Bool(bool),
    /// Число as an integer.
    Int(i64),
    /// Число as a real.
    Number(f64),
    /// Строка.
    Text(String),
    /// Дата: year, month, day, hour, minute, second.
    Date([i32; 6]),
    /// ДвоичныеДанные.
    Blob(Vec<u8>),
    /// An argument as only odd hosts send it, in the words of `tests/host/wire.hpp`.
    Odd(&'static str),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Blob(bytes)
    }
}

pub(super) fn broken(why: impl Into<String>) -> HostError {
    HostError::Host(why.into())
}

pub(super) fn outcome(line: &str) -> Result<String, HostError> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    match kind {
        "ok" => Ok(rest.to_owned()),
        "err" => {
            let [wcode, scode, source, text] = parts(rest)?;
            Err(HostError::AddIn {
                wcode: number(wcode)?,
                scode: number(scode)?,
                source: text_from(source)?,
                text: text_from(text)?,
            })
        }
        _ => Err(broken(rest)),
    }
}

pub(super) fn parts<const N: usize>(answer: &str) -> Result<[&str; N], HostError> {
    let words: Vec<&str> = answer.split_whitespace().collect();
    words.try_into().map_err(|_| broken(format!("not an answer: {answer}")))
}

pub(super) fn counts([live, given, bad, late]: [&str; 4]) -> Result<Counts, HostError> {
    Ok(Counts { live: number(live)?, given: number(given)?, bad: number(bad)?, late: number(late)? })
}

pub(super) fn number<N: FromStr>(word: &str) -> Result<N, HostError> {
    word.parse().map_err(|_| broken(format!("not a number: {word}")))
}

pub(super) fn with_arguments(mut command: String, arguments: &[Value]) -> String {
    for argument in arguments {
        command.push(' ');
        command.push_str(&word(argument));
    }
    command
}

pub(super) fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
}

pub(super) fn text(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.encode_utf16().map(|unit| format!("{unit:04x}")).collect() }
}

fn groups<N>(hex: &str, digits: usize, parse: impl Fn(&str) -> Option<N>) -> Result<Vec<N>, HostError> {
    if hex == "-" {
        return Ok(Vec::new());
    }
    let group = |place: usize| hex.get(place..place + digits).and_then(&parse);
    (0..hex.len()).step_by(digits).map(|place| group(place).ok_or_else(|| broken("not hex"))).collect()
}

pub(super) fn text_from(hex: &str) -> Result<String, HostError> {
    let units = groups(hex, 4, |four| u16::from_str_radix(four, 16).ok())?;
    String::from_utf16(&units).map_err(|_| broken("a text is not UTF-16"))
}

pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Undefined => "u".to_owned(),
        Value::Null => "n".to_owned(),
        Value::Bool(true) => "t".to_owned(),
        Value::Bool(false) => "f".to_owned(),
        Value::Int(number) => format!("i:{number}"),
        Value::Number(number) => format!("d:{number:e}"),
        Value::Text(content) => format!("s:{}", text(content)),
        Value::Date([year, month, day, hour, minute, second]) => {
            format!("D:{year},{month},{day},{hour},{minute},{second}")
        }
        Value::Blob(bytes) => format!("b:{}", hex(bytes)),
        Value::Odd(word) => (*word).to_owned(),
    }
}

pub(super) fn value(word: &str) -> Result<Value, HostError> {
    Ok(match word.split_once(':') {
        None => match word {
            "" | "u" => Value::Undefined,
            "n" => Value::Null,
            "t" => Value::Bool(true),
            "f" => Value::Bool(false),
            _ => return Err(broken(format!("not a value: {word}"))),
        },
        Some(("i", rest)) => Value::Int(number(rest)?),
        Some(("d", rest)) => Value::Number(number(rest)?),
        Some(("s", rest)) => Value::Text(text_from(rest)?),
        Some(("b", rest)) => Value::Blob(groups(rest, 2, |two| u8::from_str_radix(two, 16).ok())?),
        Some(("D", rest)) => {
            let parts = rest.split(',').map(number).collect::<Result<Vec<i32>, _>>()?;
            Value::Date(parts.try_into().map_err(|_| broken("not a date"))?)
        }
        Some(_) => return Err(broken(format!("not a value: {word}"))),
    })
}

pub(super) fn member(word: &str) -> Result<Member, HostError> {
    let fields: Vec<&str> = word.splitn(6, ':').collect();
    match fields.as_slice() {
        ["p", english, russian, access] => Ok(Member::Property {
            english: text_from(english)?,
            russian: text_from(russian)?,
            readable: access.starts_with('r'),
            writable: access.ends_with('w'),
        }),
        ["m", english, russian, _, has_result, defaults] => {
            let default = |word: &str| if word == "none" { Ok(None) } else { value(word).map(Some) };
            Ok(Member::Method {
                english: text_from(english)?,
                russian: text_from(russian)?,
                parameters: defaults
                    .split(',')
                    .filter(|word| !word.is_empty())
                    .map(default)
                    .collect::<Result<_, _>>()?,
                has_result: *has_result == "1",
            })
        }
        _ => Err(broken(format!("not a member: {word}"))),
    }
}
