"""Content of trackers: a confusion matrix that can be read."""

import dataclasses

import numpy as np
import pytest

from benchmark.boards.scores import scored_results
from benchmark.tracking.content import CELL, draw_confusion


def test_confusion_matrix(store):
    result = next(result for result in scored_results(store) if result.run.model == "lda")
    counts = np.sum(list(result.confusion.values()), axis=0)
    picture = draw_confusion(result)
    n, side = len(counts), picture.shape[0] // (len(counts) + 1)
    assert picture.shape == ((n + 1) * side, (n + 1) * side, 3)
    for row in range(n):
        for column in range(n):
            red = picture[(row + 1) * side + 3, (column + 1) * side + 3, 0]
            share = counts[row, column] / counts[row].sum()
            assert red == pytest.approx(255 - share * (255 - 33), abs=1)


def test_classes_are_those_of_the_result(store):
    """Published tasks are not among the default ones; older results have no names of classes."""
    result = next(result for result in scored_results(store) if result.run.model == "lda")
    run = dataclasses.replace(result.run, dataset="deap", task="quadrant")
    four = {"S1": np.diag([4, 3, 2, 1]).tolist()}
    names = ("LALV", "LAHV", "HALV", "HAHV")
    published = dataclasses.replace(result, run=run, confusion=four, classes=names)
    unnamed = dataclasses.replace(published, classes=())
    assert draw_confusion(published).shape == (5 * CELL, 5 * CELL, 3)
    assert draw_confusion(unnamed).shape == (5 * CELL, 5 * CELL, 3)
    assert (draw_confusion(unnamed) != draw_confusion(published)).any()
