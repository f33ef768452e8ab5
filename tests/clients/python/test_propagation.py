"""T4, M3: context from raw bytes of a request to those of the next, rule by rule of W3C's.

Each group of cases stands under the rule of the Recommendation that decides it: Trace
Context, level 2 (https://www.w3.org/TR/trace-context-2/) and Baggage
(https://www.w3.org/TR/baggage/). What leaves is checked against their grammars in any case.
"""

import pytest

from relay import Relay
from server import wait_for
from w3c import Left

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"traceparent: 00-{TRACE}-{SPAN}-01"
# The trace is a new one, which is sampled and has a random id.
NEW = None


@pytest.fixture(scope="module")
def relay():
    relay = Relay()
    yield relay
    relay.stop()


def cases(groups):
    return [
        pytest.param(rule, given, expect, id=f"{number}.{row}")
        for number, (rule, rows) in enumerate(groups.items())
        for row, (given, expect) in enumerate(rows)
    ]


def parent(version="00", trace=TRACE, span=SPAN, flags="01", more=""):
    return [f"traceparent: {version}-{trace}-{span}-{flags}{more}"]


TRACEPARENT = {
    "trace-flags: the sampled bit is the caller's decision, the random bit goes on as it came": [
        (parent(flags="00"), "00"),
        (parent(flags="01"), "01"),
        (parent(flags="02"), "02"),
        (parent(flags="03"), "03"),
    ],
    "other flags: bits without a meaning yet leave as zeros": [
        (parent(flags=f"{flags:02x}"), f"{flags & 3:02x}")
        for flags in (4, 9, 0x80, 0xFC, 0xFE, 0xFF)
    ],
    "header name: any mixture of upper and lower case": [
        ([f"{name}: 00-{TRACE}-{SPAN}-01"], "01")
        for name in ("traceparent", "TRACEPARENT", "TraceParent", "tRaCePaReNt")
    ],
    "RFC 9110, 5.5: white space around a value is not part of it": [
        ([f"traceparent:{before}00-{TRACE}-{SPAN}-01{after}"], "01")
        for before, after in [("", ""), ("   ", ""), ("\t", ""), (" ", " "), (" \t ", "\t \t")]
    ],
    "version 00: three parts of fixed lengths, and nothing behind them": [
        (parent(more=more), NEW)
        for more in ("-", "-00", "-what-comes", ".", "0", " -", ",", ";a=b", "-" + "x" * 4000)
    ]
    + [
        ([f"traceparent: {value}"], NEW)
        for value in (
            "",
            "00",
            "00-",
            "-" * 55,
            "0" * 55,
            f"00-{TRACE}",
            f"00-{TRACE}-{SPAN}",
            f"00-{TRACE}-{SPAN}-",
            f"00-{TRACE}-{SPAN}-0",
            f"00-{TRACE}-{SPAN}-001",
            f"00_{TRACE}-{SPAN}-01",
            f"00-{TRACE}_{SPAN}-01",
            f"00-{TRACE}-{SPAN}_01",
            f"00 {TRACE} {SPAN} 01",
            f"00-{SPAN}-{TRACE}-01",
            f"00- {TRACE}-{SPAN}-01",
            f'"00-{TRACE}-{SPAN}-01"',
        )
    ],
    "version: ff is none, and what is no version begins a new trace": [
        (parent(version=version), NEW)
        for version in ("ff", "0", "000", "", "FF", "A0", "aA", "0g", ".0", "-1", "0x", "\xe900")
    ],
    "later versions: the parts of version 00 are read, and a dash may come behind them": [
        (parent(version=version, flags=flags, more=more), expect)
        for version in ("01", "02", "42", "cc", "fe")
        for flags, more, expect in [
            ("01", "", "01"),
            ("00", "", "00"),
            ("ff", "", "03"),
            ("01", "-", "01"),
            ("01", "-what-comes", "01"),
            ("01", '-01-\t "x";y=z,w', "01"),
            ("01", "-" + "x" * 4000, "01"),
            ("01", ".what", NEW),
            ("01", "0", NEW),
            ("01", "0-x", NEW),
            ("01", " -x", NEW),
            ("0", "", NEW),
            ("0", "-x", NEW),
            ("0G", "-x", NEW),
        ]
    ],
    "later versions: ids are as long as ever, hexadecimal, and divided by dashes": [
        (parent(version="cc", trace=TRACE[1:]), NEW),
        (parent(version="cc", trace=TRACE + "0"), NEW),
        (parent(version="cc", trace=TRACE[:-1] + "x"), NEW),
        (parent(version="cc", trace="0" * 32), NEW),
        (parent(version="cc", span=SPAN[1:]), NEW),
        (parent(version="cc", span=SPAN + "0"), NEW),
        (parent(version="cc", span="0" * 16), NEW),
        ([f"traceparent: cc-{TRACE}"], NEW),
    ],
    "trace-id: with other characters, or all zeros, the whole header counts for nothing": [
        (parent(trace=trace), NEW)
        for trace in (
            "0" * 32,
            TRACE.upper(),
            TRACE[:-1] + "F",
            TRACE[:-1] + "g",
            TRACE[:-1] + " ",
            TRACE[:-1] + "-",
            TRACE[:-1] + "\xe9",
            "." + TRACE[1:],
            "0x" + TRACE[2:],
            "+" + TRACE[1:],
            TRACE[1:],
            TRACE + "0",
            TRACE[:16],
            "",
        )
    ],
    "parent-id: the same": [
        (parent(span=span), NEW)
        for span in (
            "0" * 16,
            SPAN.upper(),
            SPAN[:-1] + "F",
            SPAN[:-1] + "g",
            SPAN[:-1] + ".",
            "+" + SPAN[1:],
            SPAN[1:],
            SPAN + "0",
            "",
        )
    ],
    "trace-flags: two lower-case hexadecimal digits, or a new trace begins": [
        (parent(flags=flags), NEW)
        for flags in ("", "1", "0g", "g0", "0A", "A0", "FF", "+1", "-1", " 1", "0x")
    ],
    "Ids may be any that are not all zeros": [
        (parent(trace="0" * 31 + "1"), "01"),
        (parent(trace="f" * 32), "01"),
        (parent(trace="0" * 16 + TRACE[16:]), "01"),
        (parent(span="0" * 15 + "1"), "01"),
        (parent(span="f" * 16), "01"),
    ],
    "RFC 9110, 5.3: a field that is no list comes once; several parents are none": [
        (parent() + parent(), NEW),
        (parent() + parent(flags="00"), NEW),
        (parent(trace="1" * 32) + parent(trace="2" * 32), NEW),
        (parent() + ["traceparent: "], NEW),
        (["traceparent: "] + parent(), NEW),
        (parent() + ["traceparent: \xff"], NEW),
        (parent() + ["TRACEPARENT: x"], NEW),
        (parent(more=f", 00-{TRACE}-{SPAN}-01"), NEW),
    ],
    "without a traceparent a new trace begins, and leaves": [
        ([], NEW),
        ([f"trace-parent: 00-{TRACE}-{SPAN}-01"], NEW),
        ([f"trace_parent: 00-{TRACE}-{SPAN}-01"], NEW),
    ],
}


@pytest.mark.parametrize("rule, lines, flags", cases(TRACEPARENT))
def test_t4_m3_traceparent(relay, rule, lines, flags):
    check_traceparent(relay, rule, lines, flags)


def check_traceparent(relay, rule, lines, flags):
    lines = lines + ["tracestate: a=1"]
    given = lines[0].split(":", 1)[1].strip(" \t")
    left = Left(*relay.ask(lines))
    if flags is NEW:
        assert left.trace_id not in "".join(lines).lower(), rule
        assert left.flags == "03", rule
        assert left.state is None, "without a parent no state goes on"
    else:
        assert left.trace_id == given[3:35], rule
        assert left.span_id not in given, "the parent of what leaves is a span of the service"
        assert left.flags == flags, rule
        assert left.state == "a=1", rule


def many(count, value="1"):
    return [f"k{number}={value}" for number in range(count)]


def state(*values):
    return [f"tracestate: {value}" for value in values]


KEY = "k" * 256
VALUE = "v" * 256
STATE_OF_512 = ",".join([f"z={'v' * 98}", *(f"{n}={'v' * 99}" for n in "abcd"), "e=v"])
assert len(STATE_OF_512) == 512

TRACESTATE = {
    "tracestate goes on": [
        (state("a=1"), "a=1"),
        (
            state("one=00f067aa0ba902b7,other=t61rcWkgMzE"),
            "one=00f067aa0ba902b7,other=t61rcWkgMzE",
        ),
        (["TraceState: a=1"], "a=1"),
        (["TRACESTATE: a=1", "tracestate: b=2"], "a=1,b=2"),
    ],
    "several fields are one list, in their order": [
        (state("a=1", "b=2"), "a=1,b=2"),
        (state("b=2", "a=1", "c=3"), "b=2,a=1,c=3"),
        (state("a=1,b=2", "c=3,d=4"), "a=1,b=2,c=3,d=4"),
        (
            ["tracestate: z=1", "x: y", "TraceState: y=2", "baggage: k=v", "tracestate: x=3"],
            "z=1,y=2,x=3",
        ),
        (state(*many(32)), ",".join(many(32))),
    ],
    "members, and whole fields, may be empty: they are taken, and do not leave": [
        (state(""), None),
        (state(" ", "\t"), None),
        (state(","), None),
        (state(", ,\t,"), None),
        (state("a=1,"), "a=1"),
        (state(",a=1"), "a=1"),
        (state("a=1,,b=2"), "a=1,b=2"),
        (state("a=1, \t ,b=2"), "a=1,b=2"),
        (state("", "a=1", "", "b=2", ""), "a=1,b=2"),
        (state("," * 2000 + "a=1"), "a=1"),
    ],
    "spaces and tabs around members are not part of them": [
        (state(" a=1 "), "a=1"),
        (["tracestate:\ta=1\t"], "a=1"),
        (state("a=1 , b=2"), "a=1,b=2"),
        (state("a=1\t,\tb=2"), "a=1,b=2"),
        (state("a=1 \t \t, \t b=2 \t"), "a=1,b=2"),
        (state("a=1 ", " b=2"), "a=1,b=2"),
    ],
    "32 members are the most; a list with more may be left out": [
        (state(",".join(many(32))), ",".join(many(32))),
        (state(",".join(many(33))), None),
        (state(*many(33)), None),
        (state(",".join(many(16)), ",".join(many(33)[16:])), None),
        (state(",".join(many(32)) + ",,, "), ",".join(many(32))),
    ],
    "keys: 1 to 256 characters of a few, the first a small letter or a digit": [
        (state(f"{key}=1"), f"{key}=1")
        for key in ("a", "0", "9z", "az09_-*/@", "a@b", "0t@v", "a@", "a@b@c", "t-1@sys/x*", KEY)
    ]
    + [(state(f"{'t' * 241}@{'s' * 14}=1"), f"{'t' * 241}@{'s' * 14}=1")]
    + [
        (state(f"{key}=1"), None)
        for key in (
            "",
            "A",
            "aB",
            "_a",
            "-a",
            "*a",
            "/a",
            "@a",
            "a b",
            "a\t",
            "a.b",
            "a:b",
            "a;b",
            "a+b",
            "\xe9",
            KEY + "k",
        )
    ],
    "values: 1 to 256 printable characters; spaces in front belong to them, behind do not": [
        (state("a=" + value), "a=" + value.rstrip(" "))
        for value in (
            "1",
            " 1",
            "   1",
            "1 2",
            "1  ",
            VALUE,
            " " * 255 + "v",
            "!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~",
        )
    ]
    + [
        (state("a=" + value), None)
        for value in ("", " ", "1=2", "=", "1\t2", "\xe9", "1\x80", VALUE + "v", " " + VALUE)
    ]
    + [(state("a"), None), (state("=1"), None), (state("a =1"), None), (state("a"), None)],
    "a key comes once, the newer member first": [
        (state("a=1,a=2"), "a=1"),
        (state("a=1", "a=1"), "a=1"),
        (state("a=1,b=2,a=3"), "a=1,b=2"),
        (state("a=1,a=2", "b=3,a=4"), "a=1,b=3"),
        (state(",".join(["a=1"] * 33)), None),
    ],
    "a list with something malformed may be left out": [
        (state("a=1,a=2,a"), None),
        (state("a=1,b=2,C=3"), None),
        (state("C=3", "a=1"), None),
        (state("a=1;b=2,c=3,d"), None),
    ],
    "512 characters of a list go on": [
        (state(STATE_OF_512), STATE_OF_512),
        (state(STATE_OF_512.replace(",", " , ")), STATE_OF_512),
        (state(STATE_OF_512 + "v"), STATE_OF_512[:-4]),
        (state(f"a={'v' * 253},b={'w' * 254}"), f"a={'v' * 253},b={'w' * 254}"),
        (state(f"a={'v' * 253}", f"b={'w' * 254}"), f"a={'v' * 253},b={'w' * 254}"),
        (state(",".join(many(32, "v" * 11))), ",".join(many(32, "v" * 11))),
    ],
    "of a longer list members over 128 characters go first, then the last ones": [
        (state(f"a=1,b={'v' * 250},c=2,d={'w' * 250},e=3"), f"a=1,b={'v' * 250},c=2,e=3"),
        (state(f"a=1,b={VALUE},c={VALUE},d={VALUE},e=3"), f"a=1,b={VALUE},e=3"),
        (state(",".join(many(6, "v" * 120))), ",".join(many(4, "v" * 120))),
        (
            state(f"a={'v' * 126}," + ",".join(many(4, "w" * 100))),
            f"a={'v' * 126}," + ",".join(many(3, "w" * 100)),
        ),
        (state(",".join(f"{n}={VALUE}" for n in "abcdefghijklmnopqrstuvwxyz")), f"a={VALUE}"),
    ],
    "who changes a member puts it in front; the others keep their order": [
        (state("a=1,ot=th:0,b=2"), "a=1,ot=th:0,b=2"),
        (state("ot=th:8;rv:ffffffffffffff,b=2"), "ot=th:8;rv:ffffffffffffff,b=2"),
        (state("a=1,ot=x:y,b=2"), "a=1,ot=x:y,b=2"),
        (state("a=1,ot=nonsense,b=2"), "a=1,ot=nonsense,b=2"),
        # The caller cannot have sampled it with this probability: a modified key goes left.
        (state("a=1,ot=th:8;rv:00000000000000;x:y,b=2"), "ot=rv:00000000000000;x:y,a=1,b=2"),
        (state("a=1,ot=th:ffff,b=2"), "a=1,b=2"),
    ],
}


@pytest.mark.parametrize("rule, lines, expect", cases(TRACESTATE))
def test_t4_tracestate(relay, rule, lines, expect):
    check_tracestate(relay, rule, lines, expect)


def check_tracestate(relay, rule, lines, expect):
    left = Left(*relay.ask([PARENT, *lines]))
    sound = (left.trace_id, left.flags) == (TRACE, "01")
    assert sound, "a malformed list costs nothing of the parent"
    assert left.state == expect, rule
    # The order of the lines of different fields says nothing.
    assert Left(*relay.ask([*lines, PARENT])).state == expect, rule
    left = Left(*relay.ask(lines))
    assert left.state is None, "without a traceparent it counts for nothing"


def bag(*values):
    return [f"baggage: {value}" for value in values]


EIGHT_KIB = ",".join(f"k{n:02}=" + "v" * 123 for n in range(64))
assert len(EIGHT_KIB) == 8191

BAGGAGE = {
    "baggage goes on": [
        (bag("k=v"), "k=v"),
        (["BAGGAGE: k=v"], "k=v"),
        (["Baggage:k=v"], "k=v"),
        (
            bag("user=ada,node=eu%2028,test=false"),
            "user=ada,node=eu%2028,test=false",
        ),
        ([], None),
    ],
    "several fields are one list": [
        (bag("a=1", "b=2"), "a=1,b=2"),
        (bag("a=1,b=2", "c=3"), "a=1,b=2,c=3"),
        (["baggage: a=1", "x: y", "Baggage: b=2"], "a=1,b=2"),
        (bag("a=1", "", "b=2"), "a=1,b=2"),
        (bag(*many(64)), ",".join(many(64))),
    ],
    "white space around keys and values is not part of them": [
        (bag(" k=v "), "k=v"),
        (bag("k = v"), "k=v"),
        (bag("k\t=\tv\t,\tl \t= \tw"), "k=v,l=w"),
        (bag("a=1 , b=2"), "a=1,b=2"),
        (
            bag("user =   ada", "node = eu%2028, test = false"),
            "user=ada,node=eu%2028,test=false",
        ),
    ],
    "keys are tokens of HTTP": [
        (bag(f"{key}=v"), f"{key}=v")
        for key in ("a", "A", "0", "!#$%&'*+-.^_`|~09azAZ", "%41", "k" * 1000)
    ],
    "values: any printable character but a few; more equal signs do no harm": [
        (bag(f"k={value}"), f"k={value}")
        for value in (
            "",
            "=",
            "a=b",
            "===",
            "!#$&'()*+-./:<=>?@[]^_`{|}~",
            "a+b",
            "09azAZ",
            "v" * 8000,
            "/" * 8000,
        )
    ],
    "what need not be percent-encoded may be": [
        (bag(f"k={value}"), f"k={value}")
        for value in (
            "%20",
            "Am%C3%A9lie",
            "%41",
            "%2B",
            "%25",
            "%2c%2C",
            "%3B%22%5C",
            "%E4%B8%96",
            "%00",
            "%7F",
            "%0A" * 2000,
        )
    ],
    "what decodes to no UTF-8 reads as the replacement character": [
        (bag("k=%FF"), "k=%EF%BF%BD"),
        (bag("k=a%C3b"), "k=a%EF%BF%BDb"),
        (bag("k=%C3%A9%80"), "k=%C3%A9%EF%BF%BD"),
    ],
    "properties, with values or without, go on behind the value": [
        (bag("k=v;p"), "k=v;p"),
        (bag("k=v;p=1"), "k=v;p=1"),
        (bag("k=v;p=1;q;r=a=b"), "k=v;p=1;q;r=a=b"),
        (bag("k=v;p="), "k=v;p="),
        (bag("k=;p"), "k=;p"),
        (bag("k=v;p=%20%C3%A9"), "k=v;p=%20%C3%A9"),
        (bag("k=v;p;p;p=1"), "k=v;p;p;p=1"),
        (
            bag(
                "key1=value1;property1;property2, key2 = value2, "
                "key3=value3; propertyKey=propertyValue"
            ),
            "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue",
        ),
    ],
    "white space in properties is not part of them": [
        (bag("k=v ; p"), "k=v;p"),
        (bag("k=v\t;\tp\t;\tq = 1 , l=w"), "k=v;p;q=1,l=w"),
    ],
    "of a key that comes again the last entry may be the one": [
        (bag("k=1,l=2,k=3"), "k=3,l=2"),
        (bag("k=1;p", "k=2"), "k=2"),
    ],
    "up to 64 entries and 8,192 bytes everything goes on": [
        (bag(",".join(many(64))), ",".join(many(64))),
        (bag(EIGHT_KIB), EIGHT_KIB),
        (bag(EIGHT_KIB + "v"), EIGHT_KIB + "v"),
        (bag(*EIGHT_KIB.split(",")), EIGHT_KIB),
        (bag(EIGHT_KIB.replace(",", " \t ,  ")), EIGHT_KIB),
        (bag("k=" + "v" * 8190), "k=" + "v" * 8190),
        (bag("k=v;" + "p" * 8188), "k=v;" + "p" * 8188),
        (
            bag("a=1;" + "p" * 4092 + ",b=1;" + "q" * 4091),
            "a=1;" + "p" * 4092 + ",b=1;" + "q" * 4091,
        ),
        (bag("k=" + "%C3%A9" * 1365), "k=" + "%C3%A9" * 1365),
    ],
    "beyond that whole entries may be left out, until both hold": [
        (bag(",".join(many(65))), ",".join(many(64))),
        (bag(",".join(many(180))), ",".join(many(64))),
        (bag(*many(80)), ",".join(many(64))),
        (bag("k=" + "v" * 8191), None),
        (bag("a=1,big=" + "v" * 9000 + ",b=2"), "a=1,b=2"),
        (bag("big=" + "v" * 9000, "a=1", "b=2"), "a=1,b=2"),
        (bag(EIGHT_KIB + ",k64=" + "v" * 10), EIGHT_KIB),
        (bag("a=" + "v" * 5000, "b=" + "v" * 5000, "c=3"), "a=" + "v" * 5000 + ",c=3"),
    ],
    "an entry that is malformed may be left out alone": [
        (bag(""), None),
        (bag(","), None),
        (bag("k"), None),
        (bag("=v"), None),
        (bag("k,a=1"), "a=1"),
        (bag("=v,a=1"), "a=1"),
        (bag("a b=v,a=1"), "a=1"),
        (bag("(k)=v,a=1"), "a=1"),
        (bag('"k"=v,a=1'), "a=1"),
        (bag(";p,a=1"), "a=1"),
        (bag("k;p=v,a=1"), "a=1"),
        (bag(",,a=1,,b=2,"), "a=1,b=2"),
        (bag("k=\xe9,a=1"), "a=1"),
        (bag("\xe9=v,a=1"), "a=1"),
        (bag("a=1", "k=\xff\xfe", "b=2"), "a=1,b=2"),
        (bag("big" * 3000 + ",a=1"), "a=1"),
    ],
    "or mended, by encoding what must not stand there": [
        (bag("k=a b"), "k=a%20b"),
        (bag("k=a\tb"), "k=a%09b"),
        (bag('k="v"'), "k=%22v%22"),
        (bag("k=a\\b"), "k=a%5Cb"),
        (bag("k=100%"), "k=100%25"),
        (bag("k=%zz"), "k=%25zz"),
        (bag("k=%4"), "k=%254"),
    ],
    "or without those of its properties that are malformed": [
        (bag("k=v;"), "k=v"),
        (bag("k=v;;p"), "k=v;p"),
        (bag("k=v; ;p; "), "k=v;p"),
        (bag("k=v;=1;p"), "k=v;p"),
        (bag("k=v;a b;p"), "k=v;p"),
        (bag('k=v;p="x";q'), "k=v;q"),
        (bag("k=v;p=a b;q"), "k=v;q"),
        (bag("k=v;p=%4;q"), "k=v;q"),
    ],
}


@pytest.mark.parametrize("rule, lines, expect", cases(BAGGAGE))
def test_t4_baggage(relay, rule, lines, expect):
    check_baggage(relay, rule, lines, expect)


def check_baggage(relay, rule, lines, expect):
    assert Left(*relay.ask([PARENT, *lines])).baggage == expect, rule
    # Baggage can be used regardless of whether distributed tracing is used.
    assert Left(*relay.ask(lines)).baggage == expect, rule


def test_t4_each_request_that_leaves_is_a_child_of_its_own():
    relay = Relay(asks=3)
    lines = [PARENT, "tracestate: a=1", "baggage: k=v"]
    left = [Left(headers) for _ in range(2) for headers in relay.ask(lines)]
    relay.stop()
    assert {one.trace_id for one in left} == {TRACE}
    assert len({one.span_id for one in left} | {SPAN}) == 7
    assert {(one.state, one.baggage) for one in left} == {("a=1", "k=v")}


# Bits of OTLP's `Span.flags`.
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200


@pytest.mark.parametrize("flags", ["01", "03"])
def test_t4_spans_are_what_the_headers_say(relay, flags):
    left = Left(*relay.ask(parent(flags=flags) + ["tracestate: ot=th:0,a=1"]))
    wait_for(lambda: left.span_id in relay.next.spans)
    client = relay.next.spans[left.span_id]
    wait_for(lambda: client.parent_span_id.hex() in relay.next.spans)
    server = relay.next.spans[client.parent_span_id.hex()]
    assert server.parent_span_id.hex() == SPAN
    assert {span.trace_id.hex() for span in (client, server)} == {TRACE}
    assert server.flags == HAS_IS_REMOTE | IS_REMOTE | int(flags, 16)
    assert client.flags == HAS_IS_REMOTE | int(flags, 16)
    assert server.trace_state == client.trace_state == left.state == "ot=th:0,a=1"


# The sampled flag that leaves: for callers' flags 00 and 01, and without a caller.
SAMPLERS = {
    "parentbased_always_on": "011",
    "parentbased_always_off": "010",
    "parentbased_traceidratio:0": "010",
    "parentbased_traceidratio:1": "011",
    "always_on": "111",
    "always_off": "000",
    "traceidratio:0": "000",
    "traceidratio:1": "111",
}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_m3_the_callers_decision_is_honoured(sampler):
    name, _, argument = sampler.partition(":")
    variables = {"OTEL_TRACES_SAMPLER_ARG": argument} if argument else {}
    relay = Relay(OTEL_TRACES_SAMPLER=name, **variables)
    left = {}
    for random in (0, 2):
        for flags in (0, 1):
            given = parent(flags=f"{random | flags:02x}")
            left[random | flags] = Left(*relay.ask([*given, "tracestate: a=1"]))
    alone = Left(*relay.ask([]))
    relay.stop()
    for flags, one in left.items():
        assert one.trace_id == TRACE
        assert one.flags == f"{flags & 2 | int(SAMPLERS[sampler][flags & 1]):02x}", flags
        # What is sampled is sent, all else is not.
        assert (one.span_id in relay.next.spans) == (one.flags[1] in "13"), flags
        assert one.members[-1] == ("a", "1")
    assert alone.flags == f"{2 | int(SAMPLERS[sampler][2]):02x}"
    assert (alone.span_id in relay.next.spans) == (alone.flags == "03")


# By OpenTelemetry's "TraceState: Probability Sampling": sampled if the last 56 bits of the trace
# id, or `rv`, are at least the threshold. A modified key is moved to the left; others stay.
HALF = [
    ("8" + "0" * 13, [], "01", "ot=th:8"),
    ("7" + "f" * 13, [], "00", None),
    ("f" * 14, state("a=1,b=2"), "01", "ot=th:8,a=1,b=2"),
    ("f" * 14, state("a=1,ot=th:0;x:y,b=2"), "01", "ot=th:8;x:y,a=1,b=2"),
    ("f" * 14, state("a=1,ot=rv:70000000000000"), "00", "a=1,ot=rv:70000000000000"),
    ("1" * 14, state("a=1,ot=rv:90000000000000"), "01", "ot=th:8;rv:90000000000000,a=1"),
    ("1" * 14, state("a=1,ot=th:0"), "00", "a=1"),
    # "If adding an entry would cause the list to contain more than 32 list-members the
    # right-most list-member should be removed."
    ("f" * 14, state(",".join(many(32))), "01", "ot=th:8," + ",".join(many(31))),
    # A value has 256 characters at most.
    ("f" * 14, state(f"ot=x:{'y' * 254}"), "01", "ot=th:8"),
    ("f" * 14, state(f"ot=x:{'y' * 249}"), "01", f"ot=th:8;x:{'y' * 249}"),
    ("f" * 14, state(f"ot=x:{'y' * 248};z:1"), "01", f"ot=th:8;x:{'y' * 248}"),
]


def test_t4_what_a_sampler_adds_stands_left():
    relay = Relay(OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5")
    for random, lines, flags, expect in HALF:
        left = Left(*relay.ask(parent(trace=TRACE[:18] + random) + lines))
        assert (left.flags, left.state) == (flags, expect), (random, lines)
    relay.stop()
