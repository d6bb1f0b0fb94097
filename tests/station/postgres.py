"""A PostgreSQL server for tests: started once, in a folder of its own, on a socket; and databases in it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest

if sys.platform != "win32":
    import pwd

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []
DEADLINE_S = 60


class Server:
    """One server. It refuses to run as root: then it runs as another user."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries, self.folder = binaries, folder
        self.data, self.sockets = folder / "data", folder / "s"
        self.user: dict[str, int] = {}
        if os.geteuid() == 0:
            owner = next(pwd.getpwnam(name) for name in ("postgres", "nobody") if _is_user(name))
            self.user = {"user": owner.pw_uid, "group": owner.pw_gid}
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "-D", self.data, "-U", "station", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        # What is tested is that the station waits for COMMIT, not that the server's disk keeps its word.
        settings = "\nlisten_addresses = ''\nfsync = off\nmax_connections = 60\nshared_buffers = 16MB\n"
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(settings)
        self._run("--mkdir")
        self.start()

    def start(self) -> None:
        log, options = self.folder / "log", f"-k {self.sockets}"
        self._run("pg_ctl", "-D", self.data, "-w", "-t", DEADLINE_S, "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-t", DEADLINE_S, "-m", mode, "stop")

    @property
    def is_running(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    def new_database(self) -> str:
        """The address of an empty one."""
        name = f"t{secrets.token_hex(6)}"
        self._ask(f"CREATE DATABASE {name}")
        return f"postgresql://station@/{name}?host={quote(str(self.sockets))}"

    def drop_database(self, url: str) -> None:
        name = url.partition("@/")[2].partition("?")[0]
        self._ask(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        with suppress(OSError, ValueError):
            os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def _ask(self, statement: str) -> None:
        import psycopg

        where = {"host": str(self.sockets), "user": "station", "dbname": "postgres"}
        try:
            with psycopg.connect(**where, autocommit=True) as connection:
                connection.execute(statement)
        except psycopg.OperationalError as error:
            log = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the server of the tests does not answer; its log ends with:\n{log}") from error

    def _run(self, program: str, *arguments: object) -> None:
        if program == "--mkdir":
            self.sockets.mkdir()
            if self.user:
                os.chown(self.sockets, self.user["user"], self.user["group"])
            return
        # Its output goes to a file: a server that was started would keep a pipe open.
        with (self.folder / "output").open("wb") as output:
            subprocess.run(
                [self.binaries / program, *map(str, arguments)],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                timeout=DEADLINE_S,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                **({**self.user, "extra_groups": []} if self.user else {}),
            )


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _missing(reason: str) -> None:
    """Where CI runs on Linux, a server is there; elsewhere these tests are left out without one."""
    if os.environ.get("CI") and sys.platform == "linux":
        pytest.fail(f"{reason}: install postgresql")
    pytest.skip(f"{reason}: install postgresql")


@contextmanager
def running_server() -> Iterator[Server]:
    """A server, until the end of the block; the test is left out where PostgreSQL is not installed."""
    if not BINARIES:
        _missing("PostgreSQL's programs were not found in /usr/lib/postgresql")
    # The path of a socket has at most 107 characters: it lies in the system's own folder for what is temporary.
    folder = Path(tempfile.mkdtemp(prefix="og-pg-"))
    server = None
    try:
        server = Server(BINARIES[-1], folder)
        yield server
    finally:
        if server is not None:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with running_server() as server:
        yield server
