//! Each cause, brought about, is named (T9).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::{Cause, Diagnosis, Finding, Thresholds};
use crate::builder::Builder;
use crate::config::{Console, OtlpProtocol};
use crate::export::receiver::{Fault, Protocol, Receiver, tls::Certificates};
use crate::init::Telemetry;

/// A service that sends spans alone, so that a cause is found once.
fn service(endpoint: &str) -> Builder {
    Builder::new("svc")
        .variables([("OTEL_METRICS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")])
        .console(Console::Off)
        .runtime_metrics(false)
        .defaults(|defaults| defaults.otlp(endpoint))
}

fn over(protocol: OtlpProtocol, endpoint: &str) -> Builder {
    service(endpoint).protocol(protocol)
}

fn http(endpoint: &str) -> Builder {
    over(OtlpProtocol::HttpProtobuf, endpoint)
}

fn diagnose(builder: Builder) -> Diagnosis {
    builder.build().0.doctor()
}

/// The one finding of this cause.
#[track_caller]
fn the(cause: Cause, diagnosis: &Diagnosis) -> Finding {
    let found: Vec<_> = diagnosis.findings().iter().filter(|f| f.cause == cause).collect();
    let [finding] = found[..] else { panic!("expected one {cause:?} in\n{diagnosis}") };
    finding.clone()
}

/// Diagnoses, and expects one problem alone whose line has these words.
#[track_caller]
fn check(builder: Builder, cause: Cause, words: &[&str]) {
    let diagnosis = diagnose(builder);
    let problems: Vec<_> = diagnosis.findings().iter().filter(|f| f.is_problem()).collect();
    assert_eq!(problems.len(), 1, "{diagnosis}");
    let said = the(cause, &diagnosis).to_string();
    for word in words {
        assert!(said.contains(word), "{word:?} in {said}");
    }
}

#[test]
fn t9_what_arrives_is_seen_at_the_receiver() {
    for (protocol, said) in [
        (Protocol::Http, OtlpProtocol::HttpProtobuf),
        (Protocol::Http, OtlpProtocol::HttpJson),
        (Protocol::Grpc, OtlpProtocol::Grpc),
    ] {
        let receiver = Receiver::start(protocol);
        let builder = Builder::new("svc").variables([("", "")]).console(Console::Off);
        let builder = builder.runtime_metrics(false).otlp(&receiver.url()).protocol(said);
        let (telemetry, _) = builder.build();
        let diagnosis = telemetry.doctor();
        assert!(diagnosis.is_healthy(), "{diagnosis}");
        let arrived = diagnosis.findings().iter().filter(|f| f.cause == Cause::Arrives);
        assert_eq!(arrived.count(), 3, "{diagnosis}");
        assert_eq!(receiver.spans()[0].name, super::message::NAME);
        assert_eq!(receiver.metrics()[0].name, super::message::NAME);
        let record = &receiver.log_records()[0];
        assert_eq!((record.severity_number, record.severity_text.as_str()), (9, "INFO"));
        // What the doctor sends is in no account.
        assert_eq!(telemetry.counts(crate::Signal::Traces).produced, 0);
    }
}

#[test]
fn t9_nobody_listens_or_nobody_answers() {
    let receiver = Receiver::start(Protocol::Http);
    receiver.fault(Fault::Refused);
    let words = ["traces: ", &receiver.url(), "nobody listens", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    check(http(&receiver.url()), Cause::Refused, &words);
    receiver.fault(Fault::BlackHole);
    check(http(&receiver.url()), Cause::NoAnswer, &["takes connections and gives no answer"]);
    let unknown = "http://no-such-host.invalid:4318";
    check(http(unknown), Cause::NameNotResolved, &["no-such-host.invalid is not known"]);
}

#[test]
fn t9_behind_a_proxy_it_is_the_proxy_that_counts() {
    // A receiver that is asked for whole URLs is a proxy.
    let proxy = Receiver::start(Protocol::Http);
    let through = || {
        let variables = [
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "none"),
            ("HTTP_PROXY", &proxy.url()),
        ];
        http("http://no-such-host.invalid:4318").variables(variables)
    };
    let diagnosis = diagnose(through());
    assert!(diagnosis.is_healthy(), "{diagnosis}");
    proxy.fault(Fault::Refused);
    let words = ["no-such-host.invalid", "the proxy 127.0.0.1", "refused", "NO_PROXY"];
    check(through(), Cause::Unreachable, &words);
}

#[test]
fn t9_the_port_speaks_something_else() {
    use OtlpProtocol::{Grpc, HttpProtobuf};
    let grpc = Receiver::start(Protocol::Grpc);
    let words = ["speaks HTTP/2 alone", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"];
    check(over(HttpProtobuf, &grpc.url()), Cause::WrongProtocol, &words);

    let http = Receiver::start(Protocol::Http);
    let words = ["speaks HTTP/1", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"];
    check(over(Grpc, &http.url()), Cause::WrongProtocol, &words);

    let certificates = Certificates::new();
    let secure = certificates.acceptor(false, b"http/1.1");
    let secure = Receiver::start_with(Protocol::Http, Some(secure));
    let plain = secure.url().replace("https://", "http://");
    check(over(HttpProtobuf, &plain), Cause::WrongProtocol, &["speaks TLS", "https://"]);

    let tls = http.url().replace("http://127.0.0.1", "https://localhost");
    let builder = over(HttpProtobuf, &tls).ca(certificates.ca());
    check(builder, Cause::WrongProtocol, &["speaks no TLS", "begin the endpoint with http://"]);
}

#[test]
fn t9_a_certificate_that_nobody_trusts() {
    let certificates = Certificates::new();
    let acceptor = certificates.acceptor(false, b"http/1.1");
    let receiver = Receiver::start_with(Protocol::Http, Some(acceptor));
    let other = Certificates::new();
    let words = ["TLS with localhost failed", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
    check(http(&receiver.url()).ca(other.ca()), Cause::Tls, &words);
    let diagnosis = diagnose(http(&receiver.url()).ca(certificates.ca()));
    assert!(diagnosis.is_healthy(), "{diagnosis}");
}

#[test]
fn t9_the_receiver_says_no() {
    for (status, cause, words) in [
        (401, Cause::Unauthorized, "OTEL_EXPORTER_OTLP_HEADERS"),
        (403, Cause::Unauthorized, "403"),
        (404, Cause::WrongPath, "/v1/traces"),
        (400, Cause::Rejected, "400"),
        (413, Cause::Rejected, "413"),
        (429, Cause::Overloaded, "429"),
        (503, Cause::Overloaded, "503"),
        (500, Cause::Overloaded, "500"),
    ] {
        let receiver = Receiver::start(Protocol::Http);
        receiver.fault(Fault::Status(status, None));
        check(http(&receiver.url()), cause, &[words]);
    }
    for (code, cause) in [
        (16, Cause::Unauthorized),
        (7, Cause::Unauthorized),
        (12, Cause::WrongPath),
        (14, Cause::Overloaded),
        (8, Cause::Overloaded),
        (3, Cause::Rejected),
    ] {
        let receiver = Receiver::start(Protocol::Grpc);
        receiver.fault(Fault::Grpc(code, None));
        check(over(OtlpProtocol::Grpc, &receiver.url()), cause, &[]);
    }
    let receiver = Receiver::start(Protocol::Http);
    receiver.fault(Fault::Redirect("https://elsewhere/".to_owned()));
    check(http(&receiver.url()), Cause::WrongPath, &["elsewhere"]);
    receiver.fault(Fault::Partial(1, "no room".to_owned()));
    check(http(&receiver.url()), Cause::Rejected, &["refuses a correct item"]);
}

#[test]
fn t9_switched_off_and_by_whom() {
    for (variable, value, builder) in [
        ("OTEL_SDK_DISABLED", "true", Builder::new("svc")),
        ("OTEL_ENABLED", "false", Builder::new("svc")),
        ("MY_ENABLED", "0", Builder::new("svc").prefix("MY")),
    ] {
        let builder = builder.console(Console::Off).variables([(variable, value)]);
        check(builder, Cause::Disabled, &["switched off by", variable]);
    }
    let builder = Builder::new("svc").variables([("", "")]).console(Console::Off);
    check(builder.enabled_by_default(false), Cause::Disabled, &["the program's default"]);
}

#[test]
fn t9_settings_that_mean_nothing_and_signals_that_go_nowhere() {
    let receiver = Receiver::start(Protocol::Http);
    let variables = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_BSP_MAX_QUEUE_SIZE", "lots")];
    let builder = http(&receiver.url()).variables(variables);
    let diagnosis = diagnose(builder);
    assert!(the(Cause::BadSetting, &diagnosis).message.contains("OTEL_BSP_MAX_QUEUE_SIZE=lots"));
    assert!(the(Cause::NoExporter, &diagnosis).message.contains("OTEL_TRACES_EXPORTER"));
}

/// Begins and ends spans under the telemetry's dispatch.
fn spans(telemetry: &Telemetry, dispatch: &tracing::Dispatch, count: usize) {
    tracing::dispatcher::with_default(dispatch, || {
        (0..count).for_each(|_| drop(tracing::info_span!("job.export")));
    });
    telemetry.flush(Duration::from_secs(20));
}

#[test]
fn t9_sampled_at_zero() {
    let receiver = Receiver::start(Protocol::Http);
    let none = ("OTEL_METRICS_EXPORTER", "none");
    let variables = [none, ("OTEL_LOGS_EXPORTER", "none"), ("OTEL_TRACES_SAMPLER", "always_off")];
    let builder = http(&receiver.url()).variables(variables);
    let words = ["the share of sampled traces is 0, by OTEL_TRACES_SAMPLER"];
    check(builder, Cause::NotSampled, &words);
    check(http(&receiver.url()).span_level("off"), Cause::NotSampled, &["the level is off"]);

    let (telemetry, dispatch) = http(&receiver.url()).sampling_rate(1e-12).build();
    spans(&telemetry, &dispatch, 3);
    let found = the(Cause::NotSampled, &telemetry.doctor());
    assert!(found.message.contains("all 3 spans so far were sampled out"), "{found}");
}

#[test]
fn t9_nobody_scrapes() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, _) = http(&receiver.url()).prometheus("127.0.0.1:0").build();
    assert!(!telemetry.doctor().has(Cause::NotScraped), "not yet");
    let at_once = Thresholds { scrape: Duration::ZERO, ..Thresholds::default() };
    let found = the(Cause::NotScraped, &telemetry.diagnose(&at_once));
    assert!(found.message.contains("/metrics was never read"), "{found}");
    let address = telemetry.prometheus_address().expect("it is served");
    assert!(found.message.contains(&address.to_string()), "{found}");
    let _ = telemetry.metrics_text("");
    let found = the(Cause::NotScraped, &telemetry.diagnose(&at_once));
    assert!(found.message.contains("was last read 0 s ago"), "{found}");
}

/// Answers every request as OTLP does, at another time.
fn clock_of(date: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 8192];
            // The connection that is made to see whether it can be has no request.
            if stream.read(&mut request).is_ok_and(|bytes| bytes > 0) {
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\n\
                     Connection: close\r\n\r\n"
                );
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    format!("http://{address}")
}

#[test]
fn t9_clocks_that_differ() {
    let past = clock_of("Sun, 06 Nov 1994 08:49:37 GMT");
    check(http(&past), Cause::ClockSkew, &["s behind this one", "NTP"]);
    let future = clock_of("Fri, 06 Nov 2105 08:49:37 GMT");
    check(http(&future), Cause::ClockSkew, &["s ahead of this one"]);
}

#[test]
fn t9_a_full_queue_and_an_exporter_in_trouble() {
    let receiver = Receiver::start(Protocol::Http);
    receiver.fault(Fault::Status(503, None));
    let (telemetry, dispatch) = http(&receiver.url()).batch(1, 4).build();
    tracing::dispatcher::with_default(&dispatch, || {
        (0..200).for_each(|_| drop(tracing::info_span!("job.export")));
    });
    let failing = || telemetry.diagnose(&Thresholds::default());
    crate::export::receiver::wait("the exporter has failed", || failing().has(Cause::Failing));
    let diagnosis = failing();
    let found = the(Cause::Failing, &diagnosis);
    assert!(found.message.contains("503") && found.message.contains("items"), "{found}");
    let found = the(Cause::Lost, &diagnosis);
    assert!(found.message.contains("of 200 items were lost: the queue was full"), "{found}");
    assert!(found.advice.contains("OTEL_BSP_MAX_QUEUE_SIZE"), "{found}");
}

#[test]
fn t9_spans_that_never_close() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = http(&receiver.url()).build();
    let _kept = tracing::dispatcher::with_default(&dispatch, || {
        [tracing::info_span!("leak"), tracing::info_span!("leak"), tracing::info_span!("other")]
    });
    assert!(!telemetry.doctor().has(Cause::OpenSpans), "not yet");
    let at_once = Thresholds { open_span: Duration::ZERO, ..Thresholds::default() };
    let found = the(Cause::OpenSpans, &telemetry.diagnose(&at_once));
    assert!(found.message.starts_with("3 of 3 open spans are older"), "{found}");
    assert!(found.message.ends_with("leak (2), other (1)"), "{found}");
}

#[cfg(feature = "http")]
#[test]
fn t9_a_layer_that_is_missing_or_sees_no_context() {
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, _) = http(&receiver.url()).build();
    assert!(the(Cause::NoHttpLayer, &telemetry.doctor()).advice.contains("http_layer()"));
    let _layer = telemetry.http_layer();
    let vitals = &telemetry.parts.vitals;
    let none = http::HeaderMap::new();
    (0..100).for_each(|_| vitals.request(&none, false));
    let found = the(Cause::NoServerSpan, &telemetry.doctor());
    assert!(found.message.contains("no span was begun in 100 requests"), "{found}");
    vitals.request(&none, true);
    let found = the(Cause::NoCallerContext, &telemetry.doctor());
    assert!(found.message.contains("none of 101 requests"), "{found}");
    let mut called = http::HeaderMap::new();
    called.insert("traceparent", http::HeaderValue::from_static("00-x"));
    vitals.request(&called, true);
    assert!(telemetry.doctor().is_healthy());
}

#[test]
fn t9_jaeger_and_stdout() {
    let receiver = Receiver::start(Protocol::Jaeger);
    let jaeger = service("").jaeger(&format!("{}/api/traces", receiver.url()));
    let diagnosis = diagnose(jaeger);
    assert!(diagnosis.has(Cause::Arrives), "{diagnosis}");
    assert_eq!(receiver.received().len(), 1);
    let diagnosis = diagnose(service("").jaeger_agent("127.0.0.1:6831"));
    assert!(the(Cause::Unverified, &diagnosis).message.contains("acknowledges nothing"));
}
