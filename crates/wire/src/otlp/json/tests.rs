use std::path::PathBuf;

use super::*;
use crate::otlp::{AnyValue, logs, metrics, schema, trace};
use crate::protobuf::{Decode, Repeated};

fn to_bytes(message: &'static Message, json: &str) -> Result<Vec<u8>> {
    let mut out = Writer::new();
    to_protobuf(message, json.as_bytes(), &mut out)?;
    Ok(out.into_bytes())
}

fn to_json(message: &'static Message, bytes: &[u8], style: Style) -> String {
    let mut out = String::new();
    from_protobuf(message, bytes, style, &mut out).unwrap();
    out
}

/// JSON → protobuf → JSON.
fn again(message: &'static Message, json: &str) -> String {
    to_json(message, &to_bytes(message, json).unwrap(), Style::Otlp)
}

/// Beside the checkout or where `TREFOIL_SHARED` says; `None`, said aloud, if absent.
fn shared(name: &str) -> Option<String> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("TREFOIL_SHARED").map_or(beside, PathBuf::from);
    let file = folder.join(name);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("SKIPPED: {} is not there: {error}", file.display());
            None
        }
    }
}

/// Without empty lists, which are the same as none, and with numbers in one form.
fn canonical(reader: &mut Reader<'_>) -> Vec<String> {
    let mut out = Vec::new();
    match reader.peek().unwrap() {
        JsonKind::Object => reader.object(|reader, key| {
            let value = canonical(reader);
            if value != ["[]"] {
                out.push(format!("{key}:"));
                out.extend(value);
            }
            Ok(())
        }),
        JsonKind::Array => {
            let items = reader.array(|reader| {
                out.push("-".to_owned());
                out.extend(canonical(reader));
                Ok(())
            });
            if out.is_empty() {
                out.push("[]".to_owned());
            }
            items
        }
        JsonKind::Number => {
            reader.number().map(|number| out.push(number.parse::<f64>().unwrap().to_string()))
        }
        _ => {
            let start = reader.position();
            reader.skip().map(|()| out.push(format!("{:?}", reader.text_since(start))))
        }
    }
    .unwrap();
    out
}

fn assert_same(expected: &str, got: &str) {
    let (expected, got) = (canonical(&mut Reader::new(expected)), canonical(&mut Reader::new(got)));
    for (i, (a, b)) in expected.iter().zip(&got).enumerate() {
        assert_eq!(a, b, "after {:?}", &expected[i.saturating_sub(20)..i]);
    }
    assert_eq!(expected.len(), got.len());
}

fn count<'a, T: Decode<'a>>(items: Repeated<'a, T>) -> usize {
    items.iter().map(|item| drop(item.unwrap())).count()
}

fn span_with(field: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{}},{{{field}}}]}}]}}]}}"#)
}

#[test]
fn the_example_of_the_specification_is_understood() {
    let json = r#"{
      "resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
        "scopeSpans": [{
          "scope": {"name": "my.library", "version": "1.0.0", "attributes": []},
          "spans": [{
            "traceId": "5B8EFFF798038103D269B633813FC60C",
            "spanId": "EEE19B7EC3C1B174",
            "parentSpanId": "EEE19B7EC3C1B173",
            "name": "I'm a server span",
            "startTimeUnixNano": "1544712660000000000",
            "endTimeUnixNano": 1544712661000000000,
            "kind": 2,
            "attributes": [{"key": "my.span.attr", "value": {"intValue": "-7"}}],
            "status": {"code": "STATUS_CODE_ERROR"},
            "somethingNew": [{"a": [null]}]
          }]
        }]
      }]
    }"#;
    let bytes = to_bytes(&schema::TRACE_REQUEST, json).unwrap();
    let request = trace::ExportRequest::new(&bytes).unwrap();
    let resource_spans = request.resource_spans.iter().next().unwrap().unwrap();
    let scope_spans = resource_spans.scope_spans.iter().next().unwrap().unwrap();
    let span = scope_spans.spans.iter().next().unwrap().unwrap();
    assert_eq!(span.trace_id().unwrap()[..4], [0x5b, 0x8e, 0xff, 0xf7]);
    assert_eq!(span.parent_span_id().unwrap().unwrap()[7], 0x73);
    assert_eq!(span.start_time_unix_nano, 1_544_712_660_000_000_000);
    assert_eq!(span.end_time_unix_nano, 1_544_712_661_000_000_000);
    assert_eq!((span.kind, span.status.unwrap().code), (2, 2));
    let attribute = span.attributes.iter().next().unwrap().unwrap();
    assert!(matches!(attribute.value, AnyValue::Int(-7)));
}

#[test]
fn both_styles_of_names_and_numbers_mean_the_same() {
    let camel = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[{"startTimeUnixNano":"18446744073709551615","asInt":"-9223372036854775808","flags":1}],"aggregationTemporality":2,"isMonotonic":true}}]}]}]}"#;
    let snake = r#"{"resource_metrics":[{"scope_metrics":[{"metrics":[{"name":"m","sum":{"data_points":[{"start_time_unix_nano":18446744073709551615,"as_int":-9223372036854775808,"flags":"1"}],"aggregation_temporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","is_monotonic":true}}]}]}]}"#;
    assert_eq!(again(&schema::METRICS_REQUEST, snake), camel);
    assert_eq!(again(&schema::METRICS_REQUEST, camel), camel);
}

#[test]
fn every_kind_of_field_goes_both_ways() {
    let check = |message, json: &str| assert_eq!(again(message, json), json);
    check(
        &schema::METRICS_REQUEST,
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"count":"3","sum":-0.0,"bucketCounts":["1","18446744073709551615"],"explicitBounds":[0.5,"NaN","-Infinity",1e300,5e-324],"exemplars":[{"asDouble":3,"spanId":"0102030405060708","traceId":"0102030405060708090a0b0c0d0e0f10"}],"min":"Infinity"}],"aggregationTemporality":1}}]}]}]}"#,
    );
    check(
        &schema::METRICS_REQUEST,
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[{"scale":-10,"zeroCount":"1","positive":{"offset":-2147483648,"bucketCounts":["0","300"]},"zeroThreshold":0.1}]}},{"summary":{"dataPoints":[{"quantileValues":[{"quantile":0.99,"value":1}]}]}}]}]}]}"#,
    );
    check(
        &schema::LOGS_REQUEST,
        r#"{"resourceLogs":[{"resource":{"entityRefs":[{"type":"service","idKeys":["a","b"]}]},"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","severityNumber":24,"body":{"kvlistValue":{"values":[{"key":"k","value":{"arrayValue":{"values":[{"bytesValue":"AP8="},{},{"boolValue":false},{"doubleValue":1.5}]}}}]}},"flags":4294967295,"eventName":"e\n\"ü"}]}]}]}"#,
    );
}

#[test]
fn empty_packed_lists_and_nulls_are_nothing() {
    let json = r#"{"resourceMetrics":null,"resource_metrics":[{"scopeMetrics":[{"metrics":[{"histogram":{"dataPoints":[{"bucketCounts":[],"sum":null}]}}]}]}]}"#;
    let bytes = to_bytes(&schema::METRICS_REQUEST, json).unwrap();
    let request = metrics::ExportRequest::new(&bytes).unwrap();
    let scope = request.resource_metrics.iter().next().unwrap().unwrap().scope_metrics;
    let metric = scope.iter().next().unwrap().unwrap().metrics.iter().next().unwrap().unwrap();
    let metrics::Data::Histogram(points) = metric.data else { panic!() };
    let point = points.data_points.iter().next().unwrap().unwrap();
    assert_eq!((point.sum, point.bucket_counts.iter().count()), (None, 0));
}

#[test]
fn tempo_style_has_base64_ids_and_names() {
    let json = r#"{"batches":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","kind":2,"startTimeUnixNano":"1","status":{"code":2}}]}]}]}"#;
    let bytes = to_bytes(&schema::TEMPO_TRACE, json).unwrap();
    let expected = r#"{"batches":[{"scopeSpans":[{"spans":[{"traceId":"AQIDBAUGBwgJCgsMDQ4PEA==","spanId":"AQIDBAUGBwg=","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1","status":{"code":"STATUS_CODE_ERROR"}}]}]}]}"#;
    assert_eq!(to_json(&schema::TEMPO_TRACE, &bytes, Style::Tempo), expected);
}

#[test]
fn what_a_field_can_not_hold_is_refused_with_path_line_and_column() {
    let check = |field: &str, expected: &str| {
        let error = to_bytes(&schema::TRACE_REQUEST, &span_with(field)).expect_err(field);
        let expected = format!("resourceSpans[0].scopeSpans[0].spans[1].{expected}");
        assert_eq!(error.to_string(), expected);
    };
    check(r#""traceId":"xyz0""#, "traceId: not hexadecimal (line 1, column 58)");
    check(r#""traceId":"012""#, "traceId: not hexadecimal (line 1, column 58)");
    check(r#""trace_id":"é0""#, "trace_id: not hexadecimal (line 1, column 59)");
    check(r#""traceId":12"#, "traceId: expected a string, got a number (line 1, column 58)");
    check(r#""name":{}"#, "name: expected a string, got an object (line 1, column 55)");
    check(r#""attributes":{}"#, "attributes: expected an array, got an object (line 1, column 61)");
    check(
        r#""kind":"SERVER""#,
        "kind: unknown name \"SERVER\", expected one like \"SPAN_KIND_UNSPECIFIED\" (line 1, column 55)",
    );
    let start = |value: &str| format!(r#""startTimeUnixNano":{value}"#);
    let range =
        "startTimeUnixNano: expected an integer from 0 to 18446744073709551615 (line 1, column 68)";
    check(&start("-1"), range);
    check(&start("18446744073709551616"), range);
    let integer = "startTimeUnixNano: expected an integer (line 1, column 68)";
    for wrong in ["1.5", "\"\"", "\"abc\"", "1e300", "\"0x10\"", "\" 1\""] {
        check(&start(wrong), integer);
    }
    check(
        r#""attributes":[{"key":"a","value":{"bytesValue":"a"}}]"#,
        "attributes[0].value.bytesValue: not base64 (line 1, column 95)",
    );
    check(
        r#""attributes":[{"key":"a","value":{"doubleValue":"inf"}}]"#,
        "attributes[0].value.doubleValue: expected a number, \"NaN\", \"Infinity\" or \"-Infinity\" (line 1, column 96)",
    );
    check(
        r#""attributes":[{"key":"a","value":{"doubleValue":1e999}}]"#,
        "attributes[0].value.doubleValue: a number beyond the range of a double (line 1, column 96)",
    );
    assert!(to_bytes(&schema::TRACE_REQUEST, "{}}").is_err());
    assert!(to_bytes(&schema::TRACE_REQUEST, "[]").is_err());
    for right in ["1e3", "\"1000\"", "1000.0"] {
        assert!(to_bytes(&schema::TRACE_REQUEST, &span_with(&start(right))).is_ok());
    }
}

#[test]
fn an_id_of_the_wrong_length_is_left_to_the_item() {
    let bytes = to_bytes(&schema::TRACE_REQUEST, &span_with(r#""traceId":"0102""#)).unwrap();
    let request = trace::ExportRequest::new(&bytes).unwrap();
    let scope_spans = request.resource_spans.iter().next().unwrap().unwrap().scope_spans;
    let span = scope_spans.iter().next().unwrap().unwrap().spans.iter().nth(1).unwrap().unwrap();
    let error = span.trace_id().unwrap_err();
    let text = error.explain_translated(&schema::TRACE_REQUEST, &bytes);
    assert_eq!(text, "resource_spans[0].scope_spans[0].spans[1].trace_id: 2 bytes, expected 16");
}

#[test]
fn nesting_beyond_the_limit_is_refused() {
    let nested = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        let close = "]}}".repeat(levels);
        format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{open}{close}}}]}}]}}]}}"#
        )
    };
    assert!(to_bytes(&schema::LOGS_REQUEST, &nested(60)).is_ok());
    let error = to_bytes(&schema::LOGS_REQUEST, &nested(50_000)).unwrap_err();
    assert!(error.message.contains("nested deeper than the limit of 200"), "{error}");
}

#[test]
fn real_traces_are_counted_and_come_back() {
    let Some(text) = shared("data/otlp-traces.json") else { return };
    let (mut spans, mut expected) = (0, 0);
    for line in text.lines() {
        let bytes = to_bytes(&schema::TRACE_REQUEST, line).unwrap();
        for resource_spans in trace::ExportRequest::new(&bytes).unwrap().resource_spans {
            for scope_spans in resource_spans.unwrap().scope_spans {
                for span in scope_spans.unwrap().spans {
                    let span = span.unwrap();
                    span.trace_id().unwrap();
                    span.span_id().unwrap();
                    spans += 1;
                }
            }
        }
        expected += line.matches("\"spanId\":").count();
        assert_same(line, &again(&schema::TRACE_REQUEST, line));
    }
    assert_eq!((spans, text.lines().count()), (expected, 23));
    assert!(spans > 100, "{spans}");
}

#[test]
fn real_metrics_are_counted_and_come_back() {
    let Some(text) = shared("data/otlp-metrics.json") else { return };
    let (mut points, mut expected) = (0, 0);
    for line in text.lines() {
        let bytes = to_bytes(&schema::METRICS_REQUEST, line).unwrap();
        for resource_metrics in metrics::ExportRequest::new(&bytes).unwrap().resource_metrics {
            for scope_metrics in resource_metrics.unwrap().scope_metrics {
                for metric in scope_metrics.unwrap().metrics {
                    points += match metric.unwrap().data {
                        metrics::Data::Empty => 0,
                        metrics::Data::Gauge(points) => count(points),
                        metrics::Data::Sum(sum) => count(sum.data_points),
                        metrics::Data::Histogram(h) => count(h.data_points),
                        metrics::Data::ExponentialHistogram(h) => count(h.data_points),
                        metrics::Data::Summary(points) => count(points),
                    };
                }
            }
        }
        // Each point has a time; exemplars have one too, and a span id besides.
        expected += line.matches("\"timeUnixNano\":").count() - line.matches("\"spanId\":").count();
        assert_same(line, &again(&schema::METRICS_REQUEST, line));
    }
    assert_eq!((points, text.lines().count()), (expected, 173));
    assert!(points > 1000, "{points}");
}

#[test]
fn log_bodies_of_every_type_are_read_from_json() {
    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":""}},{"body":{}},{}]}]}]}"#;
    let bytes = to_bytes(&schema::LOGS_REQUEST, json).unwrap();
    let request = logs::ExportRequest::new(&bytes).unwrap();
    let scope_logs = request.resource_logs.iter().next().unwrap().unwrap().scope_logs;
    let records = scope_logs.iter().next().unwrap().unwrap().log_records;
    let bodies: Vec<_> = records.iter().map(|record| record.unwrap().body).collect();
    assert!(matches!(bodies[0], Some(AnyValue::Str(""))));
    assert!(matches!(bodies[1], Some(AnyValue::Empty)));
    assert!(bodies[2].is_none());
}
