"""Temporary folders: gone with their owner, and swept when their process was killed."""

import os
import signal
import subprocess
import sys

from loadloom.engine.datasets.temporary import Folder, sweep

LIVES = """
import sys, time
from pathlib import Path
from loadloom.engine.datasets.temporary import Folder
folder = Folder(Path(sys.argv[1]))
(folder.path / "readings").write_text("some")
print(folder.path.name, flush=True)
time.sleep(600)
"""


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_folder_is_gone_when_it_is_closed_or_forgotten(tmp_path):
    closed, forgotten = Folder(tmp_path), Folder(tmp_path)
    (closed.path / "readings").write_text("some")
    closed.close()
    closed.close()
    assert names(tmp_path) == {forgotten.path.name, f"{forgotten.path.name}.lock"}
    del forgotten
    assert not names(tmp_path)


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    own = Folder(tmp_path)
    (tmp_path / "loadloom-notes").mkdir()
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "loadloom-link.lock").symlink_to(tmp_path / "elsewhere")
    kept = names(tmp_path)
    command = [sys.executable, "-c", LIVES, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            left = process.stdout.readline().strip()
            sweep(tmp_path)
            assert (tmp_path / left / "readings").exists()
        finally:
            os.kill(process.pid, signal.SIGKILL)
    assert names(tmp_path) == kept | {left, f"{left}.lock"}
    sweep(tmp_path)
    assert names(tmp_path) == kept
    own.close()
