"""Run: one training and one test. Names and numbers only, no live objects."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

PROTOCOL = 1
"""Version of everything that decides a number; boards never mix versions."""

WITHIN_SUBJECT = ("trial_k_fold", "session_out")
"""Splits that train and test on the same subject, one subject a fold, as in datamodules.splits."""

TEST_SHARE = 0.2
"""Share that a hold-out tests on unless a suite says otherwise, as in datamodules.splits."""

Value = str | int | float | bool | None


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
        folds: Folds of a k-fold; number of sessions for ``session_out``.
        options: Options of the dataset's reader that differ from its defaults, sorted by name.
        recipe: Every value of the recipe, sorted by name, so that a changed default is other work.
        kind: Which of the model's own recipes it starts from, ``"published"`` or ``"fast"``.
        changed: Names of the values that differ from that recipe.
        arguments: Arguments of the model that differ from its defaults, sorted by name.
        rule: Where the threshold between low and high ratings is.
        padding: What whole trials are filled up with; None: windows are cut.
        mask: Whether the model is told how much of a trial is padding.
        distiller: Catalogue key of what trains the model; empty: it is trained alone.
        distillation: Arguments of the distiller that differ from its defaults, sorted by name.
        teachers: Runs of the same fold, seed and subjects that it learns from; several of them
            answer each for the training subjects that it has not seen.
        without: Subjects that are not trained on.
        alone: Id of the run of the same student without a teacher.
        flags: Flaws of a published protocol, in the order of datamodules.protocol; none: the honest
            protocol, the only one that is ranked.
        test_share: Share that ``subject_hold_out`` tests on.
        validation: Whether somebody is kept apart to choose the epoch.
        score_windows: Whether each window is scored by itself, and not the mean over a score unit.
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
    arguments: tuple[tuple[str, Value], ...] = ()
    rule: str = "midpoint"
    padding: str | None = None
    mask: bool = False
    distiller: str = ""
    distillation: tuple[tuple[str, Value], ...] = ()
    teachers: tuple["Run", ...] = ()
    without: tuple[str, ...] = ()
    alone: str = ""
    flags: tuple[str, ...] = ()
    test_share: float = TEST_SHARE
    validation: bool = True
    score_windows: bool = False
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
        if self.teachers:
            asked["teachers"] = [teacher.id for teacher in self.teachers]
        text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def board(self) -> str:
        """Name of the leaderboard it belongs to.

        Options of the dataset, the number of folds, another label rule, padded trials, protocol
        flags and the other switches of published protocols make boards of their own; runs on other
        recordings or subjects under the same name are kept apart when boards are built.
        """
        dataset = [self.dataset, *(f"{name}_{_plain(value)}" for name, value in self.options)]
        task = [self.task, *([self.rule] if self.rule != "midpoint" else [])]
        if self.padding:
            task += [f"{self.padding}_padded", *(["masked"] if self.mask else [])]
        split = self.split.replace("_k_", f"_{self.folds}_")
        if self.test_share != TEST_SHARE:
            split += f"_of_{_plain(self.test_share)}"
        split += "" if self.validation else "_without_validation"
        split += "_by_window" if self.score_windows else ""
        flawed = [f"with_{'_and_'.join(self.flags)}"] if self.flags else []
        return "__".join(["_".join(dataset), "_".join(task), split, *flawed])

    @property
    def n_folds(self) -> int:
        """Folds that test everybody once, as in datamodules.splits, without importing torch."""
        if self.split in WITHIN_SUBJECT:
            return len(self.subjects) * self.folds
        whole = {"subject_hold_out": 1, "leave_one_subject_out": len(self.subjects)}
        return whole.get(self.split, self.folds)

    @property
    def name(self) -> str:
        """The model, and what taught it, as on a row of a board."""
        taught = [f"by_{self.distiller}"] if self.distiller else []
        return "-".join([self.model, *taught, *(f"of_{t.model}" for t in self.teachers[:1])])

    @property
    def folder(self) -> str:
        """Path of its results inside a store."""
        return f"{self.board}/{self.name}/{self.fold}-{self.seed}-{self.id}"

    @property
    def label(self) -> str:
        """How a person would call it."""
        return f"{self.board} {self.name} fold {self.fold} seed {self.seed}"

    @property
    def recipe_label(self) -> str:
        """Which of the model's own recipes, and what the suite changed of it and of the model."""
        recipe = dict(self.recipe)
        changed = [*self.arguments, *self.distillation, *((n, recipe[n]) for n in self.changed)]
        return " ".join([self.kind, *(f"{name}={value}" for name, value in changed)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The run that ``as_dict`` described."""
        teachers = tuple(cls.from_dict(teacher) for teacher in values.get("teachers", ()))
        known = {name: _as_tuple(value) for name, value in values.items()}
        return cls(**{**known, "teachers": teachers})


def _plain(value: Value) -> str:
    """A value as part of a file name; True is 1."""
    return f"{float(value):g}" if isinstance(value, int | float) else str(value)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list | tuple) else value
