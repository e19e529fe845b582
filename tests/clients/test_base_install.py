"""What works, and what is said, where no extra is installed."""

import subprocess
import sys

import pytest

from loadloom.client.embedded import ENGINE_NEEDS
from loadloom.client.main import CLI_NEEDS

WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Installed(PathFinder):
    '''Finds what a plain installation has.'''
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] in {missing!r}:
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path = [Installed if finder is PathFinder else finder for finder in sys.meta_path]
"""


def run(missing, code, *arguments):
    """What a Python without some modules does."""
    script = WITHOUT.replace("{missing!r}", repr(missing)) + code
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


MAIN = "from loadloom.client.main import main; main()"


@pytest.mark.parametrize("verb", ["dispatch", "--help"])
def test_the_command_line_says_what_to_install(verb):
    done = run(CLI_NEEDS, MAIN, verb)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "pip install 'loadloom[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_serving_says_what_to_install():
    done = run(ENGINE_NEEDS, MAIN, "serve")
    assert done.returncode == 1
    assert "pip install 'loadloom[engine]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_serving_needs_no_command_line():
    done = run(tuple(set(CLI_NEEDS) - set(ENGINE_NEEDS)), MAIN, "serve", "--port", "many")
    assert done.returncode == 2
    assert "port" in done.stderr


def test_planning_without_an_engine_says_what_to_install():
    done = run(ENGINE_NEEDS, MAIN, "info")
    assert done.returncode == 3
    assert "pip install 'loadloom[engine]'" in done.stderr


def test_the_client_imports_with_the_base_install_alone_and_nothing_else():
    extras = (*CLI_NEEDS, *ENGINE_NEEDS)
    code = (
        "import loadloom.client.client, loadloom.client.aio, loadloom.client.embedded, sys\n"
        "print([n for n in sys.modules if n.startswith(('loadloom.engine', 'loadloom.models'))])"
    )
    done = run(extras, code)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_client_does_not_load_what_it_may_not_need():
    # grpc itself loads its health service where it is installed
    extras = [name for name in (*CLI_NEEDS, *ENGINE_NEEDS) if name != "grpc_health"]
    code = f"import loadloom.client.client, sys\nprint([n for n in {extras!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
