//! Sources for 1C against what they call: every member that the object manager and the examples use is there, with that number
//! of arguments; and the object manager that 1C gets is what its sources say.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::bsl::{Export, Module, Use};
use e2e::component::{Kind, Process};
use e2e::host::{Member, Value};
use e2e::{Failure, Outcome, Root, check, fail};

/// Names that the sources give to a component object.
const COMPONENT: &[&str] = &["Компонента", "ОбъектКомпоненты"];
/// Names that the examples give to an object manager.
const MANAGER: &[&str] = &["Менеджер", "МенеджерОбъектов"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources() -> Outcome<Vec<Module>> {
    let mut all = Module::below(&root().join("addin/manager"))?;
    all.extend(Module::below(&root().join("examples-1c"))?);
    Ok(all)
}

/// The manager's file as 1C gets it: from the member of the built component.
fn manager(root: &Root) -> Outcome<Vec<u8>> {
    let mut process = Process::start(Kind::Server, root.path())?;
    let object = process.create()?;
    let Value::Text(path) = process.host().call(object, "ПолучитьМенеджерОбъектов", &[])?
    else {
        return fail("the component gives no object manager");
    };
    let file = fs::read(path)?;
    process.host().destroy(object)?;
    process.finish()?;
    Ok(file)
}

/// Why a use does not fit what is there.
fn fault(one: &Use, module: &Module, why: &str) -> String {
    format!("{}:{}: {}.{}: {why}", module.path.display(), one.line, one.receiver, one.name)
}

fn against_members(one: &Use, members: &[Member]) -> Option<&'static str> {
    let found = members.iter().find(|member| match member {
        Member::Property { english, russian, .. } => {
            one.arguments.is_none() && (*russian == one.name || *english == one.name)
        }
        Member::Method { english, russian, .. } => {
            one.arguments.is_some() && (*russian == one.name || *english == one.name)
        }
    });
    match (found, one.arguments) {
        (None, _) => Some("the component has no such member"),
        (Some(Member::Property { writable, .. }), _) if one.written && !writable => Some("it can't be written"),
        (Some(Member::Property { readable, .. }), _) if !one.written && !readable => Some("it can't be read"),
        (Some(Member::Method { parameters, .. }), Some(given)) => {
            let required = parameters.iter().filter(|preset| preset.is_none()).count();
            (!(required..=parameters.len()).contains(&given)).then_some("the number of arguments is wrong")
        }
        _ => None,
    }
}

fn against_exports(one: &Use, exports: &[Export]) -> Option<&'static str> {
    let Some(found) = exports.iter().find(|export| export.name == one.name) else {
        return Some("nothing of that name is exported");
    };
    match one.arguments {
        None => Some("it is no property"),
        Some(given) if !(found.required..=found.parameters).contains(&given) => {
            Some("the number of arguments is wrong")
        }
        Some(_) => None,
    }
}

#[test]
fn every_call_of_the_component_in_sources_for_1c_fits_its_member_table() -> Outcome {
    let root = Root::new("members")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let object = process.create()?;
    let members = process.host().members(object)?;
    process.host().destroy(object)?;
    process.finish()?;
    let mut seen = 0;
    let mut faults = Vec::new();
    for module in sources()? {
        for one in module.uses(COMPONENT) {
            seen += 1;
            faults.extend(against_members(&one, &members).map(|why| fault(&one, &module, why)));
        }
    }
    check(seen > 40, || format!("only {seen} calls were found"))?;
    check(faults.is_empty(), || faults.join("\n"))
}

#[test]
fn every_call_between_modules_for_1c_fits_what_they_export() -> Outcome {
    let manager: Vec<Export> = Module::below(&root().join("addin/manager"))?.iter().flat_map(Module::exports).collect();
    let examples = Module::below(&root().join("examples-1c"))?;
    // CommonModules/<name>/Ext/Module.bsl
    let name_of = |module: &Module| {
        let folder = module.path.parent().and_then(Path::parent);
        let common = folder.and_then(Path::parent).is_some_and(|folder| folder.ends_with("CommonModules"));
        folder.filter(|_| common).and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
    };
    let mut receivers: Vec<(String, Vec<Export>)> =
        examples.iter().filter_map(|module| Some((name_of(module)?, module.exports()))).collect();
    receivers.extend(MANAGER.iter().map(|name| ((*name).to_owned(), manager.clone())));
    let mut seen = 0;
    let mut faults = Vec::new();
    for module in &examples {
        for (name, exports) in &receivers {
            for one in module.uses(&[name]) {
                seen += 1;
                faults.extend(against_exports(&one, exports).map(|why| fault(&one, module, why)));
            }
        }
    }
    check(seen > 20, || format!("only {seen} calls were found"))?;
    check(faults.is_empty(), || faults.join("\n"))
}

#[test]
fn every_method_of_the_manager_that_may_be_refused_has_a_twin_with_the_same_parameters() -> Outcome {
    // What can't be refused needs none: settings of the manager itself.
    let without = [
        "УстановитьОбъектКомпоненты",
        "УстановитьМенеджерЛицензий",
        "ПолучитьОписаниеСеанса",
        "УстановитьРодительскийСеанс",
        "ПолучитьОписаниеОшибки",
    ];
    let all: Vec<Export> = Module::below(&root().join("addin/manager"))?.iter().flat_map(Module::exports).collect();
    for export in all.iter().filter(|export| !export.name.starts_with("Попытка")) {
        let twin = all.iter().find(|twin| twin.name == format!("Попытка{}", export.name));
        let same = twin.is_some_and(|twin| (twin.required, twin.parameters) == (export.required, export.parameters));
        check(same || without.contains(&export.name.as_str()), || format!("{} has no twin", export.name))?;
    }
    for name in without {
        check(all.iter().any(|export| export.name == name), || format!("{name} is not there"))?;
    }
    Ok(())
}

/// What configurations of СЛК 3.0 call, with the most arguments that they give.
const CALLED: &[(&str, usize)] = &[
    ("УстановитьОбъектКомпоненты", 2),
    ("УстановитьМенеджерЛицензий", 2),
    ("СоздатьОбъект", 1),
    ("ПолучитьЛицензию", 0),
    ("ОсвободитьЛицензию", 0),
    ("ОсвободитьЛицензиюСеанса", 0),
    ("ПолучитьЛицензии", 2),
    ("ПолучитьСчетчики", 0),
    ("ПолучитьИнформациюОСервере", 0),
    ("ПолучитьАдресКонсоли", 0),
    ("ПолучитьОтладочнуюСтроку", 0),
    ("Версия", 0),
    ("УстановитьПараметрыКонтроляЛицензии", 6),
    ("УстановитьКодДоступа", 1),
    ("УстановитьЛицензию", 4),
    ("ОбновитьЛицензии", 2),
    ("ДеактивироватьЛицензию", 5),
    ("СоздатьФайловыйЗапрос", 4),
    ("СоздатьФайловыйЗапросОбновления", 2),
    ("СоздатьФайловыйЗапросДеактивации", 5),
    ("УстановитьФайловыйОтвет", 1),
    ("ПолучитьПараметрыКодаАктивации", 1),
    ("ПрочитатьПамять", 2),
    ("ЗаписатьПамять", 3),
    ("ОбнулитьПамять", 1),
    ("УстановитьПароли", 5),
    ("ПолучитьПараметр", 3),
    ("ПопыткаПолучитьНомерКлюча", 0),
    ("ПопыткаМакетЗагружен", 1),
    ("ПопыткаЗагрузитьИзМакета", 3),
    ("ПопыткаЗагрузитьИзОбщегоМакета", 1),
    ("ПопыткаСоздатьОбъект", 1),
    ("ПопыткаПроверитьЛицензиюСеанса", 0),
    ("ПопыткаПолучитьСписокОбъектов", 0),
    ("ПопыткаПолучитьЛог", 0),
    ("ПопыткаПолучитьХэшКод", 1),
    ("ПопыткаПолучитьСерверныйПараметр", 1),
    ("ПопыткаУстановитьСерверныйПараметр", 2),
    ("ПопыткаУстановитьБлокировку", 1),
    ("ПолучитьОписаниеОшибки", 0),
];

#[test]
fn the_manager_has_every_method_that_configurations_call() -> Outcome {
    let all: Vec<Export> = Module::below(&root().join("addin/manager"))?.iter().flat_map(Module::exports).collect();
    for (name, given) in CALLED {
        let found = all.iter().find(|export| export.name == *name);
        let takes = found.is_some_and(|export| (export.required..=export.parameters).contains(given));
        check(takes, || format!("{name} with {given} arguments: {found:?}"))?;
    }
    // Called without any: a request for a demo licence, the presence of nothing demanded.
    for name in ["СоздатьФайловыйЗапрос", "УстановитьПараметрыКонтроляЛицензии", "ПолучитьЛицензии", "ОбновитьЛицензии"]
    {
        check(all.iter().any(|export| export.name == name && export.required == 0), || format!("{name} without any"))?;
    }
    Ok(())
}

#[test]
fn the_manager_that_1c_gets_is_built_from_its_parts_and_always_the_same() -> Outcome {
    let file = manager(&Root::new("manager")?)?;
    let text = epf::processor::module_text(&file)?;
    let mut length = 0;
    for part in fs::read_dir(root().join("addin/manager"))? {
        let path = part?.path();
        if path.extension().is_some_and(|extension| extension == "bsl") {
            let part = fs::read_to_string(&path)?;
            check(text.contains(&part), || format!("{} is not in the manager", path.display()))?;
            length += part.len() + 1;
        }
    }
    check(text.len() + 1 == length, || "the manager has more than its parts".to_owned())?;
    // Built twice, here and by the component's build: the same bytes.
    check(epf::processor::build("МенеджерОбъектовСЛК", &text)? == file, || {
        "another build gives other bytes".to_owned()
    })
}

#[test]
fn another_reader_of_epf_finds_the_text_of_the_manager_intact() -> Outcome {
    let Some(unpacker) = env::var_os("SLK_EPF_UNPACKER") else {
        println!("skipped: SLK_EPF_UNPACKER names no unpacker; cargo xtask test brings one");
        return Ok(());
    };
    let root = Root::new("unpacked")?;
    let file = manager(&root)?;
    let (packed, folder) = (root.path().join("manager.epf"), root.path().join("unpacked"));
    fs::write(&packed, &file)?;
    let output = Command::new(unpacker).arg("-E").arg(&packed).arg(&folder).output()?;
    check(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
    let found = Module::below(&folder)?;
    let [module] = found.as_slice() else { return fail(format!("{} modules were unpacked", found.len())) };
    let text = fs::read_to_string(&module.path)?;
    let intact = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    check(intact == epf::processor::module_text(&file)?, || "the text is not what was packed".to_owned())?;
    lint(&folder)
}

/// The linter judges the whole module, as only then every name is known.
fn lint(folder: &Path) -> Outcome {
    let Some(linter) = env::var_os("SLK_BSL_LINTER") else {
        println!("skipped: SLK_BSL_LINTER names no linter; cargo xtask test brings one");
        return Ok(());
    };
    fs::copy(root().join("addin/manager/onec-hbk-bsl.toml"), folder.join("onec-hbk-bsl.toml"))?;
    let output = Command::new(linter).args(["check", "."]).current_dir(folder).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(()) } else { Err(Failure::new(said)) }
}
