"""The file of tokens: made, read, revoked, and seen by a server that runs."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from loadloom.engine import token_main
from loadloom.engine.guard import tokens
from loadloom.engine.guard.roles import Caller, Role
from loadloom.engine.guard.tokens import BadToken, Tokens
from loadloom.engine.settings import BadSettings


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens"


@pytest.fixture
def looks_always(monkeypatch):
    """A clock by which every look at the file is due."""
    ticks = count(step=tokens.LOOK_S)
    monkeypatch.setattr(tokens, "monotonic", lambda: float(next(ticks)))


def test_a_token_tells_its_caller_and_the_file_does_not_hold_it(file):
    secret = tokens.make(file, "member", "park", "bakery")
    told = Tokens(file).bearer(secret)
    id_ = secret.split("_")[1]
    assert told == Caller(tenant="park", role=Role.MEMBER, user="bakery", token=id_)
    assert secret.split("_", 2)[2] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_tokens_differ(file):
    assert tokens.make(file, "viewer") != tokens.make(file, "viewer")
    assert len(tokens.read(file)) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"),
        lambda secret: secret[:-1],
        lambda secret: secret + "A",
        lambda secret: secret.split("_", 1)[1],
        lambda secret: "_".join(secret.split("_", 2)[:2]),
        lambda secret: secret.upper(),
        lambda _: "",
        lambda _: "__",
        lambda _: "loadloom_\ud800_x",
    ],
)
def test_what_is_no_token_has_no_bearer(file, change):
    secret = tokens.make(file, "admin")
    known = Tokens(file)
    assert known.bearer(secret)
    assert known.bearer(change(secret)) is None


def test_the_secret_of_another_token_is_none(file):
    one, other = tokens.make(file, "viewer"), tokens.make(file, "admin")
    crossed = "_".join([*one.split("_", 2)[:2], other.split("_", 2)[2]])
    assert Tokens(file).bearer(crossed) is None


@pytest.mark.usefixtures("looks_always")
def test_a_server_that_runs_sees_what_is_new_and_what_is_revoked(file):
    first = tokens.make(file, "viewer")
    known = Tokens(file)
    second = tokens.make(file, "admin")
    assert known.bearer(second).role is Role.ADMIN
    tokens.revoke(file, first.split("_")[1])
    assert known.bearer(first) is None
    assert known.bearer(second)


@pytest.mark.usefixtures("looks_always")
def test_a_fault_in_the_file_leaves_all_as_it_was(file, caplog):
    secret = tokens.make(file, "viewer")
    known = Tokens(file)
    with file.open("a") as lines:
        lines.write("{\n")
    assert known.bearer(secret)
    assert [record.message for record in caplog.records] == ["tokens not read"]
    file.unlink()
    assert known.bearer(secret)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        '{"id": "0123456789ab"}',
        '{"id": "0123456789ab", "digest": "00", "role": "viewer"}',
        json.dumps({"id": "0123456789ab", "digest": "0" * 64, "role": "boss"}),
        json.dumps({"id": "0123456789ab", "digest": "0" * 64, "role": "member"}),
        json.dumps({"id": "0123456789ab", "digest": "0" * 64, "role": "viewer", "user": "anna"}),
        json.dumps({"id": "0123456789ab", "digest": "0" * 64, "role": "viewer", "tenant": "a b"}),
        json.dumps({"id": "0123456789ab", "digest": "0" * 64, "role": "viewer", "tenant": 3}),
        json.dumps({"id": "0123456789ab", "digest": "0" * 64, "role": "viewer", "until": "soon"}),
        json.dumps({"id": "0" * 12, "digest": "0" * 64, "role": "viewer", "until": "2030-01-01"}),
    ],
)
def test_a_line_that_tells_of_no_token_is_told_by_its_number(file, line):
    tokens.make(file, "viewer")
    with file.open("a") as lines:
        lines.write(f"\n{line}\n")
    with pytest.raises(BadSettings, match=r"token_hashes: .*tokens, line 3: tells of no token"):
        Tokens(file)


def test_a_file_that_is_not_there_or_no_text_is_told(file):
    with pytest.raises(BadSettings, match=r"token_hashes: .*No such file"):
        Tokens(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadSettings, match="UTF-8"):
        Tokens(file)


@pytest.mark.parametrize(
    "wanted",
    [
        {"role": "boss"},
        {"role": "member"},
        {"role": "viewer", "user": "anna"},
        {"role": "viewer", "tenant": "no spaces"},
        {"role": "member", "user": "x" * 201},
        {"role": "viewer", "days": 0.0},
        {"role": "viewer", "days": float("nan")},
        {"role": "viewer", "days": 1e6},
    ],
)
def test_a_token_that_cannot_be_is_not_made(file, wanted):
    with pytest.raises(BadToken):
        tokens.make(file, **wanted)
    assert not file.exists()


def test_the_command_makes_lists_and_revokes(file, capsys, monkeypatch):
    monkeypatch.setenv(token_main.VARIABLE, str(file))
    assert token_main.main(["new", "--role", "member", "--user", "anna", "--tenant", "park"]) == 0
    secret = capsys.readouterr().out.strip()
    assert Tokens(file).bearer(secret).user == "anna"
    assert token_main.main(["list"]) == 0
    id_, role, user, tenant, _, until = capsys.readouterr().out.strip("\n").split("\t")
    assert until == ""
    assert (role, user, tenant) == ("member", "anna", "park")
    assert token_main.main(["revoke", id_]) == 0
    assert token_main.main(["revoke", id_]) == 2
    assert f"has no token {id_}" in capsys.readouterr().err
    assert Tokens(file).bearer(secret) is None


def test_a_token_whose_time_is_over_has_no_bearer(file, monkeypatch, capsys):
    assert token_main.main(["new", "--role=viewer", "--days=2", f"--token-hashes={file}"]) == 0
    secret = capsys.readouterr().out.strip()
    known, made = Tokens(file), datetime.now(UTC)
    for hours, good in ((0, True), (47, True), (49, False)):
        later = made + timedelta(hours=hours)

        class Clock(datetime):
            @classmethod
            def now(cls, zone, later=later):
                return later.astimezone(zone)

        monkeypatch.setattr(tokens, "datetime", Clock)
        assert (known.bearer(secret) is not None) == good, hours


def test_the_command_tells_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(token_main.VARIABLE, raising=False)
    assert token_main.main(["list"]) == 2
    assert "--token-hashes" in capsys.readouterr().err
    away = f"--token-hashes={tmp_path}/no/file"
    assert token_main.main(["list", away]) == 1
    assert token_main.main(["new", "--role=viewer", away]) == 1
    assert token_main.main(["new", "--role=member", away]) == 2
