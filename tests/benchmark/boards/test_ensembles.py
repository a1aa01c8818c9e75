"""Rows of ensembles: what was chosen, what it cost, the best member, and what is not believed."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.boards.cohort import build_cohorts
from benchmark.boards.ensembles import COLUMNS
from benchmark.boards.provenance import CAUSAL, NONE, OFFLINE, input_of, tuned_on, window_of
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import compare
from benchmark.boards.versions import by_version
from benchmark.report.page import render
from benchmark.store import PREDICTIONS, Store
from lightning_modules.recipe import Recipe
from tests.benchmark.made_up import plain_score

MEMBERS = ("lda", "logistic", "random_forest")


@pytest.fixture(scope="module")
def tables(ensembled) -> dict[str, pd.DataFrame]:
    folder = Path(ensembled.folders.leaderboards)
    return {path.stem: pd.read_csv(path, comment="#") for path in folder.glob("*.csv")}


@pytest.fixture(scope="module")
def board(ensembled, tables) -> pd.DataFrame:
    return tables[ensembled.runs[0].board].set_index("model")


@pytest.fixture
def store(ensembled, tmp_path):
    """A copy of the finished store."""
    shutil.copytree(ensembled.store.root, tmp_path / "runs")
    return Store(tmp_path / "runs")


def test_columns_of_the_board(ensembled, board):
    row, folders = board.loc["ensemble"], ensembled.store.inner_folders()
    hours = sum(
        sum(ensembled.store.load(folders[name]).seconds.values()) / 3600
        for run in ensembled.runs
        for name in run.chosen_by
    )
    assert row["recipe"] == (
        "greedy of lda published, logistic published, "
        "random_forest published n_trees=10 window=30.0"
    )
    assert row["window"] == "30+60"
    assert row["signals"] == board.loc["lda", "signals"]
    assert row["input"] == board.loc["lda", "input"]
    assert row["tuning_hours"] == pytest.approx(hours, abs=5e-5)
    assert np.isnan(row["budget"])
    assert row["n_runs"] == 2
    assert row["complete"]
    assert not np.isnan(row["rank_low"])
    assert set(board.index) == {"ensemble", "majority", *MEMBERS}


def test_a_line_a_member_says_what_was_chosen(ensembled, tables):
    table, folders = tables["ensembles"], ensembled.store.inner_folders()
    assert list(table) == list(COLUMNS)
    assert len(table) == 2 * len(MEMBERS)
    for run in ensembled.runs:
        lines = table[table["ensemble"] == run.id].set_index("member")
        assert lines["share"].sum() == pytest.approx(1)
        for member, weight in zip(run.members, run.weights, strict=True):
            line = lines.loc[member.model]
            of_member = [
                folders[name]
                for name in run.chosen_by
                if ensembled.store.load(folders[name]).run.model == member.model
            ]
            assert len(of_member) == line["n_runs"] == 3
            assert line["weight"] == weight
            assert line["inner_score"] == pytest.approx(plain_score(of_member), abs=5e-5)
            assert (line["fold"], line["seed"], line["n_people"]) == (run.fold, 1, 3)
        assert lines["ensemble_score"].nunique() == 1
        assert (lines["ensemble_score"] >= lines["inner_score"]).all()


def test_it_is_compared_with_its_best_member_of_each_fold(ensembled, tables):
    (line,) = (
        tables["comparisons"].query("family == 'ensemble_against_best_member'").to_dict("records")
    )
    chosen = tables["ensembles"]
    results = {r.run.id: r for r in scored_results(ensembled.store)}
    ours, theirs, names = {}, {}, []
    for run in ensembled.runs:
        lines = chosen[chosen["ensemble"] == run.id]
        name = lines.loc[lines["inner_score"].idxmax(), "member"]
        (member,) = [one for one in run.members if one.model == name]
        names.append(name)
        ours |= {s: v["macro_f1"] for s, v in results[run.id].scores.items()}
        theirs |= {s: v["macro_f1"] for s, v in results[member.id].scores.items()}
    pairs = list(ours.values()), [theirs[subject] for subject in ours]
    assert line["model"] == "ensemble"
    assert line["against"] == "best member"
    assert line["against_recipe"] == ", ".join(
        f"{n} {names.count(n)}" for n in dict.fromkeys(names)
    )
    assert line["difference"] == pytest.approx(np.mean(np.subtract(*pairs)), abs=1e-4)
    assert line["p"] == line["p_corrected"] == pytest.approx(compare(*pairs).p, rel=1e-3)
    assert line["claim"]


@pytest.mark.parametrize("what", ["changed", "gone", "other"])
def test_a_member_that_is_not_as_it_was_makes_the_row_incomplete(what, ensembled, store, tmp_path):
    """Also if what it has now is sound: the mean is not that of these predictions."""
    run = ensembled.runs[0]
    member = next(iter(run.taken))
    folder = store.folder(member)
    result = store.load(folder)
    if what == "changed":
        (folder / PREDICTIONS).write_bytes((folder / PREDICTIONS).read_bytes() + b"0")
    else:
        predictions = store.predictions(member)
        shutil.rmtree(folder)
    if what == "other":
        flipped = {**predictions, "probabilities": predictions["probabilities"][:, ::-1]}
        store.save(dataclasses.replace(result, files={}), flipped)
    (board,) = write_leaderboards(store, tmp_path / "boards")
    table = board.table.set_index("model")
    assert not table.loc["ensemble", "complete"]
    assert pd.isna(table.loc["ensemble", "rank_low"])
    assert f"the mean was taken with predictions of {member.id}" in table.loc["ensemble", "note"]
    assert any(line.startswith("NOT RANKED") and "ensemble" in line for line in board.head)
    assert any(line.startswith("INCOMPLETE") and "ensemble lacks" in line for line in board.head)
    assert table.loc[member.model, "complete"] == (what == "other")
    comparisons = (tmp_path / "boards" / "comparisons.csv").read_text()
    assert "ensemble" not in comparisons
    assert store.folder(run) in store.set_aside


def test_a_member_that_was_not_taken_may_change(ensembled, store, tmp_path):
    run = ensembled.runs[0]
    (member, *_) = [one for one in run.members if one not in run.taken]
    shutil.rmtree(store.folder(member))
    (board,) = write_leaderboards(store, tmp_path / "boards")
    assert board.table.set_index("model").loc["ensemble", "complete"]


def test_inner_runs_that_are_gone_leave_lines_that_say_so(store, tmp_path):
    shutil.rmtree(store.root / "tuning")
    (board,) = write_leaderboards(store, tmp_path / "boards")
    table = pd.read_csv(tmp_path / "boards" / "ensembles.csv")
    assert table["note"].str.contains("are not in the store").all()
    assert table["inner_score"].isna().all()
    assert board.table["complete"].all()
    assert "best member" not in (tmp_path / "boards" / "comparisons.csv").read_text()


def test_boards_come_back_byte_for_byte(ensembled, store, tmp_path):
    write_leaderboards(store, tmp_path / "again")
    before = {p.name: p.read_bytes() for p in Path(ensembled.folders.leaderboards).iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path / "again").iterdir()} == before
    assert "ensembles.csv" in before


def test_another_choice_of_the_same_fold_is_an_older_version(ensembled):
    results = scored_results(ensembled.store)
    before = next(result for result in results if result.run.members)
    other = dataclasses.replace(
        before, run=dataclasses.replace(before.run, weights=(1, 1, 1)), ended=before.ended + 1
    )
    for planned, now, gone in (((), other, before), ((before.run,), before, other)):
        today, (version,) = by_version([*results, other], planned)
        assert now in today[before.run.board]
        assert version.results == (gone,)
        assert "choice_of_ensemble" in version.name
        assert len(build_cohorts(today)[0].rows) == 5


def test_new_code_of_a_member_is_a_new_version_of_the_row(ensembled):
    results = scored_results(ensembled.store)
    newer = []
    for result in results:
        if result.run.members:
            first = dataclasses.replace(result.run.members[0], code="f" * 12)
            run = dataclasses.replace(result.run, members=(first, *result.run.members[1:]))
            newer.append(dataclasses.replace(result, run=run, ended=result.ended + 1))
    today, (version,) = by_version([*results, *newer], [result.run for result in newer])
    assert all(result in today[result.run.board] for result in newer)
    assert "code_of_ensemble" in version.name
    assert len(version.results) == 2


def test_what_is_behind_a_row_is_that_of_all_members(ensembled):
    run = ensembled.runs[0]
    first, *rest = run.members
    blind = dataclasses.replace(first, signals=())
    values = {input_of(member) for member in run.members}
    assert input_of(run) == values.pop()
    assert values == set()
    assert input_of(dataclasses.replace(run, members=(blind, blind))) == NONE
    mixed = dataclasses.replace(run, members=(blind, *rest))
    assert input_of(mixed) == input_of(rest[0]) in (CAUSAL, OFFLINE)
    assert window_of(run) == "30+60"
    assert tuned_on(run) == ()
    known = dataclasses.replace(first, recipe=Recipe("a paper", tuned_on=("wesad",)))
    assert tuned_on(dataclasses.replace(run, members=(known, *rest))) == ("wesad",)


def test_the_report_says_what_an_ensemble_was_chosen_among(ensembled):
    page = render(ensembled.store, Path(ensembled.folders.leaderboards))
    assert '"Chosen among"' in page
    assert "members are chosen by inner folds without test subjects" in page
    assert 'class="mark ensemble"' in page
