"""Losses of distillation, and weights of trust in a teacher: plain functions of tensors."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Order = Literal["segment", "table"]

FLOOR = 1e-8
"""Added to squared lengths of features, so that cosines of zeros are zero and have derivatives."""


def divergence(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the Kullback-Leibler divergence of student from teacher in each window, shape (B,).

    ``sum_c q_c (ln q_c - ln p_c)`` with ``q = softmax(teacher / T)`` and ``p = softmax(student /
    T)``. Both logarithms come from logits, so that a class whose probability underflows to zero
    counts nothing, where 0 times minus infinity would be no number.

    Args:
        logits: Logits of the student, shape (B, K).
        teacher_logits: Logits of the teacher, shape (B, K).
        temperature: Temperature of both, T.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(dim=1)


def soft_target_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    target: Tensor,
    temperature: float = 4.0,
    soft: float = 0.9,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Return ``(1 - soft) CE + soft T^2 mean(KL)``, a scalar.

    T^2 keeps the gradients of the soft targets as large as those of the labels, whatever T is.

    Args:
        logits: Logits of the student, shape (B, K).
        teacher_logits: Logits of the teacher, shape (B, K).
        target: Class indices, shape (B,).
        temperature: Temperature of the soft targets, T; labels are learned at 1.
        soft: Share of the soft targets in the loss.
        class_weights: Weights of the classes in the cross-entropy, shape (K,).

    References:
        Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, arXiv 1503.02531.
    """
    softened = divergence(logits, teacher_logits, temperature).mean()
    labelled = F.cross_entropy(logits, target, class_weights)
    return (1 - soft) * labelled + soft * temperature**2 * softened


def weighted_distillation_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    target: Tensor,
    weights: Tensor,
    temperature: float = 2.0,
    hard: float = 0.1,
    soft: float = 0.9,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Return ``hard CE + soft 2 T^2 mean(W KL)``, a scalar.

    The factor is 2 T^2, as in the authors' code, where T^2 is usual; the mean is over the windows
    of the batch, whatever their weights.

    Args:
        logits: Logits of the student, shape (B, K).
        teacher_logits: Logits of the teacher, shape (B, K).
        target: Class indices, shape (B,).
        weights: Weights of trust in the teacher in each window, W, shape (B,).
        temperature: Temperature of the soft targets, T; labels are learned at 1.
        hard: Factor of the cross-entropy.
        soft: Factor of the weighted soft targets.
        class_weights: Weights of the classes in the cross-entropy, shape (K,).

    References:
        Choi, Hwang, Lee, Ryu and Lee, Weighted knowledge distillation of attention-LRCN for
        recognizing affective states from PPG signals, Expert Systems with Applications 233 (2023)
        120883, and its released code.
    """
    softened = (weights * divergence(logits, teacher_logits, temperature)).mean()
    labelled = F.cross_entropy(logits, target, class_weights)
    return hard * labelled + soft * 2 * temperature**2 * softened


def uncertainty_weights(
    probabilities: Tensor,
    groups: Tensor,
    width: int = 200,
    exponent: float = 7.0,
    order: Order = "segment",
) -> Tensor:
    """Return the trust in a teacher in each window: ``exp(-exponent s)``, float32, shape (N,).

    ``s`` is the standard deviation of the teacher's probabilities over neighbouring rows, summed
    over classes. With ``h = (width - 1) // 2``, the neighbours of row i are:

    * ``"segment"``: 2 h + 1 rows of the same group, with i in their middle as far as the group
      allows; all rows of a smaller group.
    * ``"table"``, the published rule: rows 0 ... 2 h for all rows up to h; behind, rows i - h ...
      i + h - 1, one less, as far as the table goes. Groups are ignored, so that a change of class
      or person counts as doubt.

    Args:
        probabilities: Probabilities of the teacher, shape (N, K), in the order in which rows are
            neighbours.
        groups: Group of each row, shape (N,); rows of a group follow each other.
        width: Number of rows of a neighbourhood, three or more.
        exponent: Factor of the spread; published as 7.
        order: Rule for the neighbours.

    References:
        See weighted_distillation_loss.
    """
    n, half = len(probabilities), (width - 1) // 2
    row = torch.arange(n, device=probabilities.device)
    if order == "table":
        early = row <= half
        start = torch.where(early, 0, row - half)
        stop = torch.where(early, 2 * half + 1, row + half).clamp(max=n)
    else:
        _, sizes = torch.unique_consecutive(groups, return_counts=True)
        ends = sizes.cumsum(0).repeat_interleave(sizes)
        begins = ends - sizes.repeat_interleave(sizes)
        start = torch.maximum(torch.minimum(row - half, ends - 2 * half - 1), begins)
        stop = torch.minimum(start + 2 * half + 1, ends)
    centred = probabilities.double() - probabilities.double().mean(dim=0)  # sums stay small
    moments = torch.stack([centred, centred.square()])  # (2, N, K)
    sums = F.pad(moments.cumsum(dim=1), (0, 0, 1, 0))
    mean, square = (sums[:, stop] - sums[:, start]) / (stop - start)[:, None]
    spread = (square - mean.square()).clamp_min(0).sqrt().sum(dim=1)
    weights: Tensor = (-exponent * spread).exp().float()
    return weights


def feature_loss(features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean over batch and features of the squared difference, a scalar.

    Args:
        features: Features of the student, shape (B, D).
        teacher_features: Features of the teacher, shape (B, D).

    References:
        Liu, Jia and Wang, EmotionKD, ACM Multimedia 2023; Romero et al., FitNets: Hints for Thin
        Deep Nets, ICLR 2015, arXiv 1412.6550.
    """
    return F.mse_loss(features, teacher_features)


def similarity_loss(features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean squared difference between two tables of cosines of windows, a scalar.

    It compares only which windows of a batch are alike, so that the sizes may differ.

    Args:
        features: Features of the student, shape (B, D).
        teacher_features: Features of the teacher, shape (B, another D).

    References:
        After Tung and Mori, Similarity-Preserving Knowledge Distillation, ICCV 2019, with cosines
        in place of their inner products.
    """
    student, teacher = (
        f * (f.square().sum(dim=1, keepdim=True) + FLOOR).rsqrt()
        for f in (features, teacher_features)
    )
    return F.mse_loss(student @ student.T, teacher @ teacher.T)


def teaching_loss(
    logits: Tensor,
    teacher_logits: Tensor,
    target: Tensor,
    feature: Tensor,
    weights: tuple[float, float, float] = (1.0, 0.1, 1.0),
    temperature: float = 1.0,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Return the loss of EmotionKD's student: ``hard CE + soft T^2 mean(KL) + feature MSE``.

    The authors clip probabilities at 1e-7 before taking logarithms; logits need no clipping.

    Args:
        logits: Logits of the student, shape (B, K).
        teacher_logits: Logits of the teacher, shape (B, K).
        target: Class indices, shape (B,).
        feature: Loss between the features, a scalar.
        weights: Factors of the three parts.
        temperature: Temperature of the soft targets, T; the authors' code has none, which is 1.
        class_weights: Weights of the classes in the cross-entropy, shape (K,).

    References:
        Liu, Jia and Wang, EmotionKD: A Cross-Modal Knowledge Distillation Framework for Emotion
        Recognition Based on Physiological Signals, ACM Multimedia 2023.
    """
    hard, soft, shaped = weights
    softened = temperature**2 * divergence(logits, teacher_logits, temperature).mean()
    labelled = F.cross_entropy(logits, target, class_weights)
    return hard * labelled + soft * softened + shaped * feature
