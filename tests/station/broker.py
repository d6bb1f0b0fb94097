"""A real MQTT broker (Mosquitto) on a free port, for tests of triggers and of outputs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

_START_S = 20.0


def missing(reason: str, remedy: str) -> Any:
    """Where CI runs, the server is there; elsewhere the test is left out without it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}: {remedy}")
    pytest.skip(f"{reason}: {remedy}")


def free_port() -> int:
    """A port of the loopback address on which nothing listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def find_mosquitto() -> str:
    """The path of the broker's program; the test is left out where there is none."""
    # Debian installs it where only root looks.
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which("mosquitto", path=path)
    if found is None:
        missing("Mosquitto is not installed", "apt-get install mosquitto")
    return str(found)


class Broker:
    """Mosquitto on one port, which tests stop and start again.

    Attributes:
        host: always the loopback address.
        port: the same after `stop` and `start`.
        username: that clients must give; empty where anyone may connect.
        password: of that user.
    """

    def __init__(
        self,
        folder: Path,
        *,
        username: str = "",
        password: str = "",
        persists: bool = False,
        more_lines: Sequence[str] = (),
    ) -> None:
        """A broker that does not run yet.

        Args:
            folder: for its configuration, log and, where it persists, its store.
            username: a user without whose name and password it refuses a connection.
            password: of that user.
            persists: whether messages and sessions survive `stop`.
            more_lines: of its configuration.
        """
        self.host = "127.0.0.1"
        self.port = free_port()
        self.username, self.password = username, password
        self._program = find_mosquitto()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"listener {self.port} {self.host}", f"allow_anonymous {'false' if username else 'true'}"]
        if os.name == "posix" and os.geteuid() == 0:
            lines.append("user root")  # else it cannot write into the folder of the test
        if username:
            lines.append(f"password_file {self._passwords()}")
        if persists:
            lines += ["persistence true", f"persistence_location {folder}/", "autosave_on_changes true"]
            lines += ["autosave_interval 1"]
        lines += more_lines
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def log(self) -> str:
        """What the broker wrote until now."""
        path = self._folder / "mosquitto.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> Broker:
        """Run it; returns itself once it accepts connections."""
        assert self._process is None, "the broker runs already"
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-v", "-c", str(self._configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _START_S
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"Mosquitto ended with {self._process.returncode}: {self.log}")
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return self
            except OSError:
                if time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.01)

    def stop(self) -> None:
        """End it; no error where it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=_START_S)
            self._process = None

    def _passwords(self) -> Path:
        """A file with the user and its password, hashed by Mosquitto's own program."""
        program = shutil.which("mosquitto_passwd")
        if program is None:
            missing("mosquitto_passwd is not installed", "apt-get install mosquitto")
        path = self._folder / "passwords"
        subprocess.run(
            [str(program), "-b", "-c", str(path), self.username, self.password], check=True, capture_output=True
        )
        return path
