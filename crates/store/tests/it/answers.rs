//! Every question a snapshot answers.

use std::borrow::Cow;

use trefoil_store::model::{
    Exemplar, Histogram, LogRecord, Metadata, MetricKind, STALE_NAN, Sample, SampleValue, Scope,
    Span, SpanKind, StatusCode, Value,
};
use trefoil_store::{
    Batch, Compare, Error, Field, Labels, LineFilter, MatchOp, Matcher, Order, SpanFilter, Tally,
    TimeRange,
};

use crate::make::{
    add_log, add_record, add_sample, add_span, attribute, float, read_logs, read_series,
    read_spans, service, span, text,
};
use crate::states::in_every_state;

#[test]
fn samples_come_back_sorted_with_the_later_append_winning() {
    in_every_state(|store| {
        let mut batch = Batch::new();
        let up = [("__name__", "up"), ("job", "a")];
        for (t, v) in [(30, 3.0), (-10, 1.0), (30, 4.0), (20, f64::NEG_INFINITY)] {
            add_sample(&mut batch, &up, &float(t, v));
        }
        store.append(&batch).unwrap();
        let before = store.snapshot();
        let mut batch = Batch::new();
        add_sample(&mut batch, &up, &float(20, -0.0));
        add_sample(&mut batch, &up, &float(40, STALE_NAN));
        store.append(&batch).unwrap();

        let read = |snapshot: &_, range| read_series(snapshot, &[], range).remove(0).1;
        let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let all = read(&store.snapshot(), TimeRange::ALL);
        assert_eq!(all.float_times_ms, [-10, 20, 30, 40]);
        assert_eq!(bits(&all.floats), bits(&[1.0, -0.0, 4.0, STALE_NAN]));
        let old = read(&before, TimeRange::ALL);
        assert_eq!(old.float_times_ms, [-10, 20, 30], "a snapshot does not change");
        assert_eq!(old.floats[1], f64::NEG_INFINITY);
        assert_eq!(read(&store.snapshot(), TimeRange::from_ms(-10, 20)).float_times_ms, [-10, 20]);
        let between = read_series(&store.snapshot(), &[], TimeRange::from_ms(-9, 19));
        assert!(between.iter().all(|(_, samples)| samples.floats.is_empty()));
    });
}

#[test]
fn series_are_found_by_matchers_and_sorted() {
    in_every_state(|store| {
        let mut batch = Batch::new();
        for (name, job) in [("up", "b"), ("up", "a"), ("down", "a"), ("up", "")] {
            add_sample(&mut batch, &[("__name__", name), ("job", job)], &float(1, 1.0));
        }
        store.append(&batch).unwrap();
        let snapshot = store.snapshot();
        let find = |matchers: &[Matcher]| -> Vec<String> {
            read_series(&snapshot, matchers, TimeRange::ALL).into_iter().map(|(l, _)| l).collect()
        };
        let m = |name, op, value| Matcher::new(name, op, value).unwrap();
        let up = Matcher::equal("__name__", "up");
        assert_eq!(find(std::slice::from_ref(&up)).len(), 3);
        assert_eq!(
            find(&[up.clone(), m("job", MatchOp::NotEqual, "")]),
            [r#"{__name__="up", job="a"}"#, r#"{__name__="up", job="b"}"#]
        );
        assert_eq!(find(&[up.clone(), Matcher::equal("job", "")]), [r#"{__name__="up"}"#]);
        assert_eq!(
            find(&[m("__name__", MatchOp::Regex, "u.|down"), m("job", MatchOp::Regex, "a|c")])
                .len(),
            2
        );
        assert_eq!(find(&[m("job", MatchOp::NotRegex, "a|b")]), [r#"{__name__="up"}"#]);
        let tally = Tally::unlimited();
        assert_eq!(snapshot.label_names(&[], TimeRange::ALL, &tally).unwrap(), ["__name__", "job"]);
        assert_eq!(
            snapshot.label_values("job", &[up], TimeRange::ALL, &tally).unwrap(),
            ["a", "b"]
        );
    });
}

#[test]
fn histograms_start_times_exemplars_and_metadata_survive() {
    in_every_state(|store| {
        let mut batch = Batch::new();
        let resource = batch.resource(&service("s"));
        let scope = batch.scope(&Scope::default());
        let labels = Labels::from_pairs([("__name__", "latency")]);
        let series = batch.series(resource, scope, &labels);
        let histogram = Histogram {
            schema: 3,
            count: 7.0,
            sum: f64::NAN,
            positive_buckets: vec![1.0, 2.5],
            custom_values: vec![-0.5],
            ..Histogram::default()
        };
        let sample = |time_ms, value| Sample { time_ms, start_ms: 500, value };
        batch.sample(series, &sample(2000, SampleValue::Histogram(Box::new(histogram.clone()))));
        batch.sample(series, &sample(1000, SampleValue::Float(1.0)));
        let exemplar = Exemplar {
            time_ms: 1500,
            value: 0.25,
            labels: Labels::from_pairs([("trace_id", "x")]),
        };
        batch.exemplar(series, &exemplar);
        batch.exemplar(series, &exemplar);
        let known =
            Metadata { kind: MetricKind::Histogram, unit: "s".into(), help: "how long".into() };
        batch.metadata("latency", &known);
        store.append(&batch).unwrap();

        let snapshot = store.snapshot();
        let (_, samples) = read_series(&snapshot, &[], TimeRange::ALL).remove(0);
        assert_eq!(samples.float_times_ms, [1000]);
        assert_eq!(samples.float_starts_ms, [500]);
        assert_eq!(samples.histogram_times_ms, [2000]);
        assert_eq!(samples.histogram_starts_ms, [500]);
        assert_eq!(format!("{:?}", samples.histograms[0]), format!("{histogram:?}"));
        let exemplars = snapshot.exemplars(&[], TimeRange::ALL, &Tally::unlimited()).unwrap();
        assert_eq!(exemplars.len(), 1);
        assert_eq!(exemplars[0].1, [exemplar]);
        assert_eq!(snapshot.metadata(), [("latency".to_owned(), known)]);
    });
}

#[test]
fn logs_come_in_either_order_over_all_streams() {
    in_every_state(|store| {
        for (base, level) in [(0u64, "info"), (1, "error"), (2, "info")] {
            let mut batch = Batch::new();
            for i in 0..5 {
                let t = 100 + i * 10 + base;
                add_log(
                    &mut batch,
                    &[("level", level), ("n", &base.to_string())],
                    t,
                    &format!("line {t} {level}"),
                );
            }
            store.append(&batch).unwrap();
        }
        let snapshot = store.snapshot();
        let times = |streams: &[Matcher], lines: &[LineFilter], range, order, limit| -> Vec<u64> {
            read_logs(&snapshot, streams, lines, range, order, limit)
                .iter()
                .map(|l| l.record.time_ns)
                .collect()
        };
        let forward = times(&[], &[], TimeRange::ALL, Order::Forward, 100);
        assert_eq!(forward.len(), 15);
        assert!(forward.is_sorted());
        assert_eq!(times(&[], &[], TimeRange::ALL, Order::Backward, 3), [142, 141, 140]);
        let range = TimeRange { start_ns: 110, end_ns: 121 };
        assert_eq!(times(&[], &[], range, Order::Forward, 9), [110, 111, 112, 120, 121]);
        let error = [Matcher::equal("level", "error")];
        assert_eq!(times(&error, &[], range, Order::Forward, 9), [111, 121]);
        let lines = [LineFilter::Contains("line 1".into()), LineFilter::NotContains("info".into())];
        assert_eq!(times(&[], &lines, TimeRange::ALL, Order::Backward, 2), [141, 131]);
        let streams = snapshot.streams(&error, TimeRange::ALL, &Tally::unlimited()).unwrap();
        assert_eq!(streams, [Labels::from_pairs([("level", "error"), ("n", "1")])]);
    });
}

#[test]
fn log_records_keep_every_field() {
    in_every_state(|store| {
        let record = LogRecord {
            time_ns: 5,
            observed_ns: 3,
            severity: 17,
            severity_text: Cow::Borrowed("Error"),
            body: Value::Map(vec![attribute(
                "k",
                Value::Array(vec![Value::Empty, Value::Double(0.5)]),
            )]),
            attributes: vec![attribute("a", Value::Bytes(Cow::Borrowed(&[0, 255])))],
            dropped_attributes: 2,
            flags: 1,
            trace_id: [1; 16],
            span_id: [2; 8],
            event_name: Cow::Borrowed("boom"),
        };
        let mut batch = Batch::new();
        add_record(&mut batch, &[("s", "1")], &record);
        add_log(&mut batch, &[("s", "1")], 4, "other");
        store.append(&batch).unwrap();
        let snapshot = store.snapshot();
        let read = read_logs(&snapshot, &[], &[], TimeRange::ALL, Order::Backward, 9);
        assert_eq!(read[0].record, record);
        let of_trace = snapshot.trace_logs([1; 16], &Tally::unlimited()).unwrap();
        assert_eq!(of_trace.len(), 1);
        assert_eq!(of_trace[0].record, record);
        assert!(snapshot.trace_logs([9; 16], &Tally::unlimited()).unwrap().is_empty());
    });
}

#[test]
fn traces_are_whole_and_spans_received_twice_appear_once() {
    in_every_state(|store| {
        for _ in 0..2 {
            let mut batch = Batch::new();
            add_span(&mut batch, "cart", &span(1, 2, 200, "child"));
            add_span(&mut batch, "cart", &span(1, 1, 100, "root"));
            add_span(&mut batch, "cart", &span(2, 1, 50, "other"));
            store.append(&batch).unwrap();
        }
        let snapshot = store.snapshot();
        let trace = snapshot.trace([1; 16], &Tally::unlimited()).unwrap();
        let names: Vec<_> = trace.iter().map(|s| s.span.name.as_ref()).collect();
        assert_eq!(names, ["root", "child"]);
        assert_eq!(*trace[0].resource, service("cart"));
        assert_eq!(trace[0].scope.name, "lib");
        assert!(snapshot.trace([7; 16], &Tally::unlimited()).unwrap().is_empty());
        let filter = SpanFilter::Field(Field::Name, Compare::Equal(text("other")));
        assert_eq!(read_spans(&snapshot, &filter, TimeRange::ALL, Order::Forward).len(), 2);
        let all = read_spans(&snapshot, &SpanFilter::All, TimeRange::ALL, Order::Backward);
        let starts: Vec<_> = all.iter().map(|s| s.span.start_ns).collect();
        assert_eq!(starts, [200, 200, 100, 100, 50, 50]);
    });
}

#[test]
fn limits_and_cancelling_stop_a_scan() {
    in_every_state(|store| {
        let mut batch = Batch::new();
        for t in 0..5_000 {
            add_log(&mut batch, &[("s", "1")], t, "a line of some length");
        }
        store.append(&batch).unwrap();
        let scan = trefoil_store::LogScan {
            streams: &[],
            range: TimeRange::ALL,
            lines: &[],
            order: Order::Any,
        };
        let mut seen = 0;
        let mut visit = |_: &trefoil_store::model::StoredLog<'_>| {
            seen += 1;
            std::ops::ControlFlow::Continue(())
        };
        let small = Tally::new(1_000);
        let refused = store.snapshot().logs(&scan, &small, &mut visit);
        assert!(matches!(refused, Err(Error::LimitExceeded { .. })), "{refused:?}");
        let cancelled = Tally::unlimited();
        cancelled.cancel();
        assert!(matches!(
            store.snapshot().logs(&scan, &cancelled, &mut visit),
            Err(Error::Cancelled)
        ));
        assert!(seen < 5_000, "{seen}");
    });
}

#[test]
fn a_value_nested_too_deeply_is_refused_whole() {
    in_every_state(|store| {
        let mut value = Value::Int(1);
        for _ in 0..100 {
            value = Value::Array(vec![value]);
        }
        let mut batch = Batch::new();
        add_log(&mut batch, &[("s", "1")], 1, "fine");
        add_record(
            &mut batch,
            &[("s", "1")],
            &LogRecord { time_ns: 2, body: value, ..LogRecord::default() },
        );
        assert!(matches!(store.append(&batch), Err(Error::LimitExceeded { .. })));
        assert!(read_logs(&store.snapshot(), &[], &[], TimeRange::ALL, Order::Any, 9).is_empty());
    });
}

/// Spans whose fields differ in every way a filter can tell.
fn varied_spans() -> Vec<(&'static str, Span<'static>)> {
    let services = ["cart", "pay", ""];
    let values = [
        Value::Int(500),
        Value::Double(500.0),
        text("500"),
        Value::Bool(true),
        Value::Array(vec![Value::Int(1), Value::Int(500)]),
        Value::Empty,
    ];
    let mut spans = Vec::new();
    for n in 0..120u64 {
        let mut one =
            span(1, n as u8 + 1, 1_000 + n * 7, ["GET /a", "GET /b", "run"][n as usize % 3]);
        one.end_ns = if n % 11 == 0 { 1 } else { one.start_ns + n * n };
        one.kind = [SpanKind::Server, SpanKind::Client][n as usize % 2];
        one.status = [StatusCode::Unset, StatusCode::Ok, StatusCode::Error][n as usize % 3];
        one.status_message = if n % 4 == 0 { "bad".into() } else { "".into() };
        if n % 5 != 0 {
            one.attributes.push(attribute("code", values[n as usize % 6].clone()));
        }
        if n % 7 == 0 {
            one.attributes.push(attribute("service.name", text("shadow")));
            one.attributes.push(attribute("code", text("second")));
        }
        spans.push((services[n as usize % 3], one));
    }
    spans
}

#[test]
fn s7_filters_find_the_same_spans_in_blocks_as_in_rows() {
    use Compare::{Equal, Exists, Greater, GreaterEqual, Kind, Less, LessEqual, NotEqual, Status};
    let regex = |p: &str| regex::Regex::new(p).unwrap();
    let fields = [
        Field::Name,
        Field::Kind,
        Field::Status,
        Field::StatusMessage,
        Field::Duration,
        Field::Span("code".into()),
        Field::Span("none".into()),
        Field::Resource("service.name".into()),
        Field::Any("service.name".into()),
        Field::Any("code".into()),
    ];
    let compares = [
        Equal(text("GET /a")),
        Equal(text("cart")),
        Equal(text("shadow")),
        Equal(Value::Int(500)),
        NotEqual(Value::Int(500)),
        NotEqual(text("pay")),
        Less(Value::Int(400)),
        LessEqual(Value::Double(500.0)),
        Greater(Value::Int(1_000)),
        GreaterEqual(Value::Int(9_999_999)),
        Compare::Regex(regex("GET .|ca.*")),
        Compare::NotRegex(regex("GET")),
        Kind(SpanKind::Client),
        Status(StatusCode::Error),
        Exists,
    ];
    let spans = varied_spans();
    in_every_state(|store| {
        for half in spans.chunks(60) {
            let mut batch = Batch::new();
            half.iter().for_each(|(service, span)| add_span(&mut batch, service, span));
            store.append(&batch).unwrap();
        }
        let snapshot = store.snapshot();
        let mut found_any = 0;
        let mut check = |filter: SpanFilter| {
            let anchored = filter.anchored();
            let expect = spans.iter().filter(|(s, span)| anchored.matches(span, &service(s)));
            let expect: Vec<u64> = expect.map(|(_, span)| span.start_ns).collect();
            let found = read_spans(&snapshot, &filter, TimeRange::ALL, Order::Forward);
            let found: Vec<u64> = found.iter().map(|s| s.span.start_ns).collect();
            assert_eq!(found, expect, "{filter:?}");
            found_any += usize::from(!found.is_empty());
        };
        let all: Vec<SpanFilter> = fields
            .iter()
            .flat_map(|f| compares.iter().map(|c| SpanFilter::Field(f.clone(), c.clone())))
            .collect();
        for (i, one) in all.iter().enumerate() {
            let other = all[(i * 7 + 3) % all.len()].clone();
            check(one.clone());
            check(SpanFilter::Not(Box::new(one.clone())));
            check(SpanFilter::And(vec![one.clone(), other.clone()]));
            check(SpanFilter::Or(vec![one.clone(), SpanFilter::Not(Box::new(other))]));
        }
        assert!(found_any > 200, "{found_any}");
    });
}
