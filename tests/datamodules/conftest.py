from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.cache import Archive, store_subject
from datamodules.catalogue import DATAMODULES
from datamodules.datamodule import EmotionDataModule
from datamodules.signals.recording import Recording, Segment, Signal
from datamodules.synthesis import (
    amigos,
    deap,
    empatica_e4,
    mahnob_hci,
    pmemo,
    seed_v,
    stress_predict,
    wesad,
)

RATES = {"fast": (2, 8.0), "slow": (1, 2.5)}
"""Channels and rate in Hz of the signals of made recordings."""


@dataclass(frozen=True)
class ListReader:
    """Gives recordings that are there already; ``root`` is no part of the cache key."""

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
    """Recordings of subjects, stored, joined and opened."""

    def build(recordings: Mapping[str, tuple[Recording, ...]]) -> Archive:
        folder = tmp_path_factory.mktemp("cache")
        reader = ListReader(recordings)
        archive = Archive(
            folder, tuple(store_subject(folder, reader, {}, name) for name in reader.subjects)
        )
        for signal in archive.recordings[0].signals:
            archive.join(signal)
        return archive

    return build


@dataclass(frozen=True)
class Small:
    """How to write a dataset that is as small as it may be, and what to ask of it."""

    write: Callable[[Path], None] | None
    subjects: tuple[str, ...]
    window: float
    options: Mapping[str, Any] = field(default_factory=dict)


SMALL = {
    "wesad": Small(lambda root: wesad.write(root, 3, minutes=1.0), ("S2", "S3", "S4"), 20.0),
    "stress_predict": Small(
        lambda root: stress_predict.write(root, 3, scale=0.2), ("S02", "S03", "S04"), 20.0
    ),
    "deap": Small(
        lambda root: deap.write(root, 3, n_videos=4), ("s01", "s02", "s03"), 20.0, {"n_videos": 4}
    ),
    "amigos": Small(
        lambda root: amigos.write(root, 3, seed=1, n_videos=4), ("P01", "P02", "P03"), 20.0
    ),
    "mahnob_hci": Small(
        lambda root: mahnob_hci.write(root, 3, seed=1, n_trials=4, longest=36.0, neutral=False),
        ("1", "2", "3"),
        20.0,
    ),
    "pmemo": Small(lambda root: pmemo.write(root, 3, n_songs=8), pmemo.LISTENERS[:3], 15.0),
    "seed_v": Small(lambda root: seed_v.write(root, 3), ("1", "2", "3"), 40.0),
    "empatica_e4": Small(
        lambda root: empatica_e4.write(root, 3, minutes=2.2), ("P01", "P02", "P03"), 20.0
    ),
    "synthetic": Small(None, ("S1", "S2", "S3"), 20.0, {"n_subjects": 3, "phase": 62.0}),
    "noise": Small(None, ("N1", "N2", "N3"), 40.0, {"n_subjects": 3}),
}


class SmallDatasets:
    """Small datasets, each written and prepared once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def root(self, key: str) -> Path | None:
        """Raw files of a dataset; None where it has none."""
        write = SMALL[key].write
        root = self.folder / key
        if write and not root.exists():
            write(root)
        return root if write else None

    def module(self, key: str, task: str | None = None, **changes: Any) -> EmotionDataModule:
        """A datamodule, prepared but not set up."""
        small = SMALL[key]
        arguments = {
            "subjects": small.subjects,
            "window": small.window,
            "stride": 10.0,
            "batch_size": 4,
            "cache_dir": self.folder / "cache",
            "options": small.options,
        }
        found = DATAMODULES[key](self.root(key), task, **{**arguments, **changes})
        found.prepare_data()
        return found


@pytest.fixture(scope="session")
def small_datasets(tmp_path_factory: pytest.TempPathFactory) -> SmallDatasets:
    return SmallDatasets(tmp_path_factory.mktemp("small"))
