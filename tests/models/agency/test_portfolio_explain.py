"""Why users are in or out, whom to recruit next, and what simple rules lose."""

import numpy as np
import pytest

from loadloom.models.agency import portfolio_referee as referee
from loadloom.models.agency.portfolio import LEFT_OUT, PortfolioOptions, form_portfolio
from loadloom.models.agency.portfolio_explain import (
    Naive,
    naive_rules,
    recruit_costs,
    recruits,
    user_reasons,
    user_worths,
)
from tests.models.agency.portfolios import portfolio, random_loads, random_portfolio

EXACT = PortfolioOptions(relative_gap=0.0, round_limit=20)


def complementary():
    """Ten users of the evening who pay best, ten of the day who fill it up, ten of both, flat.

    Who picks by margin takes the evening alone; who picks by load factor takes the flat, whose fees
    are more than they bring.
    """
    evening, day, flat = [0.0, 0.0, 1.0], [0.5, 0.5, 0.0], [0.4, 0.4, 0.4]
    load = np.array([evening] * 10 + [day] * 20 + [flat] * 10)
    price = [0.70] * 10 + [0.58] * 20 + [0.56] * 10
    fee = [0.0] * 30 + [0.15] * 10
    return portfolio(load, price, fee=fee)


def test_naive_rules_lose_where_shapes_complement_each_other():
    problem = complementary()
    solution = form_portfolio(problem, EXACT)
    best = referee.profit(problem, solution.contract)
    assert (solution.contract[:30] == 0).all()
    assert (solution.contract[30:] == LEFT_OUT).all()
    rules = {rule.name: rule for rule in naive_rules(problem, solution)}
    assert set(rules) == set(Naive)
    for rule in rules.values():
        assert rule.lost == pytest.approx(best - rule.profit)
        assert best >= rule.best_profit - 1e-9 >= rule.profit - 2e-9
        assert rule.keeps_limits
    assert rules[Naive.ALONE].lost_share > 0.2
    assert rules[Naive.OWN_LOAD_FACTOR].lost_share > 0.2
    assert rules[Naive.EVERYBODY].lost_share > 0.1


def test_naive_rules_are_what_their_users_add_up_to():
    random = np.random.default_rng(1)
    for _ in range(10):
        problem = random_portfolio(random, 20, 6, limited=True)
        solution = form_portfolio(problem, EXACT)
        for rule in naive_rules(problem, solution):
            assert rule.best_profit <= solution.termination.objective + 1e-9
            if rule.name is Naive.EVERYBODY:
                everybody = np.where(problem.nevers, LEFT_OUT, 0).astype(np.int32)
                assert rule.profit == pytest.approx(referee.profit(problem, everybody))
                broken = referee.violations(problem, everybody)
                assert rule.keeps_limits == (not broken)


def test_effects_are_what_the_referee_finds_without_and_with_a_user():
    random = np.random.default_rng(2)
    for contract_count in (1, 2):
        problem = random_portfolio(random, 15, 6, contract_count)
        solution = form_portfolio(problem, EXACT)
        for reason in user_reasons(problem, solution):
            without, with_it = solution.contract.copy(), solution.contract.copy()
            without[reason.user], with_it[reason.user] = LEFT_OUT, reason.contract
            change = referee.profit(problem, with_it) - referee.profit(problem, without)
            assert reason.effect == pytest.approx(change, abs=1e-9)
            assert reason.taken == (solution.contract[reason.user] != LEFT_OUT)
            left = reason.revenue - reason.energy_cost - reason.slot_cost
            assert reason.worth == pytest.approx(left, abs=1e-9)
            free = not problem.musts[reason.user] and not problem.nevers[reason.user]
            if free:  # no single change helps a portfolio that is best
                assert reason.effect >= -1e-9 if reason.taken else reason.effect <= 1e-9


def test_a_reason_tells_its_figures():
    problem = complementary()
    solution = form_portfolio(problem, EXACT)
    first, last = user_reasons(problem, solution, np.array([0, 39]))
    assert first.text.startswith("user 0 is taken under plant: it brings 0.70")
    assert f"{first.effect:.2f}" in first.text
    assert last.text.startswith("user 39 is left out: it brings 0.52")
    assert "with it, more by" in last.text


def test_a_user_at_its_break_even_price_is_worth_nothing():
    random = np.random.default_rng(3)
    problem = random_portfolio(random, 15, 6)
    solution = form_portfolio(problem, EXACT)
    for reason in user_reasons(problem, solution):
        price = problem.highest_price_per_kwh[reason.user]
        energy = problem.energy_kwh[reason.user]
        worth = reason.worth + (reason.break_even_price_per_kwh - price) * energy
        assert worth == pytest.approx(0.0, abs=1e-9)


def test_recruits_are_those_left_out_best_first():
    random = np.random.default_rng(4)
    problem = portfolio(random_loads(random, 300, 12), random.uniform(0.42, 0.6, 300))
    solution = form_portfolio(problem, EXACT)
    found = recruits(problem, solution, 10)
    worths = user_worths(problem, solution.weights)[:, 0]
    out = np.sort(worths[solution.contract == LEFT_OUT])[::-1]
    assert [one.worth for one in found] == pytest.approx(out[:10].tolist())
    for one in found:
        assert solution.contract[one.user] == LEFT_OUT
        asked = problem.highest_price_per_kwh[one.user] + one.price_rise_per_kwh
        assert one.break_even_price_per_kwh == pytest.approx(asked)
        assert one.effect <= 1e-9
    assert max(worths[solution.contract == LEFT_OUT]) <= 0.05 * abs(worths).max()


def test_prospects_are_priced_like_candidates():
    random = np.random.default_rng(5)
    load, price = random_loads(random, 60, 12), random.uniform(0.42, 0.6, 60)
    problem = portfolio(load, price)
    solution = form_portfolio(problem, EXACT)
    costs = recruit_costs(solution.weights, 0, load[:5], load[:5].sum(axis=1))
    worth = price[:5] * load[:5].sum(axis=1) - costs
    assert worth == pytest.approx(user_worths(problem, solution.weights)[:5, 0])
