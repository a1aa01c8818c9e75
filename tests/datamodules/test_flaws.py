"""Each flaw is really there under its flag, counted on the index, and refused without it."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from datamodules.datamodule import EmotionDataModule
from datamodules.errors import IncompatibleRunError, LeakError
from datamodules.flags import FLAGS, Flag
from datamodules.flaws import FLAWS, everybody, passes, with_flaws
from datamodules.fold import PARTS, Fold
from datamodules.guard import Check
from datamodules.noise import NOISE, ROWS, NoiseReader

Make = Callable[..., EmotionDataModule]
FOLDS = 4


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, build: Make) -> Make:
    cache = tmp_path_factory.mktemp("cache")

    def made(*flags: str, task: str = "emotion", **changes: Any) -> EmotionDataModule:
        arguments: dict[str, Any] = {
            "split": "subject_k_fold",
            "folds": FOLDS,
            "window": 40.0,
            "stride": 20.0,
            "cache_dir": cache,
            "options": {"n_subjects": 5},
            "flags": flags,
        }
        module = build(NOISE, None, task, **{**arguments, **changes})
        module.prepare_data()
        module.setup()
        return module

    return made


def spans(module: EmotionDataModule, part: Any) -> list[tuple[int, float, float]]:
    windows = module.windows(part)
    ends = (windows.start + windows.seconds).tolist()
    return list(zip(windows.recording.tolist(), windows.start.tolist(), ends, strict=True))


def overlapping(module: EmotionDataModule, one: Any, other: Any) -> int:
    """Windows of one part that share signal with one of the other."""
    there = spans(module, other)
    return sum(
        any(row == r and start < e and s < end for r, s, e in there)
        for row, start, end in spans(module, one)
    )


def copied(module: EmotionDataModule, one: Any, other: Any) -> int:
    return len(set(spans(module, one)) & set(spans(module, other)))


def trials(module: EmotionDataModule, part: Any) -> set[tuple[int, int]]:
    windows = module.windows(part)
    return set(zip(windows.recording.tolist(), windows.trial.tolist(), strict=True))


def refused_by(module: EmotionDataModule, *flags: Any) -> str:
    with pytest.raises(LeakError) as caught:
        module.check(flags)
    return str(caught.value)


def test_honest_parts_share_nothing_and_pass_under_any_flag(make: Make) -> None:
    module = make()
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert overlapping(module, one, other) == 0
    for flag in FLAGS:
        module.check((flag,))


def test_random_windows_overlap_across_sides_and_none_is_on_two(make: Make) -> None:
    module = make("random_windows")
    n_test = len(module.fold.rows["test"])
    assert overlapping(module, "test", "train") > 0.6 * n_test
    assert copied(module, "test", "train") == copied(module, "val", "train") == 0
    assert {*module.windows("test").subject.tolist()} == {*range(5)}
    assert "subject(s)" in refused_by(module) or "trial(s)" in refused_by(module)
    refused_by(module, *(flag for flag in FLAGS if flag != "random_windows"))
    module.check(("random_windows",))


def test_every_window_is_tested_once_over_the_folds_whatever_the_seed(make: Make) -> None:
    seen = [make("random_windows", fold=fold, seed=7) for fold in range(FOLDS)]
    tested = Counter(span for module in seen for span in spans(module, "test"))
    honest = Counter(span for fold in range(FOLDS) for span in spans(make(fold=fold), "test"))
    assert tested == honest
    assert set(tested.values()) == {1}
    other = make("random_windows", fold=1, seed=8)
    assert spans(other, "test") == spans(seen[1], "test")
    assert spans(other, "val") != spans(seen[1], "val")
    shares = [len(module.fold.rows["train"]) / len(module.fold.grid("train")) for module in seen]
    assert shares == pytest.approx([0.75 * 0.8] * FOLDS, abs=0.02)


def test_one_fold_alone_tests_a_share(make: Make) -> None:
    module = make("random_windows", split="subject_hold_out")
    assert len(module.fold.rows["test"]) / len(module.fold.grid("test")) == pytest.approx(
        0.2, abs=0.01
    )


def test_random_trials_share_people_and_no_trial(make: Make) -> None:
    tested: Counter[tuple[int, int]] = Counter()
    for fold in range(FOLDS):
        module = make("random_trials", fold=fold)
        assert not trials(module, "test") & (trials(module, "train") | trials(module, "val"))
        both = set(module.windows("test").subject.tolist())
        assert both & set(module.windows("train").subject.tolist())
        tested.update(trials(module, "test"))
        refused_by(module)
        refused_by(module, *(f for f in FLAGS if f not in ("random_trials", "random_windows")))
    assert set(tested.values()) == {1}
    assert len(tested) == 5 * len(ROWS)


def stimuli(module: EmotionDataModule, part: Any) -> set[str]:
    return set(module.fold.archive.trial_keys[module.windows(part).segment].tolist())


def people(module: EmotionDataModule, part: Any) -> set[int]:
    return set(module.windows(part).subject.tolist())


@pytest.mark.parametrize("stimulus_folds", [2, 3])
def test_tested_stimuli_are_trained_on_in_place_of_as_many_others(
    make: Make, stimulus_folds: int
) -> None:
    values = {"split": "subject_stimulus_k_fold", "folds": 5, "stimulus_folds": stimulus_folds}
    for fold in (0, 4, 5 * stimulus_folds - 1):
        honest, module = (make(*flags, **values, fold=fold) for flags in ((), ("same_stimuli",)))
        assert not stimuli(honest, "train") & stimuli(honest, "test")
        assert stimuli(module, "test") <= stimuli(module, "train")
        assert spans(module, "test") == spans(honest, "test")
        assert spans(module, "val") == spans(honest, "val")
        assert people(module, "train") == people(honest, "train")
        assert not people(module, "train") & people(module, "test")
        larger = max(len(stimuli(honest, part)) for part in ("train", "test"))
        assert len(stimuli(module, "train")) == larger
        others = stimuli(module, "train") - stimuli(module, "test")
        assert others <= stimuli(honest, "train")
        film = min(stimuli(module, "test"))
        assert re.search(
            r"stimulus\(s\) \['film \d+'.*are in both train and test", refused_by(module)
        )
        assert film in refused_by(module)
        refused_by(module, *(flag for flag in FLAGS if flag != "same_stimuli"))
        module.check(("same_stimuli",))
        trained = module.fold.segments["train"]
        np.testing.assert_array_equal(module.fold.thresholds_from, trained)
        np.testing.assert_array_equal(module.fold.scaling_from, trained)


def test_stimuli_are_the_same_already_where_people_alone_are_apart(make: Make) -> None:
    with pytest.raises(IncompatibleRunError, match="which keeps stimuli apart, found subject_k"):
        make("same_stimuli")


def test_copies_of_tested_windows_are_trained_on(make: Make) -> None:
    flags = ("random_windows", "oversample_before_split")
    module = make(*flags, task="fear")
    assert copied(module, "test", "train") > 0
    assert max(Counter(spans(module, "test")).values()) == 1
    counts = module.class_counts()
    assert counts[1] == pytest.approx(int(counts[0]), rel=0.1)
    plain = make("random_windows", task="fear")
    assert spans(plain, "test") == spans(module, "test")
    assert "window(s) are in both train and" in refused_by(module, "random_windows")
    # Balanced by the recipe, copies are drawn after windows are dealt out, and stay on one side.
    after = make("random_windows", task="fear", oversample=True)
    assert copied(after, "test", "train") == 0


def test_scaling_of_everybody(make: Make) -> None:
    module, honest = make("scale_on_all"), make()
    reader = NoiseReader(n_subjects=5)
    everything = np.concatenate(
        [r.signals["eeg_de"].samples for s in reader.subjects for r in reader.read(s)], axis=1
    )
    assert module.fold.scaling is not None
    assert honest.fold.scaling is not None
    np.testing.assert_allclose(
        module.fold.scaling.mean["eeg_de"][:, 0], everything.mean(axis=1), atol=1e-5
    )
    assert not torch.equal(module.fold.scaling.mean["eeg_de"], honest.fold.scaling.mean["eeg_de"])
    assert spans(module, "train") == spans(honest, "train")
    assert "the scaling was fitted on" in refused_by(module)
    refused_by(module, *(flag for flag in FLAGS if flag != "scale_on_all"))


def test_thresholds_from_all_ratings(make: Make) -> None:
    module = make("labels_from_all_ratings", task="valence", rule="median")
    reader = NoiseReader(n_subjects=5)
    for subject in reader.subjects:
        (recording,) = reader.read(subject)
        ratings = [float(s.annotations["valence"]) for s in recording.segments]
        for segment, rating in zip(recording.segments, ratings, strict=True):
            assert module.fold.task.label(subject, segment) == int(rating > np.median(ratings))
    assert "label thresholds were fitted on" in refused_by(module)
    refused_by(module, *(flag for flag in FLAGS if flag != "labels_from_all_ratings"))
    make(task="valence", rule="median").check(())


def test_padding_shows_the_length_unless_all_are_equal(make: Make) -> None:
    module = make("pad_reveals_length", padding="zero", scaling="none")
    data = module.gathered("test")
    batch = data[torch.arange(len(data))]
    recorded = (batch.signals["eeg_de"].abs().sum(dim=1) > 0).sum(dim=1)
    assert len(set(recorded.tolist())) == len(set(ROWS)) == 14
    assert "no mask" in refused_by(module)
    refused_by(module, *(flag for flag in FLAGS if flag != "pad_reveals_length"))
    with pytest.raises(LeakError, match="no mask"):
        make(padding="zero")
    make(padding="zero", mask=True)
    make(padding="zero", options={"n_subjects": 5, "equal": True})


def test_epoch_is_chosen_on_the_test_part(make: Make) -> None:
    module, honest = make("select_on_test"), make()
    assert spans(module, "val") == spans(module, "test") == spans(honest, "test")
    assert spans(module, "train") == spans(honest, "train")
    refused_by(module)
    refused_by(module, *(f for f in FLAGS if f not in ("select_on_test", "random_windows")))
    assert module.state_dict()["chosen_on"] == list(module.fold.members.test)
    assert not set(honest.state_dict()["chosen_on"]) & set(honest.fold.members.test)


@pytest.mark.parametrize("flag", [None, *FLAGS[-2:]])
def test_test_part_is_read_while_fitting_only_where_that_is_reported(
    make: Make, flag: str | None
) -> None:
    module = make(*([flag] if flag else []))
    module.trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    module.trainer.state.fn = TrainerFn.FITTING
    reads: list[Callable[[], object]] = [
        module.test_dataloader,
        module.predict_dataloader,
        lambda: module.read_early(torch.device("cpu")),
    ]
    for read in reads:
        if flag:
            read()
        else:
            with pytest.raises(LeakError, match="read while the model is fitted"):
                read()
    module.trainer.state.fn = TrainerFn.PREDICTING
    module.predict_dataloader()


def test_nobody_is_left_out_of_a_deal(make: Make) -> None:
    with pytest.raises(IncompatibleRunError, match="expected everybody"):
        make("random_windows", without=("N1",))
    module = make("random_windows", split="leave_one_subject_out")
    assert all(len(module.windows(part)) for part in PARTS)
    everyone = ("N1", "N2", "N3", "N4", "N5")
    assert module.fold.members == everybody(everyone)


# ---- one function a flag


def test_every_flag_has_a_flaw_and_every_check_of_the_guard_is_passed_by_one() -> None:
    assert set(FLAWS) == set(FLAGS)
    assert passes(()) == frozenset()
    assert passes(FLAGS) == set(get_args(Check))
    assert passes(("random_windows", "scale_on_all")) == {"groups", "overlap", "scaling"}
    assert all(flaw.passes for flaw in FLAWS.values())


def changed(one: Fold, other: Fold) -> set[str]:
    """Fields of two folds that are not the same object."""
    names = [column.name for column in fields(Fold)]
    return {name for name in names if getattr(one, name) is not getattr(other, name)}


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("random_trials", {"segments", "thresholds_from", "scaling_from"}),
        (
            "same_stimuli",
            {"members", "segments", "thresholds_from", "scaling_from"},
        ),
        ("random_windows", {"dealt"}),
        ("oversample_before_split", {"copies", "windowing"}),
        ("scale_on_all", {"scaling_from"}),
        ("labels_from_all_ratings", {"thresholds_from"}),
        ("select_on_test", {"members", "chosen_on"}),
        ("pad_reveals_length", set()),
        ("teacher_selected_on_test", set()),
        ("report_best_epoch", set()),
        ("report_mean_over_epochs", set()),
    ],
)
def test_a_flaw_makes_another_fold_and_leaves_the_first_as_it_was(
    make: Make, flag: Flag, names: set[str]
) -> None:
    crossed = {"split": "subject_stimulus_k_fold", "stimulus_folds": 3}
    honest = make(**(crossed if flag == "same_stimuli" else {})).fold
    before = {column.name: getattr(honest, column.name) for column in fields(Fold)}
    flawed = with_flaws(honest, (flag,))
    assert changed(honest, flawed) == names
    assert (flawed is honest) == (not names)
    assert all(getattr(honest, name) is value for name, value in before.items())
    assert with_flaws(honest, ()) is honest


def test_flaws_are_carried_out_in_one_order_whatever_that_of_the_flags(make: Make) -> None:
    flags: tuple[Flag, ...] = ("random_trials", "scale_on_all", "select_on_test")
    honest = make().fold
    one, other = with_flaws(honest, flags), with_flaws(honest, flags[::-1])
    assert one.segments.keys() == other.segments.keys()
    assert all(np.array_equal(one.segments[part], other.segments[part]) for part in PARTS)
    # Trials are dealt out before it is said what the scaling is fitted on, or it would be undone.
    for fold in (one, other):
        assert len(fold.scaling_from) == len(fold.archive.segments)
        assert fold.chosen_on == "test"
