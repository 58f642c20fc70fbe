//! How the console says what licences, times and totals are. Texts only.

use licence::KeyNo;
use licence::activation::CodeState;
use licence::api::{Digits, LicenceInfo};
use licence::error::{Error, Lang};
use licence::fingerprint::PartKind;
use licence::time::Time;

/// Causes and remedies.
pub(super) fn causes(lang: Lang, errors: &[Error]) -> Vec<(String, String)> {
    errors.iter().map(|error| (error.cause(lang), error.remedy(lang))).collect()
}

/// Kind of a key.
pub(super) fn key_type(lang: Lang, number: u8) -> &'static str {
    match number {
        3 => lang.pick("Основной", "Main"),
        4 => lang.pick("Дополнительный", "Additional"),
        5 => lang.pick("Демонстрационный", "Demo"),
        _ => lang.pick("Неизвестный", "Unknown"),
    }
}

/// State of a code, and the class of its badge.
pub(super) fn code_state(lang: Lang, state: CodeState) -> (&'static str, &'static str) {
    match state {
        CodeState::New => (lang.pick("Можно установить", "Can be installed"), "good"),
        CodeState::Used => (lang.pick("Уже использован", "Used already"), "warn"),
        CodeState::Blocked => (lang.pick("Заблокирован поставщиком", "Blocked by the vendor"), "bad"),
    }
}

/// State of a key in the words that users of the component know, and the class of its badge.
pub(super) fn key_state(lang: Lang, key: &LicenceInfo) -> (&'static str, &'static str) {
    if key.is_blank {
        (lang.pick("Неактивированный ключ (болванка)", "Not activated (blank)"), "warn")
    } else if key.enabled {
        (lang.pick("Доступен", "Available"), "good")
    } else if key.expired {
        (lang.pick("Срок действия истёк", "Expired"), "bad")
    } else if !key.switched_on {
        (lang.pick("Отключён", "Switched off"), "warn")
    } else {
        (lang.pick("Недоступен", "Unavailable"), "bad")
    }
}

/// A part of the machine.
pub(super) fn part_kind(lang: Lang, kind: PartKind) -> &'static str {
    match kind {
        PartKind::MachineId => lang.pick("Установка операционной системы", "Installation of the operating system"),
        PartKind::ProductUuid => lang.pick("Идентификатор компьютера (SMBIOS)", "Identifier of the computer (SMBIOS)"),
        PartKind::Board => lang.pick("Материнская плата", "Board"),
        PartKind::Disk => lang.pick("Диски", "Disks"),
        PartKind::Network => lang.pick("Сетевые карты", "Network cards"),
        PartKind::Processor => lang.pick("Процессор", "Processor"),
        PartKind::IdentityFile => lang.pick("Файл идентичности", "Identity file"),
    }
}

/// ИНН and КПП, as they are written on papers.
pub(super) fn owner(key: &LicenceInfo) -> String {
    let text = |digits: &Option<Digits>| digits.as_ref().and_then(Digits::text).filter(|text| !text.is_empty());
    [text(&key.itn), text(&key.iec)].into_iter().flatten().collect::<Vec<_>>().join(" / ")
}

/// Numbers of keys, for people.
pub(super) fn numbers(keys: &[KeyNo]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A moment for people, in UTC: `23.11.2026 13:20` or `2026-11-23 13:20`.
pub(super) fn moment(lang: Lang, time: Time) -> String {
    format!("{} {}", day(lang, time), part(&time.to_string(), 11, 16))
}

/// What may be a moment, for people.
pub(super) fn stated(lang: Lang, text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |time| moment(lang, time))
}

/// A date for people, in UTC.
pub(super) fn day(lang: Lang, time: Time) -> String {
    let text = time.to_string();
    match lang {
        Lang::Russian => format!("{}.{}.{}", part(&text, 8, 10), part(&text, 5, 7), part(&text, 0, 4)),
        Lang::English => part(&text, 0, 10).to_owned(),
    }
}

/// A day without its year, in UTC.
pub(super) fn day_and_month(lang: Lang, time: Time) -> String {
    let text = time.to_string();
    match lang {
        Lang::Russian => format!("{}.{}", part(&text, 8, 10), part(&text, 5, 7)),
        Lang::English => part(&text, 5, 10).to_owned(),
    }
}

fn part(text: &str, from: usize, to: usize) -> &str {
    text.get(from..to).unwrap_or_default()
}

/// A message of the catalogue without its class in brackets, which is for programs.
pub(super) fn without_class(message: &str) -> &str {
    let rest = message.strip_prefix('(').and_then(|rest| rest.split_once(") "));
    rest.map_or(message, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_each_language_does() {
        let time: Time = "2018-04-02T20:41:13.272Z".parse().unwrap();
        assert_eq!(moment(Lang::Russian, time), "02.04.2018 20:41");
        assert_eq!(moment(Lang::English, time), "2018-04-02 20:41");
        assert_eq!(day(Lang::Russian, time), "02.04.2018");
    }

    #[test]
    fn the_class_of_an_error_is_for_programs() {
        assert_eq!(without_class("(EKeyUnusable) Key 1 is off. Switch (it) on."), "Key 1 is off. Switch (it) on.");
        assert_eq!(without_class("(no class"), "(no class");
    }
}
