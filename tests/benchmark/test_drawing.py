"""Pictures: the SVG and the PNG show the same marks at the same places."""

import xml.etree.ElementTree as ElementTree
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from benchmark.drawing import DENSITY, SUFFIXES, Box, Dot, Line, Panel, Picture, Words

SVG = "{http://www.w3.org/2000/svg}"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def pixels(*marks):
    """Colours of a picture of 40 by 30 units, shape (height, width, 3)."""
    image = Image.open(BytesIO(Picture(40, 30, "a < b", marks).png()))
    assert image.size == (40 * DENSITY, 30 * DENSITY)
    return np.asarray(image.convert("RGB"))


def box_of(image, colour=None):
    """Left, top, right and bottom, in units, of what is not white, or is of a colour."""
    inked = (image == colour).all(axis=2) if colour else (image < 128).any(axis=2)
    rows, columns = np.nonzero(inked)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / DENSITY


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (Box(5, 6, 10, 4, "#ff0000"), (5, 6, 15, 10)),
        (Dot(20, 15, 5, "#ff0000"), (15, 10, 25, 20)),
        (Line(((10, 10), (30, 10)), "#ff0000", 4), (10, 8, 30, 12)),
        (Line(((10, 5), (10, 25), (30, 25)), "#ff0000", 2), (9, 5, 30, 26)),
        (Panel(3, 4, (Box(5, 6, 10, 4, "#ff0000"),)), (8, 10, 18, 14)),
        (Panel(1, 1, (Panel(2, 3, (Box(5, 6, 10, 4, "#ff0000"),)),)), (8, 10, 18, 14)),
    ],
)
def test_marks_are_where_they_are_said_to_be(mark, expected):
    assert box_of(pixels(mark)) == pytest.approx(expected, abs=1)


def test_an_outline_is_around_what_it_fills():
    image = pixels(Box(10, 10, 10, 10, "#0000ff", "#ff0000"))
    assert box_of(image, BLUE) == pytest.approx((10.75, 10.75, 19.25, 19.25), abs=0.5)
    assert box_of(image, RED) == pytest.approx((9.25, 9.25, 20.75, 20.75), abs=0.5)


def test_later_marks_lie_over_earlier_ones():
    image = pixels(Box(0, 0, 40, 30, "#ff0000"), Box(10, 10, 10, 10, "#0000ff"))
    assert tuple(image[15 * DENSITY, 15 * DENSITY]) == BLUE
    assert tuple(image[2 * DENSITY, 2 * DENSITY]) == RED


@pytest.mark.parametrize(("anchor", "left", "right"), [("start", 20, 40), ("end", 0, 20)])
def test_words_begin_or_end_at_their_place(anchor, left, right):
    ink = box_of(pixels(Words(20, 20, "abc", 9, anchor)))
    assert left - 0.5 <= ink[0] < ink[2] <= right + 0.5
    assert ink[3] == pytest.approx(20, abs=1)  # none of the letters reaches below the line
    assert min(abs(ink[0] - 20), abs(ink[2] - 20)) < 2


def test_words_can_be_in_the_middle_and_turned():
    level = box_of(pixels(Words(20, 15, "mmm", 9, "middle")))
    assert (level[0] + level[2]) / 2 == pytest.approx(20, abs=1)
    turned = box_of(pixels(Words(20, 15, "mmm", 9, "middle", turned=True)))
    assert (turned[1] + turned[3]) / 2 == pytest.approx(15, abs=1)
    assert turned[2] == pytest.approx(20, abs=1)  # the foot of the letters is on the right
    width, height = level[2] - level[0], level[3] - level[1]
    assert (turned[3] - turned[1], turned[2] - turned[0]) == pytest.approx((width, height), abs=1)


def test_svg_has_the_same_places_and_escapes_names():
    marks = (
        Box(5, 6, 10, 4, "#ff0000", "#0000ff"),
        Panel(3, 4, (Dot(20, 15, 5, "#ff0000"), Line(((1, 2), (3, 4)), "#000000"))),
        Words(1, 2, "<b> & c", turned=True),
    )
    root = ElementTree.fromstring(Picture(40, 30, "a < b", marks).svg())
    assert root.get("viewBox") == "0 0 40 30"
    assert root.find(f"{SVG}title").text == "a < b"
    box = root.findall(f"{SVG}rect")[1]
    assert [box.get(k) for k in ("x", "y", "width", "height")] == ["5", "6", "10", "4"]
    (panel,) = root.findall(f"{SVG}g")
    assert panel.get("transform") == "translate(3 4)"
    assert panel.find(f"{SVG}circle").get("cx") == "20"
    assert panel.find(f"{SVG}polyline").get("points") == "1,2 3,4"
    words = root.find(f"{SVG}text")
    assert words.text == "<b> & c"
    assert words.get("transform") == "rotate(-90 1 2)"


def test_the_ending_says_the_format(tmp_path):
    picture = Picture(40, 30, "", (Dot(20, 15, 5, "#ff0000"),))
    for suffix, start in zip(SUFFIXES, (b"<svg ", b"\x89PNG"), strict=True):
        path = tmp_path / "new" / f"a{suffix}"
        picture.write(path)
        assert path.read_bytes().startswith(start)
    with pytest.raises(ValueError, match=r"ends in \.svg or \.png"):
        picture.write(tmp_path / "a.pdf")
