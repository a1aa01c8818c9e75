"""Layers that networks share; the spectrogram is tested with Attention-LRCN."""

import copy

import pytest
import torch
from torch.func import functional_call

from lightning_modules.layers import SLOWEST, DebiasedBatchNorm1d, DebiasedBatchNorm2d


@pytest.mark.parametrize("n_batches", [1, 2, 27, 100, 140])
def test_running_moments_are_means_over_batches_and_then_move_slowly(n_batches: int) -> None:
    norm = DebiasedBatchNorm1d(3)
    torch.manual_seed(0)
    mean, variance = torch.zeros(3), torch.ones(3)
    for number in range(n_batches):
        batch = 4 + 2 * torch.randn(16, 3)
        norm(batch)
        share = max(0.01, 1 / (number + 1))
        mean = (1 - share) * mean + share * batch.mean(dim=0)
        variance = (1 - share) * variance + share * batch.var(dim=0)
        if number < 100:
            continue
        assert norm.momentum == SLOWEST
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    if n_batches == 27:  # a constant momentum would have kept three quarters of 0 and 1
        torch.testing.assert_close(norm.running_mean, torch.full((3,), 4.0), atol=0.3, rtol=0)


def test_the_first_batch_makes_evaluation_that_of_training() -> None:
    norm = DebiasedBatchNorm2d(2)
    batch = 7 + torch.randn(8, 2, 5, 4)
    trained = norm(batch)
    torch.testing.assert_close(norm.eval()(batch), trained, atol=0.02, rtol=0)


def test_a_copy_goes_on_where_it_was() -> None:
    norm = DebiasedBatchNorm1d(2)
    for _ in range(5):
        norm(torch.randn(4, 2))
    again = DebiasedBatchNorm1d(2)
    again.load_state_dict(copy.deepcopy(norm.state_dict()))
    batch = torch.randn(4, 2)
    norm(batch)
    again(batch)
    torch.testing.assert_close(norm.running_mean, again.running_mean)


def test_a_step_on_other_buffers_does_not_count() -> None:
    norm = DebiasedBatchNorm1d(2)
    norm(torch.randn(4, 2))
    before = {name: value.clone() for name, value in norm.named_buffers()}
    buffers = {name: value.clone() for name, value in norm.named_buffers()}
    functional_call(norm, {**dict(norm.named_parameters()), **buffers}, (torch.randn(4, 2),))
    for name, value in norm.named_buffers():
        assert torch.equal(value, before[name])
    batch, fresh = torch.randn(4, 2), copy.deepcopy(norm)
    norm(batch)
    mean = (before["running_mean"] + batch.mean(dim=0)) / 2
    torch.testing.assert_close(norm.running_mean, mean)
    fresh(batch)
    torch.testing.assert_close(fresh.running_mean, mean)
