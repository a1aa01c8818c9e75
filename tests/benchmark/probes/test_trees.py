"""Trees as arrays: the same forest again, and no foreign memory whatever the arrays hold."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from benchmark.probes.trees import check_nodes, put_together, taken_apart

F = 4


@pytest.fixture
def forest() -> RandomForestClassifier:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 200)
    columns = rng.normal(size=(200, F)) + target[:, None]
    return RandomForestClassifier(12, random_state=3).fit(columns, target)


def test_put_together_it_answers_with_the_same_bits(forest):
    new = np.random.default_rng(1).normal(1, 2, (500, F))
    before = forest.predict_proba(new)
    bare, arrays = taken_apart(forest)
    assert len(bare.estimators_) == 1
    assert not hasattr(bare.estimators_[0], "tree_")
    np.testing.assert_array_equal(forest.predict_proba(new), before)  # nothing was taken from it
    np.testing.assert_array_equal(put_together(bare, arrays, F).predict_proba(new), before)


def test_it_works_alone_and_in_silence(forest):
    bare, arrays = taken_apart(forest)
    bare.set_params(n_jobs=10**6, verbose=10)
    again = put_together(bare, arrays, F)
    assert (again.n_jobs, again.verbose) == (1, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left_child", 10**9),
        ("left_child", -7),
        ("left_child", 0),
        ("right_child", 10**9),
        ("right_child", -1),
        ("right_child", 0),
        ("feature", F),
        ("feature", -2),
        ("feature", 10**9),
        ("threshold", float("nan")),
    ],
)
def test_a_node_that_leads_out_of_its_tree_is_refused(forest, field, value):
    bare, arrays = taken_apart(forest)
    nodes = arrays["nodes"].copy()
    assert nodes["left_child"][0] != -1
    nodes[field][0] = value
    with pytest.raises(ValueError, match="none of it"):
        put_together(bare, {**arrays, "nodes": nodes}, F)


def test_a_child_before_its_parent_would_never_end(forest):
    _, arrays = taken_apart(forest)
    nodes = arrays["nodes"][: arrays["counts"][0]].copy()
    inner = np.flatnonzero(nodes["left_child"] > 0)[-1]
    nodes["left_child"][inner] = inner
    with pytest.raises(ValueError, match="none of it"):
        check_nodes(nodes, F)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: {**a, "counts": a["counts"] + 1},
        lambda a: {**a, "counts": a["counts"] * 0},
        lambda a: {**a, "counts": np.r_[-1, a["counts"][1:]]},
        lambda a: {**a, "counts": a["counts"][:0]},
        lambda a: {**a, "depths": a["depths"][:-1]},
        lambda a: {**a, "values": a["values"][:-1]},
        lambda a: {**a, "values": a["values"][:, :, :2]},
        lambda a: {**a, "values": a["values"] * np.nan},
        lambda a: {**a, "values": a["values"].astype(np.float32)},
        lambda a: {**a, "nodes": a["nodes"][:-1]},
        lambda a: {**a, "nodes": a["nodes"][["left_child", "right_child", "feature", "threshold"]]},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(forest, change):
    bare, arrays = taken_apart(forest)
    with pytest.raises(ValueError, match=r".+"):
        put_together(bare, change(arrays), F)


def test_a_forest_of_other_features_does_not_read_beyond_them(forest):
    bare, arrays = taken_apart(forest)
    bare.estimators_[0].n_features_in_ = 1
    with pytest.raises(ValueError, match="features"):
        put_together(bare, arrays, F).predict_proba(np.zeros((1, 1)))
