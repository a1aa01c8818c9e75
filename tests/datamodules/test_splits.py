import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.errors import IncompatibleRunError
from datamodules.splits import SPLITS, Split, SplitName, n_folds, split_subjects

names = st.lists(
    st.text("S0123456789", min_size=1, max_size=4), min_size=5, max_size=40, unique=True
)
splits = st.sampled_from(SPLITS)
seeds = st.integers(0, 2**31)


@given(splits, names, seeds, st.integers(2, 5))
def test_every_fold_is_a_partition_in_the_datasets_order(
    split: SplitName, subjects: list[str], seed: int, folds: int
) -> None:
    for fold in range(n_folds(split, len(subjects), folds)):
        found = split_subjects(split, subjects, fold, seed, folds)
        groups = (found.train, found.val, found.test)
        assert all(groups)
        assert sorted([name for group in groups for name in group]) == sorted(subjects)
        for group in groups:
            places = [subjects.index(name) for name in group]
            assert places == sorted(places)
        assert len(found.train) >= len(found.val)


@given(st.sampled_from(SPLITS[1:]), names, seeds, st.integers(2, 5))
def test_every_subject_is_tested_exactly_once(
    split: SplitName, subjects: list[str], seed: int, folds: int
) -> None:
    count = n_folds(split, len(subjects), folds)
    tested = [
        name
        for fold in range(count)
        for name in split_subjects(split, subjects, fold, seed, folds).test
    ]
    assert sorted(tested) == sorted(subjects)
    assert count == (folds if split == "subject_k_fold" else len(subjects))


@given(splits, names, seeds, seeds, st.integers(0, 1))
def test_the_seed_does_not_choose_who_is_tested(
    split: SplitName, subjects: list[str], one: int, other: int, fold: int
) -> None:
    fold = 0 if split == "subject_hold_out" else fold
    here, there = (split_subjects(split, subjects, fold, seed) for seed in (one, other))
    assert here.test == there.test
    assert split_subjects(split, subjects, fold, one) == here


@pytest.mark.parametrize("split", SPLITS)
def test_the_seed_chooses_who_validates(split: SplitName) -> None:
    subjects = [f"S{number}" for number in range(15)]
    chosen = {split_subjects(split, subjects, 0, seed).val for seed in range(10)}
    assert len(chosen) > 3
    if split != "subject_hold_out":
        folds = [split_subjects(split, subjects, fold, 0).val for fold in range(5)]
        assert len(set(folds)) > 2


def test_sizes() -> None:
    subjects = [f"S{number}" for number in range(15)]
    for split, n_test, n_val in (
        ("subject_hold_out", 3, 2),
        ("subject_k_fold", 3, 2),
        ("leave_one_subject_out", 1, 3),
    ):
        found = split_subjects(split, subjects, 0, 0)
        assert (len(found.test), len(found.val)) == (n_test, n_val)
        assert len(found.train) == 15 - n_test - n_val
    assert n_folds("subject_hold_out", 15) == 1


@pytest.mark.parametrize(
    ("split", "n_subjects", "folds", "message"),
    [
        ("leave_one_subject_out", 2, 5, "at least 3 subjects .* found 2"),
        ("subject_hold_out", 2, 5, "at least 3 subjects .* found 2"),
        ("subject_k_fold", 4, 5, "at least 5 subjects .* found 4.*take fewer folds"),
        ("subject_k_fold", 2, 2, "at least 3 subjects .* found 2"),
        ("subject_k_fold", 9, 1, "at least 2 folds, found 1"),
    ],
)
def test_too_few_subjects(split: SplitName, n_subjects: int, folds: int, message: str) -> None:
    subjects = [f"S{number}" for number in range(n_subjects)]
    for ask in (
        lambda: n_folds(split, n_subjects, folds),
        lambda: split_subjects(split, subjects, 0, 0, folds),
    ):
        with pytest.raises(IncompatibleRunError, match=message) as caught:
            ask()
        assert split in str(caught.value)


@pytest.mark.parametrize("split", SPLITS)
def test_three_subjects_are_enough(split: SplitName) -> None:
    for fold in range(n_folds(split, 3, 3)):
        found = split_subjects(split, ["S2", "S10", "S1"], fold, 0, 3)
        assert (len(found.train), len(found.val), len(found.test)) == (1, 1, 1)


@pytest.mark.parametrize("fold", [-1, 5])
def test_folds_that_do_not_exist(fold: int) -> None:
    subjects = [f"S{number}" for number in range(10)]
    with pytest.raises(IncompatibleRunError, match=f"a fold from 0 to 4, found {fold}"):
        split_subjects("subject_k_fold", subjects, fold, 0)


def test_a_split_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="at least one val subject"):
        Split(("S1",), (), ("S2",))
    for groups in (
        (("S1", "S2"), ("S3",), ("S2",)),
        (("S1",), ("S2",), ("S2",)),
        (("S1", "S1"), ("S2",), ("S3",)),
    ):
        with pytest.raises(ValueError, match=r"found \['S[12]'\] in two"):
            Split(*groups)
