"""OTLP/JSON both ways, judged by the official descriptors and protobuf's own JSON."""

import base64
import json
import subprocess

import pytest
from google.protobuf import json_format

from examples import example
from otlp_filled import filled, hollow, roots

# OTLP departs from protobuf's JSON here: hexadecimal instead of base64.
IDS = {"traceId", "spanId", "parentSpanId"}

SENT = [root for root in roots() if root.name.startswith("Export")]


def of_profiles(field):
    """Other signals must not use them, so they are not kept."""
    return field.name.endswith("_strindex")


def messages(root):
    return [*filled(root, leave_out=of_profiles), hollow(root), type(hollow(root))()]


def translated(root, direction, message):
    done = subprocess.run(
        [example("otlp_json"), root.name, direction],
        input=message,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("root", SENT, ids=lambda root: root.name)
def test_our_json_is_protobufs(root):
    for sent in messages(root):
        ours = json.loads(translated(root, "to", sent.SerializeToString()))
        recoded = with_ids(ours, lambda text: base64.b64encode(bytes.fromhex(text)).decode())
        assert json_format.ParseDict(recoded, type(sent)()) == sent


@pytest.mark.parametrize("enums", ["names", "numbers"])
@pytest.mark.parametrize("root", SENT, ids=lambda root: root.name)
def test_protobufs_json_is_read(root, enums):
    for sent in messages(root):
        theirs = json_format.MessageToDict(sent, use_integers_for_enums=enums == "numbers")
        recoded = with_ids(theirs, lambda text: base64.b64decode(text).hex())
        text = json.dumps(recoded, ensure_ascii=False)
        assert type(sent).FromString(translated(root, "from", text.encode())) == sent


def with_ids(part, recode):
    """The same with its ids written otherwise."""
    if isinstance(part, list):
        return [with_ids(item, recode) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: recode(item) if key in IDS else with_ids(item, recode) for key, item in part.items()
    }
