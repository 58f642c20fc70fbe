//! Passwords in `licenceserver.conf`: how they are hashed, checked and set.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use licence::crypto::Provider;
use licence::error::{Code, Error, Result};

use licence::host::paths::Paths;
use licence::settings::{self, Role, ServerSettings, USERS};

/// Name and password that a new server has.
pub const DEFAULT: &str = "admin";
/// Shortest password that is accepted, in characters.
pub const MIN_PASSWORD: usize = 8;
/// Longest name or password that is accepted, in bytes.
pub const MAX_LENGTH: usize = 256;

/// Whether a stored password is a hash that we wrote rather than plain text.
pub fn is_hash(stored: &str) -> bool {
    stored.starts_with("$argon2")
}

/// Whether the settings still have the name and password of a new server.
pub fn is_default(settings: &ServerSettings) -> bool {
    settings.user == DEFAULT && settings.password == DEFAULT
}

/// The argon2id hash of a password, as it stands in the settings. Takes some tens of milliseconds and 19 MiB.
pub fn hash_password(crypto: Provider, password: &str) -> Result<String> {
    let salt = crypto.random_id()?;
    let hash: Result<PasswordHash, _> = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|e| Error::new(Code::CryptoFailed).with(e))
}

/// A hash of the same cost that fits no password: so that an unknown name takes as long as a known one.
pub const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whether `password` is the one of a stored hash. A hash that can't be read fits no password.
pub fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Whether a name and password may be set.
pub fn acceptable(user: &str, password: &str) -> Result<()> {
    let wrong = |russian: String, english: String| Err(Error::new(Code::BadRequest).with_text(russian, english));
    let plain = |c: char| !c.is_control() && !":;#\"'\\=[]".contains(c);
    if user.is_empty() || user.trim() != user || user.len() > MAX_LENGTH || !user.chars().all(plain) {
        let marks = ": ; # \" ' \\ = [ ]";
        return wrong(
            format!("UserName: имя без знаков {marks}, не длиннее {MAX_LENGTH} байт"),
            format!("UserName: a name without {marks}, at most {MAX_LENGTH} bytes"),
        );
    }
    if password.chars().count() < MIN_PASSWORD || password.len() > MAX_LENGTH || password.chars().any(char::is_control)
    {
        return wrong(
            format!("Password: от {MIN_PASSWORD} знаков до {MAX_LENGTH} байт"),
            format!("Password: from {MIN_PASSWORD} characters to {MAX_LENGTH} bytes"),
        );
    }
    if password.eq_ignore_ascii_case(user) {
        return wrong("Password: совпадает с именем".into(), "Password: the same as the name".into());
    }
    Ok(())
}

/// Sets name and password of the console's administrator in the settings file, everything else in it stays; gives the stored
/// hash. A server that runs takes it up by itself.
pub fn set_password(paths: &Paths, crypto: Provider, user: &str, password: &str) -> Result<String> {
    acceptable(user, password)?;
    let hash = hash_password(crypto, password)?;
    crate::settings::edit(paths, |text| {
        let text = settings::with_value(&text, "Console", "UserName", user)?;
        settings::with_value(&text, "Console", "Password", &hash)
    })?;
    Ok(hash)
}

/// Sets role and password of an account of section `[Users]`.
pub fn set_account(paths: &Paths, crypto: Provider, user: &str, role: Role, password: &str) -> Result<()> {
    acceptable(user, password)?;
    let hash = hash_password(crypto, password)?;
    crate::settings::edit(paths, |text| settings::with_value(&text, USERS, user, &format!("{role} {hash}")))
}

/// Removes an account of section `[Users]`.
pub fn remove_account(paths: &Paths, user: &str) -> Result<()> {
    crate::settings::edit(paths, |text| Ok(settings::without_value(&text, USERS, user)))
}

/// One password of the settings in plain text, and the value with its hash that comes in place of it.
struct Hashed {
    section: &'static str,
    key: String,
    plain: String,
    value: String,
}

impl Hashed {
    /// Whether this password still stands in the file.
    fn stands_in(&self, ini: &settings::Ini) -> bool {
        let password = |value: &str| match self.section {
            USERS => value.split_once([' ', '\t']).map_or("", |(_, password)| password).trim().to_owned(),
            _ => value.to_owned(),
        };
        ini.get(self.section, &self.key).is_some_and(|value| password(value) == self.plain)
    }
}

/// Replaces passwords in plain text by their hashes, in memory; the default one stays, for it opens nothing. A password that could not
/// be hashed fits nothing any more.
pub fn hash_in_memory(crypto: Provider, settings: &mut ServerSettings) {
    drop(hash_each(crypto, settings));
}

fn hash_each(crypto: Provider, settings: &mut ServerSettings) -> Vec<Hashed> {
    let hash = |password: &str| {
        hash_password(crypto, password).unwrap_or_else(|error| {
            log::error!("{error}");
            DECOY.to_owned()
        })
    };
    let mut all = Vec::new();
    if !is_hash(&settings.password) && !is_default(settings) {
        let value = hash(&settings.password);
        let plain = std::mem::replace(&mut settings.password, value.clone());
        all.push(Hashed { section: "Console", key: "Password".into(), plain, value });
    }
    for (name, user) in settings.users.iter_mut().filter(|(_, user)| !is_hash(&user.password)) {
        let hash = hash(&user.password);
        let value = format!("{} {hash}", user.role);
        let plain = std::mem::replace(&mut user.password, hash);
        all.push(Hashed { section: USERS, key: name.clone(), plain, value });
    }
    all
}

/// Replaces passwords that stand in the settings in plain text by their hashes, in memory and in the file; the default one
/// stays, for it opens nothing. What somebody has changed in the file meanwhile stays as he has it. A file that can't be written is no
/// reason not to start.
pub fn hash_plain_passwords(paths: &Paths, crypto: Provider, settings: &mut ServerSettings) {
    let changes = hash_each(crypto, settings);
    if changes.is_empty() {
        return;
    }
    let all = |text: String| {
        let ini = settings::Ini::parse("", &text)?;
        let mut same = changes.iter().filter(|one| one.stands_in(&ini));
        same.try_fold(text, |text, one| settings::with_value(&text, one.section, &one.key, &one.value))
    };
    match crate::settings::edit(paths, all) {
        Ok(()) => log::info!("{}: plain passwords are replaced by their hashes", paths.server_conf().display()),
        Err(error) => log::warn!("plain passwords stay in the settings: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use licence::crypto::ring::PROVIDER;

    use super::*;

    #[test]
    fn a_hash_fits_its_password_only_and_is_salted() {
        let hash = hash_password(&PROVIDER, "correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$") && is_hash(&hash) && !is_hash("admin"));
        assert!(verify(&hash, "correct horse") && !verify(&hash, "correct hors"));
        assert_ne!(hash, hash_password(&PROVIDER, "correct horse").unwrap());
        assert!(!verify("$argon2id$broken", "x") && !verify("", ""));
        assert!(PasswordHash::new(DECOY).is_ok() && !verify(DECOY, ""));
        let cost = |hash: &str| hash.rsplitn(3, '$').nth(2).map(str::to_owned);
        assert_eq!(cost(DECOY), cost(&hash), "an unknown name takes as long as a known one");
    }

    #[test]
    fn weak_and_unwritable_pairs_are_refused() {
        assert!(acceptable("Анна", "длинный пароль").is_ok());
        for (user, password) in [
            ("", "long enough"),
            (" a", "long enough"),
            ("a:b", "long enough"),
            ("a\nPassword=x", "long enough"),
            ("admin", "admin"),
            ("admin", "short"),
            ("administrator", "Administrator"),
            ("a", "with\ncontrol"),
        ] {
            assert_eq!(acceptable(user, password).unwrap_err().code, Code::BadRequest, "{user} {password}");
        }
    }
}
