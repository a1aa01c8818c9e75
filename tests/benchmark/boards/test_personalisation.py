"""The table of labelled minutes, recomputed from the scores of its runs."""

import itertools
import shutil

import numpy as np
import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.boards.cohort import build_cohorts
from benchmark.boards.personalisation import ANEW, AS_IT_IS, personalisation_table
from benchmark.boards.scores import scored_results
from benchmark.boards.versions import by_version
from benchmark.plan.expand import expand
from benchmark.recordings.prepare import prepare
from benchmark.report.page import render
from benchmark.report.personal import drawn
from benchmark.store import Store

OPTIONS = {"n_subjects": 4, "phase": 150.0}
MINUTES = (2.0, 10.0)


@pytest.fixture(scope="module")
def personal(workshop, tmp_path_factory):
    """A store of two probes and a network, each person given minutes."""
    folder = tmp_path_factory.mktemp("personal")
    suite = workshop.suite(
        ["lda", "logistic", "dnn"],
        options={"synthetic": OPTIONS},
        adapters=("head", "prior_shift"),
        labelled_minutes=MINUTES,
        recipes={"dnn": {"max_epochs": 1, "stride": 30.0}},
    )
    found = prepare("synthetic", folder, workshop.cache, OPTIONS, ())
    return workshop.do(expand(suite, {"synthetic": found}).runs, folder)


def table_of(store):
    today, _ = by_version(scored_results(store), ())
    return personalisation_table(build_cohorts(today))


@pytest.fixture(scope="module")
def table(personal):
    return table_of(personal)


def scores(store, model, adapter, minutes):
    """Macro F1 of each person, straight from the results."""
    found = {}
    for result in scored_results(store):
        run = result.run
        key = run.model, run.adapter, run.protocol.calibrating.minutes
        if run.trained and key == (model, adapter, minutes):
            found |= {subject: one["macro_f1"] for subject, one in result.scores.items()}
    return [found[subject] for subject in sorted(found)]


def test_a_line_a_model_adapter_and_number_of_minutes(table):
    lines = list(zip(table["model"], table["adapter"], table["minutes"], strict=True))
    networks = [("dnn", "none", 0.0), *(("dnn", "head", m) for m in (0.0, *MINUTES))]
    networks += [("dnn", "prior_shift", m) for m in MINUTES]
    probes = [
        (model, adapter, m)
        for model in ("lda", "logistic")
        for adapter, of in (("none", (0.0,)), ("head", MINUTES), ("prior_shift", MINUTES))
        for m in of
    ]
    assert lines == [*networks, *probes]
    assert table["board"].nunique() == 1
    assert "calibrated" not in table["board"][0]


def test_differences_are_paired_with_what_has_no_minutes(table, personal):
    for line in table.to_dict("records"):
        adapter = "" if line["adapter"] == "none" else line["adapter"]
        ours = scores(personal, line["model"], adapter, line["minutes"])
        assert line["macro_f1"] == pytest.approx(np.mean(ours))
        assert line["n_subjects"] == 4
        if not adapter:
            assert np.isnan(line["difference"])
            continue
        anew = (line["model"], adapter) == ("dnn", "head") and line["minutes"] > 0
        assert line["against"] == (ANEW if anew else AS_IT_IS)
        theirs = scores(personal, line["model"], adapter if anew else "", 0.0)
        differences = np.subtract(ours, theirs)
        assert line["difference"] == pytest.approx(differences.mean())
        signs = np.array(list(itertools.product([1, -1], repeat=4)))
        flipped = np.abs(signs @ differences)
        assert line["p"] == pytest.approx((flipped >= abs(differences.sum()) - 1e-9).mean())
        assert (line["won"], line["lost"]) == ((differences > 0).sum(), (differences < 0).sum())


def test_p_values_are_corrected_over_all_lines_of_the_board(table):
    of_lines = table[table["adapter"] != "none"]
    order = of_lines["p"].sort_values(kind="stable").index
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * of_lines["p"][index]))
        assert of_lines["p_corrected"][index] == pytest.approx(largest)


def test_people_whose_minutes_have_one_class_are_counted(table):
    """Two minutes are less than a phase; ten are four phases, of both."""
    of_two = table[(table["minutes"] == 2) & (table["adapter"] != "none")]
    assert (of_two["n_one_class"] == 4).all()
    assert (table[table["minutes"] == 0]["n_one_class"] == 0).all()


def test_nothing_is_claimed_of_a_line_that_lacks_runs(personal, tmp_path):
    shutil.copytree(personal.root, tmp_path / "runs")
    store = Store(tmp_path / "runs")
    gone = next(
        result
        for result in scored_results(store)
        if result.run.name == "lda-adapted_by_head" and result.run.protocol.calibrating.minutes == 2
    )
    shutil.rmtree(gone.folder)
    table = table_of(store)
    (line,) = table[
        (table["model"] == "lda") & (table["adapter"] == "head") & (table["minutes"] == 2)
    ].to_dict("records")
    assert line["n_missing"] == 1
    assert line["n_subjects"] == 3
    assert np.isnan([line["p"], line["p_corrected"]]).all()


def test_boards_of_labelled_minutes_say_so_and_are_not_ranked_with_others(personal, tmp_path):
    boards = write_leaderboards(personal, tmp_path)
    (board,) = [one for one in boards if one.name.endswith("labelled_2_min")]
    assert any("what it adds is in personalisation.csv" in line for line in board.head)
    overall = (tmp_path / "overall.csv").read_text()
    assert "adapted_by" not in overall
    text = (tmp_path / "personalisation.csv").read_text()
    assert text.startswith("# personalisation: ")
    assert "one class: the network is left as it is" in text


def test_pictures_have_a_line_a_model_and_adapter(personal, tmp_path, table):
    write_leaderboards(personal, tmp_path)
    (picture,) = drawn(tmp_path / "personalisation.csv")
    assert table["board"][0] in picture.title
    svg = picture.svg()
    for name in ("head", "prior_shift", "lda", "logistic", "dnn", "labelled minutes"):
        assert f">{name}</text>" in svg
    assert "none" not in svg.replace('fill="none"', "")
    assert svg.count("<circle") == 3 * 2 * (1 + len(MINUTES))
    assert svg in render(personal, tmp_path)
