//! `GET /metrics`: figures in the text format of Prometheus, named and measured by its conventions: a prefix, base units,
//! `_total` for what only grows. Identifiers of series and keys are labels; nothing that a client says of itself is one.

use std::fmt::{Display, Write};

use licence::error::Result;
use licence::version::VERSION;

use super::Call;
use super::summary::counted;

/// Media type of the text format.
pub const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";
const PREFIX: &str = "licenceserver";

/// The text as it grows.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {PREFIX}_{name} {help}\n# TYPE {PREFIX}_{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.0, "{PREFIX}_{name}");
        for (at, (label, value)) in labels.iter().enumerate() {
            let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.value(name, &[], value);
    }
}

/// `GET /metrics`.
pub fn metrics(call: &Call) -> Result<String> {
    let core = &call.core;
    let (snapshot, now, counts) = (core.keys.snapshot(), core.timekeeper.now(), counted(core));
    let mut text = Text::default();
    text.family("build_info", "gauge", "Version of the server.");
    text.value("build_info", &[("version", &VERSION)], 1);
    text.single(
        "start_time_seconds",
        "gauge",
        "When the process started, seconds since 1970.",
        seconds(core.started.0),
    );
    text.single(
        "store_failing",
        "gauge",
        "Whether the store takes no writes.",
        u8::from(core.ledger.failing().is_some()),
    );
    text.single(
        "store_rolled_back",
        "gauge",
        "Whether the store went back and nothing new is granted for that.",
        u8::from(core.ledger.rolled_back().is_some()),
    );
    text.single("commits_total", "counter", "Commits of the store since it was made.", core.ledger.sequence());
    text.single(
        "denials_total",
        "counter",
        "Refused seats since the start.",
        core.ledger.read(|book, _| book.denied()),
    );
    text.single(
        "sign_ins_refused_total",
        "counter",
        "Sign-ins with a wrong name or password, or that had to wait after such ones, since the start.",
        core.guard.sign_ins_refused(),
    );
    text.single("warnings", "gauge", "What should be done about keys that still work.", snapshot.warnings(now).len());

    for (name, help, value) in [
        ("licences", "Seats of usable keys.", (|counts| counts.usage.total) as fn(&super::summary::Counts) -> u64),
        ("licences_used", "Seats held.", |counts| counts.usage.used),
        ("connections", "Connections of components.", |counts| counts.connections),
        ("sessions_ending", "Sessions that end, for the pool has become smaller.", |counts| counts.ending),
    ] {
        text.family(name, "gauge", help);
        for (series, counts) in &counts {
            text.value(name, &[("series", &series.key_id), ("series_key", &series.root)], value(counts));
        }
    }
    text.family("sessions", "gauge", "Sessions by what asked for them.");
    for (series, counts) in &counts {
        let kinds = counts.kinds;
        let kinds = [
            ("server", kinds.server),
            ("desktop", kinds.desktop),
            ("terminal", kinds.terminal),
            ("external", kinds.external),
        ];
        for (kind, count) in kinds {
            text.value("sessions", &[("series", &series.key_id), ("series_key", &series.root), ("kind", &kind)], count);
        }
    }
    let keys = || {
        snapshot
            .views()
            .filter(|view| view.is_current())
            .filter_map(|view| Some((view.entry.key.as_ref()?, view.usable)))
    };
    text.family("key_usable", "gauge", "Whether a key can be used.");
    for (key, usable) in keys() {
        let labels: [(&str, &dyn Display); 3] =
            [("series", &key.series.key_id), ("series_key", &key.series.root), ("key_no", &key.licence.key_no)];
        text.value("key_usable", &labels, u8::from(usable.is_ok()));
    }
    text.family("key_expire_time_seconds", "gauge", "When a key ends, seconds since 1970; absent where it has no end.");
    for (key, _) in keys() {
        let labels: [(&str, &dyn Display); 3] =
            [("series", &key.series.key_id), ("series_key", &key.series.root), ("key_no", &key.licence.key_no)];
        if let Some(end) = key.licence.expires() {
            text.value("key_expire_time_seconds", &labels, seconds(end.0));
        }
    }
    Ok(text.0)
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_can_hold_anything() {
        let mut text = Text::default();
        text.family("x", "gauge", "Help.");
        text.value("x", &[("a", &"1\"\\\n"), ("b", &2)], 3);
        assert_eq!(
            text.0,
            "# HELP licenceserver_x Help.\n# TYPE licenceserver_x gauge\nlicenceserver_x{a=\"1\\\"\\\\\\n\",b=\"2\"} 3\n"
        );
    }
}
