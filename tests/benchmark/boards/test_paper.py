"""Boards for papers: the numbers of the table, read back from the text, and the head as notes."""

import re

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.board import Board
from benchmark.boards.paper import COLUMNS, FORMATS, for_paper

HEAD = ("wesad__stress: macro F1 over score units", "n = 9 subjects, 95% of 3 & more", "data a_b")
ROWS = [
    dict(rank_low=1, rank_high=2, model="cnn", signals="eda+bvp", recipe="lr=0.1", macro_f1=0.71234,
         ci_low=0.6, ci_high=0.8, balanced_accuracy=0.7, balanced_low=0.65, balanced_high=0.75,
         delta_majority=0.3, p_simple=0.0002, complete=True, note=""),
    dict(rank_low=2, rank_high=2, model="random_forest", signals="eda", recipe="published",
         macro_f1=0.5, ci_low=np.nan, ci_high=np.nan, balanced_accuracy=0.5, balanced_low=np.nan,
         balanced_high=np.nan, delta_majority=0.1, p_simple=np.nan, complete=True, note=""),
    dict(rank_low=None, rank_high=None, model="lstm", signals="eda", recipe="published",
         macro_f1=0.4, ci_low=np.nan, ci_high=np.nan, balanced_accuracy=0.5, balanced_low=np.nan,
         balanced_high=np.nan, delta_majority=np.nan, p_simple=np.nan, complete=False, note=""),
    dict(model="stimulus", complete=False, note="not applicable: people share no stimuli"),
]  # fmt: skip


@pytest.fixture
def board() -> Board:
    table = pd.DataFrame(ROWS)
    table[["rank_low", "rank_high"]] = table[["rank_low", "rank_high"]].astype("Int64")
    return Board("wesad__stress", HEAD, table)


EXPECTED = [
    ["1 to 2", "cnn", "eda, bvp", "lr=0.1", "0.712 [0.600, 0.800]", "0.700 [0.650, 0.750]",
     "0.300", "< 0.001"],
    ["2", "random_forest", "eda", "published", "0.500", "0.500", "0.100", "-"],
    ["-", "lstm", "eda", "published", "0.400", "0.500", "-", "-"],
]  # fmt: skip


def test_markdown_holds_the_numbers(board):
    text = for_paper(board, "md")
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert cells[0] == list(COLUMNS)
    assert cells[2:] == EXPECTED


def test_latex_holds_the_numbers(board):
    text = for_paper(board, "latex")
    body = text[text.index(r"\begin{tabular}") : text.index(r"\end{tabular}")]
    plain = body.replace(r"\ensuremath{<}", "<").replace(r"\_", "_")
    cells = [
        [cell.strip() for cell in line.removesuffix(r"\\").split(" & ")]
        for line in plain.splitlines()
        if line.endswith(r"\\")
    ]
    assert cells == [list(COLUMNS), *EXPECTED]
    assert len(re.findall(r"(?<!\\)\{", text)) == len(re.findall(r"(?<!\\)\}", text))
    assert not re.search(r"(?<!\\)[%#_$]", text)
    assert r"95\% of 3 \& more" in text


@pytest.mark.parametrize("form", FORMATS)
def test_the_head_and_what_has_no_number_are_notes(board, form):
    text = for_paper(board, form).replace("\\", "")
    assert text.index(HEAD[0]) < text.index("random_forest") < text.index(HEAD[1])
    for note in (*HEAD[1:], "stimulus: not applicable: people share no stimuli"):
        assert note in text
    assert "lstm is incomplete" in text
    assert "cnn is incomplete" not in text
