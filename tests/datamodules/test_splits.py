from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, train_test_split

from datamodules.errors import IncompatibleRunError
from datamodules.seed_v import LABELS
from datamodules.splits import (
    HOLD_OUT_SHARE,
    SPLITS,
    SUBJECT_SPLITS,
    Dealing,
    Members,
    Split,
    hold_out,
    k_fold,
)

NONE: Mapping[str, int] = {}
OTHER_SPLITS = [name for name, split in SPLITS.items() if not split.over_subjects]


def n_folds(split: str, n_subjects: int, folds: int = 5) -> int:
    return SPLITS[split].n_folds(n_subjects, Dealing(0, 0, folds))


def split_subjects(
    split: str,
    subjects: Sequence[str],
    fold: int,
    seed: int,
    folds: int = 5,
    test_share: float = HOLD_OUT_SHARE,
) -> Members:
    """Members of a fold of a split that reads nothing but the subjects."""
    trials: Trials = {subject: [] for subject in subjects}
    return SPLITS[split].members(trials, Dealing(fold, seed, folds, test_share))


def split_trials(
    split: str,
    trials: Mapping[str, Sequence[tuple[str, str]]],
    fold: int,
    seed: int,
    folds: int,
    blocks: int | None = None,
    stimulus_folds: int = 4,
    classes: Mapping[str, int] = NONE,
) -> Members:
    """Members of a fold of a split that looks at trials."""
    dealing = Dealing(
        fold, seed, folds, blocks=blocks, stimulus_folds=stimulus_folds, classes=classes
    )
    return SPLITS[split].members(trials, dealing)


names = st.lists(
    st.text("S0123456789", min_size=1, max_size=4), min_size=5, max_size=40, unique=True
)
splits = st.sampled_from(SUBJECT_SPLITS)
seeds = st.integers(0, 2**31)


@given(splits, names, seeds, st.integers(2, 5))
def test_every_fold_is_a_partition_in_the_datasets_order(
    split: str, subjects: list[str], seed: int, folds: int
) -> None:
    for fold in range(n_folds(split, len(subjects), folds)):
        members = split_subjects(split, subjects, fold, seed, folds)
        groups = (members.train, members.val, members.test)
        assert all(groups)
        assert sorted([name for group in groups for name in group]) == sorted(subjects)
        for group in groups:
            positions = [subjects.index(name) for name in group]
            assert positions == sorted(positions)
        assert len(members.train) >= len(members.val)


@given(
    st.sampled_from(["leave_one_subject_out", "subject_k_fold"]), names, seeds, st.integers(2, 5)
)
def test_every_subject_is_tested_exactly_once(
    split: str, subjects: list[str], seed: int, folds: int
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
    split: str, subjects: list[str], one: int, other: int, fold: int
) -> None:
    fold = 0 if split == "subject_hold_out" else fold
    here, there = (split_subjects(split, subjects, fold, seed) for seed in (one, other))
    assert here.test == there.test
    assert split_subjects(split, subjects, fold, one) == here


@pytest.mark.parametrize("split", SUBJECT_SPLITS)
def test_the_seed_chooses_who_validates(split: str) -> None:
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
        members = split_subjects(split, subjects, 0, 0)
        assert (len(members.test), len(members.val)) == (n_test, n_val)
        assert len(members.train) == 15 - n_test - n_val
    assert n_folds("subject_hold_out", 15) == 1


@pytest.mark.parametrize(
    ("split", "n_subjects", "folds", "message"),
    [
        ("leave_one_subject_out", 2, 5, "at least 3 subjects .* found 2"),
        ("subject_hold_out", 2, 5, "at least 3 subjects .* found 2"),
        ("subject_k_fold", 4, 5, "at least 5 subjects .* found 4.*take fewer folds"),
        ("subject_k_fold", 2, 3, "at least 3 subjects .* found 2"),
        ("subject_k_fold", 3, 2, "at least 4 subjects .* found 3"),
        ("subject_k_fold", 9, 1, "at least 2 folds, found 1"),
    ],
)
def test_too_few_subjects(split: str, n_subjects: int, folds: int, message: str) -> None:
    subjects = [f"S{number}" for number in range(n_subjects)]
    for ask in (
        lambda: n_folds(split, n_subjects, folds),
        lambda: split_subjects(split, subjects, 0, 0, folds),
    ):
        with pytest.raises(IncompatibleRunError, match=message) as caught:
            ask()
        assert split in str(caught.value)


# ---- nobody is kept apart to choose the epoch


@pytest.mark.parametrize(
    ("split", "n_subjects", "folds"),
    [
        ("leave_one_subject_out", 2, 5),
        ("subject_hold_out", 2, 5),
        ("subject_k_fold", 2, 2),
        ("subject_k_fold", 3, 3),
    ],
)
def test_one_to_train_on_is_enough_without_validation(
    split: str, n_subjects: int, folds: int
) -> None:
    subjects = ["S2", "S10", "S1"][:n_subjects]
    trials: Trials = {subject: [] for subject in subjects}
    one = SPLITS[split]
    count = one.n_folds(n_subjects, Dealing(0, 0, folds, validation=False))
    for fold in range(count):
        members = one.members(trials, Dealing(fold, 0, folds, validation=False))
        assert len(members.train) == n_subjects - 1
        assert members.val == members.train
        assert not set(members.train) & set(members.test)
    for ask in (
        lambda: one.n_folds(1, Dealing(0, 0, folds, validation=False)),
        lambda: one.members({"S2": []}, Dealing(0, 0, folds, validation=False)),
    ):
        with pytest.raises(IncompatibleRunError, match="some to train on and to test on") as caught:
            ask()
        assert f"at least {max(2, folds) if one.counts else 2} subjects" in str(caught.value)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("blocks", [None, 3])
def test_without_validation_the_rest_is_trained_on(split: str, blocks: int | None) -> None:
    """Tested are the same; all else is trained on, be it kept apart otherwise or not."""
    trials = {
        f"S{number}": [(str(1 + key // 6), f"clip {key}") for key in range(12)]
        for number in (3, 1, 10, 2, 5)
    }
    for fold in range(1 if split == "subject_hold_out" else 2):
        usual, joined = (
            SPLITS[split].members(
                trials,
                Dealing(fold, 1, 2 if split == "session_out" else 3, blocks=blocks, **more),
            )
            for more in ({}, {"validation": False})
        )
        assert joined.test == usual.test
        together = {*usual.train, *usual.val}
        assert joined.train == joined.val == tuple(s for s in trials if s in together)
        if usual.trials is None:
            assert joined.trials is None
            continue
        rest = usual.trials["train"] | usual.trials["val"]
        assert joined.trials == {"train": rest, "val": rest, "test": usual.trials["test"]}
        assert not joined.disjoint


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_trial_to_train_on_is_enough_without_validation(share: float) -> None:
    trials = {"S1": [("1", "a"), ("1", "b")]}
    dealing = Dealing(0, 0, 2, test_share=share, validation=False)
    members = SPLITS["trial_k_fold"].members(trials, dealing)
    assert members.trials is not None
    assert [len(members.trials[part]) for part in ("train", "val", "test")] == [1, 1, 1]
    with pytest.raises(IncompatibleRunError, match="at least 4 trials of S1, found 2"):
        SPLITS["trial_k_fold"].members(trials, Dealing(0, 0, 2))


def test_everybody_may_be_tested_and_nobody_left_to_train_on() -> None:
    dealing = Dealing(0, 0, test_share=0.8, validation=False)
    with pytest.raises(ValueError, match="at least one train subject"):
        SPLITS["subject_hold_out"].members({"S1": [], "S2": []}, dealing)


@pytest.mark.parametrize("split", SUBJECT_SPLITS)
def test_three_subjects_are_enough(split: str) -> None:
    for fold in range(n_folds(split, 3, 3)):
        members = split_subjects(split, ["S2", "S10", "S1"], fold, 0, 3)
        assert (len(members.train), len(members.val), len(members.test)) == (1, 1, 1)


def test_four_subjects_are_enough_for_two_folds() -> None:
    for fold in range(2):
        members = split_subjects("subject_k_fold", ["S2", "S10", "S1", "S7"], fold, 0, 2)
        assert (len(members.train), len(members.val), len(members.test)) == (1, 1, 2)


@pytest.mark.parametrize("fold", [-1, 5])
def test_folds_that_do_not_exist(fold: int) -> None:
    subjects = [f"S{number}" for number in range(10)]
    with pytest.raises(IncompatibleRunError, match=f"a fold from 0 to 4, found {fold}"):
        split_subjects("subject_k_fold", subjects, fold, 0)


def test_members_are_checked_when_they_are_made() -> None:
    with pytest.raises(ValueError, match="at least one val subject"):
        Members(("S1",), (), ("S2",))
    for groups in (
        (("S1", "S2"), ("S3",), ("S2",)),
        (("S1",), ("S2",), ("S2",)),
        (("S1", "S1"), ("S2",), ("S3",)),
    ):
        with pytest.raises(ValueError, match=r"found \['S[12]'\] in two"):
            Members(*groups)


# ---- trials

Trials = dict[str, list[tuple[str, str]]]

SEED_V: Trials = {
    subject: [(session, f"{session}/{trial}") for session in "123" for trial in range(1, 16)]
    for subject in ("1", "2", "10")
}
"""As there: 15 trials in each of three sessions."""


@st.composite
def recorded(draw: st.DrawFn, sessions: int = 1) -> Trials:
    """Subjects who saw 6 to 20 of 25 films each, in an order of their own, in some sessions."""
    films = [f"film {number}" for number in range(1, 26)]
    trials: Trials = {}
    for number in range(draw(st.integers(3, 6))):
        seen = draw(st.lists(st.sampled_from(films), min_size=6, max_size=20, unique=True))
        trials[f"S{number}"] = sorted((str(n % sessions), film) for n, film in enumerate(seen))
    return trials


def parts_of(members: Members) -> list[frozenset[str]]:
    """Trials of train, val and test, none of which is empty, none in two of them."""
    assert members.trials is not None
    assert list(members.trials) == ["train", "val", "test"]
    train, val, test = members.trials.values()
    assert train
    assert val
    assert test
    assert not train & val
    assert not train & test
    assert not val & test
    return [train, val, test]


@st.composite
def in_one_order(draw: st.DrawFn) -> Trials:
    """Subjects who saw 7 to 12 films each of two sessions in one order; some lack one of them."""
    films = [(s, f"{s}/{n}") for s in "ab" for n in range(1, draw(st.integers(7, 12)) + 1)]
    missing = draw(st.lists(st.sampled_from(films), min_size=3, max_size=3))
    return {f"S{n}": [film for film in films if film != missing[n]] for n in range(3)} | {
        "S3": films
    }


@settings(max_examples=30)
@given(st.data(), seeds)
@pytest.mark.parametrize(
    ("split", "blocks"), [("trial_k_fold", False), ("trial_k_fold", True), ("session_out", False)]
)
def test_within_a_subject_every_trial_is_tested_exactly_once(
    split: str, blocks: bool, data: st.DataObject, seed: int
) -> None:
    folds = 3 if split == "session_out" else data.draw(st.integers(2, 3))
    trials = data.draw(in_one_order() if blocks else recorded(folds))
    count = n_folds(split, len(trials), folds)
    assert count == len(trials) * folds
    tested: dict[str, list[str]] = {subject: [] for subject in trials}
    for fold in range(count):
        members = split_trials(split, trials, fold, seed, folds, folds if blocks else None)
        assert members.within
        assert members.train == members.val == members.test == (list(trials)[fold // folds],)
        (subject,) = members.test
        train, val, test = parts_of(members)
        assert sorted(train | val | test) == sorted(key for _, key in trials[subject])
        if not blocks:
            assert len(val) == max(1, round(0.2 * len(train | val)))
        tested[subject] += test
        if split == "session_out":
            sessions_of = {key: session for session, key in trials[subject]}
            assert len({sessions_of[key] for key in test}) == 1
            assert {sessions_of[key] for key in train | val}.isdisjoint(
                {sessions_of[key] for key in test}
            )
    for subject, keys in tested.items():
        assert sorted(keys) == sorted(key for _, key in trials[subject])


@pytest.mark.parametrize(
    ("fold", "numbers"),
    [(0, (1, 2, 3, 4, 5)), (1, (6, 7, 8, 9, 10)), (2, (11, 12, 13, 14, 15))],
)
def test_blocks_are_consecutive_thirds_of_each_session(fold: int, numbers: tuple[int, ...]) -> None:
    for place, subject in enumerate(SEED_V):
        members = split_trials("trial_k_fold", SEED_V, 3 * place + fold, 7, 3, blocks=3)
        train, val, test = parts_of(members)
        assert members.test == (subject,)
        assert test == {f"{session}/{trial}" for session in (1, 2, 3) for trial in numbers}
        assert (len(train), len(val)) == (25, 5)
        ((session, first),) = {(key[0], (int(key[2:]) - 1) // 5) for key in val}
        assert val == {f"{session}/{5 * first + k}" for k in range(1, 6)}


def test_a_trial_that_is_missing_moves_no_block() -> None:
    lacking = {"1/1", "1/7", "3/15"}
    trials = {
        **SEED_V,
        "2": [(session, key) for session, key in SEED_V["2"] if key not in lacking],
    }
    for place in range(3):
        for fold in range(3):
            complete, incomplete = (
                parts_of(split_trials("trial_k_fold", shown, 3 * place + fold, 0, 3, blocks=3))
                for shown in (SEED_V, trials)
            )
            assert incomplete[2] == complete[2] - (lacking if place == 1 else set())


def test_a_block_is_of_the_session_in_which_the_subject_had_its_trials() -> None:
    trials = {
        "S1": [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("b", "5"), ("b", "6")],
        "S2": [("a", str(n)) for n in range(4, 10)] + [("b", str(n)) for n in range(1, 4)],
    }
    tested = [
        parts_of(split_trials("trial_k_fold", trials, f, 0, 3, blocks=3))[2] for f in range(3)
    ]
    assert tested == [{"1", "2", "3"}, {"4"}, {"5", "6"}]


@pytest.mark.parametrize("fold", [0, 4, 8])
def test_a_block_of_another_session_validates_where_a_session_is_left_out(fold: int) -> None:
    chosen = set()
    for seed in range(20):
        train, val, _ = parts_of(split_trials("session_out", SEED_V, fold, seed, 3, blocks=3))
        assert (len(train), len(val)) == (25, 5)
        ((session, first),) = {(key[0], (int(key[2:]) - 1) // 5) for key in val}
        assert session != "123"[fold % 3]
        chosen.add((session, first))
    assert len(chosen) > 3


@pytest.mark.parametrize(("fold", "session"), [(0, "1"), (1, "2"), (2, "3"), (5, "3"), (6, "1")])
def test_a_session_is_left_out(fold: int, session: str) -> None:
    _, _, test = parts_of(split_trials("session_out", SEED_V, fold, 0, 3))
    assert test == {f"{session}/{trial}" for trial in range(1, 16)}


def test_without_blocks_trials_are_dealt_at_random() -> None:
    trials = {"S1": [("1", f"1/{trial}") for trial in range(1, 41)]}
    tested = [parts_of(split_trials("trial_k_fold", trials, f, 0, 5))[2] for f in range(5)]
    assert [len(keys) for keys in tested] == [8] * 5
    for keys in tested:
        numbers = sorted(int(key[2:]) for key in keys)
        assert numbers[-1] - numbers[0] > 15


def test_a_film_that_was_seen_twice_is_one_trial() -> None:
    keys = [f"film {number}" for number in (1, 1, 1, 2, 3, 3, 4, 5, 6, 6)]
    trials = {"S1": [("1", key) for key in keys]}
    for blocks in (False, True):
        tested: list[str] = []
        for fold in range(3):
            train, val, test = parts_of(
                split_trials("trial_k_fold", trials, fold, 0, 3, 3 if blocks else None)
            )
            assert (len(train | val), len(test)) == (4, 2)
            assert len(val) == (2 if blocks else 1)
            tested += test
        assert sorted(tested) == sorted(set(keys))


@st.composite
def crossable(draw: st.DrawFn) -> tuple[Trials, dict[str, int], int, int]:
    """People who saw some of 8 to 30 films of up to 3 classes in up to 3 sessions, and counts."""
    n_films = draw(st.integers(8, 30))
    films = [f"film {number}" for number in range(n_films)]
    classes = dict(zip(films, draw(st.lists(st.integers(0, 2), min_size=n_films)), strict=False))
    sessions = {film: str(draw(st.integers(1, 3))) for film in films}
    folds, stimulus_folds = draw(st.integers(2, 5)), draw(st.integers(2, 5))
    trials: Trials = {}
    for number in range(max(4, folds) + draw(st.integers(0, 3))):
        seen = draw(st.permutations(films))[draw(st.integers(0, 3)) :]
        trials[f"S{number}"] = [(sessions[film], film) for film in seen]
    trials["everybody"] = [(sessions[film], film) for film in films]
    return trials, classes, folds, stimulus_folds


def counted(names: frozenset[str] | set[str], classes: Mapping[str, int]) -> Counter[int]:
    return Counter(classes.get(name, 0) for name in names)


@settings(max_examples=40, deadline=None)
@given(crossable(), seeds)
def test_every_trial_is_tested_once_and_nobody_and_no_film_is_on_two_sides(
    world: tuple[Trials, dict[str, int], int, int], seed: int
) -> None:
    trials, classes, folds, stimulus_folds = world
    split = "subject_stimulus_k_fold"
    films = {film for pairs in trials.values() for _, film in pairs}
    in_all = counted(films, classes)
    tested: Counter[tuple[str, str]] = Counter()
    by_people: dict[tuple[str, ...], list[frozenset[str]]] = {}
    count = SPLITS[split].n_folds(len(trials), Dealing(0, 0, folds, stimulus_folds=stimulus_folds))
    assert count == folds * stimulus_folds
    for fold in range(count):
        members = split_trials(split, trials, fold, seed, folds, None, stimulus_folds, classes)
        people = (members.train, members.val, members.test)
        assert all(people)
        assert sorted(name for group in people for name in group) == sorted(trials)
        train, val, test = parts_of(members)
        assert train | val | test == films
        by_people.setdefault(members.test, []).append(test)
        for person in members.test:
            tested.update((person, film) for _, film in trials[person] if film in test)
        for label, size in in_all.items():
            shown = counted(test, classes)[label]
            assert size // stimulus_folds <= shown <= -(-size // stimulus_folds)
            if size - shown >= 2:  # enough to train on and to choose the epoch
                assert counted(train, classes)[label]
                assert counted(val, classes)[label]
    assert tested == Counter((person, film) for person in trials for _, film in trials[person])
    assert len(by_people) == folds
    for groups in by_people.values():
        assert len(groups) == stimulus_folds
        assert frozenset().union(*groups) == films
        sizes = [len(group) for group in groups]
        assert max(sizes) - min(sizes) <= 1
    assert len({tuple(map(frozenset, groups)) for groups in by_people.values()}) == 1


FILMS_OF_SEED_V = {
    f"{session}/{trial}": label
    for session, labels in LABELS.items()
    for trial, label in enumerate(labels, start=1)
}


def test_films_of_seed_v_are_dealt_out_within_each_emotion_over_the_sessions() -> None:
    trials = {f"S{number}": SEED_V["1"] for number in range(16)}
    for fold in range(20):
        members = split_trials(
            "subject_stimulus_k_fold", trials, fold, 0, 5, classes=FILMS_OF_SEED_V
        )
        train, val, test = parts_of(members)
        assert len(test) in (11, 12)
        for emotion in range(5):
            of_emotion = [film for film in test if FILMS_OF_SEED_V[film] == emotion]
            assert len(of_emotion) in (2, 3)
            assert max(Counter(film[0] for film in of_emotion).values()) == 1
            assert counted(val, FILMS_OF_SEED_V)[emotion] == 1
            assert counted(train, FILMS_OF_SEED_V)[emotion] >= 5
        sessions = Counter(film[0] for film in test)
        assert min(sessions.values()) >= 3


def test_groups_of_people_are_those_of_a_k_fold_over_them() -> None:
    trials = {f"S{number}": SEED_V["1"] for number in range(16)}
    split = SPLITS["subject_stimulus_k_fold"]
    for fold in range(20):
        dealing = Dealing(fold, 3)
        members = split.members(trials, dealing)
        assert members.test == split_subjects("subject_k_fold", list(trials), fold // 4, 0).test
        assert list(members.test) == split.people(list(trials), dealing)


@settings(max_examples=20)
@given(st.data(), recorded(3), seeds, seeds)
@pytest.mark.parametrize("split", OTHER_SPLITS)
def test_the_seed_does_not_choose_which_trials_are_tested(
    split: str, data: st.DataObject, trials: Trials, one: int, other: int
) -> None:
    fold = data.draw(st.integers(0, n_folds(split, len(trials), 3) - 1))
    here, there = (split_trials(split, trials, fold, seed, 3) for seed in (one, other))
    assert here.test == there.test
    assert parts_of(here)[2] == parts_of(there)[2]
    assert split_trials(split, trials, fold, one, 3) == here


@pytest.mark.parametrize("split", OTHER_SPLITS)
def test_the_seed_chooses_which_trials_validate(split: str) -> None:
    chosen = {parts_of(split_trials(split, SEED_V, 0, seed, 3))[1] for seed in range(10)}
    assert len(chosen) > 5
    folds = {parts_of(split_trials(split, SEED_V, fold, 0, 3))[1] for fold in range(3)}
    assert len(folds) == 3


def test_who_saw_what_in_which_order_does_not_group_the_stimuli() -> None:
    def tested(trials: Trials) -> frozenset[str]:
        return parts_of(split_trials("subject_stimulus_k_fold", trials, 0, 0, 3))[2]

    keys = [("1", f"{number}") for number in range(1, 13)]
    some = tested({"S1": keys, "S2": keys[:9], "S3": keys[3:]})
    assert some == tested({"S1": keys[7:], "S2": keys[::-1], "S3": keys[3:]})


def test_numbers_in_keys_are_sorted_as_numbers() -> None:
    # Another name for each stimulus, in the same natural order: the same groups.
    def tested(names: list[str], fold: int) -> list[int]:
        trials = {f"S{n}": [("1", name) for name in names[:: n or 1]] for n in range(3)}
        keys = parts_of(split_trials("subject_stimulus_k_fold", trials, fold, 0, 3))[2]
        return sorted(names.index(name) for name in keys)

    plain = [chr(ord("a") + number) for number in range(12)]
    numbered = [
        *("2", "3", "9", "10", "21", "100", "1000"),
        *("clip 1", "clip 2", "clip 10", "clip 10 b", "video"),
    ]
    assert sorted(numbered) != numbered
    for fold in range(3):
        assert tested(numbered, fold) == tested(plain, fold)


class Scattered(str):
    """A name that another process would keep elsewhere in a set."""

    by = 1

    def __hash__(self) -> int:
        return self.by * sum(place * ord(sign) for place, sign in enumerate(self, start=1))


class ScatteredOtherwise(Scattered):
    by = -1


def test_names_that_sort_alike_are_grouped_alike_in_every_process() -> None:
    names = ["1", "01", "001", "2", "02", "\u00b2", "3", "03", "\u0663", "a1", "a01", ""]
    assert list({Scattered(name) for name in names}) != list(
        {ScatteredOtherwise(name) for name in names}
    )
    for fold in range(3):
        grouped = []
        for kind in (Scattered, ScatteredOtherwise):
            pairs = [("1", kind(name)) for name in names]
            trials: Trials = {"S1": pairs, "S2": pairs, "S3": pairs}  # type: ignore[dict-item]
            members = split_trials("subject_stimulus_k_fold", trials, fold, 0, 3)
            grouped.append([sorted(map(str, keys)) for keys in parts_of(members)])
        assert grouped[0] == grouped[1]


def sessions_of(*counts: int) -> Trials:
    """Three subjects with as many trials in each session."""
    pairs = [(str(s), f"{s}/{trial}") for s, count in enumerate(counts) for trial in range(count)]
    return {subject: pairs for subject in ("S1", "S2", "S3", "S4")}


@pytest.mark.parametrize(
    ("split", "trials", "folds", "blocks", "message"),
    [
        (
            "subject_stimulus_k_fold",
            sessions_of(3),
            3,
            False,
            r"at least 4 stimuli .* found 3\. Add stimuli, or take fewer stimulus_folds",
        ),
        ("subject_stimulus_k_fold", sessions_of(9), 5, False, "at least 5 subjects .* found 4"),
        ("trial_k_fold", sessions_of(4), 5, False, "at least 5 trials of S1, found 4"),
        ("trial_k_fold", sessions_of(3), 2, False, "at least 4 trials of S1, found 3"),
        ("trial_k_fold", sessions_of(9), 1, False, "at least 2 folds, found 1"),
        ("trial_k_fold", sessions_of(5, 2), 3, True, "3 trials in session 1, found 2"),
        (
            *(
                "trial_k_fold",
                {"S1": sessions_of(9)["S1"][3:], "S2": sessions_of(9)["S2"]},
                3,
                True,
            ),
            "1 trials of S1 in fold 0, found 0",
        ),
        ("trial_k_fold", sessions_of(2), 2, True, "2 trials of S1 outside of fold 0, found 1"),
        ("session_out", sessions_of(9), 3, False, "at least 3 sessions of S1, found 1"),
        ("session_out", sessions_of(9, 9), 1, False, "at least 2 sessions, found 1"),
        ("session_out", sessions_of(9, 1), 2, False, "2 trials of S1 outside of fold 0, found 1"),
        ("session_out", {"S1": []}, 2, False, "at least 2 sessions of S1, found 0"),
    ],
)
def test_too_few_trials(split: str, trials: Trials, folds: int, blocks: bool, message: str) -> None:
    with pytest.raises(IncompatibleRunError, match=f"{split}: .*{message}"):
        split_trials(split, trials, 0, 0, folds, folds if blocks else None)


@pytest.mark.parametrize(
    ("split", "count"),
    [("subject_stimulus_k_fold", 12), ("trial_k_fold", 9), ("session_out", 9)],
)
def test_folds_of_trials_that_do_not_exist(split: str, count: int) -> None:
    for fold in (-1, count):
        with pytest.raises(IncompatibleRunError, match=f"from 0 to {count - 1}, found {fold}"):
            split_trials(split, SEED_V, fold, 0, 3)


@pytest.mark.parametrize(("stimulus_folds", "least"), [(2, 4), (3, 3), (5, 5)])
def test_the_fewest_stimuli_that_are_enough(stimulus_folds: int, least: int) -> None:
    def members(n_films: int) -> Members:
        trials = sessions_of(n_films)
        return split_trials("subject_stimulus_k_fold", trials, 0, 0, 3, None, stimulus_folds)

    assert all(parts_of(members(least)))
    with pytest.raises(IncompatibleRunError, match=f"at least {least} stimuli"):
        members(least - 1)


def test_the_second_subject_comes_after_all_folds_of_the_first() -> None:
    trials = {**SEED_V, "2": SEED_V["2"][:20]}
    with pytest.raises(IncompatibleRunError, match="at least 3 sessions of 2, found 2"):
        split_trials("session_out", trials, 3, 0, 3)
    assert split_trials("session_out", trials, 2, 0, 3).test == ("1",)


def test_trials_of_members_are_checked_when_they_are_made() -> None:
    one = ("S1",)
    parts = {"train": frozenset("ab"), "val": frozenset("c"), "test": frozenset("d")}
    assert Members(one, one, one, parts).within
    assert not Members(one, ("S2",), ("S3",), parts).within
    with pytest.raises(ValueError, match=r"disjoint groups of subjects, found \['S1'\]"):
        Members(one, one, one)
    with pytest.raises(ValueError, match=r"disjoint groups of subjects, found \['S1'\]"):
        Members(one, one, ("S2",), parts)
    with pytest.raises(ValueError, match=r"disjoint groups of trials, found \['b'\] in two"):
        Members(one, one, one, {**parts, "test": frozenset("bd")})
    for wrong in ({**parts, "val": frozenset()}, {"train": parts["train"]}, {}):
        with pytest.raises(ValueError, match=r"at least one (train|val) trial, found none"):
            Members(one, one, one, wrong)


# ---- against scikit-learn, and what a split says of itself


@given(st.lists(st.integers(), min_size=5, max_size=40, unique=True), st.integers(2, 5))
@pytest.mark.parametrize("shuffle", [False, True])
def test_folds_are_those_of_scikit_learn(shuffle: bool, names: list[int], folds: int) -> None:
    subjects = list(map(str, names))
    dealer = KFold(folds, shuffle=True, random_state=0) if shuffle else KFold(folds)
    for fold, (rest, test) in enumerate(dealer.split(subjects)):
        assert k_fold(subjects, fold, folds, shuffle) == (
            [subjects[row] for row in rest],
            [subjects[row] for row in test],
        )


@given(st.integers(5, 60), st.sampled_from([0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.7]))
def test_a_hold_out_is_that_of_scikit_learn(n_subjects: int, share: float) -> None:
    subjects = [f"S{number}" for number in range(n_subjects)]
    assert hold_out(subjects, share) == tuple(
        train_test_split(subjects, test_size=share, random_state=0)
    )


ENOUGH: Trials = {f"S{number}": SEED_V["1"] for number in range(9)}
"""As many subjects as any split needs, with the films of all."""


def folds_of(split: Split, trials: Trials) -> list[Members]:
    count = split.n_folds(len(trials), Dealing(0, 0, 3))
    return [split.members(trials, Dealing(fold, 0, 3)) for fold in range(count)]


def people_tested(split: Split, trials: Trials) -> set[str]:
    """Subjects of whom some trial is tested in some fold."""
    return {
        subject
        for members in folds_of(split, trials)
        for subject in members.test
        for _, key in trials[subject]
        if members.trials is None or key in members.trials["test"]
    }


@pytest.mark.parametrize("split", SPLITS.values(), ids=list(SPLITS))
def test_a_split_over_subjects_reads_nothing_of_their_trials(split: Split) -> None:
    without: Trials = {subject: [] for subject in ENOUGH}
    if split.over_subjects:
        assert folds_of(split, without) == folds_of(split, ENOUGH)
        assert all(members.trials is None for members in folds_of(split, ENOUGH))
    else:
        with pytest.raises(IncompatibleRunError, match=f"{split.name}: expected at least"):
            folds_of(split, without)


@pytest.mark.parametrize("split", SPLITS.values(), ids=list(SPLITS))
def test_a_split_within_a_subject_trains_and_tests_on_that_subject(split: Split) -> None:
    for members in folds_of(split, ENOUGH):
        assert members.within == split.within_subject
        assert (members.train == members.test) == split.within_subject
        assert len(members.test) == 1 or not split.within_subject


@pytest.mark.parametrize("split", SPLITS.values(), ids=list(SPLITS))
def test_a_split_says_whether_everybody_is_tested(split: Split) -> None:
    if split.tests_everybody:
        assert people_tested(split, ENOUGH) == set(ENOUGH)
    else:
        # Everybody saw one film, and nobody that of another.
        alone: Trials = {f"S{n}": [("1", f"film {9 - n}")] for n in range(9)}
        assert people_tested(split, alone) < set(alone)


@pytest.mark.parametrize("split", SPLITS.values(), ids=list(SPLITS))
def test_the_number_of_folds_is_read_where_it_is_counted(split: Split) -> None:
    assert (split.n_folds(12, Dealing(0, 0, 3)) != split.n_folds(12, Dealing(0, 0, 4))) == bool(
        split.counts
    )
    numbered = split.name.replace("k_fold", "3_fold")
    assert split.slug(3) == (numbered if split.trains else f"{numbered}_by_3")
    assert split.slug(5) == split.name.replace("k_fold", "5_fold")
    more = {split.n_folds(12, Dealing(0, 0, 3, stimulus_folds=n)) for n in (2, 4)}
    assert len(more) == (2 if split.crosses_stimuli else 1)
    assert (split.slug(3, 2) != split.slug(3)) == split.crosses_stimuli
    if split.counts:
        with pytest.raises(IncompatibleRunError, match=f"at least 2 {split.counts}, found 1"):
            split.n_folds(12, Dealing(0, 0, 1))
    if not split.within_subject and split.trains:
        with pytest.raises(IncompatibleRunError, match=r"at least \d+ subjects"):
            split.n_folds(2, Dealing(0, 0, 3))
        assert split.n_folds(2, Dealing(0, 0, 3), shuffled=True) in (1, 2, 3, 12)


@pytest.mark.parametrize("split", SPLITS.values(), ids=list(SPLITS))
def test_a_split_says_which_values_choose_what_is_tested(split: Split) -> None:
    trials = {f"S{number}": SEED_V["1"] for number in range(10)}

    def tested(**values: Any) -> list[tuple[Any, Any]]:
        members = [
            split.members(trials, Dealing(fold, 0, 3, **values))
            for fold in range(split.n_folds(len(trials), Dealing(0, 0, 3)))
        ]
        return [(one.test, one.trials and one.trials["test"]) for one in members]

    assert (tested(test_share=0.6) != tested()) == split.holds_out
    assert (tested(blocks=3) != tested()) == split.in_blocks


@pytest.mark.parametrize("split", SPLITS.values(), ids=list(SPLITS))
def test_a_split_names_the_people_whom_a_fold_tests(split: Split) -> None:
    for fold, members in enumerate(folds_of(split, ENOUGH)):
        assert sorted(split.people(list(ENOUGH), Dealing(fold, 0, 3))) == sorted(members.test)


def test_members_of_other_splits_are_those_of_before_stimuli_were_crossed() -> None:
    subjects = [f"S{number}" for number in (2, 3, 10, 4, 5, 6, 7)]
    trials = {s: [(a, f"{a}/{n}") for a in "12" for n in range(1, 6)] for s in subjects}

    def members(split: str, fold: int, seed: int) -> Members:
        return split_trials(split, trials, fold, seed, 2 if split == "session_out" else 3)

    def names(text: str) -> tuple[str, ...]:
        return tuple(f"S{number}" for number in text.split())

    for split, fold, seed, *parts in (
        ("subject_hold_out", 0, 3, "2 3 4 6", "5", "10 7"),
        ("subject_k_fold", 0, 0, "2 4 6", "5", "3 10 7"),
        ("subject_k_fold", 1, 3, "3 5 6 7", "10", "2 4"),
        ("leave_one_subject_out", 1, 3, "2 4 5 6 7", "10", "3"),
    ):
        assert members(split, fold, seed) == Members(*map(names, parts))
    for split, fold, seed, *of_trials in (
        ("trial_k_fold", 0, 0, "1/1 1/2 1/4 2/2 2/3", "2/1", "1/3 1/5 2/4 2/5"),
        ("trial_k_fold", 1, 3, "1/1 1/3 1/5 2/1 2/4 2/5", "1/4", "1/2 2/2 2/3"),
        ("session_out", 1, 3, "1/1 1/3 1/4 1/5", "1/2", "2/1 2/2 2/3 2/4 2/5"),
    ):
        assert parts_of(members(split, fold, seed)) == [set(text.split()) for text in of_trials]


def test_names_are_keys() -> None:
    assert [split.name for split in SPLITS.values()] == list(SPLITS)
    assert all(split.about and split.disjoint for split in SPLITS.values())
    assert all(SPLITS[name].over_subjects for name in SUBJECT_SPLITS)


def test_a_split_that_trains_nobody_tests_everybody_in_each_fold() -> None:
    split = SPLITS["dataset_out"]
    trials: Trials = {"S1": [("1", "a")], "S2": [("1", "b")]}
    for fold in range(3):
        members = split.members(trials, Dealing(fold, 0, 3))
        assert members == Members((), (), ("S1", "S2"))
        assert members.tests_only
        assert split.people(["S1", "S2"], Dealing(fold, 0, 3)) == ["S1", "S2"]
    assert [name for name, one in SPLITS.items() if not one.trains] == ["dataset_out"]
    with pytest.raises(IncompatibleRunError, match="expected a fold from 0 to 2, found 3"):
        split.members(trials, Dealing(3, 0, 3))
    with pytest.raises(ValueError, match="expected at least one train subject, found none"):
        Members((), (), ())
