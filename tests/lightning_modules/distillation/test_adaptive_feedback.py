"""AdaptiveFeedback: derivatives through the temporary student, and the weights that must stay."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from datamodules.batch import Chunk, SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.catalogue import MODELS
from lightning_modules.distillation.adaptive_feedback import AdaptiveFeedback
from lightning_modules.distillation.base import Teacher
from lightning_modules.dnn import DNN
from lightning_modules.emotionkd import EmotionKDStudent, EmotionKDTeacher, kernel_penalty
from lightning_modules.recipe import Recipe

EDA = {"eda": SignalSpec(1, 16, 16.0)}
BOTH = {"eeg": SignalSpec(2, 16, 16.0), **EDA}
N_TOKENS = 13


def published_pair(**options):
    torch.manual_seed(0)
    teacher = Teacher(EmotionKDTeacher(BOTH, 2), ("eeg", "eda"))
    return AdaptiveFeedback(EmotionKDStudent(EDA, 2), ("eda",), (teacher,), **options)


def plain_feedback(model, teacher, batch, questions):
    """Return the feedback loss of a teacher, with a copy of the student moved by torch's SGD."""
    copy = deepcopy(model.student).train()
    output = copy(model.seen(batch.signals))
    with torch.no_grad():
        taught = teacher(batch.signals)
    tables = [
        F.cosine_similarity(e[:, None], e[None], dim=2, eps=1e-12)
        for e in (output.embedding, taught.embedding)
    ]
    log_p, log_q = (o.logits.log_softmax(dim=1) for o in (output, taught))
    divergence = (log_q.exp() * (log_q - log_p)).sum(dim=1).mean()
    loss = F.cross_entropy(output.logits, batch.target) + 0.1 * divergence
    loss = loss + (tables[0] - tables[1]).square().mean()
    optimizer = torch.optim.SGD(copy.network.parameters(), lr=model.lr_in)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        own = F.cross_entropy(teacher(questions.signals).logits, questions.target)
        other = copy(model.seen(questions.signals)).logits
        return float(own), float(F.cross_entropy(other, questions.target))


@pytest.mark.parametrize("norm", [False, True])
def test_gradient_of_unrolled_feedback_is_that_of_finite_differences(distilling, norm):
    student, teacher = distilling.pair(width=3, norm=norm)
    teacher.model.double()
    model = AdaptiveFeedback(student.double(), ("eda",), (teacher,), lr_in=0.5).train()
    moving = model.teacher.model.eval()
    dataset = distilling.made_up().train_dataloader().dataset
    batch, questions = (dataset[torch.arange(a, b)] for a, b in ((3, 14), (20, 33)))
    batch, questions = (
        b._replace(signals={name: window.double() for name, window in b.signals.items()})
        for b in (batch, questions)
    )
    loss = model.feedback_loss(batch, questions)
    own, other = plain_feedback(model, model.teacher, batch, questions)
    assert float(loss.detach()) == pytest.approx(own + other, rel=1e-9)
    loss.backward(inputs=list(moving.parameters()))
    largest = 0.0
    for parameter in moving.parameters():
        expected = torch.zeros_like(parameter)
        for place in np.ndindex(*parameter.shape):
            found = []
            for step in (1e-5, -1e-5):
                with torch.no_grad():
                    parameter[place] += step
                found.append(plain_feedback(model, model.teacher, batch, questions))
                with torch.no_grad():
                    parameter[place] -= step
            expected[place] = (sum(found[0]) - sum(found[1])) / 2e-5
            largest = max(largest, abs(found[0][1] - found[1][1]) / 2e-5)
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-5, atol=1e-8)
    assert largest > 1e-3  # the way through the student is no rounding error


def test_first_order_feedback_is_the_teachers_cross_entropy(distilling):
    student, teacher = distilling.pair()
    model = AdaptiveFeedback(student, ("eda",), (teacher,), feedback="first_order")
    model.teacher.model.eval()
    dataset = distilling.made_up().train_dataloader().dataset
    batch, questions = (dataset[torch.arange(a, b)] for a, b in ((3, 14), (20, 33)))
    with torch.no_grad():
        expected = F.cross_entropy(model.teacher(questions.signals).logits, questions.target)
    torch.testing.assert_close(model.feedback_loss(batch, questions).detach(), expected)


@pytest.mark.parametrize("feedback", ["unrolled", "first_order", "none"])
def test_a_copy_of_the_teacher_moves_where_there_is_feedback(distilling, feedback):
    student, teacher = distilling.pair(width=5)
    model = AdaptiveFeedback(student, ("eda",), (teacher,), feedback=feedback, warm_up=0)
    before = {k: v.clone() for k, v in teacher.model.state_dict().items()}
    distilling.fit(model, distilling.made_up(), 1)
    given, moved = teacher.model.state_dict(), model.teacher.model.state_dict()
    buffers = dict(teacher.model.named_buffers())
    assert buffers
    for name, value in before.items():
        assert torch.equal(given[name], value)
        assert torch.equal(moved[name], value) == (feedback == "none" or name in buffers)
    assert (model.teacher.model is teacher.model) == (feedback == "none")


def test_warm_up_and_every_say_when_feedback_is_given(distilling, monkeypatch):
    steps = []
    plain = AdaptiveFeedback.feedback_loss

    def counted(self, batch, questions):
        steps.append((self.current_epoch, self.trainer.fit_loop.epoch_loop.batch_idx))
        assert questions.signals["eda"].shape == batch.signals["eda"].shape
        return plain(self, batch, questions)

    monkeypatch.setattr(AdaptiveFeedback, "feedback_loss", counted)
    student, teacher = distilling.pair()
    model = AdaptiveFeedback(student, ("eda",), (teacher,), every=3, held_out=0.3)
    distilling.fit(model, distilling.made_up(), 3)
    assert steps == [(epoch, batch) for epoch in (1, 2) for batch in (0, 3, 6)]


def test_feedback_steps_leave_the_student_alone(distilling):
    student, teacher = distilling.pair()
    model = AdaptiveFeedback(student, ("eda",), (teacher,)).train()
    dataset = distilling.made_up().train_dataloader().dataset
    before = {k: v.clone() for k, v in student.state_dict().items()}
    assert "network.norm.running_mean" in before
    loss = model.feedback_loss(dataset[torch.arange(12)], dataset[torch.arange(20, 30)])
    loss.backward(inputs=list(model.teacher.model.parameters()))
    assert all(torch.equal(student.state_dict()[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in student.parameters())


def test_teaching_goes_without_the_trials_that_feedback_is_taken_from(distilling, monkeypatch):
    taught, asked = set(), set()
    plain, loss = AdaptiveFeedback.feedback_loss, AdaptiveFeedback.distillation_loss

    def judged(self, batch, questions):
        asked.update(questions.row.tolist())
        return plain(self, batch, questions)

    def learned(self, batch, output):
        taught.update(batch.row.tolist())
        return loss(self, batch, output)

    monkeypatch.setattr(AdaptiveFeedback, "feedback_loss", judged)
    monkeypatch.setattr(AdaptiveFeedback, "distillation_loss", learned)
    student, teacher = distilling.pair()
    module = distilling.made_up(n_segments=16)
    model = AdaptiveFeedback(student, ("eda",), (teacher,), warm_up=0)
    distilling.fit(model, module, 3)
    segment = module.windows("train").segment
    apart = set(segment[sorted(asked)].tolist())
    assert apart.isdisjoint(segment[sorted(taught)].tolist())
    assert sorted(label % 2 for label in apart) == [0, 1]  # one trial of each class
    assert len(taught) == 14 * 4
    assert len(asked) == 2 * 4
    (note,) = model.notes
    assert note.startswith("feedback is taken from 2 of 16 training trials, which no teaching step")
    assert note.endswith("a teacher that was trained on the whole training part has seen them")


def test_without_feedback_there_is_nothing_to_say_of_it(distilling):
    student, teacher = distilling.pair()
    model = AdaptiveFeedback(student, ("eda",), (teacher,), feedback="none")
    distilling.fit(model, distilling.made_up(n_segments=16), 1)
    assert model.notes == ()


def test_one_trial_of_each_class_is_too_few(distilling):
    student, teacher = distilling.pair()
    model = AdaptiveFeedback(student, ("eda",), (teacher,))
    with pytest.raises(IncompatibleRunError, match="two training trials of a class, found 2"):
        distilling.fit(model, distilling.made_up(n_segments=2), 1)


def test_feedback_moves_one_teacher(distilling):
    student, teacher = distilling.pair()
    teachers = tuple(
        distilling.with_rows(teacher, torch.arange(start, start + 32)) for start in (0, 32)
    )
    with pytest.raises(IncompatibleRunError, match="moves one teacher, found 2"):
        AdaptiveFeedback(student, ("eda",), teachers)
    model = AdaptiveFeedback(student, ("eda",), teachers, feedback="none")
    distilling.fit(model, distilling.made_up(), 1)


def test_learning_rates_follow_both_recipes(distilling):
    student, teacher = distilling.pair()
    student.recipe = replace(distilling.RECIPE, lr=0.04, lr_decay=0.5)
    teacher.model.recipe = replace(distilling.RECIPE, lr=0.02, lr_decay=0.9, optimizer="sgd")
    model = AdaptiveFeedback(student, ("eda",), (teacher,))
    trainer = distilling.fit(model, distilling.made_up(), 3)
    own, other = trainer.optimizers
    assert own.param_groups[0]["lr"] == pytest.approx(0.04 * 0.5**3)
    assert other.param_groups[0]["lr"] == pytest.approx(0.02 * 0.9**2)  # of two epochs
    assert isinstance(other, torch.optim.SGD)


@pytest.mark.parametrize("watched", ["train_loss", "val_loss"])
def test_plateaus_are_seen_as_in_training_without_a_teacher(distilling, watched):
    """Without soft targets and features, the student trains as if it were alone."""
    recipe = Recipe(
        source="this test",
        lr=3.0,
        optimizer="sgd",
        batch_size=8,
        plateau_factor=0.5,
        plateau_patience=1,
        plateau_on=watched,
    )
    rates, logged = [], []
    for taught in (False, True):
        student, teacher = distilling.pair(norm=False, recipe=recipe)
        model = student
        if taught:
            options = {"feedback": "none", "soft": 0.0, "feature": 0.0}
            model = AdaptiveFeedback(student, ("eda",), (teacher,), **options)
        trainer = distilling.fit(model, distilling.made_up(), 6)
        rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert rates[0] < 3.0
    assert rates[1] == rates[0]
    assert {name: logged[1][name] for name in logged[0]} == pytest.approx(logged[0], rel=1e-4)


ALIGNED = {
    "modality_mean": lambda own, eeg, eda: (own, (eeg + eda) / 2),
    "student_signal": lambda own, eeg, eda: (own, eda),
}


@pytest.mark.parametrize("align", ALIGNED)
def test_tokens_of_the_published_pair_are_compared(align):
    model = published_pair(feature_align=align)
    own, taught = torch.randn(3, N_TOKENS * 64), torch.randn(3, 2 * N_TOKENS * 64)
    eeg, eda = taught[:, : N_TOKENS * 64], taught[:, N_TOKENS * 64 :]
    a, b = ALIGNED[align](own, eeg, eda)
    torch.testing.assert_close(model._feature_loss(own, taught), (a - b).square().mean())


def test_tokens_of_both_signals_are_put_side_by_side():
    model = published_pair(feature_align="token_linear")
    assert sum(p.numel() for p in model.project.parameters()) == 8320
    own, taught = torch.randn(3, N_TOKENS, 64), torch.randn(3, 2, N_TOKENS, 64)
    total = 0.0
    for row in range(3):
        for token in range(N_TOKENS):
            beside = torch.cat([taught[row, 0, token], taught[row, 1, token]])
            total += float((model.project(own[row, token]) - beside).detach().square().sum())
    found = model._feature_loss(own.flatten(1), taught.flatten(1))
    assert float(found.detach()) == pytest.approx(total / (3 * N_TOKENS * 128), rel=1e-5)


@pytest.mark.parametrize(
    "align", ["auto", "modality_mean", "student_signal", "token_linear", "similarity"]
)
def test_the_published_pair_learns_both_ways(distilling, align):
    model = published_pair(feature_align=align).train()
    assert model.align == ("modality_mean" if align == "auto" else align)
    model.teacher.model.eval()
    batch, questions = (distilling.batch_of(BOTH, n) for n in (6, 5))
    gradients = []
    for feedback in ("unrolled", "first_order"):
        model.feedback = feedback
        model.teacher.model.zero_grad()
        loss = model.feedback_loss(batch, questions)
        loss.backward(inputs=list(model.teacher.model.parameters()))
        gradients.append([p.grad.clone() for p in model.teacher.model.parameters()])
    assert all(torch.isfinite(gradient).all() for gradient in gradients[0])
    assert any(not torch.allclose(a, b, rtol=1e-3) for a, b in zip(*gradients, strict=True))


def test_the_published_loss_has_its_three_parts_and_the_penalty(distilling):
    model = published_pair()
    batch = distilling.batch_of(BOTH, 6)
    model.teacher.model.eval()
    torch.manual_seed(1)
    loss, logits = model.train().loss(batch)
    torch.manual_seed(1)
    own = model.student(model.seen(batch.signals))
    with torch.no_grad():
        taught = model.teacher(batch.signals)
    eeg, eda = taught.embedding.unflatten(1, (2, -1)).unbind(1)
    log_p, log_q = (o.logits.log_softmax(dim=1) for o in (own, taught))
    expected = (
        F.cross_entropy(logits, batch.target)
        + 0.1 * (log_q.exp() * (log_q - log_p)).sum(dim=1).mean()
        + (own.embedding - (eeg + eda) / 2).square().mean()
        + kernel_penalty(model.network)
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_has_the_derivatives_that_feedback_takes(name, distilling):
    offered = {
        **{"bvp": (1, 320, 64.0), "eda": (1, 20, 4.0), "ecg": (1, 320, 64.0)},
        "eeg": (2, 320, 64.0, ("F3", "F4")),
    }
    try:
        inputs = {s: SignalSpec(*offered[s]) for s in MODELS[name].choose_signals(offered)}
        MODELS[name].check_inputs(inputs)
    except IncompatibleRunError as error:
        pytest.skip(str(error))
    torch.manual_seed(0)
    student, teacher = (MODELS[name](inputs, 2) for _ in range(2))
    model = AdaptiveFeedback(student, tuple(inputs), (Teacher(teacher, tuple(inputs)),)).train()
    model.teacher.model.eval()
    batch, questions = (distilling.batch_of(inputs, n) for n in (4, 3))
    loss = model.feedback_loss(batch, questions)
    loss.backward(inputs=list(model.teacher.model.parameters()))
    for parameter in model.teacher.model.parameters():
        assert torch.isfinite(parameter.grad).all()


def test_tokens_are_the_published_pairs_alone(distilling):
    student, teacher = distilling.pair()
    assert AdaptiveFeedback(student, ("eda",), (teacher,)).align == "similarity"
    for align in ("modality_mean", "student_signal", "token_linear"):
        with pytest.raises(IncompatibleRunError, match="compares tokens"):
            AdaptiveFeedback(student, ("eda",), (teacher,), feature_align=align)
        with pytest.raises(IncompatibleRunError, match="compares tokens"):
            AdaptiveFeedback.check_pair(DNN, EmotionKDTeacher, EDA, BOTH, feature_align=align)
    AdaptiveFeedback.check_pair(DNN, EmotionKDTeacher, EDA, BOTH)
    AdaptiveFeedback.check_pair(EmotionKDStudent, EmotionKDTeacher, EDA, BOTH)


def test_the_students_signal_is_among_the_teachers_where_tokens_of_it_are_compared():
    seen = {"eeg": BOTH["eeg"], "bvp": SignalSpec(1, 16, 16.0)}
    AdaptiveFeedback.check_pair(EmotionKDStudent, EmotionKDTeacher, EDA, seen)
    with pytest.raises(IncompatibleRunError, match="sees eda too, found eeg, bvp"):
        AdaptiveFeedback.check_pair(
            EmotionKDStudent, EmotionKDTeacher, EDA, seen, feature_align="student_signal"
        )


@pytest.mark.parametrize(
    "options",
    [
        {"feedback": "second_order"},
        {"feature_align": "dense"},
        {"hard": -1.0},
        {"temperature": 0.0},
        {"lr_in": 0.0},
        {"every": 0},
        {"warm_up": -1},
        {"held_out": 1.0},
    ],
)
def test_options_out_of_range_are_refused(distilling, options):
    student, teacher = distilling.pair()
    with pytest.raises(ValueError, match="expected"):
        AdaptiveFeedback(student, ("eda",), (teacher,), **options)


def test_several_batches_a_step_are_refused(distilling):
    student, teacher = distilling.pair()
    model = AdaptiveFeedback(student, ("eda",), (teacher,))
    batch = distilling.made_up().train_dataloader().dataset[torch.arange(4)]
    with pytest.raises(IncompatibleRunError, match="one batch a step, found chunks"):
        model.training_step(Chunk(lambda rows: batch, [torch.arange(4)]), 0)
