"""Patches: whole seconds, in the unit of the papers."""

import pytest
import torch

from lightning_modules.encoders.patches import as_patches, count_patches


def test_patches_are_the_seconds_of_each_channel():
    window = torch.arange(2 * 3 * 600.0).reshape(2, 3, 600)
    patches = as_patches(window)
    assert patches.shape == (2, 3, 3, 200)
    torch.testing.assert_close(patches[1, 2, 1] * 100, window[1, 2, 200:400])


@pytest.mark.parametrize(("n_times", "most", "count"), [(200, None, 1), (3200, 16, 16)])
def test_number_of_patches(n_times, most, count):
    assert count_patches(n_times, most) == count


@pytest.mark.parametrize(("n_times", "most"), [(0, None), (199, None), (450, None), (3400, 16)])
def test_windows_that_are_not_whole_seconds_or_too_long_are_refused(n_times, most):
    with pytest.raises(ValueError, match=f"expected windows of a multiple of 200.*{n_times}"):
        count_patches(n_times, most)
