"""The head of a folder dataset: a short YAML file that says what its table and files hold.

    title: Talks
    licence: not to be passed on
    score_unit: 60
    signals:
      bvp: {file: "{subject}_bvp.csv", column: BVP, rate: 64, unit: a.u.}
      acc: {file: "{subject}_acc.csv", columns: [x, y, z], rate: 32, unit: g}
    tasks:
      stress: {classes: [no_stress, stress], labels: {rest: no_stress, talk: stress, break: unused}}
      arousal: {rating: arousal, scale: [1, 9]}

Each key is checked, and a key that is not known is refused, so that none is misspelled and passed
over.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.yaml_values import WORD, Values, load_yaml
from datamodules.inputs import LENGTH
from datamodules.signals.kinds import kind_of
from datamodules.signals.units import same_quantity
from datamodules.tasks import ConditionTask, RatingTask, Task

HEAD = "dataset.yaml"
REQUIRED = ("licence", "score_unit", "signals", "tasks")
OPTIONAL = ("name", "title", "access", "table", "ignored")
CLASS = re.compile(r"\w{1,40}", re.ASCII)
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PLACES = ("subject", "session")
"""Columns of the table that a pattern of files may name."""
TRIAL, UNUSED, LABEL = "trial", "unused", "label"
UNITS: Mapping[str, str] = {
    "eda": "uS",
    "temp": "degC",
    "acc": "g",
    "ecg": "mV",
    "emg": "mV",
    "eeg": "uV",
}
"""Unit of each kind of signal that features and checks go by."""
NO_UNIT = "a.u."
OTHER_NAMES: Mapping[str, str] = {
    "gsr": "eda",
    "sc": "eda",
    "scl": "eda",
    "ppg": "bvp",
    "rsp": "resp",
    "respiration": "resp",
    "temperature": "temp",
    "accelerometer": "acc",
}
"""Names by which others know kinds of signals, and the names here."""
DERIVED = frozenset({"tonic", "phasic", "beats"})
"""Kinds of signals that are computed of others."""
SLOWEST_BEATS = 16.0
"""Least rate in Hz of a signal in which heart beats are found."""
FASTEST = 100_000.0
"""Largest rate in Hz."""


@dataclass(frozen=True)
class SignalEntry:
    """What a head says of a signal.

    Attributes:
        columns: Columns, channels of EDF, or arrays of npz that hold its channels.
        channels: Names of its channels where one array of shape (C, T) holds them all; else empty.
        rate: Rate in Hz.
        unit: Unit of the samples in the file, after ``scale``.
        file: Pattern of its file's path in the folder; empty: the file that the row names.
        scale: Factor of the numbers in the file.
        may_be_missing: Whether a recording without its file is read without it.
    """

    columns: tuple[str, ...]
    channels: tuple[str, ...]
    rate: float
    unit: str
    file: str
    scale: float | None
    may_be_missing: bool

    @property
    def channel_names(self) -> tuple[str, ...]:
        """A name for each channel."""
        return self.channels or self.columns


@dataclass(frozen=True)
class Head:
    """A head.

    Attributes:
        name: Catalogue key: the name of the folder.
        title: Name of the dataset in messages.
        licence: Terms of use.
        access: Where the recordings can be had; empty: it does not say.
        table: Path of the table in the folder.
        unit: Length of a score unit in seconds; None: the trial.
        signals: Signals by name.
        tasks: Tasks by name.
        labels: Class, or ``UNUSED``, of each label, by task.
        ratings: Column, lowest and highest value of each rating, by task.
        ignored: Columns of the table that are not read.
    """

    name: str
    title: str
    licence: str
    access: str
    table: str
    unit: float | None
    signals: Mapping[str, SignalEntry]
    tasks: Mapping[str, Task]
    labels: Mapping[str, Mapping[str, str]]
    ratings: Mapping[str, tuple[str, float, float]]
    ignored: tuple[str, ...]


def read_head(path: Path) -> Head:
    """Return a head.

    Raises:
        DatasetNotFoundError: No such file.
        DatasetCorruptedError: A key or a value that cannot be, with what to do.
    """
    if not path.is_file():
        raise DatasetNotFoundError(
            f"no {path.name} in {str(path.parent)!r}: expected the head of a folder dataset. "
            "affectbench data synthesize folder writes an example."
        )
    return _Checks(path).head(load_yaml(path))


class _Checks(Values):
    """Checks of the values of a head."""

    def head(self, values: object) -> Head:
        keys = self.keys("the head", values, REQUIRED, OPTIONAL)
        labels, ratings, tasks = self.tasks(keys["tasks"])
        name = self.name(keys)
        return Head(
            name=name,
            title=self.text("title", keys.get("title", name)),
            licence=self.text("licence", keys["licence"]),
            access=self.text("access", keys["access"]) if "access" in keys else "",
            table=self.inside("table", keys.get("table", "recordings.csv")),
            unit=self.unit(keys["score_unit"]),
            signals=self.signals(keys["signals"]),
            tasks=tasks,
            labels=labels,
            ratings=ratings,
            ignored=self.texts("ignored", keys["ignored"]) if "ignored" in keys else (),
        )

    def name(self, keys: Mapping[str, Any]) -> str:
        folder = self.path.absolute().parent.name
        name = keys.get("name", folder.casefold())
        if not isinstance(name, str) or not WORD.fullmatch(name):
            raise self.refuse(
                "name",
                "a folder named by small letters, digits and _ that begins with a letter",
                name,
            )
        if name != folder.casefold():
            raise DatasetCorruptedError(
                f"{self.path}, name: expected the name of the folder, by which --data finds it, "
                f"found {name} in the folder {folder}. Rename one of them, or leave name out."
            )
        return name

    def unit(self, value: object) -> float | None:
        expected = f"seconds, or {TRIAL} for one unit a row of the table"
        return None if value == TRIAL else self.positive("score_unit", value, expected)

    def signals(self, value: object) -> dict[str, SignalEntry]:
        return {
            name: self.signal(f"signal {name}", name, entry)
            for name, entry in self.named("signals", value).items()
        }

    def signal(self, where: str, name: str, value: object) -> SignalEntry:
        kind = kind_of(name)
        if kind in OTHER_NAMES:
            other = f"{name[: len(name) - len(kind)]}{OTHER_NAMES[kind]}"
            raise self.refuse(where, f"the name {other}, by which models know it", name)
        if kind in DERIVED or name == LENGTH:
            raise self.refuse(where, "a name that no computed signal has", name)
        keys = self.keys(
            where,
            value,
            ("rate", "unit"),
            ("column", "columns", "channels", "file", "scale", "may_be_missing"),
        )
        if ("column" in keys) == ("columns" in keys):
            raise self.refuse(where, "either column or columns", list(keys))
        if "column" in keys:
            columns: tuple[str, ...] = (self.text(f"{where}, column", keys["column"]),)
        else:
            columns = self.texts(f"{where}, columns", keys["columns"])
        channels = keys.get("channels")
        if channels is not None and len(columns) > 1:
            raise self.refuse(where, "channels beside one column, an array of them", list(keys))
        missing = keys.get("may_be_missing", False)
        if not isinstance(missing, bool):
            raise self.refuse(f"{where}, may_be_missing", "true or false", missing)
        if missing and "file" not in keys:
            raise self.refuse(where, "may_be_missing beside a file of its own", list(keys))
        scale = keys.get("scale")
        return SignalEntry(
            columns,
            () if channels is None else self.texts(f"{where}, channels", channels),
            self.rate(where, kind, keys["rate"]),
            self.unit_of(where, kind, keys["unit"]),
            self.pattern(where, keys["file"]) if "file" in keys else "",
            None if scale is None else self.positive(f"{where}, scale", scale, "a factor above 0"),
            missing,
        )

    def rate(self, where: str, kind: str, value: object) -> float:
        expected = f"samples a second, above 0 and up to {FASTEST:g}"
        rate = self.positive(f"{where}, rate", value, expected, FASTEST)
        if kind in ("bvp", "ecg") and rate < SLOWEST_BEATS:
            raise self.refuse(
                f"{where}, rate", f"{SLOWEST_BEATS:g} Hz or more, as heart beats are looked for",
                value,
            )  # fmt: skip
        return rate

    def unit_of(self, where: str, kind: str, value: object) -> str:
        unit = self.text(f"{where}, unit", value)
        expected = UNITS.get(kind, unit)
        if unit != NO_UNIT and not same_quantity(unit, expected):
            raise self.refuse(
                f"{where}, unit",
                f"{expected}, a unit that can be converted to it, or {NO_UNIT} if it is not known; "
                "scale converts the numbers of the file, as in scale: 0.001",
                value,
            )
        return unit

    def pattern(self, where: str, value: object) -> str:
        pattern = self.inside(f"{where}, file", value)
        others = set(PLACEHOLDER.findall(pattern)) - set(PLACES)
        if others or set("{}") & set(PLACEHOLDER.sub("", pattern)):
            raise self.refuse(
                f"{where}, file", "a path with no other braces than {subject} and {session}", value
            )
        return pattern

    def tasks(
        self, value: object
    ) -> tuple[
        dict[str, dict[str, str]], dict[str, tuple[str, float, float]], dict[str, Task]
    ]:  # fmt: skip
        labels: dict[str, dict[str, str]] = {}
        ratings: dict[str, tuple[str, float, float]] = {}
        tasks: dict[str, Task] = {}
        entries = self.named("tasks", value)
        for name, entry in entries.items():
            where = f"task {name}"
            if isinstance(entry, dict) and "rating" in entry:
                ratings[name] = self.rating(where, entry)
            else:
                tasks[name], labels[name] = self.condition(where, name, entry)
        plane = RatingTask.plane if {*RatingTask.plane} <= {*ratings} else ()
        for name, (column, low, high) in ratings.items():
            source = f"{HEAD}: column {column}, from {low:g} to {high:g}"
            axes = plane if name in plane else (name,)
            tasks[name] = RatingTask(name, (low + high) / 2, source, axes)
        return labels, ratings, {name: tasks[name] for name in entries}

    def rating(self, where: str, value: object) -> tuple[str, float, float]:
        keys = self.keys(where, value, ("rating", "scale"))
        scale, expected = keys["scale"], "the lowest and the highest rating, as in [1, 9]"
        if not isinstance(scale, list) or len(scale) != 2:
            raise self.refuse(f"{where}, scale", expected, scale)
        low, high = (self.number(f"{where}, scale", end, expected) for end in scale)
        if not low < high:
            raise self.refuse(f"{where}, scale", expected, scale)
        return self.text(f"{where}, rating", keys["rating"]), low, high

    def condition(
        self, where: str, name: str, value: object
    ) -> tuple[ConditionTask, dict[str, str]]:
        keys = self.keys(where, value, ("classes", "labels"))
        classes = self.texts(f"{where}, classes", keys["classes"])
        if len(classes) < 2 or UNUSED in classes or not all(map(CLASS.fullmatch, classes)):
            raise self.refuse(
                f"{where}, classes",
                f"two or more of letters, digits and _, none of them {UNUSED}",
                keys["classes"],
            )
        given = keys["labels"]
        if not isinstance(given, dict):
            raise self.refuse(f"{where}, labels", "the class of each label", given)
        mapping: dict[str, str] = {}
        for label, of in given.items():
            if type(label) not in (str, int) or not str(label).strip():
                raise self.refuse(f"{where}, labels", "labels in quotes", label)
            if of not in (*classes, UNUSED):
                raise self.refuse(
                    f"{where}, label {label}", f"{', '.join(classes)} or {UNUSED}", of
                )
            mapping[str(label).strip()] = of
        lacking = [of for of in classes if of not in mapping.values()]
        if lacking:
            raise self.refuse(
                f"{where}, labels", f"a label of {' and of '.join(lacking)} too", given
            )
        indices = {label: classes.index(of) for label, of in mapping.items() if of != UNUSED}
        source = f"{HEAD}: labels of the table"
        return ConditionTask(name, classes, indices, source, LABEL), mapping
