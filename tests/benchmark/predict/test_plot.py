"""Plot of probabilities: curves are where the numbers are, and names are escaped."""

import xml.etree.ElementTree as ElementTree

import numpy as np

from benchmark.predict.plot import plot_probabilities


def test_a_probability_of_one_is_drawn_at_the_top():
    text = plot_probabilities(
        "a < b", np.array([0.0, 60.0]), np.array([[1.0, 0.0]] * 2), ("x", "y")
    )
    tree = ElementTree.fromstring(text)
    one, zero = tree.findall("{http://www.w3.org/2000/svg}polyline")
    top = {float(point.split(",")[1]) for point in one.get("points").split()}
    bottom = {float(point.split(",")[1]) for point in zero.get("points").split()}
    assert max(top) < min(bottom)
