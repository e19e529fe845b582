"""Folders for a while, which are gone in the end even if their process is killed."""

import fcntl
import os
import shutil
import weakref
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkstemp

PREFIX, SUFFIX = "loadloom-", ".lock"


class Folder:
    """A folder that is deleted when it is closed or forgotten, or by `sweep` after its process.

    Beside it lies a file of its name that the process holds a lock on. The system lets go of the
    lock whatever ends the process, so a file without a lock tells of a folder that nobody needs.
    """

    def __init__(self, parent: Path | None = None) -> None:
        number, name = _locked(parent)
        self.path = Path(name.removesuffix(SUFFIX))
        self.path.mkdir(mode=0o700)
        self._end = weakref.finalize(self, _end, number, self.path)

    def close(self) -> None:
        """Deletes the folder."""
        self._end()


def sweep(parent: Path | None = None) -> None:
    """Deletes the folders of this user's processes that are gone."""
    for lock in Path(parent or gettempdir()).glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):  # another's, or gone by now
            number = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(number).st_uid == os.getuid():
                    _delete(lock.with_suffix(""))
            finally:
                os.close(number)


def _locked(parent: Path | None) -> tuple[int, str]:
    """A new file with a lock on it, its number and its path."""
    while True:
        number, name = mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=parent)
        fcntl.flock(number, fcntl.LOCK_EX)
        if os.fstat(number).st_nlink:
            return number, name
        os.close(number)  # it was swept before it had its lock


def _end(number: int, path: Path) -> None:
    _delete(path)
    os.close(number)


def _delete(path: Path) -> None:
    """Deletes a folder, and the file of its lock while the lock is still held."""
    shutil.rmtree(path, ignore_errors=True)
    path.with_name(path.name + SUFFIX).unlink(missing_ok=True)
