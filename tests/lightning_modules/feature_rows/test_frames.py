"""Frames: one for each row, inside the window."""

import pytest
import torch

from datamodules.batch import SignalSpec
from lightning_modules.feature_rows.frames import Frames, n_rows


@pytest.mark.parametrize(
    ("n_times", "sfreq", "seconds"), [(75, 10.0, 1), (75, 10.0, 3), (44, 8, 9)]
)
def test_frames_are_centred_inside_the_window(n_times, sfreq, seconds):
    rows = int(n_times / sfreq)
    frames = Frames(n_times, sfreq, seconds, rows)(torch.arange(n_times)[None, None])[0, 0]
    assert frames.shape == (rows, min(n_times, seconds * sfreq))
    assert frames[0, 0] == 0
    assert frames.max() < n_times
    middle = frames.double().mean(dim=1) + 0.5
    inside = (frames[:, 0] > 0) & (frames[:, -1] < n_times - 1)
    expected = (torch.arange(rows) + 0.5) * sfreq
    torch.testing.assert_close(middle[inside], expected.double()[inside], atol=0.5, rtol=0)


@pytest.mark.parametrize(
    ("n_times", "sfreq", "expected"),
    [(1280, 128.0, 10), (1343, 128.0, 10), (30, 128.0, 1), (10, 0.25, 10), (7, 1.0, 7)],
)
def test_a_row_is_a_whole_second_or_a_slow_sample(n_times, sfreq, expected):
    assert n_rows(SignalSpec(3, n_times, sfreq)) == expected
