//! Resident memory by active series. Each size is a process of its own: memory that one
//! measurement has freed would hide in the next.

use std::process::Command;

use trefoil_store::model::{Resource, Sample, SampleValue, Scope};
use trefoil_store::{Batch, Labels, Store};

use crate::{figure, settings};

/// Samples of each series: what is measured is the series, not its samples.
const SAMPLES: i64 = 4;
const START_MS: i64 = 1_780_000_000_000;

pub(crate) fn curve() {
    let program = std::env::current_exe().expect("this program has a name");
    for count in [10_000u64, 100_000, 1_000_000] {
        let output = Command::new(&program).args(["--rss-of", &count.to_string()]).output();
        let output = output.expect("this program runs");
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// What so many active series take in the head, and once they are flushed.
pub(crate) fn of_series(count: u64) {
    let store = Store::in_memory(settings());
    let before = resident();
    for scrape in 0..SAMPLES {
        for first in (0..count).step_by(500) {
            store.append(&scraped(first, count, scrape)).expect("it is stored");
        }
    }
    let say = |case: &str| {
        let bytes = resident().saturating_sub(before) as f64 / count as f64;
        figure(&format!("metrics · {count} series · memory {case}"), bytes, "B/series");
    };
    say("in the head");
}

fn scraped(first: u64, count: u64, scrape: i64) -> Batch {
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    for number in first..count.min(first + 500) {
        let text = |part: u64| format!("{part}");
        let labels = Labels::from_pairs([
            ("__name__", "http_server_request_duration_seconds_bucket"),
            ("instance", &*format!("10.12.{}.{}:8080", number / 65_536, number / 256 % 256)),
            ("job", "shop/checkout"),
            ("http_route", "/api/v1/items/{id}/history"),
            ("http_response_status_code", "200"),
            ("pod", &*format!("checkout-6d4cf56db6-{}", text(number / 256))),
            ("le", &*text(number % 256)),
        ]);
        let series = batch.series(resource, scope, &labels);
        let value = SampleValue::Float(number as f64 + scrape as f64);
        let time_ms = START_MS + scrape * 15_000;
        batch.sample(series, &Sample { time_ms, start_ms: 0, value });
    }
    batch
}

/// Resident bytes of this process; 0 where the kernel does not say.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}
