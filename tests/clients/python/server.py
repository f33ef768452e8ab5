"""Starting, asking and stopping the server."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import requests

START_SECONDS = 30
SOON_SECONDS = 20


class Server:
    def __init__(self, data, flags=()):
        binary = os.environ.get("TREFOIL_BIN")
        if not binary:
            root = pathlib.Path(__file__).resolve().parents[3]
            binary = str(root / "target/debug/trefoil")
        ports = [f"--{port}=127.0.0.1:0" for port in ("http", "otlp-grpc", "otlp-http")]
        self.process = subprocess.Popen(
            [binary, "serve", f"--data={data}", *ports, *flags],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.lines = []
        self.ready = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self.ready.wait(START_SECONDS), f"not ready: {self.lines}"
        self.http = self._address(r"web app +(http://[\d.:]+)")
        self.grpc = self._address(r"OTLP/gRPC +http://([\d.:]+)")
        self.otlp = self._address(r"OTLP/HTTP +(http://[\d.:]+)")
        wait_for(lambda: requests.get(f"{self.http}/-/ready", timeout=5).status_code == 200)

    def _listen(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            # The last line of the start banner that is always there.
            if line.strip().startswith("retention"):
                self.ready.set()
        self.ready.set()

    def _address(self, pattern):
        for line in self.lines:
            if found := re.search(pattern, line):
                return found.group(1)
        raise AssertionError(f"no {pattern} in {self.lines}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        assert code == 0, (code, self.lines)

    def get(self, path, accept="application/json", **parameters):
        """The answer to a query, which must be one."""
        url = self.http + path
        answer = requests.get(url, params=parameters, headers={"Accept": accept}, timeout=20)
        assert answer.status_code == 200, (answer.status_code, url, parameters, answer.text[:500])
        return answer.content if accept == "application/protobuf" else answer.json()

    def post(self, path, body, content_type, **headers):
        headers["Content-Type"] = content_type
        return requests.post(self.otlp + path, data=body, headers=headers, timeout=20)

    def promql(self, query, **parameters):
        """The result of an instant query."""
        answer = self.get("/api/v1/query", query=query, **parameters)
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def value(self, query, **parameters):
        """The number of an instant query that has just one."""
        result = self.promql(query, **parameters)
        assert len(result) == 1, (query, result)
        return float(result[0]["value"][1])

    def logql(self, query, **parameters):
        answer = self.get("/loki/api/v1/query_range", query=query, limit=5000, **parameters)
        assert answer["status"] == "success", answer
        return answer["data"]["result"]


def wait_for(condition):
    """Waits until the condition holds; what was acknowledged holds at once."""
    deadline = time.monotonic() + SOON_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)
    return result
