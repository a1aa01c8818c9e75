"""Pictures of lines, dots, boxes and words, each written as SVG or as PNG.

Both are drawn from one description. The PNG is drawn by Pillow, which brings its own font: a
renderer of SVG would be one more library, and would take whatever fonts the machine has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

from benchmark.files import write_bytes, write_text

Anchor = Literal["start", "middle", "end"]
Place = tuple[float, float]

SUFFIXES = (".svg", ".png")
"""Endings of the names of files that a picture can be written to."""
DENSITY, FINER = 2, 3
"""Pixels of a PNG to a unit, and times as many at which it is drawn before it is made smaller."""
ANCHORS: dict[Anchor, str] = {"start": "ls", "middle": "ms", "end": "rs"}
"""Names of anchors in Pillow; all of them are on the baseline."""


@dataclass(frozen=True)
class Line:
    """Straight lines from point to point."""

    points: tuple[Place, ...]
    colour: str
    width: float = 1.0


@dataclass(frozen=True)
class Dot:
    """A filled circle around a point."""

    x: float
    y: float
    radius: float
    colour: str


@dataclass(frozen=True)
class Box:
    """A filled rectangle, from its upper left corner; ``edge`` is the colour of its outline."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    edge: str = ""


@dataclass(frozen=True)
class Words:
    """A line of text, at the beginning, middle or end of its baseline; ``turned``: upwards."""

    x: float
    y: float
    text: str
    size: float = 10.0
    anchor: Anchor = "start"
    colour: str = "#000000"
    bold: bool = False
    turned: bool = False


@dataclass(frozen=True)
class Panel:
    """Marks with an origin of their own."""

    x: float
    y: float
    marks: tuple["Mark", ...]


Mark = Line | Dot | Box | Words | Panel
EDGE = 1.5
"""Width of the outline of a box."""


@dataclass(frozen=True)
class Picture:
    """Marks on white, each over those before it.

    Args:
        width: Width in units; one is a pixel of the SVG at its own size.
        height: Height.
        title: Title that a reader aloud says.
        marks: Marks.
    """

    width: float
    height: float
    title: str
    marks: tuple[Mark, ...]

    def svg(self) -> str:
        """Return the picture as SVG."""
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="sans-serif">',
            f"<title>{escape(self.title)}</title>",
            f'<rect width="{self.width}" height="{self.height}" fill="white"/>',
            *(_svg(mark) for mark in self.marks),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def png(self) -> bytes:
        """Return the picture as PNG, ``DENSITY`` pixels a unit."""
        scale = DENSITY * FINER
        size = (round(self.width * scale), round(self.height * scale))
        image = Image.new("RGB", size, "white")
        draw = ImageDraw.Draw(image)
        for mark in self.marks:
            _draw(draw, mark, (0.0, 0.0), scale)
        content = BytesIO()
        image.reduce(FINER).save(content, "PNG", optimize=True)
        return content.getvalue()

    def write(self, path: Path) -> None:
        """Write the picture, in the format that one of ``SUFFIXES`` names, or raise ValueError."""
        if path.suffix == ".svg":
            write_text(path, self.svg())
        elif path.suffix == ".png":
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, self.png())
        else:
            raise ValueError(f"expected a name that ends in {' or '.join(SUFFIXES)}, found {path}")


def _svg(mark: Mark) -> str:
    match mark:
        case Line(points, colour, width):
            places = " ".join(f"{x:.6g},{y:.6g}" for x, y in points)
            return (
                f'<polyline points="{places}" fill="none" stroke="{colour}" '
                f'stroke-width="{width:g}"/>'
            )
        case Dot(x, y, radius, colour):
            return f'<circle cx="{x:.6g}" cy="{y:.6g}" r="{radius:g}" fill="{colour}"/>'
        case Box(x, y, width, height, colour, edge):
            outline = f' stroke="{edge}" stroke-width="{EDGE}"' if edge else ""
            return (
                f'<rect x="{x:.6g}" y="{y:.6g}" width="{width:.6g}" height="{height:.6g}" '
                f'fill="{colour}"{outline}/>'
            )
        case Words():
            return _svg_words(mark)
        case Panel(x, y, marks):
            inside = "\n".join(_svg(one) for one in marks)
            return f'<g transform="translate({x:.6g} {y:.6g})">\n{inside}\n</g>'


def _svg_words(words: Words) -> str:
    place = f'x="{words.x:.6g}" y="{words.y:.6g}"'
    turned = f' transform="rotate(-90 {words.x:.6g} {words.y:.6g})"' if words.turned else ""
    bold = ' font-weight="bold"' if words.bold else ""
    return (
        f'<text {place} font-size="{words.size:g}" text-anchor="{words.anchor}" '
        f'fill="{words.colour}"{bold}{turned}>{escape(words.text)}</text>'
    )


def _draw(draw: ImageDraw.ImageDraw, mark: Mark, origin: Place, scale: int) -> None:
    """Draw a mark with Pillow, whose pixels are ``scale`` to a unit."""

    def at(x: float, y: float) -> Place:
        return (origin[0] + x) * scale, (origin[1] + y) * scale

    match mark:
        case Line(points, colour, width):
            draw.line([at(*p) for p in points], colour, max(1, round(width * scale)), "curve")
        case Dot(x, y, radius, colour):
            draw.ellipse((*at(x - radius, y - radius), *at(x + radius, y + radius)), colour)
        case Box(x, y, width, height, colour, edge):
            out = EDGE / 2 if edge else 0.0  # an outline lies on both sides of its edge
            corners = (*at(x - out, y - out), *at(x + width + out, y + height + out))
            draw.rectangle(corners, colour, edge or None, round(EDGE * scale) if edge else 1)
        case Words():
            _draw_words(draw, mark, at(mark.x, mark.y), scale)
        case Panel(x, y, marks):
            for one in marks:
                _draw(draw, one, (origin[0] + x, origin[1] + y), scale)


def _draw_words(draw: ImageDraw.ImageDraw, words: Words, place: Place, scale: int) -> None:
    font = ImageFont.load_default(words.size * scale)
    bold = round(words.size * scale / 60) if words.bold else 0
    anchor = ANCHORS[words.anchor]
    if not words.turned:
        draw.text(place, words.text, words.colour, font, anchor, stroke_width=bold)
        return
    left, top, right, bottom = (round(end) for end in font.getbbox(words.text, anchor=anchor))
    level = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(level).text((-left, -top), words.text, 255, font, anchor, stroke_width=bold)
    corner = round(place[0]) + top, round(place[1]) - right
    draw.bitmap(corner, level.transpose(Image.Transpose.ROTATE_90), words.colour)


def axis(
    values: Sequence[float], x: Sequence[float], top: float, bottom: float, colour: str
) -> list[Mark]:
    """Return upright lines and numbers of an axis below a plot."""
    return [
        mark
        for value, place in zip(values, x, strict=True)
        for mark in (
            Line(((place, top), (place, bottom)), colour),
            Words(place, bottom + 13, f"{value:g}", anchor="middle"),
        )
    ]
