"""Faults planted in the sources of agency's rules: each must fail a test of its module."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from tests.mutation import survivors

FOLDER = "tests/models/agency"

FAULTS = {
    "money": (
        ("test_money.py",),
        (
            ("np.rint(np.abs(amounts) * REMAINDER_STEPS) / REMAINDER_STEPS", "np.abs(amounts)"),
            ("np.sign(amounts) * size", "size"),
            ("chosen = rest > level", "chosen = rest >= level"),
            ("np.cumsum(places, axis=-1) <= left", "np.cumsum(places, axis=-1) < left"),
            ("sorted(among.tolist(), key=names.__getitem__)", "among.tolist()"),
            ("size <= LARGEST_MINOR", "size <= 1e3 * LARGEST_MINOR"),
        ),
    ),
    "settle": (
        ("test_settle.py",),
        (
            ("return (1.0 + profit_rate) * share", "return share"),
            ("(1.0 - profit_rate) * share", "share"),
            ("cost_minor=shared - rent_minor", "cost_minor=shared"),
            ("profit_minor=billed - shared", "profit_minor=billed"),
            ("refund_minor=prepaid_minor - bill_minor", "refund_minor=bill_minor - prepaid_minor"),
            ("prepaid = problem.prepaid_minor\n", "prepaid = None\n"),
            ("benefit=float(worth.sum() - shared.share.sum())", "benefit=float(worth.sum())"),
            ("shares.share + (rest / whole) * size", "shares.share"),
            ("if abs(rest) > BALANCE", "if abs(rest) > 1e3 * BALANCE"),
            ("where=energy_kwh > 0.0", "where=energy_kwh >= 0.0"),
            ("half_width=shared.half_width", "half_width=None"),
        ),
    ),
    "cost": (
        ("test_cost.py", "test_sharing.py"),
        (
            ("self.block_h * slope * lift", "self.block_h * slope"),
            ("price - u * slope", "price + u * slope"),
            ("top.mean(axis=-1", "top.max(axis=-1"),
            ("hours = np.where(tied, self.step_h, 0.0)", "hours = np.where(tied, 1.0, 0.0)"),
            ("tied * (left / tied.sum())", "tied * left"),
            ("np.where(used, np.maximum(u, 1.0), 1.0)", "np.where(used, u, 1.0)"),
        ),
    ),
    "sharing": (
        ("test_sharing.py",),
        (
            (
                "saved = amount - cost.without(load_kw, everybody)",
                "saved = cost.standalone(load_kw)",
            ),
            ("alone = cost.standalone(load_kw)", "alone = cost.without(load_kw, everybody)"),
            ("amount / float(everybody @ cost.step_h)", "amount / float(everybody.sum())"),
            (
                "per_kw[cost.block_of_slot] * weights / cost.step_h",
                "per_kw[cost.block_of_slot] * weights",
            ),
            ("if not whole > 1e-12 * abs(amount)", "if not whole > -1e12"),
            ("SharingRule.NUCLEOLUS: nucleolus,", "SharingRule.NUCLEOLUS: shapley,"),
            ("rent=purchase.rent,", "rent=0.0,"),
            ("checks.require(costless,", "checks.require(True,"),
            ("checks.require(count <= limit,", "checks.require(True,"),
        ),
    ),
    "refunds": (
        ("test_refunds.py",),
        (
            ("ROUNDING_MINOR = 1.5", "ROUNDING_MINOR = 0.5"),
            ("prepaid_kwh - rate * energy if by_share", "prepaid_kwh if by_share"),
            ("need=(1.0 - rate) * share if by_share", "need=share if by_share"),
            ("negative = negative | raised | short", "negative = negative | raised"),
        ),
    ),
    "audit": (
        ("test_audit.py",),
        (
            (
                "most_u = 1.0 if schedule.is_stable else _most_u(self.load_kw, self.cost)",
                "most_u = 1.0",
            ),
            ("np.maximum(over, 0.0).sum()", "over.sum()"),
            ("return self.bound <= self.rounding", "return True"),
            (
                "self._q = b[line][self.cost.block_of_slot] * weights",
                "self._q = 2.0 * b[line][self.cost.block_of_slot] * weights",
            ),
        ),
    ),
    "statement": (
        ("test_statement.py",),
        (
            ('f"LF{d} * (e{d} / E{d} - p{d} / P{d})"', 'f"LF{d} * (p{d} / P{d} - e{d} / E{d})"'),
            ('f"g{d} - u{d} * s{d}"', 'f"g{d} + u{d} * s{d}"'),
            ('lift = "" if', 'lift = "" if True or'),
            ('f"F1 * e / ({total})"', 'f"F1 * e / E0"'),
            ('"alpha * f2 * e + (1 - alpha) * x"', '"alpha * f2 * e + x"'),
            ('"(1 + alpha) * x"\n', '"x"\n'),
            ('"prepaid - bill"', '"bill - prepaid"'),
            ("share / worth)\n", "1.0)\n"),
            ("share / alone)", "1.0)"),
            ('"E{d} * g{d} * p{d} / P{d}"', '"E{d} * g{d} * e{d} / E{d}"'),
        ),
    ),
    "referee": (
        ("test_settlement_referee.py",),
        (
            ("by_energy - span.user_peak_kw / span.peak_kw", "by_energy"),
            ('_near("figures.total_kw", settlement.figures.total_kw, total),', ""),
            ("*_rates(problem, settlement, spans),", ""),
            ("*referee_money.identities(problem, settlement),", ""),
            ("*referee_money.rounding(problem, settlement),", ""),
            ("found.extend(_manner(problem, settlement))", ""),
            (
                "found.extend(referee_rules.complaints(",
                "found.extend([] and referee_rules.complaints(",
            ),
            ('_near("cost", np.array(settlement.cost), np.array(due), size=size),', ""),
            ('_near("rent", np.array(settlement.rent), np.array(rent), size=size),', ""),
            ('_near("unit_contribution", unit, contribution, size=largest),', ""),
            ("None if settlement.rule is problem.sharing_rule", "None if True"),
            ('None if begins else Violation("figures.first_slot", f"must be {first}"),', ""),
            ('_near("benefit", np.array(settlement.benefit), np.array(gained), size=size),', ""),
            ("RELATIVE = 1e-9", "RELATIVE = 1e-3"),
        ),
    ),
    "referee_money": (
        ("test_settlement_referee.py",),
        (
            ("shared != due", "shared < due"),
            ("billed != due + s.profit_minor", "False"),
            ("prepaid != billed + refunded", "False"),
            ("if wrong.size:", "if False:"),
            ("s.prepaid_minor != problem.prepaid_minor", "s.prepaid_minor < 0"),
            ("s.share * scale, 1.0)", "s.share * scale, 2.5)"),
            ("s.bill * scale, 1.0)", "s.bill * scale, 2.5)"),
            ("0.5 + totals", "1.5 + totals"),
            (
                "np.array([s.cost * scale]), 1.0 + totals",
                "np.array([s.cost * scale]), 4.0 + totals",
            ),
            (
                "np.array([s.profit * scale]), 1.0 + totals",
                "np.array([s.profit * scale]), 4.0 + totals",
            ),
            ('_ordered("share_minor", s.share_minor, s.share * scale, names),', ""),
            ('_ordered("bill_minor", s.bill_minor, s.bill * scale, names),', ""),
            ("s.prepaid_minor, worth, 0.5", "s.prepaid_minor, worth, 1.5"),
            ("if least == most and", "if least == most or"),
            ("names[given] < names[passed]", "True"),
            ("ROUNDED = 1e-6", "ROUNDED = 1e-2"),
        ),
    ),
    "referee_rules": (
        ("test_settlement_referee.py",),
        (
            ("_in_proportion(_each(problem), due, due)", "None"),
            ("_in_proportion(due - _each(problem, total), due, 1e-4 * due)", "None"),
            ("return None if np.isnan(found).any() else (found, due)", "return None"),
            ("inside.all(axis=0) | ~inside.any(axis=0)", "inside.all(axis=0)"),
            ("(most > most.T + near) & free[None, :]", "(most > 1e9) & free[None, :]"),
            ("np.sort(peaks, axis=1)[:, -count:]", "np.sort(peaks, axis=1)[:, :count]"),
        ),
    ),
    "purchase_referee": (
        ("test_purchase_referee.py",),
        (
            ("+ plan.spot_buy_kw - plan.spot_sell_kw", "+ plan.spot_buy_kw"),
            ("got + plan.discharge_kw - plan.charge_kw", "got"),
            ("store.charge_efficiency * charged", "charged"),
            ("discharged / store.discharge_efficiency", "discharged"),
            ('_beyond("end_energy_kwh", stored[-1:], least_end, inf, slack_kwh),', ""),
            ("block.power_kw, slack)", "inf, slack)"),
            ("block.energy_kwh, slack_kwh)", "inf, slack_kwh)"),
            ("total, power_kw, power_kw, slack", "total, 0.0, power_kw, slack"),
            ("plant.energy_min_kwh, plant.energy_max_kwh", "0.0, plant.energy_max_kwh"),
            ("bad = ~(out <= slack)", "bad = out > slack"),
            (
                "both = np.minimum(plan.spot_buy_kw, plan.spot_sell_kw)",
                "both = 0.0 * plan.spot_buy_kw",
            ),
            ("self.spot_bought - self.spot_sold", "self.spot_bought"),
            ("plant.capacity_price_per_kw * peak", "plant.capacity_price_per_kw * energy"),
        ),
    ),
    "portfolio_referee": (
        (
            "test_portfolio.py::test_the_referee_sees_planted_faults",
            "test_portfolio.py::test_the_figures_of_the_referee_by_hand",
            "test_portfolio.py::test_a_limit_may_be_passed_by_rounding_alone",
        ),
        (
            ("self.revenue - self.fees - self.cost", "self.revenue - self.cost"),
            ("price[users, k] @ energies", "price[users, 0] @ energies"),
            ("problem.musts & (contract == LEFT_OUT)", "problem.musts & (contract > 99)"),
            ("problem.nevers & (contract != LEFT_OUT)", "problem.nevers & (contract > 99)"),
            ("terms.energy_min_kwh, -1.0", "terms.energy_min_kwh, 1.0"),
            ('("peak_max_kw", each.peak_kw, terms.peak_max_kw, 1.0),', ""),
            ("float(terms.user_count_min), -1.0", "0.0, -1.0"),
            ("each.user_count), terms.most_users, 1.0", "each.user_count), 99.0, 1.0"),
            ("RELATIVE = 1e-7", "RELATIVE = 1e-1"),
        ),
    ),
}
"""By module of agency: its tests, and what stands in its source with what would be wrong there."""


@pytest.mark.slow
@pytest.mark.parametrize("module", FAULTS)
def test_every_planted_fault_is_caught(module):
    """In a process of its own, which imports the module's package after the fault is planted."""
    tests, changes = FAULTS[module]
    paths = ["-m", "not slow", *(f"{FOLDER}/{name}" for name in tests)]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert (
            pool.submit(survivors, f"loadloom.models.agency.{module}", changes, paths).result()
            == []
        )
