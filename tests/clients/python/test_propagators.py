"""T4: the crate's propagators beside the official Python ones, on headers made by chance.

Both read the same headers, and must find the same trace, flags, members and entries. Where
they differ, a function below says so: it changes what the official one gets or gives, and its
text is the rule that decides for the crate. What neither W3C nor the others say anything
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
from w3c import ENTRY, KEY, MEMBER, STATE_MEMBERS_MAX, Left, members

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
    """RFC 9110, 5.3: a field that is no list comes once. The official one takes the first."""
    if len(fields.get("traceparent", [])) > 1:
        del fields["traceparent"]


def long_traceparent(fields):
    """Later versions may be longer, without a limit. The official one reads no more than 512
    characters."""
    fields["traceparent"] = [value[:512] for value in fields.get("traceparent", [])]


def keys_of_level_2(fields):
    """Keys may be longer, and begin with a digit. The official one knows those of level 1."""
    names = {}

    def renamed(found):
        return names.setdefault(found.group(), f"renamed/{len(names)}") + "="

    level_1 = r"[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
    other = re.compile(rf"(?<![^, \t])(?!(?:{level_1})=){KEY}=")
    values = fields.get("tracestate", [])
    fields["tracestate"] = [other.sub(renamed, value) for value in values]
    return {new: old[:-1] for old, new in names.items()}


def first_of_a_key(fields):
    """A key comes once. Of one that does not the first member, the newer one, goes on. The
    official one then leaves out the list."""
    lists = [value.split(",") for value in fields.get("tracestate", [])]
    found = [member.strip(OWS) for members in lists for member in members if member.strip(OWS)]
    if len(found) <= STATE_MEMBERS_MAX and all(MEMBER.fullmatch(member) for member in found):
        first = {}
        for member in found:
            first.setdefault(member.partition("=")[0], member)
        fields["tracestate"] = [",".join(first.values())]


def known_flags(flags):
    """Bits without a meaning yet leave as zeros. The official one hands them on."""
    return f"{flags & 3:02x}"


def at_most_512(pairs):
    """512 characters go on; of a longer list members over 128 characters go first, then the last
    ones. The official one hands on all."""
    pairs = list(pairs)
    while sum(len(key) + len(value) + 2 for key, value in pairs) > 513:
        long = [n for n, (key, value) in enumerate(pairs) if len(key) + len(value) + 1 > 128]
        del pairs[long[-1] if long else -1]
    return pairs


def official_span(lines):
    fields = carrier(lines)
    one_traceparent(fields)
    long_traceparent(fields)
    first_of_a_key(fields)
    names = keys_of_level_2(fields)
    span, _ = extract(TraceContextTextMapPropagator(), fields)
    if span is None:
        return None
    pairs = [(names.get(key, key), value) for key, value in span.trace_state.items()]
    return f"{span.trace_id:032x}", known_flags(span.trace_flags), at_most_512(pairs)


# ---- Baggage: where they differ.


def all_fields(lines):
    """Several fields are one list. The official one takes the first."""
    return ",".join(carrier(lines).get("baggage", []))


def plus_is_plus(text):
    """Percent-encoding is that of RFC 3986, 2.1. The official one takes a plus for a space, as in
    forms."""
    return text.replace("+", "%2B")


def keys_are_not_encoded(key):
    """Keys are tokens of HTTP. The official one takes them for percent-encoded."""
    return plus_is_plus(key.replace("%", "%25"))


def properties_without_ows(found):
    """White space in properties is not part of them. The official one keeps it, and takes
    properties for a part of the value."""
    key, value, properties = found.groups()
    return f"{key}={value}" + re.sub(r"[ \t]", "", properties)


def strip(value):
    """White space around a value is not part of it. The official one takes away decoded white
    space, too."""
    return value.strip()


def well_formed(text):
    """What becomes of malformed members is left open, so they are not compared: the members that
    are sound, and the keys of the others."""
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
    """Up to 64 entries and 8,192 bytes everything goes on. The official one takes 180, but none
    larger than 4,096 bytes."""
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
            key = key[0] + self.text(KEYCHARS[:-1], 0, 16) + "@" + self.text(KEYCHARS[:6], 1, 14)
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

    def identity(self, digits):
        text = "0" * digits if self.once_in(30) else self.text(HEX, digits, digits)
        text = text.upper() if self.once_in(20) else text
        return self.damaged(text) if self.once_in(20) else text

    def b3(self):
        trace_id = self.identity(self.choice([32, 32, 16]))
        span_id = self.identity(16)
        state = self.choice(
            ["1", "1", "0", "0", "d"] if self.once_in(2) else ["1", "0", None, None]
        )
        if self.once_in(20):
            state = self.choice(["2", "x", "", "True", "true", "01"])
        lines = []
        if self.once_in(2):
            parts = [trace_id, span_id] if not self.once_in(20) else []
            parts += [state] if state is not None else []
            if state is not None and self.once_in(4):
                parts.append(self.identity(16))
            lines.append(self.line("b3", "-".join(parts)))
        if not lines or self.once_in(8):
            lines += self.b3_multi(self.identity(32) if lines else trace_id, span_id, state)
        self.shuffle(lines)
        return lines

    def b3_multi(self, trace_id, span_id, state):
        fields = {"X-B3-TraceId": trace_id, "X-B3-SpanId": span_id}
        if state is not None:
            fields["X-B3-Sampled"] = {"d": "true"}.get(state, state)
        if self.once_in(6):
            fields["X-B3-Flags"] = self.choice("01")
        if self.once_in(4):
            fields["X-B3-ParentSpanId"] = self.identity(16)
        if self.once_in(12):
            del fields[self.choice(list(fields))]
        return [self.line(name, value) for name, value in fields.items()]

    def jaeger(self):
        ids = [self.text(HEX, 1, 32), self.text(HEX, 1, 16)]
        if self.once_in(2):
            ids = [self.identity(32), self.identity(16)]
        parent = self.choice(["0", "", self.text(HEX, 16, 16)])
        flags = self.choice(["0", "1", "2", "3", "00", "01", "5", self.text(HEX, 1, 2)])
        value = self.choice([":", ":", ":", "%3A"]).join([*ids, parent, flags])
        value = self.damaged(value) if self.once_in(8) else value
        lines = [self.line("uber-trace-id", value)]
        keys = {self.text("abcdefgh-_", 1, 6) for _ in range(self.choice([0, 0, 1, 4]))}
        lines += [self.line(f"uberctx-{key}", self.octets(20)) for key in sorted(keys)]
        self.shuffle(lines)
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


# ---- B3, https://github.com/openzipkin/b3-propagation: where they differ.

B3 = re.compile(
    r"(?!0+-)([0-9a-f]{32}|[0-9a-f]{16})-(?!0{16})[0-9a-f]{16}(-[01d](-[0-9a-f]{16})?)?"
)


def whole_b3(fields):
    """Trace, span, state and parent in small hexadecimal digits, of which the last two may be
    missing. Of one that is not so, the official one takes what it can, and then does not look at
    the multiple headers."""
    if not B3.fullmatch(fields.get("b3", [""])[0]):
        fields.pop("b3", None)


def lower_hex(fields):
    """Digits of ids are small. The official one takes capital ones, too."""
    ids = [fields.get(name, [""])[0] for name in ("x-b3-traceid", "x-b3-spanid")]
    if "".join(ids) != "".join(ids).lower():
        fields.pop("x-b3-traceid", None)


def known_states(fields):
    """A decision is 1 or 0, of old senders true or false. The official one takes all else for
    0."""
    states = {"1", "0", "true", "false"}
    if fields.get("x-b3-sampled", ["1"])[0] not in states and not is_debug(fields):
        fields.pop("x-b3-traceid", None)


def deferred(fields):
    """Without a decision it is the receiver's, which samples all. The official one does not."""
    fields.setdefault("x-b3-sampled", ["1"])


def decision_alone(lines):
    """A decision may come without ids, for the trace that begins at the receiver. The official
    one does not look at it. Whether that trace is sampled, where all others are."""
    fields = carrier(lines)
    if "b3" in fields:
        return fields["b3"] != ["0"]
    if is_debug(fields) or "x-b3-traceid" in fields or "x-b3-spanid" in fields:
        return True
    return fields.get("x-b3-sampled", ["1"])[0] not in ("0", "false")


def is_debug(fields):
    return fields.get("x-b3-flags", [""])[0] == "1"


def official_b3(lines):
    fields = carrier(lines)
    for difference in (whole_b3, lower_hex, known_states, deferred):
        difference(fields)
    return seen(extract(B3MultiFormat(), fields))


# ---- Jaeger, https://www.jaegertracing.io/docs/1.76/sdk-migration/#propagation-format.


def numbers(fields):
    """Ids and flags are hexadecimal numbers. The official one takes what Python calls an
    integer."""
    hexadecimal = r"[0-9a-fA-F]{1,32}:[0-9a-fA-F]{1,16}:[^:]*:[0-9a-fA-F]{1,2}"
    if not re.fullmatch(hexadecimal, fields["uber-trace-id"][0]):
        fields["uber-trace-id"] = [""]


def url_encoded(fields):
    """Values may be URL-encoded. The official one does not expect that of ids."""
    fields["uber-trace-id"] = [unquote(fields["uber-trace-id"][0])]


def debug_is_sampled(fields):
    """What is to be debugged is sampled. The official one wants the other flag, too."""
    ids, _, flags = fields["uber-trace-id"][0].rpartition(":")
    if ids and int(flags, 16) & 3:
        fields["uber-trace-id"] = [f"{ids}:1"]


def official_jaeger(lines):
    fields = carrier(lines)
    for difference in (url_encoded, numbers, debug_is_sampled):
        difference(fields)
    return seen(extract(JaegerPropagator(), fields))


def seen(found):
    """What the other formats say: trace, whether it is sampled, baggage."""
    span, entries = found
    span = span and (f"{span.trace_id:032x}", span.trace_flags.sampled)
    return span, {key: strip(value) for key, value in entries.items()}


FORMATS = {
    "b3": (B3SingleFormat, official_b3, Chance.b3),
    "b3multi": (B3MultiFormat, official_b3, Chance.b3),
    "jaeger": (JaegerPropagator, official_jaeger, Chance.jaeger),
}


@pytest.mark.parametrize("name", FORMATS)
def test_other_formats_beside_the_official_propagators(name):
    propagator, official, chance = FORMATS[name]
    relay = Relay(OTEL_PROPAGATORS=name)
    found = 0
    for case in range(CASES // 3):
        lines = chance(Chance(f"{SEED} {case}"))
        again = f"PROPAGATION_SEED={SEED}, case {case}: {lines}"
        (headers,) = relay.ask(lines)
        assert headers.one("traceparent") is None, again
        left, entries = seen(extract(propagator(), headers.fields()))
        span, expect = official(lines)
        found += span is not None
        if span is None:
            assert left[0][16:] not in "".join(lines).lower(), again
            assert left[1] == decision_alone(lines), again
        else:
            assert left == span, again
        assert entries == expect, again
    assert found > CASES / 6
    relay.stop()


@pytest.mark.parametrize("name", ["b3", "b3multi"])
@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_m3_a_decision_without_ids_is_followed(name, sampler):
    relay = Relay(OTEL_PROPAGATORS=name, OTEL_TRACES_SAMPLER=f"parentbased_{sampler}")
    own = sampler == "always_on"
    cases = [
        ("b3: 0", False),
        ("b3: 1", True),
        ("b3: d", True),
        ("X-B3-Sampled: 0", False),
        ("X-B3-Sampled: false", False),
        ("X-B3-Sampled: 1", True),
        ("X-B3-Flags: 1", True),
        ("X-B3-Flags: 0", own),
        ("b3: 2", own),
        ("b3: ", own),
        ("other: 0", own),
    ]
    for line, expect in cases:
        (headers,) = relay.ask([line])
        (_, sampled), _ = seen(extract(FORMATS[name][0](), headers.fields()))
        assert sampled == expect, line
    relay.stop()


ALL = {
    "tracecontext": TraceContextTextMapPropagator,
    "b3": B3SingleFormat,
    "b3multi": B3MultiFormat,
    "jaeger": JaegerPropagator,
}


@pytest.mark.parametrize("comes", ALL)
@pytest.mark.parametrize("sampled", [0, 1])
def test_t4_all_formats_say_the_same(comes, sampled):
    relay = Relay(OTEL_PROPAGATORS="tracecontext,baggage,b3,b3multi,jaeger")
    span = trace.SpanContext(
        trace_id=0x0AF7651916CD43DD8448EB211C80319C,
        span_id=0xB7AD6B7169203331,
        is_remote=True,
        trace_flags=trace.TraceFlags(sampled),
    )
    context = trace.set_span_in_context(trace.NonRecordingSpan(span), Context())
    context = baggage.set_baggage("tenant", "söhne/&co", context)
    fields = {}
    for propagator in (ALL[comes](), W3CBaggagePropagator()):
        propagator.inject(fields, context)
    (headers,) = relay.ask([f"{name}: {value}" for name, value in fields.items()])
    relay.stop()
    left = {name: extract(kind(), headers.fields()) for name, kind in ALL.items()}
    spans = {(f.trace_id, f.span_id, f.trace_flags.sampled) for f, _ in left.values()}
    assert len(spans) == 1
    ((trace_id, span_id, flag),) = spans
    assert (trace_id, flag) == (span.trace_id, bool(sampled)) and span_id != span.span_id
    # Jaeger's baggage has the one form, W3C's the other.
    expect = {"tenant": "söhne/&co"}
    assert left["jaeger"][1] == expect
    assert extract(W3CBaggagePropagator(), headers.fields())[1] == expect


def test_what_is_not_among_the_formats_is_not_read():
    span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    lines = [f"traceparent: {span}", "tracestate: a=1", "baggage: k=v"]
    relay = Relay(OTEL_PROPAGATORS="b3")
    (headers,) = relay.ask(lines)
    relay.stop()
    assert headers.one("b3") and span[3:35] not in headers.one("b3")
    assert not [name for name, _ in headers.pairs if name in ("traceparent", "baggage")]
    relay = Relay(OTEL_PROPAGATORS="none")
    (headers,) = relay.ask(lines)
    relay.stop()
    assert {name for name, _ in headers.pairs} == {"accept", "host"}
