"""The models that are served: loaded once, replaced between two inspections, and never by a broken file."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from onlygood.errors import ModelFileError, ModelFormatError, NotFoundError, OnlygoodError, SettingError
from onlygood.graph.model_file import ModelFile, unpack
from onlygood.inspector import Inspector
from onlygood.station.schemas import NAME_PATTERN, ModelVersion, ServedModel
from onlygood.station.station_settings import Limits
from onlygood.station.store.model_versions import ModelVersions
from onlygood.validation import nearest

Origin = Literal["upload", "folder", "fit", "update", "rollback"]

_log = logging.getLogger("onlygood.station")


@dataclass(frozen=True)
class Served:
    """One version of a model, ready to inspect. Who holds it goes on with it, whatever is served after it.

    Attributes:
        name: under which it is served.
        inspector: one thread an image.
        version: of the model.
    """

    name: str
    inspector: Inspector
    version: ModelVersion


@dataclass(frozen=True)
class _Unpacked:
    """A model file in memory, as an inspector takes it."""

    file: ModelFile


class ServedModels:
    """The models that a station serves, by their names. Safe to share between threads.

    Args:
        kept: where their versions are kept.
        limits: on images and model files.
        changed: called with the new state of a model after each change.
    """

    def __init__(self, kept: ModelVersions, limits: Limits, *, changed: Callable[[ServedModel], None]) -> None:
        self._kept, self._limits, self._changed = kept, limits, changed
        self._served: dict[str, Served] = {}
        self._problems: dict[str, str] = {}
        self._not_loaded: set[str] = set()  # whose problem is that of the version that is to be served
        self._lock = Lock()  # of changes; who inspects takes what is there without waiting

    def get(self, name: str) -> Served:
        """The version of a model that is served now.

        Raises:
            NotFoundError: there is no model of this name.
            ModelFileError: its file cannot be used.
        """
        served = self._served.get(name)
        if served is not None:
            return served
        with self._lock:
            return self._served.get(name) or self._load(name)

    def ready(self, name: str) -> Served | None:
        """The version that is served, where it is loaded already."""
        return self._served.get(name)

    def load_all(self) -> None:
        """Load every model, so that the first image does not wait for it; one that is broken keeps its problem."""
        for name in self._kept.names():
            try:
                self.get(name)
            except OnlygoodError as error:
                self.refused(name, str(error))
                self._not_loaded.add(name)

    def add(self, name: str, content: bytes, *, origin: Origin, note: str = "") -> ModelVersion:
        """Serve a model file from now on, as the newest version of its name.

        The file is audited and run before it takes the place of the one that is served; one that cannot be used leaves
        that one serving.

        Args:
            name: under which it is served.
            content: of the model file.
            origin: where it comes from.
            note: that a person reads in the list of versions.

        Raises:
            SettingError: a name that cannot be used.
            ModelFileError: the file cannot be used.
            StoreError: it cannot be kept.
        """
        check_name(name)
        if len(content) > self._limits.max_model_bytes:
            raise ModelFileError(
                f"a model file may have {self._limits.max_model_bytes} bytes, got {len(content)}: fit a smaller one, "
                "or raise max_model_bytes"
            )
        sha256 = hashlib.sha256(content).hexdigest()
        inspector = self._open(content, name)
        metadata = inspector.metadata
        with self._lock:
            version = self._kept.add(
                name,
                content,
                method=metadata.method,
                origin=origin,
                note=note,
                false_alarm_rate=metadata.guarantee.requested_rate,
                guarantee=" ".join(metadata.guarantee.sentences),
                good_images=metadata.guarantee.fitted_images,
            )
            self._serve(Served(name, inspector, version))
            self._problems.pop(name, None)
        _log.info("model %s: version %d (%s) is served", name, version.number, sha256[:12])
        self._changed(self.one(name))
        return version

    def activate(self, name: str, number: int) -> ModelVersion:
        """Serve another version of a model from now on.

        Raises:
            NotFoundError: there is no such version.
            ModelFileError: its file cannot be used; the one that is served stays.
        """
        with self._lock:
            wanted = next((each for each in self._kept.versions(name) if each.number == number), None)
            if wanted is None:
                raise NotFoundError(f"model {name} has no version {number}: ask for its list of versions")
            inspector = self._open(self._kept.content(wanted.sha256), name)
            version = self._kept.activate(name, number)
            self._serve(Served(name, inspector, version))
            self._problems.pop(name, None)
        _log.info("model %s: version %d is served again", name, number)
        self._changed(self.one(name))
        return version

    def number_of(self, name: str, content: bytes) -> int | None:
        """The number of the newest version of a model that has this content; None where there is none."""
        sha256 = hashlib.sha256(content).hexdigest()
        return next((each.number for each in self._kept.versions(name) if each.sha256 == sha256), None)

    def refused(self, name: str, problem: str) -> None:
        """Remember why the newest file of a name is not served; the one before it goes on."""
        self._not_loaded.discard(name)
        if self._problems.get(name) == problem:
            return
        self._problems[name] = problem
        _log.warning("model %s: %s", name, problem)
        if self._kept.active(name) is not None:
            self._changed(self.one(name))

    @property
    def problems(self) -> tuple[str, ...]:
        """Why files are not served, a sentence each."""
        return tuple(f"model {name}: {problem}" for name, problem in sorted(self._problems.items()))

    def one(self, name: str) -> ServedModel:
        """The state of a model.

        Raises:
            NotFoundError: there is none of this name.
        """
        active = self._kept.active(name)
        if active is None:
            raise self._unknown(name)
        return ServedModel(
            name=name, active=active, versions=len(self._kept.versions(name)), problem=self._problems.get(name)
        )

    def all(self) -> tuple[ServedModel, ...]:
        """The state of all models, by name."""
        return tuple(self.one(name) for name in self._kept.names())

    def _load(self, name: str) -> Served:
        active = self._kept.active(name)
        if active is None:
            raise self._unknown(name)
        served = Served(name, self._open(self._kept.content(active.sha256), name), active)
        self._serve(served)
        return served

    def _serve(self, served: Served) -> None:
        self._served[served.name] = served
        if served.name in self._not_loaded:
            self._not_loaded.discard(served.name)
            self._problems.pop(served.name, None)

    def _open(self, content: bytes, name: str) -> Inspector:
        """The inspector of a file, one thread an image: several images at once are faster than one on all threads."""
        file = unpack(content, f"of {name}")
        try:
            return Inspector(
                _Unpacked(file), threads=1, max_pixels=self._limits.max_pixels, max_bytes=self._limits.max_image_bytes
            )
        except OnlygoodError:
            raise
        except Exception as error:
            raise ModelFormatError(
                f"the model of {name} cannot be run ({type(error).__name__}): fit it again"
            ) from error

    def _unknown(self, name: str) -> NotFoundError:
        known = self._kept.names()
        there = f"there are {', '.join(known)}" if known else "there is none yet"
        return NotFoundError(f"a model must be one that is served, got {name!r}, and {there}{nearest(name, known)}")


def check_name(name: str) -> str:
    """The name, if it can stand in a URL and in a file's name.

    Raises:
        SettingError: it cannot.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise SettingError(
            f"a name must be 1 to 64 letters, digits, dots, hyphens and underscores and begin with a letter or digit, "
            f"got {name!r}: choose another"
        )
    return name
