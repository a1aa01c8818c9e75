"""Every distiller keeps teachers apart from the module, and their signals from the student."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from sklearn.metrics import log_loss
from torch.nn import functional as F

from datamodules.batch import LENGTH, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.cnn import CNN
from lightning_modules.distillation import base
from lightning_modules.distillation.base import Teacher
from lightning_modules.distillation.controls import MoreEpochs, SelfDistillation
from lightning_modules.distillation.soft_targets import SoftTargets
from lightning_modules.dnn import DNN
from lightning_modules.emotionkd import EmotionKDStudent, kernel_penalty
from lightning_modules.recipe import Recipe

TAUGHT = [name for name, kind in DISTILLERS.items() if kind.n_teachers]
EDA = SignalSpec(1, 240, 4.0)
BVP = SignalSpec(1, 3840, 64.0)


def built(name, student, teacher, **options):
    kind = DISTILLERS[name]
    return kind(student, ("eda",), (teacher,) if kind.n_teachers else (), **options)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


@pytest.mark.parametrize("name", DISTILLERS)
def test_it_trains_the_students_own_network_and_leaves_teachers_as_they_are(name, distilling):
    student, teacher = distilling.pair(width=5)
    before, own = copied(teacher.model), copied(student)
    model = built(name, student, teacher)
    assert model.network is student.network
    assert model.recipe is student.recipe
    trainer = distilling.fit(model, distilling.made_up(), 2)
    assert same(copied(teacher.model), before)  # buffers included
    assert not same(copied(student), own)
    assert trainer.current_epoch == 2
    for metric in ("train_loss", "train_macro_f1", "val_loss", "val_macro_f1"):
        assert torch.isfinite(trainer.callback_metrics[metric])


@pytest.mark.parametrize("name", DISTILLERS)
def test_in_bfloat16_weights_and_losses_stay_in_float32(name, distilling):
    weights = {}
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(4)
        student, teacher = distilling.pair(
            width=5, recipe=replace(distilling.RECIPE, precision=precision)
        )
        trainer = distilling.fit(built(name, student, teacher), distilling.made_up(), 1)
        assert trainer.callback_metrics["train_loss"].dtype == torch.float32
        weights[precision] = copied(student)
    assert not same(*weights.values())
    for name, weight in weights["bf16-mixed"].items():
        assert weight.dtype == weights["32-true"][name].dtype
        assert torch.isfinite(weight).all()


@pytest.mark.parametrize("name", ["soft_targets", "label_smoothing"])
def test_the_curves_have_the_terms_of_the_loss(name, distilling):
    student, teacher = distilling.pair(recipe=replace(distilling.RECIPE, batch_size=64))
    module = distilling.made_up(batch_size=64)  # one step, so all is said with the first weights
    batch = module.train_dataloader().dataset[torch.arange(64)]
    with torch.no_grad():
        said = student.train()(batch.signals).logits.double().softmax(dim=1).numpy()
        taught = teacher.model.eval()(batch.signals).logits.double().softmax(dim=1).numpy()
    trainer = distilling.fit(built(name, student, teacher), module, 1)
    found = {n: float(value) for n, value in trainer.callback_metrics.items()}
    target = batch.target.numpy()
    assert found["train_cross_entropy"] == pytest.approx(log_loss(target, said), rel=1e-5)
    if DISTILLERS[name].n_teachers:
        wanted = rel_entr(taught, said).sum(axis=1).mean()
        assert found["train_divergence"] == pytest.approx(wanted, rel=1e-4)
    else:
        assert "train_divergence" not in found


@pytest.mark.parametrize("name", TAUGHT)
def test_teachers_are_no_part_of_the_module(name, distilling):
    student, teacher = distilling.pair(width=5)
    model = built(name, student, teacher)
    distilling.fit(model, distilling.made_up(), 1)
    taught = {id(parameter) for parameter in teacher.model.parameters()}
    taught |= {id(p) for t in model.teachers for p in t.model.parameters()}
    assert taught.isdisjoint(id(parameter) for parameter in model.parameters())
    extra = {key.partition(".")[0] for key in model.state_dict()} - {"network"}
    assert extra <= {"project"}
    assert not any(module.training for module in model.teachers[0].model.modules())


@pytest.mark.parametrize("name", DISTILLERS)
def test_the_student_is_deaf_to_the_teachers_signals(name, distilling):
    student, teacher = distilling.pair()
    model = built(name, student, teacher)
    module = distilling.made_up()
    distilling.fit(model, module, 1)
    batch = module.train_dataloader().dataset[torch.arange(9)]
    noise = {"eda": batch.signals["eda"], "eeg": torch.randn(9, 1, 2) * 1e6}
    alone = {"eda": batch.signals["eda"]}
    model.eval()
    with torch.no_grad():
        expected = student.eval()(alone).logits
        for signals in (batch.signals, noise, alone):
            found = batch._replace(signals=signals)
            assert torch.equal(model(signals).logits, expected)
            assert torch.equal(model.predict_step(found, 0), expected.softmax(dim=1))
            loss, logits = model.loss(found)
            assert torch.equal(logits, expected)
            torch.testing.assert_close(loss, F.cross_entropy(expected, batch.target))


@pytest.mark.parametrize("name", DISTILLERS)
def test_its_checkpoint_is_the_students(name, distilling, tmp_path):
    student, teacher = distilling.pair(width=5)
    model = built(name, student, teacher)
    trainer = distilling.fit(model, distilling.made_up(), 1)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    again = type(student).load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    assert same(copied(again), copied(student))


def test_signals_are_scaled_for_the_teacher(distilling):
    _, teacher = distilling.pair()
    signals = {"eda": torch.randn(4, 1, 3), "eeg": torch.randn(4, 1, 2), "temp": torch.zeros(4)}
    raw = {"eda": signals["eda"] * 2 + 5, "eeg": signals["eeg"]}
    scaled = replace(
        teacher, shift={"eda": torch.tensor([[5.0]])}, scale={"eda": torch.tensor([[2.0]])}
    )
    scaled.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(scaled(signals).logits, teacher.model(raw).logits)
        assert not torch.equal(teacher(signals).logits, scaled(signals).logits)
        assert torch.equal(teacher(signals).logits, teacher.model(signals).logits)


def test_a_mask_reaches_teacher_and_student(distilling):
    student, teacher = distilling.pair()
    seen = []
    for network in (student.network, teacher.model.network):
        network.register_forward_pre_hook(lambda _, given: seen.append(set(given[0])))
    signals = {"eda": torch.randn(4, 1, 3), "eeg": torch.randn(4, 1, 2)}
    signals[LENGTH] = torch.ones(4, 1, 1)
    SoftTargets(student, ("eda",), (teacher,))(signals)
    teacher(signals)
    assert seen == [{"eda", LENGTH}, {"eda", "eeg", LENGTH}]


def test_answers_are_kept_in_the_order_of_the_training_windows(distilling):
    student, teacher = distilling.pair()
    model = SoftTargets(student, ("eda",), (teacher,))
    module = distilling.made_up(n_windows=30)
    distilling.fit(model, module, 1)
    whole = module.train_dataloader().dataset[torch.arange(30)]
    with torch.no_grad():
        expected = teacher.model(whole.signals).logits
    torch.testing.assert_close(model.teacher_logits, expected)
    assert not model.teacher_logits.requires_grad


def test_out_of_fold_teachers_answer_for_their_rows_alone(distilling):
    student, first = distilling.pair()
    second = Teacher(distilling.tiny({"eeg": 2}), ("eeg",))
    mine = torch.tensor([3, 9, 20, 21, 22, 40, 63])
    others = torch.tensor([row for row in range(64) if row not in mine.tolist()])
    teachers = (distilling.with_rows(first, mine), distilling.with_rows(second, others))
    asked = []
    for position, teacher in enumerate(teachers):
        teacher.model.register_forward_pre_hook(
            lambda _, given, position=position: asked.append((position, given[0]["eeg"]))
        )
    module = distilling.made_up()
    model = SoftTargets(student, ("eda",), teachers)
    distilling.fit(model, module, 1)
    dataset = module.train_dataloader().dataset
    for position, rows in enumerate((mine, others)):
        batch = dataset[rows]
        given = torch.cat([window for who, window in asked if who == position])
        assert torch.equal(given, batch.signals["eeg"])  # once each, in order
        with torch.no_grad():
            expected = teachers[position](batch.signals).logits
        torch.testing.assert_close(model.teacher_logits[rows], expected)


@pytest.mark.parametrize("rows", [range(63), [*range(64), 5]])
def test_every_training_window_has_one_teacher(rows, distilling):
    student, teacher = distilling.pair()
    teachers = (distilling.with_rows(teacher, torch.tensor(list(rows))),)
    if 5 in list(rows)[6:]:
        teachers = (teacher, distilling.with_rows(teacher, torch.tensor([5])))
    with pytest.raises(ValueError, match=r"(1|0) without any and (0|1) with"):
        distilling.fit(SoftTargets(student, ("eda",), teachers), distilling.made_up(), 1)


def test_large_embeddings_are_computed_anew_and_teach_the_same(distilling, monkeypatch):
    weights = []
    for limit in (base.CACHED_FLOATS, 0):
        monkeypatch.setattr(base, "CACHED_FLOATS", limit)
        # Without BatchNorm: Adam makes steps of the rounding errors of a bias that it cancels.
        student, teacher = distilling.pair(width=5, norm=False)
        torch.manual_seed(3)
        model = built("features", student, teacher)
        distilling.fit(model, distilling.made_up(), 1)
        assert (model._embeddings is None) == (limit == 0)
        weights.append(copied(student))
    for name in weights[0]:
        torch.testing.assert_close(*(w[name] for w in weights), rtol=1e-4, atol=1e-5)


def test_a_student_keeps_its_penalty_in_training(distilling):
    inputs = {"eda": SignalSpec(1, 64, 16.0)}
    student = EmotionKDStudent(inputs, 2)
    model = MoreEpochs(student, ("eda",))
    batch = distilling.batch_of(inputs, 6)
    torch.manual_seed(1)
    loss, logits = model.train().loss(batch)
    expected = F.cross_entropy(logits, batch.target) + kernel_penalty(student.network)
    torch.testing.assert_close(loss, expected)
    torch.manual_seed(1)
    torch.testing.assert_close(loss, student.train().loss(batch)[0])
    loss, logits = model.eval().loss(batch)
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch.target))


def test_class_weights_are_those_of_the_students_recipe(distilling):
    recipe = replace(distilling.RECIPE, balance="class_weights", lr=1e-9)
    student, teacher = distilling.pair(recipe=recipe)
    module = distilling.made_up()
    module.class_counts = lambda: torch.tensor([48, 16])
    model = SoftTargets(student, ("eda",), (teacher,), soft=0.0)
    distilling.fit(model, module, 1)
    batch = module.train_dataloader().dataset[torch.arange(8, 20)]
    loss, logits = model.train().loss(batch)
    weights = torch.tensor([64 / 96, 64 / 32])
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch.target, weights))


@pytest.mark.parametrize("name", DISTILLERS)
def test_teachers_are_there_where_they_are_wanted(name, distilling):
    student, teacher = distilling.pair()
    kind = DISTILLERS[name]
    with pytest.raises(ValueError, match=r"expected (a|no) teacher"):
        kind(student, ("eda",), () if kind.n_teachers else (teacher,))


def test_teachers_know_the_students_classes(distilling):
    student, _ = distilling.pair()
    _, teacher = distilling.pair(n_classes=3)
    with pytest.raises(IncompatibleRunError, match=r"of 2 classes.*found 3"):
        SoftTargets(student, ("eda",), (teacher,))


def test_without_a_datamodule_it_says_what_to_do(distilling):
    student, teacher = distilling.pair()
    loader = distilling.made_up().train_dataloader()
    with pytest.raises(IncompatibleRunError, match="Fit with datamodule="):
        distilling.fit(
            SoftTargets(student, ("eda",), (teacher,)),
            None,
            train_dataloaders=loader,
            val_dataloaders=loader,
        )


def test_batches_that_count_no_rows_are_refused(distilling):
    student, teacher = distilling.pair()
    model = SoftTargets(student, ("eda",), (teacher,))
    module = distilling.made_up()
    distilling.fit(model, module, 1)
    batch = module.train_dataloader().dataset[torch.arange(4)]._replace(row=None)
    with pytest.raises(IncompatibleRunError, match="count their rows"):
        model.train().loss(batch)


@pytest.mark.parametrize("name", DISTILLERS)
def test_a_pair_has_a_teacher_where_there_is_one(name):
    kind = DISTILLERS[name]
    if kind.n_teachers:
        kind.check_pair(DNN, DNN, {"eda": EDA}, {"eda": EDA})
        with pytest.raises(IncompatibleRunError, match="takes a teacher, found none"):
            kind.check_pair(DNN, None, {"eda": EDA}, {})
    else:
        kind.check_pair(DNN, None, {"eda": EDA}, {})
        with pytest.raises(IncompatibleRunError, match="takes no teacher, found CNN"):
            kind.check_pair(DNN, CNN, {"eda": EDA}, {"eda": EDA})


def test_the_student_is_its_own_teacher():
    SelfDistillation.check_pair(DNN, DNN, {"eda": EDA}, {"eda": EDA})
    for teacher, inputs in ((CNN, {"eda": EDA}), (DNN, {"eda": EDA, "bvp": BVP})):
        with pytest.raises(IncompatibleRunError, match="takes the student as its own teacher"):
            SelfDistillation.check_pair(DNN, teacher, {"eda": EDA}, inputs)


def test_windows_have_one_length():
    song, length = SignalSpec(6373, 1, 1 / 3600), SignalSpec(1, 1, 1 / 3600)
    SoftTargets.check_pair(DNN, CNN, {"eda": EDA}, {"bvp": BVP, "music": song, LENGTH: length})
    # 40.5 s at 0.25 Hz are ten rows, as are 40 s
    de = SignalSpec(310, 10, 0.25)
    SoftTargets.check_pair(DNN, CNN, {"eda": SignalSpec(1, 162, 4.0)}, {"eeg_de": de})
    with pytest.raises(IncompatibleRunError, match="windows of one length, found 240 samples"):
        SoftTargets.check_pair(DNN, CNN, {"eda": EDA}, {"bvp": SignalSpec(1, 1920, 64.0)})


@pytest.mark.parametrize("name", DISTILLERS)
def test_each_changes_recipes_of_students_and_has_a_teacher_or_none(name):
    kind = DISTILLERS[name]
    for student, values in kind.changes.items():
        assert student in MODELS.values()
        assert values
        assert set(values) <= set(Recipe.__dataclass_fields__)
    assert np.isin(kind.n_teachers, (0, 1))
