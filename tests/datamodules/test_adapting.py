"""Batch normalisation by groups of windows, against a plain loop over windows."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datamodules.adapting import PRIOR, PersonalNorms

GROUPS = [0, 0, 0, 1, 1, 2, 2, 2, 2]


class Small(nn.Module):
    """Two layers of normalisation, the second called twice, on maps and on vectors a row."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm1d(2)
        self.second = nn.BatchNorm1d(3, affine=False)
        self.mix = nn.Linear(2, 3)
        with torch.no_grad():
            for norm in (self.first, self.second):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2.0)
            self.first.weight.normal_()
            self.first.bias.normal_()

    def forward(self, signals: dict[str, Tensor]) -> Tensor:
        maps = self.first(signals["eda"])  # (B, 2, T)
        rows = self.mix(maps.transpose(1, 2))  # (B, T, 3)
        for _ in range(2):
            rows = self.second(rows.flatten(0, 1).relu()).unflatten(0, rows.shape[:2])
        return rows.mean(dim=1)


@pytest.fixture
def network() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture
def windows() -> Tensor:
    torch.manual_seed(1)
    levels = torch.tensor(GROUPS)[:, None, None] * 3.0
    return torch.randn(len(GROUPS), 2, 5) + levels


def by_hand(network: Small, windows: Tensor, running: bool) -> np.ndarray:
    """Return the output of each window, layer by layer, each normalised by its own group."""

    def normalized(norm: nn.BatchNorm1d, maps: np.ndarray) -> np.ndarray:
        """Maps (B, P, D), of P positions each."""
        mean, variance = norm.running_mean.double().numpy(), norm.running_var.double().numpy()
        out = np.empty_like(maps)
        for row, group in enumerate(GROUPS):
            same = [r for r in range(len(GROUPS)) if GROUPS[r] == group]
            seen = [r for r in same if r <= row] if running else same
            n, values = len(seen), maps[seen].reshape(-1, maps.shape[2])
            m = (PRIOR * mean + n * values.mean(axis=0)) / (PRIOR + n)
            second = (PRIOR * (variance + mean**2) + n * (values**2).mean(axis=0)) / (PRIOR + n)
            out[row] = (maps[row] - m) / np.sqrt(second - m**2 + norm.eps)
        if norm.affine:
            out = out * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        return out

    rows = normalized(network.first, windows.double().numpy().transpose(0, 2, 1))
    rows = rows @ network.mix.weight.detach().numpy().T + network.mix.bias.detach().numpy()
    for _ in range(2):
        rows = normalized(network.second, np.maximum(rows, 0.0))
    return rows.mean(axis=1)


@pytest.mark.parametrize("size", [1, 2, 4, 9])
@pytest.mark.parametrize("running", [True, False])
def test_every_group_is_normalised_by_its_own_windows(
    network: Small, windows: Tensor, running: bool, size: int
) -> None:
    norms = PersonalNorms(network, running)
    groups = torch.tensor(GROUPS)
    if not running:
        for group in range(3):
            norms.measure(group, {"eda": windows[groups == group]})
    parts = []
    with torch.no_grad():
        for rows in torch.arange(len(GROUPS)).split(size):
            norms.expect(groups[rows])
            parts.append(network({"eda": windows[rows]}))
    expected = by_hand(network, windows, running)
    assert torch.cat(parts).numpy() == pytest.approx(expected, abs=1e-5)


def test_the_network_is_left_as_it_was(network: Small, windows: Tensor) -> None:
    state = {name: values.clone() for name, values in network.state_dict().items()}
    with torch.no_grad():
        before = network({"eda": windows})
        norms = PersonalNorms(network, running=True)
        norms.expect(torch.tensor(GROUPS))
        assert not torch.allclose(network({"eda": windows}), before, atol=1e-3)
        norms.remove()
        assert torch.equal(network({"eda": windows}), before)
    for name, values in network.state_dict().items():
        assert torch.equal(values, state[name])


def test_a_network_without_such_layers_has_nothing_to_adapt(network: Small) -> None:
    assert PersonalNorms(network, running=False)
    for other in (nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False), nn.LayerNorm(2)):
        assert not PersonalNorms(other, running=False)
