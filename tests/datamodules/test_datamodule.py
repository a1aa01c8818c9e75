from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch

from datamodules.batch import LENGTH, Front, SignalSpec
from datamodules.datamodule import (
    DEVICE_SHARE,
    EmotionDataModule,
    Loading,
    Selection,
)
from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, IncompatibleRunError
from datamodules.fold import PARTS, Part, Windowing
from datamodules.guard import check_no_leak
from datamodules.preparing import store_subjects
from datamodules.protocol import PADDINGS, Protocol
from datamodules.signals.preprocessing import Derived
from datamodules.signals.recording import STATIC_RATE, Fault, Recording, Segment, Signal
from datamodules.signals.steps import Step
from datamodules.splits import SPLITS, SUBJECT_SPLITS, Dealing
from datamodules.tasks import ConditionTask, RatingTask

SUBJECTS = ("S1", "S2", "S3", "S4", "S10", "S11")
CLIPS = tuple(range(1, 13))
"""Six in each of two sessions, in one order for everybody."""
SECONDS = (8.0, 9.25, 10.5, 11.0, 12.0, 14.0)
UNRATED = ("S2", 3)
"""The one clip that somebody did not rate."""
BASELINE, REST = 1.0, 0.5
"""Seconds before and after a clip in its recording."""


@dataclass(frozen=True)
class Times(Step):
    """A step."""

    factor: float

    def __call__(self, signal: Signal) -> Signal:
        return replace(signal, samples=signal.samples * np.float32(self.factor))


def seconds_of(clip: int) -> float:
    return SECONDS[clip * 5 % 6]


@dataclass(frozen=True)
class ClipReader:
    """Made-up trials, each a recording: noise whose level and spread depend on who and what.

    Args:
        rerated: Subjects, or subjects and clips, whose ratings are others.
        rating: What they are instead.
        extra: Whether there is one more signal.
        broken: Subjects all of whose trials are left out; of the others one is repaired.
    """

    rerated: tuple[str, ...] = ()
    rating: float = 0.0
    extra: bool = False
    broken: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        return SUBJECTS

    def files(self, subject: str) -> tuple[Path, ...]:
        return ()

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        for clip in CLIPS:
            session, trial = ("1", clip) if clip <= 6 else ("2", clip - 6)
            if subject in self.broken:
                yield Fault(session, trial, "eda: fell off" if clip % 2 else "eda: flat")
                continue
            if clip == 5:
                yield Fault(session, trial, "eda: a spike", omitted=False)
            annotations = self.annotations(subject, clip)
            stop = BASELINE + seconds_of(clip)
            segment = Segment(BASELINE, stop, trial, annotations, f"clip {clip}")
            yield Recording(subject, session, self.signals(subject, clip), (segment,))

    def annotations(self, subject: str, clip: int) -> dict[str, str | float]:
        who = SUBJECTS.index(subject)
        rng = np.random.default_rng([who, clip])
        annotations: dict[str, str | float] = {"film": "comedy" if clip % 2 else "drama"}
        if (subject, clip) != UNRATED:
            # Arousal is in two clumps, far enough apart to be the clusters of any few trials;
            # valence is all over the scale.
            annotations["arousal"] = float(rng.uniform(0, 1) + 50.0 * ((clip + who) % 3 > 0))
            annotations["valence"] = float(rng.uniform(1, 9))
            if {subject, f"{subject} {clip}"} & set(self.rerated):
                annotations["arousal"] = annotations["valence"] = self.rating
        return annotations

    def signals(self, subject: str, clip: int) -> dict[str, Signal]:
        who = SUBJECTS.index(subject)
        rng = np.random.default_rng([who, clip, 1])
        eda = rng.normal(2.0 + who, 1.0 + clip / 4, (1, self.n_times(clip, 4.0)))
        first, last = round(BASELINE * 4), round((BASELINE + seconds_of(clip)) * 4)
        eda[:, :first] = eda[:, last:] = 1e6
        made = {
            "eda": Signal(eda.astype(np.float32), 4.0, ("eda",), "uS"),
            "music": Signal(
                np.array([[clip], [10.0], [-(clip**2)]], np.float32), STATIC_RATE, tuple("abc"), ""
            ),
        }
        if self.extra:
            extra = rng.normal(size=(2, self.n_times(clip, 2.0))).astype(np.float32)
            made["extra"] = Signal(extra, 2.0, ("x", "y"), "a.u.")
        return made

    def n_times(self, clip: int, sfreq: float) -> int:
        return int(np.ceil((BASELINE + seconds_of(clip) + REST) * sfreq))


CLIPS_DATASET = Dataset(
    name="clips",
    title="Clips",
    reader=ClipReader,
    tasks={
        "valence": RatingTask("valence", 5.0, "test"),
        "arousal": RatingTask("arousal", 5.0, "test"),
        "film": ConditionTask(
            "film", ("comedy", "drama"), {"comedy": 0, "drama": 1}, "test", annotation="film"
        ),
        "tragic": ConditionTask(
            "tragic", ("comedy", "tragedy"), {"comedy": 0, "tragedy": 1}, "test", annotation="film"
        ),
    },
    signals={
        "eda": (1, 4.0),
        "music": (3, STATIC_RATE),
        "extra": (2, 2.0),
        "eda_tenfold": (1, 4.0),
    },
    optional={"extra": "extra"},
    trial_seconds=(min(SECONDS), max(SECONDS)),
    preprocessing={"eda": (Times(2.0),), "eda_tenfold": Derived("eda", (Times(5.0),))},
    splits=tuple(SPLITS),
    trial_blocks=3,
    access="Nowhere.",
    layout="no files",
    has_files=False,
)
"""A recording a trial, with every split."""
UNITS = replace(
    CLIPS_DATASET,
    name="units",
    title="Units",
    unit=4.0,
    trial_seconds=None,
    splits=SUBJECT_SPLITS,
    trial_blocks=None,
)
"""The same, scored in units of a few seconds, with the splits of every dataset."""


MakeClips = Callable[..., EmotionDataModule]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def clips(cache: Path, build: MakeClips) -> MakeClips:
    def make(task: str = "valence", dataset: Dataset = CLIPS_DATASET, **changes: Any) -> Any:
        arguments = {
            "signals": ["eda", "music", "eda_tenfold"],
            "split": "subject_k_fold",
            "folds": 3,
            "stride": 4.0,
            "batch_size": 8,
            "cache_dir": cache,
        }
        if changes.get("padding") and not changes.get("mask"):
            arguments["flags"] = ("pad_reveals_length",)
        module = build(dataset, None, task, **{**arguments, **changes})
        module.prepare_data()
        module.setup()
        return module

    return make


def clip_of(module: EmotionDataModule, recording: int) -> tuple[str, int]:
    """Who saw what in a recording."""
    stored = module.fold.archive.recordings[recording]
    return stored.subject, int(str(stored.segments[0].stimulus).split()[1])


def seen(module: EmotionDataModule, part: Part) -> set[tuple[str, int]]:
    """Subjects and clips of the windows of a part."""
    return {clip_of(module, recording) for recording in module.windows(part).recording.tolist()}


LABELLED = {(subject, clip) for subject in SUBJECTS for clip in CLIPS} - {UNRATED}


# ---- splits


@pytest.mark.parametrize("split", SPLITS)
def test_every_fold_of_every_split(clips: MakeClips, split: str) -> None:
    folds = 2 if split == "session_out" else 3
    tested: list[tuple[str, int]] = []
    for fold in range(SPLITS[split].n_folds(len(SUBJECTS), Dealing(0, 0, folds))):
        module = clips(split=split, fold=fold, folds=folds)
        check_no_leak(
            module.fold.archive,
            module.fold.members,
            {part: module.windows(part) for part in PARTS},
        )
        train, val, test = (seen(module, part) for part in PARTS)
        assert not train & val
        assert not train & test
        assert not val & test
        people = [{subject for subject, _ in part} for part in (train, val, test)]
        shown = [{clip for _, clip in part} for part in (train, val, test)]
        if not SPLITS[split].trains:
            assert (train, val, test) == (set(), set(), LABELLED)
        elif SPLITS[split].over_subjects:
            assert train | val | test == LABELLED
            assert not people[0] & people[1]
            assert not people[2] & (people[0] | people[1])
        elif split == "subject_stimulus_k_fold":
            assert set.union(*people) == set(SUBJECTS)
            assert set.union(*shown) | {UNRATED[1]} == set(CLIPS)
            assert sum(map(len, people)) == len(SUBJECTS)
            assert sum(map(len, shown)) == len(set.union(*shown))
        elif split in ("trial_k_fold", "session_out"):
            subject = SUBJECTS[fold // folds]
            assert train | val | test == {seen for seen in LABELLED if seen[0] == subject}
            first = 6 * (fold % folds) + 1 if split == "session_out" else 2 * (fold % folds) + 1
            shown_clips = (
                set(range(first, first + 6))
                if split == "session_out"
                else {first, first + 1, first + 6, first + 7}
            )
            assert test == {(subject, clip) for clip in shown_clips} & LABELLED
        tested += sorted(test)
    if not SPLITS[split].trains:
        assert sorted(tested) == sorted(folds * [*LABELLED])
    elif SPLITS[split].tests_everybody:
        assert sorted(tested) == sorted(LABELLED)
    elif split == "subject_hold_out":
        assert len({subject for subject, _ in tested}) == 2


def test_some_of_the_people_may_be_tested_alone(clips: MakeClips) -> None:
    module = clips(split="dataset_out")
    everybody = module.windows("test")
    module.test_alone(SUBJECTS[1:3])
    assert module.fold.members.test == SUBJECTS[1:3]
    assert seen(module, "test") == {clip for clip in LABELLED if clip[0] in SUBJECTS[1:3]}
    assert len(module.windows("test")) < len(everybody)
    assert not len(module.windows("train"))


def test_only_the_seed_of_a_split_of_trials_chooses_who_validates(clips: MakeClips) -> None:
    one, same, other = (clips(split="trial_k_fold", seed=seed) for seed in (0, 0, 3))
    assert seen(one, "test") == seen(other, "test")
    assert seen(one, "val") == seen(same, "val")
    assert seen(one, "val") != seen(other, "val")


def test_subjects_that_are_not_trained_on(clips: MakeClips) -> None:
    plain = clips()
    left_out = plain.fold.members.train[:2]
    module = clips(without=(*left_out, *plain.fold.members.test))
    assert module.fold.members.train == plain.fold.members.train[2:]
    assert (module.fold.members.val, module.fold.members.test) == (
        plain.fold.members.val,
        plain.fold.members.test,
    )
    assert seen(module, "train") == {one for one in seen(plain, "train") if one[0] not in left_out}
    assert seen(module, "test") == seen(plain, "test")
    assert module.fold.scaling is not None
    assert plain.fold.scaling is not None
    assert not torch.equal(module.fold.scaling.mean["eda"], plain.fold.scaling.mean["eda"])


def test_a_split_that_a_dataset_has_not(clips: MakeClips) -> None:
    for split in ("trial_k_fold", "session_out", "subject_stimulus_k_fold"):
        with pytest.raises(
            IncompatibleRunError,
            match=f"Units has no split {split}: expected one of leave_one_subject_out",
        ):
            clips(dataset=UNITS, split=split)
    with pytest.raises(IncompatibleRunError, match="no split 'by_chance': expected one of"):
        clips(split="by_chance")
    with pytest.raises(IncompatibleRunError, match=r"session_out: .* at least 3 sessions of S1"):
        clips(split="session_out", folds=3)
    with pytest.raises(IncompatibleRunError, match=r"trial_k_fold: .* from 0 to 17, found 18"):
        clips(split="trial_k_fold", fold=18)


# ---- before and after it is set up


def test_nothing_can_be_read_before_it_is_set_up(cache: Path, build: MakeClips) -> None:
    module = build(CLIPS_DATASET, cache_dir=cache)
    reads: list[Callable[[], object]] = [
        lambda: module.fold,
        lambda: module.windows("train"),
        lambda: module.gathered("test"),
        module.class_counts,
        module.state_dict,
        module.train_dataloader,
        module.val_dataloader,
        module.test_dataloader,
        module.predict_dataloader,
        lambda: module.check(()),
    ]
    for read in reads:
        with pytest.raises(RuntimeError, match=r"expected a datamodule that is set up: call setup"):
            read()
    assert module.n_classes == 2
    assert list(module.inputs) == ["eda", "music", "eda_tenfold"]
    assert module.signals == ("eda", "music", "eda_tenfold")


def test_it_is_set_up_once(clips: MakeClips) -> None:
    module = clips()
    fold = module.fold
    module.setup("test")
    assert module.fold is fold


def test_what_is_not_said_is_as_the_values_say() -> None:
    module = EmotionDataModule(CLIPS_DATASET)
    assert module.protocol == Protocol()
    assert module.windowing == Windowing()
    assert module.loading == Loading()
    assert module.selection == Selection()
    assert module.task is CLIPS_DATASET.tasks["valence"]
    assert module.subjects == SUBJECTS
    assert module.folder == Path("cache/clips")


def test_a_path_may_be_a_string(clips: MakeClips, cache: Path) -> None:
    one, other = clips(cache_dir=str(cache)), clips(cache_dir=cache)
    assert one.folder == other.folder
    assert one.fold.archive is other.fold.archive


def test_folds_that_cannot_be_are_refused_before_a_file_is_read(build: MakeClips) -> None:
    for changes, message in (
        ({"fold": 6}, "leave_one_subject_out: expected a fold from 0 to 5, found 6"),
        ({"subjects": ["S1", "S2"]}, r"expected at least 3 subjects .* found 2"),
        ({"split": "subject_k_fold", "folds": 7}, r"expected at least 7 subjects .* found 6"),
    ):
        with pytest.raises(IncompatibleRunError, match=message):
            build(CLIPS_DATASET, **changes)
    # Where windows are dealt out, any number of subjects will do.
    build(CLIPS_DATASET, split="subject_k_fold", folds=7, fold=6, flags=("random_windows",))


def test_everybody_is_trained_on_where_subjects_are_not_dealt(build: MakeClips) -> None:
    for split in ("trial_k_fold", "session_out", "subject_stimulus_k_fold"):
        with pytest.raises(IncompatibleRunError, match=f"{split}: expected everybody to be"):
            build(CLIPS_DATASET, split=split, without=("S1",))


def test_recordings_that_fit_on_a_gpu(clips: MakeClips, monkeypatch: pytest.MonkeyPatch) -> None:
    module, device = clips(), torch.device("meta")
    samples = [module.fold.archive.samples(signal) for signal in module.signals]
    needed = sum(piece.nbytes for pieces in samples for piece in pieces)
    for free, fits in ((round(needed / DEVICE_SHARE), True), (needed, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 2 * free))
        assert module._fits(device) == fits


class FrontModel(L.LightningModule):
    """A model with or without a front."""

    def __init__(self, front: Front | None = None) -> None:
        super().__init__()
        if front:
            self.front = front


def test_the_front_is_that_of_the_model_that_is_fitted(clips: MakeClips) -> None:
    module = clips()
    assert module.front is None
    module.trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    assert module.front is None
    front = Front("key", dict, dict)
    for model, expected in ((FrontModel(front), front), (FrontModel(), None)):
        module.trainer.strategy.connect(model)
        assert module.front is expected


# ---- scaling


@pytest.mark.parametrize(
    ("split", "fold"),
    [("subject_k_fold", 1), ("trial_k_fold", 4), ("subject_stimulus_k_fold", 2)],
)
@pytest.mark.parametrize("padding", [None, "mean"])
def test_scaling_is_fitted_on_training_segments(
    clips: MakeClips, split: str, fold: int, padding: str | None
) -> None:
    module = clips(split=split, fold=fold, padding=padding)
    assert module.fold.scaling is not None
    reader = ClipReader()
    pieces: dict[str, list[np.ndarray]] = {"eda": [], "music": [], "eda_tenfold": []}
    trained = 0
    for subject, clip in sorted(LABELLED):
        if subject not in module.fold.members.train:
            continue
        if (
            module.fold.members.trials is not None
            and f"clip {clip}" not in module.fold.members.trials["train"]
        ):
            continue
        trained += 1
        made = reader.signals(subject, clip)
        first, last = round(BASELINE * 4), round((BASELINE + seconds_of(clip)) * 4)
        eda = made["eda"].samples[:, first:last].astype(np.float64)
        pieces["eda"].append(2 * eda)
        pieces["eda_tenfold"].append(10 * eda)
        pieces["music"].append(made["music"].samples.astype(np.float64))
    assert trained == len(seen(module, "train")) > 3
    for name, parts in pieces.items():
        joined = np.concatenate(parts, axis=1)
        std = joined.std(axis=1)
        np.testing.assert_allclose(
            module.fold.scaling.mean[name][:, 0], joined.mean(axis=1), rtol=1e-5
        )
        np.testing.assert_allclose(
            module.fold.scaling.std[name][:, 0], np.where(std > 0, std, 1.0), rtol=1e-5
        )
    kept = module.state_dict()
    assert torch.equal(kept["mean"]["eda"], module.fold.scaling.mean["eda"])


# ---- label rules


def valences(module: EmotionDataModule, part: Part) -> dict[tuple[str, int], float]:
    return {
        (subject, clip): float(ClipReader().annotations(subject, clip)["valence"])
        for subject, clip in sorted(seen(module, part))
    }


def between_clumps(rated: list[tuple[str, int]]) -> float:
    """Middle of mean valence at low and at high arousal, which are the two clusters."""
    ratings = [ClipReader().annotations(subject, clip) for subject, clip in rated]
    means = [
        np.mean([float(r["valence"]) for r in ratings if (float(r["arousal"]) > 5) == high])
        for high in (False, True)
    ]
    return float(np.mean(means))


@pytest.mark.parametrize("split", ["subject_k_fold", "trial_k_fold", "subject_stimulus_k_fold"])
@pytest.mark.parametrize("rule", ["median", "kmeans"])
def test_labels_come_from_training_ratings(clips: MakeClips, split: str, rule: str) -> None:
    module = clips(split=split, rule=rule)
    trained = sorted(seen(module, "train"))

    def threshold(rated: list[tuple[str, int]]) -> float:
        if rule == "kmeans":
            return between_clumps(rated)
        return float(np.median([float(ClipReader().annotations(*one)["valence"]) for one in rated]))

    expected = {
        subject: threshold([one for one in trained if one[0] == subject] or trained)
        for subject in SUBJECTS
    }
    assert isinstance(module.fold.task, RatingTask)
    assert dict(module.fold.task.thresholds) == pytest.approx(expected)
    assert list(dict(module.fold.task.thresholds)) == list(SUBJECTS)
    changed = 0
    for part in PARTS:
        windows = module.windows(part)
        ratings = valences(module, part)
        for recording, target in zip(
            windows.recording.tolist(), windows.target.tolist(), strict=True
        ):
            subject, clip = clip_of(module, recording)
            assert target == (ratings[subject, clip] > expected[subject])
            changed += target != (ratings[subject, clip] > 5.0)
    assert changed or set(expected.values()) != {5.0}


def test_the_midpoint_is_the_default(clips: MakeClips) -> None:
    module = clips()
    for part in PARTS:
        windows = module.windows(part)
        ratings = valences(module, part)
        expected = [ratings[clip_of(module, row)] > 5.0 for row in windows.recording.tolist()]
        assert windows.target.tolist() == expected
    assert module.fold.task == CLIPS_DATASET.tasks["valence"]


@pytest.mark.parametrize("rating", [1.0, 4.9, 9.0])
@pytest.mark.parametrize("rule", ["median", "kmeans"])
@pytest.mark.parametrize(
    ("split", "fold"),
    [
        ("leave_one_subject_out", 2),
        ("subject_stimulus_k_fold", 0),
        ("trial_k_fold", 7),
        ("session_out", 0),
    ],
)
def test_ratings_outside_of_training_move_no_threshold(
    clips: MakeClips, split: str, fold: int, rule: str, rating: float
) -> None:
    folds = 2 if split == "session_out" else 3
    arguments = {"split": split, "fold": fold, "folds": folds, "rule": rule}
    module = clips(**arguments)
    trained = seen(module, "train")
    others = tuple(sorted(f"{subject} {clip}" for subject, clip in LABELLED - trained))
    again = clips(**arguments, options={"rerated": others, "rating": rating})
    assert isinstance(module.fold.task, RatingTask)
    assert again.fold.task == module.fold.task
    assert len(module.fold.task.thresholds) == len(SUBJECTS)
    np.testing.assert_array_equal(again.windows("train").target, module.windows("train").target)
    assert seen(again, "test") == seen(module, "test")
    assert len(set(again.windows("test").target.tolist())) == 1
    # What they are trained on does.
    moved = tuple(sorted(f"{subject} {clip}" for subject, clip in trained))[:-2]
    other = clips(**arguments, options={"rerated": moved, "rating": rating})
    assert other.fold.task != module.fold.task


def test_conditions_have_no_rule(clips: MakeClips) -> None:
    for rule in ("median", "kmeans"):
        with pytest.raises(
            IncompatibleRunError,
            match=f"Clips, film: expected ratings for the label rule {rule}, found conditions",
        ):
            clips("film", rule=rule)
    assert clips("film", rule="midpoint").n_classes == 2


# ---- windows


def test_windows_are_never_longer_than_the_shortest_trial(clips: MakeClips) -> None:
    module = clips(window=60.0)
    assert module.length == 8.0
    assert module.inputs == {
        "eda": SignalSpec(1, 32, 4.0),
        "music": SignalSpec(3, 1, STATIC_RATE),
        "eda_tenfold": SignalSpec(1, 32, 4.0),
    }
    assert seen(module, "train") | seen(module, "val") | seen(module, "test") == LABELLED
    assert seen(module, "test") == {one for one in LABELLED if one[0] in module.fold.members.test}
    assert clips(window=3.0).length == 3.0
    assert clips(dataset=UNITS, window=60.0).length == 4.0
    batch = module.gathered("train")[torch.arange(5)]
    assert {name: tuple(x.shape[1:]) for name, x in batch.signals.items()} == {
        name: (spec.n_channels, spec.n_times) for name, spec in module.inputs.items()
    }


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mask", [False, True])
def test_padded_every_trial_is_one_window(clips: MakeClips, padding: str, mask: bool) -> None:
    module = clips(padding=padding, mask=mask, window=3.0, scaling="none")
    assert module.length == 14.0
    assert module.inputs["eda"].n_times == 56
    assert module.inputs["music"].n_times == 1
    assert (module.inputs.get(LENGTH) == SignalSpec(1, 1, STATIC_RATE)) == mask
    assert (LENGTH in module.inputs) == mask
    padded = []
    for part in PARTS:
        data = module.gathered(part)
        batch = data[torch.arange(len(data))]
        assert list(batch.signals) == list(module.inputs)
        windows = module.windows(part)
        for place, recording in enumerate(windows.recording.tolist()):
            subject, clip = clip_of(module, recording)
            padded.append((subject, clip))
            n_recorded = round(4 * seconds_of(clip))
            samples = 2 * ClipReader().signals(subject, clip)["eda"].samples[0, 4 : 4 + n_recorded]
            rest = {"zero": 0.0, "mean": samples.mean(), "edge": samples[-1]}[padding]
            expected = np.full(56, rest, np.float32)
            expected[:n_recorded] = samples
            np.testing.assert_allclose(batch.signals["eda"][place, 0], expected, rtol=1e-4)
            assert batch.signals["music"][place, 0, 0] == clip
            if mask:
                share = batch.signals[LENGTH][place]
                assert share.shape == (1, 1)
                assert float(share) == pytest.approx(seconds_of(clip) / 14.0)
    assert sorted(padded) == sorted(LABELLED)


def test_padding_is_for_trials(clips: MakeClips) -> None:
    with pytest.raises(
        IncompatibleRunError, match=r"Units is not scored by the trial, so that no trial is padded"
    ):
        clips(dataset=UNITS, padding="zero")


def test_a_trial_longer_than_its_dataset_says(clips: MakeClips) -> None:
    shorter = replace(CLIPS_DATASET, trial_seconds=(8.0, 13.0))
    with pytest.raises(IncompatibleRunError, match=r"at most 13 s to pad, found one of 14 s"):
        clips(dataset=shorter, padding="zero")
    assert clips(dataset=shorter).length == 8.0


# ---- classes


@pytest.mark.parametrize("padding", [None, "zero"])
@pytest.mark.parametrize(
    ("split", "fold"),
    [("subject_k_fold", 0), ("trial_k_fold", 1), ("subject_stimulus_k_fold", 0)],
)
def test_oversampling_makes_training_classes_equal(
    clips: MakeClips, split: str, fold: int, padding: str | None
) -> None:
    arguments = {"split": split, "fold": fold, "padding": padding}
    plain = clips("arousal", **arguments)
    module, again = (clips("arousal", **arguments, oversample=True) for _ in range(2))
    before = [int((plain.windows("train").target == label).sum()) for label in (0, 1)]
    assert before[0] != before[1]
    assert plain.class_counts().tolist() == before
    assert module.class_counts().tolist() == [max(before)] * 2
    rows, n_plain = module.fold.rows["train"].tolist(), sum(before)
    assert rows[:n_plain] == plain.fold.rows["train"].tolist()
    assert set(rows) == set(rows[:n_plain])
    assert again.fold.rows["train"].tolist() == rows
    # Repeats are drawn, not the same one again and again.
    assert len(set(rows[n_plain:])) > 1 or min(before) == 1
    for part in ("val", "test"):
        np.testing.assert_array_equal(module.fold.rows[part], plain.fold.rows[part])
    targets = torch.cat([batch.target for batch in module.train_dataloader()])
    assert targets.bincount(minlength=2).tolist() == [max(before)] * 2
    assert module.fold.scaling is not None
    assert plain.fold.scaling is not None
    assert torch.equal(module.fold.scaling.mean["eda"], plain.fold.scaling.mean["eda"])


def test_a_class_that_is_nowhere_is_not_made_up(clips: MakeClips) -> None:
    module = clips("tragic", oversample=True)
    counts = module.class_counts().tolist()
    assert counts[0] > 0
    assert counts[1] == 0


# ---- signals


def test_names_of_channels_are_known_after_setup(clips: MakeClips, build: MakeClips) -> None:
    before = build(CLIPS_DATASET, signals=["music", "eda_tenfold"]).inputs
    after = clips(signals=["music", "eda_tenfold"]).inputs
    assert before == after
    assert [spec.channels for spec in before.values()] == [(), ()]
    assert [spec.channels for spec in after.values()] == [("a", "b", "c"), ("eda",)]


def test_optional_signals(clips: MakeClips) -> None:
    assert CLIPS_DATASET.available({}) == ("eda", "music", "eda_tenfold")
    assert CLIPS_DATASET.available({"extra": False}) == ("eda", "music", "eda_tenfold")
    everything = CLIPS_DATASET.available({"extra": True})
    assert everything == ("eda", "music", "extra", "eda_tenfold")
    assert CLIPS_DATASET.recorded(everything) == ("eda", "music", "extra")
    module = clips(signals=["extra"], options={"extra": True}, scaling="none")
    assert module.inputs == {"extra": SignalSpec(2, 16, 2.0)}
    windows = module.windows("test")
    subject, clip = clip_of(module, int(windows.recording[0]))
    samples = ClipReader(extra=True).signals(subject, clip)["extra"].samples
    first = round(windows.start[0] * 2)
    window = module.gathered("test")[torch.tensor([0])].signals["extra"][0]
    np.testing.assert_array_equal(window, samples[:, first : first + 16])


def test_all_signals_are_those_that_the_options_give(clips: MakeClips) -> None:
    assert list(clips(signals=None).inputs) == ["eda", "music", "eda_tenfold"]
    everything = clips(signals=None, options={"extra": True})
    assert list(everything.inputs) == ["eda", "music", "extra", "eda_tenfold"]


def test_an_optional_signal_without_its_option(clips: MakeClips) -> None:
    with pytest.raises(IncompatibleRunError, match="'extra'"):
        clips(signals=["eda", "extra"])


def test_derived_signals_are_in_the_archive(clips: MakeClips) -> None:
    module = clips(scaling="none")
    eda, tenfold = (module.fold.archive.samples(name) for name in ("eda", "eda_tenfold"))
    raw = [ClipReader().signals(s, clip)["eda"].samples for s in SUBJECTS for clip in CLIPS]
    for one, other, read in zip(eda, tenfold, raw, strict=True):
        np.testing.assert_allclose(one, 2 * read, rtol=1e-6)
        np.testing.assert_allclose(other, 5 * one, rtol=1e-6)
    batch = module.gathered("val")[torch.arange(4)].signals
    torch.testing.assert_close(batch["eda_tenfold"], 5 * batch["eda"])
    assert float(batch["eda"].abs().max()) < 1e4


# ---- faults


def test_faults_are_on_record(clips: MakeClips) -> None:
    module = clips()
    for stored in module.fold.archive.subjects:
        assert stored.faults == (Fault("1", 5, "eda: a spike", omitted=False),)


def test_a_subject_without_a_trial_that_can_be_used(clips: MakeClips, tmp_path: Path) -> None:
    message = r"S3: .* found none; all 12 trials are left out: eda: fell off; eda: flat"
    options = {"broken": ("S3",)}
    with pytest.raises(DatasetCorruptedError, match=message):
        clips(options=options)
    reader = CLIPS_DATASET.make_reader(None, **options)
    stored, failed = store_subjects(CLIPS_DATASET, reader, SUBJECTS, tmp_path)
    assert list(stored) == [subject for subject in SUBJECTS if subject != "S3"]
    with pytest.raises(DatasetCorruptedError, match=message):
        raise failed["S3"]
    assert clips(subjects=list(stored), options=options).subjects == tuple(stored)
