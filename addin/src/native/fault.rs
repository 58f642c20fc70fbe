//! Errors that the border itself finds before or after the component's own code, in the words of the catalogue.
//! Must not know any member by name: names come from the tables.

use std::ffi::c_long;

use licence::{Code, Error};

use super::component::{Failure, Names};

/// Why a foreign variant is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The kind is unknown or not supported, with its number.
    Kind(u16),
    /// The text, bytes or date inside are impossible.
    Content,
}

/// No member has this number.
pub fn unknown_member(number: c_long) -> Failure {
    Failure(Error::new(Code::MemberUnknown).with(number))
}

/// The property can't be read.
pub fn not_readable(names: Names) -> Failure {
    Failure(about(names).with_text("свойство доступно только для записи", "the property is write-only"))
}

/// The property can't be written.
pub fn not_writable(names: Names) -> Failure {
    Failure(about(names).with_text("свойство доступно только для чтения", "the property is read-only"))
}

/// The wrong number of arguments for a method that takes from `least` to `most`.
pub fn count(names: Names, least: usize, most: usize, given: c_long) -> Failure {
    let range = if least == most { least.to_string() } else { format!("{least}–{most}") };
    Failure(Error::new(Code::ArgumentCount).with_text(names.russian, names.english).with(given).with(range))
}

/// An argument that is no value, counted from 1; 0 is the new value of a property.
pub fn argument(names: Names, position: usize, reason: Unreadable) -> Failure {
    let (place, english_place) = match position {
        0 => ("значение".to_owned(), "the value".to_owned()),
        _ => (format!("параметр {position}"), format!("argument {position}")),
    };
    Failure(match reason {
        Unreadable::Kind(kind) => about(names).with_text(
            format_args!("{place} имеет неподдерживаемый тип {kind}"),
            format_args!("{english_place} has the unsupported type {kind}"),
        ),
        Unreadable::Content => about(names).with_text(
            format_args!("{place} содержит недопустимые данные"),
            format_args!("{english_place} holds invalid data"),
        ),
    })
}

/// A call broke inside the component; the cause stands in the log.
pub fn panic() -> Failure {
    Failure(Error::new(Code::ComponentPanic))
}

/// The host gave no memory for the result.
pub fn no_memory() -> Failure {
    Failure(Code::OutOfMemory.into())
}

fn about(names: Names) -> Error {
    Error::new(Code::BadArgument).with_text(names.russian, names.english)
}

#[cfg(test)]
mod tests {
    use licence::Lang;

    use super::*;

    const START: Names = Names { english: "Start", russian: "Запуск" };

    #[test]
    fn a_fault_names_the_member_in_the_language_of_the_session() {
        let Failure(fault) = count(START, 1, 2, 0);
        assert_eq!(fault.cause(Lang::Russian), "Запуск: передано параметров: 0, требуется: 1–2.");
        assert_eq!(fault.cause(Lang::English), "Start: 0 arguments given, 1–2 needed.");
        let Failure(fault) = argument(START, 2, Unreadable::Kind(9));
        assert_eq!(fault.cause(Lang::English), "Start: wrong argument: argument 2 has the unsupported type 9.");
    }
}
