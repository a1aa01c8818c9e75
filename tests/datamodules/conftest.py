from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.archive import Archive
from datamodules.cache import store_subject
from datamodules.catalogue import DATASETS
from datamodules.datamodule import EmotionDataModule, Loading, Selection
from datamodules.dataset import Dataset
from datamodules.fold import Windowing
from datamodules.protocol import Protocol
from datamodules.resident import RESIDENT, Resident
from datamodules.signals.recording import STATIC_RATE, Recording, Segment, Signal

RATES = {"fast": (2, 8.0), "slow": (1, 2.5)}
"""Channels and rate in Hz of the signals of made recordings."""

VALUES = {
    "selection": Selection,
    "protocol": Protocol,
    "windowing": Windowing,
    "loading": Loading,
}
"""Arguments of a datamodule that are values with fields of their own."""


def build(
    dataset: Dataset, root: Path | None = None, task: str | None = None, **arguments: Any
) -> EmotionDataModule:
    """Return a datamodule; each argument goes to the value that has a field of its name.

    ``window`` is the length of windows in seconds.
    """
    arguments["task"] = task
    if "window" in arguments:
        arguments["length"] = arguments.pop("window")
    values = {}
    for name, kind in VALUES.items():
        given = [column.name for column in fields(kind) if column.name in arguments]
        values[name] = kind(**{column: arguments.pop(column) for column in given})
    return EmotionDataModule(dataset, root, **values, **arguments)


@pytest.fixture(scope="session", name="build")
def _build() -> Callable[..., EmotionDataModule]:
    return build


@pytest.fixture
def resident() -> Iterator[Resident]:
    """What this process keeps, empty before and after the test."""
    RESIDENT.clear()
    yield RESIDENT
    RESIDENT.clear()


@dataclass(frozen=True)
class ListReader:
    """Reader of recordings that are there already; ``root`` is no part of the cache key."""

    root: Mapping[str, tuple[Recording, ...]] = field(repr=False)
    version: int = 0

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self.root)

    def files(self, subject: str) -> tuple[Path, ...]:
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        yield from self.root[subject]


def make_recording(
    subject: str,
    spans: Sequence[tuple[float, float, str]],
    seed: int = 0,
    session: str = "1",
    rates: Mapping[str, tuple[int, float]] = RATES,
) -> Recording:
    """Random samples that end half a second after the last span (start, stop, condition)."""
    rng = np.random.default_rng(seed)
    duration = spans[-1][1] + 0.5
    signals = {
        name: Signal(
            rng.normal(3.0, 2.0, (channels, int(np.ceil(duration * rate)))).astype(np.float32),
            rate,
            tuple(f"c{channel}" for channel in range(channels)),
            "a.u.",
        )
        for name, (channels, rate) in rates.items()
    }
    segments = tuple(
        Segment(start, stop, trial, {"condition": condition})
        for trial, (start, stop, condition) in enumerate(spans, start=1)
    )
    return Recording(subject, session, signals, segments)


@pytest.fixture(name="make_recording")
def _make_recording() -> Callable[..., Recording]:
    return make_recording


@pytest.fixture(name="list_reader")
def _list_reader() -> type[ListReader]:
    return ListReader


@pytest.fixture
def archive_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Archive]:
    """Recordings of subjects, stored and opened."""

    def opened(recordings: Mapping[str, tuple[Recording, ...]]) -> Archive:
        folder = tmp_path_factory.mktemp("cache")
        reader = ListReader(recordings)
        return Archive(tuple(store_subject(folder, reader, {}, name) for name in reader.subjects))

    return opened


SPANS = {
    "S1": [
        [(2.0, 30.5, "rest"), (31.0, 40.0, "talk"), (41.25, 71.375, "stress")],
        [(0.0, 19.875, "fun"), (20.0, 24.0, "stress"), (30.0, 70.0, "stress")],
    ],
    "S2": [[(1.125, 45.0, "stress"), (45.0, 90.0, "rest"), (91.0, 94.875, "rest")]],
    "S10": [[(0.5, 50.0, "rest"), (60.0, 85.0, "talk"), (85.0, 140.5, "stress")]],
}
"""Start, stop and condition of the segments of each session: eighths of a second."""


@pytest.fixture(scope="session", name="spans")
def _spans() -> Mapping[str, Sequence[Sequence[tuple[float, float, str]]]]:
    return SPANS


@pytest.fixture
def archive(archive_of: Callable[..., Archive]) -> Archive:
    """Recordings with the segments of ``SPANS``."""
    return archive_of(
        {
            subject: tuple(
                make_recording(subject, spans, seed=10 * number + session, session=str(session))
                for session, spans in enumerate(sessions)
            )
            for number, (subject, sessions) in enumerate(SPANS.items())
        }
    )


MIXED = {**RATES, "static": (3, STATIC_RATE)}
POISON = np.float32(1e9)


@pytest.fixture
def trials(archive_of: Callable[..., Archive]) -> Archive:
    """Trials of many lengths; what is not part of the task, and lies between, is huge."""
    spans = {
        "S1": [(0.0, 12.5, "rest"), (0.0, 90.0, "talk"), (0.5, 3.3, "stress")],
        "S2": [(0.0, 0.1, "stress"), (0.0, 20.0, "talk"), (1.25, 9.0, "rest")],
        "S10": [(0.0, 20.0, "talk"), (0.0, 6.0, "stress"), (2.0, 4.5, "fun")],
    }
    recordings = {
        subject: tuple(
            make_recording(subject, [span], 10 * n + trial, rates=MIXED, session=str(trial))
            for trial, span in enumerate(trials)
        )
        for n, (subject, trials) in enumerate(spans.items())
    }
    for sessions in recordings.values():
        for recording in sessions:
            (segment,) = recording.segments
            for signal in recording.signals.values():
                # Nor is what comes after a trial in its own recording.
                stop = max(1, round(segment.stop * signal.sfreq))
                signal.samples[:, 0 if segment.annotations["condition"] == "talk" else stop :] = (
                    POISON
                )
    return archive_of(recordings)


@dataclass(frozen=True)
class Small:
    """How a dataset is written as small as it may be, and what is asked of it.

    Args:
        writing: Arguments of its writer, besides the folder and the number of subjects.
        options: Options of its reader.
        window: Length of windows in seconds; None: a third of a score unit or of the shortest
            trial.
    """

    writing: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    window: float | None = None


SMALL = {
    "wesad": Small({"minutes": 1.0}),
    "stress_predict": Small({"scale": 0.2}),
    "wearable_stress": Small({"scale": 0.1}),
    "eegmat": Small({"rest": 60}),
    "deap": Small({"n_videos": 4}, {"n_videos": 4}),
    "amigos": Small({"seed": 1, "n_videos": 4}, window=20.0),
    "mahnob_hci": Small({"seed": 1, "n_trials": 4, "longest": 36.0, "neutral": False}, window=20.0),
    "pmemo": Small({"n_songs": 8}, window=15.0),
    "seed_v": Small(window=40.0),
    "empatica_e4": Small({"minutes": 2.2}),
    "synthetic": Small(options={"n_subjects": 3, "phase": 62.0}),
    "noise": Small(options={"n_subjects": 3}, window=40.0),
}
"""Datasets of which the default copy would be large; any other needs no entry here."""
N_SUBJECTS = 3


class SmallDatasets:
    """Small datasets, each written and prepared once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries = SMALL

    def root(self, name: str) -> Path | None:
        """Return the raw files of a dataset; None where it has none."""
        dataset, root = DATASETS[name], self.folder / name
        if not dataset.has_files:
            return None
        if not root.exists():
            write = dataset.make_writer()
            if write is None:
                raise LookupError(f"{name}: expected a writer, so that it can be tested")
            write(root, N_SUBJECTS, **self._entry(name).writing)
        return root

    def module(self, name: str, task: str | None = None, **changes: Any) -> EmotionDataModule:
        """Return a datamodule of the first three subjects, prepared but not set up."""
        dataset, entry = DATASETS[name], self._entry(name)
        root = changes.pop("root", None) or self.root(name)
        longest = dataset.unit or dataset.trial_seconds[0]
        arguments = {
            "window": entry.window or longest / 3,
            "stride": 10.0,
            "batch_size": 4,
            "cache_dir": self.folder / "cache",
            "options": entry.options,
        }
        if "subjects" not in changes:
            reader = dataset.make_reader(root, **entry.options)
            arguments["subjects"] = reader.subjects[:N_SUBJECTS]
        module = build(dataset, root, task, **{**arguments, **changes})
        module.prepare_data()
        return module

    def _entry(self, name: str) -> Small:
        return self.entries.get(name, Small())


@pytest.fixture(scope="session")
def small_datasets(tmp_path_factory: pytest.TempPathFactory) -> SmallDatasets:
    return SmallDatasets(tmp_path_factory.mktemp("small"))
