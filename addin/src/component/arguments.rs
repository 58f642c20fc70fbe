//! Arguments as 1C code passes them: numbers in any numeric type or as text, NULL and Неопределено for what is left out. What can't
//! be meant is an error of the calling code.

use licence::error::{Code, Error};
use licence::protocol::keys::Hidden;

use crate::native::{Failure, Value};

/// English and Russian name of the member that is called.
pub type Member = (&'static str, &'static str);

/// The error for a wrong argument, without its cause.
pub fn argument(english: &str, russian: &str) -> Error {
    Error::new(Code::BadArgument).with_text(russian, english)
}

/// The error for an argument of a wrong kind.
pub fn wrong_kind((english, russian): (&str, &str), wanted_russian: &str, wanted_english: &str) -> Failure {
    let error = argument(english, russian);
    Failure(error.with_text(format_args!("ожидается {wanted_russian}"), format_args!("{wanted_english} is expected")))
}

/// The text that a value must be.
pub fn text<'a>(value: &'a Value, english: &str, russian: &str) -> Result<&'a str, Failure> {
    value.as_text().ok_or_else(|| wrong_kind((english, russian), "Строка", "a string"))
}

/// The text that an argument must be.
pub fn text_at<'a>(arguments: &'a [Value], at: usize, english: &str, russian: &str) -> Result<&'a str, Failure> {
    text(argument_at(arguments, at), english, russian)
}

/// The handle of a series: the first argument of everything that is done with one.
pub fn handle_at(arguments: &[Value], names: (&str, &str)) -> Result<i64, Failure> {
    let handle = arguments.first().and_then(Value::as_int);
    handle.ok_or_else(|| wrong_kind(names, "Число: дескриптор серии", "a number: the handle of a series"))
}

/// A truth value; what is left out is false.
pub fn flag_at(arguments: &[Value], at: usize, names: Member) -> Result<bool, Failure> {
    match argument_at(arguments, at) {
        Value::Undefined | Value::Null => Ok(false),
        value => value.as_bool().ok_or_else(|| wrong_kind(names, "Булево", "a truth value")),
    }
}

/// A text, or a number as its digits; `None` for what is left out or empty.
pub fn optional_text_at(arguments: &[Value], at: usize, names: Member) -> Result<Option<String>, Failure> {
    let wrong = || wrong_kind(names, "Строка или Число", "a string or a number");
    let text = match argument_at(arguments, at) {
        Value::Undefined | Value::Null => return Ok(None),
        Value::Text(text) => text.trim().to_owned(),
        value => value.as_int().ok_or_else(wrong)?.to_string(),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A text, or a number as its digits; empty for what is left out.
pub fn text_or_nothing_at(arguments: &[Value], at: usize, names: Member) -> Result<String, Failure> {
    Ok(optional_text_at(arguments, at, names)?.unwrap_or_default())
}

/// A text that nobody else may see, blanks at its ends included; it is moved out of the arguments, so that it is wiped. A number
/// is its digits, and what is left out is empty.
pub fn hidden_at(arguments: &mut [Value], at: usize, names: Member) -> Result<Hidden, Failure> {
    if let Some(Value::Text(text)) = arguments.get_mut(at) {
        return Ok(Hidden(std::mem::take(text)));
    }
    text_or_nothing_at(arguments, at, names).map(Hidden)
}

/// A whole number from 0 on, as a number or as its digits, which may stand in groups; `None` for what is left out, empty or 0.
pub fn optional_number_at<N: TryFrom<i64>>(
    arguments: &[Value],
    at: usize,
    names: Member,
) -> Result<Option<N>, Failure> {
    let Some(text) = optional_text_at(arguments, at, names)? else { return Ok(None) };
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let number = digits.parse::<i64>().ok().filter(|number| *number >= 0);
    let number = number.and_then(|number| Some((number, N::try_from(number).ok()?)));
    match number {
        Some((0, _)) => Ok(None),
        Some((_, number)) => Ok(Some(number)),
        None => Err(wrong_kind(names, "целое неотрицательное Число", "a whole number from 0 on")),
    }
}

fn argument_at(arguments: &[Value], at: usize) -> &Value {
    arguments.get(at).unwrap_or(&Value::Undefined)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Member = ("Name", "Имя");

    #[test]
    fn numbers_come_in_any_type_or_as_digits_and_nothing_in_many_forms() {
        let number = |value: Value| optional_number_at::<u32>(&[value], 0, NAMES);
        for value in [Value::Int(7), Value::Number(7.0), "7".into(), " 0 007 ".into()] {
            assert_eq!(number(value.clone()), Ok(Some(7)), "{value:?}");
        }
        for value in [Value::Undefined, Value::Null, "".into(), " ".into(), Value::Int(0), "0".into()] {
            assert_eq!(number(value.clone()), Ok(None), "{value:?}");
        }
        assert_eq!(optional_number_at::<u32>(&[], 0, NAMES), Ok(None));
        let beyond = Value::Int(1 << 40);
        for value in
            [Value::Number(0.5), Value::Number(f64::NAN), Value::Int(-1), "x".into(), Value::Bool(true), beyond]
        {
            assert!(number(value.clone()).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_tax_number_may_be_a_number_or_a_text_that_begins_with_0() {
        let text = |value: Value| optional_text_at(&[value], 0, NAMES).unwrap();
        assert_eq!(text(Value::Number(7_701_000_001.0)).as_deref(), Some("7701000001"));
        assert_eq!(text(" 0101000001 ".into()).as_deref(), Some("0101000001"));
        assert_eq!((text("".into()), text(Value::Null)), (None, None));
        assert!(optional_text_at(&[Value::Blob(Vec::new())], 0, NAMES).is_err());
    }

    #[test]
    fn a_hidden_text_is_taken_whole_and_leaves_the_arguments() {
        let mut arguments = [" п 1 ".into(), Value::Int(12), Value::Undefined, Value::Bool(true)];
        let mut hidden = |at| hidden_at(&mut arguments, at, NAMES);
        assert_eq!(hidden(0), Ok(Hidden(" п 1 ".into())));
        assert_eq!(
            (hidden(1), hidden(2), hidden(9)),
            (Ok(Hidden("12".into())), Ok(Hidden::default()), Ok(Hidden::default()))
        );
        assert!(hidden(3).is_err());
        assert_eq!(arguments[0], Value::from(""));
    }

    #[test]
    fn a_truth_value_may_be_a_number_or_left_out() {
        let flag = |value: Value| flag_at(&[value], 0, NAMES);
        assert_eq!((flag(Value::Int(2)), flag(Value::Bool(true))), (Ok(true), Ok(true)));
        assert_eq!(
            (flag(Value::Number(0.0)), flag(Value::Null), flag_at(&[], 0, NAMES)),
            (Ok(false), Ok(false), Ok(false))
        );
        assert!(flag("Истина".into()).is_err());
    }
}
