"""The kinds of change that augmentation makes, in words: what each may do, and what was done to one image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from onlygood.augmentation.changes import Change
from onlygood.augmentation_settings import AugmentationSettings

Say: TypeAlias = Callable[[Change], str]

AS_GIVEN = ("as given", Change())


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of change, and how much of it is allowed.

    Attributes:
        name: as people say it.
        allowed: its range in words; "never" if it is switched off.
        ends: changes of this kind alone, each with its words: the low end, nothing, the high end, or nothing, half and
            most where there is one end only; empty if it is switched off.
    """

    name: str
    allowed: str
    ends: tuple[tuple[str, Change], ...] = ()


def kinds_of_change(settings: AugmentationSettings, width: int, height: int) -> list[Kind]:
    """All kinds, for an image of this many pixels: light, place, lens, sensor, file, and mirroring last."""
    s = settings
    return [
        _two_ends(
            "brightness",
            s.brightness,
            f"{_percent(s.brightness)} darker to {_percent(s.brightness)} brighter, of black to white",
            lambda end: Change(brightness=end),
            _brightness,
        ),
        _two_ends(
            "contrast",
            s.contrast,
            f"-{_percent(s.contrast)} to +{_percent(s.contrast)}",
            lambda end: Change(contrast=1 + end),
            _contrast,
        ),
        _two_ends(
            "gamma",
            s.gamma,
            f"{1 - s.gamma:.2f} to {1 + s.gamma:.2f}",
            lambda end: Change(gamma=1 + end),
            _gamma,
        ),
        _two_ends(
            "shift",
            s.shift,
            f"up to {_short(s.shift * width)} pixels left or right, {_short(s.shift * height)} up or down",
            lambda end: Change(shift_x=end, shift_y=end),
            lambda change: _shift(change, width, height),
        ),
        _two_ends(
            "rotation",
            s.rotation,
            f"{_short(s.rotation)}° left to {_short(s.rotation)}° right",
            lambda end: Change(rotation=end),
            _rotation,
        ),
        _two_ends(
            "scale",
            s.scale,
            f"{_percent(s.scale)} smaller to {_percent(s.scale)} larger",
            lambda end: Change(scale=1 + end),
            _scale,
        ),
        _one_end("blur", [s.blur / 2, s.blur], f"up to {_short(s.blur)} pixels", lambda most: Change(blur=most), _blur),
        _one_end(
            "sensor noise",
            [s.noise / 2, s.noise],
            f"up to {_percent(s.noise)} of black to white",
            lambda most: Change(noise=most),
            _noise,
        ),
        _one_end(
            "JPEG",
            [(100 + s.jpeg) // 2, s.jpeg],
            f"quality 100 down to {s.jpeg}",
            lambda quality: Change(jpeg=int(quality)),
            _jpeg,
        ),
        _mirroring(s),
    ]


def strongest_changes(change: Change, settings: AugmentationSettings, width: int, height: int) -> list[str]:
    """At most three things that were done to an image, in words, the one that uses most of its range first.

    Args:
        change: what was done.
        settings: the ranges that it was drawn from.
        width: of the image, in pixels.
        height: of the image, in pixels.
    """
    shift = max(abs(change.shift_x), abs(change.shift_y))
    done = [
        (_used(change.brightness, settings.brightness), _brightness(change)),
        (_used(change.contrast - 1, settings.contrast), _contrast(change)),
        (_used(change.gamma - 1, settings.gamma), _gamma(change)),
        (_used(change.noise, settings.noise), _noise(change)),
        (_used(change.blur, settings.blur), _blur(change)),
        (_used(101 - change.jpeg, 101 - settings.jpeg) if change.jpeg else 0.0, _jpeg(change)),
        (_used(shift, settings.shift), _shift(change, width, height)),
        (_used(change.rotation, settings.rotation), _rotation(change)),
        (_used(change.scale - 1, settings.scale), _scale(change)),
        (2.0 if change.flip_horizontal or change.flip_vertical else 0.0, _flip(change)),  # always named
    ]
    done.sort(key=lambda entry: -entry[0])
    return [words for used, words in done[:3] if used > 0]


def _two_ends(name: str, most: float, allowed: str, make: Callable[[float], Change], say: Say) -> Kind:
    if not most:
        return Kind(name=name, allowed="never")
    low, high = make(-most), make(most)
    return Kind(name=name, allowed=allowed, ends=((say(low), low), AS_GIVEN, (say(high), high)))


def _one_end(name: str, steps: list[float], allowed: str, make: Callable[[float], Change], say: Say) -> Kind:
    if not steps[-1]:
        return Kind(name=name, allowed="never")
    return Kind(name=name, allowed=allowed, ends=(AS_GIVEN, *((say(make(step)), make(step)) for step in steps)))


def _mirroring(settings: AugmentationSettings) -> Kind:
    flips: list[Change] = []
    if settings.flip_horizontal:
        flips.append(Change(flip_horizontal=True))
    if settings.flip_vertical:
        flips.append(Change(flip_vertical=True))
    if not flips:
        return Kind(name="mirroring", allowed="never")
    words = [_flip(flip) for flip in flips]
    return Kind(
        name="mirroring",
        allowed=", ".join(f"{word.removeprefix('mirrored ')} in half of them" for word in words),
        ends=(AS_GIVEN, *zip(words, flips, strict=True)),
    )


def _used(value: float, most: float) -> float:
    """The share of its range that a value uses."""
    return abs(value) / most if most > 0 else 0.0


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"


def _percent(value: float) -> str:
    return f"{_short(100 * abs(value))} %"


def _brightness(change: Change) -> str:
    return f"{'brighter' if change.brightness > 0 else 'darker'} {_percent(change.brightness)}"


def _contrast(change: Change) -> str:
    return f"contrast {'+' if change.contrast > 1 else '-'}{_percent(change.contrast - 1)}"


def _gamma(change: Change) -> str:
    return f"gamma {change.gamma:.2f}"


def _noise(change: Change) -> str:
    return f"noise {_percent(change.noise)}"


def _blur(change: Change) -> str:
    return f"blur {_short(change.blur)} px"


def _jpeg(change: Change) -> str:
    return f"JPEG {change.jpeg}"


def _shift(change: Change, width: int, height: int) -> str:
    x, y = change.shift_x * width, change.shift_y * height
    right, down = (f"{abs(by):.0f}" if abs(by) >= 9.95 else f"{abs(by):.1f}" for by in (x, y))
    return f"{'right' if x > 0 else 'left'} {right}, {'down' if y > 0 else 'up'} {down} px"


def _rotation(change: Change) -> str:
    return f"turned {'right' if change.rotation > 0 else 'left'} {_short(abs(change.rotation))}°"


def _scale(change: Change) -> str:
    return f"{'larger' if change.scale > 1 else 'smaller'} {_percent(change.scale - 1)}"


def _flip(change: Change) -> str:
    if change.flip_horizontal and change.flip_vertical:
        return "mirrored both ways"
    return "mirrored left-right" if change.flip_horizontal else "mirrored top-bottom"
