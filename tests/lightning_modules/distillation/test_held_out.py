"""Windows that are held out: trials of each class, and what is drawn of them."""

import numpy as np
import pytest
import torch

from datamodules.errors import IncompatibleRunError
from lightning_modules.distillation.held_out import HeldOut, count_trials, hold_out


@pytest.mark.parametrize(
    ("trials", "share", "expected"),
    [([10, 20], 0.1, [1, 2]), ([1, 2], 0.9, [0, 1]), ([3, 4], 0.5, [2, 2]), ([5, 1], 0.1, [1, 0])],
)
def test_some_trials_of_each_class_are_held_out_and_never_all(distilling, trials, share, expected):
    target = np.repeat([0, 1], trials)
    segment = np.random.default_rng(0).permutation(len(target))
    rows = np.argsort(segment).repeat(3)  # three windows of each, and two trials drawn again
    rows = np.concatenate([rows, rows[:2]])
    module = distilling.MadeUp({}, target[rows], segment[rows])
    chosen = hold_out(module.windows("train"), share).numpy()
    held = [set(segment[rows][chosen & (target[rows] == label)]) for label in (0, 1)]
    assert [len(some) for some in held] == expected
    assert set(segment[rows][~chosen]).isdisjoint(held[0] | held[1])
    windows = module.windows("train")
    assert count_trials(windows) == sum(trials)
    assert count_trials(windows, torch.from_numpy(chosen)) == sum(expected)


def test_no_class_with_two_trials_is_too_few(distilling):
    module = distilling.MadeUp({}, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    with pytest.raises(IncompatibleRunError, match="found 2 trials of 2 classes"):
        hold_out(module.windows("train"), 0.5)


def test_windows_are_drawn_without_repetition(distilling):
    module = distilling.made_up()
    mask = torch.zeros(64, dtype=torch.bool).index_fill(0, torch.tensor([3, 9, 20, 40, 63]), True)
    gather = module.train_dataloader().dataset.__getitem__
    held_out = HeldOut(mask, mask.nonzero().flatten(), gather)
    for n_windows, expected in ((4, 4), (5, 5), (9, 5)):
        batch = held_out.draw(n_windows, torch.device("cpu"))
        rows = batch.row.tolist()
        assert len(set(rows)) == len(rows) == expected
        assert mask[batch.row].all()
        assert torch.equal(batch.target, gather(batch.row).target)
