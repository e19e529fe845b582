"""The roots of data sets: names for folders, here or elsewhere, below which files may be read.

Nothing else may: a path is taken apart, and `..` and absolute paths are refused, before a file
system sees it; on this machine a link that leads out of its root is refused as well.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import fsspec

from loadloom.models.checks import InvalidProblem, Violation

SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}
"""The ends of the names of files that are data."""

BACKEND_FAULTS = (
    ("aiohttp", "ClientError"),
    ("azure.core.exceptions", "AzureError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("paramiko", "SSHException"),
)
"""What file systems elsewhere raise beside OSError: modules, and classes in them."""


def refusal(path: str, words: str) -> InvalidProblem:
    """The refusal of a data set."""
    return InvalidProblem([Violation(path, words)])


def reading_faults() -> tuple[type[Exception], ...]:
    """What reading a file may raise, as far as its modules are loaded."""
    loaded = [(sys.modules[name], kind) for name, kind in BACKEND_FAULTS if name in sys.modules]
    return (OSError, *(getattr(module, kind) for module, kind in loaded if hasattr(module, kind)))


@contextmanager
def _reached(shown: str) -> Iterator[None]:
    """Tells of a file system that cannot be reached, and no more of where it is."""
    try:
        yield
    except InvalidProblem:  # a ValueError of ours
        raise
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise refusal(shown, f"cannot be read: {said}") from error
    except (ImportError, ValueError) as error:  # no such protocol, or nothing that speaks it
        said = "cannot be read: the server lacks what its setting data_roots needs"
        raise refusal(shown, said) from error
    except reading_faults() as error:
        raise refusal(shown, f"cannot be read: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class Location:
    """A file below a root.

    Attributes:
        shown: the root's name and the path below it, for messages; no more is told to callers.
        url: the root's URL, or empty for a file of this machine.
        path: the path in that file system.
    """

    shown: str
    url: str
    path: str

    def open(self) -> BinaryIO:
        """The file, opened for reading.

        Raises:
            InvalidProblem: it cannot be read.
        """
        with _reached(self.shown):
            if not self.url:
                return Path(self.path).open("rb")
            system, _ = fsspec.url_to_fs(self.url)
            return cast(BinaryIO, system.open(self.path, "rb"))


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders by name: paths of this machine, or URLs that fsspec knows."""

    folders: Mapping[str, str]

    def files(self, root: str, path: str) -> list[Location]:
        """The file at a path below a root, or all data files in the folder there, by name.

        Raises:
            InvalidProblem: there is no such root, or no such file, or the path leads out of it.
        """
        if root not in self.folders:
            known = ", ".join(sorted(self.folders)) or "none"
            raise refusal("data_set.root", f"{root!r} is no root of data sets; there are: {known}")
        folder = self.folders[root]
        with _reached("data_set.path"):
            found = sorted(self._found(root, folder, path), key=lambda one: one.shown)
        if not found:
            ends = ", ".join(SUFFIXES)
            raise refusal("data_set.path", f"{root}/{path} has no files; their names end in {ends}")
        return found

    def _found(self, root: str, folder: str, path: str) -> Iterator[Location]:
        parts = _parts(path)
        if "://" not in folder or folder.startswith("file://"):
            return _local(root, Path(folder.removeprefix("file://")), parts)
        if any(sign in path for sign in "%?#"):
            said = f"{path!r} has one of % ? #, which mean something else in a URL"
            raise refusal("data_set.path", said)
        return _remote(root, folder, parts)


def _parts(path: str) -> tuple[str, ...]:
    """The names in a path.

    Raises:
        InvalidProblem: it is absolute, or has names that lead upwards or mean something else.
    """
    pure = PurePosixPath(path)
    named = pure.parts
    odd = any(sign in path for sign in ("\\", "\0", "::")) or ":" in "".join(named[:1])
    if not path or pure.is_absolute() or ".." in named or odd:
        raise refusal("data_set.path", f"{path!r} must be a path below its root, without ..")
    return named


def _local(root: str, folder: Path, parts: tuple[str, ...]) -> Iterator[Location]:
    try:
        home = folder.resolve(strict=True)
        target = home.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # the latter for links that lead to themselves
        shown = "/".join((root, *parts))
        raise refusal("data_set.path", f"{shown} does not exist") from error
    if target.is_file():
        yield _inside(root, home, home.joinpath(*parts))
        return
    for path in home.joinpath(*parts).rglob("*"):
        if path.suffix in SUFFIXES and path.is_file():
            yield _inside(root, home, path)


def _inside(root: str, home: Path, path: Path) -> Location:
    """The file that a path leads to, if that is below the root too."""
    target = path.resolve(strict=True)
    shown = f"{root}/{path.relative_to(home).as_posix()}"
    if not target.is_relative_to(home):
        raise refusal("data_set.path", f"{shown} is a link that leads out of its root")
    return Location(shown=shown, url="", path=str(target))


def _remote(root: str, url: str, parts: tuple[str, ...]) -> Iterator[Location]:
    system, base = fsspec.url_to_fs(url)
    base = base.rstrip("/")
    target = "/".join((base, *parts))
    shown = "/".join((root, *parts))
    if system.isfile(target):
        yield Location(shown=shown, url=url, path=target)
    elif system.isdir(target):
        for path in system.find(target):
            if PurePosixPath(path).suffix in SUFFIXES:
                below = path.removeprefix(base).lstrip("/")
                yield Location(shown=f"{root}/{below}", url=url, path=path)
    else:
        raise refusal("data_set.path", f"{shown} does not exist")
