"""Cases of the selftest: what is planned, and seeds that nobody has chosen."""

import numpy as np
from scipy import stats

from benchmark.checks.cases import DRAWS, FEWER, JUDGED, draws_of, make_cases
from benchmark.plan.expand import expand
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Suite
from datamodules.flags import FLAGS, known_flags

EIGHT = Prepared(tuple(f"N{number}" for number in range(1, 9)), {}, "e" * 16)


def test_every_flag_is_judged_on_a_run_that_is_planned():
    assert set(JUDGED) == set(FLAGS)
    planned = {}
    for name, case in make_cases("1.2.3").items():
        suites = list(case.suites())
        assert all(isinstance(suite, Suite) for suite in suites)
        planned[name] = expand(suites[0], {"noise": EIGHT}).runs
    for flag, (case, model, besides) in JUDGED.items():
        wanted = known_flags([flag, *([besides] if besides else [])])
        assert any((run.name, run.protocol.flags) == (model, wanted) for run in planned[case])
        assert any(run.name == model and flag not in run.protocol.flags for run in planned[case])


def test_draws_follow_from_the_version_alone():
    assert draws_of("0.1.0", "null", 20) == draws_of("0.1.0", "null", 20)
    drawn = [draws_of(release, "null", 20) for release in ("0.1.0", "0.1.1", "0.2.0", "1.0")]
    drawn.append(draws_of("0.1.0", "permuted", 20))
    everything = [seed for seeds in drawn for seed in seeds]
    assert len(set(everything)) == len(everything) == 100
    assert all(0 <= seed < 2**31 for seed in everything)


def test_what_finds_nothing_has_new_draws_and_all_else_the_same():
    one, other = make_cases("0.1.0"), make_cases("0.2.0")
    changed = {name for name in one if set(one[name].draws) != set(other[name].draws)}
    assert changed == {"null", "permuted", "equal films"}
    assert {name: len(one[name].draws) for name in changed} == {
        "null": DRAWS,
        "permuted": DRAWS,
        "equal films": FEWER,
    }
    for name in changed:
        assert set(one[name].draws).isdisjoint(other[name].draws)
        assert one[name].fields["splits"] == ("subject_hold_out",)


def test_intervals_hold_chance_as_often_as_they_say_in_halves_and_not_in_folds():
    """Of one curve for everybody: the class most frequent around each place of the session.

    Sessions have three trials of each of five classes in random order, and nothing else.
    """
    draws, rng = 2000, np.random.default_rng(11)
    near = np.maximum(0, 1 - np.abs(np.subtract.outer(range(15), range(15))) / 2)

    def sessions(people: int) -> np.ndarray:
        return np.repeat(np.arange(5), 3)[np.argsort(rng.random((draws, people, 15)), axis=2)]

    def score(trained: np.ndarray, tested: np.ndarray) -> np.ndarray:
        counts = (trained[..., None] == np.arange(5)).sum(axis=1)
        votes = np.einsum("ij,njk->nik", near, counts) + 1e-6 * rng.random((draws, 15, 5))
        return (votes.argmax(axis=2)[:, None] == tested).mean(axis=2)

    def holds_chance(scores: np.ndarray) -> float:
        n = scores.shape[1]
        half = stats.t.ppf(0.975, n - 1) * scores.std(axis=1, ddof=1) / np.sqrt(n)
        return float((np.abs(scores.mean(axis=1) - 0.2) <= half + 1e-6).mean())

    people = sessions(16)
    assert 0.93 < holds_chance(score(people[:, :6], people[:, 8:])) < 0.97
    for count, folds in ((8, 2), (16, 4), (16, 16)):
        people, scores = sessions(count), np.empty((draws, count))
        parts = np.array_split(np.arange(count), folds)
        for part in parts:
            rest = np.setdiff1d(np.arange(count), part)
            scores[:, part] = score(people[:, rest[round(0.2 * len(rest)) :]], people[:, part])
        means = np.stack([scores[:, part].mean(axis=1) for part in parts], axis=1)
        assert holds_chance(scores) < 0.92
        assert holds_chance(means) < 0.92
