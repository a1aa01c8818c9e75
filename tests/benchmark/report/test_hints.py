"""Explanations of columns: every column of the page that has a name has one."""

import re

from benchmark.boards import leak_audit, personalisation, published, robustness
from benchmark.boards.board import write_leaderboards
from benchmark.boards.columns import board_columns
from benchmark.report import hints
from benchmark.report.lines import HIDDEN, OWN, column
from benchmark.report.page import render


def test_every_column_of_a_board_is_explained():
    names = {column.name for column in board_columns()} - {*HIDDEN, *OWN}
    assert [name for name in names if not column(name).hint] == []


def test_every_column_of_the_other_tables_is_explained():
    assert tuple(hints.LEAK_AUDIT) == leak_audit.COLUMNS
    assert tuple(hints.ROBUSTNESS) == robustness.COLUMNS
    assert set(hints.PUBLISHED) == set(published.COLUMNS)
    assert tuple(hints.PERSONALISATION) == personalisation.COLUMNS
    tables = hints.LEAK_AUDIT, hints.ROBUSTNESS, hints.PUBLISHED, hints.PERSONALISATION
    assert all(explained for table in tables for explained in table.values())


def test_the_page_shows_explanations(store, tmp_path):
    write_leaderboards(store, tmp_path)
    page = render(store, tmp_path)
    buttons = re.findall(r'<th scope="col"[^>]*><button type="button"([^>]*)>([^<]*)', page)
    assert len(buttons) > 50
    assert [title for attributes, title in buttons if "title=" not in attributes] == []
