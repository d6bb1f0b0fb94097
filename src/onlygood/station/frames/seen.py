"""Which images were inspected before: what a folder asks, so that each is inspected once, also across restarts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol


class Seen(Protocol):
    """What remembers keys: the database of a station, which records `Frame.key` together with the inspection."""

    def is_seen(self, key: str) -> bool:
        """Whether an image with that key was inspected, or recorded as one that cannot be."""

    def still_there(self, keys: Sequence[str]) -> None:
        """These are the keys of all images that lie in the folder: they stay seen for as long as they do."""


class NothingSeen:
    """For who keeps no record: every image is new when a folder is opened for the first time."""

    def is_seen(self, key: str) -> bool:
        """Always False."""
        return False

    def still_there(self, keys: Sequence[str]) -> None:
        """Nothing is remembered."""


class RecentKeys:
    """The keys given last, some of which are not in any record yet."""

    def __init__(self, most: int) -> None:
        """None yet.

        Args:
            most: remembered; the oldest is forgotten first.
        """
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._most = most

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> None:
        """Remember one."""
        self._keys[key] = None
        self._keys.move_to_end(key)
        while len(self._keys) > self._most:
            self._keys.popitem(last=False)
