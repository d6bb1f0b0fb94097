"""Options of FFmpeg for what OpenCV opens, which takes them from a variable of the whole process alone."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_changed = threading.Condition()
_waiting: deque[object] = deque()
_holders = 0
_options = ""
_before: str | None = None


@contextmanager
def ffmpeg_options(options: str) -> Iterator[None]:
    """What is opened within the context has these options, or those that were there before.

    Threads with the same options are within it together; others wait for one another, in the order in which they came.

    Args:
        options: "name;value|name;value"; empty for none.
    """
    global _holders, _options, _before
    me = object()
    with _changed:
        _waiting.append(me)
        _changed.wait_for(lambda: _waiting[0] is me and (_holders == 0 or _options == options))
        _waiting.popleft()
        if _holders == 0:
            _options, _before = options, os.environ.get(_VARIABLE)
            if options:
                os.environ[_VARIABLE] = options
        _holders += 1
        _changed.notify_all()  # the next one may have the same
    try:
        yield
    finally:
        with _changed:
            _holders -= 1
            if _holders == 0 and _options:
                if _before is None:
                    del os.environ[_VARIABLE]
                else:
                    os.environ[_VARIABLE] = _before
            _changed.notify_all()
