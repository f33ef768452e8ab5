"""Every kind of metric from the official SDK, read through Prometheus's API."""

import math
import time

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpExporter,
)
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MeterProvider,
    ObservableCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider

from otlp import RESOURCE

DELTA = {
    Counter: AggregationTemporality.DELTA,
    ObservableCounter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
}

EXPORTERS = {
    "grpc": lambda server, **more: GrpcExporter(endpoint=server.grpc, insecure=True, **more),
    "http": lambda server, **more: HttpExporter(endpoint=f"{server.otlp}/v1/metrics", **more),
}

# What identifies the sender on every series.
IDENTITY = {"job": "shop/checkout", "instance": "checkout-1"}


@pytest.fixture(params=EXPORTERS)
def meters(request, server):
    """Makes a meter; everything recorded with it is sent by `flush`."""
    providers = []

    def make(views=(), **more):
        exporter = EXPORTERS[request.param](server, **more)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
        providers.append(MeterProvider([reader], RESOURCE, views=views))
        return providers[-1].get_meter("shop.checkout", "0.7"), providers[-1].force_flush

    yield make
    for provider in providers:
        provider.shutdown()


def labels(series):
    """A series' labels without those that only say who sent it."""
    sender = ("otel_scope_", "service_", "deployment_")
    found = {k: v for k, v in series["metric"].items() if not k.startswith(sender)}
    for name, value in IDENTITY.items():
        assert found.pop(name) == value, series
    return found


def test_counters_gauges_and_up_down_counters(server, meters):
    meter, flush = meters()
    orders = meter.create_counter("orders", unit="{order}", description="Orders.")
    orders.add(3, {"kind": "new", "vip": True})
    orders.add(4.5, {"kind": "new", "vip": True})
    orders.add(1, {"kind": "old", "vip": False})
    meter.create_up_down_counter("queue.length").add(-2)
    meter.create_gauge("oven.temperature", unit="Cel").set(212.5, {"oven": "a/b"})
    meter.create_observable_gauge("load", [lambda _: [Observation(0.25, {"cpu": 1})]])
    meter.create_observable_counter("io", [lambda _: [Observation(2**40)]], unit="By")
    meter.create_observable_up_down_counter("open", [lambda _: [Observation(7)]])
    flush()
    assert server.value('orders_total{kind="new"}') == 7.5
    assert server.value('orders_total{kind="old"}') == 1
    assert server.value("queue_length") == -2
    assert server.value("oven_temperature_celsius") == 212.5
    assert server.value("load") == 0.25
    assert server.value("io_bytes_total") == 2**40
    assert server.value("open") == 7
    (series,) = server.promql('orders_total{kind="new"}')
    assert labels(series) == {"__name__": "orders_total", "kind": "new", "vip": "true"}
    (series,) = server.promql("oven_temperature_celsius")
    assert labels(series) == {"__name__": "oven_temperature_celsius", "oven": "a/b"}


def test_metadata_says_what_a_metric_is(server, meters):
    meter, flush = meters()
    meter.create_counter("orders", description="Orders.").add(1)
    meter.create_histogram("latency", unit="s", description="How long.").record(1)
    meter.create_gauge("load").set(1)
    flush()
    metadata = server.get("/api/v1/metadata")["data"]
    assert metadata["orders_total"][0]["type"] == "counter"
    assert metadata["orders_total"][0]["help"] == "Orders."
    assert metadata["latency_seconds"][0]["type"] == "histogram"
    assert metadata["load"][0]["type"] == "gauge"


def test_explicit_histograms_become_buckets(server, meters):
    meter, flush = meters()
    bounds = [0.1, 0.5, 1]
    latency = meter.create_histogram(
        "latency", unit="s", explicit_bucket_boundaries_advisory=bounds
    )
    for seconds in (0.05, 0.1, 0.2, 0.7, 3):
        latency.record(seconds, {"route": "/x"})
    flush()
    buckets = {
        series["metric"]["le"]: float(series["value"][1])
        for series in server.promql("latency_seconds_bucket")
    }
    assert {float(le): n for le, n in buckets.items()} == {0.1: 2, 0.5: 3, 1: 4, math.inf: 5}
    assert server.value("latency_seconds_count") == 5
    assert server.value("latency_seconds_sum") == pytest.approx(4.05)
    quantile = server.value("histogram_quantile(0.5, latency_seconds_bucket)")
    assert quantile == pytest.approx(0.3)


def test_exponential_histograms_become_native_histograms(server, meters):
    aggregation = ExponentialBucketHistogramAggregation(max_size=160, max_scale=3)
    meter, flush = meters(views=[View(instrument_name="size", aggregation=aggregation)])
    size = meter.create_histogram("size", unit="By")
    values = [0, 1, 1.5, 2, 100, 1000]
    for value in values:
        size.record(value)
    flush()
    (series,) = server.promql("size_bytes")
    histogram = series["histogram"][1]
    assert float(histogram["count"]) == len(values)
    assert float(histogram["sum"]) == sum(values)
    total = sum(float(bucket[3]) for bucket in histogram["buckets"])
    assert total == len(values)
    for value in values:
        inside = [b for b in histogram["buckets"] if float(b[1]) <= value <= float(b[2])]
        assert inside, (value, histogram)
    assert server.value("histogram_count(size_bytes)") == len(values)
    median = server.value("histogram_quantile(0.5, size_bytes)")
    assert 1.3 <= median <= 2.01


def test_deltas_are_summed_up(server, meters):
    meter, flush = meters(preferred_temporality=DELTA)
    orders = meter.create_counter("orders")
    latency = meter.create_histogram("latency", explicit_bucket_boundaries_advisory=[1])
    for number in (5, 3, 4):
        orders.add(number)
        latency.record(number / 4)
        flush()
    assert server.value("orders_total") == 12
    assert server.value("latency_count") == 3
    assert server.value("latency_sum") == 3
    assert server.value('latency_bucket{le="1.0"} or latency_bucket{le="1"}') == 2


def test_cumulative_points_make_a_series_over_time(server, meters):
    meter, flush = meters()
    orders = meter.create_counter("orders")
    for _ in range(5):
        orders.add(2)
        flush()
    (series,) = server.promql("orders_total[5m]")
    assert [float(value) for _, value in series["values"]] == [2, 4, 6, 8, 10]
    assert server.value("max_over_time(orders_total[5m])") == 10


def test_exemplars_lead_to_the_trace(server, meters):
    meter, flush = meters()
    tracer = TracerProvider(resource=RESOURCE).get_tracer("shop")
    latency = meter.create_histogram("latency", unit="s")
    with tracer.start_as_current_span("order") as span:
        latency.record(0.7, {"route": "/x"})
    flush()
    now = time.time()
    query = {"query": "latency_seconds_bucket", "start": now - 60, "end": now + 60}
    found = server.get("/api/v1/query_exemplars", **query)["data"]
    exemplars = [exemplar for series in found for exemplar in series["exemplars"]]
    (exemplar,) = exemplars
    assert exemplar["labels"]["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert float(exemplar["value"]) == 0.7


def test_the_resource_is_on_target_info(server, meters):
    meter, flush = meters()
    meter.create_counter("orders").add(1)
    flush()
    (info,) = server.promql("target_info")
    assert info["metric"]["host_cpus"] == "8"
    assert info["metric"]["host_virtual"] == "true"
    assert info["metric"]["job"] == "shop/checkout"
    joined = "orders_total * on (job, instance) group_left (service_version) target_info"
    (series,) = server.promql(joined)
    assert series["metric"]["service_version"] == "1.2.3"
