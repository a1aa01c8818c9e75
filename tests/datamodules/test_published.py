"""Protocols of papers: shares of a hold-out, no validation part, windows scored one by one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.datamodule import EmotionDataModule
from datamodules.deap import DEAP, DEAPReader
from datamodules.errors import IncompatibleRunError, LeakError
from datamodules.protocol import Protocol
from datamodules.splits import SPLITS, Dealing, random_parts
from datamodules.synthesis import deap
from datamodules.synthetic import SYNTHETIC

Make = Callable[..., EmotionDataModule]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, build: Make) -> Make:
    """Four subjects with eight phases of a minute, a score unit each."""
    cache = tmp_path_factory.mktemp("cache")

    def made(**changes: Any) -> EmotionDataModule:
        arguments = {"window": 20.0, "stride": 10.0, "cache_dir": cache}
        arguments |= {"options": {"n_subjects": 4, "phase": 60.0}, **changes}
        module = build(SYNTHETIC, **arguments)
        module.prepare_data()
        module.setup()
        return module

    return made


def places(module: EmotionDataModule, part: Any) -> set[tuple[int, float]]:
    windows = module.windows(part)
    return set(zip(windows.segment.tolist(), windows.start.tolist(), strict=True))


# ---- shares


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5])
def test_share_of_a_hold_out(share: float) -> None:
    parts = random_parts(1000, 0, 1, seed=3, test_share=share)
    assert (parts == 2).sum() == 1000 * share
    again = random_parts(1000, 0, 1, seed=4, test_share=share)
    np.testing.assert_array_equal(parts == 2, again == 2)
    people: dict[str, list[tuple[str, str]]] = {f"S{number}": [] for number in range(10)}
    dealing = Dealing(fold=0, seed=0, test_share=share)
    assert len(SPLITS["subject_hold_out"].members(people, dealing).test) == round(10 * share)


def test_any_number_of_subjects_will_do_where_trials_are_dealt_out(make: Make) -> None:
    assert SPLITS["subject_k_fold"].n_folds(4, Dealing(0, 0, 10), shuffled=True) == 10
    module = make(split="subject_k_fold", folds=10, fold=9, flags=["random_trials"])
    trials = [len(module.fold.segments_of(part)) for part in ("train", "val", "test")]
    assert sum(trials) == 32
    assert trials[2] == 3


# ---- nobody kept apart


@pytest.mark.parametrize("flags", [[], ["select_on_test"]], ids=["train", "test"])
@pytest.mark.parametrize("dealt", [[], ["random_trials"], ["random_windows"]], ids=str)
def test_all_that_is_not_tested_is_trained_on(
    make: Make, flags: list[str], dealt: list[str]
) -> None:
    fields = {"split": "subject_k_fold", "folds": 4, "fold": 1, "flags": [*dealt, *flags]}
    usual, module = make(**fields), make(**fields, validation=False)
    assert places(module, "test") == places(usual, "test")
    kept = make(**{**fields, "flags": dealt})
    assert places(module, "train") == places(kept, "train") | (
        places(kept, "val") if dealt != ["random_windows"] else places(module, "train")
    )
    assert len(places(module, "train")) > len(places(kept, "train"))
    if flags:
        assert places(module, "val") == places(module, "test")
        assert module.state_dict()["chosen_on"] == list(module.fold.members.test)
    elif not dealt:
        assert set(module.state_dict()["chosen_on"]) == set(module.fold.members.train)
    chosen_on = set(module.windows("val").segment.tolist())
    assert chosen_on <= set(module.windows("test" if flags else "train").segment.tolist())


@pytest.mark.parametrize("dealt", ["random_trials", "random_windows"])
def test_the_test_part_chooses_where_windows_are_dealt_out(make: Make, dealt: str) -> None:
    module = make(split="subject_hold_out", flags=[dealt, "select_on_test"])
    assert places(module, "val") == places(module, "test")


@pytest.mark.parametrize("validation", [True, False])
@pytest.mark.parametrize("dealt", [[], ["random_trials"]], ids=str)
def test_the_guard_refuses_a_test_part_that_chooses(
    make: Make, dealt: list[str], validation: bool
) -> None:
    module = make(flags=[*dealt, "select_on_test"], validation=validation)
    with pytest.raises(LeakError, match="both val and test"):
        module.check(module.protocol.flags[:-1])
    make(flags=dealt, validation=False)


def test_nobody_chooses_within_a_subject(tmp_path: Path, build: Make) -> None:
    deap.write(tmp_path, 1, n_videos=6)
    module = build(
        DEAP,
        tmp_path,
        split="trial_k_fold",
        folds=3,
        signals=["temp"],
        subjects=["s01"],
        window=20.0,
        validation=False,
        cache_dir=tmp_path / "cache",
        options={"n_videos": 6},
    )
    module.prepare_data()
    module.setup()
    trials = {part: set(module.windows(part).trial.tolist()) for part in ("train", "val", "test")}
    assert trials["val"] == trials["train"] == set(range(1, 7)) - trials["test"]
    assert len(trials["test"]) == 2


def test_two_subjects_are_enough_where_nobody_is_kept_apart(make: Make) -> None:
    """Leave one subject out of two: one is trained on, the other tested."""
    module = make(subjects=["S1", "S2"], validation=False)
    people = [set(module.windows(part).subject.tolist()) for part in ("train", "val", "test")]
    assert people == [{1}, {1}, {0}]
    with pytest.raises(IncompatibleRunError, match="at least 3 subjects"):
        make(subjects=["S1", "S2"])


# ---- windows scored by themselves


def test_each_window_is_a_unit(make: Make) -> None:
    usual, module = make(), make(score_windows=True)
    assert len(np.unique(usual.windows("test").unit)) == 1
    windows = module.windows("test")
    assert len(windows) == 8 * 5
    keys = np.column_stack([windows.recording, windows.trial, windows.unit])
    assert len(np.unique(keys, axis=0)) == len(windows)
    assert places(module, "train") == places(usual, "train")


def test_units_do_not_cap_windows_that_are_scored_by_themselves() -> None:
    each = Protocol(score_windows=True)
    assert SYNTHETIC.window_length(120.0) == 60.0
    assert SYNTHETIC.window_length(120.0, each) == 120.0
    assert DEAP.window_length(120.0, each) == 60.0


# ---- windows longer than a unit


@pytest.fixture
def make_long(make: Make) -> Make:
    """The same with phases of three minutes, windows of two and units of one."""

    def made(**changes: Any) -> EmotionDataModule:
        options = {"n_subjects": 4, "phase": 180.0}
        return make(
            options=options, **{"window": 120.0, "stride": 30.0, "longest": 120.0} | changes
        )

    return made


@pytest.mark.parametrize("split", ["leave_one_subject_out", "subject_k_fold"])
def test_long_windows_are_of_the_units_of_short_ones(make_long: Make, split: str) -> None:
    long = make_long(split=split, folds=3)
    short = make_long(split=split, folds=3, window=20.0, longest=0.0)
    capped = make_long(split=split, folds=3, longest=0.0)
    assert (long.length, short.length, capped.length) == (120.0, 20.0, 60.0)
    assert long.inputs["bvp"].n_times == 120 * 64
    for part in ("val", "test"):
        windows = long.windows(part)
        keys, theirs = (
            [tuple(row) for row in np.column_stack([w.recording, w.trial, w.unit, w.target])]
            for w in (windows, short.windows(part))
        )
        assert sorted(set(keys)) == sorted(keys) == sorted(set(theirs))
        in_segment = windows.start - [
            long.fold.archive.segments[s][1].start for s in windows.segment
        ]
        # Of three units the middle one is in the middle; the others are at the ends.
        np.testing.assert_allclose(in_segment, np.array([0.0, 30.0, 60.0])[windows.unit])
    per_segment = np.unique(long.windows("train").segment, return_counts=True)[1]
    assert set(per_segment.tolist()) == {3}  # from 0, 30 and 60 s of 180
    assert set(long.windows("train").unit.tolist()) == {-1}


def test_long_windows_are_read_where_they_lie(make_long: Make) -> None:
    long = make_long(signals=["bvp"], scaling="none")
    windows, dataset = long.windows("test"), long.gathered("test")
    batch = dataset[torch.arange(len(windows))]
    for row in (0, 1, 2, len(windows) - 1):
        stored = long.fold.archive.recordings[windows.recording[row]]
        first = round(windows.start[row] * 64)
        samples = next(iter(long.fold.archive.subjects[windows.subject[row]].recordings))
        assert samples is stored
        expected = long.fold.archive.samples("bvp")[windows.recording[row]]
        expected = expected[:, first : first + 7680]
        np.testing.assert_array_equal(batch.signals["bvp"][row].numpy(), expected)


def test_phases_too_short_for_a_long_window_are_refused(make: Make) -> None:
    with pytest.raises(IncompatibleRunError, match=r"at least 120 s around .* found one of 60 s"):
        make(window=120.0, longest=120.0)


def test_long_windows_that_are_dealt_out_at_random_are_in_one_part_each(make_long: Make) -> None:
    module = make_long(split="subject_k_fold", folds=3, flags=["random_windows"])
    parts = [places(module, part) for part in ("train", "val", "test")]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


# ---- ranges


@pytest.mark.parametrize("flags", [[], ["scale_on_all"]], ids=["train", "all"])
def test_ranges_of_segments_become_0_to_1(make: Make, flags: list[str]) -> None:
    module = make(scaling="min_max", signals=["eda", "bvp"], flags=flags)
    assert module.fold.scaling is not None
    people = module.subjects if flags else module.fold.members.train
    for signal in ("eda", "bvp"):
        samples = module.fold.archive.samples(signal)
        sfreq = module.dataset.signals[signal][1]
        pieces = [
            samples[row][:, round(s.start * sfreq) : round(s.stop * sfreq)]
            for row, s in module.fold.archive.segments
            if module.fold.archive.recordings[row].subject in people
        ]
        joined = np.concatenate(pieces, axis=1)
        low, span = joined.min(axis=1), np.ptp(joined, axis=1)
        np.testing.assert_array_equal(module.fold.scaling.mean[signal][:, 0], low)
        np.testing.assert_allclose(module.fold.scaling.std[signal][:, 0], span, rtol=1e-6)


# ---- the seconds before a video


def test_baseline_windows_are_kept(tmp_path: Path) -> None:
    deap.write(tmp_path, 1, n_videos=2)
    (plain, _), (kept, _) = (
        list(DEAPReader(tmp_path, n_videos=2, keep_baseline=keep).read("s01"))
        for keep in (False, True)
    )
    assert (plain.segments[0].start, kept.segments[0].start) == (3.0, 0.0)
    assert plain.segments[0].stop == kept.segments[0].stop == 63.0
    np.testing.assert_array_equal(plain.signals["eda"].samples, kept.signals["eda"].samples)
