"""Settings that are checked when they are made, and the sentence that refuses a value.

Pydantic checks types and bounds; what it finds is said in the form of all other errors. Imports nothing of onlygood but
`errors` and the reading of numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from onlygood._plain import plain
from onlygood.errors import SettingError


class Settings(BaseModel):
    """Named values that are checked when an object of a subclass is made, and never change.

    The description of a field is the help of its option on the command line. Where neither type nor bounds say what a
    value must be, `json_schema_extra={"must_be": "..."}` says it; `"metavar"` there is what the help calls the value.

    Raises:
        SettingError: a name that does not exist, or a value that cannot be used.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )
    # Whose settings these are, in the sentence that refuses an unknown name.
    subject: ClassVar[str] = "settings"

    if not TYPE_CHECKING:  # type checkers make the signature from the fields

        def __init__(self, **values: Any) -> None:
            values = {name: plain(value) for name, value in values.items()}
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise SettingError(_sentence(type(self), values, error)) from None
            self.check()

    def check(self) -> None:
        """Refuse values that do not go together; called when the object is made.

        Raises:
            SettingError: with what does not go with what.
        """

    def is_given(self, name: str) -> bool:
        """Whether a field was given a value other than None, by its name."""
        return name in self.model_fields_set and getattr(self, name) is not None

    def replaced(self, **changes: Any) -> Self:
        """A copy with other values for some fields, checked in the same way.

        Raises:
            SettingError: as when an object is made.
        """
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | changes)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return self.model_dump()


def requirement(field: FieldInfo) -> str:
    """What a value of this field must be, to be read after "must be"."""
    said = _extra(field, "must_be")
    if said is not None:
        return said
    kind = value_type(field)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if kind is bool:
        return "True or False"
    if kind in (int, float):
        return _number(field, "a whole number" if kind is int else "a number")
    if kind is str:
        return "text"
    return str(getattr(kind, "__name__", kind))


def metavar(field: FieldInfo) -> str | None:
    """What the help of an option calls its value; None where the option's own name is as good."""
    return _extra(field, "metavar")


def value_type(field: FieldInfo) -> Any:
    """The type of a field's values without None, such as `int` of `int | None`."""
    annotation = field.annotation
    parts = [part for part in get_args(annotation) if part is not NoneType]
    # `X | None` is of types.UnionType, and of typing.Union where X is a Literal.
    is_union = get_origin(annotation) is Union or type(annotation).__name__ == "UnionType"
    return parts[0] if is_union and len(parts) == 1 else annotation


def is_share(field: FieldInfo) -> bool:
    """Whether a field's values are between 0 and 1, both excluded, so that they can be written as percentages."""
    bounds = {type(entry): entry for entry in field.metadata}
    return bounds.get(Gt) == Gt(0) and bounds.get(Lt) == Lt(1)


def nearest(name: str, known: Sequence[str]) -> str:
    """': did you mean ...?' with the name that is nearest; nothing where none is near."""
    by_folded = {each.casefold(): each for each in reversed(known)}
    near = [by_folded[each] for each in get_close_matches(name.casefold(), list(by_folded), n=1)]
    return f": did you mean {near[0]!r}?" if near else ""


def unknown_names(subject: str, unknown: Sequence[str], known: Sequence[str]) -> str:
    """The sentence that refuses names of settings that do not exist, with those that do and the nearest one."""
    return f"{subject} must be among {', '.join(known)}, got {', '.join(unknown)}{nearest(unknown[0], known)}"


def one_of(values: Sequence[str]) -> str:
    """Such as "a, b or c"."""
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"


def _extra(field: FieldInfo, name: str) -> str | None:
    extra = field.json_schema_extra
    return str(extra[name]) if isinstance(extra, Mapping) and name in extra else None


def _number(field: FieldInfo, noun: str) -> str:
    bounds = {type(entry): entry for entry in field.metadata}
    low, high = bounds.get(Ge) or bounds.get(Gt), bounds.get(Le) or bounds.get(Lt)
    least = None if low is None else low.ge if isinstance(low, Ge) else low.gt
    most = None if high is None else high.le if isinstance(high, Le) else high.lt
    if low is None and high is None:
        return noun
    if high is None:
        return f"{noun} of at least {least}" if isinstance(low, Ge) else f"{noun} above {least:.12g}"
    if isinstance(low, Ge):
        return (
            f"{noun} from {least:.12g} to {most:.12g}"
            if isinstance(high, Le)
            else f"{noun} from {least:.12g} to below {most:.12g}"
        )
    if isinstance(high, Le):
        return f"above {least:.12g} and at most {most:.12g}"
    return f"between {least:.12g} and {most:.12g}, both excluded"


def _sentence(kind: type[Settings], values: Mapping[str, Any], error: ValidationError) -> str:
    """What is said of the first of the values that cannot be used; of names that do not exist, of all of them."""
    found = error.errors(include_url=False)
    unknown = sorted(str(each["loc"][0]) for each in found if each["type"] == "extra_forbidden")
    if unknown:
        return unknown_names(kind.subject, unknown, list(kind.model_fields))
    name = str(found[0]["loc"][0])
    return f"{name} must be {requirement(kind.model_fields[name])}, got {values[name]!r}"
