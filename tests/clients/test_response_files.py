"""Files of networks, customers, needs and answers: what they say, and their faults by line."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from loadloom.client.files.faults import InputError
from loadloom.client.files.response_customers import (
    read_answers,
    read_customers,
    read_needs,
    read_network,
)

NETWORK = "node,parent,rating_kw,need_kw\nfeeder,,800,\nnorth,feeder,250,18\nsouth,feeder,0.25,\n"
ZONE = ZoneInfo("Europe/Amsterdam")


@pytest.fixture
def write(tmp_path):
    def written(text, name="file.csv"):
        file = tmp_path / name
        file.write_text(text)
        return file

    return written


def faults(call):
    with pytest.raises(InputError) as error:
        call()
    return [str(fault).partition("file.csv, ")[2] or str(fault) for fault in error.value.faults]


def test_a_network_has_parents_ratings_and_needs(write):
    found = read_network(write(NETWORK))
    assert found.names == ("feeder", "north", "south")
    assert found.parents == ("", "feeder", "feeder")
    assert list(found.rating_kw) == [800.0, 250.0, 0.25]
    assert list(found.need_kw) == [0.0, 18.0, 0.0]
    assert found.confidence is None


def test_units_stand_in_headers(write):
    found = read_network(write("node,rating_mw\nfeeder,0.8\n"))
    assert list(found.rating_kw) == [800.0]


def test_faults_of_a_network_are_told_by_line_and_column(write):
    text = "node,parent,rating_kw\nnorth,west,250\nnorth,,much\n,north,-1\nsouth,south,\n"
    assert faults(lambda: read_network(write(text))) == [
        "line 2, column 2 (parent): there is no node 'west'",
        "line 3, column 1 (node): 'north' is already in line 2",
        "line 3, column 3 (rating_kw): 'much' is not a number",
        "line 4, column 1 (node): is missing",
        "line 4, column 3 (rating_kw): is -1; must be at least 0",
        "line 5, column 2 (parent): is the node itself",
        "line 5, column 3 (rating_kw): is missing",
    ]
    told = faults(lambda: read_network(write("name\nx\n")))
    assert any("has no column node; its columns are name" in one for one in told)


def test_customers_have_levels_by_their_headers(write):
    text = (
        "customer,node,size_kw,acceptance_at_0.40,acceptance_at_0.2,group,call,calls_left\n"
        "anna,north,2,0.9,0.7,old,must,3\nbert,south,1.5,0.8,0.5,,never,0\n"
    )
    found = read_customers(write(text), ["north", "south"]).customers
    assert found.names == ("anna", "bert")
    assert found.price_per_kwh == [0.2, 0.4]
    assert found.acceptance.tolist() == [[0.7, 0.9], [0.5, 0.8]]
    assert (found.must_call, found.never_call) == ([0], [1])
    assert found.groups == ("old", "")
    assert list(found.calls_left) == [3.0, 0.0]


def test_empty_cells_have_a_meaning_where_there_is_one(write):
    text = "customer,size_kw,size_sd_kw,acceptance,delivered_share\na,2,,,\nb,1,0.5,0.5,0.8\n"
    found = read_customers(write(text), ["north"]).customers
    assert list(found.size_sd_kw) == [0.0, 0.5]
    assert list(found.acceptance) == [1.0, 0.5]
    assert list(found.delivered_share) == [1.0, 0.8]
    assert found.nodes == ()


def test_parquet_is_told_by_row(tmp_path):
    file = tmp_path / "file.parquet"
    pd.DataFrame({"customer": ["a", "b"], "size_kw": [1.0, None]}).to_parquet(file)
    with pytest.raises(InputError) as error:
        read_customers(file, [])
    assert "row 2, column 2 (size_kw): is missing" in str(error.value)


def test_faults_of_customers_are_told_by_line_and_column(write):
    text = (
        "customer,node,size_kw,acceptance,call,calls_left\n"
        "anna,west,2,1.2,maybe,1.5\nanna,,,0.5,,\n"
    )
    assert faults(lambda: read_customers(write(text), ["north"])) == [
        "line 2, column 2 (node): there is no node 'west'",
        "line 2, column 4 (acceptance): is 1.2; must be from 0 to 1",
        "line 2, column 5 (call): is 'maybe'; must be must, never or empty",
        "line 2, column 6 (calls_left): is 1.5; must be a whole number",
        "line 3, column 1 (customer): 'anna' is already in line 2",
        "line 3, column 2 (node): is missing",
        "line 3, column 3 (size_kw): is missing",
    ]
    text = "customer,size_kw,sise_sd_kw,acceptance,acceptance_at_much\na,1,1,1,1\n"
    found = faults(lambda: read_customers(write(text), []))
    assert "line 1, column 3 (sise_sd_kw): is not known here; did you mean size_sd_kw?" in found
    assert any("(acceptance_at_much): must end in a price per kWh" in one for one in found)
    assert any("(acceptance): goes with one price alone" in one for one in found)


def test_needs_are_read_with_their_spread_and_cut(write):
    text = "node,time,excess_kw,sd_kw\n" + "".join(
        f"{node},2026-08-12T{hour}:00,{hour - 10},1\n"
        for node in ("south", "north")
        for hour in (18, 19, 20)
    )
    start = pd.Timestamp("2026-08-12T19:00", tz=ZONE)
    need, sd = read_needs(write(text), ["feeder", "north", "south"], ZONE, start, None)
    assert list(need.columns) == ["feeder", "north", "south"]
    assert need["north"].tolist() == [9.0, 10.0]
    assert need["feeder"].tolist() == [0.0, 0.0]
    assert sd is not None
    assert sd["south"].tolist() == [1.0, 1.0]
    assert need.index.freq == timedelta(hours=1)
    plain = "node,time,need_kw\nnorth,2026-08-12T18:00,1\nnorth,2026-08-12T19:00,2\n"
    need, sd = read_needs(write(plain), ["north"], ZONE, None, None)
    assert sd is None
    assert need["north"].tolist() == [1.0, 2.0]


def test_faults_of_needs_are_told_by_line_and_column(write):
    text = "node,time,need_kw\nwest,2026-08-12T18:00,1\nnorth,soon,-2\nnorth,,\n"
    found = faults(lambda: read_needs(write(text), ["north"], ZONE, None, None))
    assert [one.partition(":")[0] for one in found] == [
        "line 2, column 1 (node)",
        "line 3, column 2 (time)",
        "line 3, column 3 (need_kw)",
        "line 4, column 2 (time)",
        "line 4, column 3 (need_kw)",
    ]
    twice = "node,time,need_kw\nnorth,2026-08-12T18:00,1\nnorth,2026-08-12T18:00,1\n"
    found = faults(lambda: read_needs(write(twice), ["north"], ZONE, None, None))
    assert found == ["line 3, column 2 (time): is a second need of this node at this time"]
    late = pd.Timestamp("2027-01-01", tz=ZONE)
    uneven = "node,time,need_kw\n" + "".join(f"a,2026-08-12T{h}:00,1\n" for h in (10, 11, 13))
    assert "same step" in faults(lambda: read_needs(write(uneven), ["a"], ZONE, None, None))[0]
    assert "no need in" in faults(lambda: read_needs(write(uneven), ["a"], ZONE, late, None))[0]


def test_answers_are_words_with_or_without_kw(write):
    found = read_answers(write("customer,answer,accepted_kw\na,Accepted,1.5\nb,opted-out,\n"))
    assert [(one.customer, one.answer, one.accepted_kw) for one in found] == [
        ("a", "accepted", 1.5),
        ("b", "opted out", None),
    ]
    told = faults(lambda: read_answers(write("customer,answer\na,yes\na,\n")))
    assert told == [
        "line 2, column 2 (answer): is 'yes'; must be one of accepted, opted out, no answer",
        "line 3, column 1 (customer): 'a' is already in line 2",
        "line 3, column 2 (answer): is missing",
    ]
