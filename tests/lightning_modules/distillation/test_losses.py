"""Losses and weights against numbers of the original layers, and plain loops."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn import functional as F

from lightning_modules.distillation.losses import (
    divergence,
    feature_loss,
    similarity_loss,
    soft_target_loss,
    teaching_loss,
    uncertainty_weights,
    weighted_distillation_loss,
)

# Computed with EmotionKD's original layers.
TARGET = torch.tensor([0, 1, 1])
STUDENT = torch.tensor([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]]).log()
TEACHER = torch.tensor([[0.8, 0.2], [0.35, 0.65], [0.5, 0.5]]).log()
FEATURES = torch.tensor([[1.0, 2.0], [0.0, -1.0], [0.5, 0.5]])
TEACHER_FEATURES = torch.tensor([[0.0, 2.0], [1.0, 1.0], [0.5, 0.0]])


def drawn(n_windows, n_classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (n_windows, n_classes)
    logits, teacher = (torch.randn(shape, generator=generator).double() * 2 for _ in range(2))
    target = torch.randint(n_classes, (n_windows,), generator=generator)
    return logits, teacher, target, torch.rand(n_windows, generator=generator).double()


def plain_terms(logits, teacher, target, temperature):
    """Return cross-entropy and divergence of each window, number by number."""
    labelled, taught = [], []
    for z, t, y in zip(logits.tolist(), teacher.tolist(), target.tolist(), strict=True):
        labelled.append(math.log(sum(math.exp(v) for v in z)) - z[y])
        q = [math.exp(v / temperature) for v in t]
        p = [math.exp(v / temperature) for v in z]
        taught.append(
            sum(
                b / sum(q) * (math.log(b / sum(q)) - math.log(a / sum(p)))
                for a, b in zip(p, q, strict=True)
            )
        )
    return np.array(labelled), np.array(taught)


def test_losses_of_emotionkd_have_the_values_of_the_original_layers():
    assert float(F.cross_entropy(STUDENT, TARGET)) == pytest.approx(0.520216, abs=1e-6)
    assert float(F.cross_entropy(TEACHER, TARGET)) == pytest.approx(0.449025, abs=1e-6)
    assert float(divergence(STUDENT, TEACHER).mean()) == pytest.approx(0.010341, abs=1e-6)
    feature = feature_loss(FEATURES, TEACHER_FEATURES)
    assert float(feature) == pytest.approx(1.041667, abs=1e-6)
    total = teaching_loss(STUDENT, TEACHER, TARGET, feature)
    assert float(total) == pytest.approx(0.520216 + 0.1 * 0.010341 + 1.041667, abs=2e-6)
    other = teaching_loss(STUDENT, TEACHER, TARGET, feature, (2.0, 3.0, 5.0))
    expected = 2 * 0.520216 + 3 * 0.010341 + 5 * 1.041667
    assert float(other) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_teaching_loss_at_a_temperature(temperature):
    logits, teacher, target, _ = drawn(6, 3)
    labelled, taught = plain_terms(logits, teacher, target, temperature)
    expected = labelled.mean() + 0.1 * temperature**2 * taught.mean() + 0.25
    loss = teaching_loss(logits, teacher, target, torch.tensor(0.25), temperature=temperature)
    assert float(loss) == pytest.approx(expected)


def test_weighted_loss_is_its_formula():
    logits, teacher, target, weights = drawn(7, 3)
    labelled, taught = plain_terms(logits, teacher, target, 2.0)
    expected = 0.1 * labelled.mean() + 0.9 * 8 * (weights.numpy() * taught).mean()
    loss = weighted_distillation_loss(logits, teacher, target, weights)
    assert float(loss) == pytest.approx(expected)


def test_soft_target_loss_is_its_formula():
    logits, teacher, target, _ = drawn(7, 4)
    labelled, taught = plain_terms(logits, teacher, target, 4.0)
    expected = 0.1 * labelled.mean() + 0.9 * 16 * taught.mean()
    assert float(soft_target_loss(logits, teacher, target)) == pytest.approx(expected)


def test_class_weights_weigh_labels_alone():
    logits, teacher, target, weights = drawn(7, 2)
    each = torch.tensor([0.5, 2.0]).double()
    labelled = float(F.cross_entropy(logits, target, each) - F.cross_entropy(logits, target))
    for loss, factor in (
        (lambda w: soft_target_loss(logits, teacher, target, class_weights=w), 0.1),
        (
            lambda w: weighted_distillation_loss(logits, teacher, target, weights, class_weights=w),
            0.1,
        ),
        (
            lambda w: teaching_loss(logits, teacher, target, torch.zeros(()), class_weights=w),
            1.0,
        ),
    ):
        assert float(loss(each) - loss(None)) == pytest.approx(factor * labelled)


def test_a_class_whose_probability_underflows_counts_nothing():
    teacher = torch.tensor([[0.0, 800.0, 0.0]])
    assert (teacher / 2).softmax(dim=1)[0, 0] == 0
    logits = torch.tensor([[1.0, 2.0, -500.0]], requires_grad=True)
    loss = weighted_distillation_loss(logits, teacher, torch.tensor([1]), torch.ones(1))
    (slope,) = torch.autograd.grad(loss, logits)
    p = F.log_softmax(logits.detach(), dim=1)[0, 1]
    half = F.log_softmax(logits.detach() / 2, dim=1)[0, 1]
    assert float(loss.detach()) == pytest.approx(float(-0.1 * p - 7.2 * half), rel=1e-5)
    assert torch.isfinite(slope).all()


def plain_weights(q, groups, width, exponent, order):
    weights, half = [], (width - 1) // 2
    for i in range(len(q)):
        if order == "table":
            rows = list(range(2 * half + 1)) if i <= half else list(range(i - half, i + half))
            rows = [row for row in rows if row < len(q)]
        else:
            mine = [row for row in range(len(q)) if groups[row] == groups[i]]
            before = i - mine[0]
            shift = min(max(before - half, 0), max(len(mine) - 2 * half - 1, 0))
            rows = mine[shift : shift + 2 * half + 1]
        spread = sum(np.std(q[rows, k]) for k in range(q.shape[1]))
        weights.append(math.exp(-exponent * spread))
    return np.array(weights)


@pytest.mark.parametrize("order", ["segment", "table"])
@pytest.mark.parametrize("width", [3, 4, 5, 6, 20, 200])
def test_weights_are_those_of_a_plain_loop(order, width):
    rng = np.random.default_rng(width)
    groups = np.repeat([4, 7, 5, 4, 9], [11, 1, 2, 30, 16])
    groups[12:14] = 6
    q = rng.dirichlet([1.0, 1.0, 1.0], len(groups))
    found = uncertainty_weights(torch.from_numpy(q), torch.from_numpy(groups), width, 7.0, order)
    # The two runs of group 4 are two segments, which the plain loop takes under two numbers.
    apart = np.cumsum(np.r_[0, np.diff(groups) != 0])
    np.testing.assert_allclose(found, plain_weights(q, apart, width, 7.0, order), rtol=1e-5)
    assert found.dtype == torch.float32


def test_published_windows_of_the_table():
    """One row that differs is seen by the rows whose window holds it, and by no others."""
    q = torch.full((400, 2), 0.5)

    def seen_by(row):
        changed = q.clone()
        changed[row] = torch.tensor([0.9, 0.1])
        weights = uncertainty_weights(changed, torch.zeros(400), order="table")
        return (weights < 1).nonzero().flatten().tolist()

    assert seen_by(0) == list(range(100))
    assert seen_by(198) == list(range(298))  # 0 ... 99 by the first rows' rule, 100 by its own
    assert seen_by(250) == list(range(152, 350))  # 98 before it, 99 behind


@pytest.mark.parametrize(("row", "seen"), [(50, range(10, 150)), (280, range(181, 300))])
def test_width_is_centred_and_moved_inwards_at_the_ends_of_a_segment(row, seen):
    q = torch.full((310, 2), 0.5)
    q[row] = torch.tensor([0.9, 0.1])
    groups = torch.tensor([0] * 10 + [1] * 290 + [2] * 10)
    weights = uncertainty_weights(q, groups)
    assert (weights < 1).nonzero().flatten().tolist() == list(seen)


def test_a_steady_teacher_is_trusted_everywhere():
    q = torch.tensor([[0.9, 0.1]]).repeat(500, 1)
    for order in ("segment", "table"):
        weights = uncertainty_weights(q, torch.zeros(500), order=order)
        torch.testing.assert_close(weights, torch.ones(500), rtol=0, atol=1e-5)


def test_similarity_loss_compares_tables_of_cosines():
    rng = np.random.default_rng(0)
    own, taught = rng.normal(size=(6, 4)), rng.normal(size=(6, 9))
    expected = ((cosine_similarity(own) - cosine_similarity(taught)) ** 2).mean()
    found = similarity_loss(torch.from_numpy(own), torch.from_numpy(taught))
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_similarity_of_zeros_has_second_derivatives():
    own = torch.zeros(3, 4, requires_grad=True)
    taught = torch.ones(3, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(similarity_loss(own, taught), own, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), taught)
    assert torch.isfinite(slope).all()
    assert torch.isfinite(bend).all()
