"""Ensembles of real runs: chosen in one round, wherever and by whomever its runs are done."""

import dataclasses
import shutil

import numpy as np
import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.campaign import Options, run_suite
from benchmark.cli.main import main
from benchmark.engines.local import LocalEngine
from benchmark.engines.placement import Placement
from benchmark.plan.studies import FOLDS, training_people
from benchmark.store import RESULT, Store
from tests.benchmark.tuning.made_up import Lines


def elsewhere(ensembled, tmp_path, copied=True):
    """Return folders of other results: a copy of the finished ones, or none yet."""
    if copied:
        shutil.copytree(ensembled.store.root, tmp_path / "runs")
    return dataclasses.replace(
        ensembled.folders, runs=tmp_path / "runs", leaderboards=tmp_path / "leaderboards"
    )


def test_a_suite_has_its_models_and_their_ensemble(ensembled):
    outcome = ensembled.outcome
    assert outcome.complete
    assert outcome.studies == 0
    assert len(outcome.runs) == 2 * 5
    assert {run.name for run in outcome.runs if run.members} == {"ensemble"}
    assert any(sum(w > 0 for w in run.weights) > 1 for run in ensembled.runs)
    folders = ensembled.store.inner_folders()
    assert {name for run in ensembled.runs for name in run.chosen_by} == set(folders)
    for run in ensembled.runs:
        for name in run.chosen_by:
            inner = ensembled.store.load(folders[name]).run
            assert inner.subjects == training_people(run)


def test_the_same_call_does_nothing(ensembled, in_process, tmp_path):
    folders, lines = elsewhere(ensembled, tmp_path), Lines()
    outcome = run_suite(ensembled.suite, folders, in_process(), reporter=lines)
    assert outcome.runs == ensembled.outcome.runs
    assert any("nothing to compute" in line for line in lines.lines)


def test_a_dry_run_says_how_many_inner_runs_there_are(ensembled, in_process, tmp_path):
    folders, lines = elsewhere(ensembled, tmp_path, copied=False), Lines()
    outcome = run_suite(ensembled.suite, folders, in_process(), Options(dry_run=True), lines)
    assert any(f"at most {2 * 3 * FOLDS} inner runs" in line for line in lines.lines)
    assert outcome.studies == 2


def test_what_is_lost_is_done_again_and_chooses_the_same(ensembled, in_process, tmp_path):
    folders = elsewhere(ensembled, tmp_path)
    store, run = Store(folders.runs), ensembled.runs[0]
    for folder in list(store.inner_folders().values())[::4]:
        shutil.rmtree(folder)
    for lost in (run, next(iter(run.taken))):
        shutil.rmtree(store.folder(lost))
    outcome = run_suite(ensembled.suite, folders, in_process())
    assert outcome.complete
    assert set(outcome.runs) == set(ensembled.outcome.runs)
    one, other = (root.predictions(run) for root in (store, ensembled.store))
    assert np.array_equal(one["probabilities"], other["probabilities"])
    assert all(board.table["complete"].all() for board in outcome.boards)


def test_shards_have_whole_ensembles_and_two_workers_choose_what_one_does(ensembled, tmp_path):
    folders = elsewhere(ensembled, tmp_path, copied=False)
    runs = []
    with LocalEngine(Placement(devices="cpu", jobs=2)) as engine:
        for number in (1, 2):
            part = run_suite(ensembled.suite, folders, engine, Options(shard=(number, 2)))
            assert part.complete
            runs += part.runs
    assert len(runs) == len(set(runs))
    assert set(runs) == set(ensembled.outcome.runs)
    store = Store(folders.runs)
    for run in ensembled.runs:
        one, other = (root.predictions(run) for root in (store, ensembled.store))
        assert np.array_equal(one["probabilities"], other["probabilities"])
    (board,) = write_leaderboards(store, tmp_path / "leaderboards")
    assert board.table.set_index("model").loc["ensemble", "complete"]


def test_an_ensemble_without_its_inner_runs_is_said_to_be_missing(
    ensembled, in_process, tmp_path, capsys
):
    """Cut off before the inner runs are done: the board says so, and the same call goes on."""
    folders = elsewhere(ensembled, tmp_path, copied=False)

    class NoInner(in_process):
        def run_all(self, runs, places, finished, terms):
            ordinary = [run for run in runs if not run.inner]
            rest = [run for run in runs if run.inner]
            return [*super().run_all(ordinary, places, finished, terms), *rest]

    outcome = run_suite(ensembled.suite, folders, NoInner(), Options(max_hours=1.0))
    assert not outcome.complete
    assert outcome.studies == 2
    assert main(["status", "--runs", str(folders.runs)]) == 0
    assert "2 studies that have not chosen yet" in capsys.readouterr().out
    assert run_suite(ensembled.suite, folders, in_process()).complete


@pytest.mark.parametrize("which", ["one", "all"])
def test_a_model_whose_inner_run_failed_is_no_member(which, ensembled, in_process, tmp_path):
    folders = elsewhere(ensembled, tmp_path)
    store, run = Store(folders.runs), ensembled.runs[0]
    (taken, *_) = [place for place, weight in enumerate(run.weights) if weight]
    for place in range(len(run.members)) if which == "all" else [taken]:
        folder = store.inner_folders()[run.chosen_by[FOLDS * place]]
        failed = dataclasses.replace(store.load(folder), status="failed", error="no", files={})
        shutil.rmtree(folder)
        store.save(failed)
    outcome = run_suite(ensembled.suite, folders, in_process())
    (other,) = [one for one in outcome.runs if one.members and one.fold == run.fold]
    assert other.chosen_by == run.chosen_by
    assert other.weights[taken] == 0
    if which == "one":
        assert outcome.complete
        return
    assert [one.id for one in outcome.failed] == [other.id]
    assert "that of each one failed" in store.result(other).error
    again = run_suite(ensembled.suite, folders, in_process(), Options(retry_failed=True))
    assert again.complete
    assert run in again.runs


def test_a_damaged_inner_run_stops_its_ensemble_alone(ensembled, in_process, tmp_path):
    folders = elsewhere(ensembled, tmp_path)
    store, (run, other) = Store(folders.runs), ensembled.runs
    (store.inner_folders()[run.chosen_by[0]] / RESULT).write_text("{")
    outcome = run_suite(ensembled.suite, folders, in_process())
    assert not outcome.complete
    assert outcome.studies == 1
    assert [one.id for one in outcome.damaged] == [run.chosen_by[0]]
    assert other in outcome.runs
    assert run not in outcome.runs


def test_a_failed_member_fails_the_ensemble_until_it_is_done_again(ensembled, in_process, tmp_path):
    folders = elsewhere(ensembled, tmp_path)
    store, run = Store(folders.runs), ensembled.runs[0]
    member = next(iter(run.taken))
    failed = dataclasses.replace(store.result(member), status="failed", error="no", files={})
    for folder in (store.folder(member), store.folder(run)):
        shutil.rmtree(folder)
    store.save(failed)
    outcome = run_suite(ensembled.suite, folders, in_process())
    assert {one.id for one in outcome.failed} == {member.id, run.id}
    assert "expected a finished member" in store.result(run).error
    assert run_suite(ensembled.suite, folders, in_process(), Options(retry_failed=True)).complete
