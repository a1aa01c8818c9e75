"""Check of a dataset: subjects that can be used, missing files and doubtful signals."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.plan.expand import lines_of_absent, one_class
from benchmark.plugins import load, loaded
from benchmark.recordings.plausible import doubts_of
from benchmark.recordings.prepare import class_counts, lacking, reason_without_place
from benchmark.run import Value
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.doubles import Double, find_doubles
from datamodules.preparing import SubjectsRead, silent, store_subjects
from datamodules.repeats import find_repeats
from datamodules.signals.preprocessing import Derived
from datamodules.signals.recording import WHOLE_SESSION, Recording
from datamodules.stored import StoredSubject, as_recording


@dataclass(frozen=True, eq=False)
class Check:
    """Findings of a check.

    Attributes:
        signals: One row for each signal: channels, rate in Hz, unit, and range of its samples.
        subjects: One row for each subject, also for those that cannot be used.
        left_out: Reasons why subjects cannot be used, by subject.
        faults: One line for each kind of fault, with the number of trials by subject.
        doubles: One line for each pair of subjects who share signal, and for each subject whose
            signal is stored twice.
        summary: Lines that say what the benchmark will use and leave out.
        refused: Lines on tasks of which all score units have one class, which ``run`` refuses.
    """

    signals: pd.DataFrame
    subjects: pd.DataFrame
    left_out: Mapping[str, str]
    faults: tuple[str, ...]
    doubles: tuple[Double, ...]
    summary: tuple[str, ...]
    refused: tuple[str, ...]


def check(
    dataset: str,
    root: Path,
    cache: Path,
    subjects: Sequence[str],
    options: Mapping[str, Value] | None = None,
    told: Callable[[SubjectsRead], object] = silent,
) -> Check:
    """Read a dataset, subject by subject, and describe it.

    Args:
        dataset: Catalogue key.
        root: Folder of the raw files.
        cache: Folder of prepared recordings.
        subjects: Subjects to check; empty: everybody.
        options: Options of the reader.
        told: Receiver of the progress of reading.

    Raises:
        DatasetNotFoundError: No such dataset or subject.
    """
    module = DATASETS[dataset]
    reader = module.make_reader(root if module.has_files else None, **(options or {}))
    names = module.check_subjects(reader, subjects or None)
    stored, failed = store_subjects(
        module, reader, names, cache, checked=True, told=told, start=partial(load, loaded())
    )
    together = tuple(stored.values())
    doubles = find_doubles([r for s in together for r in s.recordings], find_repeats(together))
    measured = module.recorded(module.available(options or {}))
    rows, ranges, classes = [], _Ranges(), {name: Counter[str]() for name in module.tasks}
    for name in names:
        if name not in stored:
            rows.append({"subject": name, "found": "no", "doubts": "cannot be used, see below"})
            continue
        recordings = [
            as_recording(stored[name], number) for number in range(len(stored[name].recordings))
        ]
        ranges.add(recordings)
        counts = {task: class_counts(module, task, recordings) for task in module.tasks}
        for task, of_task in counts.items():
            classes[task].update(of_task)
        doubts = [
            *doubts_of(recordings, measured),
            *_of_files(stored[name]),
            *_shared(name, doubles),
        ]
        row = _described(module, stored[name], recordings, counts)
        rows.append({"subject": name, **row, "doubts": "; ".join(doubts) or "none"})
    return Check(
        signals=ranges.table(module),
        subjects=pd.DataFrame(rows).fillna("-"),
        left_out={s: reason_without_place(module, root, s, e) for s, e in failed.items()},
        faults=tuple(_fault_lines(stored)),
        doubles=doubles,
        summary=(
            *_summary(module, stored, failed, classes),
            *lines_of_absent(lacking(module, stored, options or {})),
        ),
        refused=tuple(
            one_class(task, next(iter(+counts)))
            for task, counts in classes.items()
            if len(+counts) == 1
        ),
    )


class _Ranges:
    """Lowest and highest sample of each signal, over all recordings."""

    def __init__(self) -> None:
        self.limits: dict[str, tuple[float, float, str]] = {}

    def add(self, recordings: Sequence[Recording]) -> None:
        for recording in recordings:
            for name, signal in recording.signals.items():
                low, high, _ = self.limits.get(name, (np.inf, -np.inf, ""))
                low, high = (
                    min(low, float(signal.samples.min())),
                    max(high, float(signal.samples.max())),
                )
                self.limits[name] = low, high, signal.unit

    def table(self, module: Dataset) -> pd.DataFrame:
        rows = []
        for name, (low, high, unit) in self.limits.items():
            channels, rate = module.signals[name]
            step = module.preprocessing.get(name)
            rows.append(
                {
                    "signal": name,
                    "channels": channels,
                    "rate (Hz)": f"{rate:g}",
                    "unit": unit,
                    "lowest": f"{low:.4g}",
                    "highest": f"{high:.4g}",
                    "from": step.source if isinstance(step, Derived) else "recorded",
                }
            )
        return pd.DataFrame(rows)


def _described(
    module: Dataset,
    stored: StoredSubject,
    recordings: Sequence[Recording],
    counts: Mapping[str, Mapping[str, int]],
) -> dict[str, str]:
    of_trials = [fault for fault in stored.faults if fault.trial != WHOLE_SESSION]
    omitted = sum(fault.omitted for fault in of_trials)
    used = sum(len(recording.segments) for recording in recordings)
    described = {
        "found": "yes",
        "sessions": str(len({recording.session for recording in recordings})),
        "minutes": f"{sum(recording.duration for recording in recordings) / 60:.1f}",
        "trials": f"{used} of {used + omitted}",
        "repaired": str(sum(not fault.omitted and not fault.doubtful for fault in of_trials)),
    }
    unit = "trials" if module.unit is None else f"{module.unit:g} s"
    for task, by_class in counts.items():
        described[f"{task} ({unit})"] = " ".join(f"{k}:{n}" for k, n in by_class.items())
    return described


def _of_files(stored: StoredSubject) -> list[str]:
    """Return how many doubts the reader had about the files, whose words are those of a fault."""
    count = sum(fault.doubtful for fault in stored.faults)
    return [f"{count} doubt(s) about the files, see below"] if count else []


def _shared(subject: str, doubles: Sequence[Double]) -> list[str]:
    """Return with whom a subject shares signal."""
    others = []
    for double in doubles:
        if subject in (one := (double.subject, double.other)):
            other = one[one[0] == subject]
            signal = next(iter(double.seconds))
            others.append(
                f"{signal} twice" if other == subject else f"shares {signal} with {other}"
            )
    return others


def _fault_lines(stored: Mapping[str, StoredSubject]) -> list[str]:
    kinds: dict[tuple[bool, bool, bool, str], Counter[str]] = {}
    for subject, stored_subject in stored.items():
        for fault in stored_subject.faults:
            of_session = fault.trial == WHOLE_SESSION
            kind = of_session, not fault.omitted, fault.doubtful, fault.reason
            kinds.setdefault(kind, Counter())[subject] += 1
    lines = []
    for (of_session, kept, doubtful, reason), subjects in sorted(
        kinds.items(), key=lambda kind: kind[0]
    ):
        named = ", ".join(f"{subject} {count}" for subject, count in subjects.items())
        outcome = "repaired" if kept else "left out"
        outcome = "session(s) on record" if of_session else f"trial(s) {outcome}"
        if doubtful:
            outcome = f"{'session' if of_session else 'trial'}(s) doubtful"
        lines.append(f"{subjects.total()} {outcome}: {reason} ({named})")
    return lines


def _summary(
    module: Dataset,
    stored: Mapping[str, StoredSubject],
    failed: Mapping[str, object],
    classes: Mapping[str, Mapping[str, int]],
) -> list[str]:
    omitted = sum(fault.omitted for subject in stored.values() for fault in subject.faults)
    segments = sum(len(r.segments) for subject in stored.values() for r in subject.recordings)
    lines = [
        f"{len(stored)} of {len(stored) + len(failed)} subjects can be used, with {segments} of "
        f"{segments + omitted} trials"
    ]
    for task, counts in classes.items():
        total = sum(counts.values())
        if total:
            shares = ", ".join(f"{k} {n / total:.0%}" for k, n in counts.items())
            lines.append(f"{task}: {total} score units; {shares}")
    if module.trial_seconds:
        lines.append(
            f"windows are cut to {module.trial_seconds[0]:g} s at most, the shortest trial"
        )
    lines.append(f"splits: {', '.join(module.splits)}; the first is the default")
    return lines
