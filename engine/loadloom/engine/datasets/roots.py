"""The roots of data sets: names for folders, here or elsewhere, below which files may be read.

Nothing else may: a path is taken apart, and `..` and absolute paths are refused, before a file
system sees it; on this machine a link that leads out of its root is refused as well, and files are
opened folder by folder, so that no link can take a folder's place once it was looked at.
"""

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from threading import BoundedSemaphore, Thread
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

LOOK_S = 0.5
"""How long a check waits for a file system of this machine, which may be mounted from another."""

_LOOKING = BoundedSemaphore(4)
"""Those that look now; where a file system hangs, so do they, and there are to be no more."""

# To pass through a folder takes no leave to list it; a pipe in a file's place would be waited for.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


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
        path: the path in that file system; of a file of this machine that below `home`.
        home: the folder of the root on this machine.
    """

    shown: str
    url: str
    path: str
    home: str = ""

    def open(self) -> BinaryIO:
        """The file, opened for reading.

        Raises:
            InvalidProblem: it cannot be read.
        """
        with _reached(self.shown):
            if not self.url:
                return _opened(self.home, self.path)
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
        folder = self._folder(root)
        parts = _parts(folder, path)
        with _reached("data_set.path"):
            its = _remote(root, folder, parts) if _is_url(folder) else _local(root, folder, parts)
            found = sorted(its, key=lambda one: one.shown)
        if not found:
            ends = ", ".join(SUFFIXES)
            raise refusal("data_set.path", f"{root}/{path} has no files; their names end in {ends}")
        return found

    def check(self, root: str, path: str) -> None:
        """Checks what can be told without a wait: no folder is listed, and no other machine asked.

        What a file system does not tell at once is left for `files` to find out.

        Raises:
            InvalidProblem: there is no such root, the path leads out of it, or, on this machine,
                nothing is there.
        """
        folder = self._folder(root)
        parts = _parts(folder, path)
        if not _is_url(folder):
            _at_once(partial(_there, root, folder, parts))

    def _folder(self, root: str) -> str:
        if root not in self.folders:
            known = ", ".join(sorted(self.folders)) or "none"
            raise refusal("data_set.root", f"{root!r} is no root of data sets; there are: {known}")
        return self.folders[root].removeprefix("file://")


def _parts(folder: str, path: str) -> tuple[str, ...]:
    """The names in a path below a root's folder.

    Raises:
        InvalidProblem: it is absolute, or has names that lead upwards or mean something else.
    """
    pure = PurePosixPath(path)
    named = pure.parts
    odd = any(sign in path for sign in ("\\", "\0", "::")) or ":" in "".join(named[:1])
    if not path or pure.is_absolute() or ".." in named or odd:
        raise refusal("data_set.path", f"{path!r} must be a path below its root, without ..")
    if _is_url(folder) and any(sign in path for sign in "%?#"):
        said = f"{path!r} has one of % ? #, which mean something else in a URL"
        raise refusal("data_set.path", said)
    return named


def _is_url(folder: str) -> bool:
    """Whether a root is not a folder of this machine."""
    return "://" in folder


def _at_once(look: Callable[[], object]) -> None:
    """Raises the fault that a look finds, unless it takes long: a system call cannot be ended."""
    faults: list[InvalidProblem] = []

    def found() -> None:
        try:
            look()
        except InvalidProblem as fault:
            faults.append(fault)
        finally:
            _LOOKING.release()

    if _LOOKING.acquire(blocking=False):
        thread = Thread(target=found, daemon=True)
        thread.start()
        thread.join(LOOK_S)
    if faults:
        raise faults[0]


def _there(root: str, folder: str, parts: tuple[str, ...]) -> tuple[Path, Path]:
    """The folder of a root, without links, and the path below it, which exists and stays inside."""
    missing = refusal("data_set.path", f"{'/'.join((root, *parts))} does not exist")
    try:
        home = Path(folder).resolve(strict=True)
        path = home.joinpath(*parts)
        _inside(root, home, path)
        if path.exists():
            return home, path
    except (OSError, RuntimeError):  # the latter for links that lead to themselves
        raise missing from None
    raise missing


def _local(root: str, folder: str, parts: tuple[str, ...]) -> Iterator[Location]:
    home, path = _there(root, folder, parts)
    if path.is_file():
        yield _inside(root, home, path)
        return
    for one in path.rglob("*"):
        if one.suffix in SUFFIXES and one.is_file():
            yield _inside(root, home, one)


def _inside(root: str, home: Path, path: Path) -> Location:
    """The file that a path leads to, if that is below the root too."""
    target = path.resolve()
    shown = f"{root}/{path.relative_to(home).as_posix()}"
    if not target.is_relative_to(home):
        raise refusal("data_set.path", f"{shown} is a link that leads out of its root")
    return Location(shown=shown, url="", path=str(target.relative_to(home)), home=str(home))


def _opened(home: str, path: str) -> BinaryIO:
    """A file below a folder of this machine, if there is no link on the way to it.

    A path that was looked at has none; whoever may write below a root could have put one in since.
    """
    *folders, name = PurePosixPath(path).parts
    with ExitStack() as numbers:
        folder = os.open(home, _FOLDER)
        numbers.callback(os.close, folder)
        for part in folders:
            folder = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            numbers.callback(os.close, folder)
        file = os.open(name, _FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "Not a file")
    return os.fdopen(file, "rb")


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
