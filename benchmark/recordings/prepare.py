"""Recordings before they are used: read into the cache, or made up."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.plan.prepared import Prepared
from benchmark.plugins import load, loaded
from benchmark.run import Value
from datamodules.archive import Archive, common_channels
from datamodules.baseline import first_rests
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.doubles import check_people
from datamodules.errors import AffectbenchError
from datamodules.minutes import people_after
from datamodules.preparing import SubjectsRead, silent, store_subjects
from datamodules.signals.recording import Recording
from datamodules.signals.units import Brought
from datamodules.stored import StoredRecording, StoredSignal, StoredSubject
from datamodules.synthesis import folder
from datamodules.tasks import ConditionTask
from datamodules.windows import EPSILON, shortest_with_unit

EXAMPLE = "folder"
"""Name under which an example of a folder dataset is made up."""


def prepare(
    dataset: str,
    root: Path,
    cache: Path,
    options: Mapping[str, object],
    subjects: Sequence[str],
    signals: Sequence[str] | None = None,
    told: Callable[[SubjectsRead], object] = silent,
    brought: Brought = (),
) -> Prepared:
    """Read the subjects of a dataset into the cache, leaving out those that cannot be read.

    Args:
        dataset: Catalogue key.
        root: Folder of the raw files.
        cache: Folder of prepared recordings.
        options: Options of the reader.
        subjects: Subjects to read; empty: everybody.
        signals: Signals that runs will see; None: all.
        told: Receiver of the progress of reading.
        brought: Measured signals that are brought to another rate or unit.

    Raises:
        AffectbenchError: Not one subject can be read.
        LeakError: Two subjects who share signal.
    """
    module = DATASETS[dataset].brought(brought)
    reader = module.make_reader(root if module.has_files else None, **options)
    names = module.check_subjects(reader, subjects or None)
    if not names:
        raise BenchmarkError(f"{module.title} in {root}: expected at least one subject, found none")
    stored, failed = store_subjects(
        module, reader, names, cache, signals, told=told, start=partial(load, loaded())
    )
    if not stored:
        first = next(iter(failed.values()))
        raise type(first)(
            f"none of the {len(names)} subjects of {module.title} can be read; the first: {first}"
        )
    archive = Archive(tuple(stored.values()))
    check_people(archive)
    of_signals = _stored(archive.subjects, signals)
    left_out = {s: reason_without_place(module, root, s, error) for s, error in failed.items()}
    sessions = max(len({r.session for r in s.recordings}) for s in stored.values())
    alone = {
        name: found for name in module.every_task() if (found := only_class(module, name, archive))
    }
    return Prepared(
        tuple(stored),
        left_out,
        archive.key,
        sessions,
        _taking(module, archive),
        longest=_longest(module, archive),
        lacking=lacking(module, stored, options),
        alone=alone,
        contents={subject: recorded.content for subject, recorded in stored.items()},
        samples={subject: _samples(recorded, signals) for subject, recorded in stored.items()},
        rests={name: _rests(module, name, archive) for name in module.every_task()},
        channels={name: common_channels(of_all) for name, of_all in of_signals.items()},
        after_minutes={
            name: people_after(archive, task, module.unit)
            for name, task in module.every_task().items()
        },
        units={n: tuple(sorted({one.unit for one in of_all})) for n, of_all in of_signals.items()},
        brought=brought,
    )


def _samples(recorded: StoredSubject, signals: Sequence[str] | None) -> dict[str, str]:
    """Return the digest of the samples of each signal that was asked for and is there."""
    names = [n for n in recorded.signals if signals is None or n in signals]
    return {name: recorded.samples(name).content for name in names}


def _stored(
    subjects: Iterable[StoredSubject], signals: Sequence[str] | None
) -> dict[str, list[StoredSignal]]:
    """Return each signal that was asked for and that somebody has, in all recordings that do."""
    stored: dict[str, list[StoredSignal]] = {}
    for subject in subjects:
        for name in subject.signals:
            if signals is None or name in signals:
                recorded = subject.samples(name).recordings
                stored.setdefault(name, []).extend(one for one in recorded if one)
    return stored


def lacking(
    module: Dataset, stored: Mapping[str, StoredSubject], options: Mapping[str, object]
) -> dict[str, tuple[str, ...]]:
    """Return the subjects who lack a signal in one of their recordings, by measured signal."""
    who = {
        name: tuple(
            subject
            for subject, recorded in stored.items()
            if any(name not in recording.signals for recording in recorded.recordings)
        )
        for name in module.recorded(module.available(options))
    }
    return {name: subjects for name, subjects in who.items() if subjects}


def class_counts(
    module: Dataset, task: str, recordings: Iterable[Recording | StoredRecording]
) -> dict[str, int]:
    """Return the number of score units of each class of a task."""
    labelled = module.task(task)
    counts = dict.fromkeys(labelled.classes, 0)
    for recording in recordings:
        for segment in recording.segments:
            label = labelled.label(recording.subject, segment)
            if label is not None:
                units = 1 if module.unit is None else (segment.duration + EPSILON) // module.unit
                counts[labelled.classes[label]] += int(units)
    return counts


def only_class(module: Dataset, task: str, archive: Archive) -> str:
    """Return the class that all score units of a task have; empty if there are several, or none."""
    counts = class_counts(module, task, archive.recordings)
    classes = [name for name, count in counts.items() if count]
    return classes[0] if len(classes) == 1 else ""


def _taking(module: Dataset, archive: Archive) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return subjects and digest for each task of which some have no segment, but not all."""
    taking = {}
    for name, task in module.every_task().items():
        members = tuple(
            stored
            for stored in archive.subjects
            if any(
                task.label(recording.subject, segment) is not None
                for recording in stored.recordings
                for segment in recording.segments
            )
        )
        if 0 < len(members) < len(archive.subjects):
            subjects = tuple(stored.subject for stored in members)
            taking[name] = subjects, Archive(members).key
    return taking


def _longest(module: Dataset, archive: Archive) -> dict[str, float]:
    """Return the whole seconds that every segment with a score unit holds, by task."""
    if module.unit is None:
        return {}
    return {
        name: float(int(shortest_with_unit(archive, task, module.unit) + EPSILON))
        for name, task in module.every_task().items()
    }


def _rests(module: Dataset, task: str, archive: Archive) -> dict[str, float]:
    """Return the seconds of each subject's first rest; empty for a task that knows no rest."""
    labelled = module.task(task)
    if not (isinstance(labelled, ConditionTask) and labelled.rest):
        return {}
    rests = first_rests(archive.recordings, labelled)
    return {subject: rest.stop - rest.start for subject, rest in rests.items()}


def reason_without_place(module: Dataset, root: Path, subject: str, error: AffectbenchError) -> str:
    """Return why a subject is left out, in words without folders, equal for equal reasons."""
    text = str(error).replace(str(root), module.title)
    name = re.escape(subject)  # in names of files and people, not where it may be a number
    places = rf"(?<![A-Za-z0-9]){name}(?=[/_.])|(?<=[/_]){name}(?=[./ '])|(?<=participant ){name}\b"
    return re.sub(places, "<subject>", text)


def synthesize(
    dataset: str,
    root: Path,
    n_subjects: int,
    seed: int,
    effect: float,
    options: Mapping[str, Value] | None = None,
) -> int:
    """Write made-up recordings in the publisher's files and folders.

    Args:
        dataset: Catalogue key, or ``EXAMPLE``.
        root: Folder to write to.
        n_subjects: Number of subjects.
        seed: Seed of all random numbers.
        effect: Strength with which labels show in the signals.
        options: Other arguments of the dataset's writer.

    Returns:
        Number of subjects written.

    Raises:
        BenchmarkError: No writer for this dataset, or an option that it does not have.
    """
    write: Callable[..., None] | None = folder.write
    if dataset != EXAMPLE:
        write = DATASETS[dataset].make_writer()
    if write is None:
        names = [*(name for name, known in DATASETS.items() if known.writer), EXAMPLE]
        raise BenchmarkError(
            f"{dataset} cannot be synthesized: expected one of {', '.join(names)}. The "
            "dataset synthetic needs no files at all."
        )
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(write).parameters.items()
        if name not in ("root", "n_subjects", "seed", "effect")
    }
    for name, value in (options or {}).items():
        if name not in defaults or type(value) is not type(defaults[name]):
            listed = ", ".join(f"{name}={default}" for name, default in defaults.items())
            raise BenchmarkError(
                f"{dataset}: expected options as in {listed or 'none'}, found {name}={value}"
            )
    write(root, **(options or {}), n_subjects=n_subjects, seed=seed, effect=effect)
    return n_subjects
