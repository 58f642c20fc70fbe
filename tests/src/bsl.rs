//! Sources in the language of 1C, as far as it takes to see what they export and what they call. Knows no syntax beyond names,
//! brackets and literals; `onec-hbk-bsl` judges the rest.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Outcome;

/// A module.
#[derive(Debug)]
pub struct Module {
    /// File.
    pub path: PathBuf,
    words: Vec<Word>,
}

/// A procedure or function that others can call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Name.
    pub name: String,
    /// Parameters without a default.
    pub required: usize,
    /// All parameters.
    pub parameters: usize,
}

/// A use of a member: `Receiver.Name(…)` or `Receiver.Name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The name before the dot.
    pub receiver: String,
    /// The member.
    pub name: String,
    /// Number of arguments, omitted ones counted; `None` for a property.
    pub arguments: Option<usize>,
    /// Whether a property is written.
    pub written: bool,
    /// Line, counted from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Name(String),
    Literal,
    Sign(char),
}

#[derive(Debug, Clone)]
struct Word {
    kind: Kind,
    line: usize,
}

impl Module {
    /// Reads a text.
    pub fn of(path: &Path, text: &str) -> Module {
        Module { path: path.to_owned(), words: words(text) }
    }

    /// Reads all modules below a folder.
    pub fn below(folder: &Path) -> Outcome<Vec<Module>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                all.extend(Module::below(&path)?);
            } else if path.extension().is_some_and(|extension| extension == "bsl") {
                all.push(Module::of(&path, &fs::read_to_string(&path)?));
            }
        }
        Ok(all)
    }

    /// What the module exports.
    pub fn exports(&self) -> Vec<Export> {
        let mut all = Vec::new();
        for (at, word) in self.words.iter().enumerate() {
            let Kind::Name(keyword) = &word.kind else { continue };
            if !["Функция", "Процедура"].contains(&keyword.as_str()) {
                continue;
            }
            let (Some(Kind::Name(name)), Some(Kind::Sign('('))) = (self.kind(at + 1), self.kind(at + 2)) else {
                continue;
            };
            let (lists, end) = self.bracket(at + 2);
            let exported = matches!(self.kind(end), Some(Kind::Name(word)) if word == "Экспорт");
            if exported {
                let required = lists.iter().filter(|list| !list.contains(&Kind::Sign('='))).count();
                all.push(Export { name: name.clone(), required, parameters: lists.len() });
            }
        }
        all
    }

    /// Uses of members of anything that has one of these names.
    pub fn uses(&self, receivers: &[&str]) -> Vec<Use> {
        let mut all = Vec::new();
        for (at, word) in self.words.iter().enumerate() {
            let (Kind::Name(receiver), Some(Kind::Sign('.'))) = (&word.kind, self.kind(at + 1)) else { continue };
            let Some(Kind::Name(name)) = self.kind(at + 2) else { continue };
            if !receivers.contains(&receiver.as_str()) {
                continue;
            }
            let arguments = (self.kind(at + 3) == Some(&Kind::Sign('('))).then(|| self.bracket(at + 3).0.len());
            // A statement starts with the receiver; within one `=` compares.
            let starts = at == 0 || self.kind(at - 1) == Some(&Kind::Sign(';')) || self.starts_block(at - 1);
            let written = starts && self.kind(at + 3) == Some(&Kind::Sign('='));
            let (receiver, name) = (receiver.clone(), name.clone());
            all.push(Use { receiver, name, arguments, written, line: word.line });
        }
        all
    }

    fn kind(&self, at: usize) -> Option<&Kind> {
        self.words.get(at).map(|word| &word.kind)
    }

    fn starts_block(&self, at: usize) -> bool {
        let opens = ["Тогда", "Иначе", "Попытка", "Исключение", "Цикл", "Экспорт"];
        match self.kind(at) {
            Some(Kind::Name(word)) => opens.contains(&word.as_str()),
            // The end of a private procedure's parameters.
            Some(Kind::Sign(')')) => true,
            _ => false,
        }
    }

    /// What stands between the commas of a bracket that opens at `open`, and the place behind its end.
    fn bracket(&self, open: usize) -> (Vec<Vec<Kind>>, usize) {
        let mut lists = vec![Vec::new()];
        let mut depth = 0;
        for at in open..self.words.len() {
            match &self.words[at].kind {
                Kind::Sign('(') => depth += 1,
                Kind::Sign(')') if depth == 1 => {
                    let none = lists.len() == 1 && lists[0].is_empty();
                    return (if none { Vec::new() } else { lists }, at + 1);
                }
                Kind::Sign(')') => depth -= 1,
                Kind::Sign(',') if depth == 1 => {
                    lists.push(Vec::new());
                    continue;
                }
                _ => {}
            }
            if at > open
                && let Some(last) = lists.last_mut()
            {
                last.push(self.words[at].kind.clone());
            }
        }
        (lists, self.words.len())
    }
}

fn words(text: &str) -> Vec<Word> {
    let mut all = Vec::new();
    let mut rest = text.chars().peekable();
    let mut line = 1;
    while let Some(c) = rest.next() {
        let kind = match c {
            '\n' => {
                line += 1;
                continue;
            }
            '/' if rest.peek() == Some(&'/') => {
                while rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            '"' | '\'' => {
                let start = line;
                // A doubled quote ends a literal and begins the next one: for our purpose the same.
                while let Some(inside) = rest.next_if(|next| *next != c) {
                    line += usize::from(inside == '\n');
                }
                rest.next();
                all.push(Word { kind: Kind::Literal, line: start });
                continue;
            }
            '#' | '&' => {
                while rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut name = String::from(c);
                while let Some(next) = rest.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    name.push(next);
                }
                Kind::Name(name)
            }
            c if c.is_ascii_digit() => {
                while rest.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
                Kind::Literal
            }
            c if c.is_whitespace() => continue,
            c => Kind::Sign(c),
        };
        all.push(Word { kind, line });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_and_uses_are_counted_with_their_arguments() {
        let text = "// К.Нет()\nФункция А(Знач Б, В = \"К.Нет(\", Г = -1) Экспорт\n\tК.Один(1, , Н(2, 3));\n\tК.Пять = 5;\n\
                    \tЕсли К.Шесть = 6 Тогда К.Ноль(); КонецЕсли;\nКонецФункции\nПроцедура Б()\nКонецПроцедуры\n";
        let module = Module::of(Path::new("М.bsl"), text);
        assert_eq!(module.exports(), [Export { name: "А".into(), required: 1, parameters: 3 }]);
        let uses: Vec<_> = module.uses(&["К"]).into_iter().map(|u| (u.name, u.arguments, u.written, u.line)).collect();
        assert_eq!(
            uses,
            [
                ("Один".to_owned(), Some(3), false, 3),
                ("Пять".to_owned(), None, true, 4),
                ("Шесть".to_owned(), None, false, 5),
                ("Ноль".to_owned(), Some(0), false, 5)
            ]
        );
    }
}
