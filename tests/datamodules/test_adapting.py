"""Batch normalisation by groups of windows, against a plain loop over windows."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from datamodules.adapting import PRIOR, PersonalNorms
from datamodules.batch import Batch
from datamodules.datamodule import EmotionDataModule
from datamodules.synthetic import SYNTHETIC
from tests.datamodules.as_recorded import as_recorded

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


class OneNorm(L.LightningModule):
    """A layer of normalisation on one signal; predictions are its output."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1, affine=False)
        assert self.norm.running_mean is not None
        self.norm.running_mean.fill_(0.3)

    def forward(self, signals: Mapping[str, Tensor]) -> Tensor:
        out: Tensor = self.norm(signals["eda"])
        return out

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        out: Tensor = self(batch.signals)
        return out


@pytest.mark.parametrize("calibration", ["none", "baseline:1", "unlabelled", "whole"])
def test_a_trainer_predicts_each_person_by_their_own_windows(
    build: Callable[..., EmotionDataModule], tmp_path: Path, calibration: str
) -> None:
    """Windows of several tested people share batches."""
    module = build(
        SYNTHETIC,
        signals=("eda",),
        options={"n_subjects": 5, "phase": 120.0},
        split="subject_k_fold",
        folds=2,
        calibration=calibration,
        window=30.0,
        batch_size=7,
        cache_dir=tmp_path,
    )
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        predicted = trainer.predict(OneNorm(), datamodule=module)
    assert predicted
    out = torch.cat([torch.as_tensor(part) for part in predicted]).double().numpy()
    windows = module.gathered("test")[torch.arange(len(out))].signals["eda"].double().numpy()
    index, fold = module.windows("test"), module.fold
    assert len(np.unique(index.subject)) > 1
    resting = np.empty((0, 1, windows.shape[2]))
    if calibration == "baseline:1":
        raw = as_recorded(module, fold.resting_windows)
        raw_windows = raw[torch.arange(len(fold.resting_windows))].signals["eda"].double().numpy()
        scaling = fold.personal_scaling(fold.resting_windows)
        resting = (raw_windows - scaling.mean["eda"].numpy()) / scaling.std["eda"].numpy()
    for row in range(len(out)):
        of_person = np.flatnonzero(index.subject == index.subject[row])
        seen = {
            "none": windows[:0],
            "baseline:1": resting[fold.resting_windows.subject == index.subject[row]]
            if len(resting)
            else resting,
            "unlabelled": windows[of_person[of_person <= row]],
            "whole": windows[of_person],
        }[calibration]
        n = len(seen)
        assert (n > 0) == (calibration != "none")
        values = seen if n else np.zeros(1)
        mean = (PRIOR * 0.3 + n * values.mean()) / (PRIOR + n)
        square = (PRIOR * (1.0 + 0.3**2) + n * (values**2).mean()) / (PRIOR + n)
        expected = (windows[row] - mean) / np.sqrt(square - mean**2 + 1e-5)
        assert out[row] == pytest.approx(expected, abs=1e-4)
