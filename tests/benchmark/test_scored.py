"""What follows from predictions, against plain loops."""

import dataclasses

import numpy as np
import pytest

from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import scored, with_scores
from benchmark.store import DamagedError, Store
from datamodules.protocol import Protocol
from lightning_modules.metrics import SCORES, macro_f1
from lightning_modules.units import score_units

RUN = Run(
    "wesad",
    "stress",
    Protocol("subject_k_fold", folds=2),
    0,
    0,
    "lda",
    ("eda",),
    ("S1", "S2"),
    "d" * 16,
)


def drawn(seed: int = 0, n: int = 200, epochs: int = 0) -> dict[str, np.ndarray]:
    """Windows of two subjects in any order; sessions of one name are of both."""
    rng = np.random.default_rng(seed)
    columns = {
        "subject": rng.choice(["S1", "S10"], n),
        "session": rng.choice(["1", "night"], n),
        "trial": rng.integers(1, 4, n),
        "unit": rng.integers(0, 3, n),
        "start": rng.random(n),
    }
    columns["label"] = (columns["trial"] + columns["unit"]) % 3
    columns["probabilities"] = rng.dirichlet([0.7] * 3, n)
    if epochs:
        columns["of_epochs"] = rng.dirichlet([0.7] * 3, (epochs, n))
        columns["probabilities"] = columns["of_epochs"][-1]
    return columns


def in_a_loop(columns, probabilities) -> dict[str, dict[tuple, tuple[np.ndarray, int]]]:
    sums: dict[str, dict[tuple, list]] = {}
    for row, subject in enumerate(columns["subject"].tolist()):
        key = tuple(columns[name][row].item() for name in ("session", "trial", "unit"))
        own = sums.setdefault(subject, {}).setdefault(key, [0, 0, int(columns["label"][row])])
        own[0] = own[0] + probabilities[row]
        own[1] += 1
    return {s: {k: (p / n, y) for k, (p, n, y) in own.items()} for s, own in sums.items()}


@pytest.mark.parametrize("seed", range(3))
def test_units_are_means_of_their_windows(seed):
    columns = drawn(seed)
    units, expected = score_units(columns), in_a_loop(columns, columns["probabilities"])
    assert list(units) == sorted(expected)
    for subject, own in units.items():
        assert list(own.keys) == sorted(expected[subject])
        for key, target, p in zip(own.keys, own.target, own.probabilities[0], strict=True):
            mean, label = expected[subject][key]
            assert target == label
            np.testing.assert_allclose(p, mean, atol=1e-15)
        confusion = np.zeros((3, 3), int)
        for mean, label in expected[subject].values():
            confusion[label, mean.argmax()] += 1
        assert own.confusion == confusion.tolist()


def test_every_epoch_is_scored_by_itself():
    columns = drawn(epochs=4)
    for subject, own in score_units(columns).items():
        each = []
        for epoch in columns["of_epochs"]:
            expected = in_a_loop(columns, epoch)[subject].values()
            p, y = (np.array(values) for values in zip(*expected, strict=True))
            each.append(macro_f1(p, y))
        assert len(set(each)) > 1
        assert own.score(macro_f1) == pytest.approx(np.mean(each), abs=1e-12)
        last = in_a_loop(columns, columns["of_epochs"][-1])[subject].values()
        assert np.trace(own.confusion) == sum(mean.argmax() == label for mean, label in last)


def test_digest_is_of_units_and_labels_alone():
    columns = drawn()
    first = {s: own.digest for s, own in score_units(columns).items()}
    order = np.random.default_rng(1).permutation(200)
    shuffled = {name: column[order] for name, column in columns.items()}
    shuffled["probabilities"] = shuffled["probabilities"][::-1]
    assert {s: own.digest for s, own in score_units(shuffled).items()} == first
    moved = {**columns, "label": 2 - columns["label"]}
    assert all(own.digest != first[s] for s, own in score_units(moved).items())
    other = {**columns, "unit": columns["unit"] + 1}
    assert all(own.digest != first[s] for s, own in score_units(other).items())


def test_a_result_from_the_store(tmp_path):
    store, columns = Store(tmp_path), drawn()
    assert scored(store, RUN) is None
    store.save(Result(RUN, "failed", error="no"))
    failed = scored(store, RUN)
    assert (failed.status, failed.scores, failed.error) == ("failed", {}, "no")
    store.save(Result(RUN, "done", parameters=3), columns)
    result = scored(store, RUN)
    assert result.parameters == 3
    assert result.folder == store.folder(RUN)
    assert list(result.scores["S1"]) == list(SCORES)
    assert result.derived == with_scores(Result(RUN, "done"), columns).derived
    assert {f.name for f in dataclasses.fields(Result)}.isdisjoint(result.derived)
    assert result.as_dict() == store.result(RUN).as_dict()  # what is derived is never written
    path = store.folder(RUN) / "predictions.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedError, match="expected the file that was committed"):
        scored(store, RUN)
