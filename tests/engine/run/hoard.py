"""What takes memory, or leaves files, in a worker process."""

import os
from pathlib import Path
from time import sleep

import numpy as np

from loadloom.engine.datasets.temporary import Folder


def hoard(count: int) -> int:
    """Takes so many bytes of memory, which none but the limit of the process counts."""
    return np.empty(count, np.uint8).size


def hoard_and_tell(asked: tuple[int, Path]) -> int:
    """Writes the id of the process to a file, then takes so many bytes of memory."""
    count, file = asked
    file.write_text(str(os.getpid()))
    return hoard(count)


def own_id(_: None) -> int:
    """The id of the process."""
    return os.getpid()


def leave_a_folder(_: None) -> None:
    """Makes a folder for a while, and never ends."""
    folder = Folder()
    (folder.path / "readings").write_text("some")
    sleep(600.0)
