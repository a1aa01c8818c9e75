"""Suites from YAML files: each key is checked and becomes a field of the suite or its protocol."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmark.encoders.files import Weights
from benchmark.plan.domain import Domain
from benchmark.plan.strict import plain_values
from benchmark.plan.suite import Distillation, Suite, SuiteError, known_names, with_values
from benchmark.plugins import is_file, load
from datamodules.flags import FLAGS
from datamodules.protocol import PADDINGS, Protocol
from datamodules.tasks import RULES

SUITES = Path(__file__).parents[1] / "suites"
NAMES: dict[str, tuple[str, ...]] = {"rule": RULES, "padding": PADDINGS}
"""Choices of the values of a protocol that are names."""
FLAG, SHARE = ("mask", "validation", "score_windows"), "test_share"
"""Values of a protocol that are true or false, and a share."""
COUNTS = {"folds": 2, "stimulus_folds": 2, "partitions": 1}
"""Values of a protocol that are whole numbers, and the least of each."""
PROTOCOL_KEYS = (*NAMES, *FLAG, SHARE, *COUNTS, "flags")
SUITE_KEYS = tuple(f.name for f in fields(Suite) if f.name not in ("name", "protocol"))
KEYS = (*SUITE_KEYS, *PROTOCOL_KEYS)
WHOLE = ("subjects", "options", "parts", "plugins", "encoders", "transfer")
"""Keys that a part of a suite cannot have: recordings are read once for all of it."""


def load_suite(name: str) -> Suite:
    """Return a suite of this project by name, or any other by the path of its YAML file.

    Raises:
        SuiteError: There is no such file, or it is no suite.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else SUITES / f"{name}.yaml"
    if not path.is_file():
        raise SuiteError(
            f"no suite {name!r}: expected one of {', '.join(suite_names())}, or the path of a "
            ".yaml file"
        )
    try:
        values = plain_values(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SuiteError(
            f"{path}: expected YAML in UTF-8, found otherwise: {error}. Mend the file"
        ) from error
    if not isinstance(values, dict):
        raise SuiteError(f"{path}: expected keys and values, found {type(values).__name__}")
    known_names(values, KEYS, f"{path}: key")
    if "plugins" in values:  # before the suite is made, as its pairs name models
        values["plugins"] = _plugins(path, values["plugins"])
        load(values["plugins"])
    parsed = {key: _parsed(path, key, value) for key, value in values.items()}
    protocol = {key: parsed.pop(key) for key in PROTOCOL_KEYS if key in parsed}
    return Suite(path.stem, **parsed, protocol=with_values(Protocol(), protocol, path.stem))


def _plugins(path: Path, value: Any) -> list[str]:
    """Return names of plug-ins; a file is named from the folder of the suite."""
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise SuiteError(
            f"{path}: expected plugins to be a list of files or modules, found {value!r}"
        )
    return [str(path.parent / name) if is_file(name) else name for name in names]


def suite_names() -> list[str]:
    """Return the names of the suites of this project."""
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def about_suite(name: str) -> str:
    """Return the first line of a suite of this project: its comment."""
    return (SUITES / f"{name}.yaml").read_text().splitlines()[0].lstrip("# ")


def _parsed(path: Path, key: str, value: Any) -> Any:
    """Return a value of a suite file as its field takes it."""

    def expect(fits: bool, expected: str) -> None:
        if not fits:
            raise SuiteError(f"{path}: expected {key} to be {expected}, found {value!r}")

    if key in ("options", "recipes", "arguments"):
        nested = isinstance(value, dict) and all(isinstance(v, dict) for v in value.values())
        expect(nested, "a mapping from names to mappings")
        return value
    if key in ("recipe", *NAMES):
        expect(isinstance(value, str), "a name")
        if key in NAMES:
            known_names([value], NAMES[key], f"{path}: {key}")
        return value
    if key in FLAG:
        expect(isinstance(value, bool), "true or false")
        return value
    if key == SHARE:
        expect(isinstance(value, float), "a share, as 0.3")
        return value
    if key in COUNTS:
        least = COUNTS[key]
        expect(type(value) is int and value >= least, f"a whole number of at least {least}")
        return value
    if key == "budget":
        expect(type(value) is int, "a whole number")
        return value
    if key == "labelled_minutes":
        numbers = value if isinstance(value, list) else [value]
        expect(all(type(one) in (int, float) for one in numbers), "a list of numbers")
        return tuple(map(float, numbers))
    if key == "encoders":
        expect(isinstance(value, dict), "a mapping from names of encoders to files")
        return {str(name): _weights(path, entry) for name, entry in value.items()}
    if key == "parts":
        nested = isinstance(value, list) and all(isinstance(part, dict) for part in value)
        expect(nested, "a list of mappings from keys to values")
        for part in value:
            known_names(part, [k for k in KEYS if k not in WHOLE], f"{path}: key of a part")
        return tuple({k: _parsed(path, k, v) for k, v in part.items()} for part in value)
    if key == "transfer":
        expect(isinstance(value, list), "a list of names of datasets, or of mappings")
        return tuple(_domain(path, entry) for entry in value)
    if key == "flaws":
        expect(isinstance(value, list), "a list of flags, or of lists of flags")
        flaws = [flaw if isinstance(flaw, list) else [flaw] for flaw in value]
        expect(all(type(f) is str for flaw in flaws for f in flaw), "a list of flags")
        return tuple(tuple(flaw) for flaw in flaws)
    if key == "distillations":
        nested = isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
        expect(nested, "a list of mappings with distiller, teacher and student")
        return tuple(_as_distillation(path, entry) for entry in value)
    values = value if isinstance(value, list) else [value]
    kind = int if key == "seeds" else str
    expect(all(type(item) is kind for item in values), f"a list of {kind.__name__}")
    if key == "flags":
        known_names(values, FLAGS, f"{path}: flag")
    return tuple(values)


def _domain(path: Path, entry: Any) -> Domain:
    """Return a domain of a transfer matrix: the name of a dataset, or a mapping."""
    values = {"dataset": entry} if isinstance(entry, str) else entry
    kinds = {"dataset": str, "options": dict, "task": str, "test_only": bool}
    if not isinstance(values, dict) or "dataset" not in values:
        raise SuiteError(
            f"{path}: transfer: expected the name of a dataset, or a mapping with dataset and "
            f"others of {', '.join(kinds)}, found {entry!r}"
        )
    known_names(values, kinds, f"{path}: transfer:")
    for key, value in values.items():
        if type(value) is not kinds[key]:
            raise SuiteError(
                f"{path}: transfer: expected {key} to be of type {kinds[key].__name__}, found "
                f"{value!r}"
            )
    return Domain(**{**values, "options": tuple(sorted(values.get("options", {}).items()))})


def _weights(path: Path, entry: Any) -> Weights:
    """Return the weights of an encoder; a file is named from the folder of the suite."""
    values = {"file": entry} if isinstance(entry, str) else entry
    values = values if isinstance(values, dict) else {}
    names = values.get("pretrained_on", [])
    fits = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not fits or not isinstance(values.get("file"), str):
        raise SuiteError(
            f"{path}: encoders: expected a file of weights, or a mapping with file and "
            f"pretrained_on, a list of names, found {entry!r}"
        )
    known_names(values, ("file", "pretrained_on"), f"{path}: encoders:")
    return Weights(str(path.parent / values["file"]), tuple(names))


def _as_distillation(path: Path, entry: Mapping[str, Any]) -> Distillation:
    known_names(entry, [f.name for f in fields(Distillation)], f"{path}: distillation:")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        names = isinstance(value, list) and all(isinstance(name, str) for name in value)
        if key in ("student_signals", "teacher_signals"):
            fits, expected = names, "a list of names"
        elif key in ("arguments", "recipe"):
            fits, expected = isinstance(value, dict), "a mapping from names to values"
        elif key == "out_of_fold":
            fits, expected = type(value) is int and value >= 0, "a whole number"
        else:
            fits, expected = isinstance(value, str), "a name"
        if not fits:
            raise SuiteError(
                f"{path}: distillations: expected {key} to be {expected}, found {value!r}"
            )
        values[key] = tuple(value) if isinstance(value, list) else value
    try:
        return Distillation(**values)
    except TypeError as error:
        raise SuiteError(f"{path}: distillations: {error}") from error
