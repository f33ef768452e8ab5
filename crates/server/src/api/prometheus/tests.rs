use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use trefoil_store::model::{
    BucketSpan, Exemplar, Histogram, Metadata, MetricKind, Resource, Sample, SampleValue, Scope,
};
use trefoil_store::{Batch, Labels, Settings, Store};

use crate::api::{AppState, router};

const NOW_S: i64 = 1_700_000_000;

fn at(seconds_ago: i64, value: SampleValue) -> Sample {
    Sample { time_ms: (NOW_S - seconds_ago) * 1000, start_ms: 0, value }
}

fn state() -> Arc<AppState> {
    let store = Store::in_memory(Settings::default());
    let mut batch = Batch::new();
    let resource = batch.resource(&Resource::default());
    let scope = batch.scope(&Scope::default());
    for (job, base) in [("api", 0.0), ("db", 100.0)] {
        let labels = Labels::from_pairs([("__name__", "http_requests_total"), ("job", job)]);
        let series = batch.series(resource, scope, &labels);
        for i in 0..=20 {
            let value = SampleValue::Float(base + f64::from(i) * 15.0);
            batch.sample(series, &at(300 - i64::from(i) * 15, value));
        }
        let exemplar = Labels::from_pairs([("trace_id", "abc")]);
        let exemplar = Exemplar { time_ms: NOW_S * 1000 - 500, value: 0.25, labels: exemplar };
        batch.exemplar(series, &exemplar);
    }
    let labels = Labels::from_pairs([("__name__", "native"), ("service.name", "a \"b\"")]);
    let series = batch.series(resource, scope, &labels);
    let histogram = Histogram {
        schema: 0,
        zero_threshold: 0.001,
        zero_count: 1.0,
        count: 4.0,
        sum: 5.5,
        positive_spans: vec![BucketSpan { offset: 1, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    };
    batch.sample(series, &at(30, SampleValue::Histogram(Box::new(histogram))));
    let help =
        Metadata { kind: MetricKind::Counter, unit: String::new(), help: "Requests.".to_owned() };
    batch.metadata("http_requests_total", &help);
    store.append(&batch).expect("append");
    AppState::for_tests(store, NOW_S * 1_000_000_000)
}

async fn send(request: Request<Body>) -> (StatusCode, Value) {
    let response = router(&state()).oneshot(request).await.expect("infallible");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("body").to_bytes();
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}

async fn get(path: &str) -> (StatusCode, Value) {
    send(Request::get(path).body(Body::empty()).expect("request")).await
}

async fn data(path: &str) -> Value {
    let (status, mut answer) = get(path).await;
    assert_eq!(
        (status, &answer["status"]),
        (StatusCode::OK, &json!("success")),
        "{path}: {answer}"
    );
    answer["data"].take()
}

#[tokio::test]
async fn instant_queries_answer_in_prometheus_shapes() {
    let vector = data("/api/v1/query?query=http_requests_total%7Bjob%3D%22db%22%7D").await;
    assert_eq!(
        vector,
        json!({"resultType": "vector", "result": [{
            "metric": {"__name__": "http_requests_total", "job": "db"},
            "value": [NOW_S, "400"],
        }]})
    );
    let scalar = data("/prometheus/api/v1/query?query=1/0&time=1435781451.781").await;
    assert_eq!(scalar, json!({"resultType": "scalar", "result": [1_435_781_451.781, "+Inf"]}));
    let text = data("/api/v1/query?query=%22x%22&time=5").await;
    assert_eq!(text, json!({"resultType": "string", "result": [5, "x"]}));
    let histogram = data("/api/v1/query?query=native").await;
    assert_eq!(
        histogram["result"][0]["histogram"],
        json!([NOW_S, {"count": "4", "sum": "5.5", "buckets": [
            [3, "-0.001", "0.001", "1"], [0, "1", "2", "1"], [0, "2", "4", "2"],
        ]}])
    );
    let matrix =
        data("/api/v1/query?query=http_requests_total%7Bjob%3D%22api%22%7D%5B20s%5D").await;
    assert_eq!(
        matrix,
        json!({"resultType": "matrix", "result": [{
            "metric": {"__name__": "http_requests_total", "job": "api"},
            "values": [[NOW_S - 15, "285"], [NOW_S, "300"]],
        }]})
    );
}

#[tokio::test]
async fn range_queries_take_forms_and_all_kinds_of_times() {
    let form = format!(
        "query=sum(increase(http_requests_total[1m]))&start=2023-11-14T22:12:20Z&end={NOW_S}&step=30s"
    );
    let request = Request::post("/api/v1/query_range")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .expect("request");
    let (status, answer) = send(request).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let values = json!([[NOW_S - 60, "120"], [NOW_S - 30, "120"], [NOW_S, "120"]]);
    let expected = json!({"resultType": "matrix", "result": [{"metric": {}, "values": values}]});
    assert_eq!(answer["data"], expected);
}

#[tokio::test]
async fn errors_have_prometheus_kinds_codes_and_words() {
    let range = "/api/v1/query_range?query=up&start=0";
    for (path, status, kind, message) in [
        (
            "/api/v1/query?query=foo%20bar".to_owned(),
            400,
            "bad_data",
            "invalid parameter \"query\": 1:5: parse error: unexpected identifier \"bar\"",
        ),
        (
            "/api/v1/query".to_owned(),
            400,
            "bad_data",
            "invalid parameter \"query\": 1:1: parse error: no expression found in input",
        ),
        ("/api/v1/query?query=1&time=x".to_owned(), 400, "bad_data", "invalid parameter \"time\""),
        (
            "/api/v1/query?query=http_requests_total%2Bon()http_requests_total".to_owned(),
            422,
            "execution",
            "found duplicate series for the match group {} on the right hand-side",
        ),
        (
            format!("{range}&end=100000&step=1"),
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries.",
        ),
        (
            format!("{range}&end=10&step=0"),
            400,
            "bad_data",
            "invalid parameter \"step\": zero or negative query resolution",
        ),
        (
            format!("{range}&end=-10&step=1"),
            400,
            "bad_data",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "/api/v1/query_range?query=up[5m]&start=0&end=1&step=1".to_owned(),
            400,
            "bad_data",
            "invalid expression type \"range vector\" for range query",
        ),
        ("/api/v1/series".to_owned(), 400, "bad_data", "no match[] parameter provided"),
        (
            "/api/v1/series?match[]=1".to_owned(),
            400,
            "bad_data",
            "invalid parameter \"match[]\": 1:1",
        ),
        ("/api/v1/labels?limit=-1".to_owned(), 400, "bad_data", "invalid parameter \"limit\""),
        ("/api/v1/nope".to_owned(), 404, "not_found", "has no /nope"),
    ] {
        let (code, answer) = get(&path).await;
        assert_eq!(code.as_u16(), status, "{path}: {answer}");
        assert_eq!(answer["status"], "error", "{path}");
        assert_eq!(answer["errorType"], kind, "{path}");
        let error = answer["error"].as_str().expect("text");
        assert!(error.contains(message), "{path}: {error}");
    }
}

#[tokio::test]
async fn series_labels_values_and_metadata() {
    let series =
        data("/api/v1/series?match[]=http_requests_total&match[]=%7Bjob%3D%22db%22%7D").await;
    assert_eq!(
        series,
        json!([
            {"__name__": "http_requests_total", "job": "api"},
            {"__name__": "http_requests_total", "job": "db"},
        ])
    );
    assert_eq!(data("/api/v1/labels").await, json!(["__name__", "job", "service.name"]));
    assert_eq!(data("/api/v1/labels?match[]=native").await, json!(["__name__", "service.name"]));
    assert_eq!(data("/api/v1/label/job/values").await, json!(["api", "db"]));
    let values = data("/api/v1/label/__name__/values?match[]=%7Bjob%3D~%22.%2B%22%7D").await;
    assert_eq!(values, json!(["http_requests_total"]));
    assert_eq!(data("/api/v1/label/service.name/values").await, json!(["a \"b\""]));
    assert_eq!(data("/api/v1/label/U__service_2e_name/values").await, json!(["a \"b\""]));
    assert_eq!(data("/api/v1/label/job/values?start=0&end=10").await, json!([]));
    assert_eq!(
        data("/api/v1/metadata").await,
        json!({"http_requests_total": [{"type": "counter", "help": "Requests.", "unit": ""}]})
    );
    let (_, answer) = get("/api/v1/label/job/values?limit=1").await;
    assert_eq!(answer["data"], json!(["api"]));
    assert_eq!(answer["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn exemplars_notes_stats_and_limits() {
    let path = "/api/v1/query_exemplars?query=rate(http_requests_total%7Bjob%3D%22db%22%7D[5m])";
    assert_eq!(
        data(path).await,
        json!([{
            "seriesLabels": {"__name__": "http_requests_total", "job": "db"},
            "exemplars": [{"labels": {"trace_id": "abc"}, "value": "0.25", "timestamp": 1_699_999_999.5}],
        }])
    );
    let (_, answer) = get("/api/v1/query?query=quantile(2,http_requests_total)").await;
    assert_eq!(
        answer["warnings"],
        json!(["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"])
    );
    let (_, answer) = get("/api/v1/query?query=http_requests_total&limit=1&stats=all").await;
    assert_eq!(answer["data"]["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["warnings"], json!(["results truncated due to limit"]));
    assert!(
        answer["data"]["stats"]["samples"]["totalQueryableSamples"].as_u64() > Some(0),
        "{answer}"
    );
    let near = data("/api/v1/query?query=native&lookback_delta=10s").await;
    assert_eq!(near["result"], json!([]));
}

#[tokio::test]
async fn what_grafana_asks_for() {
    assert_eq!(data("/api/v1/status/buildinfo").await["version"], "3.5.0");
    assert_eq!(data("/api/v1/rules").await, json!({"groups": []}));
    assert_eq!(data("/api/v1/alerts").await, json!({"alerts": []}));
    assert_eq!(data("/api/v1/status/runtimeinfo").await["startTime"], "2023-11-14T22:13:20Z");
    let tsdb = data("/api/v1/status/tsdb").await;
    assert_eq!(tsdb["headStats"]["numSeries"], 3);
    assert_eq!(
        tsdb["seriesCountByMetricName"][0],
        json!({"name": "http_requests_total", "value": 2})
    );
    assert_eq!(data("/api/v1/format_query?query=sum(up)by(a)").await, "sum by (a) (up)");
}
