"""T4: the cases of HTTP headers say the same as metadata of gRPC."""

import pytest

import test_propagation as http
from relay_grpc import GrpcRelay, can_be_metadata


@pytest.fixture(scope="module")
def relay():
    relay = GrpcRelay()
    yield relay
    relay.stop()


TABLES = {
    "traceparent": (http.check_traceparent, http.TRACEPARENT, 150),
    "tracestate": (http.check_tracestate, http.TRACESTATE, 80),
    "baggage": (http.check_baggage, http.BAGGAGE, 70),
}


@pytest.mark.parametrize("name", TABLES)
def test_t4_metadata_is_read_and_written_as_headers_are(relay, name):
    check, table, at_least = TABLES[name]
    checked = 0
    for rule, rows in table.items():
        for lines, expect in rows:
            if can_be_metadata(lines):
                check(relay, rule, lines, expect)
                checked += 1
    assert checked >= at_least
