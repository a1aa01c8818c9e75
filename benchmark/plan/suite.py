"""Suite: a matrix of datasets, tasks, splits, models, pairs and seeds, read from YAML."""

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from benchmark.errors import BenchmarkError
from benchmark.probes.fit import PROBES, Probe
from benchmark.run import TEST_SHARE, Value
from datamodules.catalogue import DATAMODULES
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import IncompatibleRunError
from datamodules.protocol import FLAGS, OF_TEACHERS, SHUFFLED, check_flags, known_flags
from datamodules.splits import SPLITS
from datamodules.tasks import RULES, LabelRule
from datamodules.windows import PADDINGS, Padding
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import DISTILLERS, MODELS

SUITES = Path(__file__).parents[1] / "suites"
EVERY_MODEL = (*MODELS, *PROBES)
ALL, FOUND, DEFAULT = "all", "found", "default"
SEEDS = 2**32
"""Seeds are smaller than this; numpy takes no others."""
RECIPES = ("published", "fast")
OPEN = ("subjects", "signals", "seeds", "splits")
"""Fields that the command line may set to what the suite does not name."""
WHOLE = ("name", "subjects", "options", "flaws", "parts")
"""Fields that a part of a suite cannot have: recordings are read once for all of it."""


class SuiteError(BenchmarkError):
    """A suite, or a choice from it, that cannot be meant."""


@dataclass(frozen=True)
class Distillation:
    """A student, what teaches it, and how; the keys of an entry of ``distillations``.

    Teacher and student are trained on windows of one length: the student's.

    Args:
        distiller: Catalogue key.
        student: Catalogue key of a model.
        teacher: Catalogue key of a model; empty where the distiller has none, or the student is its
            own teacher.
        student_signals: What the student sees; empty: what it prefers.
        teacher_signals: What the teacher sees; empty: what it prefers.
        arguments: Arguments of the distiller.
        out_of_fold: Number of teachers among whom the training subjects are dealt out, each to be
            answered for by one who has not seen them; 0: one teacher who has seen all.

    Raises:
        SuiteError: A name that is in no catalogue, or a teacher too many or too few.
    """

    distiller: str
    student: str
    teacher: str = ""
    student_signals: tuple[str, ...] = ()
    teacher_signals: tuple[str, ...] = ()
    arguments: Mapping[str, Value] = field(default_factory=dict)
    out_of_fold: int = 0

    def __post_init__(self) -> None:
        known_names([self.distiller], DISTILLERS, "distiller")
        known_names([self.student, *([self.teacher] if self.teacher else [])], MODELS, "model")
        kind = DISTILLERS[self.distiller]
        wanted = kind.n_teachers and not kind.teacher_is_student
        if bool(self.teacher) != bool(wanted):
            raise SuiteError(
                f"distillation of {self.student} by {self.distiller}: expected "
                f"{'a' if wanted else 'no'} teacher, found {self.teacher or 'none'}"
            )
        if self.out_of_fold and (self.out_of_fold < 2 or not kind.n_teachers):
            raise SuiteError(
                f"distillation of {self.student} by {self.distiller}: expected out_of_fold to be "
                f"0, or 2 and more where there is a teacher, found {self.out_of_fold}"
            )


@dataclass(frozen=True)
class Suite:
    """What to run; the keys of a YAML file are these fields.

    Args:
        name: Of the file.
        datasets: Catalogue keys; ``found``: every dataset with a folder of its name.
        tasks: Names of tasks; ``all``: every task of each dataset; empty: the first of each.
        splits: Names of splits; ``default``: each dataset's own first.
        models: Catalogue keys of models and probes; ``all``: every one.
        seeds: Each run is done once a seed.
        folds: Of a k-fold, unless the dataset's trials come in blocks of their own.
        subjects: Who takes part; empty: everybody.
        signals: What models may choose from; empty: every signal of the dataset.
        recipe: Which of the models' own recipes: ``published``, or ``fast`` where there is one.
        options: Options of readers, by dataset.
        recipes: Changes to that recipe, by model.
        arguments: Arguments of models, by model: variants and switches of its constructor.
        rule: Where ratings are cut into low and high: ``midpoint``, ``median`` or ``kmeans``; tasks
            without ratings do not read it.
        padding: Whole trials instead of windows, filled up with ``zero``, ``mean`` or ``edge``.
        mask: Tell models how much of a padded trial is recorded.
        distillations: Students and their teachers, besides the models.
        flags: Flaws of a published protocol, see datamodules.protocol: no run of the suite is
            ranked.
        flaws: Flaws to be measured, each a flag or several: the suite is run as it is, and once
            more under each. ``labels_from_all_ratings`` takes the rule ``median`` for both unless
            the suite has another than ``midpoint``.
        test_share: Share that ``subject_hold_out`` tests on.
        validation: Whether somebody is kept apart to choose the epoch; see EmotionDataModule.
        score_windows: Score each window by itself; never ranked, as models of a board share units.
        parts: The suite falls into several, in each of which some fields have other values; the
            others are those of the suite.

    Raises:
        SuiteError: A name that is in no catalogue, or what does not go together.
    """

    name: str
    datasets: tuple[str, ...] = (FOUND,)
    tasks: tuple[str, ...] = ()
    splits: tuple[str, ...] = (DEFAULT,)
    models: tuple[str, ...] = (ALL,)
    seeds: tuple[int, ...] = (0,)
    folds: int = 5
    subjects: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    recipe: str = "published"
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    recipes: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    arguments: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    rule: LabelRule = "midpoint"
    padding: Padding | None = None
    mask: bool = False
    distillations: tuple[Distillation, ...] = ()
    flags: tuple[str, ...] = ()
    flaws: tuple[tuple[str, ...], ...] = ()
    test_share: float = TEST_SHARE
    validation: bool = True
    score_windows: bool = False
    parts: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        where = f"suite {self.name}"
        tasks = {name for module in DATAMODULES.values() for name in module.every_task()}
        known_names(self.datasets, [*DATAMODULES, FOUND], f"{where}: dataset")
        known_names(self.tasks, [*sorted(tasks), ALL], f"{where}: task")
        known_names(self.splits, [*SPLITS, DEFAULT], f"{where}: split")
        known_names(self.models, [*EVERY_MODEL, ALL], f"{where}: model")
        known_names(self.options, DATAMODULES, f"{where}: options of dataset")
        known_names([self.recipe], RECIPES, f"{where}: recipe")
        known_names(self.recipes, EVERY_MODEL, f"{where}: recipe of model")
        known_names(self.arguments, MODELS, f"{where}: arguments of model")
        known_names([self.rule], RULES, f"{where}: rule")
        known_names([self.padding] if self.padding else [], PADDINGS, f"{where}: padding")
        if self.mask and not self.padding:
            raise SuiteError(f"{where}: expected padding where there is a mask, found none")
        known_names([*self.flags, *(f for flaw in self.flaws for f in flaw)], FLAGS, where)
        if not 0 < self.test_share < 1:
            raise SuiteError(
                f"{where}: expected test_share between 0 and 1, found {self.test_share:g}"
            )
        for suite in self.arms() if self.flaws or self.parts else [self]:
            suite._check_flags(where)
        for model, changes in self.recipes.items():
            values = [f.name for f in dataclasses.fields(catalogued(model).published)]
            known_names(changes, values, f"{where}: recipe of {model}:")
        for what in ("datasets", "splits", "models", "seeds"):
            if not getattr(self, what) and (what != "models" or not self.distillations):
                raise SuiteError(f"{where}: expected at least one of {what}, found none")
        for seed in self.seeds:
            if not 0 <= seed < SEEDS:
                raise SuiteError(f"{where}: expected seeds from 0 to {SEEDS - 1}, found {seed}")

    def _check_flags(self, where: str) -> None:
        if OF_TEACHERS in self.flags and not any(
            DISTILLERS[pair.distiller].n_teachers for pair in self.distillations
        ):
            raise SuiteError(f"{where}: {OF_TEACHERS}: expected distillations by a teacher")
        if any(pair.out_of_fold for pair in self.distillations) and set(SHUFFLED) & {*self.flags}:
            raise SuiteError(
                f"{where}: out-of-fold teachers are dealt out by subject: expected none where "
                f"{self.flags} deals out anew"
            )
        if self.padding and not self.mask and "pad_reveals_length" not in self.flags:
            raise SuiteError(
                f"{where}: padding without a mask tells how long a trial is: add mask: true, or "
                "the protocol flag pad_reveals_length"
            )
        if self.score_windows and not self.flags:
            raise SuiteError(
                f"{where}: score_windows: models of a ranked board share their units; expected "
                "protocol flags beside it, found none"
            )
        for split in self.splits:
            try:
                check_flags(
                    known_flags(self.flags),
                    split=None if split == DEFAULT else split,
                    rule=self.rule,
                    padded=self.padded is not None,
                    mask=self.mask,
                )
            except IncompatibleRunError as error:
                raise SuiteError(f"{where}: {error}") from error

    @property
    def padded(self) -> Padding | None:
        """What whole trials are filled up with, if they are; zeros where a flag alone says so."""
        return self.padding or ("zero" if "pad_reveals_length" in self.flags else None)

    def arms(self) -> Iterator[Self]:
        """The suite as it is, then with each of its flaws; before a flaw, what it needs beside.

        Where it has parts, each of them in turn.
        """
        if not self.parts:
            yield from self._arms()
        for part in self.parts:
            yield from dataclasses.replace(self, **{"parts": (), **part})._arms()

    def _arms(self) -> Iterator[Self]:
        plain = dataclasses.replace(self, flaws=())
        yield plain
        for flaw in self.flaws:
            arm = plain
            if "labels_from_all_ratings" in flaw and self.rule == "midpoint":
                arm = dataclasses.replace(plain, rule="median")
                yield arm
            flags = known_flags((*self.flags, *flaw))
            if "pad_reveals_length" in flaw:
                arm = dataclasses.replace(arm, mask=False)
            yield dataclasses.replace(arm, flags=flags)

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

        Models are those that are trained alone, and the students of distillations.

        Raises:
            SuiteError: Something that the suite does not have.
        """
        changes: dict[str, Any] = {}
        parts = self.parts
        for what, values in chosen.items():
            if values is None:
                continue
            if what == "models":
                own, parts = self._of_models(parts, values)
                changes |= own
                continue
            has = (*getattr(self, what), *(v for part in self.parts for v in part.get(what, ())))
            if what not in OPEN and not {ALL, FOUND} & set(has) and (has or what != "tasks"):
                known_names(map(str, values), list(map(str, has)), f"suite {self.name}: {what}")
            changes[what] = tuple(values)
            narrowed = (_narrowed_part(part, what, tuple(values)) for part in parts)
            parts = tuple(part for part in narrowed if part is not None)
        if self.parts and not parts:
            raise SuiteError(f"suite {self.name}: none of its parts has all of what was asked for")
        return dataclasses.replace(self, **changes, parts=parts)

    def _of_models(
        self, parts: Sequence[Mapping[str, Any]], names: Sequence[str]
    ) -> tuple[dict[str, Any], tuple[Mapping[str, Any], ...]]:
        """Fields and parts with some models only, trained alone or as students."""
        both = ("models", "distillations")
        whole = {what: getattr(self, what) for what in both}
        has = [
            name
            for part in [{**whole, **part} for part in self.parts] or [whole]
            for name in (
                *(EVERY_MODEL if ALL in part["models"] else part["models"]),
                *(pair.student for pair in part["distillations"]),
            )
        ]
        known_names(names, dict.fromkeys(has), f"suite {self.name}: models")

        def narrowed(part: Mapping[str, Any]) -> dict[str, Any]:
            everything = ALL in part["models"]
            return {
                **part,
                "models": tuple(n for n in names if everything or n in part["models"]),
                "distillations": tuple(p for p in part["distillations"] if p.student in names),
            }

        if not self.parts:
            return narrowed(whole), ()
        found = (narrowed({**whole, **part}) for part in parts)
        return {}, tuple(part for part in found if any(part[what] for what in both))

    def with_folds(self, folds: int) -> Self:
        """The suite with another number of folds of ``subject_k_fold``."""
        if folds < 2:
            raise SuiteError(f"expected at least 2 folds, found {folds}")
        return dataclasses.replace(self, folds=folds)

    def with_recipe(self, recipe: str) -> Self:
        """The suite with another of the models' own recipes."""
        return dataclasses.replace(self, recipe=recipe)

    def with_max_epochs(self, epochs: int) -> Self:
        """The suite with so many epochs for every model, as a change to its recipe."""

        def limited(recipes: Mapping[str, Mapping[str, Value]]) -> dict[str, Any]:
            few = {model: {**recipes.get(model, {}), "max_epochs": epochs} for model in MODELS}
            return {**recipes, **few}

        parts = tuple(
            {**part, "recipes": limited(part["recipes"])} if "recipes" in part else part
            for part in self.parts
        )
        return dataclasses.replace(self, recipes=limited(self.recipes), parts=parts)

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


def _narrowed_part(
    part: Mapping[str, Any], what: str, values: tuple[Any, ...]
) -> Mapping[str, Any] | None:
    """A part of a suite with some values of a field; None if it has none of them."""
    if what not in part:
        return part
    own = values
    if what not in OPEN and ALL not in part[what]:
        own = tuple(value for value in values if value in part[what])
    return {**part, what: own} if own else None


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
    values = {name: as_its_default(defaults[name], value) for name, value in options.items()}
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


def as_its_default(default: object, value: Value) -> Value:
    """A value as its default is written: 1 and 1.0 are the same work."""
    return float(value) if type(default) is float and type(value) is int else value


def _parsed(path: Path, key: str, value: Any) -> Any:
    """A value of a suite file as its field wants it."""

    def expect(fits: bool, what: str) -> None:
        if not fits:
            raise SuiteError(f"{path}: expected {key} to be {what}, found {value!r}")

    if key in ("options", "recipes", "arguments"):
        whole = isinstance(value, dict) and all(isinstance(v, dict) for v in value.values())
        expect(whole, "a mapping from names to mappings")
        return value
    if key in ("recipe", "rule", "padding"):
        expect(isinstance(value, str), "a name")
        return value
    if key in ("mask", "validation", "score_windows"):
        expect(isinstance(value, bool), "true or false")
        return value
    if key == "test_share":
        expect(isinstance(value, float), "a share, as 0.3")
        return value
    if key == "parts":
        whole = isinstance(value, list) and all(isinstance(part, dict) for part in value)
        expect(whole, "a list of mappings from keys to values")
        kinds = [f.name for f in dataclasses.fields(Suite) if f.name not in WHOLE]
        for part in value:
            known_names(part, kinds, f"{path}: key of a part")
        return tuple({k: _parsed(path, k, v) for k, v in part.items()} for part in value)
    if key == "flaws":
        expect(isinstance(value, list), "a list of flags, or of lists of flags")
        flaws = [flaw if isinstance(flaw, list) else [flaw] for flaw in value]
        expect(all(type(f) is str for flaw in flaws for f in flaw), "a list of flags")
        return tuple(tuple(flaw) for flaw in flaws)
    if key == "distillations":
        whole = isinstance(value, list) and all(isinstance(entry, dict) for entry in value)
        expect(whole, "a list of mappings with distiller, teacher and student")
        return tuple(_as_distillation(path, entry) for entry in value)
    if key == "folds":
        expect(isinstance(value, int) and value >= 2, "a whole number of at least 2")
        return value
    values = value if isinstance(value, list) else [value]
    kind = int if key == "seeds" else str
    expect(all(type(item) is kind for item in values), f"a list of {kind.__name__}")
    return tuple(values)


def _as_distillation(path: Path, entry: Mapping[str, Any]) -> Distillation:
    known_names(entry, [f.name for f in dataclasses.fields(Distillation)], f"{path}: distillation:")
    values: dict[str, Any] = {}
    for key, value in entry.items():
        names = isinstance(value, list) and all(isinstance(name, str) for name in value)
        if key in ("student_signals", "teacher_signals"):
            fits, what = names, "a list of names"
        elif key == "arguments":
            fits, what = isinstance(value, dict), "a mapping from names to values"
        elif key == "out_of_fold":
            fits, what = type(value) is int and value >= 0, "a whole number"
        else:
            fits, what = isinstance(value, str), "a name"
        if not fits:
            raise SuiteError(f"{path}: distillations: expected {key} to be {what}, found {value!r}")
        values[key] = tuple(value) if isinstance(value, list) else value
    try:
        return Distillation(**values)
    except TypeError as error:
        raise SuiteError(f"{path}: distillations: {error}") from error
