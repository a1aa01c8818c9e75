"""Folds of calibrated people: who is kept out, what is scaled, and what the guard refuses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.datamodule import EmotionDataModule
from datamodules.errors import IncompatibleRunError, LeakError
from datamodules.fold import PARTS, Fold
from datamodules.guard import check_fold
from datamodules.signals.recording import Recording
from datamodules.synthetic import SYNTHETIC, SyntheticReader
from tests.datamodules.as_recorded import as_recorded


@pytest.fixture
def module_of(
    build: Callable[..., EmotionDataModule], tmp_path: Path
) -> Callable[..., EmotionDataModule]:
    def make(calibration: str, **arguments: Any) -> EmotionDataModule:
        given = {"options": {"n_subjects": 5, "phase": 180.0}, "window": 30.0, "stride": 10.0}
        module = build(
            SYNTHETIC,
            signals=("eda", "bvp"),
            split="subject_k_fold",
            folds=5,
            calibration=calibration,
            cache_dir=tmp_path,
            **{**given, **arguments},
        )
        module.prepare_data()
        module.setup()
        return module

    return make


def first_rest(fold: Fold, subject: str) -> tuple[float, float]:
    """Start and stop of somebody's first segment of rest, looked for one by one."""
    for row, segment in fold.archive.segments:
        resting = segment.annotations["condition"] == "baseline"
        if fold.archive.recordings[row].subject == subject and resting:
            return segment.start, segment.stop
    raise AssertionError(subject)


def test_what_is_near_a_baseline_is_in_no_part(
    module_of: Callable[..., EmotionDataModule],
) -> None:
    """A score unit lasts 60 s, and so does the gap."""
    plain, calibrated = module_of("none"), module_of("baseline:2")
    for part in PARTS:
        expected = []
        windows = plain.windows(part)
        for row in range(len(windows)):
            start, _ = first_rest(plain.fold, plain.subjects[windows.subject[row]])
            clear = (
                windows.start[row] + 30.0 <= start - 60.0
                or windows.start[row] >= start + 120.0 + 60.0
            )
            if clear:
                expected.append((windows.recording[row], windows.start[row]))
        kept = calibrated.windows(part)
        assert list(zip(kept.recording, kept.start, strict=True)) == expected
        assert 0 < len(expected) < len(windows)


def test_a_unit_in_a_baseline_that_is_tested_is_refused(
    module_of: Callable[..., EmotionDataModule],
) -> None:
    fold = module_of("baseline:2").fold
    check_fold(fold)
    planted = replace(fold)
    units, keep = fold.grids["units"], fold._kept_out["units"].copy()
    (subject,) = fold.members.test
    start, _ = first_rest(fold, subject)
    tested = units.subject == fold.subjects.index(subject)
    (row,) = np.flatnonzero(tested & (units.start == start))
    keep[row] = False
    planted.__dict__["_kept_out"] = {**fold._kept_out, "units": keep}
    with pytest.raises(LeakError, match=rf"1 window\(s\) in test are in a baseline .* {start:g} s"):
        check_fold(planted)


@pytest.mark.parametrize("part", PARTS)
def test_training_windows_near_a_baseline_are_refused_too(
    module_of: Callable[..., EmotionDataModule], part: str
) -> None:
    fold = module_of("baseline:2").fold
    planted = replace(fold)
    planted.__dict__["_kept_out"] = {n: np.zeros_like(v) for n, v in fold._kept_out.items()}
    message = r"window\(s\) in (train|val|test) are in a baseline"
    with pytest.raises(LeakError, match=message):
        check_fold(planted)


@dataclass(frozen=True)
class TwiceReader(SyntheticReader):
    """The first rest of everybody is stored once more, in the last segment of stress."""

    def read(self, subject: str) -> Iterator[Recording]:
        for recording in super().read(subject):
            by_condition = {s.annotations["condition"]: s for s in recording.segments}
            rest = next(s for s in recording.segments if s.annotations["condition"] == "baseline")
            for signal in recording.signals.values():
                source, target, count = (
                    round(seconds * signal.sfreq)
                    for seconds in (rest.start, by_condition["stress"].start, rest.duration)
                )
                copied = signal.samples[:, source : source + count]
                signal.samples[:, target : target + count] = copied
            yield recording


def test_a_baseline_whose_signal_is_tested_once_more_is_refused(
    module_of: Callable[..., EmotionDataModule], build: Callable[..., EmotionDataModule], tmp_path
) -> None:
    """By the recordings alone: by their times, baseline and test are far apart."""
    module_of("baseline:2")

    def twice(calibration: str) -> EmotionDataModule:
        module = build(
            replace(SYNTHETIC, reader=TwiceReader),
            options={"n_subjects": 5, "phase": 180.0},
            signals=("eda", "bvp"),
            window=30.0,
            split="subject_k_fold",
            folds=5,
            calibration=calibration,
            cache_dir=tmp_path / "twice",
        )
        module.prepare_data()
        module.setup()
        return module

    twice("none")
    with pytest.raises(LeakError, match=r"in a baseline, as session 1 at [\d.]+ s, in test"):
        twice("baseline:2")


def test_windows_are_scaled_as_they_are_gathered(
    module_of: Callable[..., EmotionDataModule],
) -> None:
    for calibration in ("baseline:1", "unlabelled", "whole"):
        module = module_of(calibration)
        for part in PARTS:
            windows = module.windows(part)
            scaling = module.fold.personal_scaling(windows)
            raw = as_recorded(module, windows)
            rows = torch.tensor([3, 0, len(windows) - 1, 3])
            batch = module.gathered(part)[rows]
            for name, samples in raw[rows].signals.items():
                expected = (samples - scaling.mean[name][rows]) / scaling.std[name][rows]
                assert torch.allclose(batch.signals[name], expected, atol=1e-6)


def test_a_baseline_leaves_the_spread_of_training_people(
    module_of: Callable[..., EmotionDataModule],
) -> None:
    """Over the training segments, less each person's own level at rest."""
    module = module_of("baseline:1")
    fold = module.fold
    samples = fold.archive.samples("eda")
    pieces = []
    for row, segment in fold.archive.segments:
        subject = fold.archive.recordings[row].subject
        if subject in fold.members.train:
            start, _ = first_rest(fold, subject)
            channel = samples[row][0]
            level = channel[round(4 * start) : round(4 * (start + 60))].astype(np.float64).mean()
            pieces.append(channel[round(4 * segment.start) : round(4 * segment.stop)] - level)
    assert fold.scaling is not None
    assert fold.scaling.std["eda"].item() == pytest.approx(np.concatenate(pieces).std(), rel=1e-4)
    assert fold.scaling.mean["eda"].item() == 0.0


def test_validation_people_may_be_trained_on_in_the_end(
    module_of: Callable[..., EmotionDataModule],
) -> None:
    module = module_of("baseline:1")
    count = len(module.windows("train"))
    module.train_on_validation()
    assert len(module.windows("train")) > count


def test_windows_that_do_not_fit_are_refused_before_a_file_is_read(
    module_of: Callable[..., EmotionDataModule],
) -> None:
    with pytest.raises(IncompatibleRunError, match="expected windows of at most 30 s"):
        module_of("baseline:0.5", window=60.0)
    with pytest.raises(IncompatibleRunError, match="found scaling min_max"):
        module_of("whole", scaling="min_max")


def test_who_rests_too_little_is_named(module_of: Callable[..., EmotionDataModule]) -> None:
    with pytest.raises(IncompatibleRunError, match="expected 600 s of rest of everybody"):
        module_of("baseline:10")
