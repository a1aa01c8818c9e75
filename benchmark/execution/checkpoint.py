"""Checkpoint: the model of a run as it is kept, ready to be used on other recordings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.store import check_committed
from datamodules.batch import LENGTH, Inputs
from datamodules.signals.recording import Signal
from lightning_modules.attention_lrcn import PUBLISHED_INPUTS, load_published
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import MODELS

PUBLISHED_CLASSES = ("baseline", "stress", "amusement")
"""Order of the classes in the authors' weights of Attention-LRCN."""
BATCH = 64
"""Number of windows that are on the device at once."""
DATA_STATE = frozenset({"classes", "train", "trials", "mean", "std"})
"""Keys by which the state of a datamodule is recognised in a checkpoint, see
``EmotionDataModule.state_dict``."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model, and the facts of its training that its use depends on.

    Attributes:
        model: The model, in eval mode.
        inputs: Shapes of the signals that it takes, by name.
        classes: Names of the K classes.
        mean: Mean of the scaling by signal, shape (C, 1); empty if unscaled.
        std: Standard deviation by signal, shape (C, 1); empty if unscaled.
        subjects: Subjects that it was trained on.
        trials: Keys of the trials that it was trained on; empty for all of those subjects.
        chosen_on: Subjects on whom its epoch was chosen.
        chosen_on_trials: Keys of the trials on which it was; empty for all of those subjects.
    """

    model: EmotionClassifier
    inputs: Inputs
    classes: Sequence[str]
    mean: Mapping[str, Tensor]
    std: Mapping[str, Tensor]
    subjects: Sequence[str]
    trials: Sequence[str]
    chosen_on: Sequence[str] = ()
    chosen_on_trials: Sequence[str] = ()

    @property
    def window(self) -> float:
        """Length of a window, in seconds."""
        spec = next(iter(self.inputs.values()))
        return float(spec.n_times / spec.sfreq)

    def predict(
        self, signals: Mapping[str, Signal], stride: float
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return start in seconds (N,) and probabilities (N, K) of every window of a recording.

        Raises:
            BenchmarkError: A signal is missing, of another rate or number of channels, or shorter
                than a window.
        """
        if LENGTH in self.inputs:
            raise BenchmarkError(
                "the model was trained on whole padded trials: expected one that was trained on "
                "windows"
            )
        for name, spec in self.inputs.items():
            signal = signals.get(name)
            actual = f"{len(signal.channels)} @ {signal.sfreq:g} Hz" if signal else "none"
            if signal is None or (len(signal.channels), signal.sfreq) != (
                spec.n_channels,
                spec.sfreq,
            ):
                raise BenchmarkError(
                    f"the model takes {name} with {spec.n_channels} channel(s) @ {spec.sfreq:g} "
                    f"Hz, found {actual}"
                )
        shortest = min(signals[name].duration for name in self.inputs)
        if shortest < self.window:
            raise BenchmarkError(
                f"expected a recording of at least {self.window:g} s, found {shortest:g} s"
            )
        starts = np.arange(0, shortest - self.window + 1e-6, stride)
        parts = []
        with torch.inference_mode():
            for chunk in np.array_split(starts, np.arange(BATCH, len(starts), BATCH)):
                batch = {name: self._gathered(name, signals[name], chunk) for name in self.inputs}
                parts.append(self.model.probabilities(self.model(batch)).double().numpy())
        return starts, np.concatenate(parts)

    def _gathered(self, name: str, signal: Signal, starts: npt.NDArray[np.float64]) -> Tensor:
        length = self.inputs[name].n_times
        first = torch.from_numpy(np.rint(starts * signal.sfreq).astype(np.int64))
        first = first.clamp(max=signal.samples.shape[1] - length)
        views = torch.from_numpy(signal.samples).unfold(1, length, 1).transpose(0, 1)
        window = views.index_select(0, first)  # (B, C, T)
        return (window - self.mean[name]) / self.std[name] if name in self.mean else window


def load_predictor(checkpoint: Path) -> Predictor:
    """Return the model of a finished run, or of the authors' published Attention-LRCN weights.

    Args:
        checkpoint: ``model.ckpt`` of a run, with ``run.json`` beside it; or a folder with the
            authors' three files.

    Raises:
        BenchmarkError: Files that are neither of them, or not those that were committed.
    """
    if checkpoint.is_dir():
        folds = sorted(path.name.split("_net_")[0] for path in checkpoint.glob("*_net_lrcn.pt"))
        if len(folds) != 1:
            raise BenchmarkError(
                f"{checkpoint}: expected one <fold>_net_lrcn.pt of the published weights, found "
                f"{len(folds)}"
            )
        published = load_published(checkpoint, folds[0])
        return Predictor(published, PUBLISHED_INPUTS, PUBLISHED_CLASSES, {}, {}, (), ())
    described = checkpoint.with_name("run.json")
    if not checkpoint.is_file() or not described.is_file():
        raise BenchmarkError(
            f"{checkpoint}: expected the model.ckpt of a finished run with its run.json beside it, "
            "found no such files"
        )
    check_committed(checkpoint)
    run = json.loads(described.read_text())
    kind = MODELS.get(run["model"])
    if kind is None:
        raise BenchmarkError(
            f"{described}: expected a model of the catalogue, found {run['model']}"
        )
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load promises no particular one for a broken file
        raise BenchmarkError(f"{checkpoint} cannot be read as a checkpoint: {error}") from error
    state = _data_state(checkpoint, content)
    model = kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    return Predictor(
        model,
        content["hyper_parameters"]["inputs"],
        state["classes"],
        state["mean"],
        state["std"],
        state["train"],
        state["trials"],
        state.get("chosen_on", ()),
        state.get("chosen_on_trials", ()),
    )


def _data_state(checkpoint: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of the datamodule, which Lightning files under the name of its class."""
    states = [
        value
        for value in content.values()
        if isinstance(value, Mapping) and value.keys() >= DATA_STATE
    ]
    if len(states) != 1:
        raise BenchmarkError(
            f"{checkpoint}: expected the scaling and the classes of its run, as {len(DATA_STATE)} "
            f"entries of one mapping ({', '.join(sorted(DATA_STATE))}), found {len(states)} such "
            "mappings"
        )
    return states[0]
