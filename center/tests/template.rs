//! Templates for 1C: made of libraries, branded, and checked whoever has made them.

mod vendor;

use std::io::{Cursor, Read, Write};

use center::CRYPTO;
use center::bundle::check::{Weight, check};
use licence::Lang;
use licence::id::KeyId;
use licence::series::TrustAnchor;
use licence::trailer::Trailer;
use licence::version::VERSION;
use proptest::prelude::*;
use vendor::{Vendor, text};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const EXPORTS: &str = "\0GetClassNames\0GetClassObject\0DestroyObject\0";

/// As much of a library as a template cares for.
fn elf(machine: u8, more: &str) -> Vec<u8> {
    [&b"\x7fELF\x02\x01\x01"[..], &[0; 11], &[machine, 0], EXPORTS.as_bytes(), VERSION.as_bytes(), more.as_bytes()]
        .concat()
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    zipped_with(files, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))
}

fn zipped_with(files: &[(&str, &[u8])], options: SimpleFileOptions) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn unzipped(zip: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).unwrap();
    let count = archive.len();
    let entry = |index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    };
    (0..count).map(entry).collect()
}

fn template_of(vendor: &Vendor, folder: &str) -> Vec<u8> {
    std::fs::read(vendor.path(folder).join(format!("licenceaddin-{VERSION}-template.zip"))).unwrap()
}

#[test]
fn a_template_of_libraries_has_no_finding_and_is_the_same_each_time() {
    let vendor = Vendor::new("template");
    vendor.write("a.so", elf(62, "x"));
    vendor.write("b.so", elf(3, "y"));
    let made = vendor.edit_ok(&["template", "--library", "a.so", "--library", "b.so", "--out", "one"]);
    assert!(made.trim().ends_with(&format!("licenceaddin-{VERSION}-template.zip")), "{made}");
    vendor.edit_ok(&["template", "--library", "b.so", "--library", "a.so", "--out", "two"]);
    let zip = template_of(&vendor, "one");
    assert!(zip == template_of(&vendor, "two"), "the order of the libraries changes nothing");
    assert_eq!(check(CRYPTO, &zip).findings, []);
    let files = unzipped(&zip);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let library = |arch| format!("licenceaddin-{VERSION}-{arch}.so");
    assert_eq!(names, ["MANIFEST.XML", "INFO.XML", &library("i386"), &library("x86_64")]);
    assert_eq!(files[3].1, elf(62, "x"));
    assert!(text(&files[1].1).contains(&format!("version=\"{VERSION}\"")));
    let said = vendor.edit_fails(&["template", "--library", "a.so", "--out", "one"]);
    assert!(said.contains("-y"), "{said}");
}

#[test]
fn a_branded_template_has_the_anchor_behind_each_library_and_a_name_of_its_own() {
    let vendor = Vendor::with_series("brand");
    vendor.write("a.so", elf(62, ""));
    vendor.write("b.so", elf(3, ""));
    vendor.edit_ok(&["template", "--library", "a.so", "--library", "b.so"]);
    let plain = format!("licenceaddin-{VERSION}-template.zip");
    let brand = |anchor: &str, from: &[&str], out: &str| {
        vendor.edit_ok(&[&["template", "--anchor", anchor, "--out", out], from].concat());
        template_of(&vendor, out)
    };
    let branded = brand("672B.cryptkey", &["--template", &plain], "branded");
    assert!(branded == brand("672B.anchor", &["--library", "a.so", "--library", "b.so"], "again"));
    assert!(
        branded == brand("672B.anchor", &["--template", &format!("branded/{plain}")], "over"),
        "a brand is replaced"
    );
    let anchor = std::fs::read_to_string(vendor.path("672B.anchor")).unwrap();
    let TrustAnchor(root) = TrustAnchor::parse(CRYPTO, &anchor).unwrap();
    for (name, library) in &unzipped(&branded)[2..] {
        let trailer = Trailer::read(CRYPTO, name, library).unwrap().unwrap();
        assert_eq!(trailer.root(KeyId(0x672B)), Some(root));
        assert!([elf(3, ""), elf(62, "")].iter().any(|plain| plain == Trailer::strip(library)));
        assert!(!unzipped(&template_of(&vendor, ".")).iter().any(|(other, _)| other == name), "{name}");
    }
    let said = vendor.edit(&["template", "--check", &format!("branded/{plain}")]);
    assert!(said.status.success() && text(&said.stderr).contains("trust anchors of series 672B"));
    vendor.write("mine.anchor", &anchor);
    let refused = vendor.edit_fails(&["template", "--library", "a.so", "--anchor", "mine.anchor", "--out", "x"]);
    assert!(refused.contains("672B.anchor"), "{refused}");
}

#[test]
fn what_is_no_library_of_this_version_is_refused() {
    let vendor = Vendor::new("no-library");
    vendor.write("text.so", b"#!/bin/sh");
    vendor.write("old.so", &elf(62, "")[..20 + EXPORTS.len()]);
    vendor.write("a.so", elf(62, ""));
    vendor.write("b.so", elf(62, "other"));
    let bare: Vec<u8> = elf(62, "").into_iter().filter(|byte| *byte != b'G').collect();
    vendor.write("bare.so", bare);
    let refused = |files: &[&str]| {
        let arguments: Vec<&str> = files.iter().flat_map(|file| ["--library", file]).collect();
        vendor.edit_fails(&[&["template"], arguments.as_slice()].concat())
    };
    assert!(refused(&["text.so"]).contains("known system"));
    assert!(refused(&["old.so"]).contains(VERSION));
    assert!(refused(&["a.so", "b.so"]).contains("second library for Linux x86_64"));
    assert!(refused(&["bare.so"]).contains("GetClassNames"));
    assert!(refused(&[]).contains("--library"));
}

/// A template as others make it, with changes to its parts.
struct Foreign {
    manifest: String,
    info: Option<String>,
    library: (String, Vec<u8>),
}

impl Foreign {
    fn new() -> Foreign {
        let manifest = r#"<?xml version="1.0" encoding="UTF-8"?>
            <bundle xmlns="http://v8.1c.ru/8.2/addin/bundle">
            <component os="Linux" path="Lib_1_2_3_4.so" type="native" arch="x86_64" object="Lib"/></bundle>"#;
        let info = r#"<drivers><component progid="AddIn.Lib" type="native" name="Lib" version="1.2.3.4"/></drivers>"#;
        let library = ("Lib_1_2_3_4.so".to_owned(), elf(62, ""));
        Foreign { manifest: manifest.to_owned(), info: Some(format!("\u{feff}{info}")), library }
    }

    fn zip(&self) -> Vec<u8> {
        let mut files = vec![("MANIFEST.XML", self.manifest.as_bytes()), (&self.library.0, &self.library.1)];
        files.extend(self.info.as_ref().map(|info| ("INFO.XML", info.as_bytes())));
        zipped(&files)
    }
}

/// Findings of a weight, in English.
fn found(zip: &[u8], weight: Weight) -> String {
    let found = check(CRYPTO, zip).findings;
    assert!(found.iter().all(|finding| finding.text(Lang::Russian) != finding.text(Lang::English)), "{found:?}");
    found.into_iter().filter(|one| one.weight == weight).map(|one| one.english).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_template_of_another_maker_is_good_when_it_keeps_the_rules() {
    assert_eq!(check(CRYPTO, &Foreign::new().zip()).findings, []);
}

#[test]
fn each_broken_rule_of_a_manifest_is_named() {
    let cases: [(&str, &str, &str); 12] = [
        ("<bundle xmlns=\"http://v8.1c.ru/8.2/addin/bundle\">", "<bundle>", "must be bundle of"),
        ("</bundle>", "", "not good XML"),
        ("os=\"Linux\"", "", "lacks attributes: os"),
        ("arch=\"x86_64\"", "arch=\"X86_64\"", "must be written x86_64"),
        ("arch=\"x86_64\"", "arch=\"i386\"", "MANIFEST.XML says Linux i386"),
        ("os=\"Linux\"", "os=\"Windows\"", "a library for Linux x86_64"),
        ("path=\"Lib_1_2_3_4.so\"", "path=\"Lib.so\"", "which the zip does not have"),
        ("type=\"native\"", "type=\"com\"", "no native line"),
        ("<component", "<part", "no native line"),
        (
            "</bundle>",
            "<component os=\"Linux\" path=\"Lib_1_2_3_4.so\" type=\"native\" arch=\"x86_64\"/></bundle>",
            "a second line for Linux x86_64",
        ),
        (
            "<component",
            "<component os=\"Linux\" path=\"Lib_1_2_3_4.so\" type=\"plugin\" arch=\"x86_64\"/><component",
            "stands after a line of type plugin",
        ),
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "<!DOCTYPE a [<!ENTITY b \"c\">]>", "not good XML"),
    ];
    for (from, to, words) in cases {
        let foreign = Foreign::new();
        let manifest = foreign.manifest.replacen(from, to, 1);
        assert_ne!(manifest, foreign.manifest, "{from}");
        let said = found(&Foreign { manifest, ..foreign }.zip(), Weight::Fault);
        assert!(said.contains(words), "{to}: {said}");
    }
}

#[test]
fn each_broken_rule_of_the_rest_is_named() {
    let foreign = || Foreign::new();
    let info = |from: &str, to: &str| {
        let info = foreign().info.map(|info| info.replacen(from, to, 1));
        found(&Foreign { info, ..foreign() }.zip(), Weight::Fault)
    };
    assert!(info("1.2.3.4", "1.2.3").contains("not four numbers"));
    assert!(info("AddIn.Lib", "Lib").contains("progid"));
    assert!(info("name=\"Lib\"", "").contains("no name"));
    assert!(info("drivers", "driver").contains("not good XML"));
    let no_info = Foreign { info: None, ..foreign() };
    assert!(found(&no_info.zip(), Weight::Warning).contains("no INFO.XML"));
    let mut renamed = foreign();
    renamed.manifest = renamed.manifest.replace("Lib_1_2_3_4", "Lib");
    renamed.library.0 = "Lib.so".into();
    assert!(found(&renamed.zip(), Weight::Warning).contains("no version in the name"));
    let mut newer = foreign();
    newer.library.1 = elf(62, "GLIBC_2.34\0");
    assert!(found(&newer.zip(), Weight::Note).contains("glibc 2.34"));
    let mut bare = foreign();
    bare.library.1 = elf(62, "");
    bare.library.1[22] = b'x';
    assert!(found(&bare.zip(), Weight::Fault).contains("GetClassNames are not exported"));
    let mut broken = foreign();
    broken.library.1.extend(b"SLKTRUST\0\0\0\x5A");
    assert!(found(&broken.zip(), Weight::Fault).contains("trust anchors"));
}

#[test]
fn each_broken_rule_of_the_zip_is_named() {
    let (foreign, good) = (Foreign::new(), Foreign::new().zip());
    let manifest = foreign.manifest.as_bytes();
    let fault = |zip: &[u8]| found(zip, Weight::Fault);
    assert!(fault(b"").contains("not a zip") && fault(b"PK\x03\x04").contains("not a zip"));
    assert!(fault(&zipped(&[])).contains("no MANIFEST.XML"));
    assert!(fault(&zipped(&[("Manifest.xml", manifest)])).contains("capitals"));
    assert!(fault(&zipped(&[("MANIFEST.XML", b"\xFF\xFE")])).contains("not UTF-8"));
    assert!(fault(&zipped(&[("lib/MANIFEST.XML", manifest)])).contains("in the root"));
    assert!(fault(&zipped(&[("a.so", b""), ("A.so", b"")])).contains("differ by case only"));
    assert!(fault(&[b"#!/bin/sh\n", &good[..]].concat()).contains("before the zip"));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let files = [("MANIFEST.XML", manifest), ("Lib_1_2_3_4.so", foreign.library.1.as_slice())];
    assert_eq!(fault(&zipped_with(&files, stored)), "");
    // Bit 0 of the flags, in both headers of the first file: it is encrypted.
    let mut encrypted = good.clone();
    let central = good.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    encrypted[6] |= 1;
    encrypted[central + 8] |= 1;
    assert!(fault(&encrypted).contains("encrypted"));
    let mut other = good.clone();
    (other[8], other[central + 10]) = (12, 12);
    assert!(fault(&other).contains("compression"), "{}", fault(&other));
    let beside = zipped(&[files[0], files[1], ("data.bin", b"")]);
    assert!(found(&beside, Weight::Warning).contains("data.bin"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_template_that_is_damaged_anywhere_makes_no_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut zip = Foreign::new().zip();
        let at = at.index(zip.len());
        zip[at] = byte;
        let _ = check(CRYPTO, &zip);
        let _ = check(CRYPTO, &zip[..at]);
    }
}
