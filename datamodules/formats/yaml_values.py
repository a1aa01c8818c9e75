"""Values of a YAML file that a user writes: each is checked, and a message names file and place."""

import difflib
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.arrays import shown
from datamodules.formats.packed import leads_out

WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
"""Names of datasets, signals and tasks; they are parts of names of files and boards."""


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key that comes twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [str(key.value) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"a key that comes twice: {shown(twice[0])}", node.start_mark
            )
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> object:
    """Return what is in a file; raises DatasetCorruptedError if it is no YAML."""
    try:
        values: object = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DatasetCorruptedError(f"{path}: expected YAML, found otherwise ({reason})") from error
    return values


@dataclass(frozen=True)
class Values:
    """Checks of values; each returns what it was given, or raises DatasetCorruptedError.

    Args:
        path: The file.
    """

    path: Path

    def refuse(self, where: str, expected: str, value: object) -> DatasetCorruptedError:
        """Return the error of a value that cannot be."""
        return DatasetCorruptedError(
            f"{self.path}, {where}: expected {expected}, found {shown(value)}"
        )

    def keys(
        self, where: str, value: object, required: Collection[str], optional: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return a mapping with these keys and no others."""
        known = [*required, *optional]
        if not isinstance(value, dict):
            raise self.refuse(where, f"keys and values ({', '.join(known)})", value)
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise DatasetCorruptedError(
                    f"{self.path}, {where}: expected keys among {', '.join(known)}, found "
                    f"{shown(key)}{hint}"
                )
        missing = [key for key in required if key not in value]
        if missing:
            raise DatasetCorruptedError(
                f"{self.path}, {where}: expected the keys {', '.join(required)}, found no "
                f"{', '.join(missing)}"
            )
        return dict(value)

    def named(self, where: str, value: object) -> dict[str, Any]:
        """Return a mapping whose keys are words, at least one."""
        if not isinstance(value, dict) or not value:
            raise self.refuse(where, "names, each with its keys and values", value)
        for name in value:
            self.word(where, name)
        return dict(value)

    def word(self, where: str, value: object) -> str:
        """Return a name that may be part of names of files and boards."""
        if not isinstance(value, str) or not WORD.fullmatch(value):
            raise self.refuse(
                where, "names of small letters, digits and _ that begin with a letter", value
            )
        return value

    def text(self, where: str, value: object) -> str:
        """Return a line of text without blanks around it."""
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.refuse(
                where, "a line of text (in quotes, if YAML reads it otherwise)", value
            )
        return value.strip()

    def texts(self, where: str, value: object) -> tuple[str, ...]:
        """Return the lines of a list, each of them once."""
        if not isinstance(value, list) or not value:
            raise self.refuse(where, "a list of names", value)
        names = tuple(self.text(where, item) for item in value)
        if len(set(names)) < len(names):
            raise self.refuse(where, "each name once", value)
        return names

    def number(self, where: str, value: object, expected: str) -> float:
        """Return a finite number."""
        if type(value) not in (int, float) or not math.isfinite(float(str(value))):
            raise self.refuse(where, expected, value)
        return float(str(value))

    def positive(self, where: str, value: object, expected: str, most: float = math.inf) -> float:
        """Return a number above 0."""
        number = self.number(where, value, expected)
        if not 0 < number <= most:
            raise self.refuse(where, expected, value)
        return number

    def inside(self, where: str, value: object) -> str:
        """Return a path that stays in the folder of the file."""
        path = self.text(where, value)
        if leads_out(path):
            raise self.refuse(where, f"a path inside the folder of {self.path.name}, with /", value)
        return path
