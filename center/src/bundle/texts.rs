//! The two texts of a template. Names and versions in them are our own, of letters, digits, dots and dashes: nothing needs
//! escaping.

use super::library::Target;

/// Namespace of MANIFEST.XML.
pub const NAMESPACE: &str = "http://v8.1c.ru/8.2/addin/bundle";

/// Which library is for which system.
pub fn manifest(libraries: &[(Target, String)]) -> String {
    let lines = libraries.iter().map(|(target, name)| {
        let (os, arch) = (target.os.word(), target.arch.word());
        format!("\t<component os=\"{os}\" path=\"{name}\" type=\"native\" arch=\"{arch}\"/>\n")
    });
    let lines: String = lines.collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<bundle xmlns=\"{NAMESPACE}\" name=\"licenceaddin\">\n{lines}</bundle>\n"
    )
}

/// What БСП shows of the component and compares versions by.
pub fn info(version: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<drivers>\n\t<component progid=\"AddIn.LicenceExtension\" \
         type=\"native\" name=\"Компонента СЛК\" version=\"{version}\"/>\n</drivers>\n"
    )
}
