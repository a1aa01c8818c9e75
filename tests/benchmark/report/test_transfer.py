"""The transfer matrix on the page: every cell has its line, in the place of its domains."""

import re

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.transfer import COLUMNS, COUNTS
from benchmark.report.transfer import Heat, transfer_page

WITHIN, ACROSS, ALARMS = (
    {
        "trained_on": "lab", "tested_on": "lab", "macro_f1": 0.6, "macro_f1_low": 0.55,
        "macro_f1_high": 0.65,
    },
    {
        "trained_on": "lab", "tested_on": "field", "macro_f1": 0.3, "macro_f1_low": 0.2,
        "macro_f1_high": 0.4, "within": 0.5, "difference": -0.2, "difference_low": -0.3,
        "difference_high": -0.1, "p": 0.01, "p_corrected": 0.02,
    },
    {
        "trained_on": "lab", "tested_on": "bicycle exercise", "false_alarms": 0.774,
        "false_alarms_low": 0.7, "false_alarms_high": 0.8,
    },
)  # fmt: skip


def table(*lines):
    common = {"task": "stress", "model": "lda", "signals": "eda", "recipe": "fast"}
    counts = dict.fromkeys(COUNTS, 0) | {"n_people": 12}
    rows = [{**dict.fromkeys(COLUMNS, np.nan), **common, **counts, **line} for line in lines]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_nothing_is_shown_where_nothing_was_transferred():
    assert transfer_page(table().iloc[:0]) is None


def test_cells_stand_where_their_domains_are():
    other = {**ACROSS, "trained_on": "field", "tested_on": "lab", "macro_f1": 0.9}
    (heat_map,) = transfer_page(table(WITHIN, ACROSS, ALARMS, other)).maps
    assert heat_map.tested == ("field", "lab", "bicycle exercise")
    rows = dict(heat_map.rows)
    assert [heat.shown for heat in rows["lab"]] == ["0.30", "0.60", "77%"]
    assert [heat.kind for heat in rows["lab"]] == ["", "within", "alarms"]
    assert [heat.share for heat in rows["lab"]] == [0.0, pytest.approx(0.5), 0.77]
    assert rows["field"] == (Heat(), Heat("0.90", 1.0, rows["field"][1].said), Heat())
    said = rows["lab"][0].said
    assert "macro F1 0.300 (0.200 to 0.400), 12 people" in said
    assert "trained there 0.500, difference \N{MINUS SIGN}0.200" in said
    assert "false alarms 0.774 (0.700 to 0.800)" in rows["lab"][2].said


def test_an_incomplete_cell_says_so():
    lacking = {**ACROSS, "n_missing": 2}
    page = transfer_page(table(WITHIN, lacking))
    assert "incomplete, lacks 2 runs" in dict(page.maps[0].rows)["lab"][1].said
    assert "incomplete" in page.table.lines[1][0].detail


def test_a_map_for_each_model_and_recipe():
    other = {**WITHIN, "model": "cnn"}
    slow = {**WITHIN, "recipe": "published"}
    page = transfer_page(table(WITHIN, ACROSS, other, slow))
    assert [one.model for one in page.maps] == ["lda", "cnn", "lda"]
    assert len(page.table.lines) == 4
    assert {len(line) for line in page.table.lines} == {len(page.table.columns)}


def test_a_page_without_transfer_has_no_tab_of_it(page):
    assert not re.search(r"id=.transfer", page.read_text())
