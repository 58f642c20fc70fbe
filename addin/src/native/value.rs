//! Values that travel between 1C and the component, as safe Rust data.
//! Knows nothing of memory that crosses the border: `variant` alone reads and writes that.

use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;

/// A value of 1C, as an argument, a property or a result.
///
/// Integers and reals of 1C are one type, Число, and a host may send either in any numeric form: read numbers through
/// [`Value::as_int`] and [`Value::as_number`], never by matching one variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Неопределено; as an argument of an optional parameter also "take the default".
    #[default]
    Undefined,
    /// NULL of a query result.
    Null,
    /// Булево.
    Bool(bool),
    /// Число that came, or shall go, as an integer. Beyond 32 bits it reaches 1C as a real.
    Int(i64),
    /// Число that came, or shall go, as a real.
    Number(f64),
    /// Строка.
    Text(String),
    /// Дата, to the second.
    Date(DateTime),
    /// ДвоичныеДанные.
    Blob(Vec<u8>),
    /// ДвоичныеДанные that come to be in 1C's own memory; only as a result.
    Promise(Promise),
}

/// Bytes that nobody may keep a second copy of: they come to be in the memory that 1C gets.
pub trait Maker: Send + Sync {
    /// What is copied into that memory, one part after the other.
    fn parts(&self) -> Vec<&[u8]>;

    /// Makes the bytes out of the copied parts, in place; how many there are, from the start on. On a refusal the memory goes
    /// back, the result is Неопределено, and the component is told ([`Component::refused`](super::Component::refused)).
    fn make(&self, memory: &mut [u8]) -> licence::Result<usize>;
}

/// A [`Maker`] as a value; equal to itself only.
#[derive(Clone)]
pub struct Promise(Arc<dyn Maker>);

impl Promise {
    /// Wraps a maker.
    pub fn new(maker: impl Maker + 'static) -> Promise {
        Promise(Arc::new(maker))
    }

    pub(super) fn maker(&self) -> &dyn Maker {
        &*self.0
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}

impl PartialEq for Promise {
    fn eq(&self, other: &Promise) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Value {
    /// The truth value: of Булево itself, or of a number (non-zero is true), else `None`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(flag) => Some(*flag),
            Value::Int(number) => Some(*number != 0),
            Value::Number(number) => Some(*number != 0.0),
            _ => None,
        }
    }

    /// The whole number, if this is a number without a fraction that fits 64 bits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Number(number) => whole(*number),
            _ => None,
        }
    }

    /// The number, rounded to the nearest real where it is a very large integer.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The text of a Строка.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of ДвоичныеДанные.
    pub fn as_blob(&self) -> Option<&[u8]> {
        match self {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Moves the value out and leaves Неопределено: how a method takes a large argument without a copy.
    pub fn take(&mut self) -> Value {
        std::mem::take(self)
    }

    /// What a person calls this kind of value in 1C, for error texts.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Undefined => "Неопределено",
            Value::Null => "NULL",
            Value::Bool(_) => "Булево",
            Value::Int(_) | Value::Number(_) => "Число",
            Value::Text(_) => "Строка",
            Value::Date(_) => "Дата",
            Value::Blob(_) | Value::Promise(_) => "ДвоичныеДанные",
        }
    }
}

fn whole(number: f64) -> Option<i64> {
    // 2^63 itself is a real that no i64 holds, so the upper bound is open.
    let fits = number.fract() == 0.0 && (i64::MIN as f64..-(i64::MIN as f64)).contains(&number);
    fits.then_some(number as i64)
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

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Blob(bytes)
    }
}

impl From<DateTime> for Value {
    fn from(date: DateTime) -> Self {
        Value::Date(date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_reals_are_interchangeable() {
        assert_eq!(Value::Number(9099.0).as_int(), Some(9099));
        assert_eq!(Value::Int(9099).as_number(), Some(9099.0));
        assert_eq!(Value::Number(0.5).as_int(), None);
        assert_eq!(Value::Number(f64::NAN).as_int(), None);
        assert_eq!(Value::Number(9.3e18).as_int(), None);
        assert_eq!(Value::Number(i64::MIN as f64).as_int(), Some(i64::MIN));
    }

    #[test]
    fn a_taken_argument_leaves_undefined() {
        let mut value = Value::from(vec![1, 2, 3]);
        assert_eq!(value.take(), Value::Blob(vec![1, 2, 3]));
        assert_eq!(value, Value::Undefined);
    }
}
