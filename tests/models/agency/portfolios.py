"""Portfolios to try: random candidates, and all of their subsets."""

from datetime import UTC, datetime

import numpy as np

from loadloom.models.agency.contracts import Contract
from loadloom.models.agency.portfolio import PortfolioProblem
from loadloom.models.agency.prices import affine, piecewise
from loadloom.models.agency.problem import Curves
from loadloom.models.horizon import Horizon


def curves(load_kw, step_h=1.0, dtype=np.float64):
    load = np.array(load_kw, dtype=dtype)
    horizon = Horizon(
        start=datetime(2026, 1, 5, tzinfo=UTC), step_h=np.full(load.shape[1], float(step_h))
    )
    names = tuple(f"user {i}" for i in range(load.shape[0]))
    return Curves(names=names, load_kw=load, horizon=horizon)


def portfolio(load_kw, price, *contracts, **more):
    """A problem with one contract of 0.4 + 0.1 u if none is given."""
    return PortfolioProblem(
        curves=curves(load_kw),
        contracts=contracts or (Contract(name="plant", schedule=affine(0.4, 0.1)),),
        highest_price_per_kwh=np.array(price, dtype=float),
        **{name: np.array(values) for name, values in more.items()},
    )


def random_loads(random, count, steps):
    """Loads of many shapes and sizes."""
    t = np.arange(steps) / steps
    away = np.abs(t - random.uniform(0.0, 1.0, (count, 1)))
    away = np.minimum(away, 1.0 - away)
    bump = np.exp(-((away / random.uniform(0.05, 0.3, (count, 1))) ** 2))
    base = random.uniform(0.0, 1.0, (count, 1)) + 0.3 * random.random((count, steps))
    return random.lognormal(0.0, 0.7, (count, 1)) * (base + bump)


def random_contract(random, name, energy_kwh, user_count, *, limited):
    schedule = affine(0.35, 0.1)
    if random.random() < 0.5:
        schedule = piecewise([1.0, 1.3, 2.0, 4.0], [0.42, 0.46, 0.6, 1.2])
    if not limited:
        return Contract(name=name, schedule=schedule)
    return Contract(
        name=name,
        schedule=schedule,
        energy_min_kwh=float(random.choice([0.0, 0.2 * energy_kwh])),
        energy_max_kwh=float(random.choice([np.inf, 0.6 * energy_kwh])),
        peak_max_kw=float(random.choice([np.inf, 0.1 * energy_kwh])),
        user_count_min=int(random.integers(0, 2)),
        user_count_max=int(random.integers(1 + user_count // 3, user_count + 1)),
    )


def random_portfolio(random, count, steps, contract_count=1, *, limited=False):
    load = random_loads(random, count, steps)
    energy = float(load.sum())
    contracts = tuple(
        random_contract(random, f"contract {k}", energy, count, limited=limited)
        for k in range(contract_count)
    )
    shape = (count, contract_count) if contract_count > 1 else count
    marks = random.random(count)
    return portfolio(
        load,
        random.uniform(0.4, 0.7, shape),
        *contracts,
        fee=random.uniform(0.0, 0.5, count),
        must_take=marks < 0.05,
        never_take=marks > 0.92,
    )


def subset_profits(problem):
    """What every subset of users brings under the one contract, (2^n,); -inf if it breaks a rule.

    Bit i of the index says whether user i is taken.
    """
    (contract,) = problem.contracts
    hours = problem.curves.horizon.step_h
    load = _sums(problem.curves.load_kw.astype(float))
    energy, peak = load @ hours, load.max(axis=1)
    revenue = _sums(problem.revenue)[:, 0]
    count = _sums(np.ones((problem.curves.count, 1)))[:, 0]
    used = energy > 0.0
    u = np.where(used, hours.sum() * peak / np.where(used, energy, 1.0), 1.0)
    price = contract.schedule.value(np.maximum(1.0, u))
    profit = revenue - np.where(used, energy * price, 0.0)
    good = (energy >= contract.energy_min_kwh - 1e-9) & (energy <= contract.energy_max_kwh + 1e-9)
    good &= peak <= contract.peak_max_kw + 1e-9
    good &= (count >= contract.user_count_min) & (count <= contract.most_users)
    index = np.arange(profit.size)
    for flags, wanted in ((problem.musts, 1), (problem.nevers, 0)):
        for user in np.flatnonzero(flags):
            good &= (index >> user & 1) == wanted
    return np.where(good, profit, -np.inf)


def _sums(rows):
    """The sums of all subsets of some rows."""
    sums = np.zeros((1, rows.shape[1]))
    for row in rows:
        sums = np.concatenate((sums, sums + row))
    return sums


def members(problem, index):
    """The contract of each user in the subset of a number."""
    bits = index >> np.arange(problem.curves.count) & 1
    return np.where(bits == 1, 0, -1).astype(np.int32)
