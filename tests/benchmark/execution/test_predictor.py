"""Recordings that a kept model refuses, by the names of their channels."""

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.execution.predictor import Predictor
from datamodules.batch import SignalSpec
from datamodules.signals.recording import Signal


class First(Predictor):
    """Class 0 where the first channel is above 0 in the mean."""

    def probabilities(self, windows):
        (samples,) = windows.values()
        share = (samples[:, 0].mean(dim=1) <= 0).double()
        return np.stack([1 - share, share], axis=1)


def predicted(trained, recorded):
    samples = np.array([[1.0] * 8, [-1.0] * 8], np.float32)
    predictor = First("first", {"eeg": SignalSpec(2, 4, 4.0, trained)}, ("left", "right"))
    return predictor.predict({"eeg": Signal(samples, 4.0, recorded, "uV")}, 1.0).probabilities


def test_the_same_channels_in_another_order_are_refused():
    with pytest.raises(BenchmarkError, match=r"eeg in the order F3, F4, found F4, F3\."):
        predicted(("F3", "F4"), ("F4", "F3"))


@pytest.mark.parametrize("trained", [("F3", "F4"), (), ("", "F4"), ("x", "y")])
def test_no_names_or_other_ones_are_taken_as_before(trained):
    assert predicted(trained, ("F3", "F4")).tolist() == [[1.0, 0.0], [1.0, 0.0]]
