"""The distribution: what is built is whole, and its base install is thin."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel built from the sdist, as an installer of the sdist would build it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_source_file(wheel):
    packed = set(zipfile.ZipFile(wheel).namelist())
    roots = ("engine", "models", "solvers", "proto", "clients/python")
    sources = {
        str(path.relative_to(ROOT / root))
        for root in roots
        for path in (ROOT / root / "loadloom").rglob("*")
        if path.suffix in {".py", ".pyi", ".typed"}
    }
    assert sources
    assert sources <= packed
    assert not [name for name in packed if name.startswith(("tests", "benchmarks", "examples"))]


def test_the_client_imports_from_the_wheel_without_the_engine(wheel, tmp_path):
    """An empty environment that has only what the base install asks for."""
    place = tmp_path / "venv"
    venv.create(place)  # without a pip of its own, which takes seconds; ours installs there
    python = place / "bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", wheel]
    done = subprocess.run(list(map(str, install)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # The base install's dependencies by links, and nothing else of this environment.
    ours = Path(next(p for p in sys.path if p.endswith("site-packages")))
    theirs = Path(
        subprocess.run(
            [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    for name in ("grpc", "google", "numpy", "numpy.libs", "typing_extensions.py"):
        if (ours / name).exists():
            (theirs / name).symlink_to(ours / name)
    code = (
        "import sys, loadloom.client.client as c; c.Client\n"
        "heavy = {'numba', 'highspy', 'pandas', 'pyomo', 'ortools', 'loadloom.engine'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "print(c.__file__)\n"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(place) in done.stdout
