//! Seeds: small inputs that show the fuzzer what is right. Made here, copied from nowhere.

use std::path::Path;

use trefoil_store::Store;
use trefoil_store::encodings::Column;
use trefoil_store::model::{Attribute, Value};
use trefoil_wire::compression::{Encoding, compress};
use trefoil_wire::otlp::metrics::Number;
use trefoil_wire::otlp::metrics::write::{MetricsWriter, Temporality};
use trefoil_wire::otlp::{logs, schema, trace};
use trefoil_wire::protobuf::Writer;
use trefoil_wire::{grpc, otlp, remote_write};

use crate::store;

/// Writes a target's seeds into the folder that `TREFOIL_FUZZ_SEEDS` names, if it does.
/// Called before the fuzzer reads its corpus.
pub fn write(target: &str) {
    let Some(folder) = std::env::var_os("TREFOIL_FUZZ_SEEDS") else { return };
    for (i, seed) in of(target).iter().enumerate() {
        let file = Path::new(&folder).join(format!("seed-{i:02}"));
        if let Err(error) = std::fs::write(&file, seed) {
            eprintln!("cannot write {}: {error}", file.display());
        }
    }
}

/// The seeds of a target.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "otlp_traces" => vec![traces()],
        "otlp_metrics" => vec![metrics()],
        "otlp_logs" => vec![logs()],
        "otlp_json" => vec![
            tagged(0, json(&schema::TRACE_REQUEST, &traces()).as_bytes()),
            tagged(1, json(&schema::METRICS_REQUEST, &metrics()).as_bytes()),
            tagged(2, json(&schema::LOGS_REQUEST, &logs()).as_bytes()),
        ],
        "json" => texts(&[
            r#"{"a":[1,-0.5e+10,true,false,null,"\u00e9\ud83d\ude00\n\\"],"b":{}}"#,
            " [ ] ",
        ]),
        "compression" => compressed(),
        "exposition" => exposition(),
        "grpc" => frames(),
        "remote_write" => remote_write(),
        "loki_push" => loki_push(),
        "store_wal" => wal(),
        "store_columns" => columns(),
        "store_parts" => (0..3).map(|part| vec![part, 0, 0, 0, 1]).collect(),
        "query_run" => [RUN_PROMQL, PROMQL, RUN_LOGQL, LOGQL, RUN_TRACEQL, TRACEQL]
            .iter()
            .zip([0, 0, 1, 1, 2, 2])
            .flat_map(|(texts, tag)| texts.iter().map(move |text| tagged(tag, text.as_bytes())))
            .collect(),
        "promql" => texts(PROMQL),
        "logql" => texts(LOGQL),
        "traceql" => texts(TRACEQL),
        _ => Vec::new(),
    }
}

fn columns() -> Vec<Vec<u8>> {
    let pair = |key: &'static str, value| Attribute { key: key.into(), value };
    let row = vec![pair("a", Value::Str("b".into())), pair("n", Value::Int(-1))];
    let columns = [
        Column::Numbers(vec![1_780_000_000, 1_780_000_015, 1_780_000_031]),
        Column::Strings(vec![b"one".to_vec(), b"two".to_vec(), b"one".to_vec()]),
        Column::Ids(vec![[0; 16], [7; 16]]),
        Column::Attributes(vec![row, Vec::new()]),
        Column::Packed(vec![1_780_000_000, 1_780_000_015, 1_780_000_031, 0]),
        Column::Lines {
            times_ns: vec![1_780_000_000_123_456_789; 5],
            bodies: vec![b"took 12.5ms for req-00ff00ff00ff00ff at 1780000000.123456".to_vec(); 5],
        },
        Column::Floats { times_ms: vec![0, 15, 31], values: vec![0.5, f64::NAN, 2.25] },
    ];
    let seed = |(kind, column): (u8, &Column)| {
        [&[kind], &(column.rows() as u16).to_le_bytes()[..], &column.encode()].concat()
    };
    (0..).zip(&columns).map(seed).collect()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

fn json(message: &'static trefoil_wire::protobuf::schema::Message, bytes: &[u8]) -> String {
    let mut out = String::new();
    otlp::json::from_protobuf(message, bytes, otlp::json::Style::Otlp, &mut out)
        .expect("seeds are valid");
    out
}

fn traces() -> Vec<u8> {
    let mut w = Writer::new();
    trace::TraceWriter(&mut w).resource_spans(|w| {
        w.resource(|w| w.attribute("service.name", |v| v.str("shop")));
        w.scope_spans(|w| {
            w.scope(|w| w.name("lib"));
            w.span(|w| {
                w.ids(&[1; 16], &[2; 8]);
                w.parent_span_id(&[3; 8]);
                w.trace_state("a=b");
                w.flags(0x301);
                w.name("GET /");
                w.kind(2);
                w.times(1, 2);
                w.attribute("list", |v| {
                    v.array(|a| {
                        a.item(|v| v.int(-1));
                        a.item(|v| v.map(|m| m.pair("k", |v| v.double(0.5))));
                        a.item(|v| v.bytes(&[0, 255]));
                        a.item(|v| v.bool(true));
                    });
                });
                w.event(|w| {
                    w.time_unix_nano(1);
                    w.name("exception");
                    w.attribute("e", |v| v.str("é"));
                });
                w.link(|w| w.ids(&[4; 16], &[5; 8]));
                w.status(2, "boom");
                w.dropped_counts(1, 2, 3);
            });
            w.schema_url("s");
        });
    });
    w.into_bytes()
}

fn metrics() -> Vec<u8> {
    let mut w = Writer::new();
    MetricsWriter(&mut w).resource_metrics(|w| {
        w.scope_metrics(|w| {
            w.metric(|w| {
                w.names("g", "help", "By");
                w.gauge(|w| {
                    w.point(|w| {
                        w.times(1, 2);
                        w.value(Number::Int(-1));
                        w.attribute("a", |v| v.str("b"));
                        w.exemplar(|w| {
                            w.ids(&[1; 16], &[2; 8]);
                            w.value(Number::Double(0.5));
                        });
                    });
                });
            });
            w.metric(|w| {
                w.sum(Temporality::Cumulative, true, |w| {
                    w.point(|w| w.value(Number::Double(1.5)));
                });
            });
            w.metric(|w| {
                w.histogram(Temporality::Delta, |w| {
                    w.point(|w| {
                        w.totals(3, Some(1.0));
                        w.buckets(&[1, 2], &[0.5]);
                        w.extremes(Some(0.0), Some(9.0));
                    });
                });
            });
            w.metric(|w| {
                w.exponential_histogram(Temporality::Delta, |w| {
                    w.point(|w| {
                        w.totals(3, None);
                        w.scale(-2, 1, 0.1);
                        w.positive(-1, &[1, 300]);
                        w.negative(2, &[0]);
                    });
                });
            });
            w.metric(|w| {
                w.summary(|w| {
                    w.point(|w| {
                        w.totals(1, 2.0);
                        w.quantile(0.5, 1.0);
                    });
                });
            });
        });
    });
    w.into_bytes()
}

fn logs() -> Vec<u8> {
    let mut w = Writer::new();
    logs::LogsWriter(&mut w).resource_logs(|w| {
        w.scope_logs(|w| {
            w.log_record(|w| {
                w.times(1, 2);
                w.severity(17, "ERROR");
                w.body(|v| v.map(|m| m.pair("message", |v| v.str("hello"))));
                w.attribute("a", |v| v.int(1));
                w.trace_id(&[1; 16]);
                w.span_id(&[2; 8]);
                w.flags(1);
                w.event_name("login");
            });
            w.log_record(|w| w.body(|v| v.str("text")));
        });
    });
    w.into_bytes()
}

fn compressed() -> Vec<Vec<u8>> {
    let all = [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::SnappyBlock];
    let text = b"hello hello hello hello 0123456789".repeat(20);
    all.iter()
        .enumerate()
        .map(|(i, &encoding)| tagged(i as u8, &compress(encoding, &text).expect("fits")))
        .collect()
}

fn exposition() -> Vec<Vec<u8>> {
    texts(&[
        "# TYPE a counter\n# HELP a h\\n\na_total{b=\"c\\\"\",d=\"\"} 1 1.5 # {e=\"f\"} 0.5 1\n# EOF\n",
        "# TYPE h_s histogram\n# UNIT h_s s\nh_s_bucket{le=\"0.5\"} 1\nh_s_bucket{le=\"+Inf\"} 2\n\
         h_s_count 2\nh_s_sum 1\n# EOF\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1\ns_count 2\n\
         # TYPE i info\ni_info{v=\"1\"} 1\n# TYPE t stateset\nt{t=\"a\"} 1\n# EOF\n",
        "# TYPE g gaugehistogram\ng_bucket{le=\"-1.0\"} 1\ng_bucket{le=\"+Inf\"} 2\n\
         g_gcount 2\ng_gsum -1\n# EOF",
        "\t a { b = \"c\" , } +Inf -1 \r\n#c\nx 0x1\n",
    ])
}

fn frames() -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let _ = grpc::push_frame(b"abc", false, &mut bytes);
    let _ = grpc::push_frame(b"", true, &mut bytes);
    vec![bytes, b"10S".to_vec(), b"99999999H".to_vec(), b"a%20b%zz".to_vec()]
}

fn remote_write() -> Vec<Vec<u8>> {
    let mut v1 = Writer::new();
    remote_write::write_series(&mut v1, &[("__name__", "up"), ("a", "b")], &[(1.0, 2)]);
    v1.message(1, |w| {
        w.message(3, |w| {
            w.message(1, |w| w.str(1, "t"));
            w.double(2, 1.0);
        });
        w.message(4, |w| {
            w.varint(1, 3);
            w.sint(4, -1);
            w.message(11, |w| {
                w.sint(1, -2);
                w.varint(2, 2);
            });
            w.packed_varint(12, &[1, 2]);
            w.packed_double(13, &[0.5]);
            w.packed_double(16, &[0.5]);
        });
    });
    v1.message(3, |w| w.str(2, "up"));
    let mut v2 = Writer::new();
    for symbol in ["", "__name__", "up"] {
        v2.str(4, symbol);
    }
    v2.message(5, |w| {
        w.packed_varint(1, &[1, 2]);
        w.message(2, |w| w.double(1, 1.0));
        w.message(5, |w| w.varint(3, 2));
    });
    vec![v1.into_bytes(), v2.into_bytes()]
}

fn loki_push() -> Vec<Vec<u8>> {
    let mut w = Writer::new();
    w.message(1, |w| {
        w.str(1, r#"{app="shop", level=`info`, x="\n\x41\u00e9\101"}"#);
        w.message(2, |w| {
            w.message(1, |w| w.int(1, 1));
            w.str(2, "line");
            w.message(3, |w| {
                w.str(1, "k");
                w.str(2, "v");
            });
        });
    });
    let json =
        r#"{"streams":[{"stream":{"app":"a\"b"},"values":[["1","line",{"k":"v"}],[2,""]]}]}"#;
    vec![w.into_bytes(), json.as_bytes().to_vec()]
}

/// The log's record of a batch with everything.
fn wal() -> Vec<Vec<u8>> {
    let dir = store::Scratch::new().fresh("seed");
    let made = Store::open(&dir, store::settings()).expect("empty");
    made.append(&store::batch()).expect("room");
    let segments = store::files(&dir, "wal");
    segments
        .iter()
        .filter_map(|(_, bytes)| store::first_payload(bytes).map(<[u8]>::to_vec))
        .collect()
}

const PROMQL: &[&str] = &[
    r#"sum by (job, le) (rate(http_requests_total{code=~"5..", job!="x"}[5m] offset -1h @ start()))"#,
    r#"histogram_quantile(0.99, sum(rate(a_bucket[1m])) without (pod)) > bool 0.5"#,
    r#"a * on (x) group_left (y) b unless c or -d ^ 2 % 3 == 1"#,
    r#"topk(5, max_over_time(deriv(a[5m])[1h:30s])) + label_replace(x, "a", "$1", 'b', "(.*)")"#,
    r#"{__name__="x", 'a.b'!~`c`} and 0x1F + 1e-3 + Inf + NaN"#,
    r#"absent(up) # comment"#,
];

const LOGQL: &[&str] = &[
    r#"{app="shop", env=~"p.*"} |= "error" != `x` |~ "a|b" !~ "c""#,
    r#"{a="b"} | json | logfmt x="y.z" | status >= 500 and duration < 1.5s or size > 1KB"#,
    r#"sum by (level) (rate({a="b"} | pattern "<ip> - <_>" | line_format "{{.ip | upper}}" [5m]))"#,
    r#"quantile_over_time(0.99, {a="b"} | regexp "(?P<x>.*)" | unwrap duration(x) [1m] offset 5m) by (y)"#,
    r#"topk(3, count_over_time({a="b"} | label_format a=b,c="{{.d}}" | drop x, y="z" [1h])) / 2 > bool 1"#,
    r#"{a="b"} | ip = ip("10.0.0.0/8") | decolorize | unpack | keep a"#,
    r#"absent_over_time({a="b"}[5m]) or vector(1)"#,
];

const TRACEQL: &[&str] = &[
    r#"{ span.http.status_code >= 500 && resource.service.name = "shop" || .a != nil }"#,
    r#"{ duration > 1s && status = error && kind = server && name =~ "GET.*" } | count() > 2"#,
    r#"{ .a } >> { .b } && { .c } ~ { .d } | select(span.x, .y)"#,
    r#"{ } | rate() by (resource.service.name) with (exemplars=true)"#,
    r#"{ } | quantile_over_time(duration, .99, .9)"#,
    r#"duration > 1s AND operation="vm.export" tags.provider="vsphere""#,
    r#"{ span."a b" = "x\n" } | avg(duration) > 5ms | by(.x)"#,
];

/// Queries that find something in the store of the target `query_run`.
const RUN_PROMQL: &[&str] = &[
    "sum by (job) (rate(up[5s])) / up",
    "histogram_quantile(0.9, h) + on () group_left () max_over_time(up[3s:1s])",
    "topk(2, label_replace(up, \"a\", \"$1\", \"__name__\", \"(.*)\")) offset 1s",
    "histogram_fraction(0, 1, rate(h[5s])) or predict_linear(up[5s], 10) > bool 3",
    "quantile_over_time(0.5, up[5s]) unless absent(up) and vector(time())",
    "sort_desc(count_values(\"v\", round(up, 2))) ^ 2 % 3",
];

const RUN_LOGQL: &[&str] = &[
    r#"{app="shop"} |= "line" | logfmt | n > 3"#,
    r#"sum by (a) (rate({app="shop"} | json [5s]))"#,
    r#"quantile_over_time(0.9, {app="shop"} | unwrap n [5s]) by (d)"#,
    r#"{app="shop"} | pattern "<x> line <_>" | line_format "{{.x | upper}} {{now}}""#,
    r#"topk(2, sum by (n) (count_over_time({app=~".+"}[3s]))) / 2"#,
];

const RUN_TRACEQL: &[&str] = &[
    r#"{ resource.service.name = "shop" && span.n > 2 } | select(span.a, .d)"#,
    r#"{ name = "GET /" } >> { } | count() > 1 | avg(duration) < 1s"#,
    r#"{ } | rate() by (name)"#,
    r#"{ .a = "b" } | quantile_over_time(duration, 0.9, 0.5) by (resource.service.name)"#,
    r#"{ event:name = "e" && link:traceID != nil } ~ { status = unset }"#,
    r#"{ } | histogram_over_time(span.d)"#,
];
