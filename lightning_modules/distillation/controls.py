"""Controls: what a student gains without anything that only a better teacher could tell it."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.batch import Batch
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.distillation.soft_targets import SoftTargets


class SelfDistillation(SoftTargets):
    """Soft targets from a run of the student itself: what distillation gains by softening alone.

    References:
        Furlanello et al., Born-Again Neural Networks, ICML 2018, arXiv 1805.04770.
    """

    about: ClassVar[str] = "control: the teacher is a run of the student itself"
    teacher_is_student: ClassVar[bool] = True


class ShuffledTeacher(SoftTargets):
    """Soft targets dealt out at random among the training windows: right only on average.

    They are dealt once, by torch's generator, which a run seeds.
    """

    about: ClassVar[str] = "control: the teacher's answers are dealt out at random"

    def on_fit_start(self) -> None:
        super().on_fit_start()
        order = torch.randperm(len(self.teacher_logits))
        self.teacher_logits = self.teacher_logits[order.to(self.device)]


class LabelSmoothing(Distiller):
    """Soft targets without a teacher: some of each label is shared out among all classes.

    Args:
        student: See Distiller.
        student_signals: See Distiller.
        teachers: None.
        smoothing: How much.

    Raises:
        ValueError: A share below 0 or above 1.

    References:
        Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016,
        arXiv 1512.00567.
    """

    about: ClassVar[str] = "control: smoothed labels, no teacher"
    n_teachers: ClassVar[Literal[0, 1]] = 0

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
    """The student alone, for as many epochs as teacher and student would have had together."""

    about: ClassVar[str] = "control: twice the epochs, no teacher"
    n_teachers: ClassVar[Literal[0, 1]] = 0
    epochs_factor: ClassVar[int] = 2

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        return F.cross_entropy(output.logits, batch.target, self.class_weights)
