use super::metrics::Number;
use super::metrics::write::{MetricsWriter, Temporality};
use super::{AnyValue, Attributes, ExportResponse, export_response, logs, metrics, schema, trace};
use crate::protobuf::{Decode, Error, ErrorKind, NESTING_MAX, Reader, Writer};

const TRACE: [u8; 16] = [0xaa; 16];
const SPAN: [u8; 8] = [0xbb; 8];

/// Text that shows every field of a value, for comparison.
pub(super) fn show_value(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| show_value(&item.unwrap())).collect();
            format!("[{}]", items.join(" "))
        }
        AnyValue::Map(pairs) => format!("{{{}}}", show_attributes(pairs)),
        scalar => format!("{scalar:?}"),
    }
}

pub(super) fn show_attributes(attributes: &Attributes<'_>) -> String {
    let pairs: Vec<_> = attributes
        .iter()
        .map(|pair| pair.unwrap())
        .map(|pair| format!("{}={}", pair.key, show_value(&pair.value)))
        .collect();
    pairs.join(" ")
}

fn one_span(fill: impl FnOnce(&mut trace::SpanWriter<'_>)) -> Vec<u8> {
    let mut w = Writer::new();
    trace::TraceWriter(&mut w).resource_spans(|w| {
        w.resource(|w| w.attribute("service.name", |v| v.str("shop")));
        w.scope_spans(|w| w.span(fill));
    });
    w.into_bytes()
}

fn first_span(bytes: &[u8]) -> Result<trace::Span<'_>, Error> {
    let resource_spans = trace::ExportRequest::new(bytes)?.resource_spans.iter().next().unwrap()?;
    let scope_spans = resource_spans.scope_spans.iter().next().unwrap()?;
    scope_spans.spans.iter().next().unwrap()
}

#[test]
fn every_field_of_a_span_comes_back() {
    let mut w = Writer::new();
    trace::TraceWriter(&mut w).resource_spans(|w| {
        w.resource(|w| {
            w.attribute("service.name", |v| v.str("shop"));
            w.dropped_attributes_count(1);
        });
        w.scope_spans(|w| {
            w.scope(|w| {
                w.name("lib");
                w.version("1.0");
                w.attribute("a", |v| v.bool(true));
                w.dropped_attributes_count(2);
            });
            w.span(|w| {
                w.ids(&TRACE, &SPAN);
                w.parent_span_id(&[1; 8]);
                w.trace_state("k=v");
                w.flags(0x101);
                w.name("GET /");
                w.kind(2);
                w.times(10, 20);
                w.attribute("list", |v| {
                    v.array(|a| {
                        a.item(|v| v.int(-1));
                        a.item(|v| v.map(|m| m.pair("k", |v| v.double(0.5))));
                        a.item(|_| {});
                    });
                });
                w.event(|w| {
                    w.time_unix_nano(15);
                    w.name("exception");
                    w.attribute("e", |v| v.bytes(&[0, 255]));
                    w.dropped_attributes_count(3);
                });
                w.link(|w| {
                    w.ids(&[2; 16], &[3; 8]);
                    w.trace_state("l=1");
                    w.flags(1);
                    w.attribute("x", |v| v.str(""));
                    w.dropped_attributes_count(4);
                });
                w.status(2, "boom");
                w.dropped_counts(5, 6, 7);
            });
            w.schema_url("scope schema");
        });
        w.schema_url("resource schema");
    });
    let bytes = w.into_bytes();
    let request = trace::ExportRequest::new(&bytes).unwrap();
    let resource_spans = request.resource_spans.iter().next().unwrap().unwrap();
    assert_eq!(resource_spans.schema_url, "resource schema");
    let resource = resource_spans.resource.unwrap();
    assert_eq!(show_attributes(&resource.attributes), r#"service.name=Str("shop")"#);
    assert_eq!(resource.dropped_attributes_count, 1);
    let scope_spans = resource_spans.scope_spans.iter().next().unwrap().unwrap();
    assert_eq!(scope_spans.schema_url, "scope schema");
    let scope = scope_spans.scope.unwrap();
    assert_eq!((scope.name, scope.version, scope.dropped_attributes_count), ("lib", "1.0", 2));
    assert_eq!(show_attributes(&scope.attributes), "a=Bool(true)");
    assert_eq!(scope_spans.spans.len(), 1);

    let span = scope_spans.spans.iter().next().unwrap().unwrap();
    assert_eq!((span.trace_id(), span.span_id()), (Ok(TRACE), Ok(SPAN)));
    assert_eq!(span.parent_span_id(), Ok(Some([1; 8])));
    assert_eq!((span.trace_state, span.flags, span.name, span.kind), ("k=v", 0x101, "GET /", 2));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (10, 20));
    assert_eq!(show_attributes(&span.attributes), "list=[Int(-1) {k=Double(0.5)} Empty]");
    assert_eq!(span.status, Some(trace::Status { message: "boom", code: 2 }));
    let dropped =
        (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count);
    assert_eq!(dropped, (5, 6, 7));
    let event = span.events.iter().next().unwrap().unwrap();
    assert_eq!((event.time_unix_nano, event.name), (15, "exception"));
    assert_eq!(show_attributes(&event.attributes), "e=Bytes([0, 255])");
    assert_eq!(event.dropped_attributes_count, 3);
    let link = span.links.iter().next().unwrap().unwrap();
    assert_eq!((link.trace_id(), link.span_id()), (Ok([2; 16]), Ok([3; 8])));
    assert_eq!((link.trace_state, link.flags, link.dropped_attributes_count), ("l=1", 1, 4));
    assert_eq!(show_attributes(&link.attributes), r#"x=Str("")"#);
}

#[test]
fn every_kind_of_metric_comes_back() {
    let mut w = Writer::new();
    MetricsWriter(&mut w).resource_metrics(|w| {
        w.scope_metrics(|w| {
            w.metric(|w| {
                w.names("g", "help", "By");
                w.metadata("m", |v| v.int(1));
                w.gauge(|w| {
                    w.point(|w| {
                        w.times(0, 5);
                        w.value(Number::Int(i64::MIN));
                        w.exemplar(|w| {
                            w.time_unix_nano(4);
                            w.value(Number::Double(0.0));
                            w.ids(&TRACE, &SPAN);
                            w.filtered_attribute("f", |v| v.str("x"));
                        });
                    });
                    w.point(|w| w.flags(metrics::NO_RECORDED_VALUE));
                });
            });
            w.metric(|w| {
                w.sum(Temporality::Delta, true, |w| w.point(|w| w.value(Number::Double(0.0))));
            });
            w.metric(|w| {
                w.histogram(Temporality::Cumulative, |w| {
                    w.point(|w| {
                        w.times(1, 2);
                        w.totals(6, Some(0.0));
                        w.buckets(&[1, 2, 3], &[0.5, 1.0]);
                        w.extremes(Some(0.0), None);
                        w.attribute("k", |v| v.str("v"));
                    });
                });
            });
            w.metric(|w| {
                w.exponential_histogram(Temporality::Delta, |w| {
                    w.point(|w| {
                        w.totals(7, None);
                        w.scale(-3, 1, 1e-9);
                        w.positive(-2, &[300, 0]);
                        w.negative(0, &[]);
                    });
                });
            });
            w.metric(|w| {
                w.summary(|w| {
                    w.point(|w| {
                        w.totals(2, 3.5);
                        w.quantile(0.99, 2.0);
                    });
                });
            });
        });
    });
    let bytes = w.into_bytes();
    let resource = metrics::ExportRequest::new(&bytes).unwrap().resource_metrics.iter().next();
    let scope = resource.unwrap().unwrap().scope_metrics.iter().next().unwrap().unwrap();
    let all: Vec<_> = scope.metrics.iter().map(Result::unwrap).collect();
    assert_eq!(all.len(), 5);

    assert_eq!((all[0].name, all[0].description, all[0].unit), ("g", "help", "By"));
    assert_eq!(show_attributes(&all[0].metadata), "m=Int(1)");
    let metrics::Data::Gauge(points) = all[0].data else { panic!() };
    let points: Vec<_> = points.iter().map(Result::unwrap).collect();
    assert_eq!((points[0].value, points[0].time_unix_nano), (Some(Number::Int(i64::MIN)), 5));
    assert_eq!((points[1].value, points[1].flags), (None, metrics::NO_RECORDED_VALUE));
    let exemplar = points[0].exemplars.iter().next().unwrap().unwrap();
    assert_eq!((exemplar.trace_id(), exemplar.span_id()), (Some(TRACE), Some(SPAN)));
    assert_eq!((exemplar.value, exemplar.time_unix_nano), (Some(Number::Double(0.0)), 4));
    assert_eq!(show_attributes(&exemplar.filtered_attributes), r#"f=Str("x")"#);

    let metrics::Data::Sum(sum) = all[1].data else { panic!() };
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (1, true));
    let point = sum.data_points.iter().next().unwrap().unwrap();
    assert_eq!(point.value, Some(Number::Double(0.0)));

    let metrics::Data::Histogram(histogram) = all[2].data else { panic!() };
    assert_eq!(histogram.aggregation_temporality, 2);
    let point = histogram.data_points.iter().next().unwrap().unwrap();
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
    assert_eq!((point.count, point.sum, point.min, point.max), (6, Some(0.0), Some(0.0), None));
    assert_eq!(point.bucket_counts.iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(point.explicit_bounds.iter().map(Result::unwrap).collect::<Vec<_>>(), [0.5, 1.0]);
    assert_eq!(show_attributes(&point.attributes), r#"k=Str("v")"#);

    let metrics::Data::ExponentialHistogram(histogram) = all[3].data else { panic!() };
    let point = histogram.data_points.iter().next().unwrap().unwrap();
    assert_eq!((point.count, point.sum, point.scale, point.zero_count), (7, None, -3, 1));
    assert_eq!(point.zero_threshold, 1e-9);
    let positive = point.positive.unwrap();
    assert_eq!(positive.offset, -2);
    assert_eq!(positive.bucket_counts.iter().map(Result::unwrap).collect::<Vec<_>>(), [300, 0]);
    assert!(point.negative.unwrap().bucket_counts.is_absent());

    let metrics::Data::Summary(points) = all[4].data else { panic!() };
    let point = points.iter().next().unwrap().unwrap();
    assert_eq!((point.count, point.sum), (2, 3.5));
    let quantile = point.quantile_values.iter().next().unwrap().unwrap();
    assert_eq!(quantile, metrics::ValueAtQuantile { quantile: 0.99, value: 2.0 });
}

#[test]
fn every_field_of_a_log_record_comes_back_and_wrong_ids_count_as_none() {
    let mut w = Writer::new();
    logs::LogsWriter(&mut w).resource_logs(|w| {
        w.scope_logs(|w| {
            w.log_record(|w| {
                w.times(1, 2);
                w.severity(17, "ERR");
                w.body(|v| v.str("hello"));
                w.attribute("a", |v| v.int(1));
                w.dropped_attributes_count(3);
                w.flags(1);
                w.trace_id(&TRACE);
                w.span_id(&SPAN);
                w.event_name("login");
            });
        });
    });
    let mut bytes = w.into_bytes();
    let first = |bytes: &[u8]| {
        let resource = logs::ExportRequest::new(bytes).unwrap().resource_logs.iter().next();
        let scope = resource.unwrap().unwrap().scope_logs.iter().next().unwrap().unwrap();
        let record = scope.log_records.iter().next().unwrap().unwrap();
        assert_eq!((record.time_unix_nano, record.observed_time_unix_nano), (1, 2));
        assert_eq!((record.severity_number, record.severity_text), (17, "ERR"));
        assert_eq!(show_value(&record.body.unwrap()), r#"Str("hello")"#);
        assert_eq!(show_attributes(&record.attributes), "a=Int(1)");
        assert_eq!((record.dropped_attributes_count, record.flags), (3, 1));
        assert_eq!(record.event_name, "login");
        (record.trace_id(), record.span_id())
    };
    assert_eq!(first(&bytes), (Some(TRACE), Some(SPAN)));
    let at = bytes.windows(8).position(|window| window == SPAN).unwrap();
    bytes[at..at + 8].fill(0);
    assert_eq!(first(&bytes), (Some(TRACE), None));
}

#[test]
fn an_error_names_the_field_by_its_path() {
    let mut w = Writer::new();
    let mut traces = trace::TraceWriter(&mut w);
    traces.resource_spans(|_| {});
    traces.resource_spans(|w| {
        w.scope_spans(|_| {});
        w.scope_spans(|w| {
            w.span(|w| w.ids(&TRACE, &SPAN));
            w.span(|w| w.ids(&TRACE, &[0; 8]));
            w.span(|w| w.name("no ids"));
            w.span(|_| {});
        });
    });
    let bytes = w.into_bytes();
    let request = trace::ExportRequest::new(&bytes).unwrap();
    let resource_spans = request.resource_spans.iter().nth(1).unwrap().unwrap();
    let scope_spans = resource_spans.scope_spans.iter().nth(1).unwrap().unwrap();
    let spans: Vec<_> = scope_spans.spans.iter().map(Result::unwrap).collect();
    let check = |error: Error, path: &str| {
        assert!(!error.is_structural());
        let text = error.explain(&schema::TRACE_REQUEST, &bytes);
        let expected =
            format!("resource_spans[1].scope_spans[1].{path} (at byte {})", error.offset);
        assert_eq!(text, expected);
    };
    assert_eq!(spans[0].span_id(), Ok(SPAN));
    let zero = "spans[1].span_id: an id of zeros means none, but one is required";
    check(spans[1].span_id().unwrap_err(), zero);
    check(spans[2].trace_id().unwrap_err(), "spans[2].trace_id: missing, but required");
    check(spans[3].span_id().unwrap_err(), "spans[3].span_id: missing, but required");
}

#[test]
fn a_bad_string_or_id_costs_one_item_and_damage_the_request() {
    let check = |bytes: &[u8], expected: &str, structural: bool| {
        let error = match first_span(bytes) {
            Ok(span) => span
                .trace_id()
                .map(|_| ())
                .and_then(|()| span.attributes.iter().try_for_each(|pair| pair.map(|_| ()))),
            Err(error) => Err(error),
        };
        let error = error.expect_err(expected);
        assert_eq!(error.explain(&schema::TRACE_REQUEST, bytes), expected);
        assert_eq!(error.is_structural(), structural, "{expected}");
    };
    let mut bytes = one_span(|w| {
        w.ids(&TRACE, &SPAN);
        w.attribute("key", |v| v.str("värde"));
    });
    assert!(first_span(&bytes).is_ok());
    let at = bytes.windows(2).position(|window| window == "ä".as_bytes()).unwrap();
    bytes[at] = b'v';
    check(
        &bytes,
        "resource_spans[0].scope_spans[0].spans[0].attributes[0].value.string_value: \
         text that is not UTF-8 (at byte 69)",
        false,
    );
    bytes[at] = 0xc3;
    let id = bytes.windows(16).position(|window| window == TRACE).unwrap();
    // A trace id in another wire type: sixteen bytes no longer belong to it.
    bytes[id - 2] = 0x08;
    let error = first_span(&bytes).unwrap_err();
    assert!(error.is_structural());
    let text = error.explain(&schema::TRACE_REQUEST, &bytes);
    let expected = "resource_spans[0].scope_spans[0].spans[0].trace_id: \
                    a varint, expected a length-delimited field (at byte 32)";
    assert_eq!(text, expected);
}

#[test]
fn an_id_of_the_wrong_length_says_how_long_it_is() {
    let mut w = Writer::new();
    w.message(1, |w| w.message(2, |w| w.message(2, |w| w.bytes(1, &[1; 15]))));
    let error = first_span(w.as_bytes()).unwrap().trace_id().unwrap_err();
    let text = error.explain(&schema::TRACE_REQUEST, w.as_bytes());
    let expected =
        "resource_spans[0].scope_spans[0].spans[0].trace_id: 15 bytes, expected 16 (at byte 6)";
    assert_eq!(text, expected);
}

#[test]
fn nesting_stops_at_the_limit() {
    fn depth(value: &AnyValue<'_>) -> Result<usize, Error> {
        match value {
            AnyValue::Array(items) => match items.iter().next() {
                Some(item) => Ok(1 + depth(&item?)?),
                None => Ok(1),
            },
            _ => Ok(0),
        }
    }
    let nested = |levels: usize| {
        let mut w = Writer::new();
        let mut open = Vec::new();
        for _ in 0..levels {
            open.push(w.open(5));
            open.push(w.open(1));
        }
        while let Some(message) = open.pop() {
            w.close(message);
        }
        w.into_bytes()
    };
    let levels_max = usize::from(NESTING_MAX) / 2;
    let bytes = nested(levels_max);
    assert_eq!(depth(&AnyValue::decode(Reader::new(&bytes)).unwrap()), Ok(levels_max));
    for levels in [levels_max + 1, 100_000] {
        let bytes = nested(levels);
        let error = depth(&AnyValue::decode(Reader::new(&bytes)).unwrap()).unwrap_err();
        assert_eq!((error.kind, error.is_structural()), (ErrorKind::Depth, false));
    }
}

#[test]
fn the_answer_tells_what_was_refused() {
    assert_eq!(export_response(0, ""), []);
    let bytes = export_response(3, "spans[1]: no id");
    let response = ExportResponse::decode(Reader::new(&bytes)).unwrap();
    assert_eq!(response, ExportResponse { rejected: 3, error_message: "spans[1]: no id" });
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let mut bytes = one_span(|w| w.ids(&TRACE, &SPAN));
    let mut w = Writer::new();
    w.str(99, "new");
    w.varint(100, 1);
    w.fixed32(101, 1);
    w.fixed64(102, 1);
    bytes.extend_from_slice(w.as_bytes());
    assert_eq!(first_span(&bytes).unwrap().trace_id(), Ok(TRACE));
}
