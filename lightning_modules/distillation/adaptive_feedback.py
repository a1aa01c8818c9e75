"""Adaptive feedback (EmotionKD): while the teacher teaches, the student's errors teach it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Literal

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import ReduceLROnPlateau

from datamodules.batch import Batch, Chunk, Inputs
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.choices import check_choice
from lightning_modules.distillation.base import Distiller, Teacher
from lightning_modules.distillation.held_out import HeldOut, count_trials, hold_out
from lightning_modules.distillation.losses import feature_loss, similarity_loss, teaching_loss
from lightning_modules.emotionkd import WIDTH, EmotionKDStudent, EmotionKDTeacher, token_grid

Feedback = Literal["unrolled", "first_order", "none"]
FeatureAlign = Literal["auto", "modality_mean", "student_signal", "token_linear", "similarity"]

LR_IN = 1e-2
"""Step of the temporary student. The paper's is unknown; this project's, not tuned."""
HELD_OUT = 0.1
"""Share of the training trials that feedback is taken from. This project's, not tuned."""


def align_features(
    student: type[EmotionClassifier], teacher: type[EmotionClassifier], chosen: str
) -> str:
    """Return the way to compare features: as chosen, or for ``"auto"`` one that suits the pair.

    Raises:
        IncompatibleRunError: The chosen way compares tokens, and one of the pair has none.
    """
    tokens = issubclass(student, EmotionKDStudent) and issubclass(teacher, EmotionKDTeacher)
    if chosen == "auto":
        return "modality_mean" if tokens else "similarity"
    if chosen != "similarity" and not tokens:
        raise IncompatibleRunError(
            f"feature_align={chosen!r} compares tokens, which EmotionKDStudent and "
            f"EmotionKDTeacher have: found {student.__name__} and {teacher.__name__}. Take "
            '"similarity".'
        )
    return chosen


class AdaptiveFeedback(Distiller):
    """The student's errors teach the teacher (EmotionKD, Liu et al. 2023).

    The authors publish neither a training script nor how the teacher's feedback is computed; this
    completes their figure with the bilevel scheme that it matches (Zhou et al. 2022). A batch is

    1. a *teaching* step: the student minimises ``CE + 0.1 KL + MSE`` and its kernel penalty, the
       teacher being constant;
    2. a *feedback* step: a temporary copy of the student takes one more such step, plain gradient
       descent, as a function of the teacher's weights. On other windows, which no teaching step
       uses, the teacher then minimises ``CE(teacher) + CE(temporary student)``, through that step
       (``"unrolled"``). The copy is thrown away.

    ``"first_order"`` leaves out the gradient through the step: the second term is then a constant,
    as in the authors' code, and the teacher only continues its own training. ``"none"`` freezes the
    teacher, teaches on all training windows, and is the ablation.

    Decisions of this project, each an option or forced by a gap in what is published:

    * Feedback is taken from a share of the training trials, at least one of each class with two
      or more; teaching does not use them. Validation and test subjects have no part in it. A
      teacher that was trained on the whole training part, as those of the benchmark are, has seen
      these trials; ``notes`` say so.
    * The published feature loss compares 7 808 numbers with 3 904; see ``feature_align``. A dense
      layer inside the teacher, as others have put there, is left out: it has 30 million weights.
    * The teacher runs in eval mode, in feedback steps too: no dropout, and running statistics as
      they were when its own training ended. So only its weights move, and teaching and feedback
      steps see the same answers.
    * The temporary student runs in training mode, as the student does when it is taught: with
      dropout, and with the statistics of the batch, since running ones take long to settle. It
      works on copies of the student's buffers, which stay as they are.
    * The teacher's optimiser and decay are those of its own recipe, started anew when feedback
      does; a plateau rule watches the student's losses, as there are no others.
    * The teacher that moves is a copy; the one given stays as it is.
    * Recurrent layers and attention take slower kernels in feedback steps: fused ones have no
      second derivative.

    Args:
        student: Untrained student; see Distiller.
        student_signals: Signals of the student.
        teachers: Teachers; see Distiller. A single one, if there is feedback.
        feedback: ``"unrolled"``, ``"first_order"`` or ``"none"``.
        feature_align: ``"modality_mean"``: the mean of the teacher's tokens over signals;
            ``"student_signal"``: its tokens of the student's signal alone; ``"token_linear"``: each
            token of the student, through a linear map, against those of all signals side by side;
            ``"similarity"``: cosines between the windows of a batch, for networks of any kind.
            ``"auto"``: the first for EmotionKD's own pair, the last for any other.
        hard: Factor of the student's cross-entropy.
        soft: Factor of the divergence from the teacher.
        feature: Factor of the feature loss.
        temperature: Temperature of the soft targets; the authors' code has none, which is 1.
        lr_in: Learning rate of the temporary student's step.
        every: Number of batches from one feedback step to the next.
        warm_up: Number of epochs before the first feedback step.
        held_out: Share of the training trials from which feedback is taken.

    Raises:
        IncompatibleRunError: A way to align features that the pair does not have, or several
            teachers and feedback.
        ValueError: An option out of its range.

    References:
        Liu, Jia and Wang, EmotionKD: A Cross-Modal Knowledge Distillation Framework for Emotion
        Recognition Based on Physiological Signals, ACM Multimedia 2023, 6122-6131,
        doi 10.1145/3581783.3612277.

        Zhou, Xu and McAuley, BERT Learns to Teach: Knowledge Distillation with Meta Learning, ACL
        2022, arXiv 2106.04570.
    """

    reads_embedding = True

    def __init__(
        self,
        student: EmotionClassifier,
        student_signals: tuple[str, ...],
        teachers: tuple[Teacher, ...],
        feedback: Feedback = "unrolled",
        feature_align: FeatureAlign = "auto",
        hard: float = 1.0,
        soft: float = 0.1,
        feature: float = 1.0,
        temperature: float = 1.0,
        lr_in: float = LR_IN,
        every: int = 1,
        warm_up: int = 1,
        held_out: float = HELD_OUT,
    ) -> None:
        super().__init__(student, student_signals, teachers)
        check_choice("feedback", feedback, Feedback)
        check_choice("feature_align", feature_align, FeatureAlign)
        if not (min(hard, soft, feature, warm_up) >= 0 and temperature > 0 and lr_in > 0):
            raise ValueError(
                "expected hard, soft, feature and warm_up from 0 up, temperature and lr_in above "
                f"0, found {hard}, {soft}, {feature}, {warm_up}, {temperature}, {lr_in}"
            )
        if not (every >= 1 and 0 < held_out < 1):
            raise ValueError(
                "expected every from 1 up and held_out between 0 and 1, found "
                f"{every} and {held_out}"
            )
        if feedback != "none":
            if len(teachers) > 1:
                raise IncompatibleRunError(
                    f"feedback moves one teacher, found {len(teachers)} out of fold. Take "
                    'feedback="none", or a single teacher.'
                )
            self.teachers = (replace(teachers[0], model=deepcopy(teachers[0].model)),)
        self.automatic_optimization = False
        self.feedback, self.every, self.warm_up = feedback, every, warm_up
        self.parts, self.temperature, self.lr_in = (hard, soft, feature), temperature, lr_in
        self.held_out = held_out
        self.teacher = self.teachers[0]
        self.align = align_features(type(student), type(self.teacher.model), feature_align)
        self.branches: tuple[str, ...] = ()
        """Signals whose tokens the teacher's embedding has, in its order; none without tokens."""
        if isinstance(self.teacher.model, EmotionKDTeacher):
            self.branches = tuple(self.teacher.model.network.branches)
        self.project: nn.Module = nn.Identity()
        """Map of the student's tokens to those of all the teacher's signals side by side."""
        if self.align == "token_linear":
            self.project = nn.Linear(WIDTH, WIDTH * len(self.branches))
        self._held_out: HeldOut | None = None

    @classmethod
    def check_pair(
        cls,
        student: type[EmotionClassifier],
        teacher: type[EmotionClassifier] | None,
        student_inputs: Inputs,
        teacher_inputs: Inputs | None,
        **options: object,
    ) -> None:
        """Raise IncompatibleRunError, with the reason, for a pair that it cannot take."""
        super().check_pair(student, teacher, student_inputs, teacher_inputs)
        if teacher is None:
            return
        align = align_features(student, teacher, str(options.get("feature_align", "auto")))
        teacher_inputs = teacher_inputs or {}
        if align == "student_signal" and not set(student_inputs) <= set(teacher_inputs):
            raise IncompatibleRunError(
                'feature_align="student_signal": expected a teacher that sees '
                f"{', '.join(student_inputs)} too, found {', '.join(teacher_inputs)}"
            )
        if align != "similarity" and token_grid(student_inputs) != token_grid(teacher_inputs):
            raise IncompatibleRunError(
                f"feature_align={align!r}: expected as many tokens of both, found "
                f"{token_grid(student_inputs)[0]} and {token_grid(teacher_inputs)[0]}. Take a "
                'window that is a whole number of samples of every signal, or "similarity".'
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return optimisers and schedules: the student's, then the teacher's if it moves."""
        pairs = [self.optimization()]
        if self.feedback != "none":
            self.teacher.model.to(self.device).requires_grad_(True)
            pairs.append(self.teacher.model.optimization())
        optimizers, schedulers = zip(*pairs, strict=True)
        return list(optimizers), list(schedulers)

    def prepare_teaching(self) -> None:
        """Hold out windows for feedback; without it, keep the answers of frozen teachers."""
        if self.feedback == "none":
            super().prepare_teaching()
            return
        windows = self.data.windows("train")
        mask = hold_out(windows, self.held_out)
        self.notes = (
            f"feedback is taken from {count_trials(windows, mask)} of {count_trials(windows)} "
            "training trials, which no teaching step uses; a teacher that was trained on the whole "
            "training part has seen them",
        )
        self._held_out = HeldOut(mask.to(self.device), mask.nonzero().flatten(), self.gather)

    def training_step(self, batch: Batch | Chunk, batch_idx: int) -> Tensor:
        """Return the loss of a teaching step, which a feedback step follows where one is due.

        Raises:
            IncompatibleRunError: The loader gives several batches a step.
        """
        if isinstance(batch, Chunk):
            raise IncompatibleRunError(
                f"{type(self).__name__}: expected one batch a step, found chunks. Take chunk=1."
            )
        optimizers = self.optimizers()
        student, *teachers = optimizers if isinstance(optimizers, list) else [optimizers]
        if self._held_out is not None:
            batch = _take(batch, ~self._held_out.mask[self.rows(batch)])
            if len(batch.target) < 2:  # batch statistics need two
                return torch.zeros((), device=self.device)
        loss = super().training_step(batch, batch_idx)
        student.zero_grad()
        self.manual_backward(loss)
        student.step()
        if (
            self._held_out is not None
            and self.current_epoch >= self.warm_up
            and batch_idx % self.every == 0
        ):
            (teacher,) = teachers
            teacher.zero_grad()
            self.manual_backward(
                self.feedback_loss(batch, self._held_out.draw(len(batch.target), self.device)),
                inputs=list(self.teacher.model.parameters()),
            )
            teacher.step()
        return loss.detach()

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        schedulers = self.lr_schedulers()
        student, *teachers = schedulers if isinstance(schedulers, list) else [schedulers]
        due = [(student, self.recipe)]
        if self.current_epoch >= self.warm_up:
            due += [(teacher, self.teacher.model.recipe) for teacher in teachers]
        for scheduler, recipe in due:
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self.trainer.callback_metrics[recipe.plateau_on])
            elif scheduler is not None:
                scheduler.step()

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        if self.feedback == "none":
            answers = Output(self.teacher_logits[self.rows(batch)], self.teacher_embedding(batch))
        else:
            with torch.no_grad():
                answers = self.teacher(batch.signals)
        return self._teaching_loss(batch, output, answers)

    def feedback_loss(self, batch: Batch, questions: Batch) -> Tensor:
        """Return the loss of the teacher in a feedback step, a scalar.

        Args:
            batch: Windows on which the temporary student is taught.
            questions: Windows on which teacher and temporary student are judged.
        """
        with differentiable_twice():
            answers = [self.teacher(questions.signals).logits]
            if self.feedback == "unrolled":
                answers.append(self._temporary_student(batch, questions))
        return torch.stack(
            [F.cross_entropy(logits, questions.target, self.class_weights) for logits in answers]
        ).sum()

    def _temporary_student(self, batch: Batch, questions: Batch) -> Tensor:
        """Return logits for the questions after one more step on a batch, differentiable twice."""
        weights = dict(self.network.named_parameters())
        output = self._call(weights, batch)
        answers = self.teacher(batch.signals)
        loss = self.penalized(self._teaching_loss(batch, output, answers))
        slopes = torch.autograd.grad(
            loss, list(weights.values()), create_graph=True, materialize_grads=True
        )
        moved = {
            name: weight - self.lr_in * slope
            for (name, weight), slope in zip(weights.items(), slopes, strict=True)
        }
        return self._call(moved, questions).logits

    def _call(self, weights: Mapping[str, Tensor], batch: Batch) -> Output:
        """Return the output of the student's network with other weights and copied buffers."""
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        signals = self.seen(batch.signals)
        output: Output = functional_call(self.network, {**weights, **buffers}, (signals,))
        return output.widened()

    def _teaching_loss(self, batch: Batch, output: Output, answers: Output) -> Tensor:
        return teaching_loss(
            output.logits,
            answers.logits,
            batch.target,
            self._feature_loss(output.embedding, answers.embedding),
            self.parts,
            self.temperature,
            self.class_weights,
        )

    def _feature_loss(self, features: Tensor, teacher_features: Tensor) -> Tensor:
        """Return the distance of the student's features (B, D) to the teacher's (B, another D)."""
        if self.align == "similarity":
            return similarity_loss(features, teacher_features)
        by_signal = teacher_features.unflatten(1, (len(self.branches), -1))  # (B, S, L x 64)
        if self.align == "modality_mean":
            return feature_loss(features, by_signal.mean(dim=1))
        if self.align == "student_signal":
            (signal,) = self.student_signals
            return feature_loss(features, by_signal[:, self.branches.index(signal)])
        tokens = self.project(features.unflatten(1, (-1, WIDTH)))  # (B, L, S x 64)
        beside = by_signal.unflatten(2, (-1, WIDTH)).transpose(1, 2)  # (B, L, S, 64)
        return feature_loss(tokens, beside.flatten(2))


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Use kernels with a second derivative: no fused attention, no recurrent layers of cuDNN.

    Recurrent layers of cuDNN in eval mode, as a teacher's, have no first derivative either.
    """
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


def _take(batch: Batch, keep: Tensor) -> Batch:
    """Return some windows of a batch."""
    signals = {name: window[keep] for name, window in batch.signals.items()}
    target, subject, trial = (part[keep] for part in batch[1:4])
    return Batch(signals, target, subject, trial, None if batch.row is None else batch.row[keep])
