"""Groups of stimuli by themselves; what splits make of them is tested with the splits."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datamodules.stimuli import Kind, held_out, kinds_of, stimulus_groups


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["1", "2", "10"])), max_size=40),
    st.integers(2, 6),
)
def test_groups_differ_by_one_at_most_in_every_class_and_session(
    drawn: list[Kind], count: int
) -> None:
    kinds = {f"film {number}": kind for number, kind in enumerate(drawn)}
    groups = stimulus_groups(kinds, count)
    assert sorted(name for group in groups for name in group) == sorted(kinds)
    for column in (slice(0, 0), slice(0, 1), slice(0, 2)):
        sizes = [Counter(kinds[name][column] for name in group) for group in groups]
        for key in {key for of in sizes for key in of}:
            assert max(of[key] for of in sizes) - min(of[key] for of in sizes) <= 1


def test_groups_are_drawn_by_chance_within_a_class() -> None:
    kinds = {f"{number:02d}": (0, "1") for number in range(40)}
    groups = stimulus_groups(kinds, 4)
    assert groups == stimulus_groups(kinds, 4)
    for group in groups:
        numbers = sorted(map(int, group))
        assert len({number % 4 for number in numbers}) > 1
        assert numbers[-1] - numbers[0] > 20


def test_a_film_is_of_the_session_in_which_most_people_saw_it() -> None:
    trials = {
        "S1": [("1", "b"), ("1", "a")],
        "S2": [("2", "a"), ("1", "b")],
        "S3": [("2", "a"), ("10", "c"), ("2", "c")],
    }
    assert kinds_of(trials, {"b": 3}) == {"a": (0, "2"), "b": (3, "1"), "c": (0, "2")}


def test_stimuli_that_choose_the_epoch_leave_some_of_each_class_to_train_on() -> None:
    def chosen(labels: str, seed: int) -> Counter[int]:
        kinds = {f"film {n}": (int(label), "1") for n, label in enumerate(labels)}
        return Counter(kinds[n][0] for n in held_out(kinds, 0.2, np.random.default_rng(seed)))

    for seed in range(5):
        assert chosen("0000000000" + "11111", seed) == {0: 2, 1: 1}
        assert chosen("0001", seed) == {0: 1}
        assert sum(chosen("01", seed).values()) == 1
    assert len({tuple(chosen("01", seed)) for seed in range(20)}) == 2
