"""choose_signals, and what EmotionClassifier logs and does to the learning rate."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.tuner import Tuner
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.utils.data import DataLoader

from datamodules.batch import LENGTH, Batch, SignalSpec
from datamodules.datamodule import EmotionDataModule, Loading, Selection
from datamodules.errors import IncompatibleRunError
from datamodules.fold import Windowing
from datamodules.protocol import Protocol
from datamodules.signals.recording import Recording
from datamodules.synthetic import SYNTHETIC, SyntheticReader
from lightning_modules.base import (
    EmotionClassifier,
    Output,
    balanced_weights,
    choose_signals,
)
from lightning_modules.cnn import CNN
from lightning_modules.recipe import Recipe

RECIPE = Recipe(source="this test", lr=0.05, lr_decay=0.5, max_epochs=2)
WEIGHTED = replace(RECIPE, balance="class_weights")
SIZES = (5, 5, 2)


class TinyNetwork(nn.Module):
    """One linear layer over three samples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        embedding = signals["eda"].flatten(1)
        return Output(self.layer(embedding), embedding)


class Tiny(EmotionClassifier):
    prefers = (("eda", "bvp"), ("ecg",))

    def __init__(self, recipe: Recipe = RECIPE) -> None:
        super().__init__(TinyNetwork(), 2, recipe)


def draw(seed: int, sizes: tuple[int, ...]) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for size in sizes:
        window = torch.randn(size, 1, 3, generator=generator) * size
        target = torch.randint(2, (size,), generator=generator)
        batches.append(Batch({"eda": window}, target, torch.zeros_like(target), target))
    return batches


class Counted(L.LightningDataModule):
    """Batches, and numbers of windows a class that may disagree with them."""

    def __init__(self, train: list[Batch], val: list[Batch], counts: list[int]) -> None:
        super().__init__()
        self.train, self.val, self.counts = train, val, counts

    def class_counts(self) -> Tensor:
        return torch.tensor(self.counts)

    def train_dataloader(self) -> DataLoader[Batch]:
        return loader(self.train)

    def val_dataloader(self) -> DataLoader[Batch]:
        return loader(self.val)


@dataclass(frozen=True)
class UnevenReader(SyntheticReader):
    """A reader that leaves out all stress but the first."""

    def read(self, subject: str) -> Iterator[Recording]:
        for recording in super().read(subject):
            kinds = [segment.annotations["condition"] for segment in recording.segments]
            first = kinds.index("stress")
            kept = [
                s for n, s in enumerate(recording.segments) if kinds[n] != "stress" or n == first
            ]
            yield replace(recording, segments=tuple(kept))


OPTIONS = {"n_subjects": 4, "phase": 60.0}


def loader(batches: list[Batch]) -> DataLoader[Batch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def make_trainer(epochs: int) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def fit(model: EmotionClassifier, train: list[Batch], val: list[Batch], epochs: int) -> L.Trainer:
    trainer = make_trainer(epochs)
    trainer.fit(model, loader(train), loader(val))
    return trainer


def window_loss(weight: Tensor, bias: Tensor, batch: Batch, row: int) -> Tensor:
    logits = weight @ batch.signals["eda"][row, 0] + bias
    return logits.exp().sum().log() - logits[batch.target[row]]


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (["eda", "bvp", "temp"], ("eda", "bvp")),
        (["bvp", "eda"], ("eda", "bvp")),
        (["ecg", "bvp"], ("bvp",)),
        (["ecg", "eeg"], ("ecg",)),
    ],
)
def test_the_first_alternative_with_any_signal_is_taken(
    available: list[str], expected: tuple[str, ...]
) -> None:
    assert choose_signals((("eda", "bvp"), ("ecg",)), available, "model") == expected
    assert Tiny.choose_signals(available) == expected


def test_without_preference_all_signals_are_taken() -> None:
    assert choose_signals((), ["temp", "eda"], "model") == ("temp", "eda")


def test_without_any_of_its_signals_it_says_what_it_takes() -> None:
    message = r"Tiny takes eda \+ bvp, then ecg; there is only eeg, temp"
    with pytest.raises(IncompatibleRunError, match=message):
        Tiny.choose_signals(["eeg", "temp"])


@pytest.mark.parametrize("epochs", [1, 2])
def test_loss_of_an_epoch_is_the_mean_over_its_windows(epochs: int) -> None:
    torch.manual_seed(0)
    model = Tiny()
    train, val = draw(1, SIZES), draw(2, (4, 1))
    weight, bias = (p.detach().clone().requires_grad_() for p in model.parameters())
    optimizer = torch.optim.Adam([weight, bias], lr=RECIPE.lr)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = RECIPE.lr * RECIPE.lr_decay**epoch
        total, means = 0.0, []
        for batch in train:
            losses = [window_loss(weight, bias, batch, row) for row in range(len(batch.target))]
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += sum(float(loss.detach()) for loss in losses)
            means.append(sum(float(loss.detach()) for loss in losses) / len(losses))
    with torch.no_grad():
        val_losses = [
            float(window_loss(weight, bias, batch, row))
            for batch in val
            for row in range(len(batch.target))
        ]
    logged = fit(model, train, val, epochs).callback_metrics
    assert float(logged["train_loss"]) == pytest.approx(total / sum(SIZES), rel=1e-4)
    assert float(logged["val_loss"]) == pytest.approx(sum(val_losses) / 5, rel=1e-4)
    assert abs(sum(means) / len(means) - total / sum(SIZES)) > 1e-2  # the sizes of batches matter


def test_macro_f1_of_an_epoch_is_over_all_its_windows() -> None:
    """The mean over batches would be another value."""
    torch.manual_seed(0)
    model = Tiny(Recipe(source="this test", lr=1e-30))
    val = draw(3, (6, 4, 1))
    logged = fit(model, draw(1, SIZES), val, 1).callback_metrics
    with torch.no_grad():
        predicted = torch.cat([model(batch.signals).logits.argmax(dim=1) for batch in val])
    target = torch.cat([batch.target for batch in val])
    f1 = []
    for k in range(2):
        hits = int(((predicted == k) & (target == k)).sum())
        f1.append(2 * hits / int((predicted == k).sum() + (target == k).sum()))
    assert float(logged["val_macro_f1"]) == pytest.approx(sum(f1) / 2, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_learning_rate_decays_once_an_epoch(optimizer: str) -> None:
    recipe = Recipe(
        source="this test",
        optimizer=optimizer,  # type: ignore[arg-type]
        lr=0.04,
        lr_decay=0.95,
        weight_decay=0.1,
    )
    trainer = fit(Tiny(recipe), draw(1, SIZES), draw(2, (4,)), 2)
    (group,) = trainer.optimizers[0].param_groups
    assert group["lr"] == pytest.approx(0.04 * 0.95**2)
    assert group["weight_decay"] == 0.1
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    assert type(trainer.optimizers[0]) is kind


def test_predictions_are_probabilities() -> None:
    (batch,) = draw(1, (5,))
    probabilities = Tiny().predict_step(batch, 0)
    assert probabilities.shape == (5, 2)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(5))


@pytest.mark.parametrize("counts", [[7, 3], [5, 5], [0, 4], [1, 999, 0, 50]])
def test_class_weights_against_a_loop(counts: list[int]) -> None:
    expected = [sum(counts) / (len(counts) * n) if n else 0.0 for n in counts]
    assert balanced_weights(torch.tensor(counts)).tolist() == pytest.approx(expected)


def test_class_weights_weigh_the_training_loss_alone() -> None:
    """Against torch's own weighted loss, and a plain loop over windows."""
    torch.manual_seed(0)
    model = Tiny(WEIGHTED)
    names = set(model.state_dict())
    weight, bias = (p.detach().clone() for p in model.parameters())
    (batch,), val = draw(1, (8,)), draw(2, (4, 1))
    counts = [30, 10]
    trainer = make_trainer(1)
    trainer.fit(model, datamodule=Counted([batch], val, counts))
    logged = trainer.callback_metrics
    class_weights = [40 / (2 * n) for n in counts]
    losses = [float(window_loss(weight, bias, batch, row)) for row in range(8)]
    weights = [class_weights[k] for k in batch.target.tolist()]
    total = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    logits = batch.signals["eda"].flatten(1) @ weight.T + bias
    torchs = nn.functional.cross_entropy(logits, batch.target, torch.tensor(class_weights))
    assert float(logged["train_loss"]) == pytest.approx(total, rel=1e-5)
    assert float(logged["train_loss"]) == pytest.approx(float(torchs), rel=1e-5)
    assert abs(sum(losses) / 8 - total) > 1e-2
    with torch.no_grad():
        weight, bias = model.parameters()
        plain = [float(window_loss(weight, bias, b, row)) for b in val for row in range(len(b[1]))]
    assert float(logged["val_loss"]) == pytest.approx(sum(plain) / 5, rel=1e-4)
    assert set(model.state_dict()) == names


def test_class_weights_come_from_the_training_windows_of_a_dataset(tmp_path: Path) -> None:
    module = EmotionDataModule(
        replace(SYNTHETIC, reader=UnevenReader),
        selection=Selection(signals=["temp"], options=OPTIONS),
        protocol=Protocol("subject_hold_out"),
        windowing=Windowing(30.0, 30.0),
        cache_dir=tmp_path,
    )

    class Warm(EmotionClassifier):
        def __init__(self) -> None:
            super().__init__(nn.Module(), 2, WEIGHTED)
            self.layer = nn.Linear(120, 2)

        def forward(self, signals: Mapping[str, Tensor]) -> Output:
            embedding = signals["temp"].flatten(1)
            return Output(self.layer(embedding), embedding)

    model = Warm()
    make_trainer(1).fit(model, datamodule=module)
    target = torch.cat([batch.target for batch in module.train_dataloader()])
    n_windows, n_stress = len(target), int(target.sum())
    assert n_windows == 5 * n_stress
    assert model.class_weights is not None
    assert model.class_weights.tolist() == pytest.approx([5 / 8, 5 / 2])


def test_class_weights_need_a_datamodule_that_counts() -> None:
    with pytest.raises(IncompatibleRunError, match="datamodule with class_counts, found none"):
        fit(Tiny(WEIGHTED), draw(1, SIZES), draw(2, (4,)), 1)
    batches = draw(1, SIZES)
    plain = L.LightningDataModule.from_datasets(batches, batches, batch_size=None)  # type: ignore[arg-type]
    with pytest.raises(IncompatibleRunError, match="found LightningDataModule"):
        make_trainer(1).fit(Tiny(WEIGHTED), datamodule=plain)


def test_without_class_weights_a_datamodule_is_not_asked() -> None:
    model = Tiny()
    module = Counted(draw(1, SIZES), draw(2, (4,)), [1, 99])
    make_trainer(1).fit(model, datamodule=module)
    assert model.class_weights is None


def test_a_mask_is_refused_unless_the_model_says_that_it_takes_one() -> None:
    class Masked(Tiny):
        masks = True

    inputs = {"eda": SignalSpec(1, 3, 1.0), LENGTH: SignalSpec(1, 1, 1 / 3600)}
    Masked.check_inputs(inputs)
    Tiny.check_inputs({"eda": inputs["eda"]})
    with pytest.raises(IncompatibleRunError, match=r"Tiny takes no mask: .* found eda, length"):
        Tiny.check_inputs(inputs)


def test_chunks_are_refused_where_weights_are_cast(tmp_path: Path) -> None:
    module = EmotionDataModule(
        SYNTHETIC,
        selection=Selection(signals=["eda"], options=OPTIONS),
        loading=Loading(chunk=4),
        cache_dir=tmp_path,
    )
    model = CNN(dict(module.inputs), module.n_classes)
    trainer = L.Trainer(
        accelerator="cpu", precision="bf16-mixed", max_epochs=1, logger=False, barebones=True
    )
    with pytest.raises(IncompatibleRunError, match=r"expected precision 32-true.* chunk=1"):
        trainer.fit(model, datamodule=module)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_steps_in_chunks_change_no_bit(tmp_path: Path, optimizer: str) -> None:
    class Dropping(EmotionClassifier):
        def __init__(self) -> None:
            recipe = replace(RECIPE, optimizer=optimizer, momentum=0.5, max_epochs=3)  # type: ignore[arg-type]
            super().__init__(nn.Module(), 2, recipe)
            self.layers = nn.Sequential(nn.Dropout(0.5), nn.Linear(120, 4), nn.BatchNorm1d(4))
            self.last = nn.Linear(4, 2)

        def forward(self, signals: Mapping[str, Tensor]) -> Output:
            embedding = self.layers(signals["temp"].flatten(1))
            return Output(self.last(embedding), embedding)

    def trained(chunk: int) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
        module = EmotionDataModule(
            SYNTHETIC,
            selection=Selection(signals=["temp"], options=OPTIONS),
            windowing=Windowing(30.0, 5.0),
            loading=Loading(batch_size=8, chunk=chunk),
            cache_dir=tmp_path,
        )
        torch.manual_seed(3)
        model, trainer = Dropping(), make_trainer(3)
        trainer.fit(model, datamodule=module)
        return model.state_dict(), dict(trainer.callback_metrics), trainer.global_step

    weights, logged, steps = trained(1)
    for chunk in (4, 1000):
        same, as_logged, fewer = trained(chunk)
        assert 0 < fewer < steps
        assert all(torch.equal(weights[name], same[name]) for name in weights)
        assert logged == as_logged


# --- testing, as in trainer.test


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return EmotionDataModule.for_recipe(
        replace(CNN.fast, window=30.0, stride=30.0, max_epochs=1),
        SYNTHETIC,
        selection=Selection("stress", ["eda"], options={"n_subjects": 6}),
        protocol=Protocol("subject_k_fold", folds=2),
        cache_dir=tmp_path_factory.mktemp("cache"),
    )


def quiet(epochs: int = 1, **arguments: Any) -> L.Trainer:
    return L.Trainer(
        **arguments,
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_a_test_gives_the_scores_of_the_boards(synthetic):
    torch.manual_seed(1)
    model = CNN(synthetic.inputs, synthetic.n_classes, recipe=CNN.fast)
    (logged,) = quiet().test(model, datamodule=synthetic, verbose=False)
    summed: dict[tuple[str, int, int], np.ndarray] = {}
    labels: dict[tuple[str, int, int], int] = {}
    windows, row = synthetic.windows("test"), 0
    for batch in synthetic.test_dataloader():
        for p in model.eval()(batch.signals).logits.softmax(dim=1).detach().numpy():
            key = (synthetic.subjects[windows.subject[row]], windows.trial[row], windows.unit[row])
            summed[key] = summed.get(key, 0) + p
            labels[key] = int(windows.target[row])
            row += 1
    assert len(summed) == row / 2  # windows of 30 s in units of 60 s
    of_subjects = {}
    for subject in {subject for subject, _, _ in summed}:
        keys = [key for key in summed if key[0] == subject]
        truth, told = [labels[k] for k in keys], [int(summed[k].argmax()) for k in keys]
        of_subjects[subject] = f1_score(truth, told, average="macro")
        assert logged[f"test_macro_f1/{subject}"] == pytest.approx(of_subjects[subject])
    assert len(of_subjects) == 3
    assert logged["test_macro_f1"] == pytest.approx(np.mean(list(of_subjects.values())))
    again = quiet().test(model, datamodule=synthetic, verbose=False)[0]
    assert again == logged


def test_a_test_wants_to_know_whose_windows_they_are(synthetic):
    model = CNN(synthetic.inputs, synthetic.n_classes, recipe=CNN.fast)
    with pytest.raises(IncompatibleRunError, match=r"found loaders\. Test with datamodule="):
        quiet().test(model, synthetic.test_dataloader(), verbose=False)


def warned(caplog) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "lightning_modules.base"]


def test_a_datamodule_for_another_recipe_is_named(synthetic, caplog):
    recipe = replace(CNN.fast, window=30.0, stride=30.0, max_epochs=1)
    quiet().fit(CNN(synthetic.inputs, synthetic.n_classes, recipe=recipe), datamodule=synthetic)
    assert not warned(caplog)
    other = replace(recipe, window=20.0, balance="oversample")
    quiet().fit(CNN(synthetic.inputs, synthetic.n_classes, recipe=other), datamodule=synthetic)
    (record,) = warned(caplog)
    assert "window 20.0 and 30.0, oversampling True and False" in record.getMessage()


def test_folds_are_counted_before_a_file_is_read(synthetic):
    assert synthetic.n_folds == 2


# --- what else a Trainer may be asked for


class Rows(L.Callback):
    """Rows of the batches of each epoch."""

    def __init__(self) -> None:
        self.train: list[list[int]] = []
        self.val: list[list[int]] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.train.append(batch.row.tolist())

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.val.append(batch.row.tolist())


def small(module: EmotionDataModule) -> tuple[EmotionDataModule, CNN]:
    """The same windows in batches of 8, and a model for them."""
    recipe = replace(CNN.fast, window=30.0, stride=30.0, batch_size=8)
    other = EmotionDataModule.for_recipe(
        recipe,
        module.dataset,
        selection=module.selection,
        protocol=module.protocol,
        cache_dir=module.folder.parent,
    )
    return other, CNN(other.inputs, other.n_classes, recipe=recipe)


def test_a_trainer_may_overfit_a_few_batches(synthetic):
    module, model = small(synthetic)
    rows = Rows()
    quiet(2, overfit_batches=2, num_sanity_val_steps=0, callbacks=[rows]).fit(model, module)
    first, again = rows.train[:2], rows.train[2:]
    assert [len(batch) for batch in first] == [8, 8]
    assert first == again
    drawn = list(chain(*first))
    assert len(set(drawn)) == 16
    assert drawn != sorted(drawn)  # the first windows alone are one person's
    assert rows.val[:2] == rows.val[2:] == [[*range(8)], [*range(8, 16)]]
    plain = Rows()
    quiet(2, num_sanity_val_steps=0, callbacks=[plain]).fit(model, module)
    n = len(plain.train) // 2
    assert plain.train[:n] != plain.train[n:]


def test_a_model_is_fitted_on_loaders_of_ones_own(synthetic):
    module, model = small(synthetic)
    module.prepare_data()
    module.setup()
    loaders = [
        DataLoader(module.gathered(part), batch_size=16, shuffle=part == "train")
        for part in ("train", "val")
    ]
    rows = Rows()
    trainer = quiet(num_sanity_val_steps=0, callbacks=[rows])
    trainer.fit(model, *loaders)
    assert len(rows.train[0]) == 16
    assert sorted(chain(*rows.train)) == list(range(len(module.windows("train"))))
    assert list(chain(*rows.val)) == list(range(len(module.windows("val"))))
    with torch.no_grad():
        windows = module.gathered("val")[torch.arange(len(module.windows("val")))]
        predicted = model.eval()(windows.signals).logits.argmax(dim=1)
    expected = f1_score(windows.target, predicted, average="macro")
    assert float(trainer.callback_metrics["val_macro_f1"]) == pytest.approx(expected)


def test_a_learning_rate_is_looked_for(synthetic, tmp_path):
    module, model = small(synthetic)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    tuner = Tuner(quiet(2, default_root_dir=tmp_path))  # 24 steps
    finder = tuner.lr_find(
        model, datamodule=module, num_training=20, early_stop_threshold=None, update_attr=False
    )
    assert finder is not None
    rates = finder.results["lr"]
    assert len(rates) == len(finder.results["loss"]) == 20
    assert min(rates) <= finder.suggestion() <= max(rates)
    assert model.recipe.lr == CNN.fast.lr
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
