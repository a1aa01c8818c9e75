"""Weighted distillation (Choi et al. 2023): the teacher is trusted where it is steady."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.batch import Batch
from lightning_modules.attention_lrcn import AttentionLRCN
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.choices import check_choice
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.distillation.losses import (
    Order,
    uncertainty_weights,
    weighted_distillation_loss,
)

SAME = 1e-4
"""Largest range of weights of one segment that is called none."""
LEAST_ROWS = 3
"""Smallest number of windows over which a spread is taken."""


class UncertaintyWeighted(Distiller):
    """Soft targets, weighted by how steady the teacher is in time (Choi et al. 2023).

    Departures from the paper's system, and why:

    * Neighbours are windows of one segment, which is one class of one person. The authors' code
      goes through its entire table, so that every change of class or person counts as doubt;
      ``order="table"`` does the same, with the table in their order: person, condition, time. The
      two classes of WESAD are three conditions too: baseline, stress, amusement.
    * Windows that are drawn again to balance classes have the weight of the first of them.
    * A class of probability zero counts nothing; in the authors' code the loss is then no number.
    * The teacher is chosen on validation subjects, not on the test subject. An out-of-fold teacher
      answers only for windows that it was not trained on.

    * ``span`` is in seconds. The paper's 200 rows are 200 s at its stride of 1 s; at a stride of
      20 s they would be more than an hour, and all windows of a segment would share one weight.
      Where every trial is one window, all weights are 1; ``notes`` say how much they vary.

    As published: temperature, factors 0.1, 0.9 and 2 T^2, exponent, span, and a learning rate of
    2e-3 for Attention-LRCN (``changes``).

    Args:
        student: Untrained student; see Distiller.
        student_signals: Signals of the student.
        teachers: Teachers; see Distiller.
        temperature: Temperature of the soft targets, T.
        span: Seconds over which the teacher's spread is taken, at the stride of the training
            windows; at least LEAST_ROWS windows are.
        exponent: Exponent of the weights; 0 trusts the teacher everywhere alike.
        hard: Factor of the cross-entropy.
        soft: Factor of the weighted soft targets.
        order: ``"segment"`` or ``"table"``; see uncertainty_weights.

    Raises:
        ValueError: An option out of its range.

    References:
        Choi, Hwang, Lee, Ryu and Lee, Weighted knowledge distillation of attention-LRCN for
        recognizing affective states from PPG signals, Expert Systems with Applications 233 (2023)
        120883, and its released code (https://github.com/ziiho08/Attention-LRCN).
    """

    changes = {AttentionLRCN: {"lr": 2e-3}}

    def __init__(
        self,
        student: EmotionClassifier,
        student_signals: tuple[str, ...],
        teachers: tuple[Teacher, ...],
        temperature: float = 2.0,
        span: float = 200.0,
        exponent: float = 7.0,
        hard: float = 0.1,
        soft: float = 0.9,
        order: Order = "segment",
    ) -> None:
        super().__init__(student, student_signals, teachers)
        if not (min(temperature, span) > 0 and min(exponent, hard, soft) >= 0):
            raise ValueError(
                "expected temperature and span above 0 and the rest from 0 up, found "
                f"{temperature}, {span}, {exponent}, {hard}, {soft}"
            )
        check_choice("order", order, Order)
        self.temperature, self.span, self.exponent = temperature, span, exponent
        self.hard, self.soft, self.order = hard, soft, order
        self.weights = torch.empty(0)
        """Trust in the teacher in each training window, shape (N,), from ``on_fit_start`` on."""

    def on_fit_start(self) -> None:
        super().on_fit_start()
        windows = self.data.windows("train")
        times = np.stack([windows.segment, windows.start])
        _, first, inverse = np.unique(times, axis=1, return_index=True, return_inverse=True)
        if self.order == "table":
            condition = self.data.conditions()
            columns = (windows.start, windows.recording, condition, windows.subject)
            sequence = np.lexsort([column[first] for column in columns])
        else:
            sequence = np.arange(len(first))
        rows = torch.from_numpy(first[sequence]).to(self.device)
        weights = uncertainty_weights(
            (self.teacher_logits[rows] / self.temperature).softmax(dim=1),
            torch.from_numpy(windows.segment[first[sequence]]).to(self.device),
            max(LEAST_ROWS, round(self.span / self.recipe.stride)),
            self.exponent,
            self.order,
        )
        segments = windows.segment[first[sequence]]
        self.notes = (_variation(weights.double().cpu().numpy(), segments),)
        position = np.argsort(sequence)[inverse.ravel()]  # position of each row in the sequence
        self.weights = weights[torch.from_numpy(position).to(self.device)]

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        rows = self.rows(batch)
        return weighted_distillation_loss(
            output.logits,
            self.teacher_logits[rows],
            batch.target,
            self.weights[rows],
            self.temperature,
            self.hard,
            self.soft,
            self.class_weights,
        )


def _variation(weights: npt.NDArray[np.float64], segments: npt.NDArray[np.int64]) -> str:
    """Return a line on how much weights vary inside segments; both of shape (N,)."""
    groups = [weights[segments == segment] for segment in np.unique(segments)]
    varied = sum(float(np.ptp(group)) > SAME for group in groups)
    inside = np.concatenate([group - group.mean() for group in groups])
    return (
        f"weights of the teacher: mean {weights.mean():.3f}, standard deviation inside segments "
        f"{inside.std():.3f}, they vary in {varied} of {len(groups)} segments"
    )
