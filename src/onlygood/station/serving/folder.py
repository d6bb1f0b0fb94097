"""A folder of model files that is watched: each file is served under its name, and a new file takes its place."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event, Thread

from onlygood.errors import OnlygoodError, SettingError
from onlygood.station.serving.models import ServedModels

_log = logging.getLogger("onlygood.station")

SUFFIX = ".onnx"
# Between two looks at the folder: a look reads names, sizes and times alone.
POLL_S = 1.0


class ModelFolder:
    """Serves the model files of a folder, and what takes their place.

    Args:
        folder: with files NAME.onnx.
        models: that serve them.

    Raises:
        SettingError: there is no such folder.
    """

    def __init__(self, folder: Path, models: ServedModels) -> None:
        if not folder.is_dir():
            raise SettingError(f"the folder of models must be a folder, got {folder}: make it or name another one")
        self._folder, self._models = folder, models
        self._known: dict[str, tuple[int, int, int]] = {}
        self._is_stopping = Event()
        self._thread = Thread(target=self._run, name="model-folder", daemon=True)

    def start(self) -> None:
        """Serve what is there now, then watch.

        A file that is known from before changes nothing at the start: a person may have gone back to another version
        since it came.
        """
        self.look(is_start=True)
        self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, *, is_start: bool = False) -> None:
        """Serve each file that is new or was written since the last look.

        A file that is being written cannot be used yet and changes again: it is looked at again then.

        Args:
            is_start: leave a model as it is if its file is one of its versions.
        """
        try:
            paths = sorted(self._folder.glob(f"*{SUFFIX}"))
        except OSError as error:
            _log.warning("the folder of models %s cannot be read: %s", self._folder, error.strerror)
            return
        for path in paths:
            if path.name.startswith("."):
                continue
            try:
                status = path.stat()
                state = (status.st_mtime_ns, status.st_size, status.st_ino)
                if self._known.get(path.name) == state:
                    continue
                content = path.read_bytes()
            except OSError as error:  # it went away, or cannot be read yet: the next look tries again
                _log.warning("the model file %s cannot be read: %s", path, error.strerror)
                continue
            self._known[path.name] = state
            self._serve(path.stem, content, is_start=is_start)

    def _serve(self, name: str, content: bytes, *, is_start: bool) -> None:
        try:
            number = self._models.number_of(name, content)
            if number is None:
                self._models.add(name, content, origin="folder")
            elif not is_start:
                self._models.activate(name, number)
        except OnlygoodError as error:
            self._models.refused(name, str(error))

    def _run(self) -> None:
        while not self._is_stopping.wait(POLL_S):
            try:
                self.look()
            except Exception:
                _log.exception("looking at the folder of models failed; it is looked at again")
