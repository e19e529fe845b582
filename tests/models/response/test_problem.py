"""The data of a call list: what is refused, and by which path."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.models.checks import InvalidProblem
from loadloom.models.response.constraints import covering_problem
from loadloom.models.response.network import Network
from loadloom.models.response.normal import probability, quantile
from loadloom.models.response.problem import Problem, Quota
from loadloom.models.response.rows import reduced
from tests.models.response import calls

NAN = float("nan")


def paths(make):
    with pytest.raises(InvalidProblem) as refused:
        make()
    return {violation.path for violation in refused.value.violations}


@pytest.mark.parametrize(
    ("columns", "path"),
    [
        ({"mean_kw": [4.0, -1.0, 7.0]}, "offers.mean_kw[1]"),
        ({"mean_kw": [4.0, NAN, 7.0]}, "offers.mean_kw[1]"),
        ({"mean_kw": [4.0, 4.0]}, "offers.mean_kw"),
        ({"mean_kw": [[1.0, 2.0]] * 3}, "offers.mean_kw"),
        ({"variance_kw2": [0.0, 0.0, -9.0]}, "offers.variance_kw2[2]"),
        ({"cost": [1.0, 1.0, np.inf]}, "offers.cost[2]"),
        ({"cost": [1.0, 1.0, -1.0]}, "offers.cost[2]"),
        ({"fixed_cost": [0.0, 2.0, 0.0]}, "offers.fixed_cost[1]"),
        ({"fixed_cost": [0.0, 2.0]}, "offers.fixed_cost"),
        ({"acceptance": 1.5}, "offers.acceptance"),
        ({"acceptance": [0.5, 0.5]}, "offers.acceptance"),
        ({"incentive": [0.1, -0.1, 0.1]}, "offers.incentive[1]"),
        ({"loading": [0.1, 0.1, 0.1]}, "offers.loading"),
        ({"loading": [[0.1], [NAN], [0.1]]}, "offers.loading[1]"),
        ({"acceptance": [1.0, 1.0, 0.5]}, "offers.variance_kw2[2]"),
        ({"acceptance": [1.0, 0.0, 1.0]}, "offers.variance_kw2[1]"),
        ({"customer": [0, 2, 1]}, "offers.customer[2]"),
        ({"customer": [0, 1, 3]}, "offers.customer[2]"),
        ({"customer": [0.0, 1.0]}, "offers.customer"),
    ],
)
def test_a_bad_offer_is_refused_by_its_path(columns, path):
    assert paths(lambda: calls.hand(offers=calls.offers(**(calls.HAND | columns)))) == {path}


@pytest.mark.parametrize(
    ("columns", "path"),
    [
        ({"node": [0, 0, 1]}, "customers.node[2]"),
        ({"node": [0, 0]}, "customers.node"),
        ({"node": [0.0, 0.0, 0.0]}, "customers.node"),
        ({"must_call": [True, False]}, "customers.must_call"),
        ({"never_call": [0, 1, 0]}, "customers.never_call"),
        ({"calls_left": [1, -1, 1]}, "customers.calls_left[1]"),
        ({"group": [0, -2, 0]}, "customers.group[1]"),
        ({"group": [0, 3, 0]}, "customers.group[1]"),
        ({"rebound_share": 1.5}, "customers.rebound_share"),
        ({"rebound_share": [0.5, 0.5]}, "customers.rebound_share"),
        (
            {"must_call": [True, False, False], "never_call": [True, False, False]},
            "customers.must_call[0]",
        ),
        (
            {"must_call": [False, True, False], "calls_left": [1, 0, 1]},
            "customers.must_call[1]",
        ),
    ],
)
def test_a_bad_customer_is_refused_by_its_path(columns, path):
    assert paths(lambda: calls.hand(customers=calls.customers(3, **columns))) == {path}


def test_names_are_one_for_each_customer():
    who = replace(calls.customers(3), names=("one", "other"))
    assert paths(lambda: calls.hand(customers=who)) == {"customers.names"}


@pytest.mark.parametrize(
    ("columns", "path"),
    [
        ({"parent": [1, 0]}, "network.parent[0]"),
        ({"parent": [-1, 2]}, "network.parent[1]"),
        ({"parent": []}, "network.parent"),
        ({"need_kw": [[1.0], [-1.0]]}, "network.need_kw[1]"),
        ({"need_kw": [[1.0]]}, "network.need_kw"),
        ({"confidence": 0.49}, "network.confidence"),
        ({"confidence": [0.9, 1.0]}, "network.confidence[1]"),
        ({"confidence": [0.9, 0.9, 0.9]}, "network.confidence"),
        ({"need_spread_kw": [[1.0]]}, "network.need_spread_kw"),
        ({"need_spread_kw": [[1.0], [-1.0]]}, "network.need_spread_kw[1]"),
        ({"headroom_kw": [[1.0], [1.0]]}, "network.rebound_profile"),
        ({"rebound_profile": [1.0]}, "network.headroom_kw"),
        ({"headroom_kw": [[1.0]], "rebound_profile": [1.0]}, "network.headroom_kw"),
        (
            {"headroom_kw": [[1.0], [-1.0]], "rebound_profile": [1.0]},
            "network.headroom_kw[1]",
        ),
        (
            {"headroom_kw": [[1.0], [1.0]], "rebound_profile": [1.0, 2.0]},
            "network.rebound_profile",
        ),
        ({"names": ("one",)}, "network.names"),
        ({"names": ("one", "one")}, "network.names"),
    ],
)
def test_a_bad_network_is_refused_by_its_path(columns, path):
    good = {"parent": [-1, 0], "need_kw": [[1.0], [1.0]], "confidence": 0.9}
    given = {
        name: value
        if name == "names"
        else np.array(value, dtype=int if name == "parent" else float)
        for name, value in (good | columns).items()
    }
    assert path in paths(lambda: Network(**given))


@pytest.mark.parametrize(
    ("quotas", "path"),
    [
        ([Quota(group=-1)], "quotas[0].group"),
        ([Quota(group=0), Quota(group=0)], "quotas[1].group"),
        ([Quota(group=0, call_min=-1)], "quotas[0].call_min"),
        ([Quota(group=0, call_min=2, call_max=1)], "quotas[0].call_max"),
        ([Quota(group=0, cost_min=-1.0)], "quotas[0].cost_min"),
        ([Quota(group=0, cost_min=2.0, cost_max=1.0)], "quotas[0].cost_max"),
        ([Quota(group=0, cost_max=NAN)], "quotas[0].cost_max"),
    ],
)
def test_a_bad_quota_is_refused_by_its_path(quotas, path):
    grouped = calls.customers(3, group=[0, 0, 0])
    assert paths(lambda: calls.hand(customers=grouped, quotas=tuple(quotas))) == {path}


def test_quotas_need_groups():
    assert paths(lambda: calls.hand(quotas=(Quota(group=0),))) == {"customers.group"}


@pytest.mark.parametrize("budget", [-1.0, NAN, np.inf])
def test_a_bad_budget_is_refused(budget):
    assert paths(lambda: calls.hand(budget=budget)) == {"budget"}


def test_best_effort_and_budget_exclude_each_other():
    assert paths(lambda: calls.hand(budget=1.0, best_effort=True)) == {"best_effort"}


def test_all_faults_are_told_at_once():
    bad = calls.offers(**(calls.HAND | {"cost": [1.0, 1.0, -1.0], "acceptance": 2.0}))
    who = calls.customers(3, node=[0, 0, 9])
    assert paths(lambda: Problem(offers=bad, customers=who, network=calls.network([7.0]))) == {
        "customers.node[2]",
        "offers.cost[2]",
        "offers.acceptance",
    }


def test_what_is_below_a_node_stands_in_a_row():
    random = np.random.default_rng(3)
    for _ in range(50):
        count = int(random.integers(1, 30))
        # Any forest: each node hangs below one with a smaller number, and numbers are shuffled.
        parent = np.array([int(random.integers(-1, v)) if v else -1 for v in range(count)])
        new = random.permutation(count)
        shuffled = np.empty(count, np.int64)
        shuffled[new] = np.where(parent < 0, -1, new[parent])
        tree = calls.network(np.zeros(count), tuple(shuffled.tolist()))
        first, last = tree.span
        assert sorted(first.tolist()) == list(range(count))
        for v in range(count):
            below = {u for u in range(count) if v in tree.path(u)}
            assert below == set(np.flatnonzero((first >= first[v]) & (first < last[v])).tolist())
        weights = random.random((count, 2))
        sums = tree.sum_up(weights)
        for v in range(count):
            assert np.allclose(
                sums[v], weights[[u for u in range(count) if v in tree.path(u)]].sum(0)
            )


def test_quantile_and_probability_are_inverse():
    z = quantile(np.array([[0.5, 0.95], [0.975, calls.ONE_SIGMA]]))
    assert z[0, 0] == 0.0
    assert z[0, 1] == pytest.approx(1.6448536269514722, abs=1e-12)
    assert probability(z) == pytest.approx(
        np.array([[0.5, 0.95], [0.975, calls.ONE_SIGMA]]), abs=1e-12
    )
    assert probability(np.array([-np.inf, np.inf])).tolist() == [0.0, 1.0]


def test_an_offer_may_vary_as_little_as_refusals_make_it():
    """7 kW expected at an acceptance of 0.7 are 10 or none: a variance of 21."""
    exact = calls.HAND | {"variance_kw2": [0.0, 0.0, 21.0], "acceptance": [1.0, 1.0, 0.7]}
    assert calls.hand(offers=calls.offers(**exact)).offers.count == 3
    with pytest.raises(InvalidProblem, match=r"refusals alone make it at least .* 21$"):
        calls.hand(offers=calls.offers(**(exact | {"variance_kw2": [0.0, 0.0, 20.9]})))


def test_customers_with_several_offers_who_must_be_called_share_one_quota():
    """Three must be called, two of them with two offers each: two calls among four offers."""
    twice = {name: [v for v in values for _ in range(2)] for name, values in calls.HAND.items()}
    offers = calls.offers(**{name: values[:5] for name, values in twice.items()})
    problem = calls.hand(
        offers=replace(offers, customer=np.array([0, 0, 1, 1, 2])),
        customers=calls.customers(3, must_call=[True] * 3),
    )
    quotas = covering_problem(problem, reduced(problem), reduced(problem).need).quotas
    assert quotas.count == 1
    assert quotas.items.tolist() == [0, 1, 2, 3]
    assert (quotas.low.tolist(), quotas.high.tolist()) == ([2.0], [np.inf])
    assert (calls.planned(problem).offer >= 0).all()


def test_a_tree_has_only_so_many_levels():
    for count in (64, 65):

        def made(count=count):
            return calls.network(np.zeros((count, 1)), parent=list(range(-1, count - 1)))

        if count == 64:
            assert made().count == 64
        else:
            assert paths(made) == {"network.parent[64]"}
