use super::super::tests::ini;
use super::*;

fn read(text: &str) -> ServerSettings {
    let (settings, wrong) = ServerSettings::read(&ini(text));
    assert!(wrong.is_empty(), "{wrong:?}");
    settings
}

#[test]
fn an_empty_file_gives_the_defaults_of_the_guide() {
    let settings = read("");
    assert_eq!((settings.port, settings.authorization), (9099, Authorization::ServiceOnly));
    assert_eq!((settings.user.as_str(), settings.password.as_str()), ("admin", "admin"));
    assert!(settings.api && !settings.local_only && settings.centres.is_empty());
}

#[test]
fn names_are_found_in_any_case_and_comments_are_skipped() {
    let settings = read("\u{feff}; note\n[console]\n; x\nAUTHORIZATION=1\nallowedaddresses=10.0.0.0/8, ::1\n");
    assert_eq!(settings.authorization, Authorization::Always);
    assert_eq!(settings.allowed.len(), 2);
}

#[test]
fn a_wrong_value_names_file_line_and_allowed_values_and_the_default_stays() {
    let (settings, wrong) = ServerSettings::read(&ini("[API]\nEnabled=1\n[Common]\nServerPort=many\nLang=en\n"));
    assert_eq!((settings.port, settings.lang), (9099, Lang::English));
    let [Remark { section, key, error }] = wrong.as_slice() else { panic!("{wrong:?}") };
    assert_eq!(
        (section.as_str(), key.as_str(), &error.args[..2]),
        ("Common", "ServerPort", &["test.conf".into(), "4".into()][..])
    );
    let text = error.cause(Lang::English);
    for part in ["[Common] ServerPort=many", "allowed: a number from 0 to 65535", "in force: \"9099\""] {
        assert!(text.contains(part), "{text}");
    }
    assert!(Ini::parse("test.conf", "[Common\nServerPort=1").is_err());
}

#[test]
fn a_wrong_restriction_restricts() {
    let (settings, wrong) = ServerSettings::read(&ini(
        "[Console]\nAllowedAddresses=10.0.0.0/99\nLocalAccessOnly=jes\nAuthorization=all\n[TLS]\nRequired=!\n",
    ));
    assert_eq!(wrong.len(), 4);
    assert!(settings.tls.required && settings.authorization == Authorization::Always);
    assert!(settings.local_only && settings.allowed.iter().all(|network| !network.contains([10, 0, 0, 1].into())));
    assert!(!settings.allowed.is_empty());
}

/// Settings whose default is as tight as they can be, or that close nothing: a wrong value may leave them at their default.
const NO_RESTRICTIONS: &[&str] = &[
    "ServerPort",
    "Lang",
    "LicenceCenterUrl",
    "LicenceCenterUseProxy",
    "LogLevel",
    "KeepPreviousLogs",
    "KeepCurrentDateLogs",
    "CarrierGrace",
    "LicenceUpdate Enabled",
    "CheckDNSRebinding",
    "HostNames",
    "Certificate",
    "Key",
    "Connections",
    "ConnectionsPerAddress",
    "HeaderSize",
    "BodySize",
    "HeaderTimeout",
    "BodyTimeout",
    "IdleTimeout",
    "ReadTimeout",
    "StopTimeout",
    "UserName",
    "Password",
];
/// Settings that a wrong value loosens on purpose: what was bought is kept from nobody by a slip.
const LIFTED: &[&str] = &["SeatsPerAddress", "SeatsPerComputer", "SeatsUnlimited"];

#[test]
fn a_wrong_value_of_any_setting_that_restricts_closes_at_a_start_and_later() {
    let defaults = ServerSettings::default();
    for setting in settings() {
        let name =
            if setting.key == "Enabled" { format!("{} Enabled", setting.section) } else { setting.key.to_owned() };
        let is_free = NO_RESTRICTIONS.contains(&name.as_str()) || LIFTED.contains(&name.as_str());
        assert_eq!(
            setting.closed.is_none() || LIFTED.contains(&name.as_str()),
            is_free,
            "{name}: say what a wrong value of it does"
        );
        for value in ["!", "-1", "1 ; one", "0 # zero", "99999999999999999999", "10.0.0.0/99", "jes no"] {
            if setting.set(&mut ServerSettings::default(), value) {
                continue;
            }
            let text = format!("[{}]\n{}={value}\n", setting.section, setting.key);
            for (settings, wrong) in
                [ServerSettings::read(&ini(&text)), ServerSettings::read_again(&ini(&text), &defaults)]
            {
                assert!(wrong.iter().any(|one| one.key == setting.key && one.matters()), "{name}={value}");
                match setting.closed.filter(|_| !is_free) {
                    Some(closed) => {
                        assert!(setting.value(&settings) == closed && !setting.is_default(&settings), "{name}={value}");
                    }
                    None if !LIFTED.contains(&name.as_str()) => {
                        assert!(setting.is_default(&settings), "{name}={value}")
                    }
                    None => {}
                }
            }
        }
    }
    let (_, wrong) = ServerSettings::read(&ini("[Console]\nUserName=anna ; our administrator\n"));
    assert!(wrong[0].error.cause(Lang::English).contains("a line of its own"), "{wrong:?}");
}

#[test]
fn a_running_server_keeps_its_former_value_in_place_of_a_wrong_one() {
    let former = read("[Common]\nServerPort=1\n[Console]\nAllowedAddresses=10.0.0.0/8\n");
    let (settings, wrong) =
        ServerSettings::read_again(&ini("[Console]\nAllowedAddresses=x\nAuthorization=1\n"), &former);
    assert_eq!((wrong.len(), settings.allowed.len(), settings.authorization), (1, 1, Authorization::Always));
}

#[test]
fn what_needs_a_restart_is_told_and_left_as_it_is() {
    let file = read("[Common]\nServerPort=1\n");
    let mut live = ServerSettings { port: 5, ..file.clone() };
    let new = read("[Common]\nServerPort=2\nLang=en\n");
    let fixed = live.change_to(new.clone(), &file);
    assert_eq!(fixed.iter().map(|setting| setting.key).collect::<Vec<_>>(), ["ServerPort"]);
    assert_eq!((live.port, live.lang), (5, Lang::English));
    // Told once: the file has not changed it again.
    assert!(live.change_to(new.clone(), &new).is_empty());
}

#[test]
fn accounts_have_a_role_and_a_password() {
    let (settings, wrong) = ServerSettings::read(&ini(
        "[Users]\nАнна=operator $argon2id$x=1,2\nbob = Viewer  a b\neve=root x\nmallory=viewer\n",
    ));
    assert_eq!(settings.users.len(), 2);
    assert_eq!(
        (settings.users["Анна"].role, settings.users["Анна"].password.as_str()),
        (Role::Operator, "$argon2id$x=1,2")
    );
    assert_eq!((settings.users["bob"].role, settings.users["bob"].password.as_str()), (Role::Viewer, "a b"));
    assert_eq!(wrong.len(), 2);
    assert_eq!(wrong[0].error.args[1], "4");
    assert!(!format!("{settings:?} {wrong:?}").contains("a b") && !format!("{settings:?}").contains("argon2"));
}

#[test]
fn access_codes_are_in_force_when_they_are_switched_on() {
    let section = "[AccessCodes]\nТайна=7121172, 7121173\nother=7121172\n";
    let on = read(&format!("[Console]\nEnableAccessCodes=1\n{section}")).access_codes;
    assert!(on.opens(Some("Тайна"), 7_121_172) && on.opens(Some("other"), 7_121_172));
    assert!(!on.opens(Some("тайна"), 7_121_172) && !on.is_set_aside(1));
    assert_eq!(read(section).access_codes, AccessCodes::default());
    let (settings, wrong) =
        ServerSettings::read(&ini(&format!("[Console]\nEnableAccessCodes=1\n{section}secret=5, 8x\n")));
    assert!(
        settings.access_codes.is_set_aside(5) && settings.access_codes.is_set_aside(8),
        "what can be read of it is still set aside"
    );
    assert!(wrong[0].error.args[1] == "6" && !format!("{wrong:?}").contains("secret"), "{wrong:?}");
}
