"""Preparing: subjects of a dataset are read into the cache, side by side where that pays.

Where there is much to read, processes of their own do it, the largest subject first: no more of
them than cores, or than fit into ``MEMORY``. What lies in the cache afterwards is the same as if
all subjects had been read one after another.
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datamodules.cache import Reader, is_stored, store_subject, subject_folder
from datamodules.crew import Crew
from datamodules.dataset import Dataset
from datamodules.errors import AffectbenchError, MachineError
from datamodules.machine import reading
from datamodules.stored import StoredSubject

WORTH = 128 * 2**20
"""Bytes of raw files from which on processes are started: to start one takes a second of a core."""
MEMORY = 4 * 2**30
"""Bytes of memory that all processes together may take, by an estimate."""
IMPORTED, COPIES = 400 * 2**20, 1.5
"""Bytes of a process before it reads, with the solver of cvxEDA loaded, and the number of times
that the raw files of a subject are in its memory. For a subject of WESAD (857 MiB) that makes 1685
MiB, and 698 were measured; for one of DEAP (98 MiB) 547, and 316 were measured."""


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class SubjectsRead:
    """How far reading is.

    Args:
        done: Number of subjects that have been read in this call.
        total: Number of those that are not in the cache yet.
    """

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done} of {self.total} subjects read"


def silent(progress: SubjectsRead) -> None:
    """Receive the progress and say nothing."""


def store_subjects(
    dataset: Dataset,
    reader: Reader,
    subjects: Sequence[str],
    cache_dir: Path,
    signals: Collection[str] | None = None,
    checked: bool = False,
    told: Callable[[SubjectsRead], object] = silent,
    start: Callable[[], object] = _nothing,
) -> tuple[dict[str, StoredSubject], dict[str, AffectbenchError]]:
    """Fill the cache subject by subject, going on past those that are not as published.

    Args:
        dataset: Dataset.
        reader: Its reader.
        subjects: Subjects to read.
        cache_dir: Folder of prepared recordings.
        signals: Signals that are in the cache then, as far as a subject has them; None: all.
        checked: Whether their samples are compared with their checksums, if they were there.
        told: Receiver of the progress, after each subject that is not in the cache yet.
        start: Function that each process calls first, as to load a plug-in that has the reader.

    Returns:
        The stored subjects, and the error of each of the others.

    Raises:
        MachineError: The machine cannot read or write, which is no fault of a subject.
    """
    folder = cache_dir / dataset.name
    store = partial(
        store_subject,
        folder,
        reader,
        dataset.preprocessing,
        signals=signals,
        checked=checked,
    )
    unread = _unread(folder, dataset, reader, subjects, signals)
    counted = _Counted(len(unread), told)
    errors: dict[str, AffectbenchError] = {}
    most = processes(list(unread.values()))
    if most > 1:
        errors = Crew(store, start, counted).read(sorted(unread, key=lambda s: -unread[s]), most)
    stored, failed = {}, {}
    for subject in subjects:
        try:
            if subject in errors:
                raise errors[subject]
            stored[subject] = store(subject)
        except MachineError:
            raise
        except AffectbenchError as error:
            failed[subject] = error
        if subject in unread:
            counted(subject)
    return stored, failed


def processes(sizes: Sequence[int]) -> int:
    """Return the number of processes that read subjects side by side; 1: this one alone.

    Args:
        sizes: Bytes of the raw files of each subject.
    """
    if sum(sizes) < WORTH:
        return 1
    fitting = int(MEMORY / (IMPORTED + COPIES * max(sizes)))
    return max(1, min(cores(), len(sizes), fitting))


def cores() -> int:
    """Return the number of cores that this process may use; of the machine where it cannot say."""
    if hasattr(os, "sched_getaffinity"):  # macOS has none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _unread(
    folder: Path,
    dataset: Dataset,
    reader: Reader,
    subjects: Sequence[str],
    signals: Collection[str] | None,
) -> dict[str, int]:
    """Return the bytes of the raw files of each subject who is not in the cache."""
    sizes = {}
    for subject in subjects:
        try:
            with reading(subject):
                place = subject_folder(folder, reader, dataset.preprocessing, subject)
                if not is_stored(place, signals):
                    sizes[subject] = sum(path.stat().st_size for path in reader.files(subject))
        except MachineError:
            raise
        except AffectbenchError:  # it is met again, and reported, when the subject is read
            continue
    return sizes


class _Counted:
    """Tells the progress, each subject once."""

    def __init__(self, total: int, told: Callable[[SubjectsRead], object]) -> None:
        self.total, self.told = total, told
        self.done: set[str] = set()

    def __call__(self, subject: str) -> None:
        if subject not in self.done:
            self.done.add(subject)
            self.told(SubjectsRead(len(self.done), self.total))
