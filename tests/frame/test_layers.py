"""The frame holds: imports point down, and a family has one name in every layer."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "engine": ROOT / "engine/loadloom/engine",
    "models": ROOT / "models/loadloom/models",
    "solvers": ROOT / "solvers/loadloom/solvers",
    "wire": ROOT / "proto/loadloom/wire",
    "client": ROOT / "clients/python/loadloom/client",
}
ALLOWED = {
    "engine": {"engine", "models", "solvers", "wire", "v1"},
    "models": {"models", "solvers"},
    "solvers": {"solvers"},
    "wire": {"wire", "v1"},
    "client": {"client", "wire", "v1"},
}
SHARED = {"common", "operations", "system"}


def imported(path: Path) -> set[str]:
    """The dotted names a file imports, wherever in it they stand."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("layer", SOURCES)
def test_imports_point_down(layer):
    files = list(SOURCES[layer].rglob("*.py"))
    assert files
    for path in files:
        layers = {n.split(".")[1] for n in imported(path) if n.startswith("loadloom.")}
        assert layers <= ALLOWED[layer], f"{path.relative_to(ROOT)} imports {layers}"


@pytest.mark.parametrize("layer", ["models", "solvers"])
def test_models_and_solvers_see_no_message(layer):
    for path in SOURCES[layer].rglob("*.py"):
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"google", "grpc"}, path


def test_solvers_know_no_electricity():
    words = r"battery|price_per|kwh|_kw|charge|electric|\bmeter"
    for path in SOURCES["solvers"].rglob("*.py"):
        assert not re.findall(words, path.read_text().lower()), path


def test_no_init_in_a_folder_called_loadloom():
    assert not [p for p in ROOT.glob("*/**/loadloom/__init__.py") if ".venv" not in str(p)]


def test_a_family_has_one_name_in_every_layer():
    stems = {p.stem for p in (ROOT / "proto/loadloom/v1").glob("*.proto")}
    protos = {stem.split("_")[0] for stem in stems} - SHARED  # a large family has several files
    assert protos
    layers = {
        "models": {p.parent.name for p in SOURCES["models"].glob("*/solve.py")},
        "convert": {p.stem for p in (SOURCES["engine"] / "convert").glob("*.py")},
        "services": {p.stem for p in (SOURCES["engine"] / "services").glob("*.py")},
        "tests": {p.name for p in (ROOT / "tests/models").iterdir() if p.is_dir()},
        "benchmarks": {p.stem for p in (ROOT / "benchmarks").glob("*.py")},
    }
    assert layers["models"] == protos
    assert layers["tests"] - {"__pycache__"} == protos
    for layer in ("convert", "services", "benchmarks"):
        assert protos <= layers[layer], f"{layer} lacks {protos - layers[layer]}"
    known = {"dispatch", "orderly", "agency", "response"}
    for layer in ("convert", "services", "benchmarks"):
        assert layers[layer] & known <= protos, f"{layer} has a family without a proto"


@pytest.mark.parametrize(
    "order", ["highspy, ortools.linear_solver.pywraplp", "ortools.linear_solver.pywraplp, highspy"]
)
def test_highspy_and_ortools_share_a_process(order):
    solve = (
        f"import {order}\n"
        "h = highspy.Highs(); h.setOptionValue('output_flag', False)\n"
        "x = h.addVariable(lb=1, ub=2, obj=1.0); h.run()\n"
        "assert abs(h.getObjectiveValue() - 1) < 1e-9\n"
        "from ortools.sat.python import cp_model\n"
        "m = cp_model.CpModel(); y = m.new_int_var(3, 9, 'y'); m.minimize(y)\n"
        "s = cp_model.CpSolver(); s.solve(m); assert s.value(y) == 3\n"
    )
    done = subprocess.run([sys.executable, "-c", solve], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
