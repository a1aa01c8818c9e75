"""What is computed of windows once: the same as every time anew, and shared by equal runs alone."""

import pytest
import torch

from datamodules import computed
from datamodules.batch import Front
from datamodules.computed import ComputedDataset, compute_once
from datamodules.synthetic import SyntheticDataModule
from datamodules.windows import WindowDataset


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(computed, "_kept", computed.OrderedDict())


class Means:
    """A front that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, signals):
        self.calls += 1
        return {f"mean of {name}": window.mean(dim=2) for name, window in signals.items()}


def datamodule(cache, **options):
    options = {"signals": ["eda", "temp"], "window": 30.0, "stride": 10.0, **options}
    module = SyntheticDataModule(
        cache_dir=cache, options={"n_subjects": 4, "phase": 60.0}, **options
    )
    module.prepare_data()
    module.setup()
    return module


def made(module, means, key="means", part="train"):
    return compute_once(module.dataset(part), Front(key, means), module.archive.key, 7)


def test_it_is_what_is_computed_of_each_window(tmp_path):
    module, means = datamodule(tmp_path), Means()
    windows = module.dataset("train")
    found = made(module, means)
    assert isinstance(found, ComputedDataset)
    assert len(found) == len(windows)
    assert means.calls == -(-len(windows) // 7)
    rows = torch.tensor([5, 0, len(windows) - 1, 5])
    batch, expected = found[rows], windows[rows]
    assert set(batch.signals) == {"mean of eda", "mean of temp"}
    for place, row in enumerate(rows.tolist()):
        for name in ("eda", "temp"):
            alone = windows[torch.tensor([row])].signals[name][0].mean(dim=1)
            torch.testing.assert_close(batch.signals[f"mean of {name}"][place], alone)
    for one, other in zip(batch[1:], expected[1:], strict=True):
        assert torch.equal(one, other)


def test_equal_runs_share_it(tmp_path):
    means = Means()
    first = made(datamodule(tmp_path), means)
    calls = means.calls
    second = made(datamodule(tmp_path, seed=0, chunk=4), means)
    assert means.calls == calls
    assert first.computed is second.computed


@pytest.mark.parametrize(
    "changes",
    [
        {"fold": 1},
        {"seed": 5},  # other validation subjects, so other training windows
        {"stride": 5.0},
        {"window": 20.0},
        {"scaling": "none"},
        {"scaling": "min_max"},
        {"signals": ["eda"]},
        {"key": "other"},
        {"part": "val"},
    ],
    ids=repr,
)
def test_others_do_not(tmp_path, changes):
    means = Means()
    made(datamodule(tmp_path), means)
    calls = means.calls
    how = {name: changes[name] for name in ("key", "part") if name in changes}
    module = datamodule(tmp_path, **{n: v for n, v in changes.items() if n not in how})
    found = made(module, means, **how)
    assert means.calls > calls
    anew = made(module, Means(), **{**how, "key": "of its own"})
    assert found.computed.keys() == anew.computed.keys()
    for name, values in found.computed.items():
        assert torch.equal(values, anew.computed[name])


def test_padding_and_mask_are_told_apart(tmp_path):
    module, means = datamodule(tmp_path), Means()
    counts = []
    for padding, mask in ((None, False), ("zero", False), ("zero", True), ("mean", False)):
        windows = module.dataset("train")
        windows.padding = padding
        windows.share = torch.full((len(windows), 1, 1), 0.5) if mask else None
        found = compute_once(windows, Front("means", means), module.archive.key, 7)
        assert ("mean of length" in found.computed) == mask
        counts.append(means.calls)
    assert counts == sorted(set(counts))


def test_what_is_too_much_is_not_kept(tmp_path, monkeypatch):
    module, means = datamodule(tmp_path), Means()
    monkeypatch.setattr(computed, "LIMIT", 8 * len(module.rows["train"]) - 1)
    assert isinstance(made(module, means), WindowDataset)
    assert means.calls == 1
    assert not computed._kept


def test_the_longest_unused_is_dropped(tmp_path, monkeypatch):
    modules = [datamodule(tmp_path, fold=fold) for fold in (0, 1, 2)]
    sizes = [8 * len(module.rows["train"]) for module in modules]
    monkeypatch.setattr(computed, "LIMIT", sum(sizes) - 1)
    means = Means()
    for module in (modules[0], modules[1], modules[0], modules[2]):
        made(module, means)
    assert len(computed._kept) == 2
    calls = means.calls
    made(modules[0], means)
    made(modules[2], means)
    assert means.calls == calls
    made(modules[1], means)
    assert means.calls > calls


def test_a_module_computes_for_training_and_choosing_alone(tmp_path):
    module, means = datamodule(tmp_path), Means()
    module.front = Front("means", means)
    assert set(next(iter(module.train_dataloader())).signals) == {"mean of eda", "mean of temp"}
    assert set(next(iter(module.val_dataloader())).signals) == {"mean of eda", "mean of temp"}
    assert set(next(iter(module.test_dataloader())).signals) == {"eda", "temp"}
    chunked = datamodule(tmp_path, chunk=3)
    chunked.front = module.front
    (one, *_) = next(iter(chunked.train_dataloader()))
    assert set(one.signals) == {"mean of eda", "mean of temp"}
