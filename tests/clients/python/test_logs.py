"""Log records from the official SDK come back through Loki's API."""

import json
import logging
import time

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from otlp import RESOURCE

EXPORTERS = {
    "grpc": lambda server: GrpcExporter(endpoint=server.grpc, insecure=True),
    "http": lambda server: HttpExporter(endpoint=f"{server.otlp}/v1/logs"),
}


@pytest.fixture(params=EXPORTERS)
def provider(request, server):
    provider = LoggerProvider(resource=RESOURCE)
    provider.add_log_record_processor(SimpleLogRecordProcessor(EXPORTERS[request.param](server)))
    yield provider
    provider.shutdown()


def lines(server, query, **parameters):
    """Each line with its time and labels, oldest first."""
    found = []
    for stream in server.logql(query, **parameters):
        for entry in stream["values"]:
            found.append((int(entry[0]), entry[1], stream["stream"]))
    return sorted(found, key=lambda line: line[0])


def test_records_of_the_standard_library_come_back_with_their_trace(server, provider):
    logger = logging.Logger("shop.checkout")
    logger.addHandler(LoggingHandler(logger_provider=provider))
    tracer = TracerProvider(resource=RESOURCE).get_tracer("shop")
    before = time.time_ns()
    with tracer.start_as_current_span("order") as span:
        logger.info("order %s accepted", 17, extra={"order.id": 17, "vip": True, "sum": 9.5})
        try:
            raise ValueError("no such item")
        except ValueError:
            logger.exception("order refused")
    logger.warning("outside of any span")
    after = time.time_ns()
    context = span.get_span_context()
    found = lines(server, '{service_name="checkout"}')
    assert [line for _, line, _ in found] == [
        "order 17 accepted",
        "order refused",
        "outside of any span",
    ]
    assert all(before <= at <= after for at, _, _ in found)
    inside, failed, outside = (labels for _, _, labels in found)
    assert inside["service_name"] == "checkout"
    assert inside["service_namespace"] == "shop"
    assert inside["deployment_environment_name"] == "test"
    assert inside["order_id"] == "17"
    assert inside["vip"] == "true"
    assert inside["sum"] == "9.5"
    assert inside["trace_id"] == f"{context.trace_id:032x}"
    assert inside["span_id"] == f"{context.span_id:016x}"
    assert inside["severity_text"] == "INFO" and inside["severity_number"] == "9"
    assert failed["severity_text"] == "ERROR"
    assert failed["exception_type"] == "ValueError"
    assert failed["exception_message"] == "no such item"
    assert "Traceback" in failed["exception_stacktrace"]
    assert "trace_id" not in outside
    assert outside["severity_number"] == "13"


def test_times_to_the_nanosecond_and_structured_bodies(server, provider):
    logger = provider.get_logger("shop.audit", "2.0")
    at = time.time_ns() - 60_000_000_000
    bodies = ["text", {"user": "ann", "items": [1, 2.5, True, None], "deep": {"x": "y"}}, 42, True]
    for number, body in enumerate(bodies):
        logger.emit(
            timestamp=at + number,
            observed_timestamp=at + 1_000,
            severity_number=SeverityNumber.DEBUG,
            severity_text="fine",
            body=body,
            attributes={"number": number},
        )
    found = lines(server, '{service_name="checkout"}')
    assert [time - at for time, _, _ in found] == [0, 1, 2, 3]
    assert found[0][1] == "text"
    assert json.loads(found[1][1]) == bodies[1]
    assert found[2][1] == "42" and found[3][1] == "true"
    assert all(labels["scope_name"] == "shop.audit" for _, _, labels in found)
    assert all(labels["severity_text"] == "fine" for _, _, labels in found)


def test_queries_filter_and_count(server, provider):
    logger = provider.get_logger("shop")
    for number in range(20):
        severity = SeverityNumber.ERROR if number % 4 == 0 else SeverityNumber.INFO
        logger.emit(
            timestamp=time.time_ns(),
            severity_number=severity,
            severity_text=severity.name,
            body=f'{{"order":{number},"user":"u{number % 3}"}}',
        )
    ask = '{service_name="checkout"}'
    assert len(lines(server, ask)) == 20
    assert len(lines(server, ask + ' |= "u1"')) == 7
    assert len(lines(server, ask + ' | json | order >= 15')) == 5
    assert len(lines(server, ask + ' | severity_text="ERROR"')) == 5
    answer = server.get("/loki/api/v1/query", query=f"sum(count_over_time({ask}[5m]))")
    assert answer["data"]["resultType"] == "vector"
    assert [point["value"][1] for point in answer["data"]["result"]] == ["20"]


def test_loki_lists_labels_values_and_series(server, provider):
    provider.get_logger("shop").emit(timestamp=time.time_ns(), body="one")
    labels = server.get("/loki/api/v1/labels")["data"]
    assert "service_name" in labels and "service_namespace" in labels
    assert server.get("/loki/api/v1/label/service_name/values")["data"] == ["checkout"]
    series = server.get("/loki/api/v1/series", **{"match[]": '{service_name="checkout"}'})["data"]
    assert len(series) == 1 and series[0]["service_name"] == "checkout"
