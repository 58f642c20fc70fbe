//! The crate from outside: round trips of anything, damage of anything, real files, and the fixed output.

use std::fs;
use std::path::Path;

use epf::{Container, Entry, deflate, inflate, processor};
use proptest::prelude::*;

const LIMIT: usize = 16 << 20;

fn any_entry() -> impl Strategy<Value = Entry> {
    ("[^\0]{0,20}", any::<u64>(), any::<u64>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..1500))
        .prop_map(|(name, created, modified, attributes, body)| Entry { name, created, modified, attributes, body })
}

fn container_of(entries: Vec<Entry>) -> Container {
    let mut container = Container::new();
    entries.into_iter().for_each(|entry| container.push(entry).unwrap());
    container
}

proptest! {
    #[test]
    fn any_entries_come_back_as_they_were(entries in prop::collection::vec(any_entry(), 0..60)) {
        let container = container_of(entries);
        let bytes = container.write();
        prop_assert_eq!(&bytes, &container.write());
        prop_assert_eq!(Container::read(&bytes).unwrap(), container);
    }

    #[test]
    fn any_module_text_comes_back_as_it_was(text in any::<String>()) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let file = processor::build("Обработка", text).unwrap();
        prop_assert_eq!(processor::module_text(&file).unwrap(), text);
    }

    #[test]
    fn any_bytes_inflate_to_what_was_deflated(data in prop::collection::vec(any::<u8>(), 0..100_000)) {
        prop_assert_eq!(inflate(&deflate(&data), data.len()).unwrap(), data);
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut data in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = inflate(&data, LIMIT);
        let _ = processor::module_text(&data);
        let signature = [0xff, 0xff, 0xff, 0x7f];
        data.splice(..data.len().min(4), signature);
        let _ = Container::read(&data);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut data = processor::build("Обработка", "Процедура Проверить() Экспорт\nКонецПроцедуры\n").unwrap();
        // Most of a file is padding: aim at the first bytes of blocks as well as anywhere.
        let heads: Vec<usize> = data.windows(2).enumerate().filter(|(_, pair)| pair == b"\r\n").map(|(at, _)| at).collect();
        for (place, byte) in damage {
            let at = match byte % 2 {
                0 => place.index(data.len()),
                _ => heads[place.index(heads.len())] + usize::from(byte >> 1) % 60,
            };
            if let Some(target) = data.get_mut(at) {
                *target = byte;
            }
        }
        let _ = processor::module_text(&data);
        data.truncate(cut.index(data.len()));
        let _ = processor::module_text(&data);
    }
}

/// What the builder gives for a fixed source is a file under version control. A difference means that every vendor's
/// files change: make it on purpose only, then replace the file by the one that the message names.
#[test]
fn the_same_source_gives_the_same_bytes() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/Обработка.epf");
    let source = "Функция Сумма(А, Б) Экспорт\r\n\tВозврат А + Б;\r\nКонецФункции\r\n";
    let built = processor::build("Обработка", source).unwrap();
    if fs::read(&golden).ok().as_ref() != Some(&built) {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join("Обработка.epf");
        fs::write(&actual, &built).unwrap();
        panic!("{} is not what is built now: {}", golden.display(), actual.display());
    }
}

#[test]
fn the_processor_of_the_examples_keeps_its_module() {
    let path = "../examples-1c/ExternalDataProcessors/ЗащищеннаяОбработка/Ext/ObjectModule.bsl";
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let file = processor::build("ЗащищеннаяОбработка", &source).unwrap();
    assert_eq!(processor::module_text(&file).unwrap(), source.trim_start_matches('\u{feff}'));
}

#[test]
fn files_of_the_platform_are_read_and_rebuilt_with_the_same_entries() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata");
    let Ok(files) = fs::read_dir(&folder) else {
        println!("skipped: no real files in {}", folder.display());
        return;
    };
    let mut modules = Vec::new();
    for path in files.map(|file| file.unwrap().path()) {
        if !path.extension().is_some_and(|extension| extension == "epf" || extension == "erf") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let container = Container::read(&bytes).unwrap();
        let rebuilt = Container::read(&container.write()).unwrap();
        assert_eq!(rebuilt, container, "{}", path.display());
        assert!(container.get("root").is_some() && container.get("versions").is_some());
        for entry in container.entries() {
            let content = inflate(&entry.body, LIMIT).unwrap();
            assert_eq!(inflate(&deflate(&content), LIMIT).unwrap(), content);
            if content.starts_with(&[0xff, 0xff, 0xff, 0x7f]) {
                let nested = Container::read(&content).unwrap();
                assert_eq!(Container::read(&nested.write()).unwrap(), nested, "{}: {}", path.display(), entry.name);
            }
        }
        modules.push(processor::module_text(&bytes).unwrap());
    }
    if modules.is_empty() {
        println!("skipped: no real files in {}", folder.display());
        return;
    }
    assert!(modules.iter().any(|text| text.contains("КодМодуляОбработки")), "the object module was not found");
}
