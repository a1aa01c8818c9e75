import numpy as np
import pytest

from datamodules.signals.recording import Recording, Segment, Signal


def signal(n_times: int = 8, sfreq: float = 4.0) -> Signal:
    return Signal(np.zeros((1, n_times), np.float32), sfreq, ("c",), "uS")


def segment(start: float, stop: float, trial: int = 1) -> Segment:
    return Segment(start, stop, trial, {"condition": "stress"})


def test_durations_are_in_seconds() -> None:
    assert signal(10, 4.0).duration == 2.5
    assert segment(1.5, 4.0).duration == 2.5
    recording = Recording("S1", "1", {"a": signal(10), "b": signal(90, 64.0)}, ())
    assert recording.duration == 90 / 64


@pytest.mark.parametrize(
    ("samples", "sfreq", "channels", "message"),
    [
        (np.zeros(8, np.float32), 4.0, ("c",), r"float32 samples of shape \(C, T\).*\(8,\)"),
        (np.zeros((1, 8)), 4.0, ("c",), "found float64"),
        (np.zeros((1, 0), np.float32), 4.0, ("c",), r"found float32 \(1, 0\)"),
        (np.zeros((3, 8), np.float32), 4.0, ("x", "y"), "expected 3 channel names"),
        (np.zeros((1, 8), np.float32), 0.0, ("c",), "positive sampling rate, found 0"),
        (np.zeros((1, 8), np.float32), -4.0, ("c",), "positive sampling rate"),
        (np.zeros((1, 8), np.float32), float("nan"), ("c",), "positive sampling rate, found nan"),
    ],
)
def test_signals_that_cannot_be(samples, sfreq, channels, message) -> None:
    with pytest.raises(ValueError, match=message):
        Signal(samples, sfreq, channels, "uS")


@pytest.mark.parametrize(
    ("start", "stop"), [(2.0, 2.0), (3.0, 2.0), (-0.5, 2.0), (float("nan"), 2.0)]
)
def test_segments_that_do_not_last(start: float, stop: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= start < stop"):
        segment(start, stop)


def test_a_recording_holds_its_segments() -> None:
    signals = {"long": signal(40), "short": signal(8)}
    assert Recording("S1", "1", signals, (segment(0.0, 2.0),)).duration == 2.0
    with pytest.raises(ValueError, match=r"S1/1: trial 7 ends at 2.25 s, after short at 2.0 s"):
        Recording("S1", "1", signals, (segment(0.0, 1.0), segment(1.0, 2.25, trial=7)))
    with pytest.raises(ValueError, match="S1/2 has no signal"):
        Recording("S1", "2", {}, ())
