"""Suite: a matrix of datasets, tasks, splits, models and seeds, and the runs that it means."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from benchmark.probes import PROBES, Probe
from benchmark.run import BenchmarkError, Run, Value
from datamodules import DATAMODULES
from datamodules.base import EmotionDataModule
from datamodules.errors import IncompatibleRunError
from datamodules.splits import SPLITS, n_folds
from lightning_modules import MODELS
from lightning_modules.base import EmotionClassifier

SUITES = Path(__file__).parent / "suites"
EVERY_MODEL = (*MODELS, *PROBES)
ALL, FOUND = "all", "found"
SEEDS = 2**32
"""Seeds are smaller than this; numpy takes no others."""
RECIPES = ("published", "fast")
OPEN = ("subjects", "signals", "seeds", "splits")
"""Fields that the command line may set to what the suite does not name."""


class SuiteError(BenchmarkError):
    """A suite, or a choice from it, that cannot be meant."""


@dataclass(frozen=True)
class Suite:
    """What to run; the keys of a YAML file are these fields.

    Args:
        name: Of the file.
        datasets: Catalogue keys; ``found``: every dataset with a folder of its name.
        tasks: Names of tasks; ``all``: every task of each dataset; empty: the first of each.
        splits: Names of splits.
        models: Catalogue keys of models and probes; ``all``: every one.
        seeds: Each run is done once a seed.
        folds: Of ``subject_k_fold``.
        subjects: Who takes part; empty: everybody.
        signals: What models may choose from; empty: every signal of the dataset.
        recipe: Which of the models' own recipes: ``published``, or ``fast`` where there is one.
        options: Options of readers, by dataset.
        recipes: Changes to that recipe, by model.

    Raises:
        SuiteError: A name that is in no catalogue.
    """

    name: str
    datasets: tuple[str, ...] = (FOUND,)
    tasks: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("leave_one_subject_out",)
    models: tuple[str, ...] = (ALL,)
    seeds: tuple[int, ...] = (0,)
    folds: int = 5
    subjects: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    recipe: str = "published"
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"suite {self.name}"
        tasks = {name for module in DATAMODULES.values() for name in module.tasks}
        known_names(self.datasets, [*DATAMODULES, FOUND], f"{where}: dataset")
        known_names(self.tasks, [*sorted(tasks), ALL], f"{where}: task")
        known_names(self.splits, SPLITS, f"{where}: split")
        known_names(self.models, [*EVERY_MODEL, ALL], f"{where}: model")
        known_names(self.options, DATAMODULES, f"{where}: options of dataset")
        known_names([self.recipe], RECIPES, f"{where}: recipe")
        known_names(self.recipes, EVERY_MODEL, f"{where}: recipe of model")
        for model, changes in self.recipes.items():
            values = [f.name for f in dataclasses.fields(catalogued(model).published)]
            known_names(changes, values, f"{where}: recipe of {model}:")
        for what in ("datasets", "splits", "models", "seeds"):
            if not getattr(self, what):
                raise SuiteError(f"{where}: expected at least one of {what}, found none")
        for seed in self.seeds:
            if not 0 <= seed < SEEDS:
                raise SuiteError(f"{where}: expected seeds from 0 to {SEEDS - 1}, found {seed}")

    @classmethod
    def load(cls, name: str) -> Self:
        """A suite of this project by name, or any other by the path of its YAML file."""
        path = Path(name) if name.endswith((".yaml", ".yml")) else SUITES / f"{name}.yaml"
        if not path.is_file():
            raise SuiteError(
                f"no suite {name!r}: expected one of {', '.join(suite_names())}, or the path of a "
                ".yaml file"
            )
        try:
            values = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise SuiteError(f"{path}: expected YAML, found otherwise ({error})") from error
        if not isinstance(values, dict):
            raise SuiteError(f"{path}: expected keys and values, found {type(values).__name__}")
        kinds = {f.name: f.type for f in dataclasses.fields(cls) if f.name != "name"}
        known_names(values, kinds, f"{path}: key")
        return cls(path.stem, **{key: _parsed(path, key, value) for key, value in values.items()})

    def narrowed(self, **chosen: Sequence[Any] | None) -> Self:
        """The part of the suite that was asked for; None leaves a field as it is.

        Raises:
            SuiteError: Something that the suite does not have.
        """
        changes: dict[str, Any] = {}
        for what, values in chosen.items():
            if values is None:
                continue
            has = getattr(self, what)
            if what not in OPEN and not {ALL, FOUND} & set(has) and (has or what != "tasks"):
                known_names(map(str, values), list(map(str, has)), f"suite {self.name}: {what}")
            changes[what] = tuple(values)
        return dataclasses.replace(self, **changes)

    def with_folds(self, folds: int) -> Self:
        """The suite with another number of folds of ``subject_k_fold``."""
        if folds < 2:
            raise SuiteError(f"expected at least 2 folds, found {folds}")
        return dataclasses.replace(self, folds=folds)

    def with_recipe(self, recipe: str) -> Self:
        """The suite with another of the models' own recipes."""
        return dataclasses.replace(self, recipe=recipe)

    def with_option(self, dataset: str, option: str, value: Value) -> Self:
        """The suite with one option of a dataset's reader changed."""
        options = {**self.options, dataset: {**self.options.get(dataset, {}), option: value}}
        return dataclasses.replace(self, options=options)

    def dataset_names(self, data: Path) -> tuple[str, ...]:
        """Datasets of the suite; ``found`` looks into a folder."""
        if FOUND not in self.datasets:
            return self.datasets
        there = {p.name.casefold() for p in data.iterdir() if p.is_dir()} if data.is_dir() else ()
        found = tuple(name for name in DATAMODULES if name in there)
        if not found:
            expected = [name for name, module in DATAMODULES.items() if module.has_files]
            raise SuiteError(
                f"no dataset in {str(data)!r}: expected a folder named {', '.join(expected)}. "
                "Point --data at the folder that holds them, or run the suite quick, which needs "
                "none."
            )
        return found


@dataclass(frozen=True)
class Prepared:
    """A dataset after its recordings were read.

    Args:
        subjects: Who can be used.
        left_out: Why others cannot, by subject.
        data: Digest of the prepared recordings.
    """

    subjects: tuple[str, ...]
    left_out: Mapping[str, str]
    data: str


@dataclass(frozen=True)
class Plan:
    """What a suite comes to.

    Args:
        runs: In the order in which they should start.
        not_applicable: Reason by ``board/model``.
        notes: What a board must say, by board.
    """

    runs: tuple[Run, ...]
    not_applicable: Mapping[str, str]
    notes: Mapping[str, list[str]]


def expand(suite: Suite, prepared: Mapping[str, Prepared]) -> Plan:
    """All runs of a suite.

    Args:
        suite: What to run.
        prepared: Its datasets.

    Raises:
        IncompatibleRunError: Fewer subjects than a split needs, or a signal that a dataset has not.
        SuiteError: A task that none of the datasets has.
    """
    runs: list[Run] = []
    reasons: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for dataset, found in prepared.items():
        module = DATAMODULES[dataset]
        options = reader_options(module, suite.options.get(dataset, {}))
        available = module.check_signals(suite.signals or None)
        for task in _tasks(suite, module):
            for split in suite.splits:
                count = n_folds(split, len(found.subjects), suite.folds)  # type: ignore[arg-type]
                for model in EVERY_MODEL if ALL in suite.models else suite.models:
                    cell = Run(
                        dataset=dataset,
                        task=task,
                        split=split,
                        fold=0,
                        seed=0,
                        model=model,
                        signals=(),
                        subjects=found.subjects,
                        data=found.data,
                        folds=suite.folds if split == "subject_k_fold" else 5,
                        options=options,
                        **_recipe(suite, model),
                    )
                    notes[cell.board] = left_out(found.left_out)
                    try:
                        signals = _signals(cell, module, available)
                    except IncompatibleRunError as error:
                        reasons[f"{cell.board}/{model}"] = str(error)
                        continue
                    runs += [
                        dataclasses.replace(cell, signals=signals, fold=fold, seed=seed)
                        for seed in suite.seeds
                        for fold in range(count)
                    ]
    if not runs and not reasons:
        raise SuiteError(f"none of {', '.join(prepared)} has a task {', '.join(suite.tasks)}")
    return Plan(tuple(dict.fromkeys(runs)), reasons, notes)


def left_out(reasons: Mapping[str, str]) -> list[str]:
    """One line a reason, with all subjects that it keeps out."""
    subjects: dict[str, list[str]] = {}
    for subject, reason in reasons.items():
        subjects.setdefault(reason, []).append(subject)
    return [f"left out: {', '.join(names)}: {reason}" for reason, names in subjects.items()]


def catalogued(model: str) -> Probe | type[EmotionClassifier]:
    """A model or a probe by its catalogue key."""
    return PROBES[model] if model in PROBES else MODELS[model]


def reader_options(
    module: type[EmotionDataModule], options: Mapping[str, Value]
) -> tuple[tuple[str, Value], ...]:
    """Options that differ from the reader's defaults, sorted by name.

    Raises:
        SuiteError: An option that the reader has not, or a value of another type than its default.
    """
    fields: Any = getattr(module.reader, "__dataclass_fields__", {})
    defaults = {f.name: f.default for f in fields.values() if f.name != "root"}
    known_names(options, defaults, f"{module.title}: option")
    values = {name: _like(defaults[name], value) for name, value in options.items()}
    for name, value in values.items():
        if type(value) is not type(defaults[name]):
            raise SuiteError(
                f"{module.title}: expected {name} to be of type {type(defaults[name]).__name__}, "
                f"as in {defaults[name]!r}, found {value!r}"
            )
    return tuple(sorted((k, v) for k, v in values.items() if v != defaults[k]))


def suite_names() -> list[str]:
    """Suites of this project."""
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def known_names(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise SuiteError for the first name that is not known, with the nearest that is."""
    expected = list(known)
    for name in names:
        if name not in expected:
            near = difflib.get_close_matches(str(name), expected, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SuiteError(
                f"{what} {name!r} is not known: expected {', '.join(expected) or 'none'}{hint}"
            )


def _like(default: object, value: Value) -> Value:
    """A value as its default is written: 1 and 1.0 are the same work."""
    return float(value) if type(default) is float and type(value) is int else value


def _recipe(suite: Suite, model: str) -> dict[str, Any]:
    kind = suite.recipe if hasattr(catalogued(model), suite.recipe) else "published"
    own: Any = getattr(catalogued(model), kind)
    asked = suite.recipes.get(model, {})
    changes: dict[str, Any] = {k: _like(getattr(own, k), v) for k, v in asked.items()}
    try:
        recipe: Any = dataclasses.replace(own, **changes)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"suite {suite.name}: recipe of {model}: {error}") from error
    values = dataclasses.asdict(recipe)
    return {
        "recipe": tuple(sorted(values.items())),
        "kind": kind,
        "changed": tuple(sorted(name for name in changes if values[name] != getattr(own, name))),
    }


def _signals(
    run: Run, module: type[EmotionDataModule], available: tuple[str, ...]
) -> tuple[str, ...]:
    model = catalogued(run.model)
    signals = model.choose_signals(available)
    if not isinstance(model, Probe):
        values: dict[str, Any] = dict(run.recipe)
        model.check_inputs(module.window_inputs(signals, values["window"]))
    return signals


def _tasks(suite: Suite, module: type[EmotionDataModule]) -> tuple[str, ...]:
    if ALL in suite.tasks:
        return tuple(module.tasks)
    if not suite.tasks:
        return (next(iter(module.tasks)),)
    return tuple(task for task in module.tasks if task in suite.tasks)


def _parsed(path: Path, key: str, value: Any) -> Any:
    """A value of a suite file as its field wants it."""

    def expect(fits: bool, what: str) -> None:
        if not fits:
            raise SuiteError(f"{path}: expected {key} to be {what}, found {value!r}")

    if key in ("options", "recipes"):
        whole = isinstance(value, dict) and all(isinstance(v, dict) for v in value.values())
        expect(whole, "a mapping from names to mappings")
        return value
    if key == "recipe":
        expect(isinstance(value, str), "a name")
        return value
    if key == "folds":
        expect(isinstance(value, int) and value >= 2, "a whole number of at least 2")
        return value
    values = value if isinstance(value, list) else [value]
    kind = int if key == "seeds" else str
    expect(all(type(item) is kind for item in values), f"a list of {kind.__name__}")
    return tuple(values)
