//! What of a text that another program sent may be shown to people: one line of bounded length, with nothing in it that moves a
//! terminal's cursor, hides or turns other text round, or looks like a line of a log.

use std::iter::Peekable;
use std::str::Chars;

/// The text without escape sequences, control characters and invisible marks, in one line of at most `limit` characters; what is
/// longer ends with an ellipsis.
pub fn plain(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(limit));
    let mut count = 0;
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        let next = match next {
            '\u{1B}' => {
                skip_sequence(&mut rest);
                continue;
            }
            '\u{9B}' => {
                skip_control_sequence(&mut rest);
                continue;
            }
            '\u{90}' | '\u{98}' | '\u{9D}'..='\u{9F}' => {
                skip_string(&mut rest);
                continue;
            }
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            hidden if hidden.is_control() || is_invisible(hidden) => continue,
            other => other,
        };
        if count == limit {
            shown.pop();
            shown.push('…');
            break;
        }
        shown.push(next);
        count += 1;
    }
    shown
}

/// Marks without a shape: those that join, separate or turn text round (Unicode, format characters).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
    )
}

/// What follows an escape character (ECMA-48).
fn skip_sequence(rest: &mut Peekable<Chars<'_>>) {
    match rest.next_if(|c| matches!(c, ' '..='~')) {
        Some('[') => skip_control_sequence(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        Some(' '..='/') => {
            while rest.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            rest.next_if(|c| matches!(c, '0'..='~'));
        }
        _ => {}
    }
}

/// Parameters and the final character of a control sequence.
fn skip_control_sequence(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    rest.next_if(|c| matches!(c, '@'..='~'));
}

/// A command for the terminal, to its end.
fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(next) = rest.next() {
        match next {
            '\u{7}' | '\u{9C}' => return,
            '\u{1B}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in ["", "Сервер kassa-1:9099 не найден", "a {0} \\ \"б\" 🙂"] {
            assert_eq!(plain(text, 100), text);
        }
    }

    #[test]
    fn what_moves_a_terminal_or_hides_text_is_left_out() {
        for (text, shown) in [
            ("a\u{1B}[2J\u{1B}[1;31mb\u{1B}[0m", "ab"),
            ("a\u{9B}2Jb", "ab"),
            ("a\u{1B}]0;title\u{7}b\u{1B}]8;;http://x\u{1B}\\c", "abc"),
            ("a\u{1B}Pq\u{9C}b\u{1B}(Bc\u{1B}7d\u{1B}", "abcd"),
            ("a\u{9D}52;c;AAAA\u{7}b", "ab"),
            ("one\r\ntwo\tthree\u{0}\u{8}\u{7F}", "one  two three"),
            ("a\u{202E}b\u{200B}c\u{2066}d\u{FEFF}", "abcd"),
            ("a\u{1B}]never ended", "a"),
            ("a\u{1B}я\u{1B}\u{1B}[31mб", "aяб"),
        ] {
            assert_eq!(plain(text, 100), shown, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(plain("абвгд", 5), "абвгд");
        assert_eq!(plain("абвгде", 5), "абвг…");
        assert_eq!(plain(&"\u{1B}[0m".repeat(10_000), 5), "");
        assert_eq!(plain("a", 0), "…");
    }
}
