//! Whether a zip is a template that 1C and БСП take: every rule about its layout, each with words of its own. Any bytes may come:
//! templates of others are checked too.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use licence::Lang;
use licence::crypto::Crypto;
use licence::trailer::Trailer;
use roxmltree::{Document, Node};
use zip::{CompressionMethod, ZipArchive};

use super::library::{self, Target};
use super::texts::NAMESPACE;
use super::{INFO, LIBRARY_LIMIT, MANIFEST};

/// Systems and processors that the platform is known to look for.
const SYSTEMS: [&str; 5] = ["Linux", "Windows", "MacOS", "Android", "iOS"];
const PROCESSORS: [&str; 6] = ["i386", "x86_64", "ARM64", "ARM", "E2K", "Universal"];
/// Newest glibc that is asked of no computer which may be found at work.
const OLD_GLIBC: (u32, u32) = (2, 17);

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// 1C or БСП will not take the template, or not as it is meant.
    Fault,
    /// It is taken, and will make trouble.
    Warning,
    /// Good to know.
    Note,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its weight.
    pub weight: Weight,
    /// In Russian.
    pub russian: String,
    /// In English.
    pub english: String,
}

impl Finding {
    /// Whether the template is no good.
    pub fn is_fault(&self) -> bool {
        self.weight == Weight::Fault
    }

    /// In a language.
    pub fn text(&self, lang: Lang) -> String {
        let weight = match self.weight {
            Weight::Fault => lang.pick("ошибка", "fault"),
            Weight::Warning => lang.pick("предупреждение", "warning"),
            Weight::Note => lang.pick("сведения", "note"),
        };
        format!("{weight}: {}", lang.pick(&self.russian, &self.english))
    }
}

/// What was found in a template.
#[derive(Debug, Default)]
pub struct Checked {
    /// Findings, in the order of the zip.
    pub findings: Vec<Finding>,
    /// Version by INFO.XML.
    pub version: Option<String>,
    /// Native libraries that MANIFEST.XML names and the zip has.
    pub libraries: Vec<String>,
}

impl Checked {
    /// Whether there is no fault.
    pub fn is_good(&self) -> bool {
        !self.findings.iter().any(Finding::is_fault)
    }

    fn add(&mut self, weight: Weight, russian: impl Into<String>, english: impl Into<String>) {
        self.findings.push(Finding { weight, russian: russian.into(), english: english.into() });
    }

    fn fault(&mut self, russian: impl Into<String>, english: impl Into<String>) {
        self.add(Weight::Fault, russian, english);
    }
}

/// Checks a zip.
pub fn check(crypto: &dyn Crypto, zip: &[u8]) -> Checked {
    let mut checked = Checked::default();
    let Some(files) = unpack(zip, &mut checked) else { return checked };
    info(&files, &mut checked);
    manifest(crypto, &files, &mut checked);
    checked
}

/// The files of the zip by name, as far as their kind allows.
fn unpack(zip: &[u8], checked: &mut Checked) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut archive = match ZipArchive::new(Cursor::new(zip)) {
        Ok(archive) => archive,
        Err(error) => {
            checked.fault(format!("это не ZIP: {error}"), format!("not a zip: {error}"));
            return None;
        }
    };
    if archive.offset() != 0 {
        checked.fault("перед ZIP есть посторонние байты", "there are other bytes before the zip");
    }
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        match entry(&mut archive, index) {
            Ok((name, bytes)) => {
                if let Some(other) = files.keys().find(|known: &&String| known.eq_ignore_ascii_case(&name)) {
                    checked.fault(
                        format!("{name} и {other} отличаются только регистром"),
                        format!("{name} and {other} differ by case only"),
                    );
                }
                files.insert(name, bytes);
            }
            Err((russian, english)) => checked.fault(russian, english),
        }
    }
    Some(files)
}

/// A file of the zip with its name, or what is wrong with it in Russian and English.
fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, index: usize) -> Result<(String, Vec<u8>), (String, String)> {
    let unreadable = |name: &str, error: &dyn std::fmt::Display| {
        (format!("{name}: не читается: {error}"), format!("{name}: can't be read: {error}"))
    };
    let number = format!("#{}", index + 1);
    let entry = archive.by_index_raw(index).map_err(|error| unreadable(&number, &error))?;
    let name = entry.name().map_err(|error| unreadable(&number, &error))?.into_owned();
    let method = entry.compression();
    if name.contains(['/', '\\']) {
        Err((
            format!("{name}: файлы должны лежать в корне архива"),
            format!("{name}: all files must lie in the root of the zip"),
        ))
    } else if entry.encrypted() {
        Err((format!("{name}: файл зашифрован"), format!("{name}: the file is encrypted")))
    } else if entry.is_symlink() {
        Err((format!("{name}: это ссылка, а не файл"), format!("{name}: a link, not a file")))
    } else if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
        Err((
            format!("{name}: способ сжатия {method} платформе неизвестен, нужен Deflate"),
            format!("{name}: the platform doesn't know compression {method}, Deflate is needed"),
        ))
    } else {
        drop(entry);
        let mut bytes = Vec::new();
        let entry = archive.by_index(index).map_err(|error| unreadable(&name, &error))?;
        entry.take(LIBRARY_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&name, &error))?;
        if bytes.len() as u64 > LIBRARY_LIMIT {
            return Err((format!("{name}: больше 256 МиБ"), format!("{name}: over 256 MiB")));
        }
        Ok((name, bytes))
    }
}

/// The text of an XML file without its byte order mark.
fn text<'a>(name: &str, bytes: &'a [u8], checked: &mut Checked) -> Option<&'a str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(_) => {
            checked.fault(format!("{name}: не UTF-8"), format!("{name}: not UTF-8"));
            None
        }
    }
}

fn parse<'a>(name: &str, text: &'a str, checked: &mut Checked) -> Option<Document<'a>> {
    Document::parse(text)
        .map_err(|error| {
            checked.fault(format!("{name}: неверный XML: {error}"), format!("{name}: not good XML: {error}"))
        })
        .ok()
}

fn components<'a, 'i>(document: &'a Document<'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    document.root_element().children().filter(|node| node.is_element() && node.tag_name().name() == "component")
}

fn info(files: &BTreeMap<String, Vec<u8>>, checked: &mut Checked) {
    let Some(bytes) = files.get(INFO) else {
        return checked.add(
            Weight::Warning,
            "нет INFO.XML: БСП не узнает версию компоненты",
            "no INFO.XML: БСП will not know the component's version",
        );
    };
    let Some(text) = text(INFO, bytes, checked) else { return };
    let Some(document) = parse(INFO, text, checked) else { return };
    if document.root_element().tag_name().name() != "drivers" {
        checked.fault("INFO.XML: корневой элемент должен быть drivers", "INFO.XML: the root element must be drivers");
    }
    if components(&document).next().is_none() {
        checked.fault("INFO.XML: нет элемента component", "INFO.XML: there is no component");
    }
    for node in components(&document) {
        let name = node.attribute("progid").and_then(|id| id.strip_prefix("AddIn."));
        if name.is_none_or(str::is_empty) {
            checked.fault("INFO.XML: progid должен быть вида AddIn.Имя", "INFO.XML: progid must be like AddIn.Name");
        }
        if node.attribute("name").is_none_or(str::is_empty) {
            checked.fault("INFO.XML: нет имени (name)", "INFO.XML: there is no name");
        }
        let version = node.attribute("version").unwrap_or_default();
        let parts: Vec<&str> = version.split('.').collect();
        if parts.len() == 4 && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
            checked.version.get_or_insert_with(|| version.to_owned());
        } else {
            checked.fault(
                format!("INFO.XML: версия \"{version}\" не из четырёх чисел: справочник БСП не обновит компоненту"),
                format!(
                    "INFO.XML: version \"{version}\" is not four numbers: БСП's catalogue will not update the component"
                ),
            );
        }
    }
}

fn manifest(crypto: &dyn Crypto, files: &BTreeMap<String, Vec<u8>>, checked: &mut Checked) {
    let Some(bytes) = files.get(MANIFEST) else {
        let other = files.keys().find(|name| name.eq_ignore_ascii_case(MANIFEST));
        let (russian, english) = other.map_or_else(Default::default, |other| {
            (
                format!(" (есть {other}: имя пишется заглавными буквами)"),
                format!(" (there is {other}: capitals are needed)"),
            )
        });
        return checked.fault(format!("нет MANIFEST.XML{russian}"), format!("no MANIFEST.XML{english}"));
    };
    let Some(text) = text(MANIFEST, bytes, checked) else { return };
    let Some(document) = parse(MANIFEST, text, checked) else { return };
    let root = document.root_element().tag_name();
    if (root.name(), root.namespace()) != ("bundle", Some(NAMESPACE)) {
        return checked.fault(
            format!("MANIFEST.XML: корневой элемент должен быть bundle из {NAMESPACE}"),
            format!("MANIFEST.XML: the root element must be bundle of {NAMESPACE}"),
        );
    }
    let mut seen: Vec<(String, String, String)> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let mut other_type = None;
    for node in components(&document) {
        let attribute = |name: &str| node.attribute(name).filter(|value| !value.is_empty());
        let missing: Vec<&str> =
            ["os", "path", "type", "arch"].into_iter().filter(|name| attribute(name).is_none()).collect();
        let (Some(os), Some(path), Some(kind), Some(arch)) =
            (attribute("os"), attribute("path"), attribute("type"), attribute("arch"))
        else {
            checked.fault(
                format!("MANIFEST.XML: у component нет атрибутов: {}", missing.join(", ")),
                format!("MANIFEST.XML: component lacks attributes: {}", missing.join(", ")),
            );
            continue;
        };
        named.push(path);
        if kind != "native" {
            other_type = Some(kind);
        } else if let Some(other) = other_type {
            checked.fault(
                format!("MANIFEST.XML: строка native {path} стоит после строки {other}"),
                format!("MANIFEST.XML: native line {path} stands after a line of type {other}"),
            );
        }
        if kind == "native" {
            words(os, arch, checked);
            let key = (os.to_owned(), arch.to_owned(), attribute("client").unwrap_or_default().to_owned());
            if seen.contains(&key) {
                checked.fault(
                    format!("MANIFEST.XML: вторая строка для {os} {arch}"),
                    format!("MANIFEST.XML: a second line for {os} {arch}"),
                );
            }
            seen.push(key);
        }
        match files.get(path) {
            Some(library) if kind == "native" => {
                checked.libraries.push(path.to_owned());
                native(crypto, path, library, (os, arch), checked);
            }
            Some(_) => {}
            None => checked.fault(
                format!("MANIFEST.XML называет файл {path}, которого нет в архиве"),
                format!("MANIFEST.XML names {path}, which the zip does not have"),
            ),
        }
    }
    if seen.is_empty() {
        checked.fault("MANIFEST.XML: нет ни одной строки native", "MANIFEST.XML: there is no native line");
    }
    let beside =
        files.keys().filter(|name| !matches!(name.as_str(), MANIFEST | INFO) && !named.contains(&name.as_str()));
    for name in beside {
        checked.add(
            Weight::Warning,
            format!("{name}: платформа распаковывает только библиотеку, этот файл до неё не дойдёт"),
            format!("{name}: the platform unpacks the library alone, this file will not be beside it"),
        );
    }
}

fn words(os: &str, arch: &str, checked: &mut Checked) {
    for (word, known) in [(os, &SYSTEMS[..]), (arch, &PROCESSORS[..])] {
        if known.contains(&word) {
            continue;
        }
        match known.iter().find(|known| known.eq_ignore_ascii_case(word)) {
            Some(right) => checked.fault(
                format!("MANIFEST.XML: {word} пишется {right}"),
                format!("MANIFEST.XML: {word} must be written {right}"),
            ),
            None => checked.add(
                Weight::Warning,
                format!("MANIFEST.XML: неизвестное значение {word}"),
                format!("MANIFEST.XML: {word} is not known"),
            ),
        }
    }
}

/// A native library against its line.
fn native(crypto: &dyn Crypto, name: &str, library: &[u8], (os, arch): (&str, &str), checked: &mut Checked) {
    match Target::of(library) {
        Some(target) if (target.os.word(), target.arch.word()) == (os, arch) => {}
        Some(target) => checked.fault(
            format!("{name}: библиотека для {target}, а в MANIFEST.XML {os} {arch}"),
            format!("{name}: a library for {target}, but MANIFEST.XML says {os} {arch}"),
        ),
        None if SYSTEMS[..3].contains(&os) => {
            checked.fault(format!("{name}: это не библиотека {os}"), format!("{name}: not a library of {os}"))
        }
        None => {}
    }
    let missing = library::missing_exports(library);
    if !missing.is_empty() {
        let missing = missing.join(", ");
        checked.fault(
            format!("{name}: не экспортируются функции {missing}"),
            format!("{name}: functions {missing} are not exported"),
        );
    }
    let plain: String = name.chars().map(|c| if c.is_ascii_digit() { c } else { '.' }).collect();
    if checked.version.as_ref().is_some_and(|version| !plain.contains(version.as_str())) {
        checked.add(
            Weight::Warning,
            format!("{name}: в имени нет версии; платформа кэширует библиотеку по имени и может взять прежнюю"),
            format!(
                "{name}: no version in the name; the platform caches a library by its name and may take the former one"
            ),
        );
    }
    if let Some(glibc) = library::needed_glibc(library).filter(|glibc| *glibc > OLD_GLIBC) {
        checked.add(
            Weight::Note,
            format!("{name}: нужна glibc {}.{} или новее", glibc.0, glibc.1),
            format!("{name}: needs glibc {}.{} or newer", glibc.0, glibc.1),
        );
    }
    match Trailer::read(crypto, name, library) {
        Ok(None) => {}
        Ok(Some(trailer)) => {
            let series: Vec<String> = trailer.anchors().iter().map(|anchor| anchor.key_id.to_string()).collect();
            let series = series.join(", ");
            checked.add(
                Weight::Note,
                format!("{name}: якоря доверия серий {series}"),
                format!("{name}: trust anchors of series {series}"),
            );
        }
        Err(error) => checked.fault(error.cause(Lang::Russian), error.cause(Lang::English)),
    }
}
