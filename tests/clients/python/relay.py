"""The crate's example `relay`, asked in raw bytes by us, and itself asking us."""

import atexit
import json
import os
import signal
import socket
import socketserver
import subprocess
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from examples import example

SECONDS = 30


class Relay:
    """A relay between this process and this process."""

    def __init__(self, asks=1, **variables):
        self.next = Next()
        arguments = ["127.0.0.1:0", *[self.next.url] * asks]
        self.process, address = start("relay", arguments, self.next.url, variables)
        host, port = address.split(":")
        self.connection = socket.create_connection((host, int(port)), timeout=SECONDS)
        self.answers = self.connection.makefile("rb")

    def ask(self, lines):
        """Sends one request with these header lines; the headers of each that left for it."""
        lines = [line if isinstance(line, bytes) else line.encode("latin-1") for line in lines]
        head = b"\r\n".join([b"GET / HTTP/1.1", b"Host: relay", *lines])
        self.connection.sendall(head + b"\r\n\r\n")
        status, answer = read_message(self.answers)
        assert status.split()[1] == b"200", (status, lines)
        return [Headers(json.loads(line)) for line in answer.splitlines()[1:]]

    def stop(self):
        """Stops it, which sends the spans that wait."""
        self.answers.close()
        self.connection.close()
        interrupt(self.process)
        self.next.stop()


def start(program, arguments, collector, variables=None):
    """Starts an example that sends its spans to a collector; the process and its address."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
        "LOG_LEVEL": "warn",
    }
    process = subprocess.Popen(
        [example(program), *arguments],
        env=environment | (variables or {}),
        stdout=subprocess.PIPE,
        text=True,
    )
    # A test that fails does not interrupt it.
    atexit.register(process.kill)
    return process, process.stdout.readline().rpartition("//")[2].strip()


def interrupt(process):
    """Ends it as a keyboard does, which sends the spans that wait."""
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=SECONDS) == 0
    process.stdout.close()


class Headers:
    """Names and values in the order they came."""

    def __init__(self, pairs):
        self.pairs = [tuple(pair) for pair in pairs]

    def all(self, name):
        return [value for other, value in self.pairs if other.lower() == name]

    def fields(self):
        """As a server of Python hands them on: values by name."""
        return {name: self.all(name) for name, _ in self.pairs}

    def one(self, name):
        """The value of a field that may stand once; `None` if it does not."""
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


class Next:
    """Answers each request with its headers, and takes spans in by OTLP."""

    def __init__(self):
        self.spans = {}
        spans = self.spans

        class Connection(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self):
                while True:
                    request, headers, body = read_head_and_body(self.rfile)
                    if not request:
                        return
                    if b"/v1/traces" in request:
                        for span in sent_spans(body):
                            spans[span.span_id.hex()] = span
                        answer, kind = b"", b"application/x-protobuf"
                    else:
                        answer, kind = json.dumps(headers).encode() + b"\n", b"application/json"
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
                    self.wfile.write(head % (kind, len(answer)) + answer)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def sent_spans(body):
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def read_message(stream):
    first, _, body = read_head_and_body(stream)
    return first, body


def read_head_and_body(stream):
    """First line, headers and body of a request or response that says how long it is."""
    first = stream.readline()
    headers, length = [], 0
    while line := stream.readline().rstrip(b"\r\n"):
        name, _, value = line.partition(b":")
        # The space behind the colon is of the line; all else stays for whoever judges.
        headers.append((name.decode("latin-1"), value.removeprefix(b" ").decode("latin-1")))
        if name.lower() == b"content-length":
            length = int(value)
    return first, headers, stream.read(length)
