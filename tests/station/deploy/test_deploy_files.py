"""The unit, the Dockerfile and the compose file agree with the program that they run, and with one another."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import psycopg
import pytest
from deployed import DEPLOY, ROOT, UNIT, commands, compose, dockerfile, last_of, option, unit
from sqlalchemy import make_url

from onlygood.cli import make_parser
from onlygood.cli.station import DATABASE_VARIABLE
from onlygood.errors import SettingError, StoreError
from onlygood.station.store.store import Store
from onlygood.station.web.access import check_listening, is_local
from onlygood.station.web.certificate import Certificate
from tests.station.outputs.certificates import Authority
from tests.station.server import MODELS, running, until

STATION, DATABASE = compose()["services"]["station"], compose()["services"]["database"]


@pytest.mark.parametrize("where", commands())
def test_the_command_line_takes_each_command(where):
    program, *arguments = commands()[where]
    assert Path(program).name == "onlygood"
    options = make_parser(arguments).parse_args(arguments)
    assert options.called == "station"


def test_the_compose_file_starts_what_the_image_starts():
    assert not {"command", "entrypoint", "user", "healthcheck", "stop_signal"} & set(STATION), (
        "what the image says holds"
    )


def test_all_data_lie_where_they_outlive_the_container():
    volume = last_of("VOLUME").value
    assert f"station:{volume}" in STATION["volumes"]
    assert f" {volume}\n" in "".join(f"{each.value}\n" for each in dockerfile()[-1] if each.keyword == "RUN")
    assert PurePosixPath(option(commands()["image"], "--data")).parent == PurePosixPath(volume)
    # Below the folder that is theirs: a backup is restored beside the data, and takes their place by its name.
    state = PurePosixPath("/var/lib", unit()["StateDirectory"][0])
    assert PurePosixPath(option(commands()["unit"], "--data")).parent == state


def test_one_port_is_listened_on_published_and_asked_for_health():
    port = option(commands()["image"], "--port")
    assert last_of("EXPOSE").value == port
    assert [each.split(":")[-1] for each in STATION["ports"]] == [port]
    assert f"127.0.0.1:{port}/healthz" in last_of("HEALTHCHECK").value


def test_nobody_listens_beyond_this_computer_without_being_asked_to():
    assert is_local(option(commands()["unit"], "--host"))
    assert all(each.startswith("127.0.0.1:") for each in STATION["ports"])
    for command in commands().values():
        assert "--without-tokens" not in command
    with pytest.raises(SettingError, match="needs tokens, got none"):
        check_listening(option(commands()["image"], "--host"), 0, without_tokens=False)


@pytest.mark.parametrize("is_https", [False, True])
def test_the_health_check_of_the_image_tells_a_station_from_none(is_https, tmp_path):
    _, _, check = last_of("HEALTHCHECK").value.partition("CMD ")
    program, flag, code = json.loads(check)
    assert program == "python"

    def asked(port: int) -> int:
        return subprocess.run(
            [sys.executable, flag, code.replace(":8000/", f":{port}/")], stderr=subprocess.DEVNULL, timeout=60
        ).returncode

    certificate = Certificate(Authority(tmp_path).certificate("127.0.0.1")) if is_https else None
    with running(tmp_path / "station", certificate=certificate) as station:
        assert asked(station.port) == 0
        port = station.port
    assert asked(port) != 0


def test_what_the_image_installs_exists():
    (extras,) = {found for each in dockerfile()[0] for found in re.findall(r"\.whl\)\[([a-z,]+)\]", each.value)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.split(",")) == {"station", "postgres"}
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert project["requires-python"] == ">=3.11"
    (version,) = re.findall(r"^ARG PYTHON_VERSION=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert version == "3.11", "the lowest version that is supported is the one that CI tests with"


def test_what_the_image_is_built_from_is_there_and_nothing_else_is_sent():
    copied = [each.words for each in dockerfile()[0] if each.keyword == "COPY"]
    sources = {source for words in copied for source in words[:-1]}
    ignored = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == sources
    assert all((ROOT / source).exists() for source in sources)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", "constraints.txt"}
    assert wanted <= sources
    assert all(
        Path(package).parts[0] in sources
        for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    )


def test_the_station_is_not_root_and_has_no_more_than_it_needs():
    user = last_of("USER").value
    assert user.isdecimal() and int(user) > 0
    assert f"--uid {user}" in " ".join(each.value for each in dockerfile()[-1] if each.keyword == "RUN")
    assert STATION["read_only"] is True and STATION["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in STATION["security_opt"]
    assert unit()["User"] != ["root"] and unit()["NoNewPrivileges"] == ["yes"] and unit()["ProtectSystem"] == ["strict"]
    assert unit()["CapabilityBoundingSet"] == [""]


def test_the_station_finds_its_database():
    url = make_url(STATION["environment"][DATABASE_VARIABLE])
    environment = DATABASE["environment"]
    assert url.host in compose()["services"] and url.drivername == "postgresql"
    assert (url.username, url.database) == (environment["POSTGRES_USER"], environment["POSTGRES_DB"])
    assert url.password is None, "it would have to be without characters that mean something in an address"
    assert STATION["environment"]["PGPASSWORD"] == environment["POSTGRES_PASSWORD"]
    assert environment["POSTGRES_PASSWORD"].startswith("${ONLYGOOD_DATABASE_PASSWORD:?")
    assert set(DATABASE["networks"]) & set(STATION["networks"])
    assert STATION["depends_on"] == {url.host: {"condition": "service_healthy"}} and DATABASE["healthcheck"]
    assert "ports" not in DATABASE and compose()["networks"]["database"]["internal"] is True
    (version,) = re.findall(r"^postgres:(\d+)", DATABASE["image"])
    assert int(version) >= 15


def test_the_password_of_the_database_comes_from_the_environment(postgres_server, tmp_path, monkeypatch):
    """As in the compose file and in the unit's file of variables: none is in the address."""
    url = make_url(postgres_server.new_database())
    host = url.query["host"]
    with psycopg.connect(f"host={host} user=station dbname={url.database}", autocommit=True) as connection:
        connection.execute("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'correct horse'")
        rules = postgres_server.data / "pg_hba.conf"
        rules.write_text(f"local all guarded scram-sha-256\n{rules.read_text()}")
        connection.execute("SELECT pg_reload_conf()")
    address = url.set(username="guarded").render_as_string()
    for password, is_right in (("wrong", False), ("correct horse", True)):
        monkeypatch.setenv("PGPASSWORD", password)
        # The server reads its rules again a moment after it was asked to: until then, it asks for no password.
        until(lambda: asks_for_a_password(host, str(url.database)))
        if is_right:
            Store(tmp_path / "right", url=address, housekeeping_s=0).close()
        else:
            with pytest.raises(StoreError, match="password authentication failed"):
                Store(tmp_path / "wrong", url=address, housekeeping_s=0)


def asks_for_a_password(host: str, database: str) -> bool:
    try:
        psycopg.connect(f"host={host} user=guarded dbname={database} password=no").close()
    except psycopg.OperationalError:
        return True
    return False


def test_everything_that_the_compose_file_names_is_declared():
    found = compose()
    for service in found["services"].values():
        assert set(service["networks"]) <= set(found["networks"])
        named = {each.partition(":")[0] for each in service["volumes"] if each[0] not in "./"}
        assert named <= set(found["volumes"])
    build = STATION["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT.resolve()
    assert (ROOT / build["dockerfile"]).is_file()


def test_whoever_stops_a_station_waits_until_it_has_finished():
    assert unit()["KillSignal"] == ["SIGTERM"] == [last_of("STOPSIGNAL").value]
    assert unit()["TimeoutStopSec"] == [STATION["stop_grace_period"].removesuffix("s")]
    assert unit()["Restart"] == ["on-failure"] and STATION["restart"] == "unless-stopped"


def test_the_unit_lets_cameras_in_and_no_other_device():
    assert unit()["SupplementaryGroups"] == ["video"]
    assert unit()["DevicePolicy"] == ["closed"] and unit()["DeviceAllow"] == ["char-video4linux rw"]
    assert "PrivateDevices" not in unit()


def test_onnx_runtime_tells_nobody_what_it_runs(tmp_path):
    (setting,) = unit()["Environment"]
    (variables,) = [each.value for each in dockerfile()[-1] if each.keyword == "ENV"]
    assert setting in variables.split()
    name, _, value = setting.partition("=")
    # It is silent where CI is set, whatever else is.
    environment = {each: said for each, said in os.environ.items() if each != "CI"} | {
        "HOME": str(tmp_path),
        name: value,
    }
    code = "import onlygood, sys; onlygood.Inspector(sys.argv[1])"
    model = MODELS / "format-2-patch.onnx"
    subprocess.run([sys.executable, "-c", code, str(model)], env=environment, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    program = commands()["unit"][0]
    as_if_installed = tmp_path / UNIT.name
    as_if_installed.write_text(UNIT.read_text(encoding="utf-8").replace(program, sys.executable), encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", str(as_if_installed)], capture_output=True, text=True, timeout=60
    )
    assert verified.returncode == 0 and UNIT.name not in verified.stderr, verified.stderr
    audited = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(as_if_installed)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert audited.returncode == 0, audited.stdout[-200:]
