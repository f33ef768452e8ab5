"""Prometheus's own command-line tool and a client library read from the server."""

import datetime
import json
import os
import subprocess
import time

import pytest
from prometheus_api_client import PrometheusConnect

STEP_SECONDS = 15
STEPS = 40


@pytest.fixture
def url(server):
    """The address for clients, of a server with ten minutes of data."""
    now = int(time.time())
    points = {"requests": [], "errors": []}
    for step in range(STEPS):
        at = now - (STEPS - 1 - step) * STEP_SECONDS
        for route, factor in (("/a", 2), ("/b", 3)):
            points["requests"].append((at, route, factor * step * STEP_SECONDS))
            points["errors"].append((at, route, factor))
    body = {"resourceMetrics": [{"resource": resource(), "scopeMetrics": [{"metrics": metrics(points)}]}]}
    answer = server.post("/v1/metrics", json.dumps(body), "application/json")
    assert answer.status_code == 200, answer.text
    assert answer.json() in ({}, {"partialSuccess": {}}), answer.text
    return server.http


def resource():
    pairs = {"service.name": "front", "service.instance.id": "front-1"}
    return {"attributes": [{"key": k, "value": {"stringValue": v}} for k, v in pairs.items()]}


def metrics(points):
    def data_point(at, route, value):
        label = {"key": "route", "value": {"stringValue": route}}
        return {"timeUnixNano": str(at * 10**9), "asDouble": value, "attributes": [label]}

    requests = [data_point(*point) for point in points["requests"]]
    errors = [data_point(*point) for point in points["errors"]]
    total = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": requests}
    return [
        {"name": "requests", "sum": total},
        {"name": "errors", "gauge": {"dataPoints": errors}},
    ]


def promtool(*arguments):
    tool = os.environ.get("PROMTOOL", "promtool")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout.splitlines()


def test_promtool_instant(url):
    lines = promtool("query", "instant", url, "sum by (route) (rate(requests_total[5m]))")
    values = {line.split(" => ")[0]: float(line.split(" => ")[1].split()[0]) for line in lines}
    assert values == pytest.approx({'{route="/a"}': 2, '{route="/b"}': 3})
    assert promtool("query", "instant", url, "1 + 1")[0].startswith("scalar: 2")


def test_promtool_range(url):
    now = int(time.time())
    lines = promtool(
        "query", "range", f"--start={now - 300}", f"--end={now}", "--step=60s", url, "sum(errors)"
    )
    values = [line.split()[0] for line in lines if "@" in line]
    assert len(values) >= 5 and set(values) == {"5"}


def test_promtool_series(url):
    lines = promtool("query", "series", "--match=requests_total", url)
    assert len(lines) == 2
    assert all('job="front"' in line and 'instance="front-1"' in line for line in lines)


def test_promtool_labels(url):
    assert promtool("query", "labels", url, "route") == ["/a", "/b"]


def test_promtool_tells_a_wrong_query(url):
    tool = os.environ.get("PROMTOOL", "promtool")
    done = subprocess.run([tool, "query", "instant", url, "sum("], capture_output=True, text=True)
    assert done.returncode != 0
    assert "parse error" in done.stderr, done.stderr


@pytest.mark.parametrize("mount", ["", "/prometheus"])
def test_prometheus_api_client(url, mount):
    client = PrometheusConnect(url=url + mount, disable_ssl=True)
    assert client.check_prometheus_connection()
    assert {"requests_total", "errors"} <= set(client.all_metrics())
    assert "route" in client.get_label_names()
    assert client.get_label_values("route") == ["/a", "/b"]
    current = client.get_current_metric_value("errors", {"route": "/b"})
    assert [series["value"][1] for series in current] == ["3"]
    custom = client.custom_query("sum(requests_total)")
    assert float(custom[0]["value"][1]) == 5 * (STEPS - 1) * STEP_SECONDS
    end = datetime.datetime.now()
    start = end - datetime.timedelta(minutes=5)
    ranged = client.custom_query_range("sum(errors)", start, end, "30")
    assert len(ranged) == 1
    assert {value for _, value in ranged[0]["values"]} == {"5"}
    stored = client.get_metric_range_data("errors", {"route": "/a"}, start, end)
    assert {value for _, value in stored[0]["values"]} == {"2"}
