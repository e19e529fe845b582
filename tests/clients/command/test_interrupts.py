"""Ctrl-C, as at a terminal, where the whole group of processes gets the signal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
PRICES = ROOT / "examples/data/day_ahead_nl_2024_w20.csv"


def planning(folder: Path) -> list[str]:
    """A command that is busy with a reference model of many stores for longer than any test."""
    site = (ROOT / "examples/workshop.yaml").read_text()
    site = site.replace("data/workshop", str(ROOT / "examples/data/workshop"))
    for i in range(40):
        site += f"  - {{name: s{i}, energy_max_kwh: {5 + i}, charge_limit_kw: {1 + i},"
        site += f" discharge_limit_kw: {2 + i}, charge_efficiency: 0.9{i:02}}}\n"
    (folder / "site.yaml").write_text(site)
    files = [str(folder / "site.yaml"), "--prices", str(PRICES)]
    return ["-m", "loadloom.client.main", "dispatch", *files, "--method", "reference"]


def showing(folder: Path) -> list[str]:
    """The demo."""
    return [str(ROOT / "examples/demo.py"), "--out", str(folder)]


@pytest.mark.parametrize(
    ("command", "busy_s"), [(planning, 0.0), (planning, 3.0), (showing, 0.0), (showing, 0.5)]
)
def test_ctrl_c_ends_with_one_line_and_stops_the_engine(tmp_path, command, busy_s):
    """Once the engine is started, or once a worker or the engine itself has used some CPU."""
    command = [sys.executable, *command(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    program = psutil.Process(process.pid)
    eventually(lambda: any(cpu_s(child) >= busy_s for child in program.children(recursive=True)))
    children = program.children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stdout
    assert stderr.strip() == "interrupted"
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def cpu_s(process: psutil.Process) -> float:
    try:
        return process.cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


def eventually(look):
    until = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found
