"""What changes in a folder, told by the system where it can; a look at all files finds what it does not tell."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from onlygood._extras import need_extra

log = logging.getLogger("onlygood.station")

_WAIT_MS, _STEP_MS, _MOST_MS = 50, 10, 100


class FolderEvents:
    """Paths in some folders that changed. Network drives and full tables of the system tell nothing."""

    def __init__(self) -> None:
        """No folder is watched yet.

        Raises:
            MissingExtraError: the library is not installed.
        """
        need_extra("watchfiles", module="watchfiles", extra="station", purpose="a folder that is watched")
        self._changes: Iterator[Collection[tuple[object, str]]] | None = None
        self._has_complained = False

    def watch(self, folders: Iterable[str]) -> None:
        """Watch these folders from now on, and no others.

        Args:
            folders: each by itself, without those below it.
        """
        from watchfiles import watch

        self.close()
        self._changes = watch(
            *folders,
            watch_filter=None,
            debounce=_MOST_MS,
            step=_STEP_MS,
            rust_timeout=_WAIT_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        )
        # a generator begins to watch when it is first asked
        self.wait()

    def wait(self) -> list[Path] | None:
        """Paths that changed since it was asked before, waiting a little for them; None where nothing is watched."""
        if self._changes is None:
            return None
        try:
            return [Path(path) for _, path in next(self._changes)]
        except StopIteration:
            self._changes = None
        except Exception as error:  # what the system refuses is told in several kinds
            self._changes = None
            if not self._has_complained:
                log.warning("changes in folders are found by looking alone: the system does not tell them (%s)", error)
            self._has_complained = True
        return None

    def close(self) -> None:
        """Watch nothing."""
        if self._changes is not None:
            close = getattr(self._changes, "close", None)
            self._changes = None
            if close is not None:
                close()
