"""Charts of events: which nodes they show in which order, and what they draw."""

from io import StringIO

import numpy as np
import pytest
from matplotlib.figure import Figure

from loadloom.client import response_charts
from loadloom.client.response_answers import TargetPlan
from loadloom.client.response_charts import (
    EventLoad,
    draw_load,
    draw_tree,
    event_chart,
    node_bars,
    write_event_chart,
    write_loads_chart,
)
from loadloom.v1 import response_pb2 as pb
from loadloom.wire.arrays import to_matrix
from tests.clients import response_cases as cases

PARENTS = {"feeder": "", "north": "feeder", "south": "feeder", "quiet": "feeder"}


def plan():
    message = pb.TargetPlan(called_count=12)
    columns = {
        "need_kw": [[5.0, 18.0], [12.0, 3.0]],
        "mean_kw": [[22.0, 22.0], [13.0, 13.0]],
        "sd_kw": [[2.0, 2.0], [1.5, 1.5]],
        "secured_kw": [[19.0, 19.0], [11.0, 11.0]],
        "probability": [[1.0, 0.97], [0.8, 1.0]],
    }
    message.nodes.nodes.extend([1, 2])
    for name, values in columns.items():
        getattr(message.nodes, name).CopyFrom(to_matrix(values))
    return TargetPlan(message=message, grid=cases.grid(), nodes=tuple(PARENTS))


def load():
    values = np.array([10.0, 20.0, 20.0, 12.0])
    return EventLoad(
        title="north",
        grid=cases.grid(4),
        without_kw=values,
        with_kw=values - [0.0, 4.0, 5.0, -1.0],
        start=1,
        stop=3,
        limit_kw=18.0,
    )


def test_nodes_stand_in_the_order_of_the_tree_at_their_hardest_hour():
    bars = node_bars(plan(), PARENTS)
    assert [(bar.name, bar.depth) for bar in bars] == [
        ("feeder", 0),
        ("north", 1),
        ("south", 1),
        ("quiet", 1),
    ]
    assert (bars[1].need_kw, bars[1].secured_kw, bars[1].probability) == (18.0, 19.0, 0.97)
    assert (bars[2].need_kw, bars[2].probability) == (12.0, 0.8)
    assert bars[0].probability is None


def test_without_a_tree_nodes_in_need_are_a_list():
    assert [(bar.name, bar.depth) for bar in node_bars(plan(), {})] == [("north", 0), ("south", 0)]


def test_of_many_nodes_those_in_need_and_what_is_above_them_are_shown(monkeypatch):
    monkeypatch.setattr(response_charts, "MOST_NODES", 1)
    many = PARENTS | {f"other {index}": "feeder" for index in range(50)}
    assert [bar.name for bar in node_bars(plan(), many)] == ["feeder", "north"]


def test_the_tree_tells_need_secured_kw_and_confidence():
    axes = Figure().add_subplot()
    draw_tree(axes, node_bars(plan(), PARENTS))
    assert [bar.get_width() for bar in axes.patches] == [0.0, 19.0, 11.0, 0.0]
    (marks,) = axes.lines
    assert list(marks.get_xdata()) == [18.0, 12.0]
    told = [text.get_text().strip() for text in axes.texts]
    assert told == ["19.0 of 18.0 kW, 97.0%", "11.0 of 12.0 kW, 80.0%"]
    secured, short = (axes.patches[place].get_facecolor() for place in (1, 2))
    assert secured != short


def test_the_load_is_drawn_with_and_without_the_event():
    axes = Figure().add_subplot()
    draw_load(axes, load())
    without, with_it, less = axes.patches
    np.testing.assert_array_equal(without.get_data().values, load().without_kw)
    np.testing.assert_array_equal(with_it.get_data().values, load().with_kw)
    np.testing.assert_array_equal(
        np.asarray(less.get_data().values) - less.get_data().baseline, [4.0, 5.0]
    )
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["without the event", "with it", "less by it", "rating"]


def test_the_lowest_value_stands_clear_of_the_axis():
    axes = Figure().add_subplot()
    draw_load(axes, load())
    low, high = axes.get_ylim()
    assert low < 10.0 < 20.0 < high


def test_loads_alone_are_written(tmp_path):
    write_loads_chart("2 of 4 delivered", [load()], tmp_path / "load.png")
    assert (tmp_path / "load.png").stat().st_size > 10_000


def test_a_chart_is_written(tmp_path):
    write_event_chart(plan(), tmp_path / "event.png", PARENTS, [load(), load()])
    assert (tmp_path / "event.png").stat().st_size > 10_000
    text = StringIO()
    write_event_chart(plan(), text, PARENTS)
    assert "12 customers called for 2 nodes in need" in text.getvalue()
    assert len(event_chart(plan()).axes) == 1


def test_a_plan_without_needs_has_a_chart_too():
    empty = TargetPlan(message=pb.TargetPlan(), grid=cases.grid(), nodes=("a",))
    assert len(event_chart(empty, {"a": ""}).axes) == 1


@pytest.mark.parametrize("loop", [{"a": "b", "b": "a"}, {"a": "a"}])
def test_a_circle_above_a_node_ends(loop):
    assert node_bars(plan(), loop) == []
