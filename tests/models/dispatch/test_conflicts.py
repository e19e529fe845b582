"""Every site without a plan is told which rules conflict, and what change cures it."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.dispatch.conflicts import conflicts
from loadloom.models.dispatch.elastic import BUILDING_S, Elastic
from loadloom.models.dispatch.linear import solve_linear
from loadloom.models.dispatch.problem import EnergyTarget, Problem, Storage
from loadloom.models.dispatch.referee import violations
from loadloom.models.dispatch.solution import Conflict
from loadloom.models.options import SolveOptions
from loadloom.solvers.termination import Reason
from tests.models.dispatch.instances import random_problem
from tests.models.dispatch.sites import battery, site

FAR = 1e5


def possible(problem: Problem) -> bool:
    """Whether the site has a plan, which then keeps every rule."""
    solution = solve_linear(problem, SolveOptions())
    if solution.termination.reason is Reason.INFEASIBLE:
        return False
    assert violations(problem, solution.schedule) == []
    return True


def giving(problem: Problem, conflict: Conflict, kwh: float) -> Problem:
    """The site with a rule giving way by so many kWh in each interval of the conflict."""
    run = slice(conflict.interval, conflict.interval + conflict.interval_count)
    device, _, rule = conflict.rule.removeprefix("site.").rpartition(".")
    if device == "meter":
        return replace(problem, meter=given(problem, problem.meter, rule, run, kwh))
    index = int(device.removeprefix("storages[").removesuffix("]"))
    storage = problem.storages[index]
    if rule.startswith("targets"):
        storage = with_target(storage, int(rule[8:-1]), conflict, kwh)
    else:
        storage = given(problem, storage, rule, run, kwh)
    others = (*problem.storages[:index], storage, *problem.storages[index + 1 :])
    return replace(problem, storages=others)


def given(problem: Problem, device, rule: str, run: slice, kwh: float):
    limits = getattr(device, rule).copy()
    if rule == "energy_min_kwh":
        limits[run] = np.maximum(limits[run] - kwh, 0.0)
    elif rule == "energy_max_kwh":
        limits[run] += kwh
    else:
        limits[run] += kwh / problem.horizon.step_h[run]
    return replace(device, **{rule: limits})


def with_target(storage: Storage, number: int, conflict: Conflict, kwh: float) -> Storage:
    targets = list(storage.targets)
    target = targets[number]
    if "at least" in conflict.what:
        targets[number] = replace(target, min_kwh=max(0.0, target.min_kwh - kwh))
    else:
        targets[number] = replace(target, max_kwh=target.max_kwh + kwh)
    return replace(storage, targets=tuple(targets))


def cured(problem: Problem, found: list[Conflict], share: float = 1.0) -> Problem:
    """The site after a share of every change that is proposed."""
    for conflict in found:
        if conflict.amount > 0.0:
            problem = giving(problem, conflict, share * conflict.peak)
    return problem


def infeasible_sites(count: int):
    """Random sites behind a weak connection, those without a plan."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        stores, convex = int(rng.integers(0, 3)), bool(rng.random() < 0.5)
        problem = random_problem(rng, count=8, stores=stores, convex=convex)
        weak = replace(
            problem.meter,
            import_limit_kw=np.full(8, rng.choice([2.0, 4.0, np.inf])),
            export_limit_kw=np.full(8, rng.choice([0.0, 1.0])),
        )
        problem = replace(problem, meter=weak)
        if not possible(problem):
            yield problem


def test_a_load_beyond_the_connection_is_told_by_how_much():
    # 5 of 6 and 8 kW come from the grid; the store's 2 kWh cover 2 kW of the 1 + 3 missing.
    store = battery(2, initial=2.0, discharge=2.0)
    all_found = conflicts(site(store, buy=[0.2, 0.2], load=[6.0, 8.0], import_limit=5.0))
    (found,) = [conflict for conflict in all_found if conflict.amount > 0.0]
    assert found.rule == "site.meter.import_limit_kw"
    assert found.amount == pytest.approx(2.0)
    assert found.unit == "kWh"
    assert "at most 5 kW may be drawn" in found.what
    assert found.cure.startswith("raise site.meter.import_limit_kw by ")


def test_a_conflict_is_told_in_words_and_times():
    problem = site(buy=[0.2] * 4, load=[1.0, 4.5, 3.5, 1.0], import_limit=3.0, step_h=0.25)
    assert conflicts(problem) == [
        Conflict(
            what=(
                "at most 3 kW may be drawn from 18:15 to 18:45, "
                "but up to 4.5 kW are needed, 0.5 kWh more in all"
            ),
            rule="site.meter.import_limit_kw",
            interval=1,
            interval_count=2,
            amount=0.5,
            peak=0.375,
            unit="kWh",
            cure="raise site.meter.import_limit_kw by 1.5 kW from 18:15 to 18:45",
        )
    ]


def test_the_rules_that_stand_beside_are_named():
    # The store could help with more power: its limit takes part, though it need not change.
    store = battery(1, initial=9.0, discharge=1.0)
    first, second = conflicts(site(store, buy=[0.2], load=[8.0], import_limit=5.0))
    assert {first.rule, second.rule} == {
        "site.meter.import_limit_kw",
        "site.storages[0].discharge_limit_kw",
    }
    assert first.amount + second.amount == pytest.approx(2.0)
    assert "" in {first.cure, second.cure}


def test_a_target_out_of_reach_gives_way():
    # Two hours at 3 kW store 5.4 kWh of the 6 wanted.
    target = EnergyTarget(interval=1, min_kwh=6.0, max_kwh=np.inf)
    store = battery(2, charge=3.0, efficiency=0.9, targets=(target,))
    problem = site(store, buy=[0.2, 0.2])
    found = conflicts(problem)
    (giving,) = [conflict for conflict in found if conflict.amount > 0.0]
    assert giving.rule == "site.storages[0].targets[0]"
    assert giving.amount == pytest.approx(0.6)
    assert giving.cure == "lower site.storages[0].targets[0].min_kwh by 0.6 kWh at 20:00"
    limits = [conflict for conflict in found if "charge_limit" in conflict.rule]
    assert [(limit.interval, limit.interval_count, limit.amount) for limit in limits] == [(0, 2, 0)]


def test_conflicts_come_in_the_order_of_time():
    # Three evenings beyond the connection, and a store that is too weak to help in any of them.
    load = [1.0, 9.0, 1.0, 8.0, 1.0, 7.0]
    store = battery(6, discharge=0.5, initial=1.0)
    found = conflicts(site(store, buy=[0.2] * 6, load=load, import_limit=5.0))
    starts = [conflict.interval for conflict in found]
    assert len(found) > 3
    assert starts == sorted(starts)


def test_targets_that_cross_conflict_with_each_other():
    targets = (
        EnergyTarget(interval=0, min_kwh=4.0, max_kwh=np.inf),
        EnergyTarget(interval=0, min_kwh=-np.inf, max_kwh=3.0),
    )
    problem = site(battery(1, targets=targets), buy=[0.2])
    found = conflicts(problem)
    assert {conflict.rule[-10:] for conflict in found} == {"targets[0]", "targets[1]"}
    assert sum(conflict.amount for conflict in found) == pytest.approx(1.0)
    assert possible(cured(problem, found))


def test_trapped_surplus_is_not_burnt_away():
    # 3 kW of sun, a full store, no way out: a linear programme would charge and discharge at once.
    full = battery(1, initial=10.0, charge=4.0, efficiency=0.5)
    problem = site(full, buy=[0.2], pv=[3.0], export_limit=0.0)
    found = conflicts(problem)
    assert found
    assert sum(conflict.amount for conflict in found) == pytest.approx(1.5)
    assert possible(cured(problem, found))
    assert not possible(cured(problem, found, share=0.5))


def test_a_site_with_a_plan_has_no_conflicts():
    assert conflicts(site(battery(2), buy=[0.1, 0.3], load=[1.0, 2.0])) == []


def test_no_time_still_brings_a_cure():
    problem = site(battery(2), buy=[0.2, 0.2], load=[6.0, 8.0], import_limit=5.0)
    found = conflicts(problem, time_limit_s=0.0)
    assert [conflict.amount for conflict in found] == pytest.approx([4.0])
    assert possible(cured(problem, found))


def test_nothing_is_looked_at_any_more_when_the_time_is_over(monkeypatch):
    """A year, of which naming every smallest set would take minutes."""
    count, generator, begun = 8_760, np.random.default_rng(0), []
    run = Elastic._run

    def noted(elastic, *arguments):
        begun.append(elastic.left_s)
        return run(elastic, *arguments)

    monkeypatch.setattr(Elastic, "_run", noted)
    problem = site(
        battery(count, capacity=5.0, charge=1.0, discharge=1.0),
        buy=generator.uniform(0.1, 0.3, count),
        load=generator.uniform(0.0, 10.0, count),
        import_limit=8.0,
    )
    found = conflicts(problem, time_limit_s=1.0)
    assert possible(cured(problem, found))
    assert min(begun) > 0.0
    assert len(begun) < 1.0 / (5 * BUILDING_S * count) + 1


def test_what_is_proposed_cures_and_half_of_it_does_not():
    seen = 0
    for problem in infeasible_sites(150):
        found = conflicts(problem)
        assert found
        assert possible(cured(problem, found))
        seen += 1
        runs = all(conflict.interval_count == 1 for conflict in found if conflict.amount > 0.0)
        if runs:  # over a longer run half of the peak may still be enough in all
            assert not possible(cured(problem, found, share=0.5))
    assert seen > 15


def dropped(problem: Problem, kept: list[Conflict]) -> Problem:
    """The site with all rules dropped but those of the conflicts, in their intervals."""
    count = problem.horizon.count
    far, none = np.full(count, FAR), np.zeros(count)

    def limit(path: str, values, without):
        limits = without.copy()
        for conflict in kept:
            if conflict.rule == path:
                run = slice(conflict.interval, conflict.interval + conflict.interval_count)
                limits[run] = values[run]
        return limits

    def store(index: int, storage: Storage) -> Storage:
        path = f"site.storages[{index}]"
        targets = tuple(
            replace(
                target,
                min_kwh=target.min_kwh if said(kept, f"{path}.targets[{n}]", "least") else -np.inf,
                max_kwh=target.max_kwh if said(kept, f"{path}.targets[{n}]", "most") else np.inf,
            )
            for n, target in enumerate(storage.targets)
        )
        high = storage.energy_max_kwh
        return replace(
            storage,
            targets=targets,
            energy_min_kwh=limit(f"{path}.energy_min_kwh", storage.energy_min_kwh, none),
            energy_max_kwh=limit(f"{path}.energy_max_kwh", high, far),
            charge_limit_kw=limit(f"{path}.charge_limit_kw", storage.charge_limit_kw, far),
            discharge_limit_kw=limit(f"{path}.discharge_limit_kw", storage.discharge_limit_kw, far),
        )

    meter = problem.meter
    return replace(
        problem,
        meter=replace(
            meter,
            import_limit_kw=limit("site.meter.import_limit_kw", meter.import_limit_kw, far),
            export_limit_kw=limit("site.meter.export_limit_kw", meter.export_limit_kw, far),
        ),
        storages=tuple(store(index, storage) for index, storage in enumerate(problem.storages)),
    )


def said(kept: list[Conflict], path: str, side: str) -> bool:
    return any(conflict.rule == path and f"at {side}" in conflict.what for conflict in kept)


def test_each_set_has_no_plan_and_every_smaller_one_has():
    alone = 0
    for problem in infeasible_sites(150):
        found = conflicts(problem)
        assert not possible(dropped(problem, found))
        if sum(conflict.amount > 0.0 for conflict in found) > 1:
            continue  # perhaps several sets, one after the other
        alone += 1
        for left_out in found:
            rest = [conflict for conflict in found if conflict is not left_out]
            assert possible(dropped(problem, rest))
    assert alone > 8
