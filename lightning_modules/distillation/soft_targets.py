"""Soft targets: the student learns the teacher's probabilities, softened."""

from torch import Tensor

from datamodules.batch import Batch
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.distillation.losses import soft_target_loss


class SoftTargets(Distiller):
    """Cross-entropy beside the teacher's softened probabilities (Hinton et al. 2015).

    The paper names no single temperature or share. A temperature of 4 and a share of 0.9 are widely
    used, and were not tuned here.

    Args:
        student: Untrained student; see Distiller.
        student_signals: Signals of the student.
        teachers: Teachers; see Distiller.
        temperature: Temperature T; the higher, the more alike the classes become.
        soft: Share of the soft targets in the loss; the labels have the rest.

    Raises:
        ValueError: A temperature or share out of its range.

    References:
        Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, arXiv 1503.02531.
    """

    def __init__(
        self,
        student: EmotionClassifier,
        student_signals: tuple[str, ...],
        teachers: tuple[Teacher, ...],
        temperature: float = 4.0,
        soft: float = 0.9,
    ) -> None:
        super().__init__(student, student_signals, teachers)
        if not (temperature > 0 and 0 <= soft <= 1):
            raise ValueError(
                f"expected temperature > 0 and soft from 0 to 1, found {temperature} and {soft}"
            )
        self.temperature, self.soft = temperature, soft

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        return soft_target_loss(
            output.logits,
            self.teacher_logits[self.rows(batch)],
            batch.target,
            self.temperature,
            self.soft,
            self.class_weights,
        )
