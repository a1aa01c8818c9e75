"""A tiny encoder of synthetic skin conductance, in the catalogue for a test."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmark.probes.catalogue import PROBES, encoder_probes
from benchmark.probes.encoders import Encoder


class Tiny(nn.Module):
    """Convolutions and moments of the channels of a window."""

    def __init__(self, channels: Sequence[str], n_times: int) -> None:
        super().__init__()
        self.n_times = n_times
        self.body = nn.Conv1d(len(channels), 8, 5)
        self.last = nn.Linear(8, 4)

    def forward(self, window: Tensor) -> Tensor:
        assert window.shape[2] == self.n_times
        return self.last(torch.relu(self.body(window)).mean(dim=2))


TINY = Encoder(Tiny, ("eda", "bvp"), 8.0, 20.0, ("wesad",), "tiny", unused=("head.",))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """The encoder, as rows ``tiny`` and ``tiny_untrained``."""
    for name, probe in encoder_probes("tiny", TINY).items():
        monkeypatch.setitem(PROBES, name, probe)
    return TINY


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of weights of the tiny encoder."""
    torch.manual_seed(7)
    path = tmp_path / "tiny.pth"
    torch.save(Tiny("ab", 160).state_dict(), path)
    return path
