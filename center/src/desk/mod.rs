//! `licenceedit`, the vendor's desk: its command line. Each command is one module; none asks the network for anything.

mod answer;
mod codes;
mod pack;
mod params;
mod series;
mod show;
mod template;
mod wildcard;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use licence::host::clock::SystemClock;
use licence::host::files::{self, Access};
use licence::host::output;
use licence::time::Clock;
use licence::{KeyId, Lang, Time};

use crate::failure::{Console, Failure, Outcome, finish, language, read};
use crate::keyfile::{self, Cryptkey, Opened};
use crate::passphrase::Source;
use crate::{CRYPTO, passphrase};

/// Makes series, protects data, makes activation codes.
#[derive(Parser)]
#[command(name = "licenceedit", version = licence::version::VERSION)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Language of messages: ru or en; else that of the environment.
    #[arg(long, global = true)]
    lang: Option<String>,
    /// Passphrase of the key file, first line of this file; else SLK_PASSPHRASE or the terminal.
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a series: its root key and its trust anchor.
    Series(series::New),
    /// Makes an issuing key for the centre, certified by the root.
    Issuer(series::Issue),
    /// Packs files into an encrypted datafile.
    C(pack::Pack),
    /// Makes the file of parameters of a series: their defaults.
    Params(params::Make),
    /// Shows what is in a datafile and verifies it.
    List(show::Show),
    /// Puts the component's libraries into a template for 1C, with trust anchors inside; checks a template.
    Template(template::Template),
    /// Answers a request file of a server without internet.
    Answer(answer::Answer),
    /// Makes activation codes in the centre's store.
    Code(codes::New),
    /// Blocks an activation code for ever.
    Block(codes::Block),
    /// Allows one transfer of a key more than the limit, or its licence for the machine as it is now.
    Allow(codes::Allow),
    /// Lists activation codes with their states.
    Codes(codes::List),
}

/// Runs `licenceedit`.
pub fn main() -> ExitCode {
    let arguments = match read::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let lang = language(arguments.lang.as_deref());
    let (mut out, mut remarks) = (output::results(), output::remarks());
    let mut console = Console { lang, out: &mut out, remarks: &mut remarks };
    let root = Source { file: arguments.passphrase_file, variable: "SLK_PASSPHRASE", lang };
    // Codes that are made and can't be shown would be lost.
    if let Err(error) = output::expect_room() {
        return finish("licenceedit", lang, Err(error.into()));
    }
    let outcome = match arguments.command {
        Command::Series(new) => new.run(&mut console, &root),
        Command::Issuer(issue) => issue.run(&mut console, &root),
        Command::C(pack) => pack.run(&mut console, &root),
        Command::Params(make) => make.run(&mut console, &root),
        Command::List(show) => show.run(&mut console),
        Command::Template(template) => template.run(&mut console),
        Command::Answer(answer) => answer.run(&mut console, &root),
        Command::Code(new) => new.run(&mut console),
        Command::Block(block) => block.run(&mut console),
        Command::Allow(allow) => allow.run(&mut console),
        Command::Codes(list) => list.run(&mut console),
    };
    finish("licenceedit", lang, outcome)
}

fn now() -> Time {
    SystemClock.now().wall
}

/// Reads a root key file and opens it, with its passphrase if it needs one.
fn open_cryptkey(path: &Path, source: &Source) -> Outcome<(Cryptkey, Opened)> {
    let text = passphrase::Passphrase::new(files::read_text(path, keyfile::LIMIT)?);
    let file = Cryptkey::read(&path.display().to_string(), &text)?;
    let passphrase = if file.is_sealed() { source.existing(path)? } else { None };
    let opened = file.open(CRYPTO, passphrase.as_ref().map(|text| text.as_str()))?;
    Ok((file, opened))
}

/// Refuses a root key of another series than the one that is asked for.
fn check_series(file: &Cryptkey, path: &Path, serie: KeyId) -> Outcome {
    let (path, key_id) = (path.display(), file.key_id());
    if key_id == serie {
        return Ok(());
    }
    Err(Failure::told(
        format!("{path}: ключ серии {key_id}, а указана серия {serie}."),
        format!("{path}: the key is of series {key_id}, but {serie} is asked for."),
    ))
}

/// Refuses to touch a file that is there already, unless the person has said yes.
fn may_write(path: &Path, yes: bool) -> Outcome {
    if yes || std::fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::told(
        format!("{path}: файл уже есть. Укажите -y, чтобы заменить его."),
        format!("{path}: the file exists already. Give -y to replace it."),
    ))
}

fn write(path: &Path, bytes: &[u8], access: Access) -> Outcome {
    Ok(files::write_atomically(path, bytes, access)?)
}

/// Tells that a key file is not sealed, so that nobody is surprised by it later.
fn remark_unsealed(console: &mut Console<'_>, path: &Path) {
    let path = path.display();
    console.remark(
        &format!("{path}: без парольной фразы; ключ прочтёт каждый, кто прочтёт файл."),
        &format!("{path}: no passphrase; whoever can read the file has the key."),
    );
}

fn lang_words<'a>(lang: Lang, words: (&'a str, &'a str)) -> &'a str {
    lang.pick(words.0, words.1)
}
