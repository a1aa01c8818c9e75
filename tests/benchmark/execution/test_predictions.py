"""Columns of predictions: a row a tested window, against the recordings themselves."""

import numpy as np
import pytest

from benchmark.execution.assemble import ready
from benchmark.execution.predictions import predictions


@pytest.fixture
def module(workshop, tmp_path):
    recipe = {"window": 30.0, "stride": 30.0, "max_epochs": 1}
    run = workshop.plan(["cnn"], recipes={"cnn": recipe})[1]
    return ready(run, workshop.places(tmp_path))


def test_a_row_a_window(module):
    windows = module.windows("test")
    probabilities = np.random.default_rng(0).dirichlet([1, 1], len(windows))
    columns = predictions(module, windows, probabilities)
    (recording,) = [r for r in module.fold.archive.recordings if r.subject == "S2"]
    expected = [
        ("S2", "1", segment.trial, 0, segment.start + offset, label)
        for segment in recording.segments
        for label in [int(segment.annotations["condition"] == "stress")]
        for offset in (0.0, 30.0)
    ]
    names = ("subject", "session", "trial", "unit", "start", "label")
    rows = list(zip(*(columns[name].tolist() for name in names), strict=True))
    assert rows == expected
    assert columns["probabilities"] is probabilities
    assert set(columns) == {*names, "probabilities"}


def test_the_last_of_several_epochs_counts(module):
    windows = module.windows("test")
    epochs = np.random.default_rng(0).dirichlet([1, 1], (3, len(windows)))
    columns = predictions(module, windows, epochs)
    np.testing.assert_array_equal(columns["probabilities"], epochs[2])
    np.testing.assert_array_equal(columns["of_epochs"], epochs)
