//! `licenceserver passwd`: name and password of the console and the API, for terminals and containers. It works whether the
//! server runs or not, and never takes a password from the command line, which every user of the computer can read.

use std::io::{self, BufRead, IsTerminal};

use licence::error::{Code, Error, Lang, Result};
use licence::host::output;
use licence::host::paths::Paths;
use licence::printable;
use licence::settings::{Role, ServerSettings, USERS};
use service::access;
use zeroize::Zeroizing;

use crate::arguments::Passwd;
use crate::desk::Desk;
use crate::{CRYPTO, Outcome};

/// Longest line that is read from standard input, in bytes.
const MAX_LINE: u64 = 4096;

/// Asks for the password and writes its hash into the settings. `settings` are the present ones, as far as they can be read.
pub fn run(paths: &Paths, settings: &ServerSettings, lang: Lang, options: &Passwd) -> Result<Outcome> {
    let user = options.user.as_deref().unwrap_or(&settings.user);
    let account = settings.users.get(user);
    let place = paths.server_conf();
    if options.remove {
        if account.is_none() {
            return Err(Error::new(Code::RecordNotFound).with(format_args!("[{USERS}] {user}")));
        }
        access::remove_account(paths, user)?;
        let done = lang.pick("Учётная запись удалена:", "The account is removed:");
        let done = format!("{done} {user}, {}", place.display());
        output::print(&format!("{}\n{}", printable::line(&done), taken_up(paths, lang)));
        return Ok(Outcome::Done);
    }
    if user == settings.user && options.role.is_some_and(|role| role != Role::Administrator) {
        return Err(Error::new(Code::BadRequest).with_text(
            format_args!("{user} — имя администратора из [Console] UserName, другой роли у него нет"),
            format_args!("{user} is the administrator of [Console] UserName and has no other role"),
        ));
    }
    let role = options.role.or_else(|| account.map(|account| account.role)).filter(|_| user != settings.user);
    let password = if options.stdin { from_stdin()? } else { from_terminal(user, lang)? };
    match role {
        Some(role) => access::set_account(paths, CRYPTO, user, role, &password)?,
        None => drop(access::set_password(paths, CRYPTO, user, &password)?),
    }
    let done = format!("{} {}", lang.pick("Пароль задан:", "The password is set:"), place.display());
    output::print(&format!("{}\n{}", printable::line(&done), taken_up(paths, lang)));
    Ok(Outcome::Done)
}

/// Tells a server that runs, so that the former account ends at once; what came of it.
fn taken_up(paths: &Paths, lang: Lang) -> &'static str {
    match Desk::reload_settings(paths, lang) {
        true => lang.pick("Работающий сервер применяет это сразу.", "The server that runs takes it up now."),
        false => lang.pick(
            "Работающий сервер подхватит это через несколько секунд.",
            "A server that runs takes it up within a few seconds.",
        ),
    }
}

fn from_stdin() -> Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    let mut input = io::Read::take(io::stdin().lock(), MAX_LINE);
    input.read_line(&mut line).map_err(|cause| unreadable("stdin", &cause))?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn from_terminal(user: &str, lang: Lang) -> Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return Err(Error::new(Code::BadRequest).with_text(
            "пароль спрашивают только с терминала; для сценариев: licenceserver passwd --stdin",
            "a password is asked for at a terminal only; for scripts: licenceserver passwd --stdin",
        ));
    }
    let ask = |prompt: String| {
        rpassword::prompt_password(printable::line(&prompt))
            .map(Zeroizing::new)
            .map_err(|cause| unreadable("terminal", &cause))
    };
    let first = ask(format!("{} {user}: ", lang.pick("Новый пароль", "New password of")))?;
    // Told before it is typed again.
    access::acceptable(user, &first)?;
    let second = ask(lang.pick("Ещё раз: ", "Once more: ").to_owned())?;
    if first != second {
        return Err(Error::new(Code::BadRequest).with_text("пароли не совпали", "the passwords differ"));
    }
    Ok(first)
}

fn unreadable(place: &str, cause: &io::Error) -> Error {
    Error::new(Code::FileFailed).with(place).with(cause)
}
