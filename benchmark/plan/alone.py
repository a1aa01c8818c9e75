"""Runs of a model that is trained alone: its recipe, arguments, signals, windows and folds."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch

from benchmark.code import code_of_run
from benchmark.plan.suite import Suite, SuiteError, as_its_default, known_names
from benchmark.probes.catalogue import PROBES, ProbeRecipe
from benchmark.run import Arguments, Run, Value
from datamodules.calibration import check_windows
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.flags import OF_EPOCHS, OF_TEACHERS
from datamodules.tasks import RatingTask
from lightning_modules.catalogue import MODELS
from lightning_modules.modality_dropout import check_droppable
from lightning_modules.recipe import Recipe

GIVEN = ("inputs", "n_classes", "recipe", "student", "student_signals", "teachers")
"""Arguments of a model or a distiller that a suite does not set as such."""


def of_model(suite: Suite, cell: Run, model: str, more: Mapping[str, Value] | None = None) -> Run:
    """Return a cell with a model, its recipe and its arguments.

    Args:
        suite: Recipes and arguments.
        cell: Run without a model.
        model: Catalogue key.
        more: Values of the recipe besides those that the suite sets.

    Raises:
        IncompatibleRunError: It is to be refitted where nothing is kept apart for that.
        SuiteError: A value that the recipe or the model does not take.
    """
    changes = suite.arguments.get(model, {})
    arguments: Arguments = ()
    if changes:
        arguments = arguments_of(model, changes, f"suite {suite.name}: argument of {model}")
    kind, base = own_recipe(model, suite.recipe, cell.dataset)
    values = {**suite.recipes.get(model, {}), **(more or {})}
    recipe = recipe_with(base, values, f"suite {suite.name}: recipe of {model}")
    run = replace(
        cell,
        model=model,
        arguments=arguments,
        recipe=recipe,
        kind=kind,
        changed=differing(base, recipe),
    )
    _check_refit(run)
    return replace(run, code=code_of_run(run))


def each_fold(suite: Suite, run: Run) -> list[Run]:
    """Return a run with every fold of every seed.

    Raises:
        IncompatibleRunError: Fewer subjects, folds or sessions than the split needs.
    """
    return [
        replace(run, fold=fold, seed=seed) for seed in suite.seeds for fold in range(run.n_folds)
    ]


def with_signals(
    suite: Suite, run: Run, dataset: Dataset, only: Sequence[str] = (), longest: float = 0.0
) -> Run:
    """Return a run with the signals that its model takes of a dataset, and their windows.

    Args:
        suite: Names the signals that models may choose from.
        run: Run of a model.
        dataset: Dataset of the run.
        only: Signals that this model may choose from; empty: any.
        longest: Seconds up to which the windows of a network or an encoder may be longer than a
            score unit.

    Raises:
        IncompatibleRunError: There is none that it takes, or they do not fit; with the reason.
        SuiteError: Arguments that the model does not take.
    """
    dataset.check_protocol(run.task, run.protocol)
    check_windows(
        run.protocol.calibrating,
        dataset.window_length(run.recipe.window, run.protocol, longest),
        dataset.unit,
        run.recipe.scaling if isinstance(run.recipe, Recipe) else "none",
    )
    available = dataset.available(dict(run.options))
    for chosen in (suite.signals, only):
        if chosen:
            available = tuple(name for name in available if name in chosen)
    if run.model in PROBES:
        probe = PROBES[run.model]
        if probe.sees == "length" and run.protocol.padding is None:
            raise IncompatibleRunError("no trial is padded, so that its length does not show")
        if probe.sees == "stimulus" and not dataset.same_stimuli(run.protocol):
            raise IncompatibleRunError(
                "no tested stimulus is trained on"
                if dataset.has_stimuli
                else "people share no stimuli"
            )
        if probe.encoder:
            shapes = dataset.window_inputs(available, run.recipe.window, run.protocol, longest)
            window = dataset.window_beyond_unit(run.recipe.window, run.protocol, longest)
            return replace(run, signals=probe.choose_signals(shapes), window=window)
        windows = probe.sees == "windows"
        names = dataset.recorded(available) if windows else dataset.hand_crafted(available)
        shapes = dataset.window_inputs(names, run.recipe.window)
        return replace(run, signals=probe.choose_signals(shapes))
    model = MODELS[run.model]
    signals = model.choose_signals(available)
    inputs = dataset.window_inputs(signals, run.recipe.window, run.protocol, longest)
    model.check_inputs(inputs)
    if isinstance(run.recipe, Recipe) and run.recipe.modality_dropout:
        check_droppable(signals)
    if run.arguments:
        build: Any = model
        try:
            with torch.device("meta"):
                build(inputs, len(dataset.task(run.task).classes), **dict(run.arguments))
        except (TypeError, ValueError) as error:
            raise SuiteError(f"suite {suite.name}: arguments of {run.model}: {error}") from error
    window = dataset.window_beyond_unit(run.recipe.window, run.protocol, longest)
    return replace(run, signals=signals, window=window)


def check_flaws(run: Run, dataset: Dataset, has_teacher: bool = False) -> None:
    """Refuse a run in which none of its flags would do anything.

    Args:
        run: Run of a model.
        dataset: Dataset of the run.
        has_teacher: Whether it learns from a teacher.

    Raises:
        IncompatibleRunError: With the reason.
    """
    flags, recipe = run.protocol.flags, run.recipe
    if "labels_from_all_ratings" in flags and not isinstance(dataset.task(run.task), RatingTask):
        raise IncompatibleRunError("labels_from_all_ratings: conditions have no threshold")
    if (
        "oversample_before_split" in flags
        and isinstance(recipe, Recipe)
        and recipe.balance != "oversample"
    ):
        raise IncompatibleRunError(
            "oversample_before_split: its recipe does not oversample; expected balance: oversample"
        )
    scaled = isinstance(recipe, Recipe) and recipe.scaling != "none"
    idle = {
        **dict.fromkeys(OF_EPOCHS, "it has no epoch to choose" if run.model in PROBES else ""),
        "scale_on_all": "" if scaled else "its signals are unscaled",
        OF_TEACHERS: "" if has_teacher else "it has no teacher",
    }
    if flags and all(idle.get(flag) for flag in flags):
        raise IncompatibleRunError("; ".join(f"{flag}: {idle[flag]}" for flag in flags))


def defaults_of(model: str) -> Mapping[str, Any]:
    """Return the defaults of the arguments of a model or a probe, by name."""
    return PROBES[model].arguments if model in PROBES else _defaults(MODELS[model])


def arguments_of(model: str, values: Mapping[str, Value], subject: str) -> Arguments:
    """Return the arguments of a model or a probe that differ from its defaults.

    Raises:
        SuiteError: An argument that it does not take, or of a probe a value of another kind.
    """
    arguments = _not_default(defaults_of(model), values, subject)
    if model in PROBES:
        try:
            PROBES[model].with_arguments(dict(arguments))
        except ValueError as error:
            raise SuiteError(f"{subject}: {error}") from error
    return arguments


def changed(kind: Callable[..., Any], values: Mapping[str, Value], subject: str) -> Arguments:
    """Return the arguments of a distiller that differ from its defaults.

    Raises:
        SuiteError: An argument that it does not take.
    """
    return _not_default(_defaults(kind), values, subject)


def _defaults(kind: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(kind).parameters
    return {name: p.default for name, p in parameters.items() if name not in GIVEN}


def _not_default(
    defaults: Mapping[str, Any], values: Mapping[str, Value], subject: str
) -> Arguments:
    known_names(values, defaults, subject)
    exact = {name: as_its_default(defaults[name], value) for name, value in values.items()}
    return tuple(sorted((k, v) for k, v in exact.items() if v != defaults[k]))


def differing(base: Recipe | ProbeRecipe, recipe: Recipe | ProbeRecipe) -> tuple[str, ...]:
    """Return the names of the values in which two recipes of one kind differ, sorted."""
    names = (field.name for field in fields(base))
    return tuple(sorted(name for name in names if getattr(base, name) != getattr(recipe, name)))


def _check_refit(run: Run) -> None:
    """Refuse to refit where nothing is kept apart, or the test part is read in its place.

    Raises:
        IncompatibleRunError: With the reason.
    """
    if not run.recipe.refit:
        return
    if not run.protocol.validation:
        raise IncompatibleRunError(
            "refit: expected a validation part to train on as well, found validation: false"
        )
    chosen = [flag for flag in run.protocol.flags if flag in OF_EPOCHS]
    if chosen and run.model not in PROBES:
        raise IncompatibleRunError(
            f"refit: expected an epoch that validation subjects choose, found {', '.join(chosen)}"
        )


def _catalogued(model: str) -> Any:
    return PROBES[model] if model in PROBES else MODELS[model]


def own_recipe(model: str, name: str, dataset: str) -> tuple[str, Recipe | ProbeRecipe]:
    """Return a recipe of a model, and its name: ``published`` where it has none of that name.

    Published is the recipe of its paper for this very dataset, where there is one.
    """
    entry = _catalogued(model)
    kind = name if hasattr(entry, name) else "published"
    recipe: Recipe | ProbeRecipe = getattr(entry, kind)
    if kind == "published":
        recipe = getattr(entry, "published_on", {}).get(dataset, recipe)
    return kind, recipe


def recipe_with(
    base: Recipe | ProbeRecipe, values: Mapping[str, Value], subject: str
) -> Recipe | ProbeRecipe:
    """Return a recipe with other values; raises SuiteError for one that it does not take."""
    changes: dict[str, Any] = {k: as_its_default(getattr(base, k), v) for k, v in values.items()}
    try:
        return replace(base, **changes)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"{subject}: {error}") from error
