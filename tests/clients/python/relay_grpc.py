"""The crate's example `relay_grpc`, called by the official gRPC of Python, and calling it."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc

from relay import SECONDS, Headers, Next, interrupt, start

# What Python's gRPC takes for metadata by itself is less.
METADATA = [("grpc.max_metadata_size", 1 << 16), ("grpc.absolute_max_metadata_size", 1 << 16)]


class Answers(grpc.GenericRpcHandler):
    """Answers each call with its metadata."""

    def service(self, call):
        metadata = json.dumps([pair for pair in call.invocation_metadata if pair[1] is not None])
        return grpc.unary_unary_rpc_method_handler(lambda request, context: metadata.encode())


class GrpcRelay:
    """A relay between this process and this process."""

    def __init__(self):
        self.collector = Next()
        self.next = grpc.server(ThreadPoolExecutor(4), [Answers()], options=METADATA)
        port = self.next.add_insecure_port("127.0.0.1:0")
        self.next.start()
        arguments = ["127.0.0.1:0", f"http://127.0.0.1:{port}"]
        self.process, address = start("relay_grpc", arguments, self.collector.url)
        self.channel = grpc.insecure_channel(address, options=METADATA)
        self.call = self.channel.unary_unary("/relay.Relay/Ask")

    def ask(self, lines):
        """Makes one call with these header lines as metadata; the metadata that left for it."""
        metadata = [(name, value.strip(" ")) for name, value in map(split, lines)]
        return [Headers(json.loads(self.call(b"", timeout=SECONDS, metadata=metadata)))]

    def stop(self):
        self.channel.close()
        self.next.stop(None).wait()
        interrupt(self.process)
        self.collector.stop()


def split(line):
    name, _, value = line.partition(":")
    return name.lower(), value


def can_be_metadata(lines):
    """Metadata is printable, has little room, and gRPC itself sends one `traceparent` alone."""
    printable = all(line.isascii() and line.isprintable() for line in lines)
    parents = [name for name, _ in map(split, lines) if name == "traceparent"]
    return printable and sum(map(len, lines)) < 7000 and len(parents) <= 1
