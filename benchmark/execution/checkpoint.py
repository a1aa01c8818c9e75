"""Checkpoint: the model of a run as it is kept, read without trust and ready to be used.

A network is kept as ``model.ckpt``, a probe that sees signals as ``model.skops``. Whatever is wrong
with a file is said in one sentence.
"""

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.execution.predictor import (
    NetworkPredictor,
    Predictor,
    Probabilities,
    ProbePredictor,
)
from benchmark.probes.catalogue import KEPT, PROBES
from benchmark.probes.fit import FittedProbe
from benchmark.probes.kept import as_bytes, from_bytes
from benchmark.run import Run
from benchmark.store import RESULT, check_committed, load_run
from datamodules.batch import LENGTH, Inputs, SignalSpec
from datamodules.datamodule import EmotionDataModule
from datamodules.errors import AffectbenchError, DatasetCorruptedError
from datamodules.ranges import Range
from lightning_modules.attention_lrcn import PUBLISHED_INPUTS, load_published
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import MODELS

NETWORK, PROBE = "model.ckpt", "model.skops"
"""Files in which the model of a run is kept."""
PUBLISHED_CLASSES = ("baseline", "stress", "amusement")
"""Order of the classes in the authors' weights of Attention-LRCN."""
DATA_STATE = frozenset({"classes", "train", "trials", "mean", "std"})
"""Keys by which the state of a datamodule is recognised in a checkpoint, see
``EmotionDataModule.state_dict``."""
MOST_CLASSES, MOST_SAMPLES = 1000, 2**26
"""Largest number of classes, and of samples of a signal in a window, that is believed."""
SHOWN = 70
"""Number of characters of a name that a message shows."""
ANEW = "Delete its folder to have the run computed again."


def load_predictor(path: Path) -> Predictor:
    """Return the model of a finished run, or of the authors' published Attention-LRCN weights.

    Args:
        path: Folder of a run, or its ``model.ckpt`` or ``model.skops`` with ``run.json`` beside it;
            or a folder with the authors' three files.

    Raises:
        BenchmarkError: Files that are none of them, or not those that were committed, or a model of
            people who are calibrated.
    """
    if path.is_dir():
        if not (path / "run.json").is_file():
            return _published(path)
        path = path / (PROBE if (path / PROBE).is_file() else NETWORK)
    if not path.is_file() and path.with_name("run.json").is_file():
        raise BenchmarkError(_why_none(path.parent))
    if path.with_name("run.json").is_file():
        _check_uncalibrated(_described(path.parent))
    return load_probe(path) if path.name == PROBE else load_network(path)


def run_of(path: Path) -> Run | None:
    """Return the run that a path for ``load_predictor`` is of; None for published weights.

    Raises:
        BenchmarkError: A ``run.json`` that is none.
    """
    folder = path if path.is_dir() else path.parent
    return _described(folder) if (folder / "run.json").is_file() else None


def load_network(checkpoint: Path) -> NetworkPredictor:
    """Return the network of a finished run.

    Args:
        checkpoint: ``model.ckpt`` of a run, with ``run.json`` beside it.

    Raises:
        BenchmarkError: Files that are not, or not those that were committed.
    """
    run = _run_of(checkpoint, MODELS)
    with _understood(checkpoint, f"the checkpoint of a {run.model}"):
        packed = checkpoint.read_bytes()
        content = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    with _understood(checkpoint, "the scaling and the classes of its run"):
        state = _data_state(content)
        facts = _facts(run, state)
        mean, std = dict(state["mean"]), dict(state["std"])
    with _understood(checkpoint, "the shapes of its signals and the number of its classes"):
        values = content["hyper_parameters"]
        inputs = _checked_inputs(run, values["inputs"], facts["ranges"], mean, std)
        if values["n_classes"] != len(facts["classes"]):
            raise ValueError(f"{values['n_classes']} classes")
    kind = MODELS[run.model]
    with _understood(checkpoint, f"weights of a {run.model} with these signals and classes"):
        file = io.BytesIO(packed)
        model = kind.load_from_checkpoint(file, map_location="cpu", weights_only=True).eval()
        _check_weights(model)
        network = NetworkPredictor(inputs=inputs, **facts, model=model, mean=mean, std=std)
        _tried(network)
    return network


def load_probe(path: Path) -> ProbePredictor:
    """Return the probe of a finished run.

    Args:
        path: ``model.skops`` of a run, with ``run.json`` beside it.

    Raises:
        BenchmarkError: Files that are not, or not those that were committed.
    """
    run = _run_of(path, PROBES)
    with _understood(path, f"a fitted {run.model}"):
        classifier, state, notes = from_bytes(path.read_bytes())
        specs = {name: SignalSpec(int(c), int(t), f) for name, (c, t, f) in state["inputs"].items()}
        facts = _facts(run, state)
        inputs = _checked_inputs(run, specs, facts["ranges"], {}, {})
        sees = PROBES[run.model].sees
        probe = ProbePredictor(
            inputs=inputs, **facts, notes=notes, classifier=classifier, sees=sees
        )
        if min(classifier.classes_) < 0 or not np.isclose(_tried(probe).sum(), 1):
            raise ValueError("probabilities that are none")
    return probe


def save_probe(fitted: FittedProbe, module: EmotionDataModule, path: Path) -> None:
    """Write a fitted probe, with the facts of its training.

    Nothing is written of one that sees no signals, or, of a plug-in, has types that are not read.

    Args:
        fitted: The probe.
        module: Data that it was fitted on.
        path: File to write.
    """
    if fitted.probe.sees not in KEPT:
        return
    specs = {name: module.inputs[name] for name in module.signals}
    state = module.state_dict()
    ranges = {
        name: {end: np.asarray(values) for end, values in one.items()}
        for name, one in state["ranges"].items()
    }
    facts = {
        **state,
        "mean": {},  # features are computed of samples as recorded
        "std": {},
        "inputs": {n: [s.n_channels, s.n_times, s.sfreq] for n, s in specs.items()},
        "ranges": ranges,
    }
    with suppress(ValueError):
        path.write_bytes(as_bytes(fitted.classifier, facts))


def _published(folder: Path) -> NetworkPredictor:
    folds = sorted(path.name.split("_net_")[0] for path in folder.glob("*_net_lrcn.pt"))
    if len(folds) != 1:
        raise BenchmarkError(
            f"{folder}: expected the folder of a run, or one <fold>_net_lrcn.pt of the published "
            f"weights, found {len(folds)}"
        )
    remedy = "Take the files as the authors publish them."
    with _understood(folder, "the published weights", remedy):
        try:
            model = load_published(folder, folds[0])
        except DatasetCorruptedError as error:
            raise (error.__cause__ or error) from error  # without the words of torch
        _check_weights(model)
    name = "published Attention-LRCN"
    return NetworkPredictor(name, PUBLISHED_INPUTS, PUBLISHED_CLASSES, model=model)


def _run_of(path: Path, catalogue: Collection[str]) -> Run:
    """Return the run that a file is kept of; raises BenchmarkError, also for a changed file."""
    described = path.with_name("run.json")
    if not path.is_file() or not described.is_file():
        raise BenchmarkError(
            f"{path}: expected the {path.name} of a finished run with its run.json beside it, "
            "found no such files"
        )
    with _understood(path.with_name(RESULT), "the result of a run"):
        check_committed(path)
        check_committed(described)
    run = _described(path.parent)
    if run.model not in catalogue:
        raise BenchmarkError(
            f"{described}: expected a model that is kept as {path.name}, found "
            f"{run.model[:SHOWN]!r}. A model of a plug-in needs --plugin"
        )
    return run


def _described(folder: Path) -> Run:
    """Return the run that ``run.json`` describes."""
    with _understood(folder / "run.json", "the description of a run"):
        run = load_run(folder)
        if not isinstance(run.model, str):
            raise ValueError("a model without a name")
    return run


def _check_uncalibrated(run: Run) -> None:
    """Raise BenchmarkError for a model that wants more of a person than new recordings say."""
    calibration = run.protocol.calibrating
    if calibration:
        raise BenchmarkError(
            f"{run.label}: expected a model that sees windows alone, found one whose people are "
            f"calibrated ({calibration}: {calibration.about}), which is not done to new "
            "recordings. Take the same model without calibration"
        )


def _why_none(folder: Path) -> str:
    """Return the sentence that says why a run has no model."""
    run = _described(folder)
    if run.trained:
        return (
            f"{folder}: expected a run that trained a model, found one that tests the model of "
            f"another: predict with {run.trained[0].id}"
        )
    if run.members:
        return (
            f"{folder}: expected the run of one model, found an ensemble, which keeps none of its "
            f"own: predict with {', '.join(member.id for member in run.taken)} and take the mean"
        )
    if run.model in PROBES and PROBES[run.model].encoder:
        return (
            f"{folder}: expected the run of a network or a probe that is kept, found {run.model}, "
            "whose weights are in a file of yours"
        )
    if run.model in PROBES and PROBES[run.model].sees not in KEPT:
        kept = ", ".join(name for name, probe in PROBES.items() if probe.sees in KEPT)
        return (
            f"{folder}: expected the run of a network or of {kept}, found {run.model}, which is "
            "not kept, as it sees more or less than windows of signals"
        )
    return (
        f"{folder}: expected a kept model, found none: this run failed, its classifier is of a "
        "plug-in and has types that are not read from files, or it is of an older version, which "
        f"kept no probes. {ANEW}"
    )


def _data_state(content: Any) -> Mapping[str, Any]:
    """Return the state of the datamodule, which Lightning files under the name of its class."""
    states = [
        value
        for value in content.values()
        if isinstance(value, Mapping) and value.keys() >= DATA_STATE
    ]
    if len(states) != 1:
        raise ValueError(f"{len(states)} mappings with {', '.join(sorted(DATA_STATE))}")
    return states[0]


def _facts(run: Run, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a training; raises ValueError for what none can have been."""
    names = ("classes", "train", "trials", "chosen_on", "chosen_on_trials")
    lists: dict[str, Sequence[str]] = {name: state.get(name, ()) for name in names}
    for name, values in lists.items():
        if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
            raise ValueError(f"{name} that are no names")
    classes = lists["classes"]
    if not 1 < len(set(classes)) == len(classes) <= MOST_CLASSES:
        raise ValueError(f"{len(classes)} classes")
    return {
        "name": f"{run.name} ({run.dataset} {run.task}, fold {run.fold}, seed {run.seed})",
        "classes": tuple(classes),
        "ranges": {name: _range(values) for name, values in state.get("ranges", {}).items()},
        "subjects": lists["train"],
        "trials": lists["trials"],
        "chosen_on": lists["chosen_on"],
        "chosen_on_trials": lists["chosen_on_trials"],
    }


def _range(values: Mapping[str, Any]) -> Range:
    low, high = (np.asarray(values[name], np.float32) for name in ("low", "high"))
    if low.ndim != 1 or low.shape != high.shape or not (low <= high).all():
        raise ValueError("ranges that are none")
    return Range(low, high, float(values["outside"]), float(values["still"]))


def _checked_inputs(
    run: Run,
    inputs: Mapping[str, SignalSpec],
    ranges: Mapping[str, Range],
    mean: Mapping[str, Tensor],
    std: Mapping[str, Tensor],
) -> Inputs:
    """Return shapes of signals.

    Raises:
        ValueError: Impossible ones, others than the run's, or ranges or a scaling that do not
            belong to them.
    """
    if not inputs or inputs.keys() - {LENGTH} != {*run.signals}:
        raise ValueError("other signals than those of its run")
    for name, spec in inputs.items():
        possible = spec.n_channels > 0 and spec.n_times > 0 and 0 < spec.sfreq < np.inf
        if not possible or spec.n_channels * spec.n_times > MOST_SAMPLES:
            raise ValueError(f"{name} of impossible shape")
        if len(spec.channels) not in (0, spec.n_channels):
            raise ValueError(f"other names of channels of {name} than it has channels")
        if name in ranges and len(ranges[name].low) != spec.n_channels:
            raise ValueError(f"a range of {name} that is none")
        for scaling in (mean, std):
            if (name in mean or name in std) and (
                scaling[name].shape != (spec.n_channels, 1) or not _is_finite(scaling[name])
            ):
                raise ValueError(f"a scaling of {name} that is none")
        if name in std and not bool((std[name] > 0).all()):
            raise ValueError(f"a scaling of {name} by nothing")
    return dict(inputs)


def _tried(predictor: Predictor) -> Probabilities:
    """Return the probabilities of a made-up window; raises ValueError for another shape."""
    window = {n: torch.ones(1, s.n_channels, s.n_times) for n, s in predictor.inputs.items()}
    probabilities = predictor.probabilities(window)
    if probabilities.shape != (1, len(predictor.classes)):
        raise ValueError(f"probabilities of shape {probabilities.shape}")
    return probabilities


def _check_weights(model: EmotionClassifier) -> None:
    if not all(_is_finite(tensor) for tensor in model.state_dict().values()):
        raise ValueError("weights that are no numbers")


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


@contextmanager
def _understood(path: Path, expected: str, remedy: str = ANEW) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read and taken apart into one sentence.

    The words of torch are not shown: they tell how to read a file that may run code.
    """
    try:
        yield
    except AffectbenchError:
        raise
    except Exception as error:  # no library promises particular ones for a broken file
        if isinstance(error, OSError) and error.filename:
            raise BenchmarkError(f"{path} cannot be read: {error.strerror}") from error
        said = str(error) if type(error) is ValueError else type(error).__name__
        line = said.partition("\n")[0][: 2 * SHOWN]
        raise BenchmarkError(
            f"{path}: expected {expected}, found otherwise ({line}). {remedy}"
        ) from error
