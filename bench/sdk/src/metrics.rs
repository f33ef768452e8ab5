//! A counter and a histogram with three labels, alone and with a second thread on the same
//! series.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter as ClientCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram as ClientHistogram;

use trefoil::{Counter, Histogram};

use crate::{Case, Running, stock};

pub(crate) const CASES: &[Case] = &[
    Case { name: "counter · trefoil", start: || alone(ours_counter()) },
    Case { name: "counter · OpenTelemetry SDK", start: || alone(stock_counter()) },
    Case { name: "counter · prometheus-client", start: || alone(client_counter()) },
    Case { name: "counter, 2 threads · trefoil", start: || contended(ours_counter()) },
    Case { name: "counter, 2 threads · OpenTelemetry SDK", start: || contended(stock_counter()) },
    Case { name: "counter, 2 threads · prometheus-client", start: || contended(client_counter()) },
    Case { name: "histogram · trefoil", start: || alone(ours_histogram()) },
    Case { name: "histogram · OpenTelemetry SDK", start: || alone(stock_histogram()) },
    Case { name: "histogram · prometheus-client", start: || alone(client_histogram()) },
    Case { name: "histogram, 2 threads · trefoil", start: || contended(ours_histogram()) },
    Case {
        name: "histogram, 2 threads · OpenTelemetry SDK",
        start: || contended(stock_histogram()),
    },
    Case {
        name: "histogram, 2 threads · prometheus-client",
        start: || contended(client_histogram()),
    },
];

type Operation = Arc<dyn Fn(u32) + Send + Sync>;

fn alone(operation: Operation) -> Running {
    Running::new(move |times| operation(times), || {})
}

/// The operation while another thread does the same.
fn contended(operation: Operation) -> Running {
    struct Stop(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
            self.1.take().map(std::thread::JoinHandle::join);
        }
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let other = {
        let (operation, stopped) = (Arc::clone(&operation), Arc::clone(&stopped));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                operation(256);
            }
        })
    };
    let stop = Stop(stopped, Some(other));
    let operate = move |times| {
        let _ = &stop;
        operation(times);
    };
    Running::new(operate, || {})
}

/// A latency that walks through the buckets.
fn seconds(step: u32) -> f64 {
    f64::from(step % 97) * 0.01
}

trefoil::label_enum! {
    enum Method { Get = "GET", Put = "PUT" }
}
trefoil::label_enum! {
    enum Status { Ok = "200", Failed = "500" }
}
trefoil::label_enum! {
    enum Route { Vm = "/vms/{id}", Job = "/jobs/{id}" }
}
trefoil::labels! {
    struct Request { method: Method, route: Route, status: Status }
}
trefoil::metrics! {
    /// Requests.
    static REQUESTS: Counter<Request> = "bench_requests_total";
    /// Latency.
    static LATENCY: Histogram<Request> = "bench_latency_seconds", unit "s";
}

fn ours_counter() -> Operation {
    Arc::new(|times| {
        for _ in 0..times {
            REQUESTS.add(1, Request { method: Method::Get, route: Route::Vm, status: Status::Ok });
        }
    })
}

fn ours_histogram() -> Operation {
    Arc::new(|times| {
        for step in 0..times {
            LATENCY.record(
                seconds(step),
                Request { method: Method::Get, route: Route::Vm, status: Status::Ok },
            );
        }
    })
}

fn labels() -> [KeyValue; 3] {
    [
        KeyValue::new("method", "GET"),
        KeyValue::new("route", "/vms/{id}"),
        KeyValue::new("status", "200"),
    ]
}

fn stock_counter() -> Operation {
    let provider = stock::metrics();
    let counter = provider.meter("bench").u64_counter("bench_requests_total").build();
    Arc::new(move |times| {
        let _ = &provider;
        for _ in 0..times {
            counter.add(1, &labels());
        }
    })
}

fn stock_histogram() -> Operation {
    let provider = stock::metrics();
    let histogram = provider.meter("bench").f64_histogram("bench_latency_seconds").build();
    Arc::new(move |times| {
        let _ = &provider;
        for step in 0..times {
            histogram.record(seconds(step), &labels());
        }
    })
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabels {
    method: ClientMethod,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum ClientMethod {
    Get,
}

fn client_labels() -> ClientLabels {
    ClientLabels { method: ClientMethod::Get, route: "/vms/{id}", status: 200 }
}

fn client_counter() -> Operation {
    let family = Family::<ClientLabels, ClientCounter>::default();
    Arc::new(move |times| {
        for _ in 0..times {
            family.get_or_create(&client_labels()).inc();
        }
    })
}

fn client_histogram() -> Operation {
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    let family = Family::<ClientLabels, ClientHistogram, _>::new_with_constructor(move || {
        ClientHistogram::new(bounds)
    });
    Arc::new(move |times| {
        for step in 0..times {
            family.get_or_create(&client_labels()).observe(seconds(step));
        }
    })
}
