"""Trees of a forest as plain arrays, which are checked before trees are made of them again.

scikit-learn believes the nodes of a tree: a child that is no node of it, or a feature that there is
not, would make it read foreign memory.
"""

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

LEAF = -1
"""Number of the children of a leaf."""
Arrays = Mapping[str, npt.NDArray[Any]]


def taken_apart(forest: RandomForestClassifier) -> tuple[RandomForestClassifier, dict[str, Any]]:
    """Return a fitted forest without its trees, and its trees as arrays.

    Returns:
        The forest, with one tree that has no nodes, and of all trees, one after the other:
        ``counts`` of nodes (trees,), ``depths`` (trees,), ``nodes`` (nodes of all,) and ``values``
        (nodes of all, 1, K).
    """
    states = [tree.tree_.__getstate__() for tree in forest.estimators_]
    arrays = {
        "counts": np.array([state["node_count"] for state in states]),
        "depths": np.array([state["max_depth"] for state in states]),
        "nodes": np.concatenate([state["nodes"] for state in states]),
        "values": np.concatenate([state["values"] for state in states]),
    }
    bare, first = copy.copy(forest), copy.copy(forest.estimators_[0])
    del first.tree_
    bare.estimators_ = [first]
    return bare, arrays


def put_together(
    bare: RandomForestClassifier, arrays: Arrays, n_features: int
) -> RandomForestClassifier:
    """Return the forest that ``taken_apart`` was given.

    Args:
        bare: Forest without its trees.
        arrays: Arrays of its trees.
        n_features: Number of its features.

    Raises:
        ValueError: Arrays that are not those of trees with these features and classes.
    """
    counts, nodes, values = arrays["counts"], arrays["nodes"], arrays["values"]
    n_classes = len(bare.classes_)
    shape = (len(nodes), 1, n_classes)
    if values.shape != shape or values.dtype != np.float64 or not np.isfinite(values).all():
        raise ValueError(f"expected finite values of shape {shape}, found {values.shape}")
    if not len(counts) or counts.min() < 1 or counts.sum() != len(nodes):
        raise ValueError(f"expected {len(nodes)} nodes in trees of one or more, found otherwise")
    forest = copy.copy(bare)
    forest.set_params(n_jobs=1, verbose=0)
    forest.estimators_ = []
    ends = np.cumsum(counts)
    for depth, stop, count in zip(arrays["depths"], ends, counts, strict=True):
        part = slice(stop - count, stop)
        tree = Tree(n_features, np.array([n_classes]), 1)
        check_nodes(nodes[part], n_features)
        state = {"node_count": int(count), "max_depth": int(depth)}
        tree.__setstate__({**state, "nodes": nodes[part], "values": values[part]})
        estimator: DecisionTreeClassifier = copy.copy(bare.estimators_[0])
        estimator.tree_, estimator.n_features_in_ = tree, n_features  # which it compares with
        forest.estimators_.append(estimator)
    return forest


def check_nodes(nodes: npt.NDArray[Any], n_features: int) -> None:
    """Raise ValueError unless every way through the nodes of a tree ends at a leaf.

    Children come after their parents, as in every tree that scikit-learn grows.
    """
    left, right, feature = (nodes[name] for name in ("left_child", "right_child", "feature"))
    here = np.arange(len(nodes))
    leaf = left == LEAF
    inner = (here < left) & (left < len(nodes)) & (here < right) & (right < len(nodes))
    inner &= (feature >= 0) & (feature < n_features) & np.isfinite(nodes["threshold"])
    if not (leaf | inner).all():
        raise ValueError("expected nodes of a tree, found one whose child or feature is none of it")
