"""Modality dropout: who is left out, how often, and that nothing else changes."""

import lightning as L
import pytest
import torch

from datamodules.batch import LENGTH, Batch
from datamodules.datamodule import EmotionDataModule, Loading, Selection
from datamodules.errors import IncompatibleRunError
from datamodules.fold import Windowing
from datamodules.synthetic import SYNTHETIC
from lightning_modules.cnn import CNN
from lightning_modules.distillation.base import Teacher
from lightning_modules.distillation.soft_targets import SoftTargets
from lightning_modules.modality_dropout import drop_signals, sensors
from lightning_modules.recipe import Recipe

WINDOWS = 20_000


def signals(*names):
    return {name: torch.ones(WINDOWS, 2, 3) for name in names}


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_each_sensor_is_left_out_as_often_as_said_and_never_all(probability):
    torch.manual_seed(0)
    before = signals("bvp", "eda", "temp")
    after = drop_signals(before, probability)
    gone = torch.stack([after[name][:, 0, 0] == 0 for name in ("bvp", "eda", "temp")])
    for name in before:
        assert (before[name] == 1).all()
        assert ((after[name] == 0).flatten(1).all(1) | (after[name] == 1).flatten(1).all(1)).all()
    assert not gone.all(dim=0).any()
    # all three at once come with p^3, and then each is kept in one of three cases
    expected = probability - probability**3 / 3
    assert gone.float().mean(dim=1).tolist() == pytest.approx([expected] * 3, abs=0.015)


def test_what_is_derived_of_a_sensor_is_gone_with_it():
    torch.manual_seed(0)
    assert sensors(["bvp_beats", "eda", "bvp", LENGTH]) == [["bvp", "bvp_beats"], ["eda"]]
    assert sensors(["chest_eda", "eda"]) == [["chest_eda"], ["eda"]]
    after = drop_signals(
        {**signals("bvp", "eda", "bvp_beats"), LENGTH: torch.ones(WINDOWS, 1, 1)}, 0.5
    )
    assert torch.equal(after["bvp"], after["bvp_beats"])
    assert (after["bvp"] != after["eda"]).any()
    assert (after[LENGTH] == 1).all()


@pytest.mark.parametrize("names", [("eda",), ("bvp", "bvp_beats")])
def test_one_sensor_alone_cannot_be_left_out(names):
    with pytest.raises(IncompatibleRunError, match="expected two signals or more"):
        drop_signals(signals(*names), 0.5)


@pytest.mark.parametrize("value", [-0.1, 1.0, True, "often"])
def test_a_probability_is_expected(value):
    with pytest.raises(ValueError, match="expected modality_dropout from 0 to below 1"):
        Recipe("", modality_dropout=value)


def test_the_mean_is_0_by_standard_scaling_alone():
    with pytest.raises(ValueError, match="expected scaling standard"):
        Recipe("", modality_dropout=0.5, scaling="min_max")


class Seen(CNN):
    """Keeps the signals of every batch that its loss is of."""

    def loss(self, batch: Batch):
        self.batches = [*getattr(self, "batches", []), (self.training, batch.signals)]
        return super().loss(batch)


def fitted(tmp_path, chunk=1, **recipe):
    L.seed_everything(1, verbose=False)
    module = EmotionDataModule(
        SYNTHETIC,
        selection=Selection(signals=["eda", "temp"], options={"n_subjects": 4, "phase": 60.0}),
        windowing=Windowing(30.0, 30.0),
        loading=Loading(8, chunk),
        cache_dir=tmp_path / "cache",
    )
    model = Seen(
        module.inputs, 2, recipe=Recipe("", window=30.0, stride=30.0, batch_size=8, **recipe)
    )
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, datamodule=module)
    return model, torch.rand(1)


@pytest.mark.parametrize("chunk", [1, 2])
def test_training_windows_lose_signals_and_others_none(chunk, tmp_path):
    model, _ = fitted(tmp_path, chunk, modality_dropout=0.5)
    lost = {True: 0, False: 0}
    for training, batch in model.batches:
        assert set(batch) == {"eda", "temp"}  # windows, of which rows are computed afterwards
        lost[training] += sum(int((s == 0).flatten(1).all(1).sum()) for s in batch.values())
    assert lost[True] > 0
    assert lost[False] == 0


def test_without_it_no_random_number_is_drawn(tmp_path):
    model, after = fitted(tmp_path)
    plain, again = fitted(tmp_path, modality_dropout=0.0)
    assert after == again
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)
    assert any(name.startswith("rows of ") for _, batch in model.batches for name in batch)


def test_a_student_of_a_teacher_sees_all_of_its_signals():
    inputs = {name: SYNTHETIC.window_inputs([name], 30.0)[name] for name in ("eda", "temp")}
    student = CNN(inputs, 2, recipe=Recipe("", modality_dropout=0.5))
    with pytest.raises(IncompatibleRunError, match="expected a student that sees all"):
        SoftTargets(student, ("eda", "temp"), (Teacher(CNN(inputs, 2), ("eda", "temp")),))
