"""T4: the crate's propagators beside the official Python ones, on headers made by chance.

Both read the same headers, and must find the same trace, flags, members and entries. Where
they differ, a function below says so: it changes what the official one gets or gives, and its
text is the sentence that decides for the crate. What neither W3C nor the others say anything
about is not compared.

PROPAGATION_SEED and PROPAGATION_CASES choose other headers and more of them.
"""

import os
import random
import re
from urllib.parse import unquote

import pytest
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from relay import Relay
from server import wait_for
from w3c import ENTRY, KEY, Left, members

SEED = int(os.environ.get("PROPAGATION_SEED", "1"))
CASES = int(os.environ.get("PROPAGATION_CASES", "3000"))
OWS = " \t"
IS_REMOTE = 0x200


def carrier(lines):
    """Header lines as a server of Python hands them on: names in lower case, all values."""
    fields = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).append(value.strip(OWS))
    return fields


def extract(propagator, fields):
    """The span and the baggage that an official propagator finds."""
    context = propagator.extract(fields, Context())
    span = trace.get_current_span(context).get_span_context()
    assert not span.is_valid or span.is_remote
    return (span if span.is_valid else None), dict(baggage.get_all(context))


# ---- Trace Context: where the crate and the official propagator differ.


def one_traceparent(fields):
    """RFC 9110, 5.3: a sender MUST NOT generate multiple field lines with the same name unless
    it is a list. The official one takes the first."""
    if len(fields.get("traceparent", [])) > 1:
        del fields["traceparent"]


def long_traceparent(fields):
    """They should expect that headers may have larger size limits in the future. The official
    one reads no more than 512 characters."""
    fields["traceparent"] = [value[:512] for value in fields.get("traceparent", [])]


def keys_of_level_2(fields):
    """key = ( lcalpha / DIGIT ) 0*255 ( keychar ). The official one knows those of level 1."""
    names = {}

    def renamed(found):
        return names.setdefault(found.group(), f"renamed/{len(names)}") + "="

    level_1 = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
    other = re.compile(rf"(?<![^, \t])(?!(?:{level_1})=){KEY}=")
    values = fields.get("tracestate", [])
    fields["tracestate"] = [other.sub(renamed, value) for value in values]
    return {new: old[:-1] for old, new in names.items()}


def known_flags(flags):
    """The behavior of other flags is reserved for future use. Vendors MUST set those to zero."""
    return f"{flags & 3:02x}"


def at_most_512(pairs):
    """Vendors SHOULD propagate at least 512 characters. Entries larger than 128 characters long
    SHOULD be removed first. Then entries SHOULD be removed starting from the end. The official
    one propagates all."""
    pairs = list(pairs)
    while sum(len(key) + len(value) + 2 for key, value in pairs) > 513:
        long = [n for n, (key, value) in enumerate(pairs) if len(key) + len(value) + 1 > 128]
        del pairs[long[-1] if long else -1]
    return pairs


def official_span(lines):
    fields = carrier(lines)
    one_traceparent(fields)
    long_traceparent(fields)
    names = keys_of_level_2(fields)
    span, _ = extract(TraceContextTextMapPropagator(), fields)
    if span is None:
        return None
    pairs = [(names.get(key, key), value) for key, value in span.trace_state.items()]
    return f"{span.trace_id:032x}", known_flags(span.trace_flags), at_most_512(pairs)


# ---- Baggage: where they differ.


def all_fields(lines):
    """Multiple baggage headers are allowed. Values can be combined in a single header. The
    official one takes the first."""
    return ",".join(carrier(lines).get("baggage", []))


def plus_is_plus(text):
    """Percent-encoding is defined in RFC3986, Section 2.1. The official one takes a plus for a
    space, as in forms."""
    return text.replace("+", "%2B")


def keys_are_not_encoded(key):
    """key = token. The official one takes it for percent-encoded."""
    return plus_is_plus(key.replace("%", "%25"))


def properties_without_ows(found):
    """Leading and trailing OWS is not considered to be a part of the property key or value. The
    official one keeps it, and takes properties for a part of the value."""
    key, value, properties = found.groups()
    return f"{key}={value}" + re.sub(r"[ \t]", "", properties)


def strip(value):
    """Leading and trailing OWS are not considered to be a part of the value. The official one
    takes away decoded white space, too."""
    return value.strip()


def well_formed(text):
    """If the baggage-string is not in the format, the behavior is undefined: for example, it MAY
    remove an offending list-member. The members that are sound, and the keys of the others."""
    sound, keys = [], set()
    for member in text.split(","):
        found = ENTRY.fullmatch(member.strip(OWS))
        if not found:
            keys.add(member.partition(";")[0].partition("=")[0].strip(OWS))
        elif found.group(3):
            sound.append(properties_without_ows(found))
        else:
            sound.append(member)
    return sound, keys


def official_baggage(lines):
    """The entries that must leave, and keys about which nothing is said."""
    sound, unsaid = well_formed(all_fields(lines))
    encoded = []
    for member in sound:
        key, _, value = member.partition("=")
        encoded.append(f"{keys_are_not_encoded(key)}={plus_is_plus(value)}")
    _, found = extract(W3CBaggagePropagator(), {"baggage": [",".join(encoded)]})
    return {key: strip(value) for key, value in found.items() if key not in unsaid}, unsaid


def within_limits(lines):
    """A platform MUST propagate all list-members whenever there are 64 or less, of 8192 bytes or
    less. The official one takes 180, but none larger than 4096 bytes."""
    text = all_fields(lines)
    sizes = [len(member) for member in text.split(",")]
    # Encoding a plus makes what the official one gets longer.
    return len(sizes) <= 64 and len(plus_is_plus(text)) <= 8000 and max(sizes) <= 4096


# ---- Headers made by chance.

NOISE = "\t !\"%&'()*+,-./09:;<=>@AFZ[\\]_`agz{|}~\x80\xc3\xa9\xff"
HEX = "0123456789abcdef"
KEYCHARS = "abcxyz0189_-*/@"
VALUECHARS = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in ",="]
TOKENCHARS = "!#$%&'*+-.^_`|~09azAZ"
OCTETS = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\%']


def upper(text):
    """In upper case, and still of one byte a character."""
    return text.encode("latin-1").upper().decode("latin-1")


class Chance(random.Random):
    def text(self, characters, shortest, longest):
        return "".join(self.choices(characters, k=self.randint(shortest, longest)))

    def ows(self):
        return self.choice(["", "", "", " ", "\t", " \t "])

    def once_in(self, times):
        return self.randrange(times) == 0

    def damaged(self, text):
        """The text with some of its characters changed."""
        for _ in range(self.randint(1, 3)):
            at = self.randint(0, len(text))
            more = self.choice(["", *NOISE])
            text = text[:at] + more + text[at + self.randint(0, 1) :]
        return text

    def line(self, name, value):
        name = self.choice([name, name, name.upper(), name.title()])
        return f"{name}:{self.ows()}{value}{self.ows()}"

    def traceparent(self):
        version = self.choice(["00"] * 8 + ["01", "cc", "fe", "ff"])
        ids = [self.text(HEX, 32, 32), self.text(HEX, 16, 16)]
        if self.once_in(20):
            at = self.randrange(2)
            ids[at] = "0" * len(ids[at])
        flags = self.choice(["00", "01", "01", "02", "03", self.text(HEX, 2, 2)])
        value = "-".join([version, *ids, flags])
        if self.once_in(8):
            value += self.choice(["-", "-" + self.text(NOISE, 0, 20), "-" + "x" * 600, "0", "."])
        if self.once_in(12):
            value = self.choice([upper, self.damaged, lambda text: text[:-1]])(value)
        return self.damaged(value) if self.once_in(8) else value

    def member(self):
        longest = 260 if self.once_in(12) else 12
        key = self.choice(KEYCHARS[:-5]) + self.text(KEYCHARS, 0, longest)
        if self.once_in(6):
            key = self.text(KEYCHARS[:-1], 1, 16) + "@" + self.text(KEYCHARS[:6], 1, 14)
        value = self.text(VALUECHARS + [" "], 0, 260 if self.once_in(12) else 20)
        member = f"{key}={value}{self.choice(VALUECHARS)}"
        return self.damaged(member) if self.once_in(40) else member

    def tracestate(self):
        most = 40 if self.once_in(12) else 6
        short = [f"k{n}={n}" for n in range(self.randint(20, 40))] if self.once_in(20) else []
        made = short + [self.member() for _ in range(self.randint(0, most - 1))]
        if made and self.once_in(20):
            made.append(self.choice(made))
        return [*made, ""] if self.once_in(10) else made

    def octets(self, longest):
        one = lambda: (
            "%" + self.text(HEX + "ABCDEF", 2, 2) if self.once_in(6) else self.choice(OCTETS)
        )
        return "".join(one() for _ in range(self.randint(0, longest)))

    def entry(self):
        key = self.text(TOKENCHARS + "abcdefgh", 1, 12)
        entry = f"{key}{self.ows()}={self.ows()}{self.octets(300 if self.once_in(12) else 20)}"
        while self.once_in(4):
            entry += f"{self.ows()};{self.ows()}{self.text(TOKENCHARS, 1, 8)}"
            if self.once_in(2):
                entry += f"{self.ows()}={self.ows()}{self.octets(12)}"
        return self.damaged(entry) if self.once_in(16) else entry

    def entries(self):
        made = [self.entry() for _ in range(self.randint(0, 80 if self.once_in(20) else 6))]
        if made and self.once_in(10):
            key = self.choice(made).partition("=")[0].strip(OWS)
            made.append(f"{key}={self.octets(10)}")
        return [*made, ""] if self.once_in(10) else made

    def fields(self, name, members):
        """The members of a list in one line or several."""
        lines = []
        while members or self.once_in(20):
            count = self.randint(1, len(members)) if self.once_in(3) and members else len(members)
            text = ",".join(self.ows() + member + self.ows() for member in members[:count])
            lines.append(self.line(name, text))
            members = members[count:]
        return lines

    def w3c(self):
        parents = self.choice([1] * 20 + [0, 2])
        lines = [self.line("traceparent", self.traceparent()) for _ in range(parents)]
        lines += self.fields("tracestate", self.tracestate())
        lines += self.fields("baggage", self.entries())
        self.shuffle(lines)
        return lines


def test_t4_w3c_beside_the_official_propagators():
    relay = Relay()
    remote = {}
    for case in range(CASES):
        lines = Chance(f"{SEED} {case}").w3c()
        again = f"PROPAGATION_SEED={SEED}, case {case}: {lines}"
        left = Left(*relay.ask(lines))
        expect = official_span(lines)
        is_new = left.trace_id not in "".join(lines)
        got = None if is_new else (left.trace_id, left.flags, left.members)
        assert got == expect, again
        assert not is_new or (left.flags, left.state) == ("03", None), again
        if expect and left.flags[1] in "13":
            remote[left.span_id] = carrier(lines)["traceparent"][0][36:52]
        check_baggage(left, lines, again)
    wait_for(lambda: all_arrived(relay.next.spans, remote))
    for span_id, parent in remote.items():
        server = relay.next.spans[relay.next.spans[span_id].parent_span_id.hex()]
        assert server.parent_span_id.hex() == parent and server.flags & IS_REMOTE
    assert len(remote) > CASES / 5
    relay.stop()


def check_baggage(left, lines, again):
    got = [
        (key, strip(unquote(";".join([value, *properties]))))
        for key, value, properties in left.entries
    ]
    if not within_limits(lines):
        assert len(got) <= 64 and len(left.baggage or "") <= 8192, again
        return
    expect, unsaid = official_baggage(lines)
    assert [pair for pair in got if pair[0] not in unsaid] == list(expect.items()), again


def all_arrived(spans, span_ids):
    clients = [spans.get(span_id) for span_id in span_ids]
    return all(client and client.parent_span_id.hex() in spans for client in clients)
