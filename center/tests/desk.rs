//! The vendor's desk from the command line: whole commands as scripts call them.

mod vendor;

use licence::datafile::Datafile;
use licence::parameters::Parameters;
use licence::series::TrustAnchor;
use licence::subkeys::Policy;
use vendor::{CRYPTO, Vendor, text};

fn packed(vendor: &Vendor) -> Datafile {
    Datafile::read(CRYPTO, "x", std::fs::read(vendor.path("672B.datafile")).unwrap()).unwrap()
}

#[test]
fn a_series_is_made_once_and_never_overwritten_silently() {
    let vendor = Vendor::new("once");
    let made = vendor.edit_ok(&["series", "672b", "--name", "Товар", "--out", "new", "--bits", "2048"]);
    assert!(made.contains("672B.cryptkey") && made.contains("672B.anchor"), "{made}");
    let before = std::fs::read(vendor.path("new/672B.cryptkey")).unwrap();
    let said = vendor.edit_fails(&["series", "672B", "--name", "Товар", "--out", "new", "--bits", "2048"]);
    assert!(said.contains("672B.cryptkey") && said.contains("-y"), "{said}");
    assert_eq!(std::fs::read(vendor.path("new/672B.cryptkey")).unwrap(), before);
    assert!(vendor.edit_fails(&["series", "67", "--name", "x"]).contains("67"));
    assert!(vendor.edit_fails(&["series", "672C", "--name", "x", "--bits", "1024"]).contains("1024"));
    assert!(!vendor.path("672C.cryptkey").exists());
}

#[cfg(unix)]
#[test]
fn key_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let vendor = Vendor::with_series("rights");
    for name in ["672B.cryptkey", "centre/672B.issuer"] {
        assert_eq!(std::fs::metadata(vendor.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn the_command_of_vendors_scripts_works_with_quoted_wildcards() {
    let vendor = Vendor::with_series("script");
    std::fs::create_dir_all(vendor.path("src [1]")).unwrap();
    vendor.write("src [1]/Обработка.epf", b"one");
    vendor.write("src [1]/Отчёт.epf", b"");
    vendor.write("src [1]/readme.txt", b"no");
    let arguments = [
        "c",
        "672B.datafile",
        "src [1]/*.epf",
        "--serie=672B",
        "--cryptkey=672B.cryptkey",
        "-y",
        "--encoding=windows-1251",
        "--revoked",
        "9,7,9",
    ];
    let output = vendor.edit(&arguments);
    assert!(output.status.success() && text(&output.stderr).contains("--encoding"), "{}", text(&output.stderr));
    let datafile = packed(&vendor);
    let names: Vec<&str> = datafile.index.objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names, ["Обработка", "Отчёт"]);
    assert_eq!(datafile.index.revoked, [7, 9]);
    let listed = vendor.edit_ok(&["list", "672B.datafile", "--anchor", "672B.anchor"]);
    assert!(listed.contains("Обработка\t3\t{}\tok") && listed.contains("Revoked: 7, 9"), "{listed}");
}

#[test]
fn policies_come_from_switches_and_from_the_policy_file() {
    let vendor = Vendor::with_series("policies");
    for name in ["a.epf", "b.epf"] {
        vendor.write(name, b"x");
    }
    vendor.write("policy.json", "\u{feff}{\"B\": {\"Flags\": [7, 3], \"Seat\": false}}");
    let pack = ["c", "672B.datafile", "a.epf", "b.epf", "--serie", "672B", "--cryptkey", "672B.cryptkey", "-y"];
    let with = |more: &[&'static str]| [&pack[..], more].concat();
    vendor.edit_ok(&with(&[
        "--flag",
        "1,2",
        "--service-type",
        "3",
        "--product-version",
        "5",
        "--policy",
        "policy.json",
    ]));
    let objects = packed(&vendor).index.objects;
    let common = Policy { flags: vec![1, 2], service_type: Some(3), product_version: 5, ..Policy::default() };
    assert_eq!(objects[0].policy, common);
    assert_eq!(objects[1].policy, Policy { flags: vec![3, 7], seat: false, ..Policy::default() });

    for (policy, named) in [
        (r#"{"c": {}}"#, "\"c\""),
        (r#"{"a": {"Flag": [1]}}"#, "Flag"),
        (r#"{"a": {"Flags": [52]}}"#, "52"),
        (r#"{"a": {}, "A": {}}"#, "\"A\""),
        ("[", "policy.json"),
    ] {
        vendor.write("policy.json", policy);
        let said = vendor.edit_fails(&with(&["--policy", "policy.json"]));
        assert!(said.contains(named), "{policy}: {said}");
    }
    assert!(vendor.edit_fails(&with(&["--flag", "0"])).contains("flag 0"));
    assert_eq!(packed(&vendor).index.objects, objects, "a failed command leaves the former datafile");
}

#[test]
fn defaults_of_parameters_are_signed_by_the_root() {
    let vendor = Vendor::with_series("params");
    let make =
        ["params", "672B.params", "--serie=672B", "--cryptkey=672B.cryptkey", "Тариф=базовый", "Формула=a=b", "Пусто="];
    assert!(vendor.edit(&make).status.success());
    let file = std::fs::read_to_string(vendor.path("672B.params")).unwrap();
    let (series, read) = Parameters::read(CRYPTO, "672B.params", &file).unwrap();
    let anchor = std::fs::read_to_string(vendor.path("672B.anchor")).unwrap();
    assert_eq!(series.root, TrustAnchor::parse(CRYPTO, &anchor).unwrap().0);
    let values: Vec<(&str, &str)> =
        read.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(values, [("Пусто", ""), ("Тариф", "базовый"), ("Формула", "a=b")]);
    assert!(vendor.edit_fails(&make).contains("-y"));
    let wrong =
        |more: &[&str]| vendor.edit_fails(&[&["params", "new.params", "--cryptkey=672B.cryptkey"], more].concat());
    assert!(wrong(&["--serie=672C", "a=1"]).contains("672C"));
    assert!(wrong(&["--serie=672B", "a=1", "a=2"]).contains('a'));
    assert!(wrong(&["--serie=672B", "=1"]).contains("NAME"));
    assert!(!vendor.path("new.params").exists());
}

#[test]
fn an_existing_datafile_is_replaced_with_y_only() {
    let vendor = Vendor::with_series("yes");
    vendor.write("a.epf", b"x");
    vendor.write("672B.datafile", b"precious");
    let pack = ["c", "672B.datafile", "a.epf", "--serie", "672B", "--cryptkey", "672B.cryptkey"];
    assert!(vendor.edit_fails(&pack).contains("672B.datafile"));
    assert_eq!(std::fs::read(vendor.path("672B.datafile")).unwrap(), b"precious");
    vendor.edit_ok(&[&pack[..], &["-y"]].concat());
    assert_eq!(packed(&vendor).index.objects.len(), 1);
}

#[test]
fn what_can_not_be_packed_is_named() {
    let vendor = Vendor::with_series("named");
    vendor.write("a.epf", b"x");
    vendor.write("a.erf", b"x");
    let fails = |files: &[&'static str], serie: &'static str| {
        let tail = ["--serie", serie, "--cryptkey", "672B.cryptkey", "-y"];
        vendor.edit_fails(&[&["c", "672B.datafile"], files, &tail].concat())
    };
    assert!(fails(&["*.cfe"], "672B").contains("*.cfe"));
    assert!(fails(&["none.epf"], "672B").contains("none.epf"));
    assert!(fails(&["a.epf", "a.erf"], "672B").contains("\"a\""));
    assert!(fails(&["a.epf"], "672C").contains("672C"));
    assert!(fails(&["672B.*"], "672B").contains("672B.cryptkey"));
    assert!(!vendor.path("672B.datafile").exists());
}

#[test]
fn a_wrong_passphrase_is_told_and_the_right_one_opens() {
    let vendor = Vendor::new("passphrase");
    let environment = [("SLK_PASSPHRASE", "верно")];
    let made = vendor.edit_with(&["series", "672B", "--name", "Товар", "--bits", "2048"], &environment);
    assert!(made.status.success() && !text(&made.stderr).contains("верно"));
    vendor.write("a.epf", b"x");
    let pack = ["c", "672B.datafile", "a.epf", "--serie", "672B", "--cryptkey", "672B.cryptkey", "-y"];
    let said = text(&vendor.edit_with(&pack, &[("SLK_PASSPHRASE", "неверно")]).stderr);
    assert!(said.contains("672B.cryptkey: wrong passphrase"), "{said}");
    assert!(vendor.edit_fails(&pack).contains("passphrase"));
    assert!(!vendor.path("672B.datafile").exists());
    vendor.write("file", "верно\r\n");
    vendor.edit_ok(&[&pack[..], &["--passphrase-file", "file"]].concat());
    assert!(vendor.edit_with(&pack, &environment).status.success());
}

#[test]
fn a_damaged_datafile_is_told() {
    let vendor = Vendor::with_series("damaged");
    vendor.write("a.epf", b"text of the object");
    vendor.edit_ok(&["c", "672B.datafile", "a.epf", "--serie", "672B", "--cryptkey", "672B.cryptkey"]);
    let good = std::fs::read(vendor.path("672B.datafile")).unwrap();
    let mut object = good.clone();
    *object.last_mut().unwrap() ^= 1;
    vendor.write("672B.datafile", object);
    let output = vendor.edit(&["list", "672B.datafile"]);
    assert!(!output.status.success() && text(&output.stdout).contains("a\t18\t{}\tDAMAGED"));
    let mut index = good;
    index[40] ^= 1;
    vendor.write("672B.datafile", index);
    assert!(vendor.edit_fails(&["list", "672B.datafile"]).contains("672B.datafile"));
    vendor.edit_ok(&["series", "672C", "--name", "x", "--bits", "2048"]);
    vendor.edit_ok(&["c", "672B.datafile", "a.epf", "--serie", "672B", "--cryptkey", "672B.cryptkey", "-y"]);
    let said = vendor.edit_fails(&["list", "672B.datafile", "--anchor", "672C.anchor"]);
    assert!(said.contains("672B"), "{said}");
}

#[test]
fn codes_are_made_for_known_series_with_possible_terms_only() {
    let vendor = Vendor::with_series("codes");
    let codes = vendor.code(&["--licences", "5", "--count", "3"]);
    let codes: Vec<licence::code::ActivationCode> = codes.lines().map(|code| code.parse().unwrap()).collect();
    assert_eq!(codes.len(), 3);
    let fails = |serie: &'static str, more: &[&'static str]| {
        vendor.edit_fails(&[&["code", "--center", "centre", "--serie", serie], more].concat())
    };
    assert!(fails("672C", &["--licences", "1"]).contains("672C"));
    assert!(fails("672B", &["--licences", "0"]).contains('0'));
    assert!(fails("672B", &["--licences", "1", "--flags", "52"]).contains("51"));
    assert!(fails("672B", &["--licences", "1", "--itn", "x"]).contains("ITN"));
    assert!(vendor.edit_fails(&["block", "0000-0000-0000-0000-0098", "--center", "centre"]).contains("does not know"));
    assert!(vendor.edit_fails(&["codes", "--center", "elsewhere"]).contains("center.db"));
    assert!(!vendor.path("elsewhere").exists());
}

#[test]
fn messages_are_russian_or_english_as_the_environment_says() {
    let vendor = Vendor::new("language");
    let list = ["list", "none.datafile"];
    let said = |locale: &str| text(&vendor.edit_with(&list, &[("LC_ALL", locale)]).stderr);
    assert!(said("ru_RU.UTF-8").contains("Проверьте путь") && said("C").contains("Check the path"));
    assert!(vendor.edit_fails(&[&list[..], &["--lang", "ru"]].concat()).contains("Проверьте путь"));
}
