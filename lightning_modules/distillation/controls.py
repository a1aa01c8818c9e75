"""Controls: distillers without a better teacher, whose gain a distiller with one must exceed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.batch import Batch
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.distillation.soft_targets import SoftTargets


class SelfDistillation(SoftTargets):
    """Control: soft targets from a run of the student itself, so that nothing but softness helps.

    References:
        Furlanello et al., Born-Again Neural Networks, ICML 2018, arXiv 1805.04770.
    """

    control = True
    teacher_is_student = True


class ShuffledTeacher(SoftTargets):
    """Control: the teacher's soft targets, shuffled among the training windows.

    They are shuffled once, by torch's generator, which a run seeds, and so are right only on
    average.
    """

    control = True

    def on_fit_start(self) -> None:
        super().on_fit_start()
        order = torch.randperm(len(self.teacher_logits))
        self.teacher_logits = self.teacher_logits[order.to(self.device)]


class LabelSmoothing(Distiller):
    """Control: smoothed labels and no teacher; a share of each label is spread over all classes.

    Args:
        student: Untrained student; see Distiller.
        student_signals: Signals of the student.
        teachers: An empty tuple.
        smoothing: Share of a label that is spread.

    Raises:
        ValueError: A share below 0 or above 1.

    References:
        Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016,
        arXiv 1512.00567.
    """

    control = True
    n_teachers = 0

    def __init__(
        self,
        student: EmotionClassifier,
        student_signals: tuple[str, ...],
        teachers: tuple[Teacher, ...] = (),
        smoothing: float = 0.1,
    ) -> None:
        super().__init__(student, student_signals, teachers)
        if not 0 <= smoothing <= 1:
            raise ValueError(f"expected smoothing from 0 to 1, found {smoothing}")
        self.smoothing = smoothing

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        return F.cross_entropy(
            output.logits, batch.target, self.class_weights, label_smoothing=self.smoothing
        )


class MoreEpochs(Distiller):
    """Control: the student alone, for twice the epochs, as many as teacher and student together."""

    control = True
    n_teachers = 0
    epochs_factor = 2

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        return F.cross_entropy(output.logits, batch.target, self.class_weights)
