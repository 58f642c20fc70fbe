//! Figures for monitoring, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::proxies::Fault;
use crate::centre::Centre;

const KINDS: [&str; 8] = ["activated", "moved", "repeated", "demo", "reserved", "updated", "parameters", "refused"];

/// Counters since the start.
#[derive(Default)]
pub struct Metrics {
    requests: [AtomicU64; KINDS.len()],
}

impl Metrics {
    /// Counts a request that ended so.
    pub fn count(&self, what: &str) {
        if let Some(at) = KINDS.iter().position(|kind| *kind == what) {
            self.requests[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The page of a scrape.
    pub fn page(&self, centre: &Centre, fault: Option<Fault>) -> String {
        let mut page = String::from(
            "# HELP licencecenter_requests_total Requests of servers since the start, by outcome.\n\
             # TYPE licencecenter_requests_total counter\n",
        );
        for (kind, count) in KINDS.iter().zip(&self.requests) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(page, "licencecenter_requests_total{{outcome=\"{kind}\"}} {count}");
        }
        page.push_str(
            "# HELP licencecenter_certificate_end_seconds End of the issuing certificate, Unix time.\n\
             # TYPE licencecenter_certificate_end_seconds gauge\n",
        );
        for (series, end) in centre.series() {
            let (key_id, end) = (series.key_id, end.0 / 1000);
            let _ = writeln!(page, "licencecenter_certificate_end_seconds{{series=\"{key_id}\"}} {end}");
        }
        page.push_str(
            "# HELP licencecenter_store_up Whether the store answers.\n# TYPE licencecenter_store_up gauge\n",
        );
        let _ = writeln!(page, "licencecenter_store_up {}", u8::from(centre.check().is_ok()));
        page.push_str(
            "# HELP licencecenter_proxy_fault Whether many clients may count as one address, as a proxy is not named or silent.\n\
             # TYPE licencecenter_proxy_fault gauge\n",
        );
        let _ = writeln!(page, "licencecenter_proxy_fault {}", u8::from(fault.is_some()));
        page
    }
}
