//! Cells of CSV that no spreadsheet takes for a formula, whatever it takes for a separator: names come from strangers, and a
//! spreadsheet of a Russian computer splits lines at semicolons.
//!
//! A file that is read with another separator than the comma is split inside of our quotes, for a quote means nothing in the middle of
//! a cell. So each place is looked at where any reader may begin a cell, not the beginning of ours alone.

/// What ends a cell or a line for some reader. The comma is not among them: for who splits at commas our quotes hold.
const ENDS: [char; 5] = [';', '|', '\t', '\r', '\n'];
/// What a spreadsheet takes for the beginning of a formula, in both widths.
const SIGNS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A text as a cell: quoted where it must be, with an apostrophe before whatever some reader would take for a formula.
pub fn cell(text: &str) -> String {
    let text = disarmed(text);
    if text.contains([',', '"']) || text.contains(ENDS) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn disarmed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    let first = text.chars().find(|c| !is_passed_over(*c));
    let mut begins = true;
    if text.starts_with(['\t', '\r', '\n']) || first.is_some_and(|c| SIGNS.contains(&c)) {
        out.push('\'');
        // The text's own beginning is settled, unless a separator follows.
        begins = false;
    }
    for c in text.chars() {
        if begins && SIGNS.contains(&c) {
            out.push('\'');
        }
        begins = ENDS.contains(&c) || begins && is_passed_over(c);
        out.push(c);
    }
    out
}

/// What may stand before a formula without making a text of it: blanks, quotes, what is not seen.
fn is_passed_over(c: char) -> bool {
    c == '"' || c.is_whitespace() || c.is_control() || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The cells of one line as a reader with that separator sees them: quotes count at the beginning of a cell only.
    fn read(text: &str, separator: char) -> Vec<Vec<String>> {
        let (mut lines, mut line, mut cell) = (Vec::new(), Vec::new(), String::new());
        let (mut quoted, mut fresh) = (false, true);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if fresh => (quoted, fresh) = (true, false),
                '"' if quoted && chars.peek() == Some(&'"') => {
                    cell.push('"');
                    chars.next();
                }
                '"' if quoted => quoted = false,
                c if !quoted && c == separator => {
                    line.push(std::mem::take(&mut cell));
                    fresh = true;
                }
                '\r' | '\n' if !quoted => {
                    line.push(std::mem::take(&mut cell));
                    lines.push(std::mem::take(&mut line));
                    fresh = true;
                }
                c => {
                    cell.push(c);
                    fresh = false;
                }
            }
        }
        line.push(cell);
        lines.push(line);
        lines
    }

    fn is_formula(cell: &str) -> bool {
        cell.trim_start_matches(is_passed_over).starts_with(SIGNS)
    }

    #[test]
    fn a_text_that_begins_like_a_formula_is_a_text() {
        for text in ["=1+1", "+7", "-5", "@a", "  =1", "\u{a0}=1", "\u{feff}=1", "＝1", "\"=1", "\t1", "\r1", "\n1"] {
            let cell = cell(text);
            assert!(cell.trim_start_matches('"').starts_with('\''), "{text:?}: {cell}");
        }
        assert_eq!(cell("=cmd,1"), "\"'=cmd,1\"");
        assert_eq!(cell("Анна 1-5 a=b"), "Анна 1-5 a=b");
        assert_eq!(cell("Srvr=\"a\";Ref=\"b\""), "\"Srvr=\"\"a\"\";Ref=\"\"b\"\"\"");
        assert_eq!(cell("a, -5"), "\"a, -5\"");
    }

    #[test]
    fn what_a_semicolon_would_cut_out_is_a_text_too() {
        assert_eq!(cell("a;=1+1"), "\"a;'=1+1\"");
        assert_eq!(cell("a; \"=1"), "\"a; \"\"'=1\"");
        assert_eq!(cell("\t=1"), "\"'\t'=1\"");
        assert_eq!(cell("a\r\n=1"), "\"a\r\n'=1\"");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_reader_finds_a_formula(texts in prop::collection::vec("[ab;|, \"'\t\r\n=+@＝-]{0,8}", 1..4)) {
            let line = texts.iter().map(|text| cell(text)).collect::<Vec<_>>().join(",");
            let cells = read(&line, ',');
            let whole = texts.iter().map(|text| disarmed(text)).collect::<Vec<_>>();
            prop_assert_eq!(&cells, &vec![whole], "a reader with commas gets the texts");
            for separator in [',', ';', '\t', '|'] {
                for cell in read(&line, separator).iter().flatten() {
                    prop_assert!(!is_formula(cell), "{line:?} by {separator:?}: {cell:?}");
                }
            }
        }
    }
}
