"""Run and Result: what is asked, and what came out. Names and numbers only, no live objects."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

PROTOCOL = 1
"""Version of everything that decides a number; boards never mix versions."""

Value = str | int | float | bool | None


class BenchmarkError(Exception):
    """What the caller can mend; the command line prints it without a traceback."""

    for_user = True


@dataclass(frozen=True)
class Run:
    """One training and one test.

    Args:
        dataset: Catalogue key.
        task: Name of one of the dataset's tasks.
        split: Name of the split.
        fold: Number of the fold, from 0.
        seed: Of initial weights, validation subjects and shuffling.
        model: Catalogue key of a model or a probe.
        signals: What the model sees.
        subjects: Everybody who takes part, in the dataset's order.
        data: Digest of the prepared recordings of these subjects.
        folds: Folds of ``subject_k_fold``.
        options: Options of the dataset's reader that differ from its defaults, sorted by name.
        recipe: Every value of the recipe, sorted by name, so that a changed default is other work.
        kind: Which of the model's own recipes it starts from, ``"published"`` or ``"fast"``.
        changed: Names of the values that differ from that recipe.
        protocol: Version of the protocol.
    """

    dataset: str
    task: str
    split: str
    fold: int
    seed: int
    model: str
    signals: tuple[str, ...]
    subjects: tuple[str, ...]
    data: str
    folds: int = 5
    options: tuple[tuple[str, Value], ...] = ()
    recipe: tuple[tuple[str, Value], ...] = ()
    kind: str = "published"
    changed: tuple[str, ...] = ()
    protocol: int = PROTOCOL

    @property
    def id(self) -> str:
        """Digest of what the run is: equal ids mean equal work.

        A field at its default does not count, so that a field added later changes no id; only the
        protocol version always does.
        """
        asked = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name == "protocol" or getattr(self, f.name) != f.default
        }
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def board(self) -> str:
        """Name of the leaderboard it belongs to.

        Options of the dataset and the number of folds make boards of their own; runs on other
        recordings or subjects under the same name are kept apart when boards are built.
        """
        parts = [self.dataset, *(f"{name}_{value:g}" for name, value in self._board_options())]
        split = self.split
        if self.split == "subject_k_fold":
            split = split.replace("_k_", f"_{self.folds}_")
        return "__".join(["_".join(parts), self.task, split])

    @property
    def folder(self) -> str:
        """Path of its results inside a store."""
        return f"{self.board}/{self.model}/{self.fold}-{self.seed}-{self.id}"

    @property
    def label(self) -> str:
        """How a person would call it."""
        return f"{self.board} {self.model} fold {self.fold} seed {self.seed}"

    @property
    def recipe_label(self) -> str:
        """Which of the model's own recipes, and what the suite changed of it."""
        values = dict(self.recipe)
        return " ".join([self.kind, *(f"{name}={values[name]}" for name in self.changed)])

    def _board_options(self) -> list[tuple[str, float]]:
        return [(name, float(value)) for name, value in self.options if value is not None]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The run that ``as_dict`` described."""
        return cls(**{name: _as_tuple(value) for name, value in values.items()})


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Result:
    """What came out of a run.

    Args:
        run: What was asked.
        status: ``"done"`` or ``"failed"``.
        scores: Scores over the score units of each test subject, by subject.
        n_units: Number of score units of each test subject.
        units: Digest of all test units and their labels, by subject; models of one board agree.
        confusion: Counts of units of each test subject, true class by predicted class.
        parameters: Learnable values; for a forest, its nodes; 0 where there are none.
        seconds: Wall time of ``prepare``, ``train`` and ``predict``.
        peak_memory: Of the process or, on a GPU, of the device, in bytes.
        epochs: Epochs trained, and the one that counts, from 1; None for a probe.
        device: What it ran on.
        threads: Threads that torch was allowed.
        versions: Of Python and the packages that numbers depend on.
        commit: Of this project, with ``+`` for uncommitted changes; empty outside a checkout.
        raw: Digest of the raw files of all subjects.
        notes: What a reader of the board must know.
        error: One line; empty if done.
        traceback: Empty if done.
    """

    run: Run
    status: Literal["done", "failed"]
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    n_units: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    confusion: Mapping[str, list[list[int]]] = field(default_factory=dict)
    parameters: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    epochs: tuple[int, int] | None = None
    device: str = ""
    threads: int = 1
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    raw: str = ""
    notes: tuple[str, ...] = ()
    error: str = ""
    traceback: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**dataclasses.asdict(self), "run": self.run.as_dict(), "id": self.run.id}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The result that ``as_dict`` described."""
        known = {f.name: values[f.name] for f in dataclasses.fields(cls) if f.name in values}
        known["run"] = Run.from_dict(values["run"])
        known["notes"] = tuple(known["notes"])
        known["epochs"] = tuple(known["epochs"]) if known["epochs"] else None
        return cls(**known)
