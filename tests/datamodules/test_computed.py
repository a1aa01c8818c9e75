"""What is measured of windows: once, as every time anew, and scaled for each fold."""

import pytest
import torch

from datamodules import computed
from datamodules.batch import Front
from datamodules.computed import ComputedDataset, measured_once
from datamodules.synthetic import SyntheticDataModule


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(computed, "_kept", computed.OrderedDict())


class Means:
    """A front: means of windows. It counts those that it measures."""

    def __init__(self) -> None:
        self.windows = 0

    def measure(self, signals):
        self.windows += len(next(iter(signals.values())))
        return {name: window.mean(dim=2) for name, window in signals.items()}

    def scaled(self, found, shift=None, scale=None):
        return {
            f"mean of {name}": (values - shift[name][:, 0]) / scale[name][:, 0]
            if shift and name in shift
            else values
            for name, values in found.items()
        }

    def front(self, key="means"):
        return Front(key, self.measure, self.scaled)


def datamodule(cache, front=None, **options):
    options = {"signals": ["eda", "temp"], "window": 30.0, "stride": 10.0, **options}
    module = SyntheticDataModule(
        cache_dir=cache, options={"n_subjects": 4, "phase": 60.0}, **options
    )
    module.prepare_data()
    module.setup()
    module.front = front
    return module


def batches(module, part):
    loader = {"train": module.train_dataloader, "val": module.val_dataloader}[part]()
    return list(loader)


@pytest.mark.parametrize("scaling", ["standard", "min_max", "none"])
@pytest.mark.parametrize("part", ["train", "val"])
def test_batches_are_what_the_front_makes_of_those_of_the_windows(tmp_path, part, scaling):
    means = Means()
    found = batches(datamodule(tmp_path, means.front(), scaling=scaling, fold=2), part)
    expected = batches(datamodule(tmp_path, scaling=scaling, fold=2), part)
    for one, other in zip(found, expected, strict=True):
        assert set(one.signals) == {"mean of eda", "mean of temp"}
        for name, window in other.signals.items():
            torch.testing.assert_close(
                one.signals[f"mean of {name}"], window.mean(dim=2), atol=1e-5, rtol=1e-5
            )
        assert all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


def test_folds_seeds_and_scalings_share_what_is_measured(tmp_path):
    means = Means()
    first = datamodule(tmp_path, means.front())
    for part in ("train", "val"):
        batches(first, part)
    everybody = len(first.grid("train"))  # and of val: a phase is a score unit
    assert means.windows == everybody
    for changes in ({"fold": 3}, {"seed": 5}, {"scaling": "none"}, {"chunk": 3}, {"batch_size": 9}):
        for part in ("train", "val"):
            batches(datamodule(tmp_path, means.front(), **changes), part)
        assert means.windows == everybody


@pytest.mark.parametrize(
    "changes",
    [{"stride": 5.0}, {"window": 20.0}, {"signals": ["eda"]}, {"options": 5}, {"key": "other"}],
    ids=repr,
)
def test_others_do_not(tmp_path, changes):
    means = Means()
    batches(datamodule(tmp_path, means.front()), "train")
    before = means.windows
    module = SyntheticDataModule(
        cache_dir=tmp_path,
        **{
            "signals": ["eda", "temp"],
            "window": 30.0,
            "stride": 10.0,
            **{name: value for name, value in changes.items() if name != "key"},
            "options": {"n_subjects": changes.get("options", 4), "phase": 60.0},
        },
    )
    module.prepare_data()
    module.setup()
    module.front = means.front(changes.get("key", "means"))
    batches(module, "train")
    assert means.windows - before == len(module.grid("train"))


def test_padded_trials_are_scaled_before_they_are_padded(tmp_path):
    means = Means()
    for fold in (0, 1):
        module = datamodule(tmp_path, means.front(), fold=fold)
        module.padding, before = "zero", means.windows
        found, expected = module._loader("train", None), module.dataset("train")
        assert means.windows - before == len(module.grid("train"))  # for this scaling alone
        for batch in found:
            for name, window in expected[batch.row].signals.items():
                torch.testing.assert_close(batch.signals[f"mean of {name}"], window.mean(dim=2))


def test_repeated_rows_are_repeated(tmp_path):
    module = datamodule(tmp_path, Means().front())
    module.rows["train"] = module.rows["train"][[3, 1, 3, 3]]
    (batch,) = module._loader("train", None)
    plain = module.dataset("train")[torch.arange(4)]
    torch.testing.assert_close(
        batch.signals["mean of eda"], plain.signals["eda"].mean(dim=2), atol=1e-5, rtol=1e-5
    )
    assert torch.equal(batch.target, plain.target)


def test_what_is_too_much_is_not_kept(tmp_path, monkeypatch):
    means = Means()
    module = datamodule(tmp_path, means.front())
    monkeypatch.setattr(computed, "LIMIT", 8 * len(module.grid("train")) - 1)
    assert set(batches(module, "train")[0].signals) == {"eda", "temp"}
    assert means.windows == computed.AT_ONCE
    assert not computed._kept


def test_the_longest_unused_is_dropped(tmp_path, monkeypatch):
    modules = [datamodule(tmp_path, stride=stride) for stride in (10.0, 15.0, 30.0)]
    monkeypatch.setattr(computed, "LIMIT", sum(8 * len(m.grid("train")) for m in modules) - 1)
    means = Means()

    def measured(number):
        module, before = modules[number], means.windows
        found = measured_once(module.dataset("train"), means.front(), module.archive.key)
        assert found is not None
        return means.windows > before

    assert [measured(number) for number in (0, 1, 0)] == [True, True, False]
    monkeypatch.setattr(computed, "LIMIT", sum(map(computed._size, computed._kept.values())))
    assert [measured(number) for number in (2, 0, 1)] == [True, False, True]


def test_a_module_computes_for_training_and_choosing_alone(tmp_path):
    module = datamodule(tmp_path, Means().front())
    assert isinstance(module.train_dataloader().dataset, ComputedDataset)
    assert set(next(iter(module.test_dataloader())).signals) == {"eda", "temp"}
    chunked = datamodule(tmp_path, Means().front(), chunk=3)
    (one, *_) = next(iter(chunked.train_dataloader()))
    assert set(one.signals) == {"mean of eda", "mean of temp"}
