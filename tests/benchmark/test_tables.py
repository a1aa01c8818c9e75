"""CSV that a spreadsheet shows: text is text, numbers are numbers, names come back."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.boards.board import Board
from benchmark.boards.compare import render
from benchmark.tables import FORMULA, csv_text, quoted, unquoted, with_names
from benchmark.tracking.wandb import read_table

ATTACKS = ("=cmd|'/C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1")
TEXTS = st.text(min_size=1) | st.sampled_from([*ATTACKS, "'=a", "''b", "'", "-", "=", "S1"])


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def is_run(cell: str) -> bool:
    """Return whether a spreadsheet takes a cell for more than text and numbers."""
    try:
        float(cell)
    except ValueError:
        return len(cell) > 1 and cell[0] in "=+-@\t\r\n"
    return cell[0] in "\t\r\n"


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_text(name):
    assert is_run(name)
    (head, line) = cells(csv_text(pd.DataFrame({"model": [name], "score": [-0.5]}), "%.4f"))
    assert head == ["model", "score"]
    assert line == ["'" + name.replace("\r", " "), "-0.5000"]


@given(st.lists(TEXTS, min_size=1), st.lists(st.floats(allow_nan=False), min_size=1))
def test_no_cell_is_run_and_every_text_comes_back(texts, numbers):
    table = pd.DataFrame({"name": pd.Series(texts, dtype=object), "again": [*texts]})
    for row in cells(csv_text(table))[1:]:
        assert not any(map(is_run, filter(None, row)))
    plain = [text.replace("\r\n", "\n").replace("\r", " ") for text in texts]
    assert [unquoted(quoted(text)) for text in plain] == plain
    values = pd.DataFrame({"value": numbers, "text": [repr(number) for number in numbers]})
    assert cells(csv_text(values)) == cells(values.to_csv(index=False))


@given(st.lists(TEXTS.filter(lambda text: not {"\0", "\r"} & {*text}), min_size=1))
def test_names_are_read_back_as_they_were(names):
    table = pd.DataFrame({"model": names, "macro_f1": np.linspace(-1, 1, len(names))})
    text = csv_text(table)
    read = with_names(pd.read_csv(io.StringIO(text), dtype={"model": str}, keep_default_na=False))
    assert read["model"].tolist() == names
    np.testing.assert_allclose(read["macro_f1"], table["macro_f1"])


def test_numbers_of_every_kind_are_as_pandas_writes_them():
    table = pd.DataFrame(
        {
            "rank": pd.array([1, None], dtype="Int64"),
            "low": [-0.25, np.nan],
            "flag": [True, False],
            "mixed": [-3, "x"],
            "none": [None, -1.5],
        }
    )
    assert csv_text(table, "%.4f") == table.to_csv(index=False, float_format="%.4f")


def test_a_board_is_read_back(tmp_path):
    name = "=cmd|'/C calc'!A0"
    board = Board("b", (f"left out: S1,{name}: no file\nat all",), pd.DataFrame({"model": [name]}))
    text = board.to_csv()
    lines = text.splitlines()
    assert lines[0] == f"# left out: S1,'{name}: no file at all"
    assert not any(is_run(cell) for row in cells(text) for cell in row)
    head, table = read_table(text)
    assert len(head) == 1
    assert table["model"].tolist() == [name]


def test_what_begins_a_formula():
    assert set(FORMULA) == set("=+-@\t\r\n")
    assert "a" in render([], "csv") or render([], "csv") == "\n"
