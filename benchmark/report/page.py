"""Content to one HTML file: styles, scripts and figures are in it, and it asks nobody for more."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmark.report import curves, figures
from benchmark.report.content import Content, collect
from benchmark.store import Store

HERE = Path(__file__).parent


def render(store: Store, leaderboards: Path) -> str:
    """Return the page of a store; the same results give the same bytes.

    Args:
        store: Store of results.
        leaderboards: Folder with tables that do not follow from it, see benchmark.report.content.

    Raises:
        LeaderboardError: There are no results, or a table that cannot be read.
    """
    return html(collect(store, leaderboards))


def html(content: Content) -> str:
    """Return the page with some content."""
    script = (HERE / "page.js").read_text()
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("page.html").render(
        content=content,
        figures=figures,
        curves=curves,
        grid=figures.lines([0, 0.2, 0.4, 0.6, 0.8, 1]),
        style=Markup((HERE / "page.css").read_text()),
        script=Markup(script),
        script_hash=_digest(script),
        rows=_json(_rows(content)),
    )


def _rows(content: Content) -> dict[str, Any]:
    """Return the content that opens on a click, by board; equal sections stand there once."""
    places: dict[str, int] = {}
    boards = {}
    for board in content.boards:
        rows = {}
        for number, row in board.provenance.items():
            texts = {name: json.dumps(facts) for name, facts in row["sections"].items()}
            sections = {n: places.setdefault(text, len(places)) for n, text in texts.items()}
            rows[number] = {**row, "sections": sections}
        boards[board.name] = {"subjects": board.tested, "rows": rows}
    return {"boards": boards, "sections": [json.loads(text) for text in places]}


def _json(value: object) -> Markup:
    """Return JSON for a script element, in which no closing tag may stand."""
    text = json.dumps(value, sort_keys=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _breakable(text: str) -> Markup:
    """Return a name that may break after the signs that join its parts."""
    escaped = str(escape(text))
    return Markup(re.sub(r"(?<=\w)([-+])(?=\w)", r"\1<wbr>", escaped))


def _digest(script: str) -> str:
    """Return the digest by which the page's policy allows its one script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
