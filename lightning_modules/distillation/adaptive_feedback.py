"""Adaptive feedback (EmotionKD): while the teacher teaches, the student's errors teach it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import ReduceLROnPlateau

from datamodules.batch import Batch, Inputs
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.base import Distiller, Teacher, Windows
from lightning_modules.distillation.losses import feature_loss, similarity_loss, teaching_loss
from lightning_modules.emotionkd import (
    WIDTH,
    EmotionKDStudent,
    EmotionKDStudentNetwork,
    EmotionKDTeacher,
    EmotionKDTeacherNetwork,
    token_grid,
)

Feedback = Literal["unrolled", "first_order", "none"]
FeatureAlign = Literal["auto", "modality_mean", "student_signal", "token_linear", "similarity"]

LR_IN = 1e-2
"""Step of the temporary student. The paper's is unknown; this project's, not tuned."""
HELD_OUT = 0.1
"""Share of the training trials that feedback is taken from. This project's, not tuned."""


def align_features(
    student: type[EmotionClassifier], teacher: type[EmotionClassifier], chosen: FeatureAlign
) -> FeatureAlign:
    """How features are compared: what is chosen, or what suits the pair.

    Raises:
        IncompatibleRunError: Tokens are to be compared, and one of the two has none.
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
    """EmotionKD: teaching steps for the student, and feedback steps for the teacher.

    The authors publish neither a training script nor how the teacher's feedback is computed; this
    completes their figure with the bilevel scheme that it matches (Zhou et al. 2022). A batch is

    1. a *teaching* step: the student minimises ``CE + 0.1 KL + MSE`` and its kernel penalty, the
       teacher being constant;
    2. a *feedback* step: a temporary copy of the student takes one more such step, plain gradient
       descent, as a function of the teacher's weights. On other windows, which no teaching step has
       seen, the teacher then minimises ``CE(teacher) + CE(temporary student)``, through that step
       (``"unrolled"``). The copy is thrown away.

    ``"first_order"`` leaves out the way through the step: the second term is then a constant, as in
    the authors' code, and the teacher is merely trained on. ``"none"`` freezes the teacher, teaches
    on all training windows, and is the ablation.

    Decisions of this project, each an option or forced by a gap in what is published:

    * Feedback is taken from a share of the training trials, at least one of each class of which
      there are two; teaching goes without them. Validation and test subjects have no part in it.
    * The published feature loss compares 7 808 numbers with 3 904; see ``feature_align``. A dense
      layer inside the teacher, as others have put there, is left out: it has 30 million weights.
    * The teacher runs in eval mode, in feedback steps too: no dropout, and running statistics as
      they were when its own training ended. So only its weights move, and what the student is
      taught is what the gradient is taken of.
    * The temporary student runs in training mode, as the student does when it is taught: with
      dropout, and with the statistics of the batch, since running ones take long to settle. It
      works on copies of the student's buffers, which stay as they are.
    * The teacher's optimiser and decay are those of its own recipe, started anew when feedback
      does; a plateau rule watches the student's losses, as there are no others.
    * The teacher that moves is a copy; the one given stays as it is.
    * Recurrent layers and attention take slower kernels in feedback steps: fused ones have no
      second derivative.

    Args:
        student: See Distiller.
        student_signals: See Distiller.
        teachers: See Distiller; one alone, if there is feedback.
        feedback: ``"unrolled"``, ``"first_order"`` or ``"none"``.
        feature_align: ``"modality_mean"``: the mean of the teacher's tokens over signals;
            ``"student_signal"``: its tokens of the student's signal alone; ``"token_linear"``: each
            token of the student, through a linear map, against those of all signals side by side;
            ``"similarity"``: cosines between the windows of a batch, for networks of any kind.
            ``"auto"``: the first for EmotionKD's own pair, the last for any other.
        hard: Factor of the student's cross-entropy.
        soft: Factor of the divergence from the teacher.
        feature: Factor of the feature loss.
        temperature: Of the soft targets; the authors' code has none, which is 1.
        lr_in: Learning rate of the temporary student's step.
        every: Batches from one feedback step to the next.
        warm_up: Epochs before the first one.
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

    about: ClassVar[str] = "the student's errors teach the teacher (EmotionKD, Liu et al. 2023)"
    reads_embedding: ClassVar[bool] = True

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
        if feedback not in get_args(Feedback):
            raise ValueError(f"expected feedback among {get_args(Feedback)}, found {feedback!r}")
        if feature_align not in get_args(FeatureAlign):
            raise ValueError(
                f"expected feature_align among {get_args(FeatureAlign)}, found {feature_align!r}"
            )
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
        self.branches: list[str] = []
        if self.align != "similarity":
            self.branches = list(cast(EmotionKDTeacherNetwork, self.teacher.model.network).branches)
        if self.align == "student_signal":
            self.own = self.branches.index(cast(EmotionKDStudentNetwork, self.network).signal)
        if self.align == "token_linear":
            self.project = nn.Linear(WIDTH, WIDTH * len(self.branches))
        self._apart: Tensor
        self._examined: Tensor
        self._gather: Callable[[Tensor], Batch]

    @classmethod
    def check_pair(
        cls,
        student: type[EmotionClassifier],
        teacher: type[EmotionClassifier] | None,
        student_inputs: Inputs,
        teacher_inputs: Inputs | None,
        **options: Any,
    ) -> None:
        """Raise IncompatibleRunError, with the reason, for a pair that it cannot work on."""
        super().check_pair(student, teacher, student_inputs, teacher_inputs)
        if teacher is None:
            return
        align = align_features(student, teacher, options.get("feature_align", "auto"))
        seen = teacher_inputs or {}
        if align == "student_signal" and not set(student_inputs) <= set(seen):
            raise IncompatibleRunError(
                'feature_align="student_signal": expected a teacher that sees '
                f"{', '.join(student_inputs)} too, found {', '.join(seen)}"
            )
        if align != "similarity" and token_grid(student_inputs) != token_grid(seen):
            raise IncompatibleRunError(
                f"feature_align={align!r}: expected as many tokens of both, found "
                f"{token_grid(student_inputs)[0]} and {token_grid(seen)[0]}. Take a window that is "
                'a whole number of samples of every signal, or "similarity".'
            )

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule of the student's recipe, then of the teacher's if it moves."""
        moving = [self.teacher.model] if self.feedback != "none" else []
        for model in moving:
            model.to(self.device).requires_grad_(True)
        configs: list[Any] = [super().configure_optimizers()]
        configs += [model.configure_optimizers() for model in moving]
        schedulers = [config["lr_scheduler"] for config in configs]
        return [config["optimizer"] for config in configs], [
            scheduler["scheduler"] if isinstance(scheduler, dict) else scheduler
            for scheduler in schedulers
        ]

    def on_fit_start(self) -> None:
        if self.feedback == "none":
            super().on_fit_start()
            return
        EmotionClassifier.on_fit_start(self)
        self.teacher.model.to(self.device).eval()
        self.owner = self._owners()
        held_out = hold_out(self.data.windows("train"), self.held_out)
        self._apart = held_out.to(self.device)
        self._examined = held_out.nonzero().flatten()
        self._gather = self.gather

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # type: ignore[override]
        """A teaching step, and where it is due a feedback step; the loss of the first."""
        optimizers: Any = self.optimizers()
        student, *teachers = optimizers if isinstance(optimizers, list) else [optimizers]
        if self.feedback != "none":
            batch = _take(batch, ~self._apart[self.rows(batch)])
            if len(batch.target) < 2:  # batch statistics need two
                return torch.zeros((), device=self.device)
        loss = super().training_step(batch, batch_idx)
        student.zero_grad()
        self.manual_backward(loss)
        student.step()
        if self.current_epoch >= self.warm_up and batch_idx % self.every == 0:
            for teacher in teachers:
                teacher.zero_grad()
                self.manual_backward(
                    self.feedback_loss(batch, self._questions(len(batch.target))),
                    inputs=list(self.teacher.model.parameters()),
                )
                teacher.step()
        return loss.detach()

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        schedulers: Any = self.lr_schedulers()
        student, *teachers = schedulers if isinstance(schedulers, list) else [schedulers]
        moved = [(student, self.recipe)]
        if self.current_epoch >= self.warm_up:
            moved += [(teacher, self.teacher.model.recipe) for teacher in teachers]
        for scheduler, recipe in moved:
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(self.trainer.callback_metrics[recipe.plateau_on])
            else:
                scheduler.step()

    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        if self.feedback == "none":
            taught = Output(self.teacher_logits[self.rows(batch)], self.teacher_embedding(batch))
        else:
            with torch.no_grad():
                taught = self.teacher(batch.signals)
        return self._teaching_loss(batch, output, taught)

    def feedback_loss(self, batch: Batch, questions: Batch) -> Tensor:
        """What the teacher minimises in a feedback step, a scalar.

        Args:
            batch: What the temporary student is taught.
            questions: Windows on which both are judged.
        """
        with differentiable_twice():
            said = [self.teacher(questions.signals).logits]
            if self.feedback == "unrolled":
                said.append(self._temporary_student(batch, questions))
        return torch.stack(
            [F.cross_entropy(logits, questions.target, self.class_weights) for logits in said]
        ).sum()

    def _temporary_student(self, batch: Batch, questions: Batch) -> Tensor:
        """Logits on the questions after one more step on a batch, with their way to the teacher."""
        weights = dict(self.network.named_parameters())
        output = self._call(weights, batch)
        taught = self.teacher(batch.signals)
        loss = self.penalized(self._teaching_loss(batch, output, taught))
        slopes = torch.autograd.grad(
            loss, list(weights.values()), create_graph=True, materialize_grads=True
        )
        moved = {
            name: weight - self.lr_in * slope
            for (name, weight), slope in zip(weights.items(), slopes, strict=True)
        }
        return self._call(moved, questions).logits

    def _call(self, weights: Mapping[str, Tensor], batch: Batch) -> Output:
        """What the student's network says with other weights, and buffers that are thrown away."""
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        signals = self.seen(batch.signals)
        output: Output = functional_call(self.network, {**weights, **buffers}, (signals,))
        return output.widened()

    def _teaching_loss(self, batch: Batch, output: Output, taught: Output) -> Tensor:
        return teaching_loss(
            output.logits,
            taught.logits,
            batch.target,
            self._feature_loss(output.embedding, taught.embedding),
            self.parts,
            self.temperature,
            self.class_weights,
        )

    def _feature_loss(self, own: Tensor, taught: Tensor) -> Tensor:
        """Distance of features (B, D) of the student and (B, another D) of the teacher."""
        if self.align == "similarity":
            return similarity_loss(own, taught)
        by_signal = taught.unflatten(1, (len(self.branches), -1))  # (B, S, L x 64)
        if self.align == "modality_mean":
            return feature_loss(own, by_signal.mean(dim=1))
        if self.align == "student_signal":
            return feature_loss(own, by_signal[:, self.own])
        tokens = self.project(own.unflatten(1, (-1, WIDTH)))  # (B, L, S x 64)
        beside = by_signal.unflatten(2, (-1, WIDTH)).transpose(1, 2)  # (B, L, S, 64)
        return feature_loss(tokens, beside.flatten(2))

    def _questions(self, n_windows: int) -> Batch:
        """As many of the windows that are held out, at random."""
        chosen = torch.randperm(len(self._examined))[:n_windows]
        batch = self._gather(self._examined[chosen])
        signals = {name: window.to(self.device) for name, window in batch.signals.items()}
        return batch._replace(signals=signals, target=batch.target.to(self.device))


def hold_out(windows: Windows, share: float) -> Tensor:
    """Which training windows are of trials that are held out, bool of shape (N,).

    Trials are drawn from each class by torch's generator, at least one, and never all of them.

    Args:
        windows: The training windows.
        share: Of the trials.

    Raises:
        IncompatibleRunError: No class has two trials.
    """
    keys = np.stack([windows.recording, windows.trial])
    _, first, inverse = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    target = torch.from_numpy(windows.target[first])
    chosen = torch.zeros(len(first), dtype=torch.bool)
    for label in target.unique():
        trials = (target == label).nonzero().flatten()
        trials = trials[torch.randperm(len(trials))]
        chosen[trials[: min(len(trials) - 1, max(1, round(share * len(trials))))]] = True
    if not chosen.any():
        raise IncompatibleRunError(
            f"feedback is taken from trials that are not taught: expected two training trials of "
            f"a class, found {len(first)} trials of {len(target.unique())} classes. Take "
            'feedback="none", or more subjects.'
        )
    return chosen[torch.from_numpy(inverse.ravel())]


@contextmanager
def differentiable_twice() -> Iterator[None]:
    """Kernels with a second derivative: no fused attention, no recurrent layers of cuDNN.

    Those of cuDNN have no first one either for a teacher in eval mode.
    """
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


def _take(batch: Batch, keep: Tensor) -> Batch:
    """Some windows of a batch that counts its rows."""
    signals = {name: window[keep] for name, window in batch.signals.items()}
    target, subject, trial = (part[keep] for part in batch[1:4])
    return Batch(signals, target, subject, trial, None if batch.row is None else batch.row[keep])
