import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest
from sklearn.model_selection import KFold

from datamodules.errors import IncompatibleRunError
from datamodules.flags import FLAGS, SHUFFLED
from datamodules.protocol import PADDINGS, VERSION, Protocol
from datamodules.splits import SPLITS, Dealing
from datamodules.tasks import RULES

HONEST = Protocol()
FLAWED = Protocol(
    split="subject_hold_out",
    folds=3,
    rule="median",
    padding="edge",
    test_share=0.3,
    validation=False,
    flags=("random_trials", "labels_from_all_ratings", "pad_reveals_length", "select_on_test"),
)
"""No field is as it would be by itself, but those that cannot be set beside the others."""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "by_chance"}, r"no split 'by_chance': expected one of subject_hold_out, .*"),
        ({"rule": "mean"}, r"no rule 'mean': expected one of midpoint, median, kmeans"),
        ({"padding": "wrap"}, r"no padding 'wrap': expected one of zero, mean, edge"),
        (
            {"split": "subject_stimulus_k_fold", "stimulus_folds": 1},
            r"subject_stimulus_k_fold: expected at least 2 stimulus_folds, found 1",
        ),
        ({"folds": 1}, r"leave_one_subject_out: expected at least 2 folds, found 1"),
        ({"split": "session_out", "folds": 1}, r"expected at least 2 sessions, found 1"),
        ({"test_share": 0.0}, r"test_share between 0 and 1, found 0\.0"),
        ({"test_share": 1.0}, r"test_share between 0 and 1, found 1\.0"),
        ({"mask": True}, r"expected padding where there is a mask, found none"),
        ({"flags": ("random_window",)}, r"expected protocol flags among .*found random_window$"),
        ({"flags": ("random_windows", "random_trials")}, r"exclude each other"),
        ({"flags": ("report_best_epoch", "report_mean_over_epochs")}, r"exclude each other"),
        ({"flags": ("random_trials",), "split": "trial_k_fold"}, r"found trial_k_fold"),
        (
            {"flags": ("random_windows",), "split": "subject_stimulus_k_fold"},
            r"a split over subjects would: expected one of .*, found subject_stimulus_k_fold",
        ),
        ({"flags": ("oversample_before_split",)}, r"add random_windows"),
        (
            {"flags": ("random_trials", "oversample_before_split")},
            r"random_trials, oversample_before_split: .*add random_windows",
        ),
        ({"flags": ("labels_from_all_ratings",)}, r"midpoint is fitted on no ratings"),
        (
            {"flags": ("random_windows",), "rule": "median"},
            r"add labels_from_all_ratings, or take rule: midpoint",
        ),
        ({"flags": ("pad_reveals_length",)}, r"expected padding without a mask"),
        (
            {"flags": ("pad_reveals_length",), "padding": "zero", "mask": True},
            r"expected padding without a mask",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(IncompatibleRunError, match=message):
        Protocol(**fields)
    with pytest.raises(IncompatibleRunError, match=message):
        replace(HONEST, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        *({"split": split} for split in SPLITS),
        *({"rule": rule} for rule in RULES),
        *({"padding": padding, "mask": True} for padding in PADDINGS),
        {"padding": "zero", "flags": ("pad_reveals_length",)},
        {"flags": ("random_windows", "oversample_before_split")},
        {"rule": "kmeans", "flags": ("random_windows", "labels_from_all_ratings")},
        {"rule": "kmeans", "flags": ("random_trials",)},
        {"split": "trial_k_fold", "flags": ("scale_on_all", "select_on_test")},
    ],
    ids=str,
)
def test_what_goes_together(fields: dict[str, Any]) -> None:
    protocol = Protocol(**fields)
    assert {name: getattr(protocol, name) for name in fields} == fields
    assert protocol.honest == ("flags" not in fields)


def test_padding_without_a_mask_is_for_the_guard_to_refuse() -> None:
    # Trials may be equally long, and nothing but their windows tells.
    assert Protocol(padding="zero").honest


def test_it_is_a_value() -> None:
    assert Protocol() == Protocol()
    assert hash(Protocol()) == hash(Protocol())
    assert Protocol(folds=4) != Protocol()
    assert pickle.loads(pickle.dumps(FLAWED)) == FLAWED
    with pytest.raises(FrozenInstanceError):
        HONEST.folds = 4  # type: ignore[misc]


def test_flags_are_in_one_order_each_once() -> None:
    names = ("select_on_test", "random_trials", "scale_on_all", "random_trials")
    ordered = ("random_trials", "scale_on_all", "select_on_test")
    assert Protocol(flags=names).flags == ordered
    assert Protocol(flags=names) == Protocol(flags=ordered)
    assert Protocol(flags=list(names)).flags == ordered  # type: ignore[arg-type]
    assert HONEST.with_flags(names) == Protocol(flags=ordered)
    assert HONEST.with_flags(names).with_flags(()) == HONEST
    with pytest.raises(IncompatibleRunError, match="exclude each other"):
        HONEST.with_flags(SHUFFLED)


def test_plain_values_and_back() -> None:
    defaults = asdict(HONEST)
    assert {n for n, value in asdict(FLAWED).items() if value == defaults[n]} == {
        "mask",
        "score_windows",
        "version",
        "stimulus_folds",
        "partitions",
        "corruption",
        "calibration",
    }
    for protocol in (HONEST, FLAWED, Protocol(padding="mean", mask=True, score_windows=True)):
        text = json.dumps(protocol.as_dict())
        again = Protocol.from_dict(json.loads(text))
        assert again == protocol
        assert isinstance(again.flags, tuple)
        assert hash(again) == hash(protocol)
    assert Protocol.from_dict({}) == HONEST
    assert HONEST.as_dict()["version"] == VERSION


def test_values_that_are_read_are_checked() -> None:
    with pytest.raises(IncompatibleRunError, match="no rule"):
        Protocol.from_dict({**HONEST.as_dict(), "rule": "mean"})


def test_teachers_choose_their_epoch_as_their_own_flag_says() -> None:
    data = ("random_trials", "scale_on_all")
    student = Protocol(folds=7, split="subject_k_fold", flags=(*data, "select_on_test"))
    assert student.of_teachers() == student.with_flags(data)
    for flags, expected in (
        ((*data, "teacher_selected_on_test"), (*data, "select_on_test")),
        (("teacher_selected_on_test", "select_on_test"), ("select_on_test",)),
        (("report_best_epoch",), ()),
        ((), ()),
    ):
        assert student.with_flags(flags).of_teachers() == student.with_flags(expected)
    assert HONEST.of_teachers() == HONEST


def test_what_flags_say_of_it() -> None:
    shuffled = {flag for flag in FLAGS if flag in SHUFFLED}
    assert shuffled == {"random_windows", "random_trials"}
    for flag in ("random_windows", "random_trials", "scale_on_all", "report_best_epoch"):
        protocol = Protocol(flags=(flag,))
        assert protocol.shuffled == (flag in shuffled)
        assert protocol.reports_epochs == (flag == "report_best_epoch")
    assert Protocol(flags=("report_mean_over_epochs",)).reports_epochs


@pytest.mark.parametrize("split", SPLITS)
def test_number_of_folds_is_that_of_the_split(split: str) -> None:
    protocol = Protocol(split=split, folds=4)
    assert protocol.splitting is SPLITS[split]
    assert protocol.n_folds(9) == SPLITS[split].n_folds(9, Dealing(0, 0, 4))


def test_any_number_of_subjects_will_do_where_windows_are_dealt_out() -> None:
    protocol = Protocol(split="subject_k_fold", folds=10)
    with pytest.raises(IncompatibleRunError, match="at least 10 subjects"):
        protocol.n_folds(4)
    assert protocol.with_flags(("random_trials",)).n_folds(4) == 10


FRESH = """
import sys
from datamodules import Dataset, Protocol
from datamodules.tasks import RatingTask
protocol = Protocol(split="subject_k_fold", flags=("random_trials",), rule="median")
assert protocol.n_folds(3) == 5
heavy = {"torch", "lightning", "sklearn", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""


def test_no_torch_is_needed() -> None:
    subprocess.run([sys.executable, "-c", FRESH], check=True)


def test_partitions_deal_the_same_people_anew() -> None:
    """Each partition tests everybody once, as scikit-learn deals them with its number as seed."""
    protocol = Protocol("subject_k_fold", folds=4, partitions=3)
    people = [f"s{number}" for number in range(10)]
    assert protocol.n_folds(len(people)) == 12
    assert protocol.slug == "subject_4_fold_times_3"
    tested = []
    for fold in range(12):
        dealing = protocol.dealing(fold, seed=0)
        members = protocol.splitting.members(dict.fromkeys(people, ()), dealing)
        assert set(members.train) | set(members.val) | set(members.test) == set(people)
        tested.append(set(members.test))
        assert protocol.partition(fold) == fold // 4
    for partition in range(3):
        dealt = KFold(4, shuffle=True, random_state=partition).split(people)
        expected = [{people[row] for row in test} for _, test in dealt]
        assert tested[4 * partition : 4 * partition + 4] == expected
    first = Protocol("subject_k_fold", folds=4)
    for fold in range(4):
        members = first.splitting.members(dict.fromkeys(people, ()), first.dealing(fold, 0))
        assert set(members.test) == tested[fold]
    with pytest.raises(IncompatibleRunError, match="expected a fold from 0 to 11"):
        protocol.splitting.members(dict.fromkeys(people, ()), protocol.dealing(12, 0))


@pytest.mark.parametrize(
    "values",
    [
        {"partitions": 0},
        {"partitions": 2},
        {"split": "subject_k_fold", "partitions": 2, "flags": ("random_windows",)},
    ],
)
def test_partitions_that_cannot_be(values: dict[str, Any]) -> None:
    with pytest.raises(IncompatibleRunError, match="expected partitions to be 1, or more with"):
        Protocol(**values)
