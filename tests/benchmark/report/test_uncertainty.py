"""The section of uncertainty: the people of uncertainty.csv, and its values."""

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.boards.scores import scored_results
from benchmark.boards.uncertainty import uncertainties
from benchmark.report.content import collect
from benchmark.report.page import html
from benchmark.report.uncertainty import COLUMNS, uncertainty_page
from tests.benchmark.made_up import cohorts_of


def test_dots_are_people_and_numbers_those_of_the_table(finished, tmp_path):
    write_leaderboards(finished, tmp_path)
    lines = pd.read_csv(tmp_path / "uncertainty.csv", comment="#").to_dict("records")
    content = collect(finished, tmp_path)
    (board,) = content.boards
    page = board.uncertainty
    assert len(page.table.lines) == len(lines) == len(board.lines)
    names = list(COLUMNS)
    for place, line in enumerate(lines):
        assert board.lines[place].name == line["model"] == page.table.lines[place][0].text
        cells = dict(zip(names, page.table.lines[place][1:], strict=True))
        for name in ("temperature", "log_loss_calibrated", "coverage", "set_size", "below_nominal"):
            assert cells[name].value == pytest.approx(line[name], abs=6e-5), name
        assert len(page.strips[place].values) == line["n_subjects"] == 4
        assert np.mean(page.strips[place].values) == pytest.approx(line["coverage"], abs=6e-5)
    text = html(content)
    assert text.count("<h3>Uncertainty</h3>") == 1
    assert "not promised" in text


def test_rows_without_any_say_why_and_a_board_without_any_has_no_section(finished):
    (cohort,) = cohorts_of(scored_results(finished))
    (rows,) = uncertainties([cohort], finished).values()
    bare = [type(one)(one.row, note="for a reason") for one in rows]
    assert uncertainty_page(bare) is None
    page = uncertainty_page([rows[0], *bare[1:]])
    assert [list(page.strips), page.table.lines[1][-1].text] == [[0], "for a reason"]
    assert {cell.value for cell in page.table.lines[1][1:-1]} == {None}
