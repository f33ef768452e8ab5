"""A Loki logging handler pushes, and what Grafana and logcli ask is answered."""

import contextlib
import gzip
import json
import logging
import time

import logging_loki
import pytest
import requests
from websockets.sync.client import connect

from server import wait_for

SECOND_NS = 1_000_000_000


@pytest.fixture
def pushed(server):
    """A server that has what the handler of python-logging-loki sent."""
    handler = logging_loki.LokiHandler(
        url=f"{server.http}/loki/api/v1/push", tags={"application": "worker"}, version="1"
    )
    logger = logging.getLogger("jobs")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    logger.info("job started", extra={"tags": {"job_id": "17"}})
    logger.error('job "failed" after %d s: grüße', 3)
    logger.removeHandler(handler)
    handler.close()
    return server


def test_what_the_handler_sent_is_found(pushed):
    found = wait_for(lambda: pushed.logql('{application="worker"}'))
    lines = {line: stream["stream"] for stream in found for _, line in stream["values"]}
    assert set(lines) == {"job started", 'job "failed" after 3 s: grüße'}
    started = lines["job started"]
    assert started["severity"] == "info" and started["logger"] == "jobs"
    assert started["job_id"] == "17" and started["service_name"] == "worker"
    assert lines['job "failed" after 3 s: grüße']["detected_level"] == "error"
    assert len(pushed.logql('{application="worker", severity="error"} |= "grüße"')) == 1


def test_grafana_s_questions(pushed):
    """The calls of Grafana's Loki data source, with its parameters and headers."""
    now = time.time_ns()
    span = {"start": now - 3600 * SECOND_NS, "end": now + SECOND_NS}
    health = pushed.get("/loki/api/v1/query", query="vector(1)+vector(1)", time=4_000_000_000)
    assert health["data"]["result"] == [{"metric": {}, "value": [4_000_000_000, "2"]}]
    labels = pushed.get("/loki/api/v1/labels", **span)["data"]
    assert labels == ["application", "job_id", "logger", "service_name", "severity"]
    values = pushed.get("/loki/api/v1/label/severity/values", **span)["data"]
    assert values == ["error", "info"]
    series = pushed.get("/loki/api/v1/series", **{"match[]": '{severity="info"}'}, **span)["data"]
    assert [one["job_id"] for one in series] == ["17"]
    volume = 'sum by (level, detected_level) (count_over_time({application="worker"}[1m]))'
    matrix = pushed.get("/loki/api/v1/query_range", query=volume, step="60000ms", **span)["data"]
    assert matrix["resultType"] == "matrix"
    assert {one["metric"]["detected_level"] for one in matrix["result"]} == {"info", "error"}
    answer = requests.get(
        f"{pushed.http}/loki/api/v1/query_range",
        params={"query": '{application="worker"} | drop severity', "direction": "backward", **span},
        headers={"X-Loki-Response-Encoding-Flags": "categorize-labels", "X-Scope-OrgID": "1"},
        timeout=20,
    ).json()["data"]
    assert answer["encodingFlags"] == ["categorize-labels"]
    for stream in answer["result"]:
        assert "severity" not in stream["stream"] and "detected_level" not in stream["stream"]
        for _, _, categories in stream["values"]:
            assert set(categories) <= {"structuredMetadata", "parsed"}
            assert "detected_level" in categories["structuredMetadata"]
    stats = pushed.get("/loki/api/v1/index/stats", query='{application="worker"}', **span)
    assert stats["entries"] == 2 and stats["streams"] == 2


def test_logcli_s_questions(pushed):
    """Parameters as logcli spells them."""
    now = time.time_ns()
    answer = pushed.get(
        "/loki/api/v1/query_range",
        direction="BACKWARD",
        start=now - 3600 * SECOND_NS,
        end=now + SECOND_NS,
        limit=30,
        query='{application="worker"}',
    )["data"]
    assert answer["resultType"] == "streams"
    assert answer["stats"]["summary"]["totalLinesProcessed"] == 2
    instant = pushed.get(
        "/loki/api/v1/query",
        direction="BACKWARD",
        limit=30,
        query='sum(count_over_time({application="worker"}[1h]))',
        time=now + SECOND_NS,
    )["data"]
    assert [float(one["value"][1]) for one in instant["result"]] == [2]
    fields = pushed.get("/loki/api/v1/detected_fields", query='{application="worker"}')["fields"]
    assert "detected_level" in {field["label"] for field in fields}


def test_pushes_as_curl_sends_them(server):
    """The examples of Loki's page on its HTTP API, plain and gzipped."""
    at = time.time_ns()
    body = {"streams": [{"stream": {"foo": "bar2"}, "values": [
        [str(at), "fizzbuzz"], [str(at + 1), "with metadata", {"user_id": "superUser123"}],
    ]}]}
    url = f"{server.http}/loki/api/v1/push"
    text = json.dumps(body).encode()
    for headers, data in (
        ({"Content-Type": "application/json"}, text),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, gzip.compress(text)),
    ):
        answer = requests.post(url, data=data, headers=headers, timeout=20)
        assert (answer.status_code, answer.text) == (204, "")
    found = server.logql('{foo="bar2"} | user_id="superUser123"')
    assert [line for stream in found for _, line in stream["values"]] == ["with metadata"] * 2
    bad = requests.post(url, data=b"{", headers={"Content-Type": "application/json"}, timeout=20)
    assert bad.status_code == 400 and bad.text


@pytest.fixture
def sockets():
    """Holds sockets open until after the fixtures that are asked for behind it."""
    with contextlib.ExitStack() as stack:
        yield stack


def test_tail_follows_the_log_until_the_server_stops(sockets, server):
    """As `logcli query --tail` does; the server stops while the socket is open."""

    def push(line):
        body = {"streams": [{"stream": {"app": "tailed"}, "values": [[str(time.time_ns()), line]]}]}
        answer = requests.post(f"{server.http}/loki/api/v1/push", json=body, timeout=20)
        assert answer.status_code == 204, answer.text

    push("before")
    url = server.http.replace("http:", "ws:") + "/loki/api/v1/tail?delay_for=0&limit=30&query="
    query = requests.utils.quote('{app="tailed"} |= "e"')
    socket = sockets.enter_context(connect(url + query))
    first = json.loads(socket.recv(timeout=10))
    assert [line for _, line in first["streams"][0]["values"]] == ["before"]
    assert first["streams"][0]["stream"]["app"] == "tailed"
    for line in ("one", "two", "three"):
        push(line)
    came = []
    while len(came) < 2:
        for stream in json.loads(socket.recv(timeout=10))["streams"]:
            came += [line for _, line in stream["values"]]
    assert came == ["one", "three"]
