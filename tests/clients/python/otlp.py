"""OTLP messages and SDK objects as plain values that can be compared."""

from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

RESOURCE = Resource.create(
    {
        "service.name": "checkout",
        "service.namespace": "shop",
        "service.instance.id": "checkout-1",
        "service.version": "1.2.3",
        "deployment.environment.name": "test",
        "host.cpus": 8,
        "host.load": 0.5,
        "host.virtual": True,
        "host.ips": ["10.0.0.1", "10.0.0.2"],
    }
)

# One attribute of each type that the SDK knows.
ATTRIBUTES = {
    "text": "grüße, 世界",
    "empty": "",
    "yes": True,
    "no": False,
    "int": -(2**53) - 1,
    "big": 2**63 - 1,
    "double": 0.1,
    "whole": 3.0,
    "texts": ["a", "", "c"],
    "ints": [1, -2, 3],
    "doubles": [0.5, 1e300],
    "bools": [True, False],
}


def value(any_value):
    """An OTLP AnyValue as a Python value, its type kept."""
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    if kind == "kvlist_value":
        return attributes(any_value.kvlist_value.values)
    return getattr(any_value, kind)


def attributes(pairs):
    return {pair.key: typed(value(pair.value)) for pair in pairs}


def typed(plain):
    """The value with its type, so that 3 and 3.0 and True differ."""
    if isinstance(plain, (list, tuple)):
        return ("list", [typed(item) for item in plain])
    return (type(plain).__name__, plain)


def sent_attributes(mapping):
    return {key: typed(item) for key, item in (mapping or {}).items()}


def sent_span(span):
    """What the SDK gave to its exporter."""
    context = span.context
    return {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else "",
        "trace_state": context.trace_state.to_header(),
        "name": span.name,
        "kind": SpanKind(span.kind).value + 1,
        "start": span.start_time,
        "end": span.end_time,
        "status": (span.status.status_code.value, span.status.description or ""),
        "attributes": sent_attributes(span.attributes),
        "events": [
            (event.timestamp, event.name, sent_attributes(event.attributes))
            for event in span.events
        ],
        "links": [
            (
                f"{link.context.trace_id:032x}",
                f"{link.context.span_id:016x}",
                # The Python exporter leaves a link's trace state out.
                "",
                sent_attributes(link.attributes),
            )
            for link in span.links
        ],
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
        "resource": sent_attributes(span.resource.attributes),
        "scope": (
            span.instrumentation_scope.name,
            span.instrumentation_scope.version or "",
            sent_attributes(span.instrumentation_scope.attributes),
        ),
    }


def received_spans(resource_spans):
    """The same of what a server answered."""
    spans = []
    for of_resource in resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                spans.append(received_span(of_resource.resource, of_scope.scope, span))
    return spans


def received_span(resource, scope, span):
    return {
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "trace_state": span.trace_state,
        "name": span.name,
        "kind": span.kind,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "status": (span.status.code, span.status.message),
        "attributes": attributes(span.attributes),
        "events": [
            (event.time_unix_nano, event.name, attributes(event.attributes))
            for event in span.events
        ],
        "links": [
            (
                link.trace_id.hex(),
                link.span_id.hex(),
                link.trace_state,
                attributes(link.attributes),
            )
            for link in span.links
        ],
        "dropped": (
            span.dropped_attributes_count,
            span.dropped_events_count,
            span.dropped_links_count,
        ),
        "resource": attributes(resource.attributes),
        "scope": (scope.name, scope.version, attributes(scope.attributes)),
    }


def by_id(spans):
    return sorted(spans, key=lambda span: span["span_id"])
