"""Run: one training and one test. Names and numbers only, no live objects, no torch."""

import dataclasses
import hashlib
import json
import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from typing import Any, Self, cast

from benchmark.probes.catalogue import ProbeRecipe
from benchmark.typed import Value as Value
from benchmark.typed import check_fields
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import Protocol
from datamodules.signals.units import Brought
from datamodules.splits import HOLD_OUT_SHARE
from lightning_modules.recipe import Recipe

Arguments = tuple[tuple[str, Value], ...]
"""Arguments that differ from their defaults, sorted by name."""
INNER = "tuning"
"""Folder, inside a store, of the inner runs of studies."""
PLACE = ("fold", "seed")
"""Fields in which the runs of a row differ, apart from what a study chose and other runs."""
OTHERS = {"teachers": "teacher", "members": "member", "trained": "trained run"}
"""Fields of a run that hold other runs, and what one of these is called; they count by their ids.
"""
PART = re.compile(r"\w[\w.,+=@ -]{0,239}")
"""Name of a file or a folder: no path, nothing hidden, and no longer than file systems allow."""


@dataclass(frozen=True)
class Run:
    """One training and one test.

    Args:
        dataset: Catalogue key.
        task: Name of one of the dataset's tasks.
        protocol: Who is trained on and tested, and how it is scored.
        fold: Number of the fold, from 0.
        seed: Seed of initial weights, validation subjects and shuffling.
        model: Catalogue key of a model or a probe.
        signals: Names of the signals that the model sees.
        subjects: Everybody who takes part, in the dataset's order.
        data: Digest of the recordings of these subjects, without the samples of their signals.
        options: Options of the dataset's reader that differ from its defaults.
        recipe: Recipe of the model, with all its values.
        kind: Name of the model's own recipe that it starts from, ``"published"`` or ``"fast"``.
        changed: Names of the values that differ from that recipe.
        arguments: Arguments of the model or the probe that differ from its defaults.
        distiller: Catalogue key of the distiller that trains the model; empty: it is trained alone.
        distillation: Arguments of the distiller that differ from its defaults.
        teachers: Runs of the same fold, seed and subjects that it learns from; each of several
            answers for the training subjects that it has not seen.
        without: Subjects that are not trained on.
        alone: Id of the run of the same student without a teacher.
        code: Digest of the code that defines the model, and the distiller; see benchmark.code.
        window: Length of a window in seconds where it is longer than a score unit, as far as the
            recordings allow what the recipe asks for; 0: a unit caps it.
        budget: Number of candidates that a study had for the values named in ``tuned``; 0: there
            was no study.
        tuned: Names of the values of the recipe, and of the arguments, that a study chooses.
        chosen_by: Ids of the inner runs of that study, candidate by candidate; the first is that
            of the values which the run would have without a study.
        inner: Whether it is an inner run of a study: its scores choose values for another run, and
            it is on no board.
        samples: Digest of the prepared samples of its signals, of these subjects; empty: it sees
            none.
        members: Runs of the same fold, seed and subjects among which an ensemble was chosen.
        weights: Number of times that each of them was taken: its share in the mean of their
            probabilities.
        pretrained: Digest of the file of an encoder's weights; empty: none are read.
        pretrained_on: Names of the datasets that these weights were trained on.
        trained: The run whose model is tested, as it was kept, in place of one that is trained;
            empty: it trains a model of its own.
        adapter: Catalogue key of the adapter that makes another model of that of the trained run
            for each tested person, from labelled minutes of theirs; empty: it is tested as it is.
        brought: Measured signals that are brought to the rate or the unit that all domains of a
            transfer matrix share; empty: all are as on the dataset's own board.
    """

    dataset: str
    task: str
    protocol: Protocol
    fold: int
    seed: int
    model: str
    signals: tuple[str, ...]
    subjects: tuple[str, ...]
    data: str
    options: Arguments = ()
    recipe: Recipe | ProbeRecipe = field(default_factory=ProbeRecipe)
    kind: str = "published"
    changed: tuple[str, ...] = ()
    arguments: Arguments = ()
    distiller: str = ""
    distillation: Arguments = ()
    teachers: tuple["Run", ...] = ()
    without: tuple[str, ...] = ()
    alone: str = ""
    code: str = ""
    window: float = 0.0
    budget: int = 0
    tuned: tuple[str, ...] = ()
    chosen_by: tuple[str, ...] = ()
    inner: bool = False
    samples: str = ""
    members: tuple["Run", ...] = ()
    weights: tuple[int, ...] = ()
    pretrained: str = ""
    pretrained_on: tuple[str, ...] = ()
    trained: tuple["Run", ...] = ()
    adapter: str = ""
    brought: Brought = ()

    @cached_property
    def id(self) -> str:
        """Digest of everything that decides the result: equal ids mean equal work.

        A value at its default is left out, of the run, its protocol and its recipe alike, so that a
        field that comes later changes no id; only the protocol's version always counts. So the
        defaults themselves are part of all ids, and must never change.
        """
        values = _not_default(self)
        values["protocol"] = {**_not_default(self.protocol), "version": self.protocol.version}
        values["recipe"] = _not_default(self.recipe)
        for name in OTHERS:
            if others := getattr(self, name):
                values[name] = [other.id for other in others]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @cached_property
    def board(self) -> str:
        """Name of the leaderboard it belongs to.

        Options of the dataset and everything in the protocol that is not the default make boards of
        their own; runs on other recordings or subjects under the same name are kept apart when
        boards are built.

        Raises:
            IncompatibleRunError: It cannot be the name of a file.
        """
        protocol = self.protocol
        task = [self.task, *([protocol.rule] if protocol.rule != "midpoint" else [])]
        if protocol.padding:
            task += [f"{protocol.padding}_padded", *(["masked"] if protocol.mask else [])]
        split = protocol.slug
        if protocol.test_share != HOLD_OUT_SHARE:
            split += f"_of_{_plain(protocol.test_share)}"
        split += "" if protocol.validation else "_without_validation"
        split += "_by_window" if protocol.score_windows else ""
        if self.trained and not protocol.splitting.trains:
            split += f"_of_{self.trained[0].domain}"
        flawed = [f"with_{'_and_'.join(protocol.flags)}"] if protocol.flags else []
        disturbed = [f"tested_with_{protocol.corruption}"] if protocol.corruption else []
        calibrated = [protocol.calibrating.slug] if protocol.calibrating else []
        inner = [INNER] if self.inner else []
        parts = [self.domain, "_".join(task), split, *calibrated, *flawed, *disturbed, *inner]
        return path_part("__".join(parts))

    @property
    def domain(self) -> str:
        """Dataset, the options of its reader and the form of its signals, as in names of boards."""
        options = (f"{name}_{_plain(value)}" for name, value in self.options)
        forms = (form.replace(" ", "_").replace("/", "_per_") for form in self.forms)
        return "_".join([self.dataset, *options, *forms])

    @property
    def forms(self) -> tuple[str, ...]:
        """Signals that are brought to another rate or unit, and to which, in words."""
        return tuple(
            " ".join([name, *([f"at {rate:g} Hz"] if rate else []), *([f"in {u}"] if u else [])])
            for name, rate, u in self.brought
        )

    @property
    def n_folds(self) -> int:
        """Number of folds that test everybody once."""
        return self.protocol.n_folds(len(self.subjects))

    @cached_property
    def name(self) -> str:
        """Model and teacher, as on a row of a board; a tuned model has a row of its own.

        Raises:
            IncompatibleRunError: It cannot be the name of a folder.
        """
        tuned = ["tuned"] if self.budget else []
        taught = [f"by_{self.distiller}"] if self.distiller else []
        teacher = [f"of_{t.model}" for t in self.teachers[:1]]
        adapted = [f"adapted_by_{self.adapter}"] if self.adapter else []
        return path_part("-".join([self.model, *tuned, *taught, *teacher, *adapted]))

    @property
    def folder(self) -> str:
        """Path of its results inside a store; those of inner runs stand apart."""
        apart = f"{INNER}/" if self.inner else ""
        return f"{apart}{self.board}/{self.name}/{self.fold}-{self.seed}-{self.id}"

    @property
    def label(self) -> str:
        """Words for messages and logs."""
        return f"{self.board} {self.name} fold {self.fold} seed {self.seed}"

    @property
    def recipe_label(self) -> str:
        """Name of the model's own recipe, and everything that the suite or a study changed."""
        changed = [
            *self.arguments,
            *self.distillation,
            *((name, getattr(self.recipe, name)) for name in self.changed),
        ]
        tuned = [f"tuned budget={self.budget}"] if self.budget else []
        members = ", ".join(f"{member.name} {member.recipe_label}" for member in self.members)
        names = [f"of {members}"] if members else []
        values = [f"{name}={value}" for name, value in changed]
        weights = [f"weights={self.pretrained}"] if self.pretrained else []
        return " ".join([self.kind, *tuned, *weights, *names, *values])

    @property
    def taken(self) -> dict["Run", int]:
        """The members that an ensemble consists of, each with its weight."""
        pairs = zip(self.members, self.weights, strict=True) if self.weights else ()
        return {member: weight for member, weight in pairs if weight}

    @property
    def needs(self) -> tuple["Run", ...]:
        """Runs that must be done before it can be."""
        return self.trained or (*self.teachers, *self.taken)

    @property
    def untuned(self) -> Self:
        """The run without what its study chose, which is equal in no two folds."""
        if not (self.tuned or self.members):
            return self
        return dataclasses.replace(self.without_values(self.tuned), chosen_by=(), weights=())

    def with_others(self, change: Callable[["Run"], "Run"]) -> Self:
        """Return the run with other teachers, members and trained run: each of them changed."""
        if not (self.teachers or self.members or self.trained):
            return self
        return dataclasses.replace(
            self,
            teachers=tuple(map(change, self.teachers)),
            members=tuple(map(change, self.members)),
            trained=tuple(map(change, self.trained)),
        )

    def without_values(self, names: Collection[str]) -> Self:
        """Return the run with the defaults of ``Recipe`` or of the model in place of some values.

        Args:
            names: Names of values of the recipe and of arguments.
        """
        if not names:
            return self
        recipe = {f.name: _default(f) for f in dataclasses.fields(self.recipe) if f.name in names}
        return dataclasses.replace(
            self,
            recipe=dataclasses.replace(self.recipe, **recipe),
            changed=tuple(name for name in self.changed if name not in names),
            arguments=tuple((name, v) for name, v in self.arguments if name not in names),
            chosen_by=(),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the run that ``as_dict`` described.

        Raises:
            IncompatibleRunError: Names and values that this version does not know, or that cannot
                be part of a path.
            KeyError, TypeError, ValueError: No description of a run.
        """
        fold, seed = (_count(name, values[name]) for name in PLACE)
        rest = {name: value for name, value in values.items() if name not in PLACE}
        kind: Any = cls
        return dataclasses.replace(cast(Self, _run(kind, json.dumps(rest))), fold=fold, seed=seed)


@lru_cache(maxsize=1024)
def _run(kind: type[Run], text: str) -> Run:
    """Return the run of fold and seed 0 of some JSON without these; folds of a row share it."""
    values = json.loads(text)
    _check_names(kind, values)
    fields = {name: _as_tuple(value) for name, value in values.items()}
    fields["protocol"] = _protocol(json.dumps(values["protocol"]))
    fields["recipe"] = _recipe(json.dumps(values["recipe"]))
    for name in OTHERS:
        fields[name] = tuple(kind.from_dict(other) for other in values.get(name, ()))
    run = kind(**fields, fold=0, seed=0)
    check_fields(run)
    _count("budget", run.budget)
    several = len(run.weights) not in (0, len(run.members))
    if several or min(run.weights, default=0) < 0:
        raise ValueError(
            f"expected a weight of 0 or more for each of {len(run.members)} members, found "
            f"{run.weights}"
        )
    if len(run.trained) > 1:
        raise ValueError(f"expected one trained run or none, found {len(run.trained)}")
    if min((rate for _, rate, _ in run.brought), default=0.0) < 0:
        raise ValueError(f"expected rates of 0 or more, found {run.brought}")
    if run.adapter and not run.trained:
        raise ValueError(f"expected a trained run for the adapter {run.adapter}, found none")
    digests = (run.data, run.samples, run.code, run.alone, run.pretrained)
    for text_of_path in (run.board, run.name, *filter(None, digests)):
        path_part(text_of_path)
    return run


def _count(name: str, value: object) -> int:
    """Return a value of a run that counts something, from 0 up."""
    if type(value) is not int:
        raise TypeError(f"expected {name} to be int, found {reprlib.repr(value)}")
    if value < 0:
        raise ValueError(f"expected {name} to be 0 or more, found {value}")
    return value


@lru_cache(maxsize=1024)
def _protocol(text: str) -> Protocol:
    """Return the protocol of some JSON; thousands of runs of a store share one."""
    values = json.loads(text)
    _check_names(Protocol, values)
    protocol = Protocol.from_dict(values)
    check_fields(protocol)
    return protocol


@lru_cache(maxsize=1024)
def _recipe(text: str) -> Recipe | ProbeRecipe:
    """Return the recipe of some JSON, likewise."""
    values = {name: _as_tuple(value) for name, value in json.loads(text).items()}
    kind = Recipe if "source" in values else ProbeRecipe
    _check_names(kind, values)
    recipe = kind(**values)
    check_fields(recipe)
    return recipe


def _check_names(kind: type[Any], values: Mapping[str, Any]) -> None:
    """Refuse values that a dataclass has no field for; raises IncompatibleRunError."""
    names = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - names):
        raise IncompatibleRunError(f"no {', '.join(unknown)} in {kind.__name__}")


def path_part(text: str) -> str:
    """Return a text that is to be the name of a file or a folder.

    Raises:
        IncompatibleRunError: It cannot be one.
    """
    if not PART.fullmatch(text):
        raise IncompatibleRunError(
            f"expected letters, digits and .,+=@_- in the name of a file or a folder, 240 at most, "
            f"found {reprlib.repr(text)}"
        )
    return text


def _not_default(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that decide something and differ from their defaults."""
    kind: Any = type(value)
    values = ((name, getattr(value, name), default) for name, default in _defaults(kind))
    return {name: content for name, content, default in values if content != default}


@cache
def _defaults(kind: type[Any]) -> tuple[tuple[str, object], ...]:
    """Return the fields of a dataclass that decide something, and their defaults."""
    fields = dataclasses.fields(kind)
    return tuple((field.name, _default(field)) for field in fields if field.compare)


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _plain(value: Value) -> str:
    """Return a value as part of a file name; True is 1."""
    return f"{float(value):g}" if isinstance(value, int | float) else str(value)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list | tuple) else value
