"""Suite: a matrix of datasets, tasks, splits, models, pairs and seeds. It needs no torch."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

from benchmark.adapters.catalogue import ADAPTERS
from benchmark.encoders.files import Weights
from benchmark.errors import BenchmarkError
from benchmark.files import visible
from benchmark.plan.domain import Domain
from benchmark.plugins import load
from benchmark.probes.catalogue import PROBES, ProbeRecipe
from benchmark.probes.encoders import UNTRAINED
from benchmark.run import Value
from datamodules.calibration import MOST_LABELLED
from datamodules.catalogue import DATASETS
from datamodules.corruptions import CORRUPTIONS
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.flags import FLAGS, SHUFFLED, Flag, known_flags
from datamodules.protocol import Protocol
from datamodules.splits import SPLITS
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.recipe import RECIPES, Recipe

ALL, FOUND, DEFAULT = "all", "found", "default"
LABELLED_MINUTES = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Labelled minutes of each person that adapters are given unless a suite says otherwise."""
UNCALIBRATED = Protocol().calibration
SEEDS = 2**32
"""Seeds are smaller than this; numpy takes no others."""
SECONDS = (0.001, 86400.0)
"""Least and largest window and stride in seconds: a sample of the fastest signal, and a day."""


class SuiteError(BenchmarkError):
    """A suite, or a choice from it, that contradicts itself or names something unknown."""


@dataclass(frozen=True)
class Distillation:
    """A student, its teacher and the distiller; the keys of an entry of ``distillations``.

    Teacher and student are trained on windows of one length: the student's.

    Args:
        distiller: Catalogue key.
        student: Catalogue key of a model.
        teacher: Catalogue key of a model; empty where the distiller has none, or the student is its
            own teacher.
        student_signals: Signals that the student sees; empty: those that it prefers.
        teacher_signals: Signals that the teacher sees; empty: those that it prefers.
        arguments: Arguments of the distiller.
        out_of_fold: Number of teachers among whom the training subjects are dealt out, each to be
            answered for by one who has not seen them; 0: one teacher who has seen all.
        recipe: Values of the student's recipe, alone and taught.

    Raises:
        SuiteError: A name that is in no catalogue.
    """

    distiller: str
    student: str
    teacher: str = ""
    student_signals: tuple[str, ...] = ()
    teacher_signals: tuple[str, ...] = ()
    arguments: Mapping[str, Value] = field(default_factory=dict)
    out_of_fold: int = 0
    recipe: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known_names([self.distiller], DISTILLERS, "distiller")
        known_names([self.student, *([self.teacher] if self.teacher else [])], MODELS, "model")


@dataclass(frozen=True)
class Suite:
    """A matrix of runs; the keys of a YAML file are these fields, and those of the protocol.

    Args:
        name: Name of the file.
        datasets: Catalogue keys; ``found``: every dataset with a folder of its name.
        tasks: Names of tasks; ``all``: every task of each dataset; empty: the first of each.
        splits: Names of splits; ``default``: the first of each dataset.
        models: Catalogue keys of models and probes; ``all``: every one.
        seeds: Seeds; each run is done once a seed.
        subjects: Subjects who take part; empty: everybody.
        signals: Signals that models may choose from; empty: every signal of the dataset.
        recipe: Name of the models' own recipe: ``published``, or ``fast`` where there is one.
        budget: Number of candidates among which a study chooses values of each model and probe,
            fold by fold; each is run untuned too. 0: nothing is tuned.
        ensemble: Models and probes among which the members of an ensemble are chosen, fold by fold;
            ``all``: every one of the suite's that may win. Empty: there is no ensemble.
        options: Options of readers, by dataset.
        recipes: Changes to that recipe, by model.
        arguments: Arguments of models, by model: variants and switches of its constructor; of a
            probe, the arguments that its classifier declares.
        distillations: Students and their teachers, besides the models.
        adapters: Adapters that are given labelled minutes of each tested person, once for each
            model that is trained alone; empty: nobody is.
        labelled_minutes: Numbers of these minutes; each model is tested without any, too.
        protocol: Protocol of every run, but for the split. A number of folds holds for k-folds,
            unless the dataset's trials come in blocks of their own; a rule for tasks with ratings.
        flaws: Flaws to be measured, each a flag or several: the suite is run as it is, and once
            more under each. ``labels_from_all_ratings`` takes the rule ``median`` for both unless
            the suite has another than ``midpoint``.
        corruptions: Faults of recordings on which each trained model is tested besides, keys of
            ``datamodules.corruptions.CORRUPTIONS``; ``all``: all that the dataset can have.
        encoders: Weights of frozen encoders, by the name of the encoder.
        calibrations: What models are given of each person beforehand, one board each; see
            ``datamodules.calibration``.
        transfer: Domains of a transfer matrix: models are trained in each, on the people of its
            folds, and tested in all others as they are. Empty: there is no matrix.
        plugins: Plug-ins that the suite needs, which are loaded with it; see ``plugins.load``.
        parts: Fields and protocol values that replace those of the suite, part by part.

    Raises:
        SuiteError: A name that is in no catalogue, or values that contradict each other.
    """

    name: str
    datasets: tuple[str, ...] = (FOUND,)
    tasks: tuple[str, ...] = ()
    splits: tuple[str, ...] = (DEFAULT,)
    models: tuple[str, ...] = (ALL,)
    seeds: tuple[int, ...] = (0,)
    subjects: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    recipe: str = "published"
    budget: int = 0
    ensemble: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    distillations: tuple[Distillation, ...] = ()
    adapters: tuple[str, ...] = ()
    labelled_minutes: tuple[float, ...] = LABELLED_MINUTES
    protocol: Protocol = field(default_factory=Protocol)
    flaws: tuple[tuple[str, ...], ...] = ()
    corruptions: tuple[str, ...] = ()
    calibrations: tuple[str, ...] = (UNCALIBRATED,)
    encoders: Mapping[str, Weights] = field(default_factory=dict)
    transfer: tuple[Domain, ...] = ()
    plugins: tuple[str, ...] = ()
    parts: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        load(self.plugins)  # before names are checked, some of which are theirs
        where = f"suite {self.name}"
        tasks = {name for dataset in DATASETS.values() for name in dataset.every_task()}
        known_names(self.datasets, (*DATASETS, FOUND), f"{where}: dataset")
        known_names(self.tasks, (*sorted(tasks), ALL), f"{where}: task")
        trained = (name for name, split in SPLITS.items() if split.trains)
        known_names(self.splits, (*trained, DEFAULT), f"{where}: split")
        known_names(self.models, (*every_model(), ALL), f"{where}: model")
        known_names([self.recipe], RECIPES, f"{where}: recipe")
        known_names(self.ensemble, (*every_model(), ALL), f"{where}: member of the ensemble")
        if blind := [n for n in self.ensemble if n in PROBES and PROBES[n].blind]:
            raise SuiteError(
                f"{where}: expected members of the ensemble that may win, found {blind[0]}, a "
                "probe that should lose"
            )
        known_names(self.adapters, ADAPTERS, f"{where}: adapter")
        for minutes in self.labelled_minutes:
            if not 0 <= minutes <= MOST_LABELLED:
                raise SuiteError(
                    f"{where}: expected labelled minutes from 0 to {MOST_LABELLED:g}, after which "
                    f"the tested part begins, found {minutes:g}"
                )
        known_names(self.options, DATASETS, f"{where}: options of dataset")
        known_names(self.recipes, every_model(), f"{where}: recipe of model")
        known_names(self.arguments, every_model(), f"{where}: arguments of model")
        known_names(self.encoders, trained_encoders(), f"{where}: weights of encoder")
        known_names(self.corruptions, (*CORRUPTIONS, ALL), f"{where}: corruption")
        known_names([flag for flaw in self.flaws for flag in flaw], FLAGS, f"{where}: flaw")
        for model, changes in self.recipes.items():
            kind = ProbeRecipe if model in PROBES else Recipe
            known_names(
                changes, [f.name for f in fields(kind) if f.compare], f"{where}: recipe of {model}:"
            )
            _check_seconds(changes, f"{where}: recipe of {model}")
        for pair in self.distillations:
            names = [f.name for f in fields(Recipe) if f.compare]
            known_names(
                pair.recipe, names, f"{where}: recipe of {pair.student} by {pair.distiller}:"
            )
            _check_seconds(pair.recipe, f"{where}: recipe of {pair.student} by {pair.distiller}")
        for required in ("datasets", "splits", "models", "seeds", "calibrations"):
            if not getattr(self, required) and (required != "models" or not self.distillations):
                raise SuiteError(f"{where}: expected at least one of {required}, found none")
        if self.budget < 0 or self.budget == 1:
            raise SuiteError(
                f"{where}: expected budget to be 0, or at least 2 candidates, the first of which "
                f"is the recipe as it is, found {self.budget}"
            )
        for seed in self.seeds:
            if not 0 <= seed < SEEDS:
                raise SuiteError(f"{where}: expected seeds from 0 to {SEEDS - 1}, found {seed}")
        if self.transfer:
            self._check_transfer()
        for arm in self.arms() if self.flaws or self.parts else [self]:
            arm.check_protocol()

    def _check_transfer(self) -> None:
        """Refuse domains that are not known, and what a transfer matrix does not go together with.

        Raises:
            SuiteError: Naming what is wrong.
        """
        where = f"suite {self.name}"
        datasets = [domain.dataset for domain in self.transfer]
        known_names(datasets, (*DATASETS, FOUND), f"{where}: dataset of transfer")
        if not self.tasks or ALL in self.tasks:
            raise SuiteError(
                f"{where}: expected the tasks of a transfer matrix by their names, found "
                f"{', '.join(self.tasks) or 'none'}"
            )
        names = ("distillations", "flaws", "parts", "ensemble", "budget", "adapters", "corruptions")
        besides = [name for name in names if getattr(self, name)]
        besides += ["calibrations"] if self.calibrations != (UNCALIBRATED,) else []
        if besides:
            raise SuiteError(
                f"{where}: a transfer matrix tests models that are trained alone: expected none of "
                f"{', '.join(names)} and calibrations, found {', '.join(besides)}"
            )

    def check_protocol(self) -> None:
        """Refuse a protocol under which a board would not be what it says.

        Raises:
            SuiteError: Values that contradict each other.
        """
        where, protocol = f"suite {self.name}", self.protocol
        if any(pair.out_of_fold for pair in self.distillations) and protocol.shuffled:
            raise SuiteError(
                f"{where}: out-of-fold teachers are dealt out by subject: expected none of "
                f"{' and '.join(SHUFFLED)}, which deal out anew"
            )
        if protocol.padding and not protocol.mask and "pad_reveals_length" not in protocol.flags:
            raise SuiteError(
                f"{where}: padding without a mask tells how long a trial is: add mask: true, or "
                "the protocol flag pad_reveals_length"
            )
        if protocol.score_windows and not protocol.flags:
            raise SuiteError(
                f"{where}: score_windows: models of a ranked board share their units; expected "
                "protocol flags beside it, found none"
            )
        if protocol.corruption:
            raise SuiteError(
                f"{where}: models are trained on recordings as they are: expected "
                f"{protocol.corruption} among corruptions, found it in the protocol"
            )
        for split in self.splits:
            if split != DEFAULT:
                self.protocol_of(split)
        for split, calibration in product(self.splits, self.calibrations):
            split = self.protocol.split if split == DEFAULT else split
            if self.protocol_of(split, calibration).calibrating.kind == "labelled":
                raise SuiteError(
                    f"{where}: calibration {calibration}: labelled minutes are given to adapters, "
                    f"which change models that were trained without them: expected adapters among "
                    f"{', '.join(ADAPTERS)} and labelled_minutes in its place"
                )

    def protocol_of(self, split: str, calibration: str = UNCALIBRATED) -> Protocol:
        """Return the protocol with a split; SuiteError where they do not go together."""
        try:
            return replace(self.protocol, split=split, calibration=calibration)
        except IncompatibleRunError as error:
            raise SuiteError(f"suite {self.name}: {error}") from error

    def arms(self) -> Iterator[Self]:
        """Yield the suite as it is, then with each of its flaws, for each of its parts.

        Before a flaw comes the suite with what the flaw needs beside it.
        """
        if not self.parts:
            yield from self._arms()
        for part in self.parts:
            yield from self._with({"parts": (), **part})._arms()

    def _with(self, values: Mapping[str, Any]) -> Self:
        """Return the suite with other values of its fields and of its protocol."""
        names = {f.name for f in fields(Protocol)}
        protocol = {name: value for name, value in values.items() if name in names}
        rest = {name: value for name, value in values.items() if name not in names}
        return replace(self, **rest, protocol=with_values(self.protocol, protocol, self.name))

    def _arms(self) -> Iterator[Self]:
        plain = replace(self, flaws=())
        yield plain
        for flaw in self.flaws:
            arm = plain
            if "labels_from_all_ratings" in flaw and self.protocol.rule == "midpoint":
                arm = plain._with({"rule": "median"})
                yield arm
            masked = {"mask": False} if "pad_reveals_length" in flaw else {}
            yield arm._with({**masked, "flags": (*self.protocol.flags, *flaw)})

    def with_protocol(self, **values: Any) -> Self:
        """Return the suite with other values of its protocol.

        Raises:
            SuiteError: Values that contradict each other.
        """
        return self._with(values)

    def with_max_epochs(self, epochs: int) -> Self:
        """Return the suite with at most so many epochs for every model, as changes to recipes."""

        def limited(recipes: Mapping[str, Mapping[str, Value]]) -> dict[str, Any]:
            few = {model: {**recipes.get(model, {}), "max_epochs": epochs} for model in MODELS}
            return {**recipes, **few}

        parts = tuple(
            {**part, "recipes": limited(part["recipes"])} if "recipes" in part else part
            for part in self.parts
        )
        return replace(self, recipes=limited(self.recipes), parts=parts)

    def with_option(self, dataset: str, option: str, value: Value) -> Self:
        """Return the suite with one option of a dataset's reader changed."""
        options = {**self.options, dataset: {**self.options.get(dataset, {}), option: value}}
        return replace(self, options=options)

    def with_encoders(self, encoders: Mapping[str, Weights]) -> Self:
        """Return the suite with weights of more encoders, in the place of those that it has.

        Their rows are added where a suite names its models one by one, and those of the same
        networks with random weights.
        """

        def added(models: Sequence[str]) -> tuple[str, ...]:
            rows = [row for name in encoders for row in (name, name + UNTRAINED)]
            return tuple(models) if ALL in models else tuple(dict.fromkeys([*models, *rows]))

        known_names(encoders, trained_encoders(), f"suite {self.name}: weights of encoder")
        parts = tuple(
            {**part, "models": added(part["models"])} if "models" in part else part
            for part in self.parts
        )
        encoders = {**self.encoders, **encoders}
        return replace(self, encoders=encoders, models=added(self.models), parts=parts)

    def dataset_names(self, data: Path) -> tuple[str, ...]:
        """Return the datasets of the suite; ``found`` looks into a folder.

        Raises:
            SuiteError: There is none in the folder.
        """
        if FOUND not in self.datasets:
            return self.datasets
        folders = {path.name.casefold() for path in visible(data) if path.is_dir()}
        names = tuple(name for name in DATASETS if name in folders)
        if not names:
            expected = [name for name, dataset in DATASETS.items() if dataset.has_files]
            raise SuiteError(
                f"no dataset in {str(data)!r}: expected a folder named {', '.join(expected)}. "
                "Point --data at the folder that holds them, or run the suite quick, which needs "
                "none."
            )
        return names


def every_model() -> tuple[str, ...]:
    """Return the names of all models and probes, those of plug-ins among them."""
    return (*MODELS, *PROBES)


def trained_encoders() -> tuple[str, ...]:
    """Return the names of all encoders that take weights, those of plug-ins among them."""
    return tuple(name for name, probe in PROBES.items() if probe.encoder and probe.pretrained)


def with_values(protocol: Protocol, values: Mapping[str, Any], suite: str) -> Protocol:
    """Return a protocol with other values; a flag about padding pads with zeros unless said.

    Raises:
        SuiteError: Values that contradict each other.
    """
    values = dict(values)
    try:
        if "flags" in values:
            values["flags"] = flags = known_flags(values["flags"])
            if _pads(flags) and not values.get("padding", protocol.padding):
                values["padding"] = "zero"
        return replace(protocol, **values)
    except IncompatibleRunError as error:
        raise SuiteError(f"suite {suite}: {error}") from error


def _check_seconds(recipe: Mapping[str, Value], subject: str) -> None:
    """Raise SuiteError for windows or strides that no recording has."""
    least, largest = SECONDS
    for name in ("window", "stride"):
        value = recipe.get(name, least)
        if isinstance(value, int | float) and value > 0 and not least <= value <= largest:
            raise SuiteError(
                f"{subject}: expected {name} from {least:g} to {largest:g} seconds, found {value:g}"
            )


def _pads(flags: tuple[Flag, ...]) -> bool:
    return "pad_reveals_length" in flags


def reader_options(dataset: Dataset, options: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    """Return the options that differ from the reader's defaults, sorted by name.

    Raises:
        SuiteError: An option that the reader has not, or a value of another type than its default.
    """
    reader: Any = dataset.reader
    defaults = {f.name: f.default for f in fields(reader) if f.name != "root"}
    known_names(options, defaults, f"{dataset.title}: option")
    values = {name: as_its_default(defaults[name], value) for name, value in options.items()}
    for name, value in values.items():
        if type(value) is not type(defaults[name]):
            raise SuiteError(
                f"{dataset.title}: expected {name} to be of type {type(defaults[name]).__name__}, "
                f"as in {defaults[name]!r}, found {value!r}"
            )
    return tuple(sorted((k, v) for k, v in values.items() if v != defaults[k]))


def known_names(names: Iterable[str], choices: Iterable[str], subject: str) -> None:
    """Raise SuiteError for the first name that is not known, with the nearest that is."""
    expected = list(choices)
    for name in names:
        if name not in expected:
            near = difflib.get_close_matches(str(name), expected, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SuiteError(
                f"{subject} {name!r} is not known: expected {', '.join(expected) or 'none'}{hint}"
            )


def as_its_default(default: object, value: Value) -> Value:
    """Return a value as its default is written: 1 and 1.0 are the same work."""
    return float(value) if type(default) is float and type(value) is int else value
