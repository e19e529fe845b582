"""The curves of the benchmark, and the answers of peers that are at hand."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks import agency_peers as peers
from benchmarks.agency_curves import HORIZON, SLOTS, drawn, plainly_read, written
from benchmarks.agency_stream import streamed
from loadloom.engine.datasets.data_set import Layout
from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.curves import in_memory


def test_curves_are_drawn_alike_and_are_households():
    load = drawn(2_000)
    assert np.array_equal(load, drawn(2_000))
    found = aggregate(in_memory(load), HORIZON)
    assert 0.3 < found.load_factor < 0.7
    assert 70 <= found.peak_slots[0] <= 82
    assert load.min() > 0.0


def test_a_plain_read_sees_every_word():
    words = drawn(50).view(np.int64)
    assert plainly_read(words) == np.bitwise_xor.reduce(words, axis=None)


@pytest.mark.parametrize("peer", [peers.numpy_peer, peers.pandas_peer])
def test_peers_answer_the_same(peer):
    load = drawn(3_000)
    ours, theirs = peers.ours(load, 1)(), peer(load)()
    for column in ("total_kw", "energy_kwh", "coincident_kw", "peak_without_kw"):
        np.testing.assert_allclose(getattr(theirs, column), getattr(ours, column), rtol=1e-6)


def test_both_files_have_the_curves(tmp_path):
    files = written(60_000, tmp_path)
    due = aggregate(in_memory(drawn(60_000)), HORIZON)
    assert files.energy_kwh == pytest.approx(due.energy_kwh, rel=1e-12)
    for path, layout in (
        (files.lists, Layout.WIDE_LIST),
        (files.columns, Layout.WIDE_COLUMNS),
    ):
        found = streamed(path, layout, 1)
        assert np.array_equal(found.total_kw, due.total_kw)
        assert np.array_equal(found.users.coincident_kw, due.users.coincident_kw)
    for what, energy_kwh in (("sum", due.energy_kwh), ("read", 0.0)):
        command = ["benchmarks.agency_stream", what, str(files.lists), "list", "1"]
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, check=True
        )
        seconds, *found, peak_mib = map(float, done.stdout.split())
        assert (seconds > 0, found) == (True, [60_000, energy_kwh])
        assert peak_mib > SLOTS
