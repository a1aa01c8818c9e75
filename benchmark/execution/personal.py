"""Predictions of each tested person by a model that was adapted to labelled minutes of theirs."""

from collections.abc import Callable
from functools import cache, partial
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark.adapters.catalogue import ADAPTERS, ONE_CLASS
from benchmark.adapters.last_layer import layer_of
from benchmark.adapters.person import NO_LABEL, Adapt, Numbers, Seen, Trained, Values
from benchmark.errors import BenchmarkError
from benchmark.execution.predictor import BATCH, NetworkPredictor, Predictor, ProbePredictor
from benchmark.probes.catalogue import PROBES
from benchmark.probes.classifiers import CLASSIFIERS
from benchmark.run import Run
from datamodules.datamodule import EmotionDataModule
from datamodules.windows import WindowIndex


def adapted(
    run: Run, predictor: Predictor, module: EmotionDataModule, trained_on: tuple[int, ...]
) -> tuple[Values, tuple[str, ...]]:
    """Return the probabilities of the test windows, and notes on the people's minutes.

    Args:
        run: Run with an adapter.
        predictor: Model that is adapted, for each person anew.
        module: Its datamodule, set up, which leaves samples as recorded.
        trained_on: Number of windows of each class that the model was trained on.

    Raises:
        LeakError: Labelled minutes that overlap what is tested, or are too close to it.
        BenchmarkError: A network without the layer that the adapter trains.
    """
    if run.recipe.refit:
        module.train_on_validation()
    minutes, tested = module.labelled_minutes(), module.windows("test")
    seen_of_minutes, seen_of_tested = (seen(predictor, module, w) for w in (minutes, tested))
    unlabelled = seen_of_tested._replace(target=np.full(len(tested), NO_LABEL))
    trained = Trained(
        n_classes=module.n_classes,
        shares=np.asarray(trained_on) / sum(trained_on),
        minutes=run.protocol.calibrating.minutes,
        training=cache(lambda: seen(predictor, module, module.windows("train"))),
        seed=run.seed,
        classifier=_classifier(run),
        layer=_last_layer(predictor, module) if run.adapter == "last_layer" else None,
    )
    adapt: Adapt = resolve_name(ADAPTERS[run.adapter].function)
    probabilities = np.empty_like(seen_of_tested.probabilities)
    one_class = []
    for person in np.unique(tested.subject).tolist():
        rows = np.flatnonzero(tested.subject == person)
        of_person = _rows(seen_of_minutes, np.flatnonzero(minutes.subject == person))
        if len(np.unique(of_person.target)) == 1:
            one_class.append(module.subjects[person])
        probabilities[rows] = adapt(trained, of_person, _rows(unlabelled, rows))
    notes = (ONE_CLASS + ", ".join(one_class),) if one_class else ()
    return probabilities, notes


def seen(predictor: Predictor, module: EmotionDataModule, windows: WindowIndex) -> Seen:
    """Return what a model makes of windows."""
    dataset = module.gathered_windows(windows)
    columns, probabilities = [], [np.empty((0, module.n_classes))]
    for rows in torch.arange(len(windows)).split(BATCH):
        signals = dataset[rows].signals
        probabilities.append(predictor.probabilities(signals))
        if isinstance(predictor, NetworkPredictor):
            with torch.inference_mode():
                columns.append(predictor.output(signals).embedding.double().cpu().numpy())
        elif isinstance(predictor, ProbePredictor) and predictor.sees != "windows":
            columns.append(predictor.features(signals))
    together = np.concatenate(columns) if columns else np.empty((len(windows), 0))
    return Seen(together, np.concatenate(probabilities), windows.target, windows.subject)


def _rows(those: Seen, rows: Numbers) -> Seen:
    columns, probabilities, target, people = those
    return Seen(columns[rows], probabilities[rows], target[rows], people[rows])


def _classifier(run: Run) -> Callable[[int, int, tuple[int, int]], Any] | None:
    """Return what makes the classifier of a probe, with its arguments; None for a network."""
    if run.model not in PROBES:
        return None
    probe = PROBES[run.model]
    arguments = probe.with_arguments(dict(run.arguments))
    return partial(CLASSIFIERS[probe.classifier], **arguments)


def _last_layer(predictor: Predictor, module: EmotionDataModule) -> nn.Module:
    """Return the last layer of a network; raises BenchmarkError where there is none."""
    assert isinstance(predictor, NetworkPredictor)  # plans have no others
    window = module.gathered_windows(module.windows("train"))[torch.arange(1)].signals
    layer = layer_of(predictor.model, {n: s.to(predictor.model.device) for n, s in window.items()})
    if layer is None:
        raise BenchmarkError(
            "last_layer: expected a network whose logits are made of its embedding, and "
            f"probabilities by softmax, found another: {predictor.name}. Take another adapter"
        )
    return layer
