//! The built component under valgrind, which finds what it loses, reads after the end or leaves undecided. A program of its own: the
//! component is some thirty times slower so, and its calls keep their limits, so nothing may run beside it.

use std::fs;

use e2e::component::{Kind, Process, Refusal, server_session};
use e2e::{Outcome, Root, Site};

fn granted<T>(answer: Result<T, Refusal>) -> Outcome<T> {
    answer.map_err(|refusal| refusal.failure())
}

#[test]
fn a_whole_working_session_is_clean_under_valgrind() -> Outcome {
    let site = Site::new("valgrind")?;
    let server = site.server_with("valgrind", 2, &[])?;
    let (plain, packed) = (site.root.path().join("Объект.epf"), site.root.path().join("packed.datafile"));
    fs::write(&plain, vec![0xA5; 100_000])?;
    site.vendor.pack(&packed, &[plain], &[])?;
    let sealed = fs::read(packed)?;
    let root = Root::new("valgrind-1c")?;
    let mut process = Process::under_valgrind(Kind::Server, root.path())?;
    let (anchor, address) = (site.vendor.anchor()?, format!("ServerAddr=127.0.0.1;ServerPort={}", server.port()));
    for number in 1..=2 {
        let attached = granted(process.work(&address, &anchor, &server_session(number))?)?;
        granted(process.load_datafile(&attached, &sealed)?)?;
        assert_eq!(granted(process.object(&attached, "Объект")?)?.len(), 100_000);
        assert!(process.object(&attached, "Нет")?.is_err());
        process.diagnostics(attached.object)?;
        granted(process.release(&attached)?)?;
        process.detach(attached)?;
    }
    // `finish` fails on any error or leak that valgrind has found.
    process.finish()?;
    assert_eq!(server.seats()?, (0, 2));
    Ok(())
}
