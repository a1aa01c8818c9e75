"""Distiller: a student that learns from trained teachers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from datamodules.batch import LENGTH, Batch, Inputs
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.distillation.losses import divergence

CACHED_FLOATS = 2**26
"""Largest size of the embeddings of all training windows that are kept, 256 MiB; larger ones are
computed anew for every batch."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained model, and the training windows that it answers for.

    Args:
        model: The trained model.
        signals: Signals that the model takes.
        shift: Shift by signal, shape (C, 1); see ``scale``.
        scale: Scale by signal, shape (C, 1). Batches are scaled for the student; the teacher takes
            ``x * scale + shift``, and a signal without an entry unchanged. Zeros that fill up a
            trial are shifted too.
        rows: Positions of the training windows that the teacher answers for; None for all.
            Teachers with disjoint rows are out-of-fold teachers: each answers for people whom it
            was not trained on.
    """

    model: EmotionClassifier
    signals: tuple[str, ...]
    shift: Mapping[str, Tensor] = field(default_factory=dict)
    scale: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None

    def __call__(self, signals: Mapping[str, Tensor]) -> Output:
        """Return the model's output for windows that are scaled for the student."""
        inputs = {name: signals[name] for name in self.signals}
        for name in self.signals:
            if name in self.scale:
                shift, scale = (part[name].to(inputs[name]) for part in (self.shift, self.scale))
                inputs[name] = inputs[name] * scale + shift
        if LENGTH in signals:
            inputs[LENGTH] = signals[LENGTH]
        output: Output = self.model(inputs)
        return output


class Windows(Protocol):
    """Columns of the training windows that distillers read, of shape (N,), in order of time.

    Windows that were drawn again to balance the classes come last, out of order.
    """

    recording: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int64]
    start: npt.NDArray[np.float64]
    subject: npt.NDArray[np.int64]
    trial: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """N."""
        ...


@runtime_checkable
class TrainingData(Protocol):
    """The part of a datamodule that a distiller uses."""

    def windows(self, part: Literal["train"], /) -> Windows:
        """The training windows."""
        ...

    def conditions(self) -> npt.NDArray[np.int64]:
        """Place of each training window's condition in the task's list, or its class; (N,)."""
        ...

    def train_dataloader(self) -> DataLoader[Batch]:
        """Loader of their batches; its dataset, indexed with rows, gives a batch."""
        ...


class Distiller(EmotionClassifier, ABC):
    """Training of a student's network in place; a subclass defines the loss.

    Batches hold the signals of student and teachers; the student always gets its own signals only.
    Validation and prediction are those of any classifier: the student's signals, and plain
    cross-entropy. Teachers are no part of the module: they are neither trained nor stored with it.
    They run in eval mode, so that their answer to a window is always the same; it is computed once
    for all training windows when fitting starts. A checkpoint is the student's.

    Args:
        student: Untrained model, whose network and recipe are used.
        student_signals: Signals of the student.
        teachers: One teacher, or several that share the training windows; empty for a subclass
            without teachers.

    Raises:
        IncompatibleRunError: Teachers with another number of classes, or a student whose recipe
            leaves signals out.
        ValueError: Too few or too many teachers.
    """

    control: ClassVar[bool] = False
    """Whether there is no better teacher: the gain of a distiller must exceed that of controls."""
    n_teachers: ClassVar[Literal[0, 1]] = 1
    """Whether there is a teacher, which may be trained several times, out of fold."""
    teacher_is_student: ClassVar[bool] = False
    """Whether the teacher is a run of the student's own architecture on its own signals."""
    changes: ClassVar[Mapping[type[EmotionClassifier], Mapping[str, float]]] = {}
    """Changes that the method's paper makes to the recipe of a student, by the student's class; the
    student alone, with which it is compared, is trained by the changed recipe too."""
    epochs_factor: ClassVar[int] = 1
    """Factor on the student's epochs and patience."""
    reads_embedding: ClassVar[bool] = False
    """Whether the loss uses the teacher's embedding."""

    def __init__(
        self,
        student: EmotionClassifier,
        student_signals: tuple[str, ...],
        teachers: tuple[Teacher, ...] = (),
    ) -> None:
        super().__init__(student.network, student.n_classes, student.recipe)
        name = type(self).__name__
        if bool(teachers) != bool(self.n_teachers):
            expected = "a teacher" if self.n_teachers else "no teacher"
            raise ValueError(f"{name}: expected {expected}, found {len(teachers)}")
        if student.recipe.modality_dropout:
            raise IncompatibleRunError(
                f"{name}: expected a student that sees all of its signals, as its teachers answer "
                "for those; found modality_dropout in its recipe"
            )
        if any(teacher.model.n_classes != student.n_classes for teacher in teachers):
            raise IncompatibleRunError(
                f"{name}: expected teachers of {student.n_classes} classes, as the student has, "
                f"found {', '.join(str(t.model.n_classes) for t in teachers)}. Take the same task."
            )
        self.student_signals = student_signals
        # In a tuple, in which Lightning does not take a model for a part of this one.
        self._student = (student,)
        self.teachers = teachers
        self.owner = torch.empty(0, dtype=torch.long)
        """Position of the teacher of each training window, shape (N,), from ``on_fit_start`` on."""
        self.teacher_logits = torch.empty(0, student.n_classes)
        """Teachers' logits of each training window, shape (N, K), from ``on_fit_start`` on; of
        shape (0, K) where no answers stay the same."""
        self.notes: tuple[str, ...] = ()
        """Lines that a reader of the row must know, from ``on_fit_start`` on."""
        self._embeddings: Tensor | None = None
        self._steps: list[tuple[Tensor, Tensor, Tensor | None]] = []

    @property
    def student(self) -> EmotionClassifier:
        """The model whose network is trained."""
        return self._student[0]

    @classmethod
    def check_pair(
        cls,
        student: type[EmotionClassifier],
        teacher: type[EmotionClassifier] | None,
        student_inputs: Inputs,
        teacher_inputs: Inputs | None,
        **options: object,
    ) -> None:
        """Raise IncompatibleRunError, with the reason, for a pair that the distiller cannot take.

        Args:
            student: Class of the student.
            teacher: Class of the teacher; None if there is none.
            student_inputs: Inputs of the student.
            teacher_inputs: Inputs of the teacher; None if there is none.
            options: Arguments of the constructor that differ from their defaults.
        """
        if (teacher is None) == bool(cls.n_teachers):
            expected = "a teacher" if cls.n_teachers else "no teacher"
            raise IncompatibleRunError(
                f"{cls.__name__} takes {expected}, found {teacher.__name__ if teacher else 'none'}"
            )
        if teacher is None or teacher_inputs is None:
            return
        if cls.teacher_is_student and (teacher, teacher_inputs) != (student, student_inputs):
            raise IncompatibleRunError(
                f"{cls.__name__} takes the student as its own teacher: expected "
                f"{student.__name__} on {', '.join(student_inputs)}, found {teacher.__name__} on "
                f"{', '.join(teacher_inputs)}"
            )
        if not _one_length(student_inputs, teacher_inputs):
            raise IncompatibleRunError(
                f"{cls.__name__}: expected windows of one length, found {_spelled(student_inputs)} "
                f"for {student.__name__} and {_spelled(teacher_inputs)} for {teacher.__name__}. "
                "Give both recipes the same window."
            )

    @abstractmethod
    def distillation_loss(self, batch: Batch, output: Output) -> Tensor:
        """Return the loss of a training batch, without penalties, a scalar.

        Args:
            batch: Windows with the signals of student and teachers.
            output: Output of the student for these windows.
        """

    def penalized(self, loss: Tensor) -> Tensor:
        """Return a loss plus the student's own penalties."""
        return self.student.penalized(loss)

    def seen(self, signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the signals of a batch that the student takes."""
        names = (*self.student_signals, LENGTH) if LENGTH in signals else self.student_signals
        return {name: signals[name] for name in names}

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        output: Output = self.network(self.seen(signals))
        return output.widened()

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch and the student's logits (B, K).

        Outside of training, the loss is cross-entropy.
        """
        output = self(batch.signals)
        if not self.training:
            return F.cross_entropy(output.logits, batch.target), output.logits
        self._steps.append((output.logits.detach(), batch.target, batch.row))
        return self.penalized(self.distillation_loss(batch, output)), output.logits

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self._log_terms()

    def on_fit_start(self) -> None:
        super().on_fit_start()
        for teacher in self.teachers:
            teacher.model.to(self.device).eval()
        if self.teachers:
            self.owner = self._owners()
            self.prepare_teaching()

    def prepare_teaching(self) -> None:
        """Freeze the teachers and keep their answers to all training windows.

        A subclass whose teacher moves prepares otherwise.
        """
        for teacher in self.teachers:
            teacher.model.requires_grad_(False)
        self._keep_answers()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the student alone, so that its own class loads it."""
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in weights.items() if k.startswith("network.")}
        checkpoint["hyper_parameters"] = dict(self.student.hparams)

    @property
    def data(self) -> TrainingData:
        """The datamodule.

        Raises:
            IncompatibleRunError: Fitting uses loaders, or a datamodule that lists no windows.
        """
        module = getattr(self.trainer, "datamodule", None)
        if not isinstance(module, TrainingData):
            raise IncompatibleRunError(
                f"{type(self).__name__}: expected a datamodule with windows, found "
                f"{type(module).__name__ if module else 'loaders'}. Fit with datamodule="
            )
        return module

    @property
    def gather(self) -> Callable[[Tensor], Batch]:
        """Function that returns the training windows of some rows as a batch."""
        return self.data.train_dataloader().dataset.__getitem__

    def rows(self, batch: Batch) -> Tensor:
        """Return the position of each window among the training windows, shape (B,).

        Raises:
            IncompatibleRunError: The batch does not count its rows.
        """
        if batch.row is None:
            raise IncompatibleRunError(
                f"{type(self).__name__}: expected batches that count their rows, found some that "
                "do not. Take the loaders of the datamodule."
            )
        return batch.row

    @torch.no_grad()
    def ask(self, signals: Mapping[str, Tensor], rows: Tensor) -> Output:
        """Return the teachers' output for training windows, each for those that it answers for.

        Args:
            signals: Signals that are scaled for the student.
            rows: Position of each window among the training windows, shape (B,).
        """
        owner, outputs, positions = self.owner[rows], [], []
        for number, teacher in enumerate(self.teachers):
            answered = (owner == number).nonzero().flatten()
            if len(answered):
                inputs = {name: window[answered] for name, window in signals.items()}
                outputs.append(teacher(inputs))
                positions.append(answered)
        order = torch.cat(positions).argsort()
        return Output(
            torch.cat([output.logits for output in outputs])[order],
            torch.cat([output.embedding for output in outputs])[order],
        )

    def teacher_embedding(self, batch: Batch) -> Tensor:
        """Return the teachers' embedding of training windows, shape (B, D)."""
        rows = self.rows(batch)
        if self._embeddings is not None:
            return self._embeddings[rows]
        return self.ask(batch.signals, rows).embedding

    def _log_terms(self) -> None:
        """Log the distance of the student from the labels and from its teachers, once an epoch.

        All losses here are made of these two terms; they are logged without a method's own factors
        and temperature, so that the curves of distillers can be compared: mean cross-entropy, and
        mean Kullback-Leibler divergence from teachers whose answers stay the same.
        """
        logits, targets, rows = zip(*self._steps, strict=True)
        self._steps.clear()
        answers = torch.cat(logits)
        self.log("train_cross_entropy", F.cross_entropy(answers, torch.cat(targets)))
        if len(self.teacher_logits):
            kept = self.teacher_logits[torch.cat(rows)]
            self.log("train_divergence", divergence(answers, kept).mean())

    def _owners(self) -> Tensor:
        """Return the position of the teacher of each training window, shape (N,)."""
        n_windows = len(self.data.windows("train"))
        answers = torch.zeros(len(self.teachers), n_windows, dtype=torch.long)
        for position, teacher in enumerate(self.teachers):
            answers[position, slice(None) if teacher.rows is None else teacher.rows.cpu()] = 1
        counts = answers.sum(dim=0)
        if not (counts == 1).all():
            raise ValueError(
                f"expected one teacher for each of {n_windows} training windows, found "
                f"{int((counts == 0).sum())} without any and {int((counts > 1).sum())} with several"
            )
        return answers.argmax(dim=0).to(self.device)

    def _keep_answers(self) -> None:
        """Keep the teachers' output for every training window, in the order of the windows."""
        gather, n_windows = self.gather, len(self.owner)
        logits, embeddings = [], []
        keep = self.reads_embedding
        for rows in torch.arange(n_windows).split(self.recipe.batch_size):
            batch = gather(rows)
            signals = {name: window.to(self.device) for name, window in batch.signals.items()}
            output = self.ask(signals, rows.to(self.device))
            logits.append(output.logits)
            keep = keep and n_windows * output.embedding.shape[1] <= CACHED_FLOATS
            if keep:
                embeddings.append(output.embedding)
        self.teacher_logits = torch.cat(logits)
        self._embeddings = torch.cat(embeddings) if keep else None


def _one_length(*inputs: Inputs) -> bool:
    """Whether there is a length in seconds that all signals have, rounded to their samples."""
    specs = [spec for some in inputs for name, spec in some.items() if name != LENGTH]
    longest = [(spec.n_times + 0.5) / spec.sfreq for spec in specs]
    shortest = [(spec.n_times - 0.5) / spec.sfreq if spec.n_times > 1 else 0 for spec in specs]
    return max(shortest) <= min(longest)


def _spelled(inputs: Inputs) -> str:
    return ", ".join(
        f"{spec.n_times} samples of {name} at {spec.sfreq:g} Hz" for name, spec in inputs.items()
    )
