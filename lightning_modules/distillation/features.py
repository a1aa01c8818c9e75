"""Features: the student's embedding is drawn towards the teacher's."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from datamodules.batch import Batch
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.distillation.losses import feature_loss


class Features(Distiller):
    """Cross-entropy, and the distance of the student's embedding from the teacher's.

    Where their sizes differ, a linear map leads from the student's to the teacher's; it is trained
    with the student and then left behind. Departures from FitNets, and why: both losses are
    minimised at once, not first the hint and then the rest, so that epochs and early stopping mean
    what they mean elsewhere; the layer that is compared is the last before the classes.

    Args:
        student: See Distiller.
        student_signals: See Distiller.
        teachers: See Distiller.
        feature: Factor of the distance.

    Raises:
        ValueError: A factor below 0.

    References:
        Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, arXiv 1412.6550.
    """

    about: ClassVar[str] = "draws the embedding to the teacher's (after Romero et al. 2015)"
    reads_embedding: ClassVar[bool] = True

    def __init__(
        self,
        student: EmotionClassifier,
        student_signals: tuple[str, ...],
        teachers: tuple[Teacher, ...],
        feature: float = 1.0,
    ) -> None:
        super().__init__(student, student_signals, teachers)
        if not feature >= 0:
            raise ValueError(f"expected feature from 0 up, found {feature}")
        self.feature = feature
        self.project: nn.Module

    @torch.no_grad()
    def setup(self, stage: str) -> None:
        """Make the linear map, of sizes that one window shows."""
        if stage != "fit" or hasattr(self, "project"):
            return
        shown = self.gather(torch.arange(1)).signals
        window = {name: signal.to(self.device) for name, signal in shown.items()}
        teacher, mode = self.teachers[0], self.training
        teacher.model.to(self.device).eval()
        own = self.eval()(window).embedding.shape[1]
        self.train(mode)
        taught = teacher(window).embedding.shape[1]
        self.project = nn.Identity() if own == taught else nn.Linear(own, taught)

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        labelled = nn.functional.cross_entropy(output.logits, batch.target, self.class_weights)
        distance = feature_loss(self.project(output.embedding), self.teacher_embedding(batch))
        return labelled + self.feature * distance
