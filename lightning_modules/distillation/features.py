"""Features: the student's embedding learns to be like the teacher's."""

import torch
from torch import Tensor, nn

from datamodules.batch import Batch
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.distillation.losses import feature_loss


class Features(Distiller):
    """Cross-entropy, and the distance of the embedding from the teacher's (Romero et al. 2015).

    Where their sizes differ, a linear map leads from the student's to the teacher's; it is trained
    with the student and not part of it afterwards. Departures from FitNets, and why: both losses
    are minimised at once, not first the hint and then the rest, so that epochs and early stopping
    mean the same as elsewhere; the layer that is compared is the last before the classes.

    Args:
        student: Untrained student; see Distiller.
        student_signals: Signals of the student.
        teachers: Teachers; see Distiller.
        feature: Factor of the distance.

    Raises:
        ValueError: A factor below 0.

    References:
        Romero et al., FitNets: Hints for Thin Deep Nets, ICLR 2015, arXiv 1412.6550.
    """

    reads_embedding = True

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
        self.project: nn.Module = nn.Identity()
        """Map of the student's embedding to the size of the teacher's, which ``setup`` finds."""

    @torch.no_grad()
    def setup(self, stage: str) -> None:
        """Make the linear map, if the embeddings of one window differ in size."""
        if stage != "fit" or isinstance(self.project, nn.Linear):
            return
        signals = self.gather(torch.arange(1)).signals
        window = {name: signal.to(self.device) for name, signal in signals.items()}
        teacher, mode = self.teachers[0], self.training
        teacher.model.to(self.device).eval()
        size = self.eval()(window).embedding.shape[1]
        self.train(mode)
        teacher_size = teacher(window).embedding.shape[1]
        if size != teacher_size:
            self.project = nn.Linear(size, teacher_size)

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        labelled = nn.functional.cross_entropy(output.logits, batch.target, self.class_weights)
        distance = feature_loss(self.project(output.embedding), self.teacher_embedding(batch))
        return labelled + self.feature * distance
