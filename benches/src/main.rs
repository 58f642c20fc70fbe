//! Measures the real licence server and the centre over loopback and sets them beside what bounds them: a bare hyper handler, bare
//! SQLite commits, bare signatures.
//! Owns the load and the reckoning; it must never reach beyond loopback, and it ends by itself. `docs/performance.md`.

mod bare;
mod centre;
mod counted;
mod crowd;
mod groups;
mod install;
mod load;
mod objects;
mod process;
mod report;
mod rest;
mod siege;
mod signing;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use groups::Group;
use report::Report;

/// What a measurement may fail of: the bench stops at once, for a number beside a failure means nothing.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures the licence server.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Writes a list of {name, value, unit} to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures this group only; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Shorter, and so less exact.
    #[arg(long)]
    quick: bool,
    /// Serves the bare handler that the server is compared with.
    #[arg(long, hide = true)]
    serve_bare: bool,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// One kind of call at one number of connections.
    span: Duration,
    /// How often what is compared by its median is repeated.
    repeats: usize,
}

impl Plan {
    fn new(quick: bool) -> Plan {
        if quick {
            Plan { span: Duration::from_millis(400), repeats: 3 }
        } else {
            Plan { span: Duration::from_millis(2500), repeats: 5 }
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.serve_bare { bare::serve() } else { run(&arguments) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Outcome {
    let groups = Group::named(&arguments.only)?;
    let plan = Plan::new(arguments.quick);
    // One thread drives all clients, so that they take as little as can be from the server that they share the machine with.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    for group in groups {
        println!("{}", group.name());
        runtime.block_on(group.measure(plan, &mut report))?;
    }
    report.print_targets();
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json()?)?;
    }
    Ok(())
}
