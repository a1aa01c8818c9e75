"""Columns of predictions: a row a tested window, against the recordings themselves."""

import numpy as np
import pytest

from datamodules import DATASETS, EmotionDataModule, Protocol, Selection, Windowing
from lightning_modules.units import predictions


@pytest.fixture
def module(tmp_path):
    module = EmotionDataModule(
        DATASETS["synthetic"],
        selection=Selection("stress", ["eda"], options={"n_subjects": 4}),
        protocol=Protocol("leave_one_subject_out"),
        fold=1,
        windowing=Windowing(30.0, 30.0),
        cache_dir=tmp_path,
    )
    module.prepare_data()
    module.setup()
    return module


def test_a_row_a_window(module):
    windows = module.windows("test")
    probabilities = np.random.default_rng(0).dirichlet([1, 1], len(windows))
    columns = predictions(module.columns("test"), probabilities)
    (recording,) = [r for r in module.fold.archive.recordings if r.subject == "S2"]
    expected = [
        ("S2", "1", segment.trial, unit, segment.start + 60.0 * unit + offset, label)
        for segment in recording.segments
        for label in [int(segment.annotations["condition"] == "stress")]
        for unit in range(int(segment.stop - segment.start) // 60)
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
    columns = predictions(module.columns("test"), epochs)
    np.testing.assert_array_equal(columns["probabilities"], epochs[2])
    np.testing.assert_array_equal(columns["of_epochs"], epochs)
