"""Whatever the bytes, the stream's codec and protobuf agree on what they say.

Messages are taken apart, changed as the wire format allows or forbids, and put together again.
"""

import random
from array import array
from dataclasses import dataclass, replace

import pytest
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status

from loadloom.v1 import dispatch_pb2 as dispatch
from loadloom.wire import columns, varints
from loadloom.wire.fields import table, walk

NUMBER, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)


@dataclass(frozen=True)
class Field:
    """A field taken apart: `content` is a number, bytes, or the fields inside."""

    number: int
    wire: int
    content: "int | bytes | list[Field]"
    tag_width: int = 1
    length_width: int = 1
    number_width: int = 1
    length_error: int = 0

    def raw(self) -> bytes:
        """The bytes of the field."""
        tag = varints.encode(self.number << 3 | self.wire, self.tag_width)
        if self.wire == NUMBER:
            return tag + varints.encode(self.content, self.number_width)
        content = self.content if isinstance(self.content, bytes) else raw(self.content)
        if self.wire == LENGTH:
            length = max(0, len(content) + self.length_error)
            return tag + varints.encode(length, self.length_width) + content
        if self.wire == GROUP:
            return tag + content + varints.encode(self.number << 3 | GROUP_END)
        return tag + content


def raw(fields) -> bytes:
    """The bytes of fields one after another."""
    return b"".join(field.raw() for field in fields)


def fields(message):
    """The fields of a message, in order."""
    return [_field(descriptor, value) for descriptor, value in message.ListFields()]


def _field(descriptor, value):
    if isinstance(value, Message):
        return Field(descriptor.number, LENGTH, fields(value))
    if isinstance(value, str):
        return Field(descriptor.number, LENGTH, value.encode())
    if isinstance(value, int):
        return Field(descriptor.number, NUMBER, value)
    if descriptor.type == descriptor.TYPE_DOUBLE:
        return Field(descriptor.number, LENGTH, array("d", value).tobytes())
    if descriptor.message_type is not None:
        return Field(descriptor.number, LENGTH, fields(value[0]))
    return Field(descriptor.number, LENGTH, b"".join(varints.encode(n % 2**64) for n in value))


def split_run(rng, it):
    """A run of doubles in two, or one by one without a run."""
    if not isinstance(it.content, bytes) or len(it.content) < 8:
        return [it, it]
    if rng.random() < 0.5:
        cut = rng.randrange(0, len(it.content) + 1, 8)
        return [replace(it, content=it.content[:cut]), replace(it, content=it.content[cut:])]
    content = it.content
    return [
        replace(it, wire=FIXED64, content=content[at : at + 8]) for at in range(0, len(content), 8)
    ]


def split_message(rng, it):
    """A message in two that protobuf merges."""
    if not isinstance(it.content, list):
        return [it]
    first = [inner for inner in it.content if rng.random() < 0.5]
    second = [inner for inner in it.content if inner not in first]
    return [replace(it, content=first), replace(it, content=second)]


def repeat(rng, it):
    """A field twice, the same or with less in it."""
    less = (
        it.content[: rng.randrange(len(it.content) + 1)] if it.wire == LENGTH else rng.randrange(9)
    )
    return rng.choice([[it, it], [it, replace(it, content=less)], [replace(it, content=less), it]])


def widen(rng, it):
    """A field whose tag, length or number takes more bytes than it needs, or than it may."""
    part = rng.choice(["tag_width", "length_width", "number_width"])
    return [replace(it, **{part: rng.randrange(2, 12)})]


def change_wire(rng, it):
    """A known field with a wire type that is not its own."""
    content = {
        NUMBER: 7,
        FIXED64: rng.randbytes(8),
        LENGTH: rng.randbytes(rng.randrange(20)),
        GROUP: [Field(1, NUMBER, 5)],
        GROUP_END: b"",
        FIXED32: rng.randbytes(4),
        6: b"",
    }
    wire = rng.choice(list(content))
    return [replace(it, wire=wire, content=content[wire])]


def add_unknown(rng, it):
    """A field beside one of a number that the message does not have, or that nothing may have."""
    number = rng.choice([0, 15, 22, 100, 2**20, 2**28])
    return rng.sample([it, *change_wire(rng, replace(it, number=number))], 2)


def wrong_length(rng, it):
    """A length that is not that of the content."""
    return [replace(it, length_error=rng.choice([-8, -2, -1, 1, 2, 8, 300, 2**31]))]


def odd_number(rng, it):
    """A number at the edge of its type, or beyond."""
    numbers = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32 + 2, 2**63, 2**64 - 1]
    if it.wire == NUMBER:
        return [replace(it, content=rng.choice(numbers))]
    return [Field(it.number, NUMBER, rng.choice(numbers)), it]


def odd_bytes(rng, it):
    """Bytes that are no text, no doubles, no message, or nothing."""
    if it.wire != LENGTH:
        return [it]
    odd = [b"", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80" * 9 + b"\x7e"]
    return [replace(it, content=rng.choice([*odd, rng.randbytes(rng.randrange(1, 30))]))]


def drop(_rng, _it):
    """Nothing."""
    return []


MUTATIONS = [split_run, split_message, repeat, widen, change_wire, add_unknown]
MUTATIONS += [wrong_length, odd_number, odd_bytes, drop]


def count(them):
    """The number of fields at every depth."""
    return sum(1 + (count(it.content) if isinstance(it.content, list) else 0) for it in them)


def mutated(rng, them, share):
    """The fields with about a share of them changed, and sometimes in another order."""
    changed = []
    for it in them:
        nested = isinstance(it.content, list)
        kept = replace(it, content=mutated(rng, it.content, share)) if nested else it
        changed += rng.choice(MUTATIONS)(rng, kept) if rng.random() < share else [kept]
    if rng.random() < 0.2:
        rng.shuffle(changed)
    return changed


def spoiled(rng, whole):
    """Bytes with a few of them flipped, cut off, or put in."""
    whole = bytearray(whole)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(whole) + 1)
        whole[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(whole[: rng.randrange(len(whole) + 1)] if rng.random() < 0.3 else whole)


def series(rng, count):
    return {
        "values": [rng.choice([0.0, -0.0, 1.5, float("nan"), float("inf")]) for _ in range(count)]
    }


def matrix(rng):
    rows, cols = rng.randrange(4), rng.randrange(1, 5)
    size = rows * cols if rng.random() < 0.97 else rng.randrange(5)
    return {"rows": rows or 1, "cols": cols, "values": series(rng, size or cols)}


def request(rng):
    """Any message to the server."""
    if rng.random() < 0.1:
        grid = {"count": 4, "time_zone": "Europe/Amsterdam", "step": {"seconds": 900}}
        setup = {"grid": grid, "buy_price_per_kwh": series(rng, 4), "columns": [1, 7]}
        return dispatch.StreamPlanDispatchRequest(setup=setup)
    names = rng.sample(columns.SITE_MATRICES, rng.randrange(4))
    sites = {name: matrix(rng) for name in names}
    sites |= {"key": rng.choice(["", "a", "straße"]), "site_count": rng.choice([0, 3, 1000])}
    return dispatch.StreamPlanDispatchRequest(sites=sites)


def response(rng):
    """Any message from the server."""
    if rng.random() < 0.1:
        ready = {"sites_per_batch": 1000, "points": 10**6, "batches_under_way": 4}
        return dispatch.StreamPlanDispatchResponse(ready=ready)
    plans = {name: matrix(rng) for name in rng.sample(columns.PLAN_MATRICES, rng.randrange(3))}
    plans |= {name: series(rng, 3) for name in rng.sample(columns.PLAN_SERIES, rng.randrange(3))}
    plans |= {"key": rng.choice(["", "a", "straße"])}
    plans |= {"reasons": rng.choice([[], [1, 1, 3], [1, 200, -1]])}
    plans |= {"conflict_intervals": rng.choice([[], [-1, -1, -1], [-1, 17, 671], [3, 4]])}
    plans |= rng.choice([{}, {"solve_time": {"seconds": 2, "nanos": 500_000_000}}])
    if rng.random() < 0.1:
        plans["error"] = Status(code=3, message="site_count is 0")
    return dispatch.StreamPlanDispatchResponse(plans=plans)


def bits(values):
    return array("d", values).tobytes()


def series_said(message, names):
    return {name: bits(getattr(message, name).values) for name in names if message.HasField(name)}


def matrices_said(message, names):
    """What protobuf finds in the matrices, or the names of those that their values do not fill."""
    found = {name: getattr(message, name) for name in names if message.HasField(name)}
    bad = [
        name
        for name, it in found.items()
        if not it.values.values or it.rows * it.cols != len(it.values.values)
    ]
    if bad:
        return ["bad", message.key, *bad]
    return {name: ((it.rows, it.cols), bits(it.values.values)) for name, it in found.items()}


def request_said(whole):
    """What protobuf reads in a request."""
    message = dispatch.StreamPlanDispatchRequest.FromString(whole)
    kind = message.WhichOneof("message")
    if kind != "sites":
        return ("setup", bytes_of(message.setup)) if kind else "malformed"
    sites = message.sites
    matrices = matrices_said(sites, columns.SITE_MATRICES)
    return matrices if isinstance(matrices, list) else (sites.key, sites.site_count, matrices)


def response_said(whole):
    """What protobuf reads in a response."""
    message = dispatch.StreamPlanDispatchResponse.FromString(whole)
    kind = message.WhichOneof("message")
    if kind != "plans":
        return ("ready", bytes_of(message.ready)) if kind else "malformed"
    plans = message.plans
    matrices = matrices_said(plans, columns.PLAN_MATRICES)
    if isinstance(matrices, list):
        return matrices
    return (
        plans.key,
        bytes_of(plans.error) if plans.HasField("error") else None,
        list(plans.reasons),
        list(plans.conflict_intervals),
        series_said(plans, columns.PLAN_SERIES),
        matrices,
        plans.solve_time.seconds + plans.solve_time.nanos * 1e-9,
    )


def bytes_of(message):
    return message.SerializeToString(deterministic=True)


def matrices_read(matrices):
    return {name: (values.shape, values.tobytes()) for name, values in matrices.items()}


def request_read(whole):
    """What the codec reads in a request."""
    found = columns.decode_request(whole)
    if isinstance(found, dispatch.StreamSetup):
        return "setup", bytes_of(found)
    return found.key, found.site_count, matrices_read(found.matrices)


def response_read(whole):
    """What the codec reads in a response."""
    found = columns.decode_response(whole)
    if isinstance(found, dispatch.StreamReady):
        return "ready", bytes_of(found)
    return (
        found.key,
        None if found.error is None else bytes_of(found.error),
        found.reasons.tolist(),
        found.conflict_intervals.tolist(),
        {name: values.tobytes() for name, values in found.series.items()},
        matrices_read(found.matrices),
        found.solve_time_s,
    )


@dataclass(frozen=True)
class Side:
    """A direction of the stream: its messages, how protobuf reads them, and how the codec does."""

    message: type
    make: object
    said: object
    read: object

    def expected(self, whole):
        try:
            return self.said(whole)
        except DecodeError:
            return "malformed"

    def got(self, whole):
        try:
            return self.read(whole)
        except columns.MalformedMessage:
            return "malformed"
        except columns.BadMatrix as error:
            return ["bad", error.key, *(name for name, _ in error.violations)]

    def plain(self, whole):
        """Whether the bytes are read without protobuf."""
        try:
            walk(whole, 0, len(whole), table(self.message.DESCRIPTOR))
        except varints.UnusualEncoding:
            return False
        return True


SIDES = {
    "request": Side(dispatch.StreamPlanDispatchRequest, request, request_said, request_read),
    "response": Side(dispatch.StreamPlanDispatchResponse, response, response_said, response_read),
}


@pytest.fixture(params=SIDES)
def side(request):
    return SIDES[request.param]


def compare(side, rng, rounds, mutate):
    """How many mutants protobuf refused, how many were read without it, and how many needed it."""
    refused = plain = unusual = 0
    for _ in range(rounds):
        whole = mutate(rng, side.make(rng))
        expected = side.expected(whole)
        assert side.got(whole) == expected, whole.hex()
        if expected == "malformed":
            refused += 1
        elif side.plain(whole):
            plain += 1
        else:
            unusual += 1
    return refused, plain, unusual


def by_grammar(rng, message):
    tree = fields(message)
    return raw(mutated(rng, tree, rng.choice([1, 2, 5]) / count(tree)))


def by_bytes(rng, message):
    return spoiled(rng, message.SerializeToString())


@pytest.mark.parametrize("mutate", [by_grammar, by_bytes], ids=["grammar", "bytes"])
@pytest.mark.parametrize("rounds", [4_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_mutants_are_read_as_protobuf_reads_them(side, mutate, rounds):
    outcomes = compare(side, random.Random(rounds), rounds, mutate)
    assert min(outcomes) > rounds / 100, outcomes  # each of the three is well tried


def test_columns_as_protobuf_writes_them_are_read_without_it(side):
    rng = random.Random(1)
    for _ in range(300):
        message = side.make(rng)
        batch = getattr(message, message.WhichOneof("message"))
        present = {field.name for field, _ in batch.ListFields()}
        columnar = isinstance(batch, dispatch.SiteBatch | dispatch.PlanBatch)
        assert side.plain(message.SerializeToString()) == (columnar and "error" not in present)


@pytest.mark.parametrize("depth", [1, 10, *range(90, 110), 1000])
def test_unknown_groups_are_skipped_as_deep_as_protobuf_skips_them(side, depth):
    group = b"\xa3\x06" * depth + b"\xa4\x06" * depth
    inner = b"\x0a\x01k" + group
    whole = b"\x12" + varints.encode(len(inner)) + inner
    assert side.got(whole) == side.expected(whole)
