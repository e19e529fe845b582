import pytest

from loadloom.engine.settings import BadSettings, load, unknown_variables


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("LOADLOOM_SETTINGS", raising=False)


def test_defaults_listen_on_loopback_alone():
    settings = load([])
    assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 8421, 0)


def test_the_command_line_beats_the_environment_which_beats_the_file(tmp_path, monkeypatch):
    file = tmp_path / "loadloom.toml"
    file.write_text("port = 1\ngrace_s = 1.5\nworkers = 7\n[limits]\npoints = 5\nintervals = 6\n")
    monkeypatch.setenv("LOADLOOM_SETTINGS", str(file))
    monkeypatch.setenv("LOADLOOM_PORT", "2")
    monkeypatch.setenv("LOADLOOM_GRACE_S", "2.5")
    monkeypatch.setenv("LOADLOOM_LIMITS__POINTS", "50")
    settings = load(["--port", "3"])
    assert (settings.port, settings.grace_s, settings.workers) == (3, 2.5, 7)
    assert (settings.limits.points, settings.limits.intervals) == (50, 6)


def test_a_file_named_on_the_command_line_is_read(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("bulk_threads = 3\n")
    assert load(["--settings", str(file)]).bulk_threads == 3


def test_every_bad_setting_is_named_with_its_value(monkeypatch):
    monkeypatch.setenv("LOADLOOM_PORT", "70000")
    monkeypatch.setenv("LOADLOOM_WORKERS", "none")
    monkeypatch.setenv("LOADLOOM_LIMITS__POINTS", "-3")
    with pytest.raises(BadSettings) as caught:
        load([])
    lines = sorted(str(caught.value).splitlines())
    assert [line.split(":")[0] for line in lines] == ["limits.points", "port", "workers"]
    assert "70000" in lines[1]


def test_roots_of_data_sets_come_from_all_sources(tmp_path, monkeypatch):
    file = tmp_path / "loadloom.toml"
    file.write_text('[data_roots]\nmeters = "/srv/meters"\n')
    monkeypatch.setenv("LOADLOOM_SETTINGS", str(file))
    assert load([]).data_roots == {"meters": "/srv/meters"}
    monkeypatch.setenv("LOADLOOM_DATA_ROOTS__LAKE", "s3://lake/curves")
    assert load([]).data_roots["lake"] == "s3://lake/curves"
    assert not unknown_variables({"LOADLOOM_DATA_ROOTS__LAKE": "s3://lake/curves"})
    given = load(["--data-roots", '{"other": "/tmp"}']).data_roots
    assert given["other"] == "/tmp"
    with pytest.raises(BadSettings, match=r"data_roots: .* must be JSON"):
        load(["--data-roots", "{meters"])


def test_an_unknown_name_in_the_file_is_refused(tmp_path):
    file = tmp_path / "loadloom.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(BadSettings, match="prot"):
        load(["--settings", str(file)])


@pytest.mark.parametrize("content", [None, "port = = 1", "port = 1 # \ud800"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    file = tmp_path / "loadloom.toml"
    if content is not None:
        file.write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(BadSettings, match=r"settings: cannot read .*loadloom\.toml"):
        load(["--settings", str(file)])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_machines_are_not_listened_to_without_tls(host):
    with pytest.raises(BadSettings, match="tls_certificate"):
        load(["--host", host])
    assert load(["--host", host, "--insecure"]).host == host


def test_other_machines_are_not_listened_to_without_tokens():
    tls = ["--tls-certificate=c.pem", "--tls-key=k.pem", "--host=0.0.0.0"]
    with pytest.raises(BadSettings, match="give token_hashes, or tls_client_ca, or set insecure"):
        load(tls)
    assert load([*tls, "--token-hashes=hashes"]).host == "0.0.0.0"
    assert load([*tls, "--tls-client-ca=ca.pem"]).token_hashes is None
    assert load([*tls, "--insecure"]).token_hashes is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_no_tls(host):
    assert load(["--host", host]).host == host


def test_half_a_pair_of_key_and_certificate_is_refused():
    with pytest.raises(BadSettings, match="together"):
        load(["--tls-key", "key.pem"])
    with pytest.raises(BadSettings, match="tls_client_ca needs"):
        load(["--tls-client-ca", "ca.pem"])


def test_a_name_in_the_file_that_is_none_is_told_with_the_file_and_the_likely_one(tmp_path):
    file = tmp_path / "loadloom.toml"
    file.write_text("prot = 1\nport = 3\n[limits]\npionts = 3\nxyz = 4\n")
    with pytest.raises(BadSettings) as caught:
        load(["--settings", str(file)])
    assert str(caught.value).splitlines() == [
        f"{file}: prot is no setting; did you mean port?",
        f"{file}: limits.pionts is no setting; did you mean limits.points?",
        f"{file}: limits.xyz is no setting",
    ]


@pytest.mark.parametrize("source", ["arguments", "environment"])
def test_limits_that_are_no_json_are_told_in_a_line(source, monkeypatch):
    arguments = ["--limits", "{"] if source == "arguments" else []
    if source == "environment":
        monkeypatch.setenv("LOADLOOM_LIMITS", "{")
    with pytest.raises(BadSettings, match=r"^limits: .*; must be JSON, such as .*$"):
        load(arguments)


def test_variables_that_look_like_settings_and_are_none_are_told():
    found = unknown_variables(
        {
            "LOADLOOM_PROT": "1",
            "LOADLOOM_PORT": "1",
            "loadloom_host": "::1",
            "LOADLOOM_LIMITS__PIONTS": "1",
            "LOADLOOM_LIMITS__POINTS": "1",
            "LOADLOOM_LIMITS": "{}",
            "LOADLOOM_TOKEN": "that of a client",
            "LOADLOOM_SERVICE_PORT_8421_TCP_ADDR": "as Kubernetes sets it",
            "HOME": "/",
        }
    )
    assert found == {
        "LOADLOOM_PROT": "is no setting; did you mean LOADLOOM_PORT?",
        "LOADLOOM_LIMITS__PIONTS": "is no setting; did you mean LOADLOOM_LIMITS__POINTS?",
        "LOADLOOM_SERVICE_PORT_8421_TCP_ADDR": "is no setting",
    }
