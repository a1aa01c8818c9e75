"""Features of windows: measured once, equal to those measured anew, and scaled for each fold."""

import lightning as L
import pytest
import torch

from datamodules.batch import LENGTH, Front
from datamodules.computed import AT_ONCE, ComputedDataset, measured_once
from datamodules.noise import NOISE
from datamodules.synthetic import SYNTHETIC

pytestmark = pytest.mark.usefixtures("resident")


class Means:
    """A front: means of windows. It counts those that it measures."""

    def __init__(self) -> None:
        self.windows = 0

    def measure(self, signals):
        self.windows += len(next(iter(signals.values())))
        return {name: window.mean(dim=2) for name, window in signals.items()}

    def scaled(self, measured, shift=None, scale=None):
        return {
            f"mean of {name}": (values - shift[name][:, 0]) / scale[name][:, 0]
            if shift and name in shift
            else values
            for name, values in measured.items()
        }

    def front(self, key="means"):
        return Front(key, self.measure, self.scaled)


class Model(L.LightningModule):
    """A model that only has a front, or None."""

    def __init__(self, front):
        super().__init__()
        self.front = front


@pytest.fixture
def datamodule(build, tmp_path):
    """Set up, in a trainer that fits a model with a front."""

    def make(front=None, dataset=SYNTHETIC, **changes):
        arguments = {
            "signals": ["eda", "temp"],
            "window": 30.0,
            "stride": 10.0,
            "cache_dir": tmp_path,
            "options": {"n_subjects": 4, "phase": 60.0},
            **changes,
        }
        module = build(dataset, **arguments)
        module.prepare_data()
        module.setup()
        module.trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
        module.trainer.strategy.connect(Model(front))
        return module

    return make


def batches(module, part):
    loader = {"train": module.train_dataloader, "val": module.val_dataloader}[part]()
    return list(loader)


@pytest.mark.parametrize("scaling", ["standard", "min_max", "none"])
@pytest.mark.parametrize("part", ["train", "val"])
def test_batches_are_what_the_front_makes_of_those_of_the_windows(datamodule, part, scaling):
    means = Means()
    computed = batches(datamodule(means.front(), scaling=scaling, fold=2), part)
    expected = batches(datamodule(scaling=scaling, fold=2), part)
    for one, other in zip(computed, expected, strict=True):
        assert set(one.signals) == {"mean of eda", "mean of temp"}
        for name, window in other.signals.items():
            torch.testing.assert_close(
                one.signals[f"mean of {name}"], window.mean(dim=2), atol=1e-5, rtol=1e-5
            )
        assert all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


def test_folds_seeds_and_scalings_share_what_is_measured(datamodule):
    means = Means()
    first = datamodule(means.front())
    for part in ("train", "val"):
        batches(first, part)
    everybody = len(first.fold.grid("train"))  # and of val: a phase is a score unit
    assert means.windows == everybody
    for changes in ({"fold": 3}, {"seed": 5}, {"scaling": "none"}, {"chunk": 3}, {"batch_size": 9}):
        for part in ("train", "val"):
            batches(datamodule(means.front(), **changes), part)
        assert means.windows == everybody


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"stride": 5.0}, "means"),
        ({"window": 20.0}, "means"),
        ({"signals": ["eda"]}, "means"),
        ({"options": {"n_subjects": 5, "phase": 60.0}}, "means"),
        ({}, "other"),
    ],
    ids=str,
)
def test_others_do_not(datamodule, changes, key):
    means = Means()
    batches(datamodule(means.front()), "train")
    before = means.windows
    module = datamodule(means.front(key), **changes)
    batches(module, "train")
    assert means.windows - before == len(module.fold.grid("train"))


def test_padded_trials_are_scaled_before_they_are_padded(datamodule):
    means = Means()
    for fold in (0, 1):
        before = means.windows
        module = datamodule(
            means.front(),
            NOISE,
            signals=["eeg_de"],
            options={"n_subjects": 4},
            padding="zero",
            mask=True,
            fold=fold,
        )
        computed, expected = module.train_dataloader(), module.gathered("train")
        assert means.windows - before == len(module.fold.grid("train"))  # for this scaling alone
        for batch in computed:
            assert set(batch.signals) == {"mean of eeg_de", f"mean of {LENGTH}"}
            for name, window in expected[batch.row].signals.items():
                torch.testing.assert_close(batch.signals[f"mean of {name}"], window.mean(dim=2))


def test_repeated_rows_are_repeated(datamodule):
    module = datamodule(Means().front())
    module.fold.rows["train"] = module.fold.rows["train"][[3, 1, 3, 3]]
    (batch,) = module._loader("train", None)
    plain = module.gathered("train")[torch.arange(4)]
    torch.testing.assert_close(
        batch.signals["mean of eda"], plain.signals["eda"].mean(dim=2), atol=1e-5, rtol=1e-5
    )
    assert torch.equal(batch.target, plain.target)


def test_what_is_too_much_is_not_kept(datamodule, resident, monkeypatch):
    means = Means()
    module = datamodule(means.front())
    size = 8 * len(module.fold.grid("train"))
    monkeypatch.setattr(resident.features, "limit", size - 1)
    assert set(batches(module, "train")[0].signals) == {"eda", "temp"}
    assert means.windows == AT_ONCE
    assert len(resident.features) == 0
    monkeypatch.setattr(resident.features, "limit", size)
    assert set(batches(module, "train")[0].signals) == {"mean of eda", "mean of temp"}
    assert len(resident.features) == 1


def test_the_longest_unused_is_dropped(datamodule, resident, monkeypatch):
    modules = [datamodule(stride=stride) for stride in (10.0, 15.0, 30.0)]
    sizes = [8 * len(module.windows("train")) for module in modules]
    monkeypatch.setattr(resident.features, "limit", sum(sizes) - 1)
    means = Means()

    def measured(number):
        module, before = modules[number], means.windows
        kept = measured_once(module.gathered("train"), means.front(), module.fold.archive.key)
        assert kept is not None
        return means.windows > before

    assert [measured(number) for number in (0, 1, 0)] == [True, True, False]
    # All three do not fit; the second was used longest ago.
    assert [measured(number) for number in (2, 0, 1)] == [True, False, True]


def test_a_module_computes_for_training_and_choosing_alone(datamodule):
    module = datamodule(Means().front())
    assert isinstance(module.train_dataloader().dataset, ComputedDataset)
    assert set(next(iter(module.test_dataloader())).signals) == {"eda", "temp"}
    chunked = datamodule(Means().front(), chunk=3)
    (one, *_) = next(iter(chunked.train_dataloader()))
    assert set(one.signals) == {"mean of eda", "mean of temp"}
