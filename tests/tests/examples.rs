//! The example of a protected configuration: its files hold together, and what its script builds works.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::bsl::Module;
use e2e::component::{Kind, Process, server_session};
use e2e::{Center, Failure, Outcome, Programs, Root, Server, check};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples-1c")
}

fn files(folder: &Path, extension: &str, all: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, extension, all)?;
        } else if path.extension().is_some_and(|kind| kind == extension) {
            all.push(path);
        }
    }
    Ok(())
}

/// What stands between `before` and `after`, at every place.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let starts = text.split(before).skip(1);
    starts.filter_map(|rest| rest.split_once(after)).map(|(inside, _)| inside).collect()
}

#[test]
fn every_object_of_the_configuration_has_its_files_and_an_identity_of_its_own() -> Outcome {
    let configuration = fs::read_to_string(examples().join("Configuration.xml"))?;
    let (_, children) = configuration.split_once("<ChildObjects>").ok_or_else(|| Failure::new("no objects"))?;
    let kinds = [
        ("Language", "Languages"),
        ("CommonModule", "CommonModules"),
        ("CommonTemplate", "CommonTemplates"),
        ("Constant", "Constants"),
        ("DataProcessor", "DataProcessors"),
    ];
    let mut listed = BTreeSet::new();
    for (kind, folder) in kinds {
        for name in between(children, &format!("<{kind}>"), "<") {
            let path = examples().join(folder).join(format!("{name}.xml"));
            let text =
                fs::read_to_string(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            check(text.contains(&format!("<Name>{name}</Name>")), || format!("{name} has another name in its file"))?;
            let module = path.with_extension("").join("Ext/Module.bsl");
            check(kind != "CommonModule" || module.exists(), || format!("{name} has no module"))?;
            listed.insert(path);
        }
    }
    let mut all = Vec::new();
    files(&examples(), "xml", &mut all)?;
    let mut identities = BTreeSet::new();
    for path in all {
        let text = fs::read_to_string(&path)?;
        let inside =
            path.components().any(|part| part.as_os_str() == "Forms" || part.as_os_str() == "ExternalDataProcessors");
        check(inside || path.ends_with("Configuration.xml") || listed.contains(&path), || {
            format!("{} is not listed", path.display())
        })?;
        for identity in ["uuid=\"", "<xr:TypeId>", "<xr:ValueId>", "<xr:ObjectId>"]
            .iter()
            .flat_map(|tag| between(&text, tag, if tag.ends_with('"') { "\"" } else { "<" }))
        {
            check(identity.len() == 36 && identities.insert(identity.to_owned()), || {
                format!("{}: {identity} is not unique", path.display())
            })?;
        }
    }
    check(identities.len() > 20, || "identities were not found".to_owned())
}

#[test]
fn every_handler_and_field_of_a_form_is_there() -> Outcome {
    let mut forms = Vec::new();
    files(&examples().join("DataProcessors"), "xml", &mut forms)?;
    forms.retain(|path| path.ends_with("Form.xml"));
    check(forms.len() == 2, || format!("{} forms", forms.len()))?;
    for path in forms {
        let text = fs::read_to_string(&path)?;
        let module = fs::read_to_string(path.with_extension("").join("Module.bsl"))?;
        let events = text.split("<Event ").skip(1).filter_map(|rest| between(rest, ">", "<").first().copied());
        for handler in between(&text, "<Action>", "<").into_iter().chain(events) {
            check(module.contains(&format!("Процедура {handler}(")), || {
                format!("{}: no handler {handler}", path.display())
            })?;
        }
        for command in between(&text, "<CommandName>Form.Command.", "<") {
            check(text.contains(&format!("<Command name=\"{command}\"")), || format!("no command {command}"))?;
        }
        for field in between(&text, "<DataPath>", "<") {
            check(text.contains(&format!("<Attribute name=\"{field}\"")), || format!("no attribute {field}"))?;
        }
        let (_, elements) = text.split_once("<AutoCommandBar").ok_or_else(|| Failure::new("no command bar"))?;
        let (elements, _) = elements.split_once("<Attributes>").ok_or_else(|| Failure::new("no attributes"))?;
        let numbers = between(elements, " id=\"", "\"");
        let unique: BTreeSet<_> = numbers.iter().collect();
        check(unique.len() == numbers.len(), || format!("{}: numbers of elements repeat", path.display()))?;
    }
    Ok(())
}

#[test]
fn what_the_script_builds_works_from_the_series_to_the_protected_object() -> Outcome {
    let root = Root::new("example")?;
    let out = root.path().join("example");
    let programs = Programs::built()?;
    let library = programs.library();
    let bin = library.parent().ok_or_else(|| Failure::new("the library lies nowhere"))?;
    let mut script = Command::new(examples().join("build.sh"));
    let output = script.arg(&out).env("BIN", bin).stdin(std::process::Stdio::null()).output()?;
    check(output.status.success(), || {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })?;
    let configuration = out.join("configuration");
    let template = |name: &str| fs::read(configuration.join("CommonTemplates").join(name).join("Ext/Template.bin"));
    check(template("КомпонентаСЛК")?.starts_with(b"PK"), || {
        "the component's template is no archive".to_owned()
    })?;
    check(Module::below(&configuration)?.len() >= 6, || "modules are missing".to_owned())?;

    // The customer: a server, the code, 1C.
    let center = Center::start(&out.join("vendor/center"))?;
    let server = Server::ready(Root::new("example-customer")?, Some(center.url()))?;
    server.activate(fs::read_to_string(out.join("activation-code.txt"))?.trim())?;
    let client = Root::new("example-1c")?;
    let mut process = Process::start(Kind::Server, client.path())?;
    let anchor = fs::read_to_string(out.join("vendor/672B.anchor"))?;
    let address = format!("ServerAddr=127.0.0.1;ServerPort={}", server.port());
    let attached = process.work(&address, &anchor, &server_session(1))?.map_err(|refusal| refusal.failure())?;
    process.load_datafile(&attached, &template("ДанныеСЛК")?)?.map_err(|refusal| refusal.failure())?;
    let object = process.object(&attached, "ЗащищеннаяОбработка")?.map_err(|refusal| refusal.failure())?;
    let source =
        fs::read_to_string(examples().join("ExternalDataProcessors/ЗащищеннаяОбработка/Ext/ObjectModule.bsl"))?;
    check(epf::processor::module_text(&object)? == source.trim_start_matches('\u{feff}'), || {
        "not the module".to_owned()
    })?;
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}
