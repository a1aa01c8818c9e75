"""Tables that are shown as they are; of papers, what the page can use."""

import csv

import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.boards.cohort import LeaderboardError
from benchmark.report.content import collect
from benchmark.report.extras import MANY, extras
from benchmark.report.page import render
from benchmark.report.tables import Cell


def test_other_tables_are_there_with_their_heads(leaderboards, tmp_path, store):
    audit, selftest = collect(store, leaderboards).extras
    assert (audit.title, audit.head) == ("Leak audit", ("what a flaw adds",))
    (part,) = audit.parts
    assert [line[2].value for line in part.table.lines] == [0.0625, None, -0.5]
    (part,) = selftest.parts
    assert part.table.lines[1] == (Cell("passed", "passed"), Cell("true", "true"))
    assert collect(store, tmp_path).extras == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("leak_audit.csv", "a,b\n1,2,3\n"),
        ("leak_audit.csv", ""),
        ("published.csv", "dataset,model\nwesad,cnn\n"),
        ("selftest.json", "{"),
        ("selftest.json", "[1]"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(store, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(LeaderboardError, match=name):
        render(store, tmp_path)


LOST = """# robustness: how to read it
board,corruption,model,recipe,signals,undisturbed,drop,p_holm
one,missing_eda,lda,published,eda,0.6,0.25,0.01
one,missing_eda,cnn,fast,eda,0.5,,
one,eda_detached,lda,published,eda,0.6,-0.101,0.9
two,eda_detached,lda,published,eda,0.7,0.3,0.2
"""


def test_what_models_lose_is_shown_board_by_board(tmp_path):
    (tmp_path / "robustness.csv").write_text(LOST)
    (robustness,) = extras(tmp_path, ())
    assert (robustness.title, robustness.head) == ("Robustness", ("robustness: how to read it",))
    assert [(part.title, part.folded) for part in robustness.parts] == [
        ("one", False),
        ("one: 3 lines", True),
        ("two", False),
        ("two: 1 lines", True),
    ]
    lost, lines = robustness.parts[0].table, robustness.parts[1].table
    names = ["model", "recipe", "signals", "undisturbed", "missing_eda", "eda_detached"]
    assert [column.title for column in lost.columns] == names
    assert [[cell.text for cell in line] for line in lost.lines] == [
        ["lda", "published", "eda", "0.60", "+0.25*", "-0.10"],
        ["cnn", "fast", "eda", "0.50", "", ""],
    ]
    assert lost.lines[0][4].value == 0.25  # sorts as a number
    assert [c.title for c in lines.columns if not c.more][:3] == ["model", "corruption", "drop"]


@pytest.fixture(scope="module")
def written(store, tmp_path_factory):
    """Folder with the real values of papers."""
    folder = tmp_path_factory.mktemp("published")
    write_leaderboards(store, folder)
    return folder


def rows(folder, *pair):
    with (folder / "published.csv").open(newline="") as file:
        return [r for r in csv.DictReader(file) if (r["dataset"], r["task"]) == pair]


def test_papers_are_those_of_the_datasets_and_tasks_of_the_page(store, written):
    (published,) = collect(store, written).extras
    pairs = [("wesad", "affect"), ("wesad", "stress")]
    assert len(published.parts) == 2
    for part, pair in zip(published.parts, pairs, strict=True):
        expected = rows(written, *pair)
        assert len(part.table.lines) == len(expected) > 0
        assert part.title.startswith(f"{' · '.join(pair)}: {len(expected)} rows")
        names = [column.title for column in part.table.columns]
        for line, row in zip(part.table.lines, expected, strict=True):
            assert {n: cell.text for n, cell in zip(names, line, strict=True)} == row
        shown = {column.title for column in part.table.columns if not column.more}
        assert {"model", "value", "comparable", "source"} <= shown
        assert "protocol_note" not in shown


def test_many_values_are_folded(written):
    few, many = {("wesad", "affect")}, {("deap", "valence"), ("deap", "arousal")}
    assert 0 < len(rows(written, "wesad", "affect")) <= MANY
    assert len(rows(written, "deap", "valence")) + len(rows(written, "deap", "arousal")) > MANY
    assert not extras(written, few)[0].folded
    assert extras(written, many)[0].folded
    (nothing,) = extras(written, {("mine", "stress")})
    assert (nothing.parts, nothing.folded) == ((), False)
