"""The process of one job: `python -m onlygood.station.jobs.work FOLDER`, with the work as a line on standard input.

It answers on standard output, and ends as `onlygood fit` does on Ctrl-C, also when its standard input is closed: then
the station that asked for it is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, BinaryIO

from onlygood._ending import end_on_signals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onlygood._progress import Progress
    from onlygood.images.named import NamedImage
    from onlygood.model import CalibratedModel
    from onlygood.station.jobs.request import Answer, Failed, FitWork, Made, UpdateWork, Work, WorkImage

# Between two answers on the same step.
LEAST_PAUSE_S = 0.1
# Of every fit, what can be asked of a job; what else there is names files, or is the station's to say.
FIT_SETTINGS = (
    *("threshold_rule", "calibration", "calibration_fraction", "near_duplicates", "window", "channels", "alpha"),
    *("golden", "augment", "rotations", "sizes", "tiles", "align", "align_degrees", "seed"),
)
# Lower priority than that of what inspects.
NICE = 10
_OOM_SCORE = 800


class _Answers:
    """The lines on standard output."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = Lock()
        self._step, self._at = "", 0.0

    def say(self, answer: Answer) -> None:
        """Send one line, at once."""
        with self._lock, suppress(OSError):  # nobody reads: then standard input is closed, too
            self._stream.write(answer.model_dump_json().encode() + b"\n")
            self._stream.flush()

    def tell(self, progress: Progress) -> None:
        """Send where the work is: each step's beginning and end, and between them a few a second."""
        from onlygood.station.jobs.request import Step

        now = time.monotonic()
        if progress.step == self._step and progress.done != progress.total and now - self._at < LEAST_PAUSE_S:
            return
        self._step, self._at = progress.step, now
        self.say(Step(step=progress.step, done=progress.done, total=progress.total))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the work in the folder that is named, and return the exit code: 0 where a model was made, else 2."""
    end_on_signals()
    # A station that a shell has started in the background ignores SIGINT, and so do its children unless they say so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    (folder,) = sys.argv[1:] if arguments is None else arguments
    answers = _Answers(_own_stdout())
    if hasattr(os, "nice"):
        os.nice(NICE)
    with suppress(OSError):  # Linux alone has it: where memory runs out, the job is ended and not the station
        Path("/proc/self/oom_score_adj").write_text(f"{_OOM_SCORE}\n", encoding="ascii")
    line = sys.stdin.buffer.readline()
    Thread(target=_end_with_stdin, args=(sys.stdin.buffer,), daemon=True).start()
    os.chdir(folder)
    from onlygood.station.jobs.request import Failed, parse_work

    answer = do(parse_work(line), answers.tell)
    answers.say(answer)
    return 2 if isinstance(answer, Failed) else 0


def _own_stdout() -> BinaryIO:
    """Standard output for the answers alone: what else is printed there goes to standard error."""
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return stream


def _end_with_stdin(stream: BinaryIO) -> None:
    with suppress(OSError):
        while stream.read(4096):
            pass
    signal.raise_signal(signal.SIGINT)


def do(work: Work, tell: Callable[[Progress], None]) -> Made | Failed:
    """Do the work with the files in the current folder, write the model there, and return what is to be said of it.

    Args:
        work: what is asked.
        tell: told where it is.
    """
    from onlygood._progress import Progress, reported
    from onlygood.errors import OnlygoodError
    from onlygood.station.jobs.request import MODEL_FILE, Failed, Made

    try:
        with reported(tell):
            model = _fit(work) if work.kind == "fit" else _update(work)
            tell(Progress("writing the model"))
            model.save(MODEL_FILE)
    except OnlygoodError as error:
        return Failed(problem=str(error))
    except MemoryError:
        return Failed(problem="the job needs more memory than there is: use fewer or smaller images")
    except Exception as error:
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        problem = f"an error that should not happen, {what} (report it with the station's log)"
        return Failed(problem=problem, is_unforeseen=True)
    return Made(notes=(*model.guarantee.sentences, *model.notes))


def _fit(work: FitWork) -> CalibratedModel:
    from onlygood.detectors.registry import make_method, method_class
    from onlygood.fitting import fit

    kind = method_class(work.method)
    ours = {name: value for name, value in work.settings.items() if name in FIT_SETTINGS}
    theirs = {name: value for name, value in work.settings.items() if name not in FIT_SETTINGS}
    refuse_settings(work.method, theirs)
    return fit(
        _named(work.images),
        method=make_method(kind.name, **theirs),
        false_alarm_rate=work.false_alarm_rate,
        roi=None if work.region is None else _region(work),
        max_pixels=work.max_pixels,
        max_bytes=work.max_bytes,
        **ours,
    )


def refuse_settings(method: str, settings: dict[str, Any]) -> None:
    """Nothing, where all are settings of the method that name no file.

    Raises:
        SettingError: there is no such method or setting, or one is a path.
    """
    from onlygood.backbones.backbone import named_backbones
    from onlygood.detectors.registry import method_class
    from onlygood.errors import SettingError
    from onlygood.validation import nearest

    known = [*(name for name in method_class(method).model_fields if name != "reference"), *FIT_SETTINGS]
    for name, value in settings.items():
        if name not in known:
            raise SettingError(
                f"a setting of a fit must be one of {', '.join(known)}, got {name!r}{nearest(name, known)}"
            )
        if name == "backbone" and value not in named_backbones():
            raise SettingError(
                f"backbone must be one of {', '.join(named_backbones())}, got {value!r}: fit with a backbone of your "
                "own by `onlygood fit`, and upload the model"
            )


def _update(work: UpdateWork) -> CalibratedModel:
    from onlygood.updating import update

    # A person has called these good after the model called them anomalous.
    return update(
        work.model,
        _named(work.images),
        name=work.name,
        accept_anomalous=True,
        max_pixels=work.max_pixels,
        max_bytes=work.max_bytes,
        max_model_bytes=work.max_model_bytes,
    )


def _named(images: Sequence[WorkImage]) -> list[NamedImage]:
    from onlygood.images.named import NamedImage

    return [NamedImage(image.name, Path(image.file)) for image in images]


def _region(work: FitWork) -> NDArray[np.bool_]:
    """The region of interest at the size of the first image."""
    from onlygood.images.reading import ReadingLimits, read_image

    assert work.region is not None
    first = work.images[0]
    limits = ReadingLimits(max_pixels=work.max_pixels, max_bytes=work.max_bytes)
    height, width = read_image(first.file, name=first.name, limits=limits).shape[:2]
    return region_mask(work.region, height, width)


def region_mask(region: tuple[float, float, float, float], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels in a rectangle, bool [H, W].

    Args:
        region: top, left, bottom and right, as shares of height and width in [0, 1].
        height: of the image, in pixels.
        width: of the image, in pixels.

    Raises:
        SettingError: it holds no pixel, or does not lie in the image.
    """
    import numpy as np

    from onlygood.errors import SettingError

    top, left, bottom, right = region
    rows, columns = (round(top * height), round(bottom * height)), (round(left * width), round(right * width))
    is_inside = 0.0 <= top < bottom <= 1.0 and 0.0 <= left < right <= 1.0
    if not (is_inside and rows[0] < rows[1] and columns[0] < columns[1]):
        raise SettingError(
            "the region of interest must be top, left, bottom and right as shares between 0 and 1 that hold at least "
            f"one pixel, got {', '.join(f'{each:g}' for each in region)}: draw it larger, within the image"
        )
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[slice(*rows), slice(*columns)] = True
    return mask


if __name__ == "__main__":
    raise SystemExit(main())
