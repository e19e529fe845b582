"""Chunks that come once, gone over as often as it takes."""

from datetime import UTC, datetime

import numpy as np

from loadloom.engine.datasets.spool import Spool
from loadloom.models.agency.aggregate import aggregate
from loadloom.models.agency.completeness import Fill, FillRule, Mark, Rules
from loadloom.models.agency.curves import Chunk, Rows, all_chunks
from loadloom.models.horizon import Horizon

HORIZON = Horizon(start=datetime(2026, 12, 1, tzinfo=UTC), step_h=np.ones(24))


def chunks():
    rng = np.random.default_rng(4)
    for k in range(5):
        load = (rng.random((40, 24)) * (1 + np.roll(np.arange(24), 5 * k))).astype(np.float32)
        load[3, 5:7] = np.nan
        marks = np.zeros(load.shape, np.uint8)
        marks[2, 4] = Mark.LATE
        yield Chunk(
            load_kw=load.astype(np.float64) if k == 3 else load,
            marks=marks if k % 2 else None,
            group=(np.arange(40) % 2).astype(np.int32),
            group_names=("a", "b"),
            names=tuple(f"{k} {i}" for i in range(40)),
            first_row=40 * k,
        )


def test_spooled_chunks_are_what_was_put_in_and_are_gone_in_the_end():
    with Spool() as spool:
        for chunk in chunks():
            spool.add(chunk)
        parts = spool.parts()
        for _ in range(2):
            for found, due in zip(all_chunks(parts), chunks(), strict=True):
                assert found.load_kw.dtype == due.load_kw.dtype
                assert np.array_equal(found.load_kw, due.load_kw, equal_nan=True)
                assert (found.names, found.first_row) == (due.names, due.first_row)
                assert (found.marks is None) == (due.marks is None)
                assert due.marks is None or np.array_equal(found.marks, due.marks)
        path = parts[0].path
        assert path.stat().st_size == 5 * 40 * 24 * 4 + 40 * 24 * 4 + 2 * 40 * 24
    assert not path.exists()


def test_a_stream_has_the_same_aggregate_as_curves_in_memory():
    rules = Rules(fills=(FillRule(fill=Fill.AREA_PROFILE),))
    due = aggregate([Rows(chunk) for chunk in chunks()], HORIZON, rules=rules, levels=(50.0,))
    with Spool() as spool:
        for chunk in chunks():
            spool.add(chunk)
        found = aggregate(spool.parts(), HORIZON, rules=rules, levels=(50.0,))
    assert np.array_equal(found.total_kw, due.total_kw)
    assert np.array_equal(found.users.coincident_kw, due.users.coincident_kw)
    assert np.array_equal(found.users.peak_without_kw, due.users.peak_without_kw)
    assert np.array_equal(found.completeness.user_filled, due.completeness.user_filled)
    assert np.array_equal(found.percentiles.load_kw, due.percentiles.load_kw)
