"""Doubts about recordings whose faults are known: what is said, of which windows, and when not."""

from collections.abc import Mapping

import numpy as np
import pytest
from torch import Tensor

from benchmark.errors import BenchmarkError
from benchmark.execution.predictor import Predictor, Seen
from benchmark.predict.doubts import RunningDoubts, doubts_of
from datamodules.batch import SignalSpec
from datamodules.ranges import Range, measure_range
from datamodules.signals.recording import Signal


class Level(Predictor):
    """Answers with the mean of the first signal: above 3 it is the second class."""

    def probabilities(self, windows: Mapping[str, Tensor]) -> np.ndarray:
        second = (next(iter(windows.values())).mean(dim=(1, 2)) > 3).double().numpy()
        return np.column_stack([1 - second, second])


def signal(minutes: float, seed: int = 0) -> Signal:
    rng = np.random.default_rng(seed)
    samples = rng.normal(2, 1, (1, round(minutes * 60 * 4))).astype(np.float32)
    return Signal(samples, 4.0, ("eda",), "uS")


def predictor(ranges: Mapping[str, Range] | None = None) -> Predictor:
    if ranges is None:
        windows = signal(120, 1).samples.reshape(1, -1, 240).transpose(1, 0, 2)
        ranges = {"eda": measure_range(windows)}
    return Level("level", {"eda": SignalSpec(1, 240, 4.0)}, ("low", "high"), ranges)


def doubts(recording: Signal, stride: float = 60.0, **ranges):
    model = predictor(**ranges)
    return doubts_of(model, model.predict({"eda": recording}, stride))


def test_nothing_is_said_of_a_recording_like_the_training():
    found = doubts(signal(30))
    assert found.lines == ()
    assert set(found.of_windows) == {""}
    assert len(found.of_windows) == 30


def test_a_flat_stretch_is_said_with_its_share():
    recording = signal(30)
    recording.samples[0, : 9 * 240] = 2.0
    found = doubts(recording)
    (line,) = found.lines
    assert line == "eda: does not move in 30 % of the windows (0 % of the training's own)"
    assert found.of_windows == ("eda still",) * 9 + ("",) * 21


def test_values_in_another_unit_are_said_with_their_share():
    recording = signal(20)
    recording.samples[0, 10 * 240 :] *= 1000
    found = doubts(recording)
    assert found.lines[0].startswith("eda: outside the range of the training in 50 %")
    assert found.of_windows == ("",) * 10 + ("eda outside",) * 10


def test_what_the_training_itself_does_is_no_doubt():
    usual = predictor().ranges["eda"]
    recording = signal(20)
    recording.samples[0, : 4 * 240] = 2.0
    recording.samples[0, 16 * 240 :] = 90 + signal(4).samples[0]
    often = Range(usual.low, usual.high, outside=0.2, still=0.16)
    assert doubts(recording, ranges={"eda": often}).lines == ()
    rarely = Range(usual.low, usual.high, outside=0.1, still=0.1)
    assert len(doubts(recording, ranges={"eda": rarely}).lines) == 2


def test_windows_with_missing_samples_have_no_prediction():
    recording = signal(20)
    recording.samples[0, 100] = np.nan
    recording.samples[0, 5 * 240 + 3] = np.inf
    model = predictor()
    predicted = model.predict({"eda": recording}, 60.0)
    assert np.flatnonzero(np.isnan(predicted.probabilities).any(axis=1)).tolist() == [0, 5]
    found = doubts_of(model, predicted)
    assert found.lines == ("eda: missing in 10 % of the windows",)
    assert found.of_windows[5] == "eda missing"


def test_a_recording_without_numbers_is_refused():
    recording = signal(20)
    recording.samples[:] = np.nan
    with pytest.raises(BenchmarkError, match="20 windows, found none that is a number"):
        predictor().predict({"eda": recording}, 60.0)


@pytest.mark.parametrize(
    ("minutes", "high", "doubted"),
    [
        (59, 0, False),  # shorter than an hour
        (60, 0, True),
        (60, 2, True),  # 58 of 60 windows: 96.7 %
        (60, 3, False),  # 95 % is not over 95 %
        (130, 0, True),
    ],
)
def test_one_class_for_most_of_an_hour(minutes, high, doubted):
    recording = signal(minutes)
    recording.samples[0, 240 * 30 : 240 * (30 + high)] += 2.5
    found = [line for line in doubts(recording).lines if "of an hour" in line]
    assert bool(found) == doubted
    if doubted:
        assert found == [f"low: over 95 % of the windows of an hour, in minutes 0 to {minutes}"]


def test_only_the_hour_of_one_class_is_marked():
    recording = signal(180)
    for minute in (*range(0, 60, 5), *range(120, 180, 5)):
        recording.samples[0, minute * 240 : (minute + 1) * 240] += 2.5
    found = doubts(recording)
    (line,) = [line for line in found.lines if "of an hour" in line]
    marked = np.flatnonzero(["one class" in words for words in found.of_windows])
    # 56 to 119 are low, and an hour may hold two windows that are high, of 50, 55, 120 and 125
    assert marked.tolist() == list(range(46, 130))
    assert line.startswith("low: over 95 %")


def test_too_few_windows_an_hour_say_nothing():
    assert doubts(signal(180), stride=240.0).lines == ()


def test_without_a_range_on_record_that_is_said_and_a_constant_seen():
    recording = signal(20)
    recording.samples[0, : 10 * 240] = 500
    found = doubts(recording, ranges={})
    assert found.lines[0] == "eda: does not move in 50 % of the windows"
    assert "not on record" in found.lines[1]
    assert not any("outside" in words for words in found.of_windows)


def running(recording: Signal, stride: float = 60.0):
    """Return the words of each window, and the lines at the end, said window by window."""
    model = predictor()
    predicted = model.predict({"eda": recording}, stride)
    doubts = RunningDoubts(model, stride)
    words = []
    for row, start in enumerate(predicted.starts):
        seen = {n: Seen(*(flags[row : row + 1] for flags in s)) for n, s in predicted.seen.items()}
        words.append(doubts.add(start, predicted.probabilities[row], seen))
    return words, doubts.lines()


def test_at_the_end_as_much_is_said_of_signals_as_of_the_whole():
    recording = signal(30)
    recording.samples[0, : 9 * 240] = 2.0
    recording.samples[0, 15 * 240 : 20 * 240] *= 1000
    recording.samples[0, 25 * 240] = np.nan
    words, lines = running(recording)
    found = doubts(recording)
    assert lines == found.lines
    assert len(lines) == 3
    assert tuple(words) == found.of_windows


def test_a_signal_that_stops_is_said_when_it_has_for_long_enough():
    recording = signal(30)
    recording.samples[0, 25 * 240 :] = 2.0
    words, _ = running(recording)
    assert words == [""] * 26 + ["eda still"] * 4  # 1 of 26 windows is no more than 5 %
    assert doubts(recording).of_windows == ("",) * 25 + ("eda still",) * 5


@pytest.mark.parametrize(
    ("minutes", "high", "first"), [(59, 0, None), (60, 0, 59), (70, 2, 59), (70, 3, 61)]
)
def test_one_class_is_said_at_the_end_of_its_hour(minutes, high, first):
    recording = signal(minutes)
    recording.samples[0, 240 : 240 * (1 + high)] += 2.5
    words, lines = running(recording)
    marked = [row for row, said in enumerate(words) if "one class" in said]
    assert (marked[:1] or [None]) == [first]
    said = [line for line in lines if "of an hour" in line]
    begin = 0 if first is None else first - 59
    assert said == [
        f"low: over 95 % of the windows of an hour, in minutes {begin} to {minutes}"
    ] * (first is not None)


def test_before_the_first_window_nothing_is_said():
    assert RunningDoubts(predictor(), 60.0).lines() == ()
