"""The README's examples run as they are printed, against a real engine."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format
from typer.testing import CliRunner

from examples import fleet as homes
from loadloom.client.command.app import app
from loadloom.client.embedded import engine
from loadloom.v1.common_pb2 import TERMINATION_REASON_OPTIMAL
from loadloom.v1.dispatch_pb2 import PlanDispatchRequest
from loadloom.v1.dispatch_pb2_grpc import DispatchServiceStub

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def target():
    with engine("--metrics-port", "0") as address:
        yield address


def block(language: str, word: str) -> str:
    """The code block in a language that has a word in it."""
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if word in b]
    assert len(found) == 1
    return found[0]


def ten_lines(call: str, target: str, folder: Path) -> str:
    """What the lines of Python that make a call print, at a server."""
    code = block("python", call)
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10
    assert "127.0.0.1:8421" in code
    script = folder / "ten_lines.py"
    script.write_text(code.replace("127.0.0.1:8421", target))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commands(word: str, store: str, target: str) -> list[str]:
    """What each command of a block says.

    All run at one server: each would start an engine of its own else, as other tests do.
    """
    said = []
    for line in block("sh", word).replace("\\\n", " ").strip().splitlines():
        assert f"--store {store}" in line
        words = shlex.split(line.replace(f"--store {store}", f"--server {target}"))
        assert words[0] == ".venv/bin/loadloom"
        arguments = [str(ROOT / a) if a.startswith("examples/") else a for a in words[1:]]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        said.append(done.stdout)
    return said


def test_the_ten_lines_of_python_print_a_plan(target, tmp_path):
    said = ten_lines("plan_dispatch", target, tmp_path)
    assert said.startswith("optimal: ")
    assert "charging now for" in said


def test_the_request_for_grpcurl_is_answered(target):
    command = block("sh", "grpcurl")
    body = re.search(r"-d '(.*?)'", command, re.DOTALL)
    assert body
    assert "loadloom.v1.DispatchService/PlanDispatch" in command
    request = json_format.ParseDict(json.loads(body.group(1)), PlanDispatchRequest())
    with grpc.insecure_channel(target) as channel:
        plan = DispatchServiceStub(channel).PlanDispatch(request, timeout=30).plan
    assert plan.termination.reason == TERMINATION_REASON_OPTIMAL
    assert plan.reasons


def test_the_command_line_plans_the_example(tmp_path):
    command = block("sh", "loadloom dispatch").replace("\\\n", " ").split()
    assert command[0] == ".venv/bin/loadloom"
    arguments = [str(ROOT / a) if a.startswith("examples/") else a for a in command[1:]]
    done = subprocess.run(
        [sys.executable, "-m", "loadloom.client.main", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "plan.csv").stat().st_size > 1_000
    assert (tmp_path / "plan.png").stat().st_size > 10_000


def test_the_week_of_the_park_runs_from_plan_to_ledger(tmp_path, target, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = commands("orderly plan", "park", target)
    assert "no plan can cost less than" in said[0]
    assert "works-04" in said[1]
    assert "works-04" in said[-1]
    assert (tmp_path / "plan.csv").stat().st_size > 1_000
    assert (tmp_path / "plan.html").stat().st_size > 10_000


HURRIED = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
from examples import park
park.PAST_S = park.PLAN_S = park.REVISE_S = 2.0
runpy.run_path(park.__file__.replace("park.py", "demo.py"), run_name="__main__")
"""
"""Runs the demo, whose weeks are searched for less long: for plans, and not for the best."""


def test_the_demo_shows_both_sites(tmp_path):
    demo = [sys.executable, "-c", HURRIED, str(ROOT), "--out", str(tmp_path)]
    done = subprocess.run(demo, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1,000 optimal" in done.stdout
    assert (tmp_path / "workshop.png").stat().st_size > 10_000
    assert (tmp_path / "street.png").stat().st_size > 10_000
    assert "1,000 sites below 9 nodes" in done.stdout
    assert (tmp_path / "fleet.html").stat().st_size > 10_000
    assert "dearer than alone" in done.stdout
    assert "Statement of works-06" in done.stdout
    assert (tmp_path / "agency.png").stat().st_size > 10_000
    assert "half of the customers answered" in done.stdout
    assert (tmp_path / "response.png").stat().st_size > 10_000


def test_the_ten_lines_of_python_settle_with_two_users(target, tmp_path):
    said = ten_lines("create_settlement", target, tmp_path)
    assert "cost 2.90, bills 3.03, refunds 1.17 EUR" in said
    assert "refund = 1.80 - 1.17 = 0.63 EUR" in said


def test_the_month_of_the_agent_runs_from_sum_to_statement(tmp_path, target, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = commands("agency settle", "pool", target)
    assert "load factor" in said[0]
    assert "no portfolio more than" in said[1]
    assert "hill" in said[2]
    assert "Statement of works-06" in said[-1]
    assert (tmp_path / "bills.csv").stat().st_size > 1_000
    assert (tmp_path / "pool.png").stat().st_size > 10_000


def test_the_ten_lines_of_python_call_three_homes(target, tmp_path):
    said = ten_lines("create_event", target, tmp_path)
    assert said.startswith("['anna', 'bert'] 2.0")
    assert "open, revision 2, 1 accepted (4.0 kW), 1 wait (7.0 kW expected), 1 opted out" in said


def test_the_homes_below_feeders_are_planned(tmp_path, target, monkeypatch):
    monkeypatch.chdir(tmp_path)
    homes.write_files(400, tmp_path / "fleet")
    (said,) = commands("loadloom fleet", "town", target)
    assert "400 sites below 9 nodes" in said
    assert (tmp_path / "fleet.html").stat().st_size > 10_000


def test_the_hot_evening_runs_from_need_to_payment(tmp_path, target, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = commands("response need", "grid", target)
    assert "overload" in said[0]
    assert "no plan less than" in said[1]
    assert "LV2.215" in said[2]
    assert "two opted out" in said[4]
    assert "opted out" in said[5]
    assert "4 accepted, 4 delivered" in said[-1]
    assert (tmp_path / "calls.csv").stat().st_size > 1_000
    assert (tmp_path / "payments.csv").read_text().count("LV2.21") == 4
    assert (tmp_path / "tree.png").stat().st_size > 10_000
    assert (tmp_path / "load.png").stat().st_size > 10_000
