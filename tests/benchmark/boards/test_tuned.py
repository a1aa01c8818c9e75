"""Tuned rows of boards: what was chosen, by whom and at what cost, against plain loops."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.boards.cohort import build_cohorts
from benchmark.boards.distillation import across_folds
from benchmark.boards.paired import comparisons_table
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import compare, holm
from benchmark.boards.tuned import COLUMNS
from benchmark.boards.versions import by_version
from benchmark.store import Store
from tests.benchmark.made_up import plain_score

BOARD = "synthetic_n_subjects_6_phase_60__stress__subject_2_fold"


@pytest.fixture(scope="module")
def tables(tuned) -> dict[str, pd.DataFrame]:
    folder = Path(tuned.folders.leaderboards)
    return {path.stem: pd.read_csv(path, comment="#") for path in folder.glob("*.csv")}


def tuned_runs(tuned):
    return [run for run in tuned.outcome.runs if run.budget]


def test_columns_of_the_board(tuned, tables):
    board = tables[BOARD].set_index("model")
    folders = tuned.store.inner_folders()
    for model in ("lda", "dnn"):
        runs = [run for run in tuned_runs(tuned) if run.model == model]
        row = board.loc[f"{model}-tuned"]
        hours = 0.0
        for run in runs:
            for name in run.chosen_by:
                hours += sum(tuned.store.load(folders[name]).seconds.values()) / 3600
        assert row["budget"] == runs[0].budget
        assert row["tuning_hours"] == pytest.approx(hours, abs=5e-5)
        assert row["n_runs"] == 2
        assert row["complete"]
        assert not np.isnan(row["rank_low"])
        assert np.isnan(board.loc[model, "budget"])
        assert np.isnan(board.loc[model, "tuning_hours"])
    assert list(board.loc[["lda-tuned", "lda", "majority"], "recipe"]) == [
        *("published tuned budget=7", "published", "published")
    ]


def test_no_inner_run_is_on_a_board(tuned, tables):
    inner = set(tuned.store.inner_folders())
    assert inner
    assert not inner & set(tables["runs"]["id"])
    assert set(tables) == {
        *(BOARD, "classes", "comparisons", "overall", "published", "runs", "tuned"),
        "uncertainty",
    }


def test_a_line_says_what_a_study_chose(tuned, tables):
    table = tables["tuned"].set_index("id")
    assert list(tables["tuned"]) == list(COLUMNS)
    folders = tuned.store.inner_folders()
    assert set(table.index) == {run.id for run in tuned_runs(tuned)}
    for run in tuned_runs(tuned):
        line = table.loc[run.id]
        of_values = {}
        for name in run.chosen_by:
            values = tuned.store.load(folders[name]).run
            of_values.setdefault((values.recipe, values.arguments), []).append(folders[name])
        complete = {key: plain_score(f) for key, f in of_values.items() if len(f) == 3}
        assert line["default_score"] == pytest.approx(next(iter(complete.values())), abs=5e-5)
        assert line["chosen_score"] == pytest.approx(max(complete.values()), abs=5e-5)
        assert complete[run.recipe, run.arguments] == max(complete.values())
        assert line["n_pruned"] == len(of_values) - len(complete)
        assert line["n_failed"] == 0
        assert line["n_runs"] == len(run.chosen_by)
        assert line["n_people"] == 3
        assert (line["fold"], line["seed"], line["budget"]) == (run.fold, run.seed, run.budget)
        if run.model == "dnn":
            assert f"lr={run.recipe.lr}" in line["chosen"]
            assert f"balance={run.recipe.balance}" in line["chosen"]
        else:
            shrinkage = dict(run.arguments).get("shrinkage", "auto")
            assert line["chosen"] == f"shrinkage={shrinkage}"


def test_tuned_against_default_is_a_family_of_its_own(tuned, tables):
    """Paired over people, corrected over the tuned rows of the board."""
    family = tables["comparisons"].query("family == 'tuned_against_default'").set_index("model")
    assert set(family.index) == {"lda-tuned", "dnn-tuned"}
    (cohort,) = build_cohorts(by_version(scored_results(tuned.store), [])[0])
    rows = {row.run.name: row for row in cohort.rows}
    models = list(family.index)
    alone = []
    for model in models:
        one, other = (list(rows[n].macro_f1.values()) for n in (model, model.split("-")[0]))
        line = family.loc[model]
        assert line["against"] == model.split("-")[0]
        assert line["difference"] == pytest.approx(np.mean(np.subtract(one, other)), abs=1e-4)
        assert line["p"] == pytest.approx(compare(one, other).p, rel=1e-3)
        assert line["claim"]
        alone.append(line["p"])
    assert list(family["p_corrected"]) == pytest.approx(list(holm(alone)), rel=1e-3)


def test_a_tuned_row_is_compared_on_the_seeds_that_it_shares(tuned):
    """Another seed of the untuned row alone, of other scores, changes nothing of the comparison."""
    results = by_version(scored_results(tuned.store), [])[0]
    (alone,) = build_cohorts(results)
    (rows,) = results.values()
    more = [
        dataclasses.replace(
            one,
            run=dataclasses.replace(one.run, seed=7),
            scores={name: {**scores, "macro_f1": 0.0} for name, scores in one.scores.items()},
            pooled={},
        )
        for one in rows
        if one.run.name == "lda"
    ]
    (with_more,) = build_cohorts({next(iter(results)): [*rows, *more]})
    empty = pd.DataFrame(columns=["n_subjects"])
    before, after = (
        comparisons_table([cohort], empty).query("family == 'tuned_against_default'")
        for cohort in (alone, with_more)
    )
    means = [{r.run.name: r.mean for r in cohort.rows}["lda"] for cohort in (alone, with_more)]
    assert means[0] != means[1]
    pd.testing.assert_frame_equal(before, after)


def test_a_claim_must_beat_a_baseline_however_it_does_best(tuned):
    (cohort,) = build_cohorts(by_version(scored_results(tuned.store), [])[0])
    of_lda = [row for row in cohort.rows if row.run.model == "lda"]
    assert len(of_lda) == 2
    (simple,) = cohort.simple
    assert cohort.score(simple) == max(cohort.score(row) for row in of_lda)
    assert cohort.majority is not None
    assert cohort.majority.run.name == "majority"


def test_boards_come_back_byte_for_byte(tuned, tmp_path):
    shutil.copytree(tuned.store.root, tmp_path / "runs")
    write_leaderboards(Store(tmp_path / "runs"), tmp_path / "again")
    before = {path.name: path.read_bytes() for path in Path(tuned.folders.leaderboards).iterdir()}
    again = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert again == before
    assert "NAME-tuned" in (tmp_path / "again" / f"{BOARD}.csv").read_text()


def test_without_tuned_runs_the_table_goes(tuned, tmp_path):
    shutil.copytree(tuned.store.root, tmp_path / "runs")
    shutil.copytree(tuned.folders.leaderboards, tmp_path / "boards")
    for run in tuned_runs(tuned):
        shutil.rmtree(tmp_path / "runs" / run.folder)
    store = Store(tmp_path / "runs")
    store.save_plan([run for run in tuned.outcome.runs if not run.budget])
    write_leaderboards(store, tmp_path / "boards")
    assert not (tmp_path / "boards" / "tuned.csv").exists()
    assert "tuned" not in (tmp_path / "boards" / "comparisons.csv").read_text()


def test_inner_runs_that_are_gone_leave_a_line_that_says_so(tuned, tmp_path):
    shutil.copytree(tuned.store.root, tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs" / "tuning")
    (board,) = write_leaderboards(Store(tmp_path / "runs"), tmp_path / "boards")
    table = pd.read_csv(tmp_path / "boards" / "tuned.csv")
    assert table["note"].str.contains("are not in the store").all()
    assert table["default_score"].isna().all()
    assert board.table["complete"].all()  # what is ranked are predictions, and these are there


def test_another_choice_of_the_same_fold_is_an_older_version(tuned):
    """A study whose inner runs were done elsewhere may choose otherwise; a fold is tested once."""
    results = scored_results(tuned.store)
    before = next(result for result in results if result.run.name == "dnn-tuned")
    recipe = dataclasses.replace(before.run.recipe, lr=0.00321)
    other = dataclasses.replace(
        before, run=dataclasses.replace(before.run, recipe=recipe), ended=before.ended + 1
    )
    assert across_folds(other.run) == across_folds(before.run)
    for planned, now, gone in (((), other, before), ((before.run,), before, other)):
        today, older = by_version([*results, other], planned)
        assert now in today[BOARD]
        assert gone not in today[BOARD]
        (version,) = older
        assert version.results == (gone,)
        assert version.name.startswith(f"{BOARD}__choice_of_dnn-tuned_")
        assert len(today[BOARD]) == len(results)
