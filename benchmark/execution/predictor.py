"""Predictor: the model of a run as it is kept, ready to be used on other recordings."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.probes.catalogue import Sees
from benchmark.probes.windows import Windows
from datamodules.batch import LENGTH, Inputs, kind_of
from datamodules.ranges import Range
from datamodules.signals.features import features
from datamodules.signals.recording import Signal
from lightning_modules.base import EmotionClassifier, Output

BATCH = 64
"""Number of windows that are on the device at once."""
Flags = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float64]


class Seen(NamedTuple):
    """Windows of one signal in which something is to be doubted, shape (N,) each.

    Attributes:
        missing: Windows with samples that are no numbers.
        still: Windows in which a channel does not move.
        outside: Windows outside what the model was trained on; none where that is not on record.
    """

    missing: Flags
    still: Flags
    outside: Flags


class Predicted(NamedTuple):
    """Predictions of one recording.

    Attributes:
        starts: Starts of the windows in seconds, shape (N,).
        probabilities: Shape (N, K); NaN for a window without a prediction.
        seen: By signal, what is to be doubted.
    """

    starts: npt.NDArray[np.float64]
    probabilities: Probabilities
    seen: Mapping[str, Seen]


@dataclass(frozen=True, eq=False)
class Predictor(ABC):
    """A trained model, and the facts of its training that its use depends on.

    Attributes:
        name: Name of the model, and of the run that it is of.
        inputs: Shapes of the signals that it takes, by name.
        classes: Names of the K classes.
        ranges: Range of each signal over its training windows; empty where it is not on record.
        subjects: Subjects that it was trained on.
        trials: Keys of the trials that it was trained on; empty for all of those subjects.
        chosen_on: Subjects on whom its epoch was chosen.
        chosen_on_trials: Keys of the trials on which it was; empty for all of those subjects.
        notes: Lines that a user of it must know.
    """

    name: str
    inputs: Inputs
    classes: Sequence[str]
    ranges: Mapping[str, Range] = field(default_factory=dict)
    subjects: Sequence[str] = ()
    trials: Sequence[str] = ()
    chosen_on: Sequence[str] = ()
    chosen_on_trials: Sequence[str] = ()
    notes: tuple[str, ...] = ()

    @property
    def window(self) -> float:
        """Length of a window, in seconds."""
        spec = next(iter(self.inputs.values()))
        return float(spec.n_times / spec.sfreq)

    @abstractmethod
    def probabilities(self, windows: Mapping[str, Tensor]) -> Probabilities:
        """Return probabilities (N, K) of windows as recorded, by signal of shape (N, C, T)."""

    def predict(self, signals: Mapping[str, Signal], stride: float) -> Predicted:
        """Predict every window of a recording.

        Args:
            signals: Its signals, after their steps.
            stride: Time from one window's start to the next, in seconds.

        Raises:
            BenchmarkError: A signal is missing, of another rate, number or order of channels, or
                shorter than a window; a stride between whose windows no signal has a sample; or no
                window has a prediction.
        """
        self._check(signals, stride)
        shortest = min(signals[name].duration for name in self.inputs)
        starts = np.arange(0, shortest - self.window + 1e-6, stride)
        probabilities = []
        seen: dict[str, list[Seen]] = {name: [] for name in self.inputs}
        for chunk in np.array_split(starts, np.arange(BATCH, len(starts), BATCH)):
            batch = {name: self._gathered(name, signals[name], chunk) for name in self.inputs}
            of_chunk, seen_there = self.predict_windows(batch)
            probabilities.append(of_chunk)
            for name, parts in seen.items():
                parts.append(seen_there[name])
        together = np.concatenate(probabilities)
        if np.isnan(together).all():
            raise BenchmarkError(
                f"expected probabilities of {len(starts)} windows, found none that is a number: "
                "the recording has no numbers there, or values far beyond any that the model can "
                "take"
            )
        joined = {
            name: Seen(*map(np.concatenate, zip(*parts, strict=True)))
            for name, parts in seen.items()
        }
        return Predicted(starts, together, joined)

    def predict_windows(
        self, windows: Mapping[str, Tensor]
    ) -> tuple[Probabilities, dict[str, Seen]]:
        """Return probabilities (N, K) of a few windows, and what is to be doubted in them.

        Args:
            windows: Samples after their steps by signal, of shape (N, C, T). A window with samples
                that are no numbers has no prediction: its probabilities are NaN.
        """
        numbers = {name: samples.nan_to_num(0, 0, 0) for name, samples in windows.items()}
        seen = {}
        for name, samples in windows.items():
            gone = np.asarray(~samples.isfinite().all(dim=2).all(dim=1).numpy())
            seen[name] = self._seen(name, numbers[name].numpy(), gone)
        missing = np.any([of_one.missing for of_one in seen.values()], axis=0)
        found = self.probabilities(numbers)
        unsure = missing | ~np.isfinite(found).all(axis=1)
        return np.where(unsure[:, None], np.nan, found), seen

    def check_signals(self, shapes: Mapping[str, tuple[int, float]]) -> None:
        """Raise BenchmarkError for signals that do not fit the model.

        Args:
            shapes: Number of channels and rate in Hz of each signal that there is.
        """
        for name, spec in self.inputs.items():
            shape = shapes.get(name)
            if shape != (spec.n_channels, spec.sfreq):
                actual = f"{shape[0]} @ {shape[1]:g} Hz" if shape else "none"
                raise BenchmarkError(
                    f"the model takes {name} with {spec.n_channels} channel(s) @ {spec.sfreq:g} "
                    f"Hz, found {actual}"
                )

    def check_stride(self, stride: float) -> None:
        """Raise BenchmarkError for a model of whole trials, or a stride that no window can have."""
        if LENGTH in self.inputs:
            raise BenchmarkError(
                "the model was trained on whole padded trials: expected one that was trained on "
                "windows"
            )
        step = 1 / max(spec.sfreq for spec in self.inputs.values())
        if not step <= stride < np.inf:
            raise BenchmarkError(
                f"expected a stride of at least {step:.3g} s, the time between two samples, found "
                f"{stride:g} s"
            )

    def _check(self, signals: Mapping[str, Signal], stride: float) -> None:
        self.check_stride(stride)
        self.check_signals({n: (len(one.channels), one.sfreq) for n, one in signals.items()})
        for name, spec in self.inputs.items():
            actual = signals[name].channels
            if actual != spec.channels and sorted(actual) == sorted(spec.channels):
                raise BenchmarkError(
                    f"the model takes channels of {name} in the order {', '.join(spec.channels)}, "
                    f"found {', '.join(actual)}. Read them in that order"
                )
        shortest = min(signals[name].duration for name in self.inputs)
        if shortest < self.window:
            raise BenchmarkError(
                f"expected a recording of at least {self.window:g} s, found {shortest:g} s"
            )

    def _gathered(self, name: str, signal: Signal, starts: npt.NDArray[np.float64]) -> Tensor:
        length = self.inputs[name].n_times
        first = torch.from_numpy(np.rint(starts * signal.sfreq).astype(np.int64))
        first = first.clamp(max=signal.samples.shape[1] - length)
        views = torch.from_numpy(signal.samples).unfold(1, length, 1).transpose(0, 1)
        return views.index_select(0, first)  # (B, C, T)

    def _seen(self, name: str, windows: npt.NDArray[np.float32], missing: Flags) -> Seen:
        still = (windows.max(axis=2) == windows.min(axis=2)).any(axis=1)
        outside = np.zeros(len(windows), bool)
        if usual := self.ranges.get(name):
            still, outside = usual.is_still(windows), usual.is_outside(windows)
        holds = kind_of(name) == "beats"  # values are held from beat to beat
        return Seen(missing, still & ~missing & (not holds), outside & ~missing)


@dataclass(frozen=True, eq=False)
class NetworkPredictor(Predictor):
    """A network of a run, or the authors' published Attention-LRCN.

    Attributes:
        model: The network, in eval mode.
        mean: Mean of the scaling by signal, shape (C, 1); empty if unscaled.
        std: Standard deviation by signal, shape (C, 1); empty if unscaled.
    """

    model: EmotionClassifier = field(kw_only=True)
    mean: Mapping[str, Tensor] = field(default_factory=dict)
    std: Mapping[str, Tensor] = field(default_factory=dict)

    def probabilities(self, windows: Mapping[str, Tensor]) -> Probabilities:
        with torch.inference_mode():
            answers = self.model.probabilities(self.output(windows)).double().cpu()
        found: Probabilities = answers.numpy()
        return found

    def output(self, windows: Mapping[str, Tensor]) -> Output:
        """Return what the network makes of windows as recorded, by signal of shape (N, C, T)."""
        scaled = {
            name: (samples - self.mean[name]) / self.std[name] if name in self.mean else samples
            for name, samples in windows.items()
        }
        placed = {name: samples.to(self.model.device) for name, samples in scaled.items()}
        output: Output = self.model(placed)
        return output


@dataclass(frozen=True, eq=False)
class ProbePredictor(Predictor):
    """A fitted probe of a run, on the features that it was fitted on.

    Attributes:
        classifier: Fitted classifier, as scikit-learn's.
        sees: Whether it sees features or the windows themselves.
    """

    classifier: Any = field(kw_only=True)
    sees: Sees = "signals"

    def probabilities(self, windows: Mapping[str, Tensor]) -> Probabilities:
        arrays = {name: windows[name].numpy() for name in self.inputs}
        if self.sees == "windows":
            with np.errstate(over="ignore"):  # variances are sums of squares
                sums = [(samples**2).sum(axis=(1, 2)) for samples in arrays.values()]
            usable: Flags = np.asarray(np.isfinite(sums).all(axis=0))
            columns: Any = Windows.of(self.inputs, {n: a[usable] for n, a in arrays.items()})
        else:
            together = self.features(windows)
            with np.errstate(over="ignore"):  # forests compare in float32
                usable = np.asarray(np.isfinite(together.astype(np.float32)).all(axis=1))
            columns = together[usable]
        found = np.full((len(usable), len(self.classes)), np.nan)
        found[usable] = 0.0  # of a class that training lacked
        if usable.any():
            rows = np.flatnonzero(usable)[:, None]
            found[rows, self.classifier.classes_] = self.classifier.predict_proba(columns)
        return found

    def features(self, windows: Mapping[str, Tensor]) -> npt.NDArray[np.float64]:
        """Return the features of windows as recorded, shape (N, F)."""
        computed = [
            features(name, windows[name].numpy(), spec.sfreq)[0]
            for name, spec in self.inputs.items()
        ]
        return np.concatenate(computed, axis=1)
