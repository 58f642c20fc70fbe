//! External data processors that consist of one module: building them and reading the module of any processor.
//! The structure was read from files of the platform 8.2 and 8.3; whether a given platform opens a built file is
//! for a test in that platform to say.

use crate::braces::Value;
use crate::guid::guid;
use crate::{Container, Entry, Error, Reason, deflate, inflate};

/// The kind of file: external data processor.
const CLASS: &str = "c3831ec8-d8d5-4f93-8a22-f9bfae07327f";
const TABULAR_SECTIONS: &str = "2bcef0d1-0981-11d6-b9b8-0050bae0a95d";
const TEMPLATES: &str = "3daea016-69b7-4ed4-9453-127911372fe6";
const FORMS: &str = "d5b0e5ed-256d-401c-9c36-f630cafd8a62";
const ATTRIBUTES: &str = "ec6bb5e5-b7a8-4d75-bec9-658107a699cf";
const NOTHING: &str = "00000000-0000-0000-0000-000000000000";

/// Where the GUID of the object stands in the header.
const OBJECT_GUID: [usize; 7] = [3, 1, 1, 3, 1, 1, 2];

/// A text of metadata or a module never comes near this size.
const MAX_INFLATED: usize = 64 << 20;

const BOM: &str = "\u{feff}";

/// The bytes of an external data processor named `name` whose object module is `module_text`, which is stored as it
/// is. Deterministic: the identity of the object comes from the name, as the platform keeps it through edits of a
/// file, and the GUIDs of `versions` from the content. Fails with [`Reason::ObjectName`] when `name` is not an
/// identifier of the 1C language, and with [`Reason::TooLarge`] when the result would pass 2 GiB.
pub fn build(name: &str, module_text: &str) -> Result<Vec<u8>, Error> {
    if !is_identifier(name) {
        return Err(Error::new(format!("name of the processor {name:?}"), Reason::ObjectName));
    }
    let [file, object, type_id, value_id] =
        ["file", "object", "type", "value"].map(|role| guid(&[role.as_bytes(), name.as_bytes()]));

    let mut module = Container::new();
    module.push(Entry::new("info", text("{3,1,0,\"\",0}")))?;
    module.push(Entry::new("text", text(module_text.strip_prefix(BOM).unwrap_or(module_text))))?;

    let mut contents = vec![
        (format!("{object}.0"), module.write()),
        (file.clone(), text(&header(name, &file, &object, &type_id, &value_id))),
        ("copyinfo".to_owned(), text("{4,\r\n{0},\r\n{0},\r\n{0},\r\n{0,0},\r\n{0}\r\n}")),
        ("root".to_owned(), text(&format!("{{2,{file},}}"))),
        ("version".to_owned(), text("{\r\n{216,0,\r\n{80315,0}\r\n}\r\n}")),
    ];
    contents.push(("versions".to_owned(), text(&versions(&contents))));
    contents.sort();

    let mut container = Container::new();
    for (name, content) in contents {
        container.push(Entry::new(name, deflate(&content)))?;
    }
    Ok(container.write())
}

/// The text of the object module of a processor or report, without the byte order mark. A file without an object
/// module gives an empty text; one whose module was saved without its source fails with [`Reason::Missing`].
pub fn module_text(file: &[u8]) -> Result<String, Error> {
    let container = Container::read(file)?;
    let root = braces(&container, "root")?;
    let header_name = root.word(&[1]).ok_or_else(|| Error::new("entry \"root\"", Reason::Braces))?;
    let header = braces(&container, header_name)?;
    let object =
        header.word(&OBJECT_GUID).ok_or_else(|| Error::new(format!("entry {header_name:?}"), Reason::Braces))?;
    let module_name = format!("{object}.0");
    let Some(module) = container.get(&module_name) else {
        return Ok(String::new());
    };
    let inside = |error: Error| error.inside(&module_name);
    let module = Container::read(&inflate(&module.body, MAX_INFLATED).map_err(inside)?).map_err(inside)?;
    let source = module.get("text").ok_or_else(|| inside(Error::new("entry \"text\"", Reason::Missing)))?;
    untext(source.body.clone(), "text").map_err(inside)
}

/// One list of metadata in the order that the platform writes. `type_id` and `value_id` are those of the generated
/// type `ExternalDataProcessorObject.<name>`.
fn header(name: &str, file: &str, object: &str, type_id: &str, value_id: &str) -> String {
    [
        "{1,".to_owned(),
        format!("{{{file}}},1,"),
        format!("{{{CLASS},"),
        "{1,".to_owned(),
        format!("{{4,{type_id},{value_id},"),
        "{0,".to_owned(),
        "{3,".to_owned(),
        format!("{{1,0,{object}}},\"{name}\","),
        format!("{{0}},\"\",0,0,{NOTHING},0}}"),
        format!("}},{NOTHING},\"\",{NOTHING}}},4,"),
        format!("{{{TABULAR_SECTIONS},0}},"),
        format!("{{{TEMPLATES},0}},"),
        format!("{{{FORMS},0}},"),
        format!("{{{ATTRIBUTES},0}}"),
        "}".to_owned(),
        "}".to_owned(),
        "}".to_owned(),
    ]
    .join("\r\n")
}

/// A GUID for the whole (under the empty name), for each entry, and for `versions` itself.
fn versions(contents: &[(String, Vec<u8>)]) -> String {
    let all: Vec<&[u8]> = contents.iter().flat_map(|(name, content)| [name.as_bytes(), content.as_slice()]).collect();
    let mut rows = vec![("", guid(&all)), ("versions", guid(&[&[b"versions".as_slice()], all.as_slice()].concat()))];
    rows.extend(contents.iter().map(|(name, content)| (name.as_str(), guid(&[name.as_bytes(), content]))));
    rows.sort();
    let list: String = rows.iter().map(|(name, guid)| format!(",\"{name}\",{guid}")).collect();
    format!("{{1,{}{list}}}", rows.len())
}

fn text(text: &str) -> Vec<u8> {
    [BOM, text].concat().into_bytes()
}

fn untext(bytes: Vec<u8>, entry: &str) -> Result<String, Error> {
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::at(format!("entry {entry:?}"), error.utf8_error().valid_up_to(), Reason::NotUtf8))?;
    Ok(text.strip_prefix(BOM).map(str::to_owned).unwrap_or(text))
}

fn braces(container: &Container, name: &str) -> Result<Value, Error> {
    let entry = container.get(name).ok_or_else(|| Error::new(format!("entry {name:?}"), Reason::Missing))?;
    let text = untext(inflate(&entry.body, MAX_INFLATED).map_err(|error| error.inside(name))?, name)?;
    Value::parse(&text).ok_or_else(|| Error::new(format!("entry {name:?}"), Reason::Braces))
}

/// A letter (Latin or Cyrillic) or underscore, then the same or digits.
fn is_identifier(name: &str) -> bool {
    let letter = |c: char| c == '_' || c.is_ascii_alphabetic() || matches!(c, 'А'..='я' | 'Ё' | 'ё');
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_must_be_an_identifier() {
        for good in ["Обработка", "_1", "Ёлка2", "Manager"] {
            assert!(build(good, "").is_ok(), "{good}");
        }
        for bad in ["", "1С", "Моя обработка", "a\"b", "a,b", "a-b", "ﬀ"] {
            assert_eq!(build(bad, "").unwrap_err().reason, Reason::ObjectName, "{bad}");
        }
    }

    #[test]
    fn an_edit_of_the_module_changes_versions_but_not_the_identity() {
        let [one, two] = ["А = 1;", "А = 2;"].map(|text| Container::read(&build("Обработка", text).unwrap()).unwrap());
        let names = |c: &Container| c.entries().iter().map(|e| e.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&one), names(&two));
        assert_ne!(one.get("versions"), two.get("versions"));
        assert_eq!(one.get("root"), two.get("root"));
        let other = Container::read(&build("Другая", "А = 1;").unwrap()).unwrap();
        assert_ne!(one.get("root"), other.get("root"));
    }

    #[test]
    fn versions_list_every_entry_once_and_the_whole() {
        let container = Container::read(&build("Обработка", "").unwrap()).unwrap();
        let list = braces(&container, "versions").unwrap();
        let count: usize = list.word(&[1]).unwrap().parse().unwrap();
        let mut listed: Vec<_> = (0..count).map(|row| list.word(&[2 + 2 * row]).unwrap()).collect();
        assert_eq!(list.word(&[2 + 2 * count]), None);
        assert_eq!(listed.remove(0), "");
        assert_eq!(listed, container.entries().iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>());
    }

    #[test]
    fn the_module_of_a_file_with_a_wide_layer_is_read() {
        let built = Container::read(&build("Обработка", "А = 1;").unwrap()).unwrap();
        let mut wide = Container::wide();
        for entry in built.entries() {
            let body = match entry.name.ends_with(".0") {
                true => {
                    let narrow = Container::read(&inflate(&entry.body, MAX_INFLATED).unwrap()).unwrap();
                    let mut nested = Container::wide();
                    narrow.entries().iter().for_each(|entry| nested.push(entry.clone()).unwrap());
                    deflate(&nested.write())
                }
                false => entry.body.clone(),
            };
            wide.push(Entry::new(entry.name.clone(), body)).unwrap();
        }
        let stub = build("Заглушка", "ОбновитеПлатформу();").unwrap();
        assert_eq!(module_text(&[stub, wide.write()].concat()).unwrap(), "А = 1;");
    }

    #[test]
    fn a_module_saved_without_its_source_is_an_error_that_names_the_entry() {
        let built = Container::read(&build("Обработка", "А = 1;").unwrap()).unwrap();
        let mut hidden = Container::new();
        for entry in built.entries() {
            let body = match entry.name.ends_with(".0") {
                true => deflate(&Container::new().write()),
                false => entry.body.clone(),
            };
            hidden.push(Entry::new(entry.name.clone(), body)).unwrap();
        }
        let error = module_text(&hidden.write()).unwrap_err();
        assert_eq!(error.reason, Reason::Missing);
        assert!(error.place.ends_with(".0\": entry \"text\""), "{error}");
    }
}
