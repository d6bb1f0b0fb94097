"""A folder into which other programs write images: each is given once, when it is written completely."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace

from onlygood._paths import given_path, missing
from onlygood.errors import SourceError, StoreError
from onlygood.images.extensions import extension_of, why_not_taken
from onlygood.images.limits import DEFAULT_LIMITS, ReadingLimits
from onlygood.station.frames.folder_events import FolderEvents
from onlygood.station.frames.frame import Frame
from onlygood.station.frames.image_file import Changed, NotWhole, new_frames
from onlygood.station.frames.listing import Listing, Signature, list_images, look_at
from onlygood.station.frames.seen import NothingSeen, RecentKeys, Seen
from onlygood.station.station_settings import FolderSource

log = logging.getLogger("onlygood.station")

# Of images that were given and are perhaps not recorded yet.
_RECENT = 10_000
# A look at all files may take this share of the time.
_LOOKING_SHARE = 0.05
# How often the record is told what still lies in the folder, and how soon again where it could not be.
_TELL_EVERY_S, _TELL_AGAIN_S = 24 * 3600.0, 60.0


@dataclass
class _Candidate:
    """A file that is not dealt with yet.

    Attributes:
        signature: of the file, when it was looked at last.
        since: `time.monotonic()` since which it has it.
        problem: why it was no image when it was read with that signature; empty where it was not read.
        is_said: whether a frame with that problem was given.
    """

    signature: Signature
    since: float
    problem: str = ""
    is_said: bool = False


@dataclass(frozen=True)
class _Done:
    """A file that is dealt with.

    Attributes:
        signature: of the file when it was.
        keys: of its images.
    """

    signature: Signature
    keys: tuple[str, ...]


class FolderFrames:
    """The images of a folder and of those below it, the oldest first.

    A file is complete when it did not change for `settle_s` and can be read to its end. One that cannot is waited for,
    and then given once with a `problem`. An image was seen if its name and its content were: a file that is written
    over with another image is new, one that is touched or found after a restart is not. Links are not followed; hidden
    and unfinished files (.part, .tmp) are left out.

    Keys that were given and are not in the record yet are remembered in this run, so that nothing is given twice.
    """

    kind = "folder"
    is_live = False

    def __init__(
        self,
        settings: FolderSource,
        *,
        seen: Seen | None = None,
        limits: ReadingLimits = DEFAULT_LIMITS,
        patience_s: float = 30.0,
        look_every_s: float = 2.0,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            settings: of the source.
            seen: what knows the keys of images inspected before; without it each is given once in this run.
            limits: bounds on the bytes of a file and the pixels of an image.
            patience_s: how long a file may stay as it is without being whole, before it is given up.
            look_every_s: how often all files are looked at, beside what the system tells; rarely for many files.

        Raises:
            SettingError: the path is empty.
            MissingExtraError: the library for changes in folders is not installed.
        """
        self._root = given_path(settings.path).absolute()
        self._settings = settings
        self._seen: Seen = seen or NothingSeen()
        self._limits = limits
        self._patience_s, self._look_every_s = patience_s, look_every_s
        self._events = FolderEvents()
        self._recent = RecentKeys(_RECENT)
        self._candidates: dict[str, _Candidate] = {}
        self._done: dict[str, _Done] = {}
        # Files that were there when the folder was opened, and that nobody looked into yet.
        self._unknown: set[str] | None = None
        self._tell_at = 0.0
        self._due: deque[str] = deque()
        self._pages: deque[Frame] = deque()
        self._folders: dict[str, tuple[int, int]] = {}
        self._told: set[str] = set()
        self._look_at = 0.0
        self._number = 0

    def open(self) -> None:
        """Look at the folder, and watch it from now on.

        Raises:
            SourceError: it is not there, is no folder, or may not be read.
        """
        self._number = 0
        self._folders = {}
        self._look()

    def read(self, timeout_s: float) -> Frame | None:
        """The next image; None where no file became complete within the time.

        Raises:
            SourceError: the folder disappeared.
            StoreError: it is not known which images were seen.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            if self._pages:
                self._number += 1
                return replace(self._pages.popleft(), number=self._number)
            if time.monotonic() >= self._look_at:
                self._look()
            name = self._next_due()
            if name is not None:
                self._take(name)
            if not self._pages and time.monotonic() >= deadline:
                return None
            if name is None:
                self._wait(deadline)

    def close(self) -> None:
        """Watch nothing; no error where it is closed already. What was given once is not given again after `open`."""
        self._events.close()

    # What there is

    def _look(self) -> None:
        """Look at all files."""
        began = time.monotonic()
        listing = self._list()
        if listing.folders != self._folders:
            self._folders = listing.folders
            self._events.watch(listing.folders)
            listing = self._list()  # finds what was written between the look and the watch
        for known in (self._candidates, self._done):
            for name in [name for name in known if name not in listing.files]:
                del known[name]
        for name, signature in listing.files.items():
            self._note(name, signature)
        if self._unknown is None:
            self._unknown = set(self._candidates)
        self._unknown &= self._candidates.keys()
        if not self._unknown:
            self._tell_what_is_there()
        for inside in listing.closed:
            self._tell_once(f"the folder {inside} in {self._root} may not be read by this user: change its permissions")
        for name in listing.others.values():
            self._tell_once(why_not_taken(name), about=extension_of(name))
        now = time.monotonic()
        self._look_at = now + max(self._look_every_s, (now - began) / _LOOKING_SHARE)

    def _tell_what_is_there(self) -> None:
        """Now and then: what lies in the folder must not be forgotten, or it would be new after a restart."""
        now = time.monotonic()
        if now < self._tell_at:
            return
        try:
            self._seen.still_there([key for done in self._done.values() for key in done.keys])
            self._tell_at = now + _TELL_EVERY_S
        except StoreError as error:  # what is forgotten meanwhile is what was not there at the time before
            log.debug("what lies in the folder of the source %s is said later: %s", self._settings.name, error)
            self._tell_at = now + _TELL_AGAIN_S

    def _list(self) -> Listing:
        try:
            return list_images(self._root)
        except OSError as error:
            raise SourceError(self._why_not(error)) from error

    def _why_not(self, error: OSError) -> str:
        what = f"the folder of the source {self._settings.name}"
        if isinstance(error, FileNotFoundError):
            return f"{what} is not there: {missing(self._settings.path)}"
        if isinstance(error, NotADirectoryError):
            return f"{what} must be a folder, and {self._root} is a file: give the folder that it lies in"
        if isinstance(error, PermissionError):
            return f"{what} may not be read by this user: change the permissions of {self._root}"
        return f"{what} cannot be read ({error.strerror or type(error).__name__}): check the drive of {self._root}"

    def _note(self, name: str, signature: Signature | None) -> None:
        """Remember that a file is as it is."""
        if signature is None:
            self._candidates.pop(name, None)
            self._done.pop(name, None)
        elif name not in self._done or self._done[name].signature != signature:
            known = self._candidates.get(name)
            if known is None or known.signature != signature:
                self._candidates[name] = _Candidate(signature, time.monotonic())

    def _wait(self, deadline: float) -> None:
        """Wait for changes, a little."""
        changed = self._events.wait()
        if changed is None:
            now = time.monotonic()
            time.sleep(max(0.0, min(0.05, deadline - now, self._look_at - now)))
            return
        for path in changed:
            signature = look_at(path)
            if signature is None and path.is_dir() and not path.is_symlink() and str(path) not in self._folders:
                self._look_at = 0.0
            try:
                self._note(path.relative_to(self._root).as_posix(), signature)
            except ValueError:
                self._look_at = 0.0

    # What is complete

    def _next_due(self) -> str | None:
        """The next file that did not change for long enough, as far as was looked."""
        if not self._due:
            now = time.monotonic()
            names = [name for name, candidate in self._candidates.items() if self._is_due(candidate, now)]
            self._due.extend(sorted(names, key=lambda name: (self._candidates[name].signature[1], name)))
        while self._due:
            name = self._due.popleft()
            candidate = self._candidates.get(name)
            if candidate is not None and self._is_due(candidate, time.monotonic()):
                return name
        return None

    def _is_due(self, candidate: _Candidate, now: float) -> bool:
        settled_s = self._patience_s if candidate.problem else self._settings.settle_s
        return now - candidate.since >= settled_s

    def _take(self, name: str) -> None:
        """Give the images of a file that is due, unless it changed, is not whole or was seen."""
        candidate = self._candidates[name]
        signature = look_at(self._root / name)
        if signature != candidate.signature:
            self._note(name, signature)
            return
        keys: dict[str, None] = {}

        def is_new(key: str) -> bool:
            keys[key] = None
            return key not in self._recent and not self._seen.is_seen(key)

        try:
            frames = new_frames(self._root, name, candidate.signature, self._limits, is_new)
        except Changed as now:
            self._note(name, now.signature)
            return
        except NotWhole as waiting:
            is_given_up, candidate.problem = bool(candidate.problem), str(waiting)
            if self._unknown is not None:
                self._unknown.discard(name)
            if not is_given_up:
                return
            if waiting.frame.key is None:
                # nobody could read it, so that it may be an image yet: it is tried for as long as it is there
                candidate.since = time.monotonic()
                if not candidate.is_said:
                    candidate.is_said = True
                    self._pages.append(waiting.frame)
                return
            frames = [waiting.frame]
        del self._candidates[name]
        self._done[name] = _Done(candidate.signature, tuple(keys))
        for frame in frames:
            if frame.key is not None:
                self._recent.add(frame.key)
        self._pages.extend(frames)

    def _tell_once(self, sentence: str | None, about: str = "") -> None:
        """Write a sentence into the log, unless it or another about the same thing is there."""
        if sentence is not None and (about or sentence) not in self._told:
            self._told.add(about or sentence)
            log.warning("in the folder of the source %s, %s", self._settings.name, sentence)
