"""One job's process, as the station sees it: started, told of, cancelled, and over."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Timer
from typing import BinaryIO

from pydantic import ValidationError

from onlygood._printable import printable
from onlygood.station.jobs.request import Answer, Failed, Step, Work, parse_answer

LOG = logging.getLogger("onlygood.station")

# After it was asked to end, before it is made to.
GRACE_S = 5.0
# Of what it writes to standard error, the last that is kept for the log.
_KEPT_BYTES = 4000
_ERRORS_FILE = "_errors.txt"
# What ends a process as Ctrl-C does: there, one of a group of its own gets no Ctrl-C.
if sys.platform == "win32":
    _INTERRUPT = signal.CTRL_BREAK_EVENT
else:
    _INTERRUPT = signal.SIGINT


@dataclass(frozen=True)
class Outcome:
    """How a job's process ended.

    Attributes:
        notes: about the model that it made; None where it made none.
        problem: why it made none, in a sentence; None where it made one or was cancelled.
        is_cancelled: whether it was asked to end, and made no model.
    """

    notes: tuple[str, ...] | None = None
    problem: str | None = None
    is_cancelled: bool = False


class JobProcess:
    """A process that does one work and then ends, which gives back all its memory.

    Args:
        work: what it does.
        folder: where its images lie and its model will; nothing else is there.
        tell: told where the work is, on the thread that calls `run`.
        grace_s: how long it may take to end after `cancel`.
    """

    def __init__(self, work: Work, folder: Path, tell: Callable[[Step], None], *, grace_s: float = GRACE_S) -> None:
        self._work, self._folder, self._tell, self._grace_s = work, folder, tell, grace_s
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_cancelled = False
        self._kill: Timer | None = None

    def run(self) -> Outcome:
        """Start the process, and return how it ended when it has."""
        with (self._folder / _ERRORS_FILE).open("w+b") as errors:
            with self._lock:
                if self._is_cancelled:
                    return Outcome(is_cancelled=True)
                self._process = process = _start(self._folder, errors)
            try:
                answer = self._follow(process)
            except BaseException:
                process.kill()
                raise
            finally:
                code = process.wait()
                with self._lock:
                    if self._kill is not None:
                        self._kill.cancel()
            errors.seek(max(0, errors.seek(0, 2) - _KEPT_BYTES))
            is_foreseen = self._is_cancelled or (answer is not None and not getattr(answer, "is_unforeseen", False))
            for line in errors.read().decode("utf-8", "replace").splitlines():
                LOG.log(logging.DEBUG if is_foreseen else logging.ERROR, "the job's process: %s", printable(line))
        if answer is not None and not isinstance(answer, Failed | Step):
            return Outcome(notes=answer.notes)
        if self._is_cancelled:
            return Outcome(is_cancelled=True)
        if isinstance(answer, Failed):
            return Outcome(problem=answer.problem)
        return Outcome(problem=_unsaid(code))

    def cancel(self) -> None:
        """Ask the process to end, as Ctrl-C does, and make it where it has not after the grace; no error afterwards."""
        with self._lock:
            first, self._is_cancelled = not self._is_cancelled, True
            process = self._process
            if process is None or process.poll() is not None or not first:
                return
            with suppress(OSError):
                process.send_signal(_INTERRUPT)
            self._kill = Timer(self._grace_s, process.kill)
            self._kill.daemon = True
            self._kill.start()

    def _follow(self, process: subprocess.Popen[bytes]) -> Answer | None:
        """The last answer but those that say where it is; None where there is none."""
        assert process.stdin is not None and process.stdout is not None
        last: Answer | None = None
        with process.stdin as stdin, process.stdout as stdout:
            with suppress(OSError):  # it has ended already, and its exit code says so
                stdin.write(self._work.model_dump_json().encode() + b"\n")
                stdin.flush()
            for line in stdout:
                try:
                    answer = parse_answer(line)
                except ValidationError:
                    LOG.warning("a job's process said what is no answer, which is left out: %s", printable(str(line)))
                    continue
                if isinstance(answer, Step):
                    self._tell(answer)
                else:
                    last = answer
            with suppress(OSError):
                stdin.close()
        return last


def _start(folder: Path, errors: BinaryIO) -> subprocess.Popen[bytes]:
    # A terminal's Ctrl-C reaches the station alone, which then cancels: hence a session, or a group, of its own.
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "onlygood.station.jobs.work", str(folder.resolve())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        creationflags=flags,
        start_new_session=sys.platform != "win32",
    )


def _unsaid(code: int) -> str:
    """What is said of a process that ended without an answer."""
    if code < 0 and -code == getattr(signal, "SIGKILL", 9):
        return (
            "the job's process was killed, as the system does where memory runs out: use fewer or smaller images, or "
            "give the computer more memory"
        )
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the job's process ended without a result, by {how}: the station's log has what it said"
