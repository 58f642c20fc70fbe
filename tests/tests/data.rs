//! Protected data from the places where they may lie, and the template that brings the component with its vendor's anchors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::component::{Answer, Attached, Kind, Process, server_session};
use e2e::failure::fail;
use e2e::vendor::{Vendor, edit};
use e2e::{Outcome, Programs, Root, SERIES, Server, Site};

fn granted<T>(answer: Answer<T>) -> Outcome<T> {
    answer?.map_err(|refusal| refusal.failure())
}

fn to(server: &Server) -> String {
    format!("ServerAddr=127.0.0.1;ServerPort={}", server.port())
}

/// Packs one object `Обработка` of these bytes into a datafile at `out`.
fn pack(vendor: &Vendor, out: &Path, bytes: &[u8], more: &[&str]) -> Outcome {
    let folder = Root::new("packing")?;
    let plain = folder.path().join("Обработка.epf");
    fs::write(&plain, bytes)?;
    vendor.pack(out, &[plain], more)
}

fn beside(server: &Server, name: &str) -> PathBuf {
    server.root().data().join(name)
}

/// Code of the refusal to open the object.
fn refusal(process: &mut Process, attached: &Attached) -> Outcome<i64> {
    match process.object_called(attached, "Обработка")? {
        Ok(_) => fail("the object was opened"),
        Err(refusal) => Ok(refusal.code),
    }
}

#[test]
fn an_object_comes_from_beside_the_server_from_its_extension_and_from_a_disk() -> Outcome {
    let site = Site::new("places")?;
    let server = site.server_with("places", 1, &[])?;
    let root = Root::new("places-1c")?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1)))?;
    assert_eq!(refusal(&mut process, &attached)?, 506);

    pack(&site.vendor, &root.data().join(format!("{SERIES}.datafile")), b"disk", &[])?;
    assert_eq!(granted(process.object_called(&attached, "Обработка"))?, b"disk");
    // Over several pieces.
    let large: Vec<u8> = (0..1_500_000_u32).map(|at| (at * 7) as u8).collect();
    pack(&site.vendor, &beside(&server, &format!("{SERIES}.datafile")), &large, &[])?;
    assert!(granted(process.object_called(&attached, "Обработка"))? == large);
    pack(&site.vendor, &beside(&server, &format!("{SERIES}.Extension.datafile")), b"extension", &[])?;
    assert_eq!(granted(process.object_called(&attached, "Extension.Обработка"))?, b"extension");
    assert!(granted(process.object_called(&attached, "обработка"))? == large);
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn a_file_beside_the_server_that_is_altered_or_anothers_is_refused() -> Outcome {
    let site = Site::new("tampered")?;
    let server = site.server_with("tampered", 1, &[])?;
    let stranger = Vendor::new(&site.root.path().join("stranger"))?;
    let (root, file) = (Root::new("tampered-1c")?, beside(&server, &format!("{SERIES}.datafile")));
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1)))?;
    pack(&stranger, &file, b"evil", &[])?;
    assert_eq!(refusal(&mut process, &attached)?, 508);
    pack(&site.vendor, &file, b"text", &[])?;
    let good = fs::read(&file)?;
    let mut refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&file, bytes)?;
        refusal(&mut process, &attached)
    };
    assert_eq!(refused(&|bytes| *bytes = b"LSDF\x01\xFF\0".to_vec())?, 509);
    assert_eq!(refused(&|bytes| *bytes = b"LSPF\n".to_vec())?, 509);
    assert_eq!(refused(&|bytes| bytes.truncate(100))?, 200);
    let date = good.windows(9).position(|text| text == b"\"Created\"").expect("a date") + 14;
    assert!([200, 202].contains(&refused(&|bytes| bytes[date] ^= 1)?));
    assert_eq!(refused(&|bytes| bytes.last_mut().into_iter().for_each(|last| *last ^= 1))?, 510);
    fs::write(&file, &good)?;
    assert_eq!(granted(process.object_called(&attached, "Обработка"))?, b"text");
    process.detach(attached)?;
    process.finish()?;
    Ok(())
}

#[test]
fn a_revoked_key_is_honoured_by_the_component_and_by_the_server() -> Outcome {
    let site = Site::new("revoked")?;
    let mut server = site.server_with("revoked", 1, &[])?;
    let key = server.keys()?[0]["KeyNo"].to_string();
    let root = Root::new("revoked-1c")?;
    let revoking = root.path().join("revoking.datafile");
    pack(&site.vendor, &revoking, b"text", &["--revoked", &key])?;
    let mut process = Process::start(Kind::Server, root.path())?;
    let attached = granted(process.work(&to(&server), &site.vendor.anchor()?, &server_session(1)))?;
    assert_eq!(server.seats()?, (1, 1));
    granted(process.load_datafile(&attached, &fs::read(&revoking)?))?;
    assert_eq!(server.seats()?, (0, 1), "the component gives the seat back");
    assert_eq!(refusal(&mut process, &attached)?, 208);
    let again = process.set_session(&attached, &server_session(1))?.err().map(|refusal| refusal.code);
    assert_eq!((again, server.seats()?), (Some(208), (0, 1)));
    process.detach(attached)?;
    process.finish()?;
    // The server takes it from a datafile in its folder, and keeps it when the file is gone.
    let file = beside(&server, &format!("{SERIES}.datafile"));
    server.after(|_| Ok(fs::copy(&revoking, &file).map(drop)?))?;
    let state = |server: &Server| Ok(server.keys()?[0]["OpenError"].to_string());
    let said: Outcome<String> = state(&server);
    assert!(said?.contains("EKeyUnusable"));
    server.after(|_| Ok(fs::remove_file(&file)?))?;
    let said: Outcome<String> = state(&server);
    assert!(said?.contains("EKeyUnusable"));
    let mut process = Process::start(Kind::Server, root.path())?;
    let refused = process.work(&to(&server), &site.vendor.anchor()?, &server_session(1))?;
    assert!(refused.is_err_and(|refusal| refusal.code == 301));
    process.finish()?;
    Ok(())
}

/// Unpacks a template with Python's `zipfile`; the libraries in it. `None` where there is no Python.
fn unpacked(template: &Path, folder: &Path) -> Outcome<Option<Vec<PathBuf>>> {
    let script =
        "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2])";
    match Command::new("python3").args(["-c", script]).args([template, folder]).status() {
        Ok(status) if status.success() => {}
        Ok(status) => return fail(format!("Python can't unpack the template: {status}")),
        Err(_) => {
            println!("skipped: python3 is not installed");
            return Ok(None);
        }
    }
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    Ok(Some(files.into_iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "so")).collect()))
}

#[test]
fn a_branded_template_brings_a_component_that_needs_no_anchor_from_1c_code() -> Outcome {
    let site = Site::new("template")?;
    let server = site.server_with("template", 1, &[])?;
    pack(&site.vendor, &beside(&server, &format!("{SERIES}.datafile")), b"text", &[])?;
    let folder = site.root.path().join("out");
    let (library, out) = (Programs::built()?.library().display().to_string(), folder.display().to_string());
    let cryptkey = site.vendor.cryptkey().display().to_string();
    let made = edit(&["template", "--library", &library, "--anchor", &cryptkey, "--out", &out])?;
    let template = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim());
    let Some(libraries) = unpacked(&template, &folder)? else { return Ok(()) };
    let [branded] = libraries.as_slice() else { return fail(format!("{libraries:?}")) };

    let root = Root::new("template-1c")?;
    let mut process = Process::with_library(Kind::Server, root.path(), branded)?;
    let attached = granted(process.work(&to(&server), "", &server_session(1)))?;
    assert_eq!(granted(process.object_called(&attached, "Обработка"))?, b"text");
    let told = process.diagnostics(attached.object)?;
    assert_eq!(told["LibraryAnchors"][0]["KeyID"], SERIES);
    assert_eq!(told["Module"], branded.display().to_string());
    let other = process.attach(&to(&server), &"AB".repeat(32))?.err().map(|refusal| refusal.code);
    assert_eq!(other, Some(508), "1C code names another anchor than the library");
    process.detach(attached)?;
    process.finish()?;

    let bytes = fs::read(branded)?;
    let mut broken = bytes.clone();
    broken[bytes.len() - 20] ^= 1;
    for (name, bytes, error) in [("plain.so", &fs::read(&library)?, false), ("broken.so", &broken, true)] {
        let path = folder.join(name);
        fs::write(&path, bytes)?;
        let mut process = Process::with_library(Kind::Server, root.path(), &path)?;
        let attached = granted(process.work(&to(&server), "", &server_session(1)))?;
        assert_eq!(refusal(&mut process, &attached)?, 505, "{name}");
        assert_eq!(process.diagnostics(attached.object)?["LibraryAnchorsError"].is_string(), error, "{name}");
        process.detach(attached)?;
        process.finish()?;
    }
    Ok(())
}
