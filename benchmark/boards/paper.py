"""Boards for papers, as Markdown or LaTeX: the columns that count, and the head as notes below."""

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import pandas as pd

from benchmark.boards.board import Board
from benchmark.boards.statistics import p_text

Format = Literal["md", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)
NOTHING = "-"
"""Where a row has no number."""
SPECIAL = {
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
}
"""Letters that mean something to LaTeX."""

_Line = Mapping[Hashable, Any]


def _ranks(line: _Line) -> str:
    low, high = line["rank_low"], line["rank_high"]
    if pd.isna(low):
        return NOTHING
    return f"{low}" if low == high else f"{low} to {high}"


def _between(name: str, low: str, high: str) -> Callable[[_Line], str]:
    def shown(line: _Line) -> str:
        number = _number(line[name])
        if pd.isna(line[low]):
            return number
        return f"{number} [{_number(line[low])}, {_number(line[high])}]"

    return shown


def _number(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:.3f}"


COLUMNS: dict[str, Callable[[_Line], str]] = {
    "rank": _ranks,
    "model": lambda line: str(line["model"]),
    "signals": lambda line: str(line["signals"]).replace("+", ", "),
    "recipe": lambda line: str(line["recipe"]),
    "macro F1": _between("macro_f1", "ci_low", "ci_high"),
    "balanced accuracy": _between("balanced_accuracy", "balanced_low", "balanced_high"),
    "over majority": lambda line: _number(line["delta_majority"]),
    "p, simple": lambda line: p_text(float("nan" if pd.isna(p := line["p_simple"]) else p)),
}
"""Cell of a line by title, in order; texts stand in the second to the fourth."""
TEXTS = ("model", "signals", "recipe")


def for_paper(board: Board, form: Format) -> str:
    """Return a board as text for a paper.

    Rows of models that do not apply are notes, and so are failed runs and the lines of the head but
    for the first, which is the title.

    Args:
        board: The board.
        form: Markdown or LaTeX.
    """
    lines = [line for line in board.table.to_dict("records") if not pd.isna(line["macro_f1"])]
    rows = [[cell(line) for cell in COLUMNS.values()] for line in lines]
    title, *notes = board.head
    notes += [
        f"{line['model']}: {line['note'] or 'no run is done'}"
        for line in board.table.to_dict("records")
        if pd.isna(line["macro_f1"])
    ]
    notes += [f"{line['model']} is incomplete" for line in lines if not line["complete"]]
    return (_markdown if form == "md" else _latex)(title, rows, notes)


def _markdown(title: str, rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    rule = [":---" if name in TEXTS else "---:" for name in COLUMNS]
    table = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
        for row in (list(COLUMNS), rule, *rows)
    ]
    return "\n".join((f"**{title}**", "", *table, "", *(f"* {note}" for note in notes), ""))


def _latex(title: str, rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    letters = "".join("l" if name in TEXTS else "r" for name in COLUMNS)
    lines = [rf"{' & '.join(map(_escaped, row))} \\" for row in rows]
    return "\n".join(
        (
            r"\begin{table}",
            rf"\caption{{{_escaped(title)}}}",
            rf"\begin{{tabular}}{{{letters}}}",
            r"\hline",
            rf"{' & '.join(map(_escaped, COLUMNS))} \\",
            r"\hline",
            *lines,
            r"\hline",
            r"\end{tabular}",
            *(rf"\par {{\footnotesize {_escaped(note)}}}" for note in notes),
            r"\end{table}",
            "",
        )
    )


def _escaped(text: str) -> str:
    return re.sub(r"[&%$#_{}~^\\<>]", lambda letter: SPECIAL[letter.group()], text)
