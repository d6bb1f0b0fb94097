"""The table of a set of products, `products.json`: which model file is whose, by name and by recipe number.

The format is the integer FORMAT. To raise it: change what is written here, keep reading every number below it, and
leave a table of the old number in the tests.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from onlygood._files import write_atomically
from onlygood._printable import printable
from onlygood.errors import ModelFileError, ModelFormatError, ModelVersionError, SettingError

FORMAT = 1
TABLE = "products.json"
MAX_TABLE_BYTES = 10_000_000
# What stands for "the one that finds the image least unusual" where a product is named.
NEAREST = "nearest"
LONGEST_NAME = 200
HIGHEST_NUMBER = 999_999_999
SUFFIX = ".onnx"
# Letters of a file's name that come from the product's.
_LONGEST_FILE = 60
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\.onnx")


def _name(text: str) -> str:
    problem = name_problem(text)
    if problem is not None:
        raise ValueError(problem)
    return text


def _file(text: str) -> str:
    # Others may have written the table: a file is one beside it, whatever it says.
    if not _FILE.fullmatch(text) or _DEVICES.fullmatch(text):
        raise ValueError("the name of a file beside the table is required")
    return text


Number: TypeAlias = Annotated[int, Field(ge=1, le=HIGHEST_NUMBER, strict=True)]


class Recipe(BaseModel):
    """A product of a set: its recipe number and name, and its model file.

    Attributes:
        number: by which a machine may name it; it never changes, and no other product of the set ever gets it.
        name: as a person calls it.
        file: the name of the model file in the folder of the set.
        sha256: of that file's bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Number
    name: Annotated[str, AfterValidator(_name)]
    file: Annotated[str, AfterValidator(_file)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    def __str__(self) -> str:
        return f"{self.number} ({self.name})"


class ProductTable(BaseModel):
    """The products of a set, by recipe number.

    Attributes:
        format: of the table.
        products: in the order of their numbers.
        retired: numbers of products that were removed, which no other one gets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    products: tuple[Recipe, ...] = ()
    retired: tuple[Number, ...] = ()

    @classmethod
    def read(cls, folder: Path, *, shown: str) -> Self:
        """The table in a folder.

        Args:
            folder: of the set.
            shown: what messages call it.

        Raises:
            ModelFileError: there is no table, or it cannot be read.
            ModelFormatError: it is damaged or was edited.
            ModelVersionError: a newer onlygood wrote it.
        """
        path = folder / TABLE
        try:
            with path.open("rb") as file:
                content = file.read(MAX_TABLE_BYTES + 1)
        except FileNotFoundError as error:
            raise ModelFileError(
                f"the folder {shown} must hold {TABLE}, as `onlygood fit --product-by` writes it, to be a set of "
                "products, got none: give the folder of such a set, or one model file (.onnx)"
            ) from error
        except OSError as error:
            raise ModelFileError(
                f"the table {path} cannot be read: {(error.strerror or str(error)).lower()}"
            ) from error
        return cls.from_bytes(content, shown=str(path))

    @classmethod
    def from_bytes(cls, content: bytes, *, shown: str) -> Self:
        """A table from the bytes of its file, checked.

        Raises:
            ModelFormatError, ModelVersionError: as `read`.
        """
        remedy = "copy it again from where it was fitted, or fit the products again"
        if len(content) > MAX_TABLE_BYTES:
            raise ModelFormatError(f"the table {shown} must have at most {MAX_TABLE_BYTES:,} bytes, got more: {remedy}")
        try:
            values = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelFormatError(
                f"the table {shown} must be JSON in UTF-8, got what cannot be read ({type(error).__name__}): {remedy}"
            ) from error
        number = values.get("format") if isinstance(values, dict) else None
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ModelFormatError(
                f"the table {shown} must have a format number of at least 1, got {_short(number)}: {remedy}"
            )
        if number > FORMAT:
            raise ModelVersionError(
                f"the table {shown} has format {number}, this onlygood reads up to {FORMAT}: install a newer onlygood"
            )
        try:
            table = cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = printable(".".join(map(str, first["loc"]))[:100])
            raise ModelFormatError(
                f"the table {shown} must hold a product's number, name, file and sha256 in each entry, got a value at "
                f"{where} that cannot be used ({first['msg'].lower()}): {remedy}"
            ) from error
        for what in ("number", "name", "file"):
            found = [getattr(each, what) for each in table.products]
            told_apart = {each.casefold() for each in found} if what == "file" else set(found)
            if len(told_apart) < len(found):
                raise ModelFormatError(f"the table {shown} must have each {what} once, got one twice: {remedy}")
        if not table.products:
            raise ModelFormatError(f"the table {shown} must hold at least one product, got none: fit one into it")
        return table

    def write(self, folder: Path) -> None:
        """Write the table, whole or not at all.

        Raises:
            WriteError: it cannot be written.
        """
        write_atomically(folder / TABLE, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The content of its file."""
        return (json.dumps(self.model_dump(mode="json"), indent=2) + "\n").encode()

    def with_products(self, digests: Mapping[str, str], *, there: Collection[str] = ()) -> ProductTable:
        """The table with products that were fitted: new ones get numbers and files, others keep theirs.

        A product that is called by a whole number has that one as its number, so that both mean the same; others get
        the lowest numbers that no product has or had, in the order of their names.

        Args:
            digests: the sha256 of each product's model file, by name.
            there: names of files in the folder, which belong to no product and stay as they are.

        Raises:
            SettingError: a name that cannot be one, or whose number another product has or had.
        """
        by_name = {each.name: each for each in self.products}
        for name in digests:
            check_name(name)
        new = sorted((name for name in digests if name not in by_name), key=in_order)
        numbers = {name: each.number for name, each in by_name.items()}
        for name in new:
            if not _NUMBER.fullmatch(name):
                continue
            number = int(name)
            holder = next((other for other, its in numbers.items() if its == number), None)
            if holder is not None or number in self.retired:
                had = f"the product {holder!r} has" if holder is not None else "a product that was removed had"
                raise SettingError(
                    f"a product that is called by a whole number has it as its recipe number, got {name!r}, which "
                    f"{had}: call it otherwise"
                )
            numbers[name] = number
        free = 1
        for name in new:
            if name not in numbers:
                while free in numbers.values() or free in self.retired:
                    free += 1
                numbers[name] = free
        files = {name: each.file for name, each in by_name.items()}
        for name in new:
            files[name] = safe_file_name(name, [*files.values(), *there])
        recipes = [
            Recipe(number=numbers[name], name=name, file=files[name], sha256=digests.get(name) or by_name[name].sha256)
            for name in numbers
        ]
        recipes.sort(key=lambda each: each.number)
        return ProductTable(products=tuple(recipes), retired=self.retired)

    def without(self, recipe: Recipe) -> ProductTable:
        """The table without a product, whose number no other one will get."""
        left = tuple(each for each in self.products if each != recipe)
        return ProductTable(products=left, retired=(*self.retired, recipe.number))


def digest_of(content: bytes) -> str:
    """The sha256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def name_problem(name: str) -> str | None:
    """What is wrong about the name of a product, to stand behind "got"; None if it can be one."""
    if not name.strip():
        return "one without letters"
    if len(name) > LONGEST_NAME:
        return f"one of {len(name)} letters"
    if name.casefold() == NEAREST:
        return f"{name!r}, which stands for the nearest product"
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
        return f"{printable(name)}, which is no text"
    return None


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a product.

    Raises:
        SettingError: with what is wrong about it.
    """
    problem = name_problem(name)
    if problem is not None:
        raise SettingError(
            f"the name of a product must be text of at most {LONGEST_NAME} letters other than '{NEAREST}', got "
            f"{problem}: call it otherwise"
        )


def composed(name: str) -> str:
    """A name in the one of the ways of writing its accents in which names are compared and kept."""
    return unicodedata.normalize("NFC", name)


def in_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """The key by which names are sorted, numbers in them by their value: A9 before A10."""
    parts = re.split(r"([0-9]+)", name)
    found = [(0, int(part), "") if at % 2 else (1, 0, part.casefold()) for at, part in enumerate(parts) if part]
    return found, name


def safe_file_name(name: str, taken: Iterable[str]) -> str:
    """The name of a product's file, as every file system takes it: ASCII, and no other one but for its case.

    Args:
        name: of the product. Nothing in it is taken for a part of a path.
        taken: names of files that it must differ from.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem = _UNSAFE.sub("-", plain).strip("-._")[:_LONGEST_FILE].rstrip("-._") or "product"
    if _DEVICES.fullmatch(stem):
        stem = f"product-{stem}"
    folded = {each.casefold() for each in taken}
    file, number = f"{stem}{SUFFIX}", 1
    while file.casefold() in folded:
        number += 1
        file = f"{stem}-{number}{SUFFIX}"
    return file


def _short(value: Any) -> str:
    text = printable(repr(value))
    return text if len(text) <= 60 else f"{text[:60]}..."
