//! The binary interface in a random order, against a real server: nothing that 1C or another host calls brings the process down,
//! leaks, or touches what is gone. Longer by hand: `SLK_CHAOS_SECONDS=3600 cargo test -p e2e --test chaos`. A seed that failed is
//! repeated with `SLK_CHAOS_SEED`, and `CHAOS_TRACE=1` writes every call to the error output.

use std::env;
use std::fs;

use e2e::component::{file_session, server_session};
use e2e::host::{Host, HostOptions, Value, library};
use e2e::{Outcome, Root, SERIES, Site, check};

fn number(name: &str) -> Outcome<Option<u64>> {
    Ok(env::var(name).ok().map(|text| text.parse()).transpose()?)
}

#[test]
fn calls_in_a_random_order_never_bring_the_process_down() -> Outcome {
    let seconds = number("SLK_CHAOS_SECONDS")?.unwrap_or(60);
    // A seed of the hour, so that every run tries something new; it is told when anything goes wrong.
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let seed = number("SLK_CHAOS_SEED")?.unwrap_or(clock);
    let site = Site::new("chaos")?;
    let server = site.server_with("chaos", 3, &[])?;
    let root = Root::new("chaos-1c")?;
    // Wherever random parameters point to, connections go to this server.
    let conf = format!("[Common]\nServerAddr=127.0.0.1\nServerPort={}\nForceUseConfig=1\n", server.port());
    fs::write(root.settings().join("licenceaddin.conf"), conf)?;
    let (plain, packed) = (root.path().join("Обработка.epf"), root.path().join("packed.datafile"));
    fs::write(&plain, [0xA5; 3000])?;
    site.vendor.pack(&packed, &[plain], &[])?;
    let mut dictionary: Vec<Value> = ["3.0.14", "", "Обработка", "ДанныеСЛК.Обработка", "ДанныеСЛК", "{}", "ru_RU"]
        .into_iter()
        .chain([SERIES, SERIES, SERIES])
        .map(Value::from)
        .collect();
    dictionary.extend([site.vendor.anchor_hash()?, site.vendor.anchor()?].map(Value::Text));
    dictionary.extend((1..=4).map(|n| Value::Text(server_session(n).to_string())));
    dictionary.extend((1..=2).map(|n| Value::Text(file_session(n).to_string())));
    dictionary.extend([Value::Blob(fs::read(&packed)?), Value::Int(1), Value::Int(1), Value::Int(2), Value::Int(3)]);

    // A process per round, so that a long run also ends and starts the component many times.
    let mut left = seconds;
    let mut steps = 0;
    for round in 0.. {
        let now = left.min(60);
        let own = seed.wrapping_add(round * 1000);
        let failed = |why: &dyn std::fmt::Display| format!("seed {own}, {now} s: {why}");
        let env = ["SLK_ROOT", "TMPDIR"].map(|name| (name.into(), root.path().as_os_str().to_owned()));
        let mut host = Host::start(HostOptions { valgrind: false, env: env.into() })?;
        host.load(&library()?)?;
        match host.chaos(own, now, 2, &dictionary) {
            Ok(made) => steps += made,
            Err(error) => return e2e::fail(failed(&error)),
        }
        host.unload()?;
        let report = host.finish()?;
        check(report.is_clean(), || failed(&report))?;
        left -= now;
        if left == 0 {
            break;
        }
    }
    println!("seed {seed}: {steps} calls");
    check(steps > 0, || "nothing was called".to_owned())
}
