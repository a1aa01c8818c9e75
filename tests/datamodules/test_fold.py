"""What a fold fixes, read against plain loops over the recordings."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import fold as fold_module
from datamodules.archive import Archive
from datamodules.errors import IncompatibleRunError
from datamodules.flaws import everybody, passes, with_flaws
from datamodules.fold import (
    PARTS,
    Fold,
    Part,
    Windowing,
    class_counts,
    deal_members,
    join_validation,
    keeps_validation,
    labelled,
    make_fold,
    oversampled,
    segments_of,
    stimulus_classes,
    trials_of,
    validation_tested,
    without_validation,
)
from datamodules.guard import check_fold
from datamodules.protocol import Protocol
from datamodules.signals.recording import Recording, Segment
from datamodules.splits import SPLITS, Dealing, Members
from datamodules.tasks import ConditionTask, RatingTask, Task
from datamodules.thresholds import fit_thresholds
from datamodules.windows import Cutting

STRESS = ConditionTask("stress", ("rest", "stress"), {"rest": 0, "stress": 1}, source="test")
VALENCE = RatingTask("valence", 5.0, source="test", plane=("valence", "valence"))
SUBJECTS = ("S1", "S2", "S10", "S11", "S12")
RATES = {"fast": (2, 8.0), "slow": (1, 2.0)}
N_TRIALS = 6
"""A subject has three in each of two sessions; the last of each session is part of no task."""
CUTTING = Cutting(length=4.0, stride=2.0, unit=8.0)

MakeRecording = Callable[..., Recording]


def recordings_of(subject: str, make_recording: MakeRecording) -> tuple[Recording, ...]:
    number = SUBJECTS.index(subject)
    rng = np.random.default_rng(number)
    recordings = []
    for session in ("1", "2"):
        spans, now = [], 0.5
        for trial in range(N_TRIALS // 2):
            seconds = float(rng.integers(64, 160)) / 8
            spans.append((now, now + seconds, "talk" if trial == 2 else "rest"))
            now += seconds + 1.0
        recording = make_recording(subject, spans, seed=10 * number + int(session), rates=RATES)
        segments = []
        for trial, segment in enumerate(recording.segments, start=1):
            stimulus = 2 * int(session) - 2 + trial
            annotations = dict(segment.annotations)
            if segment.annotations["condition"] != "talk":
                annotations["condition"] = "stress" if stimulus % 3 == number % 3 else "rest"
                annotations["valence"] = float(rng.uniform(1, 9))
            named = f"clip {stimulus}"
            segments.append(replace(segment, annotations=annotations, stimulus=named))
        recordings.append(replace(recording, session=session, segments=tuple(segments)))
    return tuple(recordings)


@pytest.fixture
def archive(archive_of: Callable[..., Archive], make_recording: MakeRecording) -> Archive:
    return archive_of({subject: recordings_of(subject, make_recording) for subject in SUBJECTS})


@pytest.fixture
def fold_of(archive: Archive) -> Callable[..., Fold]:
    """Folds of the archive."""

    def make(
        task: Task = STRESS,
        fold: int = 1,
        seed: int = 0,
        cutting: Cutting = CUTTING,
        windowing: Windowing | None = None,
        **fields: Any,
    ) -> Fold:
        protocol = Protocol(**fields)
        dealing = Dealing(fold, seed, protocol.folds, protocol.test_share)
        members = deal_members(archive, SUBJECTS, task, protocol, dealing)
        windowing = windowing or Windowing(cutting.length, cutting.stride)
        return make_fold(
            archive, SUBJECTS, tuple(RATES), task, members, protocol, dealing, windowing, cutting
        )

    return make


def every_segment(archive: Archive) -> Iterator[tuple[int, Recording, Segment]]:
    """Position, recording and segment, one by one."""
    position = 0
    for subject in archive.subjects:
        for recording in subject.recordings:
            for segment in recording.segments:
                yield position, recording, segment
                position += 1


def is_in(members: Members, part: Part, recording: Any, segment: Segment) -> bool:
    if recording.subject not in getattr(members, part):
        return False
    return members.trials is None or segment.stimulus in members.trials[part]


SPLIT_FIELDS = [
    {"split": "leave_one_subject_out"},
    {"split": "subject_k_fold", "folds": 3},
    {"split": "trial_k_fold", "folds": 3},
    {"split": "session_out", "folds": 2},
    {"split": "subject_stimulus_k_fold", "folds": 3},
]


@pytest.mark.parametrize("fields", SPLIT_FIELDS, ids=lambda fields: fields["split"])
def test_segments_and_windows_of_each_part(
    fold_of: Callable[..., Fold], archive: Archive, fields: dict[str, Any]
) -> None:
    fold = fold_of(**fields)
    for part in PARTS:
        positions, windows = [], []
        for position, recording, segment in every_segment(archive):
            if not is_in(fold.members, part, recording, segment):
                continue
            positions.append(position)
            label = STRESS.label(recording.subject, segment)
            if label is None:
                continue
            if part == "train":
                pieces = [(segment.start, segment.stop)]
            else:
                units = int(segment.duration // CUTTING.unit)
                starts = [segment.start + number * CUTTING.unit for number in range(units)]
                pieces = [(start, start + CUTTING.unit) for start in starts]
            for start, stop in pieces:
                while start + CUTTING.length <= stop:
                    windows.append((position, start, label))
                    start += CUTTING.stride
        assert fold.segments_of(part).tolist() == positions
        index = fold.windows(part)
        columns = (index.segment.tolist(), index.start.tolist(), index.target.tolist())
        assert list(zip(*columns, strict=True)) == windows
        assert len(windows) == len(fold.rows[part]) > 2
    assert fold.chosen_on == "val"
    assert not fold.dealt
    assert fold.copies is None


@pytest.mark.parametrize("fields", SPLIT_FIELDS, ids=lambda fields: fields["split"])
@pytest.mark.parametrize("scaling", ["standard", "min_max", "none"])
def test_scaling_is_that_of_the_labelled_training_segments(
    fold_of: Callable[..., Fold], archive: Archive, fields: dict[str, Any], scaling: str
) -> None:
    fold = fold_of(windowing=Windowing(4.0, 2.0, scaling), **fields)  # type: ignore[arg-type]
    if scaling == "none":
        assert fold.scaling is None
        return
    assert fold.scaling is not None
    for name, (_, sfreq) in RATES.items():
        pieces = []
        for _, recording, segment in every_segment(archive):
            trained = is_in(fold.members, "train", recording, segment)
            if trained and segment.annotations["condition"] != "talk":
                row = [
                    one.subject == recording.subject and one.session == recording.session
                    for one in archive.recordings
                ].index(True)
                first, stop = (round(second * sfreq) for second in (segment.start, segment.stop))
                pieces.append(archive.samples(name)[row][:, first:stop].astype(np.float64))
        joined = np.concatenate(pieces, axis=1)
        shift, scale = joined.mean(axis=1), joined.std(axis=1)
        if scaling == "min_max":
            shift, scale = joined.min(axis=1), np.ptp(joined, axis=1)
        np.testing.assert_allclose(fold.scaling.mean[name][:, 0], shift, rtol=1e-5)
        np.testing.assert_allclose(fold.scaling.std[name][:, 0], scale, rtol=1e-5)


@pytest.mark.parametrize("fields", SPLIT_FIELDS, ids=lambda fields: fields["split"])
def test_thresholds_are_those_of_the_training_ratings(
    fold_of: Callable[..., Fold], archive: Archive, fields: dict[str, Any]
) -> None:
    fold = fold_of(VALENCE, rule="median", **fields)
    rated = [
        (recording.subject, segment)
        for _, recording, segment in every_segment(archive)
        if is_in(fold.members, "train", recording, segment)
    ]
    assert fold.fits_thresholds
    assert fold.task == fit_thresholds(VALENCE, "median", rated, SUBJECTS)
    assert fold.published is VALENCE
    assert fold.task != VALENCE
    for part in PARTS:
        windows = fold.windows(part)
        segments = {position: (r, s) for position, r, s in every_segment(archive)}
        labels = [fold.task.label(segments[p][0].subject, segments[p][1]) for p in windows.segment]
        assert windows.target.tolist() == labels


@pytest.mark.parametrize("task", [STRESS, VALENCE], ids=["conditions", "midpoint"])
def test_no_threshold_is_fitted_where_none_is_asked_for(
    fold_of: Callable[..., Fold], task: Task
) -> None:
    fold = fold_of(task)
    assert not fold.fits_thresholds
    assert fold.task is task


def test_folds_share_the_windows_of_everybody(fold_of: Callable[..., Fold]) -> None:
    one, other = fold_of(fold=0), fold_of(fold=3)
    assert one.grids["segments"] is other.grids["segments"]
    assert one.grid("train") is one.grids["segments"]
    assert one.grid("val") is one.grid("test") is one.grids["units"]
    assert set(one.grids["segments"].subject.tolist()) == set(range(len(SUBJECTS)))


# ---- who is where


@pytest.mark.parametrize("fields", SPLIT_FIELDS, ids=lambda fields: fields["split"])
def test_members_are_those_of_the_split_of_the_labelled_trials(
    archive: Archive, fields: dict[str, Any]
) -> None:
    protocol = Protocol(**fields)
    dealing = Dealing(1, 5, protocol.folds)
    trials: dict[str, list[tuple[str, str]]] = {subject: [] for subject in SUBJECTS}
    for _, recording, segment in every_segment(archive):
        if segment.annotations["condition"] != "talk":
            trials[recording.subject].append((recording.session, segment.stimulus))
    assert trials_of(archive, SUBJECTS, STRESS) == trials
    members = deal_members(archive, SUBJECTS, STRESS, protocol, dealing)
    assert members == SPLITS[protocol.split].members(trials, dealing)
    assert members.disjoint


def test_a_trial_that_is_not_labelled_is_in_no_part(archive: Archive) -> None:
    flags = labelled(archive, STRESS)
    for position, recording, segment in every_segment(archive):
        assert flags[position] == (segment.annotations["condition"] != "talk")
        assert (
            (recording.session, segment.stimulus)
            in (trials_of(archive, SUBJECTS, STRESS)[recording.subject])
        ) == flags[position]


def test_subjects_that_are_not_trained_on(archive: Archive) -> None:
    protocol, dealing = Protocol(), Dealing(0, 0)
    everyone = deal_members(archive, SUBJECTS, STRESS, protocol, dealing)
    left_out = (everyone.train[0], *everyone.test)
    fewer = deal_members(archive, SUBJECTS, STRESS, protocol, dealing, left_out)
    assert fewer == replace(everyone, train=everyone.train[1:])


@pytest.mark.parametrize("fields", SPLIT_FIELDS, ids=lambda fields: fields["split"])
def test_nobody_is_kept_apart_to_choose_the_epoch(
    fold_of: Callable[..., Fold], fields: dict[str, Any]
) -> None:
    usual, fold = fold_of(**fields), fold_of(validation=False, **fields)
    for part in ("train", "val"):
        expected = np.union1d(usual.segments_of("train"), usual.segments_of("val"))
        if fields["split"] == "subject_stimulus_k_fold":
            assert set(expected.tolist()) <= set(fold.segments_of(part).tolist())
        else:
            np.testing.assert_array_equal(fold.segments_of(part), expected)
    np.testing.assert_array_equal(fold.segments_of("test"), usual.segments_of("test"))
    assert fold.chosen_on == "train"
    assert fold.members.val == fold.members.train
    assert not fold.members.disjoint
    # They choose on windows in score units, and are trained on all that their segments hold.
    assert fold.windows("val").unit.min() == 0
    assert fold.windows("train").unit.max() == -1


def test_members_without_validation_are_in_the_datasets_order() -> None:
    members = Members(train=("S1", "S10"), val=("S2",), test=("S3",))
    joined = without_validation(members, ("S1", "S2", "S3", "S10"))
    assert (joined.train, joined.val) == (("S1", "S2", "S10"), ("S1", "S2", "S10"))
    assert joined.test == ("S3",)
    assert joined.trials is None


def test_segments_of_a_part(archive: Archive) -> None:
    members = Members(("S1",), ("S2",), ("S10",))
    for part in PARTS:
        positions = [p for p, r, _ in every_segment(archive) if r.subject in getattr(members, part)]
        assert segments_of(archive, members, part).tolist() == positions


# ---- classes


@pytest.mark.parametrize("seed", range(3))
def test_repeats_are_of_rarer_classes(seed: int) -> None:
    target = np.array([0, 1, 1, 2, 1, 0, 1, 0, 2, 2, 2, 2])
    rows = np.array([0, 1, 2, 3, 4, 6])
    more = oversampled(rows, target, seed)
    assert more[:6].tolist() == rows.tolist()
    assert np.bincount(target[more]).tolist() == [4, 4, 4]
    assert set(more.tolist()) == set(rows.tolist())
    np.testing.assert_array_equal(oversampled(rows, target, seed), more)


def test_a_recipe_may_ask_for_equal_classes(fold_of: Callable[..., Fold]) -> None:
    plain, fold = fold_of(), fold_of(windowing=Windowing(4.0, 2.0, oversample=True))
    counts = class_counts(plain)
    assert counts.tolist() == np.bincount(plain.windows("train").target).tolist()
    assert counts[0] != counts[1]
    assert torch.equal(class_counts(fold), counts.max().repeat(2))
    for part in ("val", "test"):
        np.testing.assert_array_equal(fold.rows[part], plain.rows[part])
    assert (fold.scaled_on == plain.scaled_on).all()


def test_classes_that_are_not_trained_on_are_counted(fold_of: Callable[..., Fold]) -> None:
    three = ConditionTask(
        "three", ("rest", "stress", "fun"), {"rest": 0, "stress": 1, "fun": 2}, source="test"
    )
    counts = class_counts(fold_of(three))
    assert counts.shape == (3,)
    assert counts[2] == 0


# ---- what cannot be


def test_a_part_without_a_window(fold_of: Callable[..., Fold]) -> None:
    fold = fold_of(cutting=Cutting(length=7.5, stride=2.0, unit=100.0))
    with pytest.raises(
        IncompatibleRunError, match=r"no window of 7\.5 s in val \(subjects S\d+\)\. Take a shorter"
    ):
        _ = fold.rows


def test_the_honest_path_names_no_flaw() -> None:
    text = Path(fold_module.__file__).read_text().lower()
    assert "flag" not in text
    assert "flaw" not in text


# --- validation joined to training


@pytest.mark.parametrize("fields", SPLIT_FIELDS, ids=str)
def test_joined_validation_is_trained_on(fold_of, archive, fields):
    fold = fold_of(**fields)
    joined = join_validation(fold)
    check_fold(joined)
    kept = [
        position
        for position, recording, segment in every_segment(archive)
        if any(is_in(fold.members, part, recording, segment) for part in ("train", "val"))
    ]
    np.testing.assert_array_equal(joined.segments_of("train"), kept)
    grid = fold.grids["segments"]
    np.testing.assert_array_equal(joined.rows["train"], np.flatnonzero(np.isin(grid.segment, kept)))
    assert len(joined.rows["train"]) > len(fold.rows["train"])
    np.testing.assert_array_equal(joined.scaled_on, [p for p in kept if fold.labelled[p]])
    np.testing.assert_array_equal(joined.windows("test").start, fold.windows("test").start)
    np.testing.assert_array_equal(joined.windows("test").segment, fold.windows("test").segment)
    assert joined.members.test == fold.members.test
    expected = {*fold.members.train, *fold.members.val}
    assert joined.members.train == tuple(s for s in SUBJECTS if s in expected)


@pytest.mark.parametrize("fields", SPLIT_FIELDS, ids=str)
def test_validation_in_place_of_the_test(fold_of, archive, fields):
    fold = fold_of(**fields)
    if fold.members.within:
        assert not keeps_validation(fold)
        with pytest.raises(IncompatibleRunError, match="expected validation people"):
            validation_tested(fold)
        return
    assert keeps_validation(fold)
    other = validation_tested(fold)
    expected = [
        position
        for position, recording, segment in every_segment(archive)
        if is_in(fold.members, "val", recording, segment)
    ]
    np.testing.assert_array_equal(other.segments_of("test"), expected)
    ours, theirs = other.windows("test"), fold.windows("val")
    for name in ("recording", "segment", "start", "target", "trial", "unit"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(other.rows["train"], fold.rows["train"])
    for name, mean in fold.scaling.mean.items():
        assert torch.equal(other.scaling.mean[name], mean)
    assert other.task == fold.task
    tested = {SUBJECTS.index(name) for name in fold.members.test}
    assert not tested & set(ours.subject.tolist())


@pytest.mark.parametrize("flag", ["select_on_test", "scale_on_all", "random_windows"])
def test_a_flawed_fold_keeps_no_validation(fold_of, flag):
    fold = fold_of(flags=(flag,))
    assert not keeps_validation(with_flaws(fold, (flag,)))
    assert not keeps_validation(join_validation(fold_of()))
    assert not keeps_validation(fold_of(validation=False))


def test_scaling_of_a_joined_fold_is_that_of_both(fold_of, archive):
    joined = join_validation(fold_of())
    samples = {name: [] for name in RATES}
    for _, recording, segment in every_segment(archive):
        if recording.subject in joined.members.train and "condition" in segment.annotations:
            if segment.annotations["condition"] == "talk":
                continue
            number = archive.recordings.index(recording)
            for name in RATES:
                sfreq = archive.stored(name)[number].sfreq
                first, stop = (round(t * sfreq) for t in (segment.start, segment.stop))
                samples[name].append(archive.samples(name)[number][:, first:stop])
    for name, pieces in samples.items():
        together = np.concatenate(pieces, axis=1).astype(np.float64)
        mean, std = joined.scaling.mean[name].numpy(), joined.scaling.std[name].numpy()
        np.testing.assert_allclose(mean[:, 0], together.mean(axis=1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(std[:, 0], together.std(axis=1), rtol=1e-4)


def test_labels_of_what_is_tested_stay_those_of_training_ratings(fold_of):
    fold = fold_of(VALENCE, rule="median")
    joined = join_validation(fold)
    assert joined.task == fold.task
    np.testing.assert_array_equal(joined.windows("test").target, fold.windows("test").target)
    with_val = replace(joined, thresholds_from=joined.segments["train"])
    assert with_val.task != fold.task


def test_classes_are_balanced_anew_over_both(fold_of):
    joined = join_validation(fold_of(windowing=Windowing(4.0, 2.0, oversample=True)))
    counts = class_counts(joined).tolist()
    assert len(set(counts)) == 1
    assert counts[0] >= max(class_counts(join_validation(fold_of())).tolist())


@pytest.mark.parametrize(
    "flags",
    [("random_windows",), ("random_windows", "oversample_before_split"), ("scale_on_all",)],
    ids=str,
)
def test_flaws_stay_what_they_are(fold_of, flags):
    windowing = Windowing(4.0, 2.0, oversample=True)
    fold = fold_of(windowing=windowing, split="subject_k_fold", flags=flags)
    if fold.protocol.shuffled:
        everything = np.arange(len(fold.archive.segments))
        segments = dict.fromkeys(PARTS, everything)
        fold = replace(
            fold, members=everybody(SUBJECTS), segments=segments, scaling_from=everything
        )
    fold = with_flaws(fold, flags)
    joined = join_validation(fold)
    check_fold(joined, passes(flags))
    in_parts = [fold.rows_of("segments", part) for part in ("train", "val")]
    both = np.sort(np.concatenate(in_parts))
    np.testing.assert_array_equal(np.sort(joined.rows_of("segments", "train")), both)
    np.testing.assert_array_equal(joined.rows["test"], fold.rows["test"])
    if flags == ("scale_on_all",):
        np.testing.assert_array_equal(joined.scaling_from, np.arange(len(fold.archive.segments)))


@pytest.mark.parametrize("fields", [{"validation": False}, {"flags": ("select_on_test",)}], ids=str)
def test_nothing_to_join_is_refused(fold_of, fields):
    fold = with_flaws(fold_of(**fields), fields.get("flags", ()))
    with pytest.raises(IncompatibleRunError, match="refit: expected a validation part"):
        join_validation(fold)


def test_a_stimulus_has_a_class_where_everybody_has_the_same_for_it(
    archive_of: Callable[..., Archive], make_recording: MakeRecording
) -> None:
    def archive_with(conditions: dict[str, Sequence[str]]) -> Archive:
        recordings = {}
        for subject, labels in conditions.items():
            spans = [(10.0 * n, 10.0 * n + 9, label) for n, label in enumerate(labels)]
            made = make_recording(subject, spans)
            named = (replace(s, stimulus=f"film {s.trial}") for s in made.segments)
            recordings[subject] = (replace(made, segments=tuple(named)),)
        return archive_of(recordings)

    same = archive_with({"S1": ("rest", "stress", "talk"), "S2": ("rest", "stress", "stress")})
    assert stimulus_classes(same, STRESS) == {"film 1": 0, "film 2": 1, "film 3": 1}
    differing = archive_with({"S1": ("rest", "stress"), "S2": ("rest", "rest")})
    assert stimulus_classes(differing, STRESS) == {}
