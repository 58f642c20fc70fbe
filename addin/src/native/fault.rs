//! Errors that the border itself finds, before or after the component's own code, with their texts in both languages.
//! Must not know any member by name: names come from the tables.

use std::ffi::c_long;

use super::component::{Failure, Names};

/// What is wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No member has this number.
    UnknownMember,
    /// The property can't be read.
    NotReadable(Names),
    /// The property can't be written.
    NotWritable(Names),
    /// The wrong number of arguments for a method that takes from `least` to `most`.
    Count { names: Names, least: usize, most: usize, given: c_long },
    /// An argument has a type that can't be passed; counted from 1, 0 is the value of a property.
    Argument { names: Names, position: usize, reason: Unreadable },
    /// A call broke inside the component.
    Panic(String),
    /// The host gave no memory for the result.
    NoMemory,
}

/// Why a foreign variant is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The kind is unknown or not supported, with its number.
    Kind(u16),
    /// The text, bytes or date inside are impossible.
    Content,
}

impl Fault {
    /// The error of 1C that this becomes.
    pub fn failure(&self, russian: bool) -> Failure {
        let text = |in_russian: String, in_english: String| if russian { in_russian } else { in_english };
        let name = |names: Names| if russian { names.russian } else { names.english };
        match self {
            Fault::UnknownMember => Failure::new(
                "EUnknownMember",
                text(
                    "У компоненты нет такого свойства или метода. Обновите компоненту.".into(),
                    "The component has no such property or method. Update the component.".into(),
                ),
            ),
            Fault::NotReadable(names) => Failure::new(
                "EPropertyAccess",
                text(
                    format!("Свойство {} доступно только для записи.", name(*names)),
                    format!("Property {} is write-only.", name(*names)),
                ),
            ),
            Fault::NotWritable(names) => Failure::new(
                "EPropertyAccess",
                text(
                    format!("Свойство {} доступно только для чтения.", name(*names)),
                    format!("Property {} is read-only.", name(*names)),
                ),
            ),
            Fault::Count { names, least, most, given } => {
                let range = if least == most { least.to_string() } else { format!("{least}–{most}") };
                Failure::new(
                    "EArgumentCount",
                    text(
                        format!("{}: передано параметров: {given}, требуется: {range}.", name(*names)),
                        format!("{}: {given} arguments given, {range} needed.", name(*names)),
                    ),
                )
            }
            Fault::Argument { names, position, reason } => {
                let place = match position {
                    0 => text("значение".into(), "the value".into()),
                    _ => text(format!("параметр {position}"), format!("argument {position}")),
                };
                Failure::new(
                    "EArgumentType",
                    match reason {
                        Unreadable::Kind(kind) => text(
                            format!("{}: {place} имеет неподдерживаемый тип ({kind}).", name(*names)),
                            format!("{}: {place} has an unsupported type ({kind}).", name(*names)),
                        ),
                        Unreadable::Content => text(
                            format!("{}: {place} содержит недопустимые данные.", name(*names)),
                            format!("{}: {place} holds invalid data.", name(*names)),
                        ),
                    },
                )
            }
            Fault::Panic(cause) => Failure::new(
                "EInternalError",
                text(
                    format!("Внутренняя ошибка компоненты: {cause}. Сообщите разработчику, приложив журнал."),
                    format!("Internal error of the component: {cause}. Report it to the developer with the log."),
                ),
            ),
            Fault::NoMemory => Failure::new(
                "EOutOfMemory",
                text(
                    "Платформа не выделила память для результата.".into(),
                    "The platform gave no memory for the result.".into(),
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Names = Names { english: "Start", russian: "Запуск" };

    #[test]
    fn a_fault_speaks_the_language_of_the_session() {
        let fault = Fault::Count { names: START, least: 1, most: 2, given: 0 };
        assert_eq!(fault.failure(true).to_string(), "(EArgumentCount) Запуск: передано параметров: 0, требуется: 1–2.");
        assert_eq!(fault.failure(false).to_string(), "(EArgumentCount) Start: 0 arguments given, 1–2 needed.");
        let fault = Fault::Argument { names: START, position: 2, reason: Unreadable::Kind(9) };
        assert_eq!(fault.failure(false).to_string(), "(EArgumentType) Start: argument 2 has an unsupported type (9).");
    }
}
