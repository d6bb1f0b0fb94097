"""Backbones: a trunk as an ONNX file, and the card beside it that says what the file is."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import onnx
from onnx import TensorProto

from onlygood._integers import is_integer
from onlygood.backbones.efficientnet_lite import build, is_installed
from onlygood.errors import BackboneError, SettingError

CARD_FORMAT = 1

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Tap:
    """One output of the trunk: float32 [N, channels, H / reduction, W / reduction], rounded up."""

    name: str
    channels: int
    reduction: int


@dataclass(frozen=True, kw_only=True)
class Level:
    """Taps whose vectors are joined into one embedding for a memory bank of its own.

    Attributes:
        taps: names of taps.
        reduction: pixels of the input a side for one patch of the embedding's grid.
    """

    taps: tuple[str, ...]
    reduction: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a backbone file is.

    Attributes:
        name: of the network and its weights.
        description: a line that says what it is.
        input: name of the file's one input, float32 [N, 3, H, W], normalised.
        input_size: pixels a side at which it does well; used unless another is asked for.
        multiple: the input size must be a multiple of this.
        mean: three levels (0 to 255) subtracted from red, green and blue.
        std: three levels that the differences are divided by.
        taps: all outputs that can be used.
        patch_taps: names of the taps that patch methods use unless others are asked for.
        licence: of the weights, as an SPDX identifier where there is one.
        source: where the weights come from.
        sha256: of the file, in hexadecimal.
        levels: what the patch detector looks at side by side unless taps are asked for, the finest first; empty for one
            level of the patch taps.
        patch_input_sizes: the smallest and the largest side of a square with the area of the patch detector's input,
            in pixels; between them the images' own size decides.
    """

    name: str
    description: str
    input: str
    input_size: int
    multiple: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    taps: tuple[Tap, ...]
    patch_taps: tuple[str, ...]
    licence: str
    source: str
    sha256: str
    levels: tuple[Level, ...] = ()
    patch_input_sizes: tuple[int, int] | None = None

    def choose_levels(self, names: Sequence[str] | None) -> tuple[tuple[tuple[Tap, ...], int], ...]:
        """The taps and the reduction of each level: one of the taps with these names, or the card's levels.

        Raises:
            SettingError: as `choose_taps`.
        """
        if names is None and self.levels:
            return tuple((self.choose_taps(level.taps), level.reduction) for level in self.levels)
        taps = self.choose_taps(names)
        return ((taps, max(tap.reduction for tap in taps)),)

    def choose_taps(self, names: Sequence[str] | None) -> tuple[Tap, ...]:
        """The taps of these names, in this order, or the card's patch taps.

        Raises:
            SettingError: a name that the card does not list, the same name twice, or none.
        """
        known = {tap.name: tap for tap in self.taps}
        chosen = tuple(self.patch_taps if names is None else names)
        unknown = [name for name in chosen if name not in known]
        if unknown or not chosen or len(set(chosen)) != len(chosen):
            raise SettingError(
                f"taps must be different names out of {', '.join(known)} for backbone {self.name}, got "
                f"{', '.join(chosen) or 'none'}"
            )
        return tuple(known[name] for name in chosen)

    def last_tap(self, names: Sequence[str] | None) -> Tap:
        """The tap of the one name, or the card's last.

        Raises:
            SettingError: a name that the card does not list, or several.
        """
        (tap, *others) = self.choose_taps([self.taps[-1].name] if names is None else names)
        if others:
            raise SettingError(f"taps must be one name for methods on the pooled output, got {', '.join(names or ())}")
        return tap

    def check_input_size(self, size: int) -> None:
        """Refuse a size that this network cannot take.

        Raises:
            SettingError: not a positive multiple of `multiple`.
        """
        if size < self.multiple or size % self.multiple:
            near = max(self.multiple, round(size / self.multiple) * self.multiple)
            raise SettingError(
                f"the input size must be a positive multiple of {self.multiple} for backbone {self.name}, got {size}: "
                f"try {near}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON values."""
        return {"card": CARD_FORMAT, **asdict(self)}


@dataclass(frozen=True)
class Backbone:
    """A trunk and its card."""

    model: onnx.ModelProto
    card: Card

    @property
    def fixed_shape(self) -> tuple[int, int]:
        """Height and width that the file was exported for; 0 where it takes any."""
        value = next(value for value in self.model.graph.input if value.name == self.card.input)
        height, width = (dimension.dim_value for dimension in value.type.tensor_type.shape.dim[2:4])
        return height, width

    def check_input_size(self, size: int) -> None:
        """Refuse a size that this network cannot take.

        Raises:
            SettingError: not a multiple that the card allows, or another than the one that the file was exported for.
        """
        self.card.check_input_size(size)
        fixed = set(self.fixed_shape) - {0, size}
        if fixed:
            raise SettingError(
                f"the input size must be {' x '.join(map(str, sorted(fixed)))} for backbone {self.card.name}, "
                f"which was exported for it, got {size}: export it again for that size"
            )


def named_backbones() -> list[str]:
    """Names of all backbones whose cards are inside the package."""
    folder = resources.files("onlygood") / "backbones"
    return sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))


def available_backbones() -> list[str]:
    """Names of those that can be loaded here: their files are inside the package, or their weights are installed."""
    return [name for name in named_backbones() if _shipped(name).is_file() or is_installed(name)]


def load_backbone(backbone: str | os.PathLike[str]) -> Backbone:
    """A backbone by its name, or any ONNX file by its path, with `<name>.json`, its card, beside it.

    A named backbone whose file is not inside the package is built from its installed weights, and is the one that its
    card inside the package describes, or refused.

    Raises:
        BackboneError: no such backbone or card, a file that cannot be read or differs from its card.
        MissingExtraError: a named backbone whose weights are not installed.
    """
    name = str(backbone)
    if name in named_backbones():
        if not _shipped(name).is_file():
            return _build(name)
        with resources.as_file(_shipped(name)) as path:
            return _load_file(path)
    path = Path(backbone)
    if path.suffix != ".onnx":
        raise BackboneError(
            f"backbone must be one of {', '.join(named_backbones())} or the path of an .onnx file, got {name!r}"
        )
    return _load_file(path)


def _shipped(name: str) -> Traversable:
    """Where the file of a named backbone is, if it is inside the package."""
    return resources.files("onlygood") / "backbones" / f"{name}.onnx"


def _build(name: str) -> Backbone:
    """A named backbone, built from its installed weights."""
    card_name = f"{name}.json"
    card = parse_card(
        json.loads((resources.files("onlygood") / "backbones" / card_name).read_text(encoding="utf-8")), card_name
    )
    content, _ = build(name)
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise BackboneError(
            f"backbone {name} must be built with the sha256 that its card gives, {card.sha256}, got {digest} with onnx "
            f"{onnx.__version__}: install another version of onnx and report this"
        )
    model = onnx.load_model_from_string(content)
    _check_signature(model, card, Path(f"{name}.onnx"))
    return Backbone(model=model, card=card)


def _load_file(path: Path) -> Backbone:
    card_path = path.with_suffix(".json")
    try:
        content = path.read_bytes()
        described = json.loads(card_path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BackboneError(
            f"backbone {path.name} needs {path.name} and its card {card_path.name} in {path.parent}, got no "
            f"{Path(error.filename).name}"
        ) from error
    except OSError as error:
        raise BackboneError(f"backbone {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BackboneError(f"the card {card_path} must be JSON, got: {error}") from error
    card = parse_card(described, str(card_path))
    digest = hashlib.sha256(content).hexdigest()
    if card.sha256 != digest:
        raise BackboneError(
            f"backbone {path} must have the sha256 that its card gives, {card.sha256}, got {digest}: the file is "
            f"damaged, or the card is another file's"
        )
    try:
        model = onnx.load_model_from_string(content)
        # Weights beside the file (exporters leave them there) are brought in: a model file of ours is one file.
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:
        raise BackboneError(f"backbone {path} cannot be read as ONNX: {error}") from error
    _check_signature(model, card, path)
    return Backbone(model=model, card=card)


def parse_card(described: Any, name: str) -> Card:
    """The card in a JSON value.

    Args:
        described: what `json.loads` gave.
        name: of the card, for messages.

    Raises:
        BackboneError: a field is missing or has a value that cannot be used, or the card has a newer format.
    """
    if not isinstance(described, Mapping):
        raise BackboneError(f"the card {name} must be a JSON object, got {type(described).__name__}")
    if described.get("card") != CARD_FORMAT:
        raise BackboneError(f'the card {name} must have "card": {CARD_FORMAT}, got {described.get("card")!r}')
    get = _Fields(described, name)
    card = Card(
        name=get("name", "a text", _text),
        description=get("description", "a text", _text),
        input=get("input", "a text", _text),
        input_size=get("input_size", "a whole number of at least 1", _count),
        multiple=get("multiple", "a whole number of at least 1", _count),
        mean=get("mean", "three numbers", _three),
        std=get("std", "three numbers above 0", _three_positive),
        taps=tuple(
            Tap(
                name=tap("name", "a text", _text),
                channels=tap("channels", "a whole number of at least 1", _count),
                reduction=tap("reduction", "a whole number of at least 1", _count),
            )
            for tap in (_Fields(tap, name) for tap in get("taps", "a list of objects", _objects))
        ),
        patch_taps=get("patch_taps", "a list of texts", _texts),
        licence=get("licence", "a text", _text),
        source=get("source", "a text", _text),
        sha256=get("sha256", "a text", _text).lower(),
        levels=tuple(
            Level(
                taps=level("taps", "a list of texts", _texts),
                reduction=level("reduction", "a whole number of at least 1", _count),
            )
            for level in (
                _Fields(level, name)
                for level in get.optional("levels", "a list of objects", _objects, list[Mapping[str, Any]]())
            )
        ),
        patch_input_sizes=get.optional("patch_input_sizes", "two whole numbers, the smaller first", _two_sizes, None),
    )
    try:
        card.choose_taps(None)
        card.choose_levels(None)
        card.check_input_size(card.input_size)
    except SettingError as error:
        raise BackboneError(f"the card {name} contradicts itself: {error}") from error
    return card


class _Fields:
    """The fields of one JSON object of a card, each refused by its name where it is missing or cannot be used."""

    def __init__(self, values: Mapping[str, Any], card: str) -> None:
        self.values = values
        self.card = card

    def __call__(self, field: str, requirement: str, convert: Callable[[Any], T]) -> T:
        if field not in self.values:
            raise BackboneError(f"the card {self.card} needs the field {field!r}, got none")
        try:
            return convert(self.values[field])
        except (TypeError, ValueError) as error:
            raise BackboneError(
                f"the card {self.card} must have {requirement} as its field {field!r}, got {self.values[field]!r}"
            ) from error

    def optional(self, field: str, requirement: str, convert: Callable[[Any], T], default: T) -> T:
        """The field's value, or the default where the card does not have it."""
        return default if self.values.get(field) is None else self(field, requirement, convert)


def _two_sizes(values: Any) -> tuple[int, int]:
    smallest, largest = (_count(value) for value in values)
    if smallest > largest:
        raise ValueError
    return smallest, largest


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError
    return tuple(_text(value) for value in values)


def _objects(values: Any) -> list[Mapping[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(value, Mapping) for value in values):
        raise TypeError
    return values


def _count(value: Any) -> int:
    if not is_integer(value, 1):
        raise ValueError
    return value


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError
    return red, green, blue


def _three_positive(values: Any) -> tuple[float, float, float]:
    three = _three(values)
    if min(three) <= 0:
        raise ValueError
    return three


def _check_signature(model: onnx.ModelProto, card: Card, path: Path) -> None:
    """Refuse a file whose inputs and outputs are not those of its card."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    if [value.name for value in inputs] != [card.input] or inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise BackboneError(
            f"backbone {path} must have one float32 input called {card.input}, as its card says, got "
            f"{', '.join(value.name for value in inputs) or 'none'}"
        )
    outputs = {value.name for value in model.graph.output}
    missing = [tap.name for tap in card.taps if tap.name not in outputs]
    if missing:
        raise BackboneError(
            f"backbone {path} must have the outputs that its card lists, got none called {', '.join(missing)}"
        )
