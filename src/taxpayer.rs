//! What the tax service gives a buyer: ИНН, which is known by its check digits, and КПП, which has none.

/// Weights of the check digit of an organisation's ИНН, and of the two of a person's.
const ORGANISATION: [u32; 9] = [2, 4, 10, 3, 5, 9, 4, 6, 8];
const PERSON: [&[u32]; 2] = [&[7, 2, 4, 10, 3, 5, 9, 4, 6, 8], &[3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8]];
/// Digits of a КПП.
const IEC_DIGITS: usize = 9;

/// Whether a text is an ИНН: 10 digits of an organisation or 12 of a person, with right check digits.
pub fn is_itn(text: &str) -> bool {
    let Some(digits) = digits(text) else { return false };
    // The first two are the region, and there is no region 00.
    if digits.starts_with(&[0, 0]) {
        return false;
    }
    match digits.len() {
        10 => holds(&digits, &ORGANISATION),
        12 => PERSON.iter().all(|weights| holds(&digits, weights)),
        _ => false,
    }
}

/// Whether a text is a КПП: 9 digits, of which the first four are an office of the tax service.
pub fn is_iec(text: &str) -> bool {
    digits(text).is_some_and(|digits| digits.len() == IEC_DIGITS && !digits.starts_with(&[0, 0, 0, 0]))
}

fn digits(text: &str) -> Option<Vec<u32>> {
    text.chars().map(|char| char.to_digit(10)).collect()
}

/// Whether the digit behind those that are weighed is the one that they ask for.
fn holds(digits: &[u32], weights: &[u32]) -> bool {
    let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
    digits.get(weights.len()) == Some(&(sum % 11 % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_itn_is_known_by_its_check_digits() {
        for right in ["7707083893", "7830002293", "500100732259", "7701000001"] {
            assert!(is_itn(right), "{right}");
        }
        for wrong in [
            "7707083894",
            "7707083983",
            "500100732269",
            "500100732258",
            "0000000000",
            "000000000000",
            "770708389",
            "77070838930",
            "77070838a3",
            "",
            "７７０７０８３８９３",
        ] {
            assert!(!is_itn(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_iec_is_nine_digits() {
        assert!(is_iec("770701001") && is_iec("783001001"));
        for wrong in ["77070100", "7707010011", "000001001", "7707-1001", ""] {
            assert!(!is_iec(wrong), "{wrong}");
        }
    }
}
