//! `trefoil doctor`: finds out why no data arrives, or why it looks wrong.

use std::net::{SocketAddr, TcpListener};

use trefoil_wire::grpc::push_frame;

use crate::args::{self, Exit, Flag, Parsed};
use crate::client::Client;
use crate::console::{out, say};

const USAGE: &str = "doctor [FLAGS]";
const FLAGS: &[Flag] = &[
    Flag {
        name: "url",
        value: "URL",
        default: "http://127.0.0.1:4316",
        about: "the server to examine",
    },
    Flag {
        name: "otlp-grpc",
        value: "ADDR",
        default: "127.0.0.1:4317",
        about: "its OTLP/gRPC port",
    },
    Flag {
        name: "otlp-http",
        value: "ADDR",
        default: "127.0.0.1:4318",
        about: "its OTLP/HTTP port",
    },
];
const MORE: &str = "\nEach finding is ok, warn or fail. Exit codes: 0 no fail, 1 at least one.";

/// Below this a few hundred clients and as many parts on disk do not fit.
const FILES_MIN: u64 = 4096;

/// Runs the verb.
pub(crate) fn run(parser: lexopt::Parser) -> Exit {
    let values = match args::parse(parser, FLAGS, args::environment) {
        Ok(Parsed::Run(values)) => values,
        Ok(Parsed::Help) => {
            out!("{}", args::help(USAGE, FLAGS, MORE));
            return Exit::Success;
        }
        Err(error) => return usage(&error),
    };
    let address = |flag: &str| values.get(flag).unwrap_or_default().to_owned();
    let client = match values.read("url", Client::new) {
        Ok(client) => client,
        Err(error) => return usage(&error),
    };
    let mut findings = Findings::default();
    match client.get("/metrics", &[]) {
        Ok(answer) if answer.status == 200 => {
            let page = String::from_utf8_lossy(&answer.body).into_owned();
            running(&client, &page, &mut findings);
            otlp(&address("otlp-grpc"), &address("otlp-http"), &mut findings);
            received(&page, &mut findings);
        }
        Ok(answer) => {
            let what = format!("{} answers with HTTP {}", client.url(), answer.status);
            findings
                .fail(&what, "something else has that port; stop it or start trefoil with --http");
        }
        Err(error) => {
            findings.fail(
                &format!("no server: {error}"),
                "start one with `trefoil serve`, or name it with --url",
            );
            for flag in ["otlp-grpc", "otlp-http"] {
                port_is_free(flag, &address(flag), &mut findings);
            }
        }
    }
    environment(&address("otlp-grpc"), &address("otlp-http"), &mut findings);
    files(&mut findings);
    if findings.failed { Exit::Failed } else { Exit::Success }
}

fn usage(error: &str) -> Exit {
    say!("trefoil doctor: {error}\nSee `trefoil doctor --help`.");
    Exit::Usage
}

#[derive(Default)]
struct Findings {
    failed: bool,
}

impl Findings {
    fn ok(&mut self, what: &str) {
        out!("ok    {what}");
    }

    fn warn(&mut self, what: &str, remedy: &str) {
        out!("warn  {what}\n      {remedy}");
    }

    fn fail(&mut self, what: &str, remedy: &str) {
        self.failed = true;
        out!("fail  {what}\n      {remedy}");
    }
}

fn running(client: &Client, page: &str, findings: &mut Findings) {
    let version = page
        .lines()
        .find_map(|line| line.strip_prefix("trefoil_build_info{version=\"")?.split('"').next());
    match version {
        Some(version) => findings.ok(&format!("trefoil {version} answers at {}", client.url())),
        None => {
            findings.warn(&format!("{} answers, but is no trefoil", client.url()), "check --url");
        }
    }
    match client.get("/-/ready", &[]) {
        Ok(answer) if answer.status == 200 => findings.ok("it is ready and accepts writes"),
        Ok(answer) => findings.fail(
            String::from_utf8_lossy(&answer.body).trim(),
            "look after the disk, then restart the server",
        ),
        Err(error) => findings.fail(&error, "the server stopped while it was examined"),
    }
    let used = sum(page, "process_resident_memory_bytes");
    let limit = sum(page, "trefoil_memory_limit_bytes");
    if limit > 0.0 && used > limit {
        findings
            .warn("it uses more memory than --memory allows", "please report this with /metrics");
    }
    if sum(page, "trefoil_damaged_blocks") > 0.0 {
        findings.fail("blocks on disk are damaged and set aside", "restore them from a backup");
    }
}

fn otlp(grpc: &str, http: &str, findings: &mut Findings) {
    let mut frame = Vec::new();
    // An empty message always fits a frame.
    let _ = push_frame(&[], false, &mut frame);
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    match Client::new(grpc).and_then(|client| client.call(path, frame)) {
        Ok(answer) if answer.grpc_status.as_deref() == Some("0") => {
            findings.ok(&format!("OTLP/gRPC answers at {grpc}"));
        }
        Ok(_) => findings
            .fail(&format!("{grpc} does not speak OTLP/gRPC"), "give the port with --otlp-grpc"),
        Err(error) => {
            findings.fail(&format!("OTLP/gRPC: {error}"), "give the port with --otlp-grpc");
        }
    }
    let post = |client: Client| client.post("/v1/traces", "application/json", b"{}".to_vec());
    match Client::new(http).and_then(post) {
        Ok(answer) if answer.status == 200 => findings.ok(&format!("OTLP/HTTP answers at {http}")),
        Ok(answer) => findings.fail(
            &format!("{http} answers OTLP/HTTP with status {}", answer.status),
            "give the port with --otlp-http",
        ),
        Err(error) => {
            findings.fail(&format!("OTLP/HTTP: {error}"), "give the port with --otlp-http");
        }
    }
}

fn received(page: &str, findings: &mut Findings) {
    for signal in ["traces", "metrics", "logs"] {
        let label = format!("signal=\"{signal}\"");
        let count = |name: &str| sum_where(page, name, &label);
        let stored = count("trefoil_stored_items_total");
        let kept = count("trefoil_head_items") + count("trefoil_part_items");
        if stored + kept > 0.0 {
            findings.ok(&format!("{signal}: {stored} items stored since the start, {kept} kept"));
        } else {
            findings.warn(
                &format!("{signal}: nothing received"),
                "point an exporter here: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318, and see that the signal's exporter is on",
            );
        }
        for line in page.lines() {
            let refused = line.strip_prefix("trefoil_refused_items_total{");
            if let Some(rest) = refused.filter(|rest| rest.contains(&label)) {
                findings.warn(
                    &format!("{signal}: refused {{{rest}"),
                    "the sender's log has the reason in full (partial success)",
                );
            }
        }
        if count("trefoil_future_items_total") > 0.0 {
            findings.warn(
                &format!("{signal}: items from the future"),
                "set the clocks of the senders, or of this machine",
            );
        }
    }
}

/// The sum of all samples of a metric on a page.
fn sum(page: &str, name: &str) -> f64 {
    sum_where(page, name, "")
}

fn sum_where(page: &str, name: &str, label: &str) -> f64 {
    page.lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
        .filter(|line| line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn port_is_free(flag: &str, address: &str, findings: &mut Findings) {
    let Ok(parsed) = address.parse::<SocketAddr>() else { return };
    match TcpListener::bind(parsed) {
        Ok(_) => findings.ok(&format!("{address} is free for --{flag}")),
        Err(error) => {
            findings.warn(&format!("{address}: {error}"), &format!("choose another with --{flag}"));
        }
    }
}

/// What this shell tells SDKs to do.
fn environment(grpc: &str, http: &str, findings: &mut Findings) {
    let Some(endpoint) = args::environment("OTEL_EXPORTER_OTLP_ENDPOINT") else { return };
    let port = |address: &str| {
        address.rsplit(':').next().map(|port| port.trim_end_matches('/').to_owned())
    };
    let protocol = args::environment("OTEL_EXPORTER_OTLP_PROTOCOL").unwrap_or_default();
    let shown =
        format!("OTEL_EXPORTER_OTLP_ENDPOINT={endpoint} OTEL_EXPORTER_OTLP_PROTOCOL={protocol}");
    if [port(grpc), port(http)].contains(&port(&endpoint)) {
        // Every receiving port takes both protocols.
        findings.ok(&format!("{shown} fits"));
    } else {
        findings.warn(&format!("{shown} points elsewhere"), &format!("use http://{http}"));
    }
}

/// How many files a process started from here may open.
fn files(findings: &mut Findings) {
    let Ok(limits) = std::fs::read_to_string("/proc/self/limits") else { return };
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let limit = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    match limit {
        Some(limit) if limit < FILES_MIN => findings.warn(
            &format!("a process may open only {limit} files here"),
            "raise it: ulimit -n 65536",
        ),
        _ => findings.ok("enough files may be open"),
    }
}
