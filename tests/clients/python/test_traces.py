"""Spans from the official SDK come back through Tempo's and Jaeger's APIs as they were sent."""

import base64

import pytest
import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from otlp import ATTRIBUTES, RESOURCE, by_id, received_spans, sent_span, typed

EXPORTERS = {
    "grpc": lambda server: GrpcExporter(endpoint=server.grpc, insecure=True),
    "http": lambda server: HttpExporter(endpoint=f"{server.otlp}/v1/traces"),
    "http-gzip": lambda server: HttpExporter(
        endpoint=f"{server.otlp}/v1/traces", compression=Compression.Gzip
    ),
    "main-port": lambda server: HttpExporter(endpoint=f"{server.http}/v1/traces"),
}


@pytest.fixture(params=EXPORTERS)
def sent(request, server):
    """A trace with everything in it, sent by each exporter; as the SDK saw it."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=RESOURCE, span_limits=SpanLimits(max_events=3))
    provider.add_span_processor(SimpleSpanProcessor(EXPORTERS[request.param](server)))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    emit(provider)
    provider.shutdown()
    spans = [sent_span(span) for span in memory.get_finished_spans()]
    assert len(spans) == 8
    return spans


def emit(provider):
    tracer = provider.get_tracer("shop.checkout", "0.7", attributes={"scope.kind": "test"})
    other = provider.get_tracer("shop.store")
    remote = SpanContext(
        trace_id=0x0AF7651916CD43DD8448EB211C80319C,
        span_id=0xB7AD6B7169203331,
        is_remote=True,
        trace_flags=TraceFlags(1),
        trace_state=TraceState([("vendor", "a-b"), ("other", "1")]),
    )
    linked = SpanContext(0x1234, 0x5678, is_remote=True, trace_state=TraceState([("l", "2")]))
    parent = trace.set_span_in_context(NonRecordingSpan(remote))
    with tracer.start_as_current_span(
        "POST /orders", parent, SpanKind.SERVER, ATTRIBUTES, [Link(linked, {"why": "retry", "n": 1})]
    ) as span:
        span.add_event("accepted", {"items": 3, "sum": 9.5}, timestamp=1_700_000_000_123_456_789)
        span.add_event("no attributes")
        for kind in SpanKind:
            with other.start_as_current_span(f"kind {kind.name}", kind=kind) as inner:
                inner.set_attribute("kind", kind.name)
        with tracer.start_as_current_span("fails") as inner:
            inner.record_exception(ValueError("no such order"))
            inner.set_status(Status(StatusCode.ERROR, "no such order"))
        with tracer.start_as_current_span("many events") as inner:
            for number in range(5):
                inner.add_event(f"event {number}")
            inner.set_status(StatusCode.OK)


def test_tempo_gives_each_span_back_field_by_field(server, sent):
    trace_id = sent[0]["trace_id"]
    body = server.get(f"/tempo/api/traces/{trace_id}", accept="application/protobuf")
    received = received_spans(TracesData.FromString(body).resource_spans)
    for got, want in zip(by_id(received), by_id(sent), strict=True):
        assert got == want


def test_tempo_json_has_the_same_spans(server, sent):
    answer = server.get(f"/tempo/api/traces/{sent[0]['trace_id']}")
    batches = answer.get("batches", answer.get("resourceSpans"))
    names = {}
    for batch in batches:
        for scope in batch["scopeSpans"]:
            for span in scope["spans"]:
                names[identity(span["spanId"], 8)] = (span["name"], int(span["startTimeUnixNano"]))
                assert identity(span["traceId"], 16) == sent[0]["trace_id"]
    assert names == {span["span_id"]: (span["name"], span["start"]) for span in sent}


def identity(text, length):
    """Tempo writes ids in base64, OTLP/JSON in hexadecimal; each has its own length."""
    return text if len(text) == 2 * length else base64.b64decode(text).hex()


def test_tempo_search_finds_the_trace(server, sent):
    for query in (
        '{ resource.service.name = "checkout" }',
        '{ name = "POST /orders" && span.int < 0 }',
        "{ status = error }",
        '{ .text = "grüße, 世界" }',
        "{ kind = server && span.yes = true }",
    ):
        answer = server.get("/tempo/api/search", q=query)
        found = [trace["traceID"].zfill(32) for trace in answer["traces"]]
        assert found == [sent[0]["trace_id"]], query
    assert not server.get("/tempo/api/search", q='{ .text = "other" }')["traces"]


def test_tempo_lists_tags_and_values(server, sent):
    tags = server.get("/tempo/api/search/tags")["tagNames"]
    assert {"service.name", "text", "kind"} <= set(tags)
    values = server.get("/tempo/api/search/tag/service.name/values")["tagValues"]
    assert values == ["checkout"]


def test_jaeger_gives_each_span_back_field_by_field(server, sent):
    answer = server.get(f"/jaeger/api/traces/{sent[0]['trace_id']}")
    (found,) = answer["data"]
    spans = {span["spanID"]: span for span in found["spans"]}
    assert set(spans) == {span["span_id"] for span in sent}
    for expect in sent:
        span = spans[expect["span_id"]]
        assert span["traceID"] == expect["trace_id"]
        assert span["operationName"] == expect["name"]
        assert span["startTime"] == expect["start"] // 1000
        assert abs(span["duration"] - (expect["end"] - expect["start"]) // 1000) <= 1
        process = found["processes"][span["processID"]]
        assert process["serviceName"] == "checkout"
        check_tags(expect["attributes"], span["tags"])
        resource = {k: v for k, v in expect["resource"].items() if k != "service.name"}
        check_tags(resource, process["tags"])
        parents = [r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"]
        # Links lead elsewhere; Jaeger calls those FOLLOWS_FROM.
        assert parents[:1] == ([expect["parent"]] if expect["parent"] else [])
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        kinds = ["internal", "server", "client", "producer", "consumer"]
        assert tags.get("span.kind", "internal") == kinds[expect["kind"] - 1]
        assert tags.get("error", False) == (expect["status"][0] == 2)
        assert tags["otel.scope.name"] == expect["scope"][0]
        times = [log["timestamp"] for log in span["logs"]]
        assert times == [event[0] // 1000 for event in expect["events"]]
        for log, (_, name, attributes) in zip(span["logs"], expect["events"]):
            fields = {field["key"]: field["value"] for field in log["fields"]}
            assert fields["event"] == name
            check_tags(attributes, log["fields"])


def check_tags(expect, tags):
    found = {tag["key"]: tag for tag in tags}
    types = {"str": "string", "bool": "bool", "int": "int64", "float": "float64"}
    for key, (kind, value) in expect.items():
        assert key in found, (key, found)
        if kind != "list":
            assert found[key]["type"] == types[kind], found[key]
            # Jaeger writes whole numbers that JavaScript cannot hold as text.
            exact = kind != "int" or abs(value) < 2**53
            assert found[key]["value"] == (value if exact else str(value)), found[key]


def test_jaeger_finds_the_service_its_operations_and_the_trace(server, sent):
    assert server.get("/jaeger/api/services")["data"] == ["checkout"]
    operations = server.get("/jaeger/api/services/checkout/operations")["data"]
    assert set(operations) == {span["name"] for span in sent}
    for tags in ("{}", '{"error":"true"}', '{"text":"grüße, 世界"}'):
        answer = server.get("/jaeger/api/traces", service="checkout", tags=tags, lookback="1h")
        assert [trace["traceID"] for trace in answer["data"]] == [sent[0]["trace_id"]], tags
    answer = server.get("/jaeger/api/traces", service="checkout", tags='{"text":"no"}')
    assert answer["data"] == []


def test_an_unknown_trace_is_not_found(server):
    for path in ("/tempo/api/traces/", "/jaeger/api/traces/"):
        answer = requests.get(server.http + path + "00000000000000000000000000000abc", timeout=5)
        assert answer.status_code == 404, path


def test_typed_values_differ():
    assert typed(3) != typed(3.0) and typed(True) != typed(1)
