"""Customers and networks to call them in: households, some with a device that answers by itself."""

from dataclasses import replace

import numpy as np

from loadloom.models.response.network import Network
from loadloom.models.response.problem import Customers, Offers, Problem, one_node

CONFIDENCE = 0.95
"""What each need asks for."""

OF_TRANSFORMER, OF_FEEDER, OF_SUBSTATION = 50, 50, 20
"""The customers of a transformer, the transformers of a feeder, the feeders of a substation."""

_HOURS = 2.0  # of the event
_PRICE_PER_KWH = 0.4


def drawn_offers(count: int, seed: int = 0) -> Offers:
    """One offer a customer for an event of two hours.

    A third have a device that is called by itself and seldom refuses; the others get a message and
    follow it as often as not. A call costs what it pays for the expected kWh and what a customer's
    trouble is worth, which differs.
    """
    random = np.random.default_rng(seed)
    by_itself = random.random(count) < 1.0 / 3.0
    acceptance = np.where(
        by_itself, random.uniform(0.85, 0.99, count), random.uniform(0.2, 0.8, count)
    )
    size_kw = random.lognormal(0.3, 0.5, count)
    size_sd_kw = size_kw * np.where(
        by_itself, random.uniform(0.05, 0.2, count), random.uniform(0.2, 0.6, count)
    )
    mean_kw = acceptance * size_kw
    trouble = random.uniform(0.1, 1.0, count)
    return Offers(
        mean_kw=mean_kw,
        variance_kw2=acceptance * (size_kw**2 + size_sd_kw**2) - mean_kw**2,
        cost=_HOURS * _PRICE_PER_KWH * mean_kw + trouble,
        fixed_cost=trouble,
        acceptance=acceptance,
    )


def flat(count: int, seed: int = 0, share: float = 0.3) -> Problem:
    """One node that needs a share of what all of its customers together are expected to give."""
    offers = drawn_offers(count, seed)
    need_kw = share * float(offers.mean_kw.sum())
    return one_node(offers, need_kw=need_kw, confidence=CONFIDENCE)


def transformers(count: int, seed: int = 0) -> Problem:
    """So many transformers of 50 customers, each with a need of its own and nothing above them."""
    offers = drawn_offers(count * OF_TRANSFORMER, seed)
    node = np.repeat(np.arange(count), OF_TRANSFORMER)
    share = np.random.default_rng([seed, 1]).uniform(0.1, 0.4, count)
    below_kw = np.bincount(node, offers.mean_kw[:, 0], count)
    network = Network(
        parent=np.full(count, -1),
        need_kw=(share * below_kw)[:, None],
        confidence=np.array(CONFIDENCE),
    )
    return Problem(
        customers=Customers(count=offers.count, node=node), offers=offers, network=network
    )


def nested(count: int, seed: int = 0) -> Problem:
    """So many transformers under feeders under substations, which need more than those below.

    Every second transformer needs up to two fifths of what its customers are expected to give. A
    feeder needs between a quarter and two fifths of it, a substation three tenths to two fifths.
    """
    offers = drawn_offers(count * OF_TRANSFORMER, seed)
    random = np.random.default_rng([seed, 2])
    feeders = -(-count // OF_FEEDER)
    substations = -(-feeders // OF_SUBSTATION)
    feeder = substations + np.arange(feeders)
    transformer = substations + feeders + np.arange(count)
    parent = np.full(substations + feeders + count, -1)
    parent[feeder] = np.arange(feeders) // OF_SUBSTATION
    parent[transformer] = feeder[np.arange(count) // OF_FEEDER]
    share = np.zeros(parent.size)
    share[:substations] = random.uniform(0.3, 0.4, substations)
    share[feeder] = random.uniform(0.25, 0.4, feeders)
    share[transformer] = random.uniform(0.1, 0.4, count) * (random.random(count) < 0.5)
    node = np.repeat(transformer, OF_TRANSFORMER)
    bare = Network(parent=parent, need_kw=np.zeros((parent.size, 1)), confidence=np.array(0.5))
    at_node = np.bincount(node, offers.mean_kw[:, 0], parent.size)
    below_kw = bare.sum_up(at_node.astype(np.float64))
    network = replace(bare, need_kw=(share * below_kw)[:, None], confidence=np.array(CONFIDENCE))
    return Problem(
        customers=Customers(count=offers.count, node=node), offers=offers, network=network
    )


def fresh(problem: Problem) -> Problem:
    """The same question of the same columns, nothing of which has been derived yet."""
    return replace(
        problem,
        customers=replace(problem.customers),
        offers=replace(problem.offers),
        network=replace(problem.network),
    )
