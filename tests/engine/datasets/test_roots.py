"""The roots of data sets: links that come too late, what is no file, and what is asked at once."""

import os
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadloom.engine.datasets import roots
from loadloom.engine.datasets.data_set import DataSet, Layout
from loadloom.engine.datasets.roots import Location, Roots
from loadloom.engine.datasets.tables import table
from loadloom.models.checks import InvalidProblem

DATA_SET = DataSet(root="meters", path="day/a.parquet", layout=Layout.WIDE_LIST)


def written(folder: Path, user: str) -> None:
    """A file of one user in a folder of a day."""
    (folder / "day").mkdir(parents=True)
    pq.write_table(pa.table({"user": [user], "load_kw": [[1.0]]}), folder / "day/a.parquet")


def users(found) -> list[str]:
    (batch,) = found.batches(DATA_SET, 10)
    return batch.rows.column("user").to_pylist()


def fault(call) -> str:
    with pytest.raises(InvalidProblem) as error:
        call()
    return str(error.value)


@pytest.mark.parametrize("swapped", ["day", "day/a.parquet"])
def test_a_link_that_comes_after_the_look_is_not_followed(tmp_path, swapped):
    outside, root = tmp_path / "outside", tmp_path / "root"
    written(outside, "somebody else")
    written(root, "anna")
    (location,) = Roots({"meters": str(root)}).files("meters", "day/a.parquet")
    found = table(location, DATA_SET)
    assert users(found) == ["anna"]
    (root / swapped).rename(tmp_path / "aside")
    (root / swapped).symlink_to(outside / swapped)
    for late in (lambda: users(found), lambda: table(location, DATA_SET)):
        words = fault(late)
        assert words.startswith("meters/day/a.parquet: cannot be read")
        assert str(tmp_path) not in words


def test_links_that_stay_inside_are_followed(tmp_path):
    written(tmp_path / "root", "anna")
    (tmp_path / "root/today").symlink_to("day")
    (tmp_path / "meters").symlink_to("root")  # the root's own folder may be a link, too
    (location,) = Roots({"meters": str(tmp_path / "meters")}).files("meters", "today/a.parquet")
    assert users(table(location, DATA_SET)) == ["anna"]


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").mkdir()
    for name in ("a.parquet", "b.parquet"):
        location = Location(shown=name, url="", path=name, home=str(tmp_path))
        assert fault(location.open) == f"{name}: cannot be read: Not a file"


def test_only_what_is_quick_is_asked_at_once(tmp_path):
    """No folder is listed, and no other machine asked: nothing here speaks s3."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").symlink_to(tmp_path.parent)
    roots = Roots({"here": str(tmp_path), "there": "s3://meters"})
    roots.check("here", "empty")
    roots.check("there", "day")
    assert "has no files" in fault(lambda: roots.files("here", "empty"))
    assert "cannot be read" in fault(lambda: roots.files("there", "day"))
    refused = [
        ("here", "night", "does not exist"),
        ("here", "../x", "below its root"),
        ("here", "out", "leads out of its root"),
        ("here", "out/nothing", "leads out of its root"),  # nor whether there is such a file
        ("there", "../x", "below its root"),
        ("there", "a%2e%2e", "mean something else"),
        ("elsewhere", "day", "is no root"),
    ]
    for root, path, words in refused:
        assert words in fault(lambda root=root, path=path: roots.check(root, path))


def test_a_file_system_that_hangs_keeps_no_check_waiting(monkeypatch, tmp_path):
    here, goes_on, resolve = Roots({"here": str(tmp_path)}), threading.Event(), Path.resolve

    def hanging(path: Path, *, strict: bool = False) -> Path:
        goes_on.wait(60)
        return resolve(path, strict=strict)

    before = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.setattr(roots, "LOOK_S", 0.01)
        patch.setattr(Path, "resolve", hanging)
        for _ in range(20):
            here.check("here", "june.parquet")
        hung = set(threading.enumerate()) - before
        assert 0 < len(hung) < 20
        goes_on.set()
        for thread in hung:
            thread.join(60)
    with pytest.raises(InvalidProblem, match="does not exist"):
        here.check("here", "june.parquet")
