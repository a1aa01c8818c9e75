"""What the page says, against plain loops over the results; and that it cannot be made to act."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.boards.board import write_leaderboards
from benchmark.boards.cohort import LeaderboardError
from benchmark.boards.scores import scored_results
from benchmark.report.content import collect
from benchmark.report.figures import WIDE, cliques, rank_sets, scatter, strip
from benchmark.report.page import render
from benchmark.report.tables import Cell, between, number, p_value
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from datamodules.protocol import Protocol
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import boards_of, stored
from tests.benchmark.report.conftest import SUBJECTS, asked, done, taught

DATASETS = ("wesad", "deap", "amigos", "pmemo", "seed_v")
THREE = SUBJECTS[:3]


class Reader(HTMLParser):
    """Tags with their attributes, text of the first board's table, and of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.scripts, self.rows, self.text = [], [], [], []
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts.append(data)
        elif self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
        self.text.append(data)


@pytest.fixture(scope="module")
def read(page):
    return Reader(page.read_text())


@pytest.fixture(scope="module")
def content(store, leaderboards):
    return collect(store, leaderboards)


@pytest.fixture(scope="module")
def stress(content):
    return next(board for board in content.boards if board.title == "wesad · stress")


def scores(store, task="stress", **fields):
    """Macro F1 of the subjects of a row, in order, by a plain loop."""
    found = {}
    for result in scored_results(store):
        run = result.run
        if run.task == task and all(getattr(run, k) == v for k, v in fields.items()):
            found |= {subject: values["macro_f1"] for subject, values in result.scores.items()}
    return [found[subject] for subject in sorted(found)]


def cell(board, name, title):
    place = [column.title for column in board.columns].index(title)
    return next(line for line in board.lines if line.name == name).cells[place]


def test_table_has_means_and_students_intervals(store, stress, read):
    for model in ("cnn", "lda", "majority"):
        values = scores(store, model=model, distiller="")
        low, high = stats.t.interval(0.95, 11, np.mean(values), stats.sem(values))
        found = cell(stress, model, "macro F1")
        assert found.value == pytest.approx(np.mean(values))
        assert found.text == f"{np.mean(values):.3f}"
        assert found.detail == f"{low:.3f} to {high:.3f}"
        assert any(found.text in c and found.detail in c for row in read.rows for c in row)


def test_dots_are_the_subjects(store, stress):
    values = scores(store, model="cnn", distiller="")
    line = next(line for line in stress.lines if line.name == "cnn")
    places = [float(dot.partition(" ")[0]) for dot in line.subjects.dots.split("M")[1:]]
    assert places == pytest.approx(sorted(1000 * v for v in values), abs=0.5)
    assert stress.provenance[str(stress.lines.index(line))]["scores"] == pytest.approx(
        values, abs=1e-4
    )


def test_dots_that_lie_together_are_apart():
    dots = strip([0.5] * 5 + [0.9], 0.5, 0.4, 0.6, said="").dots.split("M")[1:]
    assert len(set(dots)) == 6


def test_strips_are_cut_off_at_their_ends():
    drawn = strip([], 0.1, -3.0, 7.0, said="", ends=(-0.2, 0.2))
    assert drawn.bar.startswith("M0.0 ")
    assert drawn.bar.endswith(f"H{WIDE:.1f}")
    assert drawn.mean.startswith("M750.0 ")


def test_confusion_is_normalised_a_row(store, stress):
    line = next(line for line in stress.lines if line.name == "lda")
    total = np.zeros((2, 2))
    for result in scored_results(store):
        if result.run.model == "lda" and result.run.task == "stress":
            for matrix in result.confusion.values():
                total += matrix
    assert np.array_equal(line.confusion.counts, total)
    assert np.allclose(line.confusion.shares, [row / row.sum() for row in total])
    assert stress.classes == ("calm", "stress")


def test_says_who_ties(stress, content):
    tied = [line.name for line in stress.lines if line.ranks and line.ranks[0] == 1]
    assert "cnn-by_soft_targets-of_lstm" in tied
    assert "majority" not in tied
    assert len(tied) > 1 or tied[0] in stress.verdict[0]
    assert len(tied) == 1 or stress.verdict[0].endswith(f"{', '.join(tied)}.")
    (overview,) = [o for o in content.overview.lines if o[0].text == stress.name]
    ranked = [line for line in stress.lines if line.ranks]
    assert overview[1].text == f"{len(tied)} of {len(ranked)}"


def test_bars_hold_the_ranks_of_the_csv(stress, store):
    (table,) = [board.table for board in boards_of(store) if board.name == stress.name]
    n = int(table["rank_low"].notna().sum())
    drawn = {}
    for place_of_row, bar in stress.rank_sets.strips.items():
        start, end = bar.bar.removeprefix("M").split(" 15H")
        drawn[place_of_row] = [float(place) / WIDE * n + 0.5 for place in (start, end)]
    assert set(drawn) == {i for i, line in enumerate(stress.lines) if line.ranks}
    for place_of_row, (start, end) in drawn.items():
        low, high = table.loc[place_of_row, ["rank_low", "rank_high"]]
        assert low - 0.5 < start < low < high + 0.3 < end + 0.05
        assert end < high + 0.5
    assert any("ranks" in bar.said for bar in stress.rank_sets.strips.values())
    assert stress.rank_sets.ticks[0] == (round(50 / n, 2), 1)
    assert rank_sets({0: (1, 1)}) is None
    single = rank_sets({0: (1, 1), 1: (2, 2)}).strips
    assert [bar.said for bar in single.values()] == ["rank 1", "rank 2"]


def test_people_with_one_class_are_said_and_ranked_together(tmp_path):
    """The first of the people has units of the class calm alone."""
    results, counts = [], {}
    for model, right in (("cnn", 8), ("lda", 7), ("random_forest", 6), ("majority", 5)):
        for fold, subject in enumerate(SUBJECTS):
            matrix = [[right, 10 - right], [0, 0] if fold == 0 else [10 - right, right]]
            counts[model] = counts.get(model, 0) + np.array(matrix)
            scores = {"confusion": {subject: matrix}, "units": {subject: subject}}
            results.append(done(asked(model, fold), right / 10 - 0.05, **scores))
    content = collect(stored(tmp_path, results), tmp_path)
    (board,) = content.boards
    assert any(warning.startswith("1 of 12 subjects") for warning in board.warnings)
    assert board.ranked_by == "pooled F1"
    assert not next(column for column in board.columns if column.title == "pooled F1").more
    pooled = {
        model: np.mean(2 * np.diag(c) / (c.sum(axis=0) + c.sum(axis=1)))
        for model, c in counts.items()
    }
    best, simple, majority = board.overview[1:4]
    assert best.value == pytest.approx(pooled["cnn"])
    assert simple.value == pytest.approx(pooled["lda"])
    assert majority.value == pytest.approx(pooled["majority"])


def test_chance_is_that_of_the_head(stress):
    (said,) = [line for line in stress.head if line.startswith("chance, simulated")]
    in_head = [float(found) for found in re.findall(r"0\.\d+", said)[:2]]
    on_page = [float(value) for name, value in stress.facts if name.startswith("chance")]
    assert on_page == pytest.approx(in_head, abs=6e-4)


def test_incomplete_and_absent_rows_are_last_and_say_why(stress, evil):
    assert [line.name for line in stress.lines][-2:] == ["dnn", "rtcan_1d"]
    dnn, rtcan = stress.lines[-2:]
    assert dnn.ranks is None
    assert rtcan.ranks is None
    assert "lacks 6 of 12 scores" in dnn.note
    assert rtcan.kind == "absent"
    assert "no music" in rtcan.note
    assert any("1 row(s) lack scores" in warning for warning in stress.warnings)


def test_a_probe_that_should_lose_and_does_not_is_pointed_out(tmp_path, content):
    assert not any("NOT TOLD" in w for board in content.boards for w in board.warnings)
    chosen = [
        done(asked(model, fold), score)
        for model, score in (("time", 0.8), ("lda", 0.6))
        for fold in range(len(SUBJECTS))
    ]
    copy = stored(tmp_path, chosen)
    (board,) = collect(copy, tmp_path).boards
    assert any(
        "time (random forest on the seconds since the start)" in warning
        for warning in board.warnings
    )
    assert [(row.line.name, bool(row.mark)) for row in board.best] == [
        ("time", True),
        ("lda", False),
    ]
    assert "no row is better" in board.best[0].mark


def test_the_first_tab_has_the_best_five_rows_and_the_probes_that_no_row_beats(tmp_path):
    """Seven ranked rows, ``time`` above them all, ``motion`` beside the second, ``prior`` last."""
    means = {"cnn": 0.7, "lda": 0.68, "random_forest": 0.66, "lstm": 0.64, "dnn": 0.62}
    means |= {"rtcan_1d": 0.6, "cnn_lstm": 0.58, "time": 0.9, "motion": 0.69, "prior": 0.3}
    noise = np.random.default_rng(0).normal(0, 0.05, (len(means), len(SUBJECTS)))
    expected = {
        model: mean + of_model for (model, mean), of_model in zip(means.items(), noise, strict=True)
    }
    results = [
        done(asked(model, fold), score)
        for model, of_model in expected.items()
        for fold, score in enumerate(of_model)
    ]
    (board,) = collect(stored(tmp_path / "runs", results), tmp_path).boards
    order = sorted(expected, key=lambda model: -np.mean(expected[model]))
    ranked = [model for model in order if model not in ("time", "motion", "prior")]
    shown = [*ranked[:5], "time", "motion"]
    assert [row.line.name for row in board.best] == [m for m in order if m in shown]
    for row in board.best:
        of_model = expected[row.line.name]
        low, high = stats.t.interval(0.95, 11, np.mean(of_model), stats.sem(of_model))
        assert row.score.value == pytest.approx(np.mean(of_model))
        assert row.score.detail == f"{low:.3f} to {high:.3f}"
        start, end = row.drawn.bar.removeprefix("M").split(" 15H")
        assert [float(start) / WIDE, float(end) / WIDE] == pytest.approx([low, high], abs=1e-3)
        assert bool(row.mark) == (row.line.ranks is None)
    marks = {row.line.name: row.mark for row in board.best if row.mark}
    assert "no row is better" in marks["time"]
    best = expected[ranked[0]]
    signs = np.array(list(product((1, -1), repeat=12)))
    flipped = np.abs(signs @ (best - expected["motion"]) / 12)
    p = np.mean(flipped >= abs(np.mean(best - expected["motion"])) - 1e-12)
    assert f"(p {p:.2g})" in marks["motion"]


def test_gains_are_paired_and_controls_apart(store, content):
    (gains,) = content.gains
    alone = scores(store, model="cnn", distiller="")
    by_teacher = scores(store, model="cnn", distiller="soft_targets")
    differences = np.subtract(by_teacher, alone)
    low, high = stats.t.interval(0.95, 11, differences.mean(), stats.sem(differences))
    shown = gains.table.lines[0][3]
    assert shown == between(differences.mean(), low, high, "+.3f")
    assert f"{shown.text} ({shown.detail})" in gains.verdict
    assert "1 gain and 0 lose" in gains.verdict
    assert gains.controls == {1}
    assert "control" in gains.table.lines[1][1].text


def test_no_sentence_is_of_a_row_that_is_half_done(tmp_path):
    """A student that gains on everybody so far, and a network that is better than all so far."""
    results = []
    for fold in range(len(SUBJECTS)):
        for model, score in (("lda", 0.5), ("random_forest", 0.52), ("time", 0.3), ("cnn", 0.6)):
            results.append(done(asked(model, fold), score + fold / 100))
        if fold < 8:
            run = taught(asked("cnn", fold), "soft_targets", asked("lstm", fold))
            results.append(done(run, 0.9 + fold / 1000))
            results.append(done(asked("lstm", fold), 0.95))
        control = taught(asked("cnn", fold), "label_smoothing", None)
        results.append(done(control, 0.61 + fold / 100))
    content = collect(stored(tmp_path, results), tmp_path)
    (board,), (gains,) = content.boards, content.gains
    half = {line.name: line for line in board.lines if not line.complete}
    assert set(half) == {"lstm", "cnn-by_soft_targets-of_lstm"}
    for name, line in half.items():
        assert line.ranks is None
        assert "lacks 4 of 12 scores" in line.note
        for title in ("rank", "over simple", "p, simple"):
            assert cell(board, name, title).value is None
        cells = [c.text for c in (*board.overview, *(c for row in board.paired.lines for c in row))]
        marks = [mark.point.name for *_, plot in board.costs for mark in plot.marks]
        said = [*board.verdict, *board.warnings, *cells, *marks]
        assert not any(name in words for words in said)
        assert not any(name in c.text for row in content.ranks.lines for c in row)
    assert "Incomplete, so that nothing is claimed of them: 1." in gains.verdict
    assert "soft_targets" not in gains.verdict
    assert "gain and" not in gains.verdict
    (line,) = [line for line in gains.table.lines if line[0].detail.endswith("incomplete")]
    titles = [column.title for column in gains.table.columns]
    drawn = line[2].strip
    assert drawn.bar
    assert drawn.kind == ""
    assert line[titles.index("missing")].value == 4
    for title in ("p", "p (Holm)"):
        assert line[titles.index(title)].value is None


def test_provenance_says_under_which_protocol(stress):
    number = next(i for i, line in enumerate(stress.lines) if line.name.endswith("of_lstm"))
    sections = {k: dict(v) for k, v in stress.provenance[str(number)]["sections"].items()}
    assert sections["Protocol"]["split"].startswith("leave one subject out")
    assert sections["Protocol"]["threshold"] == "midpoint, where a task cuts ratings"
    assert sections["Protocol"]["labels from"] == "the publisher's own conditions"
    assert sections["Model"]["max_epochs"] == "20"
    assert sections["Taught by"]["teacher"] == "lstm"
    assert sections["Data"]["prepared recordings"] == "d" * 16
    assert sections["Data"]["raw files"] == "r" * 16
    assert sections["Computed"]["commit"] == "0123456789"
    assert "torch 2.13.0" in sections["Computed"]["versions"]
    assert sections["Computed"]["device"] == "cpu (x86_64)"


def test_failures_of_one_kind_are_one(content, evil):
    (failure,) = content.failures
    assert failure["error"] == f"RuntimeError: fold 0 of {evil}"
    assert [run[:2] for run in failure["runs"]] == [(0, 0), (1, 0)]


def test_scores_of_each_class_are_those_of_the_csv(stress, store, tmp_path):
    write_leaderboards(store, tmp_path)
    lines = pd.read_csv(tmp_path / "classes.csv")
    lines = lines[lines["board"] == stress.name].set_index(["model", "class"])
    table = stress.by_class.table
    assert [line[0].text for line in table.lines] == lines.index.get_level_values(0)[::2].tolist()
    for name, key in (("F1", "f1"), ("precision", "precision"), ("pooled recall", "pooled_recall")):
        for of_class in stress.classes:
            place = [column.title for column in table.columns].index(f"{of_class} {name}")
            assert table.columns[place].more == ("pooled" in name)
            values = [line[place].value for line in table.lines]
            expected = lines.xs(of_class, level="class")[key]
            assert values == pytest.approx(expected.tolist(), abs=1e-4)
    (dnn,) = [line for line in table.lines if line[0].text == "dnn"]
    assert dnn[0].detail.endswith("incomplete")
    assert stress.by_class.sizes == "calm: 12 people, 120 units; stress: 12 people, 120 units"


def test_curves_are_those_of_networks(stress):
    having = {line.name for line in stress.lines if line.curves}
    assert having == {
        line.name for line in stress.lines if line.name[:4] in ("cnn", "cnn-", "lstm")
    }
    assert "12 runs, 10 of them drawn" in {
        line.curves.about for line in stress.lines if line.curves
    }


def excess(probabilities, target):
    """Hits less misses.

    As a share.
    """
    return 0.25


def test_a_new_score_stands_with_the_others_and_is_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(SCORES, "excess", excess)
    copy = stored(tmp_path / "runs", [done(asked("cnn", fold), 0.5) for fold in range(12)])
    (board,) = collect(copy, tmp_path).boards
    titles = [column.title for column in board.columns]
    place = titles.index("excess")
    assert titles[place - 1] == "ECE"
    assert titles[-1] != "excess"
    assert board.columns[place].hint == "Hits less misses. Mean over subjects."
    assert board.columns[place].more
    assert board.lines[0].cells[place].value == 0.5


def test_no_results(tmp_path):
    with pytest.raises(LeaderboardError, match="--runs"):
        render(Store(tmp_path), tmp_path)


def test_nothing_from_data_becomes_markup(read, evil):
    tags = [tag for tag, _ in read.tags]
    assert "img" not in tags
    assert tags.count("script") == 2
    assert not [a for _, attributes in read.tags for a in attributes if a.startswith("on")]
    assert "".join(read.text).count(evil) >= 4
    rows = json.loads(read.scripts[0])
    notes = [v for v in rows["boards"]["wesad__stress__leave_one_subject_out"]["rows"].values()]
    computed = [rows["sections"][row["sections"]["Computed"]] for row in notes[:5]]
    assert all(["note", evil] in facts for facts in computed)


def test_nothing_is_asked_of_the_network(read, page):
    links = [v for _, a in read.tags for k, v in a.items() if k in ("src", "href", "action")]
    assert links
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert "url(" not in page.read_text()
    assert "@import" not in page.read_text()
    (policy,) = [a["content"] for _, a in read.tags if "http-equiv" in a]
    assert "default-src 'none'" in policy


def test_tabs_and_panels_name_each_other(read):
    tabs = {a["id"]: a["aria-controls"] for _, a in read.tags if a.get("role") == "tab"}
    panels = {a["id"]: a["aria-labelledby"] for _, a in read.tags if a.get("role") == "tabpanel"}
    assert panels == {panel: tab for tab, panel in tabs.items()}
    assert len(tabs) == 8
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_same_runs_same_page(store, leaderboards, page, tmp_path):
    shutil.copytree(store.root, tmp_path / "elsewhere")
    assert render(Store(tmp_path / "elsewhere"), leaderboards) == page.read_text()


def many(datasets, store):
    for position, dataset in enumerate(datasets):
        for model, score in {"a": 0.9, "b": 0.8, "c": 0.3 + 0.15 * position, "d": 0.1}.items():
            for fold, subject in enumerate(THREE):
                run = Run(
                    dataset, "stress", Protocol(), fold, 0, model, ("eda",),
                    THREE, "a" * 16,
                )  # fmt: skip
                values = {
                    "scores": {subject: dict.fromkeys(SCORES, score)},
                    "seconds": {"train": 1.0},
                }
                values["confusion"] = {subject: [[1, 0], [0, 1]]}
                stored(store.root, [Scored(run, "done", **values)])
    return store


def test_critical_differences_from_five_datasets_on(tmp_path):
    few = collect(many(DATASETS[:4], Store(tmp_path / "few")), tmp_path)
    assert few.diagram is None
    assert any("no test over datasets: 4 of the 5" in line for line in few.ranks_head)
    enough = collect(many(DATASETS, Store(tmp_path / "enough")), tmp_path)
    names = [text for *_, text in enough.diagram.models]
    assert names[0].startswith("a 1.")
    assert names[-1] == "d 4.00"
    # Demšar 2006, table 5: q of 4 models is 2.569
    difference = 2.569 * np.sqrt(4 * 5 / (6 * 5))
    start, end = (x for x, rank in enough.diagram.ticks if rank in (1, 4))
    assert enough.diagram.difference == pytest.approx((end - start) / 3 * difference, rel=1e-3)


def test_bars_join_what_no_longer_bar_joins():
    rng = np.random.default_rng(1)
    for _ in range(50):
        ranks = sorted(rng.uniform(1, 8, 8))
        joined = {(i, j) for i, j in combinations(range(8), 2) if ranks[j] - ranks[i] < 1.5}
        longest = {
            (i, j)
            for i, j in joined
            if not any((a, b) != (i, j) and a <= i and j <= b for a, b in joined)
        }
        assert set(cliques(ranks, 1.5)) == longest


def test_free_models_have_a_place_on_a_logarithmic_axis(stress):
    (_, unit, size), (_, _, latency) = stress.costs
    assert unit == "parameters"
    places = {mark.point.name: mark for mark in size.marks}
    assert places["majority"].x == places["time"].x == size.zero
    assert places["cnn"].x > size.zero
    assert {m.point.name for m in latency.marks} >= {"cnn", "lstm"}
    assert "lda" not in {m.point.name for m in latency.marks}
    assert scatter([]) is None


def test_numbers_read_as_they_are():
    assert number(-0.0001).text == "0.000"
    assert number(-0.25).text == "\N{MINUS SIGN}0.250"
    assert number(float("nan")) == Cell("\N{EN DASH}", None)
    assert p_value(2.5e-7) == Cell("< 0.0001", 2.5e-7)
    assert p_value(0.0042).text == "0.0042"


def test_the_command_needs_no_torch():
    told = "import benchmark.cli.report, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
