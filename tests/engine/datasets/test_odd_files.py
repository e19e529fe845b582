"""Files and roots that are not as they should be: told as the caller's fault, never as ours."""

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadloom.engine.datasets.data_set import DataSet, Layout
from loadloom.engine.datasets.read import open_parts
from loadloom.engine.datasets.roots import Roots
from loadloom.models.agency.curves import all_chunks
from tests.engine.datasets.test_data_sets import HORIZON, SLOTS, TIMES, data_set, fault

LOADS = pa.array([[1.0] * SLOTS] * 2)
NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
)
NAMES = [
    ("structs", [{"first": "a"}, {"first": "b"}], "must be words"),
    ("lists", [["a"], ["b"]], "must be words"),
    ("bytes", [b"a", b"\xff"], "must be words"),
    ("numbers with fractions", [1.5, 2.5], "must be words"),
    ("no UTF-8", NOT_UTF8, "UTF8"),
    ("too long", ["a", "b" * 201], "row 2, column 'user': has a name of 201 bytes"),
    ("too long in bytes", ["a", "ä" * 101], "row 2, column 'user': has a name of 202 bytes"),
    ("NUL", ["a", "b\0"], "row 2, column 'user': has a name with a NUL"),
    ("empty", ["a", ""], "row 2, column 'user': has no name"),
    ("none", ["a", None], "row 2, column 'user': has no name"),
]


def read(folder, path, layout=Layout.WIDE_LIST, currency="", **more):
    roots = Roots({"meters": str(folder)})
    parts = open_parts(data_set(path, layout, **more), roots, HORIZON, currency=currency)
    return [name for chunk in all_chunks(parts) for name in chunk.names or ()]


@pytest.mark.parametrize(("names", "told"), [row[1:] for row in NAMES], ids=[r[0] for r in NAMES])
def test_names_that_no_request_could_have_are_told(tmp_path, names, told):
    pq.write_table(pa.table({"user": names, "load_kw": LOADS}), tmp_path / "a.parquet")
    times = pa.array(TIMES[:2], pa.timestamp("us", "UTC"))
    made = pa.table({"user": names, "time": times, "load_kw": [1.0, 2.0]})
    pq.write_table(made, tmp_path / "long.parquet")
    for path, layout in (("a.parquet", Layout.WIDE_LIST), ("long.parquet", Layout.LONG)):
        words = fault(lambda path=path, layout=layout: read(tmp_path, path, layout))
        assert words.startswith(f"meters/{path}: ")
        assert told in words


@pytest.mark.parametrize(
    "names",
    [
        pa.array(["a", "ä" * 100]),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array(["a", "b"], pa.large_string()),
        pa.array(["a", "b"], pa.string_view()),
        pa.array([17, 18]),
    ],
    ids=lambda names: str(names.type)[:10],
)
def test_names_of_every_kind_of_words_are_read(tmp_path, names):
    pq.write_table(pa.table({"user": names, "load_kw": LOADS}), tmp_path / "a.parquet")
    assert read(tmp_path, "a.parquet") == [str(name) for name in names.to_pylist()]


@pytest.mark.parametrize("column", ["area_column", "unit_column", "currency_column"])
def test_other_columns_of_words_are_told_too(tmp_path, column):
    for odd in ([{"x": "a"}, {"x": "b"}], [["a"], ["b"]], NOT_UTF8):
        made = pa.table({"user": ["a", "b"], "odd": odd, "load_kw": LOADS})
        pq.write_table(made, tmp_path / "a.parquet")
        words = fault(lambda: read(tmp_path, "a.parquet", **{column: "odd"}))
        assert words.startswith("meters/a.parquet: ")


def test_readings_that_do_not_fit_are_told(tmp_path):
    large = pa.array([[2**60 + 1] * SLOTS] * 2)
    pq.write_table(pa.table({"user": ["a", "b"], "load_kw": large}), tmp_path / "a.parquet")
    assert "meters/a.parquet: " in fault(lambda: read(tmp_path, "a.parquet"))
    (tmp_path / "a.csv").write_text("user,load_kw\na,1\n")
    assert "meters/a.csv: " in fault(lambda: read(tmp_path, "a.csv"))


def test_a_header_of_another_alphabet_is_told(tmp_path):
    (tmp_path / "a.csv").write_bytes("user,größe\na,1\n".encode("latin-1"))
    words = fault(lambda: read(tmp_path, "a.csv", Layout.WIDE_COLUMNS))
    assert words == "meters/a.csv: has words that are not UTF-8"


def test_a_link_to_itself_is_no_file(tmp_path):
    (tmp_path / "a.parquet").symlink_to(tmp_path / "a.parquet")
    assert "does not exist" in fault(lambda: read(tmp_path, "a.parquet"))


def test_currencies_are_those_that_are_due(tmp_path):
    made = pa.table({"user": ["a", "b"], "money": ["USD", "USD"], "load_kw": LOADS})
    pq.write_table(made, tmp_path / "a.parquet")
    words = fault(lambda: read(tmp_path, "a.parquet", currency="EUR", currency_column="money"))
    assert "row 1, column 'money': is 'USD'; must be 'EUR' everywhere" in words
    assert read(tmp_path, "a.parquet", currency="USD", currency_column="money") == ["a", "b"]
    pq.write_table(made.slice(0, 0), tmp_path / "a.parquet")
    assert read(tmp_path, "a.parquet", currency_column="money") == []


@pytest.mark.parametrize("url", ["lacking://bucket", "nosuch://bucket", "closed://bucket"])
def test_roots_that_cannot_be_reached_are_told_without_their_place(url):
    class Closed(fsspec.AbstractFileSystem):
        protocol = "closed"

        def info(self, path: str, **_: object) -> dict:
            raise PermissionError(13, "Permission denied", path)

        def isfile(self, path: str) -> bool:
            return bool(self.info(path))

    fsspec.register_implementation("lacking", "no_such_module.FileSystem", clobber=True)
    fsspec.register_implementation("closed", Closed, clobber=True)
    roots = Roots({"meters": url})
    words = fault(lambda: open_parts(data_set("a.parquet"), roots, HORIZON))
    assert "data_set.path: cannot be read: " in words
    assert "bucket" not in words


@pytest.mark.parametrize("path", ["%2e%2e/a.parquet", "a.parquet?x=1", "a.parquet#x"])
def test_what_means_something_else_in_a_url_is_refused(path):
    roots = Roots({"meters": "https://meters.invalid/data"})
    words = fault(lambda: open_parts(data_set(path), roots, HORIZON))
    assert "mean something else in a URL" in words


def test_many_columns_are_compared_with_each_other_quickly():
    """Some hundred thousand, which takes minutes where each one is compared with all others."""
    names = tuple(map(str, range(100_000)))
    found = DataSet(root="r", path="p", layout=Layout.WIDE_COLUMNS, slot_columns=names)
    assert found.value_columns == list(names)
    words = fault(
        lambda: DataSet(root="r", path="p", layout=Layout.WIDE_COLUMNS, slot_columns=(*names, "17"))
    )
    assert words == "data_set: names columns ['17'] twice; they must differ"
