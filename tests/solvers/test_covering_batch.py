"""Many rows that share no item are covered as each would be alone."""

from dataclasses import replace

import numpy as np
import pytest

from loadloom.solvers.covering.batch import Batch, cover_batch
from loadloom.solvers.covering.single import cover
from loadloom.solvers.covering.terms import TAKEN
from tests.solvers.test_covering import INF, instance


def test_a_batch_is_its_rows():
    random = np.random.default_rng(11)
    rows = [instance(random, int(random.integers(0, 14))) for _ in range(300)]
    rows = [replace(r, state=np.zeros(r.count, np.int8)) if r.state is None else r for r in rows]
    batch = Batch(
        starts=np.cumsum([0, *(r.count for r in rows)]),
        mean=np.concatenate([r.mean for r in rows]),
        variance=np.concatenate([r.variance for r in rows]),
        threshold=np.array([r.threshold for r in rows]),
        quantile=np.array([r.quantile for r in rows]),
        base_variance=np.array([r.base_variance for r in rows]),
        state=np.concatenate([r.state for r in rows]),
    )
    cost = np.concatenate([r.cost for r in rows])
    found = cover_batch(batch, cost)
    for r, given in enumerate(rows):
        single = cover(given, nodes=20_000)
        assert found.cost[r] == pytest.approx(single.cost, rel=1e-9, abs=1e-9)
        assert found.bound[r] == pytest.approx(single.bound, rel=1e-9, abs=1e-9)
        chosen = found.chosen[batch.starts[r] : batch.starts[r + 1]]
        if single.chosen is None:
            assert (chosen == (given.state == TAKEN)).all()
        else:
            assert (chosen == single.chosen).all()
    two = cover_batch(batch, cost, threads=2)
    assert (two.chosen == found.chosen).all()
    assert (two.cost == found.cost).all()
    again = cover_batch(batch, cost, prices=found.price)
    assert again.cost == pytest.approx(found.cost, rel=1e-8, abs=1e-8)


def test_a_large_item_of_a_batch_excuses_no_shortfall():
    batch = Batch(
        starts=np.array([0, 11]),
        mean=np.append(np.ones(10), 1e9),
        variance=np.zeros(11),
        threshold=np.array([7.0]),
        quantile=np.ones(1),
        base_variance=np.zeros(1),
        state=np.zeros(11, np.int8),
    )
    assert cover_batch(batch, np.append(np.ones(10), 1e6)).cost.tolist() == [7.0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"starts": np.array([0, 3, 2])}, "starts must rise from 0 to 2"),
        ({"starts": np.array([0, 1])}, "starts must rise from 0 to 2"),
        ({"threshold": np.ones(2)}, "threshold has shape (2,); it must be (1,)"),
        ({"threshold": np.array([INF])}, "threshold must be finite or -inf in every row"),
        ({"quantile": np.array([-1.0])}, "quantile must be finite and not negative in every row"),
        ({"variance": np.array([1.0, -1.0])}, "variance[1] is -1.0; it must not be negative"),
    ],
)
def test_what_is_wrong_with_a_batch_is_told(change, told):
    good = {
        "starts": np.array([0, 2]),
        "mean": np.ones(2),
        "variance": np.ones(2),
        "threshold": np.ones(1),
        "quantile": np.ones(1),
        "base_variance": np.zeros(1),
        "state": np.zeros(2, np.int8),
    }
    with pytest.raises(ValueError, match="must") as caught:
        Batch(**{**good, **change})
    assert told in str(caught.value)
    with pytest.raises(ValueError, match=r"cost\[0\] is nan"):
        cover_batch(Batch(**good), np.array([np.nan, 1.0]))
