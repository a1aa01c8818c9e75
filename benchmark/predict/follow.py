"""Predictions while a recording grows: of each window as soon as its samples are there."""

import csv
import statistics
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import numpy as np
import torch

from benchmark.boards.provenance import CAUSAL, input_of
from benchmark.errors import BenchmarkError
from benchmark.execution.predictor import Predictor, Probabilities
from benchmark.predict.doubts import RunningDoubts
from benchmark.run import Run
from benchmark.tables import quoted
from datamodules.catalogue import DATASETS
from datamodules.empatica_e4 import EMPATICA_E4
from datamodules.formats.empatica import SIGNALS
from datamodules.formats.empatica_growing import GrowingSession
from datamodules.formats.growing import Piece
from datamodules.formats.sample_lines import Bytes, SampleLines
from datamodules.inputs import SignalSpec
from datamodules.signals.preprocessing import is_causal
from datamodules.signals.running import RunningSteps, Samples, recorded_and_steps

LATENCIES = 10_000
"""Number of windows, the last ones, of which the median latency is."""


class Source(Protocol):
    """Recorded signals that come piece by piece.

    Attributes:
        start: UTC seconds of time zero, once a piece was returned.
    """

    start: float

    def read(self, needed: Collection[str]) -> Piece | None:
        """Return new samples from time zero on, waiting for those of some signals; None: over."""


class Way(NamedTuple):
    """The way from a recorded signal to one that a model takes.

    Attributes:
        recorded: Name of the recorded signal.
        steps: Its steps.
    """

    recorded: str
    steps: RunningSteps


class Answer(NamedTuple):
    """Prediction of one window.

    Attributes:
        start: Start of the window, in seconds from time zero.
        probabilities: Shape (K,); NaN without a prediction.
        doubts: Words for what is to be doubted; "" for nothing.
        latency: Milliseconds from when its last samples were received to the prediction.
    """

    start: float
    probabilities: Probabilities
    doubts: str
    latency: float


def causal_ways(predictor: Predictor, run: Run | None) -> dict[str, Way]:
    """Return the way to each signal that a model takes.

    Args:
        predictor: The model.
        run: Its run; None for published weights, which take signals of a wristband as recorded.

    Raises:
        BenchmarkError: A model whose signals went through steps that use what comes after a
            window, as the column ``input`` of boards says.
        IncompatibleRunError: A causal step that is not known to work on pieces.
    """
    dataset = DATASETS.get(run.dataset) if run else EMPATICA_E4
    if dataset is None:
        raise BenchmarkError(
            f"{predictor.name}: expected a model of a dataset whose steps are known, found one of "
            f"{run.dataset if run else ''}: load it with --plugin"
        )
    steps = dataset.brought(run.brought if run else ()).preprocessing
    offline = [name for name in predictor.inputs if not is_causal(name, steps)]
    if offline or (run and input_of(run) != CAUSAL):
        usable = [name for name in dataset.signals if is_causal(name, steps)]
        raise BenchmarkError(
            f"{predictor.name}: expected a model whose input is causal, found one whose "
            f"{', '.join(offline) or 'input'} went through steps that use what is recorded after a "
            "window. It predicts recordings that are over, without --follow; to follow one, "
            f"train a model that takes no others than {', '.join(usable) or 'none'} (run --signals)"
        )
    ways = {}
    for name, spec in predictor.inputs.items():
        recorded, chain = recorded_and_steps(name, steps)
        ways[name] = Way(recorded, RunningSteps(chain, spec.sfreq))
    return ways


def session_of(
    predictor: Predictor, ways: Mapping[str, Way], place: Path, idle: float
) -> GrowingSession:
    """Return the growing folder of an Empatica E4 as a source.

    Args:
        predictor: The model.
        ways: Way to each of its signals.
        place: The folder.
        idle: Seconds after which it is over, if nothing was appended.

    Raises:
        AffectbenchError: Signals that an E4 does not have, or no folder.
    """
    recorded = {way.recorded: None for way in ways.values()}
    present = {name: way for name, way in ways.items() if way.recorded in SIGNALS}
    predictor.check_signals({n: w.steps.shape(*SIGNALS[w.recorded]) for n, w in present.items()})
    return GrowingSession(place, tuple(recorded), idle)


def lines_of(ways: Mapping[str, Way], stream: Bytes) -> SampleLines:
    """Return lines of samples as a source, at the rates that a model's signals were recorded at."""
    return SampleLines(stream, {way.recorded: way.steps.recorded_sfreq for way in ways.values()})


class Follower:
    """Predictions of a recording that grows.

    No more samples are kept than windows still need.

    Args:
        predictor: The model.
        ways: Way to each of its signals.
        source: The recording.
        stride: Time from one window's start to the next, in seconds.
        first: Start of the first window, in seconds from time zero.

    Attributes:
        doubts: Doubts about the windows so far.
        lacking: Names of the recorded signals that the next window waits for.

    Raises:
        BenchmarkError: A model that is not of windows, or an impossible stride.
    """

    def __init__(
        self,
        predictor: Predictor,
        ways: Mapping[str, Way],
        source: Source,
        stride: float,
        first: float = 0.0,
    ) -> None:
        predictor.check_stride(stride)
        self.doubts = RunningDoubts(predictor, stride)
        self.lacking = {way.recorded for way in ways.values()}
        self._predictor, self._ways, self._source = predictor, ways, source
        self._stride, self._start = stride, first
        self._first, self._number = first, 0
        self._tails = {name: _Tail(name, spec) for name, spec in predictor.inputs.items()}

    def __iter__(self) -> Iterator[Answer]:
        while (piece := self._source.read(self.lacking)) is not None:
            for name, (recorded, steps) in self._ways.items():
                if recorded in piece.samples:
                    new = steps(piece.samples[recorded])
                    if new is not None:
                        self._tails[name].append(new)
            while not self._update_lacking():
                yield self._answer(piece.at)

    def _update_lacking(self) -> set[str]:
        self.lacking = {
            self._ways[name].recorded
            for name, tail in self._tails.items()
            if not tail.holds(self._start)
        }
        return self.lacking

    def _answer(self, received: float) -> Answer:
        start = self._start
        windows = {
            name: torch.from_numpy(tail.window(start)[None]) for name, tail in self._tails.items()
        }
        probabilities, seen = self._predictor.predict_windows(windows)
        words = self.doubts.add(start, probabilities[0], seen)
        self._number += 1
        self._start = self._first + self._number * self._stride
        return Answer(start, probabilities[0], words, 1000 * (time.perf_counter() - received))


class _Tail:
    """The last samples of one signal, as far as windows still need them."""

    def __init__(self, name: str, spec: SignalSpec) -> None:
        self._name, self._spec = name, spec
        self._samples: Samples = np.empty((spec.n_channels, 0), np.float32)
        self._first = 0  # place of the first of these samples in the recording
        self._needed = 0

    def append(self, new: Samples) -> None:
        if len(new) != self._spec.n_channels:
            raise BenchmarkError(
                f"the model takes {self._name} with {self._spec.n_channels} channel(s), found "
                f"{len(new)}"
            )
        dropped = min(self._needed - self._first, self._samples.shape[1])
        self._first += dropped
        self._samples = np.concatenate([self._samples[:, dropped:], new], axis=1)

    def holds(self, start: float) -> bool:
        """Return whether a window is complete; no earlier one will be asked for."""
        self._needed = round(start * self._spec.sfreq)
        n_held: int = self._first + self._samples.shape[1]
        return self._needed + self._spec.n_times <= n_held

    def window(self, start: float) -> Samples:
        begin = round(start * self._spec.sfreq) - self._first
        return np.ascontiguousarray(self._samples[:, begin : begin + self._spec.n_times])


class AnswerFile:
    """A CSV of answers, each line of which is there as soon as it is written.

    Args:
        file: The open file.
        predictor: The model.
    """

    def __init__(self, file: IO[str], predictor: Predictor) -> None:
        self._file, self._classes = file, predictor.classes
        self._writer = csv.writer(file, lineterminator="\n")
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._largest = 0.0
        self.n_windows = 0
        shares = [f"p_{label}" for label in self._classes]
        self._write(["start", "time", "predicted", *shares, "latency_ms", "doubts"])

    def write(self, answer: Answer, zero: float) -> None:
        """Write one line.

        Args:
            answer: The answer.
            zero: UTC seconds of time zero.
        """
        self.n_windows += 1
        self._latencies.append(answer.latency)
        self._largest = max(self._largest, answer.latency)
        sure = not np.isnan(answer.probabilities).any()
        label = self._classes[int(answer.probabilities.argmax())] if sure else ""
        shares = [f"{value:.6f}" if sure else "" for value in answer.probabilities]
        moment = _utc(zero + answer.start)
        latency = f"{answer.latency:.1f}"
        self._write([f"{answer.start:.4f}", moment, label, *shares, latency, answer.doubts])

    def summary(self) -> str:
        """Return a line about all answers."""
        if not self.n_windows:
            return "no window"
        return (
            f"{self.n_windows} windows; latency {statistics.median(self._latencies):.1f} ms in the "
            f"median, {self._largest:.1f} ms at most"
        )

    def _write(self, cells: list[str]) -> None:
        self._writer.writerow([quoted(cell) for cell in cells])
        self._file.flush()


def _utc(seconds: float) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BenchmarkError(
            f"expected times in seconds since 1970, found {seconds:g}: no such date"
        ) from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
