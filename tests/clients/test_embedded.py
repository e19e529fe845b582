import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from loadloom.client.client import Client
from loadloom.client.embedded import EngineFailed, engine


def test_an_engine_serves_while_the_block_runs_and_no_longer():
    with engine("--workers", "1") as target, Client(target) as client:
        assert "dispatch" in client.system_info().families
    host, port = target.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_an_engine_that_does_not_start_says_why():
    with pytest.raises(EngineFailed, match="workers"), engine("--workers", "none"):
        pass


def test_serving_becomes_the_engine_and_ends_when_told():
    command = [sys.executable, "-m", "loadloom.client.main", "serve"]
    command += ["--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        line = json.loads(process.stdout.readline())
        with Client(line["address"]) as client:
            assert client.system_info().engine_version
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
