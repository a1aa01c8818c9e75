"""Distiller: a student, its teachers, and what passes between them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, cast

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
"""Embeddings of all training windows are kept up to this size, 256 MiB; beyond it they are computed
anew for every batch."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained model, and which training windows it answers for.

    Args:
        model: The trained model.
        signals: What it sees.
        shift: By signal, shape (C, 1); see ``scale``.
        scale: By signal, shape (C, 1). Batches are scaled for the student; the teacher is given ``x
            * scale + shift``, and a signal without an entry as it is. Zeros that fill up a trial
            are shifted too.
        rows: Positions, among the training windows, of those that it answers for; None: all.
            Teachers with disjoint rows are out-of-fold teachers: each answers for people whom it
            was not trained on.
    """

    model: EmotionClassifier
    signals: tuple[str, ...]
    shift: Mapping[str, Tensor] = field(default_factory=dict)
    scale: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None

    def __call__(self, signals: Mapping[str, Tensor]) -> Output:
        """What it says of windows that are scaled for the student."""
        seen = {name: signals[name] for name in self.signals}
        for name in self.signals:
            if name in self.scale:
                shift, scale = (part[name].to(seen[name]) for part in (self.shift, self.scale))
                seen[name] = seen[name] * scale + shift
        if LENGTH in signals:
            seen[LENGTH] = signals[LENGTH]
        output: Output = self.model(seen)
        return output


class Windows(Protocol):
    """What is read of the training windows, columns of shape (N,) in order of time.

    Windows that were drawn again to balance the classes come behind, out of order.
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


class TrainingData(Protocol):
    """What a distiller asks of a datamodule."""

    def windows(self, part: Literal["train"], /) -> Windows:
        """The training windows."""
        ...

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of them; indexed with rows, its dataset gives a whole batch."""
        ...


class Distiller(EmotionClassifier, ABC):
    """Trains a student's own network in place; a subclass says what the loss is.

    Batches hold the signals of student and teachers; the student is given its own alone, always.
    Validation and prediction are those of any classifier: the student's signals, and plain
    cross-entropy. Teachers are no part of the module: neither are they trained nor stored with it.
    They run in eval mode, so that what they say of a window is always the same; it is computed once
    for all training windows when fitting starts. A checkpoint is the student's.

    Args:
        student: The untrained model; its network and recipe are taken over.
        student_signals: What it sees.
        teachers: One, or several that share the training windows; none where a subclass has none.

    Raises:
        IncompatibleRunError: Teachers that know other classes.
        ValueError: Too few or too many teachers.
    """

    about: ClassVar[str]
    """What it does, in one line."""
    n_teachers: ClassVar[Literal[0, 1]] = 1
    """Whether it has a teacher. That one may be there several times, out of fold."""
    teacher_is_student: ClassVar[bool] = False
    """Whether the teacher is a run of the student's own architecture on its own signals."""
    changes: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    """Changes that its paper makes to a student's recipe, by the student's catalogue key."""
    epochs_factor: ClassVar[int] = 1
    """Times that the student's epochs and patience are multiplied."""
    reads_embedding: ClassVar[bool] = False
    """Whether the loss asks for the teacher's embedding."""

    def __init__(
        self,
        student: EmotionClassifier,
        student_signals: tuple[str, ...],
        teachers: tuple[Teacher, ...] = (),
    ) -> None:
        super().__init__(student.network, student.n_classes, student.recipe)
        name = type(self).__name__
        if bool(teachers) != bool(self.n_teachers):
            wanted = "a teacher" if self.n_teachers else "no teacher"
            raise ValueError(f"{name}: expected {wanted}, found {len(teachers)}")
        if any(teacher.model.n_classes != student.n_classes for teacher in teachers):
            raise IncompatibleRunError(
                f"{name}: expected teachers of {student.n_classes} classes, as the student has, "
                f"found {', '.join(str(t.model.n_classes) for t in teachers)}. Take the same task."
            )
        self.student_signals = student_signals
        # In a tuple, where Lightning does not take a model for a part of this one.
        self._student = (student,)
        self.teachers = teachers
        self.owner: Tensor
        """Position of the teacher that answers for each training window, shape (N,)."""
        self.teacher_logits: Tensor
        """What the teachers say of each training window, shape (N, K)."""
        self._embeddings: Tensor | None = None
        self._taught: list[tuple[Tensor, Tensor, Tensor | None]] = []

    @property
    def student(self) -> EmotionClassifier:
        """Whose network is trained."""
        return self._student[0]

    @classmethod
    def check_pair(
        cls,
        student: type[EmotionClassifier],
        teacher: type[EmotionClassifier] | None,
        student_inputs: Inputs,
        teacher_inputs: Inputs | None,
        **options: Any,
    ) -> None:
        """Raise IncompatibleRunError, with the reason, for a pair that it cannot work on.

        Args:
            student: Class of the student.
            teacher: Class of the teacher; None: there is none.
            student_inputs: What the student sees.
            teacher_inputs: What the teacher sees; nothing where there is none.
            options: Arguments of the constructor that differ from their defaults.
        """
        if (teacher is None) == bool(cls.n_teachers):
            wanted = "a teacher" if cls.n_teachers else "no teacher"
            raise IncompatibleRunError(
                f"{cls.__name__} takes {wanted}, found {teacher.__name__ if teacher else 'none'}"
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
        """Loss of a training batch, without penalties, a scalar.

        Args:
            batch: The windows.
            output: What the student says of them.
        """

    def penalized(self, loss: Tensor) -> Tensor:
        """A loss and what the student adds to it, whatever it is trained on."""
        return self.student.penalized(loss)

    def seen(self, signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those signals of a batch that are the student's."""
        names = (*self.student_signals, LENGTH) if LENGTH in signals else self.student_signals
        return {name: signals[name] for name in names}

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        output: Output = self.network(self.seen(signals))
        return output.widened()

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss of a batch and the student's logits (B, K); outside of training, cross-entropy."""
        output = self(batch.signals)
        if not self.training:
            return F.cross_entropy(output.logits, batch.target), output.logits
        self._taught.append((output.logits.detach(), batch.target, batch.row))
        return self.penalized(self.distillation_loss(batch, output)), output.logits

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self._log_terms()

    def on_fit_start(self) -> None:
        super().on_fit_start()
        for teacher in self.teachers:
            teacher.model.to(self.device).eval().requires_grad_(False)
        if self.teachers:
            self.owner = self._owners()
            self._ask_once()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the student alone, so that its own class loads it."""
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in weights.items() if k.startswith("network.")}
        checkpoint["hyper_parameters"] = dict(self.student.hparams)

    @property
    def data(self) -> TrainingData:
        """The datamodule.

        Raises:
            IncompatibleRunError: Fitting goes without one.
        """
        module = getattr(self.trainer, "datamodule", None)
        if module is None:
            raise IncompatibleRunError(
                f"{type(self).__name__}: expected a datamodule, found loaders. Fit with datamodule="
            )
        return cast(TrainingData, module)

    @property
    def gather(self) -> Callable[[Tensor], Batch]:
        """Gives the training windows of some rows, wherever the datamodule keeps them."""
        return self.data.train_dataloader().dataset.__getitem__

    def rows(self, batch: Batch) -> Tensor:
        """Position of each window among the training windows, shape (B,).

        Raises:
            IncompatibleRunError: The batch does not say.
        """
        if batch.row is None:
            raise IncompatibleRunError(
                f"{type(self).__name__}: expected batches that count their rows, found some that "
                "do not. Take the loaders of the datamodule."
            )
        return batch.row

    @torch.no_grad()
    def ask(self, signals: Mapping[str, Tensor], rows: Tensor) -> Output:
        """What the teachers say of training windows, each of those that it answers for.

        Args:
            signals: Scaled for the student.
            rows: Position of each window among the training windows, shape (B,).
        """
        owner, parts, places = self.owner[rows], [], []
        for position, teacher in enumerate(self.teachers):
            mine = (owner == position).nonzero().flatten()
            if len(mine):
                parts.append(teacher({name: window[mine] for name, window in signals.items()}))
                places.append(mine)
        back = torch.cat(places).argsort()
        return Output(
            torch.cat([part.logits for part in parts])[back],
            torch.cat([part.embedding for part in parts])[back],
        )

    def teacher_embedding(self, batch: Batch) -> Tensor:
        """The teachers' embedding of training windows, shape (B, D)."""
        rows = self.rows(batch)
        if self._embeddings is not None:
            return self._embeddings[rows]
        return self.ask(batch.signals, rows).embedding

    def _log_terms(self) -> None:
        """Log how far the student is from the labels and from its teachers, once an epoch.

        These are the two terms that all losses here are made of, without a method's own factors
        and temperature, so that the curves of distillers can be compared: mean cross-entropy, and
        mean Kullback-Leibler divergence from the teachers where what they say stays the same.
        """
        logits, targets, rows = zip(*self._taught, strict=True)
        self._taught.clear()
        said = torch.cat(logits)
        self.log("train_cross_entropy", F.cross_entropy(said, torch.cat(targets)))
        if hasattr(self, "teacher_logits"):
            taught = self.teacher_logits[torch.cat(rows)]
            self.log("train_divergence", divergence(said, taught).mean())

    def _owners(self) -> Tensor:
        """Position of the teacher that answers for each training window, shape (N,)."""
        n_windows = len(self.data.windows("train"))
        answers = torch.zeros(len(self.teachers), n_windows, dtype=torch.long)
        for position, teacher in enumerate(self.teachers):
            answers[position, slice(None) if teacher.rows is None else teacher.rows.cpu()] = 1
        found = answers.sum(dim=0)
        if not (found == 1).all():
            raise ValueError(
                f"expected one teacher for each of {n_windows} training windows, found "
                f"{int((found == 0).sum())} without any and {int((found > 1).sum())} with several"
            )
        return answers.argmax(dim=0).to(self.device)

    def _ask_once(self) -> None:
        """Keep what the teachers say of every training window, in the order of the windows."""
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
