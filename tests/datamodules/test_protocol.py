"""Each flaw is really there under its flag, counted on the index, and refused without it."""

from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from datamodules.datamodule import PARTS
from datamodules.errors import IncompatibleRunError, LeakError
from datamodules.noise import ROWS, NoiseDataModule, NoiseReader
from datamodules.protocol import FLAGS, check_flags, known_flags, teacher_flags

Make = Callable[..., NoiseDataModule]
FOLDS = 4


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    cache = tmp_path_factory.mktemp("cache")

    def made(*flags: str, task: str = "emotion", **changes: Any) -> NoiseDataModule:
        asked: dict[str, Any] = {
            "split": "subject_k_fold",
            "folds": FOLDS,
            "window": 40.0,
            "stride": 20.0,
            "cache_dir": cache,
            "options": {"n_subjects": 5},
            "flags": flags,
        }
        module = NoiseDataModule(None, task, **{**asked, **changes})
        module.prepare_data()
        module.setup()
        return module

    return made


def spans(module: NoiseDataModule, part: Any) -> list[tuple[int, float, float]]:
    windows = module.windows(part)
    ends = (windows.start + windows.seconds).tolist()
    return list(zip(windows.recording.tolist(), windows.start.tolist(), ends, strict=True))


def overlapping(module: NoiseDataModule, one: Any, other: Any) -> int:
    """Windows of one part that share signal with one of the other."""
    there = spans(module, other)
    return sum(
        any(row == r and start < e and s < end for r, s, e in there)
        for row, start, end in spans(module, one)
    )


def copied(module: NoiseDataModule, one: Any, other: Any) -> int:
    return len(set(spans(module, one)) & set(spans(module, other)))


def trials(module: NoiseDataModule, part: Any) -> set[tuple[int, int]]:
    windows = module.windows(part)
    return set(zip(windows.recording.tolist(), windows.trial.tolist(), strict=True))


def refused_by(module: NoiseDataModule, *flags: Any) -> str:
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
    n_test = len(module.rows["test"])
    assert overlapping(module, "test", "train") > 0.6 * n_test
    assert copied(module, "test", "train") == copied(module, "val", "train") == 0
    assert {*module.windows("test").subject.tolist()} == {*range(5)}
    assert "subject(s)" in refused_by(module) or "trial(s)" in refused_by(module)
    refused_by(module, *(flag for flag in FLAGS if flag != "random_windows"))
    module.check(("random_windows",))


def test_every_window_is_tested_once_over_the_folds_whatever_the_seed(make: Make) -> None:
    whole = Counter(spans(make(), "test") * 0)
    seen = [make("random_windows", fold=fold, seed=7) for fold in range(FOLDS)]
    for module in seen:
        whole.update(spans(module, "test"))
    honest = Counter(span for fold in range(FOLDS) for span in spans(make(fold=fold), "test"))
    assert whole == honest
    assert set(whole.values()) == {1}
    other = make("random_windows", fold=1, seed=8)
    assert spans(other, "test") == spans(seen[1], "test")
    assert spans(other, "val") != spans(seen[1], "val")
    shares = [len(module.rows["train"]) / len(module.grid("train")) for module in seen]
    assert shares == pytest.approx([0.75 * 0.8] * FOLDS, abs=0.02)


def test_one_fold_alone_tests_a_share(make: Make) -> None:
    module = make("random_windows", split="subject_hold_out")
    assert len(module.rows["test"]) / len(module.grid("test")) == pytest.approx(0.2, abs=0.01)


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
    assert module.scaling is not None
    assert honest.scaling is not None
    np.testing.assert_allclose(
        module.scaling.mean["eeg_de"][:, 0], everything.mean(axis=1), atol=1e-5
    )
    assert not torch.equal(module.scaling.mean["eeg_de"], honest.scaling.mean["eeg_de"])
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
            assert module.task.label(subject, segment) == int(rating > np.median(ratings))
    assert "label thresholds were fitted on" in refused_by(module)
    refused_by(module, *(flag for flag in FLAGS if flag != "labels_from_all_ratings"))
    make(task="valence", rule="median").check(())


def test_padding_shows_the_length_unless_all_are_equal(make: Make) -> None:
    module = make("pad_reveals_length", padding="zero", scaling="none")
    data = module.dataset("test")
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
    assert module.state_dict()["chosen_on"] == list(module.split.test)
    assert not set(honest.state_dict()["chosen_on"]) & set(honest.split.test)


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


@pytest.mark.parametrize(
    ("flags", "fields", "said"),
    [
        (("random_windows", "random_trials"), {}, "exclude each other"),
        (("report_best_epoch", "report_mean_over_epochs"), {}, "exclude each other"),
        (("random_trials",), {"split": "trial_k_fold"}, "found trial_k_fold"),
        (("random_windows",), {"split": "subject_stimulus_k_fold"}, "a split over subjects"),
        (("oversample_before_split",), {}, "add random_windows"),
        (("labels_from_all_ratings",), {}, "midpoint is fitted on no ratings"),
        (("random_windows",), {"rule": "median"}, "add labels_from_all_ratings"),
        (("pad_reveals_length",), {}, "expected padding without a mask"),
        (("pad_reveals_length",), {"padded": True, "mask": True}, "without a mask"),
    ],
)
def test_what_does_not_go_together(flags: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(IncompatibleRunError, match=said):
        check_flags(flags, **fields)


def test_flags_have_one_order_and_known_names() -> None:
    assert known_flags(["report_best_epoch", "random_windows", "random_windows"]) == (
        "random_windows",
        "report_best_epoch",
    )
    with pytest.raises(IncompatibleRunError, match="found random_window"):
        known_flags(["random_window"])
    for one, other in product(FLAGS[-4:], FLAGS[-4:]):
        assert set(teacher_flags((one, other))) <= {"select_on_test"}


def test_nobody_is_left_out_of_a_deal(make: Make) -> None:
    with pytest.raises(IncompatibleRunError, match="expected everybody"):
        make("random_windows", without=("N1",))
    assert all(len(make("random_windows", split="leave_one_subject_out").rows[p]) for p in PARTS)
