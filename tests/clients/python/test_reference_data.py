"""Reference OTLP/JSON, posted with curl as the documentation of the field does, comes back whole."""

import json
import subprocess
from collections import Counter

import pytest

KEEP = ("--retention-traces=none", "--retention-metrics=none", "--retention-logs=none")


def curl(url, line):
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--data-binary", "@-"]
    command += ["--header", "Content-Type: application/json", url]
    done = subprocess.run(command, input=line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.stdout, done.stderr)
    answer = json.loads(done.stdout or "{}")
    assert not answer.get("partialSuccess"), answer


def post(server, shared, signal):
    """Posts a file of one request per line; answers the requests."""
    path = shared / "data" / f"otlp-{signal}.json"
    if not path.is_file():
        pytest.skip(f"no {path}")
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    for line in lines:
        curl(f"{server.otlp}/v1/{signal}", line)
    return [json.loads(line) for line in lines]


def test_traces(start, shared):
    server = start(*KEEP)
    sent = Counter()
    for request in post(server, shared, "traces"):
        for resource in request["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                sent.update(span["traceId"] for span in scope["spans"])
    assert sum(sent.values()) > 100
    received = Counter()
    for trace_id in sent:
        answer = server.get(f"/tempo/api/traces/{trace_id}")
        for batch in answer.get("batches", answer.get("resourceSpans")):
            for scope in batch["scopeSpans"]:
                received[trace_id] += len(scope["spans"])
        (jaeger,) = server.get(f"/jaeger/api/traces/{trace_id}")["data"]
        assert len(jaeger["spans"]) == sent[trace_id]
    assert received == sent


def test_metrics(start, shared):
    server = start(*KEEP)
    expect = 0
    times = set()
    for request in post(server, shared, "metrics"):
        for resource in request["resourceMetrics"]:
            for scope in resource["scopeMetrics"]:
                for metric in scope["metrics"]:
                    expect += samples(metric, times)
    assert expect > 10_000
    # Each point is a sample of its own, and the resource's target_info is one more a request.
    latest = max(times) / 1e9 + 1
    window = int(latest - min(times) / 1e9) + 10
    counted = server.value(
        f'sum(count_over_time({{__name__!="",__name__!="target_info"}}[{window}s]))', time=latest
    )
    assert counted == expect


def samples(metric, times):
    """How many samples Prometheus's translation makes of a metric."""
    total = 0
    for kind in ("gauge", "sum", "histogram", "summary"):
        for point in metric.get(kind, {}).get("dataPoints", []):
            times.add(int(point["timeUnixNano"]))
            if kind == "histogram":
                bounds = len(point.get("explicitBounds", []))
                # Buckets, +Inf, count; a sum unless there is none.
                total += bounds + 2 + ("sum" in point)
            elif kind == "summary":
                total += len(point.get("quantileValues", [])) + 2
            else:
                total += 1
    return total
