//! Names by which this computer is known, fully qualified too, so that nobody has to list them in `HostNames`.

use std::path::Path;

use super::{files, os};

const LIMIT: u64 = 256 * 1024;

/// Names of this computer: its own, those that its table of hosts gives it, and its own within the domains that it searches.
/// A foreign name that leads here is not among them.
pub fn own_names() -> Vec<String> {
    let read = |path: &str| files::read_text(Path::new(path), LIMIT).unwrap_or_default();
    let (hosts, mut resolver) = match cfg!(windows) {
        true => {
            let system = std::env::var("SystemRoot").unwrap_or_else(|_| "C:\\Windows".into());
            (read(&format!("{system}\\System32\\drivers\\etc\\hosts")), String::new())
        }
        false => (read("/etc/hosts"), read("/etc/resolv.conf")),
    };
    if let Ok(domain) = std::env::var("USERDNSDOMAIN")
        && cfg!(windows)
    {
        resolver = format!("domain {domain}");
    }
    names_of(&os::computer_name(), &hosts, &resolver)
}

/// The same of a computer called `name`, by the texts of its table of hosts and of its resolver's settings.
fn names_of(name: &str, hosts: &str, resolver: &str) -> Vec<String> {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    let name = plain(name);
    let short = name.split('.').next().unwrap_or_default().to_owned();
    let mut names = vec![name.clone(), short.clone()];
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let called: Vec<String> = line.split_whitespace().skip(1).map(plain).collect();
        if called.iter().any(|one| *one == name || *one == short) {
            names.extend(called);
        }
    }
    for line in resolver.lines() {
        let mut words = line.split_whitespace();
        if matches!(words.next(), Some("search" | "domain")) {
            names
                .extend(words.map(plain).filter(|domain| !domain.is_empty()).map(|domain| format!("{short}.{domain}")));
        }
    }
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computer_knows_its_qualified_names_and_no_foreign_ones() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tSRV.corp.example srv # ours\n10.0.0.9 other.corp.example other\n";
        let resolver = "nameserver 10.0.0.1\nsearch branch.example corp.example.\noptions ndots:1\n";
        let names = names_of("srv", hosts, resolver);
        assert_eq!(names, ["srv", "srv.branch.example", "srv.corp.example"]);
        assert_eq!(names_of("srv.corp.example", "", ""), ["srv", "srv.corp.example"]);
        assert_eq!(names_of("SRV", "", "domain a.example"), ["srv", "srv.a.example"]);
        assert!(own_names().contains(&os::computer_name().trim_end_matches('.').to_ascii_lowercase()));
    }
}
