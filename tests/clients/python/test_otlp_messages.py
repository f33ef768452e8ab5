"""The types that judge OTLP in the Rust tests, judged by the official descriptors."""

import subprocess

import pytest
from google.protobuf.descriptor import FieldDescriptor as Field

from examples import example
from otlp_filled import alternatives, filled, hollow, roots


@pytest.mark.parametrize("root", roots(), ids=lambda root: root.name)
def test_every_field_is_read_and_written(root):
    for sent in [*filled(root), hollow(root), type(hollow(root))()]:
        done = subprocess.run(
            [example("otlp_messages"), root.full_name],
            input=sent.SerializeToString(),
            capture_output=True,
            timeout=60,
        )
        read = done.stderr.decode()
        assert done.returncode == 0, read
        # Numbers of the same width could be taken for each other both ways, so what was
        # read is compared as well as what was written.
        assert read.split(", ") == shown(sent).split(", ")
        assert type(sent).FromString(done.stdout) == sent


def test_the_roots_are_requests_answers_and_files():
    names = {root.name for root in roots()}
    assert names == {"TracesData", "MetricsData", "LogsData"} | {
        f"Export{signal}Service{kind}"
        for signal in ("Trace", "Metrics", "Logs")
        for kind in ("Request", "Response")
    }


def shown(message):
    """The message as Rust's `{:?}` shows it."""
    parts, done = [], set()
    for field in message.DESCRIPTOR.fields:
        if alternatives(field):
            oneof = field.containing_oneof
            if oneof.name not in done:
                done.add(oneof.name)
                parts.append(f"{oneof.name}: {shown_oneof(message, oneof)}")
        else:
            # A name that is a word of Rust's own is shown as it must be written there.
            name = "r#type" if field.name == "type" else field.name
            parts.append(f"{name}: {shown_field(message, field)}")
    return f"{message.DESCRIPTOR.name} {{ {', '.join(parts)} }}"


def shown_oneof(message, oneof):
    name = message.WhichOneof(oneof.name)
    if name is None:
        return "None"
    field = message.DESCRIPTOR.fields_by_name[name]
    return f"Some({camel(name)}({shown_value(getattr(message, name), field)}))"


def shown_field(message, field):
    value = getattr(message, field.name)
    if field.is_repeated:
        return f"[{', '.join(shown_value(item, field) for item in value)}]"
    if not field.has_presence:
        return shown_value(value, field)
    return f"Some({shown_value(value, field)})" if message.HasField(field.name) else "None"


def shown_value(value, field):
    if field.message_type:
        return shown(value)
    if field.enum_type:
        known = field.enum_type.values_by_number.get(value)
        prefix = screaming(field.enum_type.name)
        return camel(known.name.removeprefix(prefix)) if known else str(value)
    if field.type == Field.TYPE_STRING:
        return f'"{value}"'
    if field.type == Field.TYPE_BYTES:
        return str(list(value))
    if field.type == Field.TYPE_BOOL:
        return str(value).lower()
    return repr(value).replace("e+", "e")


def camel(name):
    return "".join(word.capitalize() for word in name.split("_"))


def screaming(name):
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in name)[1:].upper() + "_"
