"""Messages of OTLP filled to the brim, by the official descriptors alone."""

import itertools
import math

from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor as Field
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

# Everything of the three stable signals.
FILES = [
    common_pb2,
    resource_pb2,
    trace_pb2,
    metrics_pb2,
    logs_pb2,
    trace_service_pb2,
    metrics_service_pb2,
    logs_service_pb2,
]

# Messages inside messages: below, attributes have plain values only.
DEPTH_MAX = 11

# With this many, whatever can be reached had its turn.
MESSAGES_MAX = 30

# The ends of each type's range, where a wrong type of the same width shows.
EXTREMES = {
    Field.TYPE_BOOL: [True],
    Field.TYPE_DOUBLE: [1.7976931348623157e308, 5e-324, -math.inf],
    Field.TYPE_INT32: [2**31 - 1, -(2**31)],
    Field.TYPE_SINT32: [2**31 - 1, -(2**31)],
    Field.TYPE_UINT32: [2**32 - 1],
    Field.TYPE_FIXED32: [2**32 - 1],
    Field.TYPE_INT64: [2**63 - 1, -(2**63)],
    Field.TYPE_SFIXED64: [2**63 - 1, -(2**63)],
    Field.TYPE_UINT64: [2**64 - 1],
    Field.TYPE_FIXED64: [2**64 - 1],
    Field.TYPE_STRING: ["grüße, 世界"],
    Field.TYPE_BYTES: [bytes([0, 255, 128, 0])],
}


def reachable(descriptor):
    """The message's type and all that can stand inside it, by name."""
    found, open_ones = {}, [descriptor]
    while open_ones:
        message = open_ones.pop()
        if message.full_name not in found:
            found[message.full_name] = message
            open_ones += [field.message_type for field in message.fields if field.message_type]
    return found


def roots():
    """Types that stand inside no other: what is sent and answered."""
    messages = [m for file in FILES for m in file.DESCRIPTOR.message_types_by_name.values()]
    inside = {name for m in messages for name in reachable(m) if name != m.full_name}
    return [message for message in messages if message.full_name not in inside]


class Filler:
    """Fills messages: numbers and texts that come once, then the ends of their range, every
    alternative in turn, two of what may be many."""

    def __init__(self, leave_out=lambda field: False):
        self.leave_out = leave_out
        self.turns = {}
        # How many values of a field are still to come.
        self.to_come = {}
        self.number = itertools.count(1)

    def message(self, descriptor, depth=0):
        message = message_factory.GetMessageClass(descriptor)()
        for field in self.chosen(descriptor, depth):
            values = [self.value(field, depth) for _ in range(2 if field.is_repeated else 1)]
            if field.is_repeated:
                getattr(message, field.name).extend(values)
            elif field.message_type:
                getattr(message, field.name).CopyFrom(values[0])
            else:
                setattr(message, field.name, values[0])
            self.to_come.setdefault(field.full_name, 0)
        return message

    def value(self, field, depth):
        inside = field.message_type
        return self.message(inside, depth + 1) if inside else self.scalar(field)

    def chosen(self, descriptor, depth):
        """All fields, but one of those that exclude each other."""
        wanted = [field for field in descriptor.fields if not self.leave_out(field)]
        plain = [field for field in wanted if not alternatives(field)]
        groups = [oneof for oneof in descriptor.oneofs if len(oneof.fields) > 1]
        for oneof in groups:
            fields = [field for field in wanted if field.containing_oneof == oneof]
            if depth >= DEPTH_MAX:
                fields = [field for field in fields if not field.message_type]
            plain.append(fields[self.turn(oneof.full_name) % len(fields)])
        return plain

    def scalar(self, field):
        turn = self.turn(field.full_name)
        values = [self.distinctive(field), *EXTREMES.get(field.type, [])]
        if field.type == Field.TYPE_ENUM:
            # The last is none of the enumeration, and has to survive as well.
            values = [v.number for v in field.enum_type.values if v.number != 0] + [2**31 - 1]
        # A zero is sent only where it is told apart from absence.
        if field.has_presence:
            values += [0.0, -0.0] if field.type == Field.TYPE_DOUBLE else [type(values[0])()]
        self.to_come[field.full_name] = max(0, len(values) - turn - 1)
        return values[turn % len(values)]

    def distinctive(self, field):
        number = next(self.number)
        if field.type == Field.TYPE_STRING:
            return f"{field.name} {number}"
        if field.type == Field.TYPE_BYTES:
            return number.to_bytes(8, "little")
        if field.type == Field.TYPE_BOOL:
            return True
        return number + 0.5 if field.type == Field.TYPE_DOUBLE else number

    def turn(self, name):
        self.turns[name] = self.turns.get(name, -1) + 1
        return self.turns[name]


def alternatives(field):
    """Whether it excludes others; an `optional` field is a oneof of its own."""
    return field.containing_oneof is not None and len(field.containing_oneof.fields) > 1


def filled(root, leave_out=lambda field: False):
    """Messages of this type in which each field that can be reached has each of its values."""
    fields = [field for message in reachable(root).values() for field in message.fields]
    wanted = {field.full_name for field in fields if not leave_out(field)}
    filler = Filler(leave_out)
    messages = []
    while filler.to_come.keys() != wanted or any(filler.to_come.values()):
        assert len(messages) < MESSAGES_MAX, (wanted - filler.to_come.keys(), filler.to_come)
        messages.append(filler.message(root))
    return messages


def hollow(root):
    """The messages inside are there and empty, which is not the same as absent."""
    message = message_factory.GetMessageClass(root)()
    for field in root.fields:
        if field.message_type and field.is_repeated:
            getattr(message, field.name).append(hollow(field.message_type))
        elif field.message_type and not alternatives(field):
            getattr(message, field.name).SetInParent()
    return message
