"""Selections: the sifted relaxation is that of all rows and columns, and its bound holds."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.solvers.coupled.budget import Budget, Race
from loadloom.solvers.highs import Model
from loadloom.solvers.kernels.selecting import answers, prefixes, totals, values
from loadloom.solvers.kernels.spans import products
from loadloom.solvers.kernels.swaps import climb
from loadloom.solvers.selection import relaxation, search
from loadloom.solvers.selection.items import (
    Bins,
    Items,
    Prices,
    answered,
    regrets,
    summed,
    value_of,
)
from loadloom.solvers.selection.programme import core_of, units_of
from loadloom.solvers.selection.relaxation import no_prices, relax
from loadloom.solvers.selection.search import broken_by
from loadloom.solvers.selection.solve import select

INF = np.inf


def race():
    return Race(budget=Budget(), relative_gap=0.0)


def instance(random, count, steps, bins=1, lines=1, *, limited=False, dtype=np.float64):
    use = (random.random((count, steps)) * random.lognormal(0.0, 0.5, (count, 1))).astype(dtype)
    size = use.sum(axis=1, dtype=float)
    worth = random.uniform(0.2, 1.0, (count, bins)) * size[:, None]
    worth[random.random((count, bins)) < 0.1] = -INF
    must = (random.random(count) < 0.05) & np.isfinite(worth).any(axis=1)
    share, even = size.sum() / bins, np.ones(bins)
    items = Items(use=use, size=size, worth=worth, must=must)
    return items, Bins(
        per_size=np.sort(random.uniform(0.1, 0.5, (bins, lines)), axis=1)[:, ::-1].copy(),
        per_peak=np.sort(random.uniform(0.05, 0.4, (bins, lines)), axis=1) * steps,
        size_low=even * (0.2 * share if limited else 0.0),
        size_high=even * (0.5 * share if limited else INF),
        count_low=even * (1.0 if limited else 0.0),
        count_high=even * (0.6 * count if limited else INF),
        peak_high=even * (0.6 * share / steps if limited else INF),
    )


def whole_relaxation(items, bins):
    """The value of the linear relaxation in one programme."""
    core = core_of(
        items,
        bins,
        units_of(items, bins),
        np.arange(items.count),
        summed(items, np.full(items.count, -1, np.int32)),
        0.0,
        steps=np.arange(items.use.shape[1]),
        elastic=0.0,
    )
    return core.worth(Model(core.program).solve().termination.objective)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("bins", [1, 3])
def test_sifting_finds_the_relaxation_of_all_rows_and_columns(monkeypatch, bins, limited):
    """With programmes of few columns and rows, as for a million items and a month of steps."""
    monkeypatch.setattr(relaxation, "CORE", 60)
    monkeypatch.setattr(relaxation, "ROWS", 5)
    random = np.random.default_rng(1)
    for lines in (1, 3):
        items, limits = instance(random, 400, 30, bins, lines, limited=limited)
        want = whole_relaxation(items, limits)
        found = relax(items, limits, race())
        assert found.bound >= want - 1e-7 * abs(want)
        assert found.bound == pytest.approx(want, rel=1e-4)
        assert not found.is_infeasible


def test_any_prices_prove_a_bound():
    random = np.random.default_rng(2)
    items, bins = instance(random, 10, 4, lines=2, limited=True)
    choices = [(np.array(list(np.binary_repr(n, 10))) == "1") - 1 for n in range(1024)]
    choices = [choice.astype(np.int32) for choice in choices]
    kept = [
        value_of(items, bins, choice)
        for choice in choices
        if broken_by(items, bins, choice) == 0.0
        and not (items.must & (choice < 0)).any()
        and np.isfinite(items.worth[choice >= 0, 0]).all()
    ]
    assert kept
    for _ in range(50):
        mix = random.dirichlet([1.0, 1.0])[None]
        step = random.dirichlet(np.ones(4))[None] * random.uniform(0.5, 2.0)
        step *= float((mix * bins.per_peak).sum())
        owed = np.maximum(0.0, step.sum(axis=1) - (mix * bins.per_peak).sum(axis=1))
        prices = Prices(
            step=step,
            mix=mix,
            size=random.normal(0.0, 0.2, 1),
            count=random.normal(0.0, 0.2, 1),
            peak=owed,
        )
        assert answered(items, bins, prices).bound >= max(kept) - 1e-9


def test_a_selection_is_never_worth_more_than_the_bound_less_its_regrets():
    random = np.random.default_rng(3)
    items, bins = instance(random, 50, 6, 2)
    found = relax(items, bins, race())
    regret = regrets(items, bins, found.prices)
    for _ in range(200):
        choice = random.integers(-1, 2, 50).astype(np.int32)
        allowed = np.isfinite(regret[np.arange(50), choice + 1])
        choice = np.where(allowed, choice, found.answers.choice).astype(np.int32)
        lost = regret[np.arange(50), choice + 1].sum()
        assert value_of(items, bins, choice) <= found.bound - lost + 1e-9


def test_the_bound_scales_with_uses_and_worths():
    """Whatever the units: a rounding of prices once met an infinite limit at some scales."""
    random = np.random.default_rng(7)
    for _ in range(20):
        items, bins = instance(random, 200, 12, lines=2)
        bound = relax(items, bins, race()).bound
        for scale in (1e-4, 1e3, 1e6):
            scaled = Items(
                use=items.use * scale,
                size=items.size * scale,
                worth=items.worth * scale,
                must=items.must,
            )
            assert relax(scaled, bins, race()).bound == pytest.approx(bound * scale, rel=1e-8)


def test_limits_that_cannot_be_kept_are_proven_so():
    """Of 10,000 items more is asked than they have, by half of it; the same limit less that can."""
    random = np.random.default_rng(8)
    items, bins = instance(random, 10_000, 8)
    total = float(items.size[np.isfinite(items.worth[:, 0])].sum())
    for share, infeasible in ((1.5, True), (0.999, False)):
        asked = replace(bins, size_low=np.array([share * total]))
        found = relax(items, asked, race())
        assert found.is_infeasible == infeasible
        if infeasible:
            assert found.given_way[0, 0] == pytest.approx(0.5 * total, rel=1e-6)
        else:
            assert not found.given_way.any()


def test_no_proof_is_claimed_when_time_is_up():
    random = np.random.default_rng(9)
    items, bins = instance(random, 10_000, 8)
    stopped = Race(budget=Budget(stopped=True), relative_gap=0.0)
    found = relax(items, bins, stopped)
    assert not found.is_infeasible
    assert found.bound >= relax(items, bins, race()).bound - 1e-9


def test_no_seed_and_no_sample_moves_the_bound_much():
    random = np.random.default_rng(4)
    items, bins = instance(random, 9_000, 8, dtype=np.float32)
    bounds = [relax(items, bins, race(), seed=seed).bound for seed in range(3)]
    assert bounds == pytest.approx([bounds[0]] * 3, rel=1e-6)


def test_what_is_found_keeps_narrow_limits():
    """A band of size of a thousandth, which rounding alone would miss."""
    random = np.random.default_rng(5)
    items, bins = instance(random, 300, 6)
    total = items.size.sum()
    one = np.ones(1)
    narrow = Bins(
        per_size=bins.per_size,
        per_peak=bins.per_peak,
        size_low=0.3 * total * one,
        size_high=0.3003 * total * one,
        count_low=100.0 * one,
        count_high=102.0 * one,
        peak_high=INF * one,
    )
    found = select(items, narrow, race(), rounds=20, nodes=100)
    assert found.choice is not None
    assert broken_by(items, narrow, found.choice) == 0.0
    assert found.value <= found.bound
    assert found.bound - found.value <= 0.02 * abs(found.bound)


def odd_sums(count=60):
    """Items of size 2 of which an odd sum is asked: parts of items keep that limit, none else."""
    random = np.random.default_rng(10)
    use = random.random((count, 6))
    items = Items(
        use=use,
        size=np.full(count, 2.0),
        worth=random.uniform(0.5, 2.0, (count, 1)),
        must=np.zeros(count, np.bool_),
    )
    one = np.ones(1)
    return items, Bins(
        per_size=0.1 * one[:, None],
        per_peak=0.1 * one[:, None],
        size_low=(count - 1.0) * one,
        size_high=(count - 1.0) * one,
        count_low=0.0 * one,
        count_high=INF * one,
        peak_high=INF * one,
    )


def counted(monkeypatch, after=lambda: None):
    """The ranges of items that the search looks at, one item at a time, as it goes on."""
    looked = []

    def look(*arguments):
        looked.append(arguments[-2:])
        after()
        return climb(*arguments)

    monkeypatch.setattr(search, "LOOK_VALUES", 1)
    monkeypatch.setattr(search, "climb", look)
    return looked


def test_a_search_that_keeps_no_limits_can_be_stopped(monkeypatch):
    items, bins = odd_sums()
    looked = counted(monkeypatch)
    asked = Race(
        budget=Budget(),
        relative_gap=0.0,
        listener=lambda *news: news[-1] != "swaps" or len(looked) < 7,
    )
    found = select(items, bins, asked)
    assert found.choice is None
    assert not found.is_infeasible
    assert looked == [(first, first + 1) for first in range(7)]


def test_a_search_that_keeps_no_limits_heeds_its_time(monkeypatch):
    items, bins = odd_sums()
    passed = [0.0]

    def second():
        passed[0] += 1.0

    looked = counted(monkeypatch, second)
    budget = Budget(clock=lambda: passed[0], time_limit_s=5.0)
    found = select(items, bins, Race(budget=budget, relative_gap=0.0))
    assert found.choice is None
    assert len(looked) == 5


@pytest.mark.parametrize("bins", [1, 3])
def test_how_often_a_search_looks_at_the_clock_changes_nothing(monkeypatch, bins):
    random = np.random.default_rng(11)
    for limited in (False, True):
        items, limits = instance(random, 80, 12, bins, limited=limited)
        whole = select(items, limits, race(), rounds=5, nodes=0)
        with monkeypatch.context() as patched:
            looked = counted(patched)
            found = select(items, limits, race(), rounds=5, nodes=0)
        assert len(looked) > 80
        assert found.value == pytest.approx(whole.value, rel=1e-12)
        assert (found.choice == whole.choice).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_passes_are_their_python(dtype):
    random = np.random.default_rng(6)
    items, bins = instance(random, 12, 5, 2, 2, limited=True, dtype=dtype)
    prices = no_prices(items, bins)
    sets = []
    for both in zip(
        *(_passes(items, bins, prices, python) for python in (False, True)), strict=True
    ):
        sets.append(both)
        assert both[0] == pytest.approx(both[1], rel=1e-12)
    assert len(sets) == 11


def _passes(items, bins, prices, python):
    """All that the kernels write, compiled or not."""
    use, size, worth = items.use, items.size, items.worth
    count, (bin_count, steps) = items.count, prices.step.shape

    def run(kernel, *arguments):
        return (kernel.py_func if python else kernel)(*arguments)

    choice, value, lead = np.empty(count, np.int32), np.empty(count), np.empty(count)
    paid = (prices.step, prices.per_size(bins), -prices.count)
    run(answers, use, size, worth, items.must, *paid, choice, value, lead)
    every = np.empty((count, bin_count + 1))
    run(values, use, size, worth, items.must, *paid, every)
    product = np.empty(count)
    run(products, use, np.arange(steps, dtype=float), product)
    sums = np.zeros((bin_count, steps)), np.zeros(bin_count), np.zeros(bin_count)
    run(totals, use, size, choice, *sums)
    order = np.flatnonzero(np.isfinite(worth[:, 0]))
    first, kept = np.empty(order.size + 1), np.empty(order.size + 1, np.bool_)
    cost = np.stack((bins.per_size, bins.per_peak))
    into = np.zeros(count, np.int64)
    run(prefixes, use, size, worth, into, order, cost, bins.lows, bins.highs, first, kept)
    code = choice + 1
    before = tuple(part.copy() for part in sums)
    end = run(
        climb,
        code,
        np.arange(count),
        use.astype(float),
        size,
        np.concatenate((np.where(items.must, -INF, 0.0)[:, None], worth), axis=1),
        every.max(axis=1, keepdims=True) - every,
        INF,
        *sums,
        cost,
        bins.lows,
        bins.highs,
        np.ones(2),
        0,
        count,
    )
    return choice, value, lead, every, product, *before, first, kept, (*code, *end)
