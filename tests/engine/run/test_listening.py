import json
import os
import socket
import subprocess
import sys

import pytest

from loadloom.engine.run.listening import obstacle


def test_a_free_port_of_this_machine_has_no_obstacle():
    assert obstacle("127.0.0.1", 0) == ""
    assert obstacle("localhost", 0) == ""


def test_what_is_in_the_way_is_told_by_the_setting_to_change():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert obstacle("127.0.0.1", port) == (
            f"port {port}: is taken; choose another one, or 0 for any that is free"
        )
        assert obstacle("127.0.0.1", port, "metrics_") == (
            f"metrics_port {port}: is taken; choose another one, or 0 for none"
        )
    assert obstacle("192.0.2.1", 0) == "host 192.0.2.1: is not an address of this machine"
    assert "neither an address nor a name" in obstacle("127.0.0.300", 0)


@pytest.mark.parametrize("option", ["--port", "--metrics-port"])
def test_a_server_that_cannot_listen_says_so_in_a_line_beside_its_log(option, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        module = [sys.executable, "-m", "loadloom.engine.main", "--port=0"]
        database = f"--database-url=sqlite:///{tmp_path}/loadloom.db"
        done = subprocess.run(
            [*module, database, f"{option}={port}"],
            capture_output=True,
            text=True,
            env=os.environ | {"LOADLOOM_PROT": "9000"},
        )
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    (plain,) = [line for line in lines if not line.startswith("{")]
    assert f"{option.strip('-').replace('-', '_')} {port}: is taken" in plain
    (unknown,) = [
        told for line in lines if "unknown setting" in line for told in [json.loads(line)]
    ]
    assert (unknown["level"], unknown["variable"]) == ("warning", "LOADLOOM_PROT")
    assert unknown["told"] == "is no setting; did you mean LOADLOOM_PORT?"
