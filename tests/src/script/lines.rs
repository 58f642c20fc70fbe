//! The lines of a script: their grammar and nothing else.

use crate::host::Value;

/// A line that does something.
#[derive(Debug)]
pub struct Line {
    /// Counted from 1.
    pub number: usize,
    /// As it stands in the script.
    pub text: String,
    /// What it does.
    pub action: Action,
}

/// What a line does.
#[derive(Debug)]
pub enum Action {
    /// `Повторить 40` … `Конец`.
    Repeat(u64, Vec<Line>),
    /// `Сервер А 672B:2`: starts a server with so many licences of a series.
    Server(String, Vec<(String, u64)>),
    /// `Убить А`.
    Kill(String),
    /// `Поднять А`.
    Restart(String),
    /// `Процесс сервер` or `Процесс клиент`: the 1C process that loads the component.
    Process(String),
    /// `Занято А 1`: that many seats of a server are taken.
    Seats(String, u64),
    /// `Сеансов А 1`: that many sessions are listed by a server.
    Sessions(String, u64),
    /// `Объект = Новый`.
    Create(String),
    /// `Объект = Неопределено`.
    Destroy(String),
    /// `Имя = Объект.Метод(…)`, `Имя = Объект.Свойство`.
    Keep(String, Member),
    /// `Объект.Свойство = Значение`.
    Assign(String, String, Expression),
    /// `Объект.Метод(…) => ожидание`.
    Expect(Member, Expected),
}

/// A member of an object.
#[derive(Debug)]
pub struct Member {
    /// Name of the object.
    pub object: String,
    /// Name of the member.
    pub name: String,
    /// Arguments of a method, `None` for a property.
    pub arguments: Option<Vec<Expression>>,
}

/// A value in a line.
#[derive(Debug)]
pub enum Expression {
    /// `"текст"`, `12`, `-1.5`, `Истина`, `Ложь`, `Неопределено`, `Null`.
    Literal(Value),
    /// A name that was kept.
    Name(String),
    /// `Адрес(А)`: something of the surroundings.
    Fixture(String, String),
}

/// What must come of a call.
#[derive(Debug)]
pub enum Expected {
    /// No exception.
    Anything,
    /// This value.
    Equal(Expression),
    /// A text that starts so.
    Starts(String),
    /// A text with this in it.
    Contains(String),
    /// An exception whose text has this in it.
    Exception(String),
}

/// Reads a whole script; the error names the line.
pub fn read(text: &str) -> Result<Vec<Line>, String> {
    let mut numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = block(&mut numbered, false)?;
    if lines.is_empty() { Err("пустой сценарий".to_owned()) } else { Ok(lines) }
}

fn block<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, inside: bool) -> Result<Vec<Line>, String> {
    let mut all = Vec::new();
    while let Some((number, text)) = lines.next() {
        if text.is_empty() || text.starts_with("//") {
            continue;
        }
        if text == "Конец" && inside {
            return Ok(all);
        }
        let wrong = |why: String| format!("{number}: {text}: {why}");
        let mut words = Words::of(text).map_err(wrong)?;
        let action = match words.peek() {
            Some(Word::Name(name)) if name == "Повторить" => {
                words.next();
                let times = words.whole().map_err(wrong)?;
                Action::Repeat(times, block(lines, true)?)
            }
            _ => action(&mut words).map_err(wrong)?,
        };
        words.end().map_err(wrong)?;
        all.push(Line { number, text: text.to_owned(), action });
    }
    if inside { Err("нет строки Конец".to_owned()) } else { Ok(all) }
}

fn action(words: &mut Words) -> Result<Action, String> {
    let first = words.name()?;
    match (first.as_str(), words.peek()) {
        (_, Some(Word::Sign('.'))) => {
            let member = member(first, words)?;
            if member.arguments.is_none() && words.take('=') {
                return Ok(Action::Assign(member.object, member.name, expression(words)?));
            }
            Ok(Action::Expect(member, expected(words)?))
        }
        (_, Some(Word::Sign('='))) => {
            words.next();
            let name = words.name()?;
            match name.as_str() {
                "Новый" => Ok(Action::Create(first)),
                "Неопределено" => Ok(Action::Destroy(first)),
                _ => Ok(Action::Keep(first, member(name, words)?)),
            }
        }
        ("Сервер", _) => {
            let name = words.name()?;
            let mut seats = Vec::new();
            while words.peek().is_some() {
                let series = words.text_of_name_or_number()?;
                words.sign(':')?;
                seats.push((series, words.whole()?));
            }
            Ok(Action::Server(name, seats))
        }
        ("Убить", _) => Ok(Action::Kill(words.name()?)),
        ("Поднять", _) => Ok(Action::Restart(words.name()?)),
        ("Процесс", _) => match words.name()? {
            kind if kind == "сервер" || kind == "клиент" => Ok(Action::Process(kind)),
            other => Err(format!("процесс {other}: нужен сервер или клиент")),
        },
        ("Занято", _) => Ok(Action::Seats(words.name()?, words.whole()?)),
        ("Сеансов", _) => Ok(Action::Sessions(words.name()?, words.whole()?)),
        (other, _) => Err(format!("что такое {other}?")),
    }
}

fn member(object: String, words: &mut Words) -> Result<Member, String> {
    words.sign('.')?;
    let name = words.name()?;
    if !words.take('(') {
        return Ok(Member { object, name, arguments: None });
    }
    let mut arguments = Vec::new();
    while !words.take(')') {
        if !arguments.is_empty() {
            words.sign(',')?;
        }
        arguments.push(expression(words)?);
    }
    Ok(Member { object, name, arguments: Some(arguments) })
}

fn expected(words: &mut Words) -> Result<Expected, String> {
    if !words.take('>') {
        return Ok(Expected::Anything);
    }
    let kind = match words.peek() {
        Some(Word::Name(name)) => name.clone(),
        _ => String::new(),
    };
    let make = match kind.as_str() {
        "начинается" => Expected::Starts,
        "содержит" => Expected::Contains,
        "исключение" => Expected::Exception,
        _ => return Ok(Expected::Equal(expression(words)?)),
    };
    words.next();
    match words.next() {
        Some(Word::Text(text)) => Ok(make(text)),
        _ => Err(format!("после слова {kind} нужен текст в кавычках")),
    }
}

fn expression(words: &mut Words) -> Result<Expression, String> {
    let literal = |value| Ok(Expression::Literal(value));
    match words.next() {
        Some(Word::Text(text)) => literal(Value::Text(text)),
        Some(Word::Number(number)) => match number.parse() {
            Ok(whole) => literal(Value::Int(whole)),
            Err(_) => number.parse().map(Value::Number).map_err(|_| format!("не число: {number}")).and_then(literal),
        },
        Some(Word::Name(name)) => match name.as_str() {
            "Истина" => literal(Value::Bool(true)),
            "Ложь" => literal(Value::Bool(false)),
            "Неопределено" => literal(Value::Undefined),
            "Null" => literal(Value::Null),
            _ if words.take('(') => {
                let argument = words.text_of_name_or_number()?;
                words.sign(')')?;
                Ok(Expression::Fixture(name, argument))
            }
            _ => Ok(Expression::Name(name)),
        },
        other => Err(format!("нужно значение, а здесь {other:?}")),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Name(String),
    Number(String),
    Text(String),
    /// One of `. , ( ) = :`; `=>` is `>`.
    Sign(char),
}

/// The words of one line.
struct Words(std::collections::VecDeque<Word>);

impl Words {
    fn of(line: &str) -> Result<Words, String> {
        let mut words = std::collections::VecDeque::new();
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let end_of = |part: fn(char) -> bool| rest.find(|c: char| !part(c)).unwrap_or(rest.len());
            let (word, length) = match first {
                c if c.is_whitespace() => {
                    rest = rest.trim_start();
                    continue;
                }
                '"' => quoted(rest)?,
                '=' if rest.starts_with("=>") => (Word::Sign('>'), 2),
                '.' | ',' | '(' | ')' | '=' | ':' => (Word::Sign(first), 1),
                c if c.is_ascii_digit() || c == '-' => {
                    // A series such as 672B starts like a number.
                    let end = end_of(|c| c.is_alphanumeric() || matches!(c, '-' | '.'));
                    (Word::Number(rest[..end].to_owned()), end)
                }
                c if c.is_alphabetic() || c == '_' => {
                    let end = end_of(|c| c.is_alphanumeric() || c == '_');
                    (Word::Name(rest[..end].to_owned()), end)
                }
                c => return Err(format!("знак {c:?}")),
            };
            words.push_back(word);
            rest = &rest[length..];
        }
        Ok(Words(words))
    }

    fn peek(&self) -> Option<&Word> {
        self.0.front()
    }

    fn next(&mut self) -> Option<Word> {
        self.0.pop_front()
    }

    fn take(&mut self, sign: char) -> bool {
        let there = self.peek() == Some(&Word::Sign(sign));
        if there {
            self.next();
        }
        there
    }

    fn sign(&mut self, sign: char) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(format!("нужен знак {sign}")) }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Word::Name(name)) => Ok(name),
            other => Err(format!("нужно имя, а здесь {other:?}")),
        }
    }

    fn text_of_name_or_number(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Word::Name(text) | Word::Number(text)) => Ok(text),
            other => Err(format!("нужно имя или номер, а здесь {other:?}")),
        }
    }

    fn whole(&mut self) -> Result<u64, String> {
        match self.next() {
            Some(Word::Number(number)) => number.parse().map_err(|_| format!("не число: {number}")),
            other => Err(format!("нужно число, а здесь {other:?}")),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.next().map_or(Ok(()), |word| Err(format!("лишнее: {word:?}")))
    }
}

/// A text in quotes, its own quotes doubled, and its length in the line.
fn quoted(line: &str) -> Result<(Word, usize), String> {
    let mut text = String::new();
    let mut chars = line.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            text.push('"');
        } else {
            return Ok((Word::Text(text), at + 1));
        }
    }
    Err("нет закрывающей кавычки".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_line_of_a_script_is_named() {
        for (text, part) in [
            ("", "пустой"),
            ("Повторить 2\nО = Новый", "Конец"),
            ("О.М(1", "нужен знак"),
            ("О.М() => начинается 5", "в кавычках"),
            ("Делай что-нибудь", "что такое Делай"),
            ("О.М() => Истина ещё", "лишнее"),
            ("О.М(\"а)", "кавычки"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn values_are_read_as_1c_writes_them() {
        let lines = read("О.М(\"а \"\"б\"\"\", -12, 1.5, Истина, Д, Якорь(672B)) => Неопределено").unwrap();
        let Action::Expect(member, Expected::Equal(Expression::Literal(Value::Undefined))) = &lines[0].action else {
            panic!("{lines:?}")
        };
        let Some([Expression::Literal(text), Expression::Literal(int), Expression::Literal(real), _, last, fixture]) =
            member.arguments.as_deref()
        else {
            panic!("{member:?}")
        };
        assert_eq!((text, int, real), (&"а \"б\"".into(), &Value::Int(-12), &Value::Number(1.5)));
        assert!(matches!(last, Expression::Name(name) if name == "Д"));
        assert!(matches!(fixture, Expression::Fixture(name, series) if name == "Якорь" && series == "672B"));
    }
}
