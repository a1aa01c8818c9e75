"""Plot of probabilities: curves are where the numbers are, marks are round, and names escaped."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from benchmark.predict.plot import LEFT, RIGHT, WIDTH, marks, plot_probabilities

SVG = "{http://www.w3.org/2000/svg}"


def plot(seconds, probabilities, classes=("x", "y"), doubtful=None, doubts=()):
    doubtful = [False] * len(seconds) if doubtful is None else doubtful
    seconds, probabilities = np.array(seconds, float), np.array(probabilities, float)
    text = plot_probabilities("a < b", "m & n", seconds, probabilities, classes, doubtful, doubts)
    return ElementTree.fromstring(text)


def texts(tree) -> list[str]:
    return ["".join(text.itertext()) for text in tree.iter(f"{SVG}text")]


def heights(line) -> set[float]:
    return {float(point.split(",")[1]) for point in line.get("points").split()}


def test_a_probability_of_one_is_drawn_at_the_top():
    tree = plot([0, 60], [[1, 0, 0]] * 2, ("x", "y", "z"))
    one, zero, _ = tree.findall(f"{SVG}polyline")
    assert max(heights(one)) < min(heights(zero))


def test_two_classes_are_one_line_that_is_named():
    tree = plot([0, 60], [[1, 0], [0, 1]])
    (line,) = tree.findall(f"{SVG}polyline")
    first, last = (float(point.split(",")[1]) for point in line.get("points").split())
    assert last < first  # the second class rises
    assert "probability of y" in texts(tree)
    assert "x" not in texts(tree)


def test_axes_and_model_are_named():
    for classes in (("x", "y"), ("x", "y", "z")):
        said = texts(plot([0, 60], np.full((2, len(classes)), 0.5), classes))
        assert {"a < b", "m & n"} <= set(said)
        assert any(text.startswith("minutes from the start") for text in said)
        assert any(text.startswith("probability") for text in said)
    assert {"x", "y", "z"} <= set(said)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0.5, 49.5, [10, 20, 30, 40]),
        (0.5, 50.0, [10, 20, 30, 40, 50]),
        (0, 9.5, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (1, 1, [1]),
        (0.51, 0.52, [0.51]),
        (0.5, 600, [60, 120, 180, 240, 300, 360, 420, 480, 540, 600]),
        (0.5, 1440 * 3, [720, 1440, 2160, 2880, 3600, 4320]),
    ],
)
def test_marks_are_round(first, last, expected):
    found = marks(first, last)
    assert all(first <= minute <= last for minute in found)
    if first == last or len(expected) == 1:
        assert found == expected
    else:
        steps = {round(step, 6) for step in np.diff(found)}
        (step,) = steps
        assert found[0] % step == pytest.approx(0)
        assert 4 <= len(found) <= 10
        assert set(expected) & set(found)


def test_marks_stand_where_their_minutes_are():
    tree = plot([30, 30 + 600], [[0, 1]] * 2)
    for mark in tree.findall(f"{SVG}text[@class='minute']"):
        share = (60 * float(mark.text) - 30) / 600
        at = LEFT + share * (WIDTH - LEFT - RIGHT)
        assert float(mark.get("x")) == pytest.approx(at, abs=0.06)


def test_windows_without_a_prediction_are_gaps():
    nothing = [np.nan, np.nan]
    tree = plot(range(6), [[0, 1], [0, 1], nothing, [1, 0], nothing, nothing])
    (line,) = tree.findall(f"{SVG}polyline")
    (point,) = tree.findall(f"{SVG}circle")
    assert len(line.get("points").split()) == 2
    assert float(point.get("cx")) == pytest.approx(LEFT + 3 / 5 * (WIDTH - LEFT - RIGHT), abs=0.06)


def test_doubts_are_shaded_and_said():
    tree = plot(
        range(0, 50, 10),
        [[0, 1]] * 5,
        doubtful=[False, True, True, False, True],
        doubts=("eda: < 1 %", "bvp"),
    )
    shaded = tree.findall(f"{SVG}rect[@class='doubt']")
    width = WIDTH - LEFT - RIGHT
    spans = [(float(r.get("x")), float(r.get("width"))) for r in shaded]
    assert spans == [
        (pytest.approx(LEFT + 5 / 40 * width), pytest.approx(20 / 40 * width)),
        (pytest.approx(LEFT + 35 / 40 * width), pytest.approx(5 / 40 * width)),
    ]
    assert {"eda: < 1 %", "bvp"} <= set(texts(tree))
    height = float(tree.get("viewBox").split()[3])
    assert all(float(text.get("y")) < height for text in tree.iter(f"{SVG}text"))


def test_a_single_window_is_a_point():
    tree = plot([30], [[0.2, 0.8]], doubtful=[True])
    assert len(tree.findall(f"{SVG}circle")) == 1
    assert len(tree.findall(f"{SVG}rect[@class='doubt']")) == 1
