"""The grammars of W3C's Trace Context (level 2) and Baggage: what may leave a service at all."""

import re

PARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-(0[0-3])")

# key = ( lcalpha / DIGIT ) 0*255 ( keychar )
KEY = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
# value = 0*255(chr) nblk-chr
VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
MEMBER = re.compile(f"({KEY})=({VALUE})")
STATE_MEMBERS_MAX = 32

# token, RFC 7230, section 3.2.6
TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# baggage-octet, whose percent sign must be percent-encoded
OCTET = r"(?:[\x21\x23\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]|%[0-9A-Fa-f]{2})"
PROPERTY = rf"{TOKEN}(?:[ \t]*=[ \t]*{OCTET}*)?"
ENTRY = re.compile(rf"({TOKEN})[ \t]*=[ \t]*({OCTET}*)((?:[ \t]*;[ \t]*{PROPERTY})*)", re.ASCII)


class Left:
    """What a service sent on, which must be well formed."""

    def __init__(self, headers):
        parent = headers.one("traceparent")
        found = PARENT.fullmatch(parent)
        assert found, parent
        self.trace_id, self.span_id, self.flags = found.groups()
        self.state = headers.one("tracestate")
        self.members = members(self.state)
        self.baggage = headers.one("baggage")
        self.entries = entries(self.baggage)
        for name, _ in headers.pairs:
            assert name == name.lower(), name


def members(state):
    """Keys and values of a `tracestate` that must be well formed."""
    if state is None:
        return []
    found = [MEMBER.fullmatch(member) for member in state.split(",")]
    assert all(found), state
    pairs = [member.groups() for member in found]
    assert len(pairs) <= STATE_MEMBERS_MAX, state
    assert len(dict(pairs)) == len(pairs), state
    return pairs


def entries(baggage):
    """Keys, values and properties of a `baggage` that must be well formed, still encoded."""
    if baggage is None:
        return []
    found = [ENTRY.fullmatch(entry.strip(" \t")) for entry in baggage.split(",")]
    assert all(found), baggage
    return [
        (key, value, [p.strip(" \t") for p in properties.split(";")[1:]])
        for key, value, properties in (entry.groups() for entry in found)
    ]
