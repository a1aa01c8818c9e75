"""Studies of real runs: rounds of one queue, which may be killed, dealt out and done elsewhere."""

import dataclasses
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmark import campaign
from benchmark.boards.board import write_leaderboards
from benchmark.campaign import Options, run_suite
from benchmark.cli.main import main
from benchmark.engines.local import LocalEngine
from benchmark.engines.placement import Placement
from benchmark.plan.studies import FOLDS, training_people
from benchmark.store import PREDICTIONS, RESULT, Store
from tests.benchmark.tuning.made_up import Lines


def inner_predictions(store):
    """Return the bytes of the predictions of every inner run, by id."""
    return {name: (path / PREDICTIONS).read_bytes() for name, path in store.inner_folders().items()}


def copied(tuned, tmp_path):
    """Return the folders of a copy of the finished store."""
    shutil.copytree(tuned.store.root, tmp_path / "runs")
    return dataclasses.replace(
        tuned.folders, runs=tmp_path / "runs", leaderboards=tmp_path / "leaderboards"
    )


def of_lda(tuned):
    """Return the suite with nothing but a quick probe."""
    return dataclasses.replace(tuned.suite, parts=(), models=("lda",), budget=7)


def tuned_runs(outcome):
    return [run for run in outcome.runs if run.budget]


def test_every_training_is_done_untuned_and_tuned(tuned):
    outcome = tuned.outcome
    assert outcome.complete
    assert outcome.studies == 0
    assert {run.name for run in outcome.runs} == {
        *("majority", "lda", "lda-tuned", "dnn", "dnn-tuned"),
    }
    assert len(outcome.runs) == 2 * 5
    assert {run.model: run.budget for run in tuned_runs(outcome)} == {"lda": 7, "dnn": 2}


def test_inner_runs_hold_nobody_who_is_tested(tuned):
    """As the predictions say, and the runs on record."""
    folders = tuned.store.inner_folders()
    everybody = set()
    for run in tuned_runs(tuned.outcome):
        people = training_people(run)
        assert set(people) | {
            *run.protocol.splitting.people(run.subjects, run.protocol.dealing(run.fold, run.seed))
        } == set(run.subjects)
        assert len(people) == 3
        for name in run.chosen_by:
            result = tuned.store.load(folders[name])
            assert result.run.subjects == people
            predicted = tuned.store.read(folders[name], result, PREDICTIONS)
            subjects = set(np.load(folders[name] / PREDICTIONS)["subject"].tolist())
            assert predicted
            assert subjects <= set(people)
            everybody.add(name)
    assert everybody == set(folders)


def test_inner_runs_stand_apart_and_leave_no_model(tuned):
    assert {result.run.inner for result in tuned.store.results()} == {False}
    assert all(run.inner is False for run in tuned.store.plan())
    for folder in tuned.store.inner_folders().values():
        names = {path.name for path in folder.iterdir()}
        assert RESULT in names
        assert not names & {"model.ckpt", "model.skops"}
        assert folder.relative_to(tuned.store.root).parts[0] == "tuning"


def test_the_same_call_does_nothing(tuned, in_process, tmp_path):
    folders, lines = copied(tuned, tmp_path), Lines()
    outcome = run_suite(tuned.suite, folders, in_process(), reporter=lines)
    assert outcome.runs == tuned.outcome.runs
    assert any("nothing to compute" in line for line in lines.lines)


def test_what_is_lost_is_done_again_and_chooses_the_same(tuned, in_process, tmp_path):
    folders = copied(tuned, tmp_path)
    store = Store(folders.runs)
    before = inner_predictions(store)
    for folder in list(store.inner_folders().values())[::3]:
        shutil.rmtree(folder)
    for run in tuned_runs(tuned.outcome)[::2]:
        shutil.rmtree(store.folder(run))
    outcome = run_suite(tuned.suite, folders, in_process())
    assert outcome.complete
    assert set(outcome.runs) == set(tuned.outcome.runs)
    assert inner_predictions(store) == before


def test_a_call_that_is_cut_off_goes_on(tuned, in_process, tmp_path, capsys):
    """Cut off again and again, after five runs each; nothing is done twice."""
    count = []

    class Few(in_process):
        def run_all(self, runs, places, finished, terms):
            count.extend(run.id for run in runs[:5])
            return [*super().run_all(runs[:5], places, finished, terms), *runs[5:]]

    folders = dataclasses.replace(
        tuned.folders, runs=tmp_path / "runs", leaderboards=tmp_path / "leaderboards"
    )
    suite, options = of_lda(tuned), Options(max_hours=1.0)
    outcome = run_suite(suite, folders, Few(), options)
    assert not outcome.complete
    assert outcome.studies == 2
    assert main(["status", "--runs", str(folders.runs)]) == 0
    assert "2 studies that have not chosen yet" in capsys.readouterr().out
    while not outcome.complete:
        outcome = run_suite(suite, folders, Few(), options)
    assert len(count) == len(set(count))
    reference = [run for run in tuned.outcome.runs if run.model == "lda"]
    assert set(outcome.runs) == set(reference)
    assert main(["status", "--runs", str(folders.runs)]) == 0
    assert "studies" not in capsys.readouterr().out


def test_the_order_of_runs_does_not_matter(tuned, in_process, tmp_path):
    class Backwards(in_process):
        def run_all(self, runs, places, finished, terms):
            return super().run_all(list(reversed(runs)), places, finished, terms)

    folders = dataclasses.replace(
        tuned.folders, runs=tmp_path / "runs", leaderboards=tmp_path / "leaderboards"
    )
    outcome = run_suite(of_lda(tuned), folders, Backwards())
    assert list(outcome.runs) == [run for run in tuned.outcome.runs if run.model == "lda"]
    reference = inner_predictions(tuned.store)
    for name, content in inner_predictions(Store(folders.runs)).items():
        assert content == reference[name]


def test_two_workers_choose_what_one_does(tuned, tmp_path):
    folders = dataclasses.replace(
        tuned.folders, runs=tmp_path / "runs", leaderboards=tmp_path / "leaderboards"
    )
    with LocalEngine(Placement(devices="cpu", jobs=2)) as engine:
        outcome = run_suite(of_lda(tuned), folders, engine)
    store = Store(folders.runs)
    assert set(outcome.runs) == {run for run in tuned.outcome.runs if run.model == "lda"}
    reference = inner_predictions(tuned.store)
    assert inner_predictions(store)
    for name, content in inner_predictions(store).items():
        assert content == reference[name]
    for run in outcome.runs:
        one, other = (root.predictions(run) for root in (store, tuned.store))
        assert np.array_equal(one["probabilities"], other["probabilities"])


def test_shards_deal_whole_studies(tuned, in_process, tmp_path):
    folders = dataclasses.replace(
        tuned.folders, runs=tmp_path / "runs", leaderboards=tmp_path / "leaderboards"
    )
    suite = dataclasses.replace(tuned.suite, parts=(), models=("lda", "majority"), budget=7)
    parts = [
        run_suite(suite, folders, in_process(), Options(shard=(number, 3))) for number in (1, 2, 3)
    ]
    assert all(part.complete for part in parts)
    runs = [run for part in parts for run in part.runs]
    assert len(runs) == len(set(runs))
    expected = {run for run in tuned.outcome.runs if run.model in ("lda", "majority")}
    assert set(runs) == expected
    (board,) = write_leaderboards(Store(folders.runs), tmp_path / "leaderboards")
    assert set(board.table["model"]) == {"lda", "lda-tuned", "majority"}
    assert board.table["complete"].all()


def test_trackers_hear_of_no_inner_run(tuned, in_process, tmp_path, monkeypatch):
    heard = []

    class Tracker:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            """Nothing is open."""

        def add(self, run, anew=False):
            heard.append(run)

        def add_boards(self, folder):
            """Boards are no runs."""

    monkeypatch.setattr(campaign, "make_tracker", lambda *_: Tracker())
    folders = copied(tuned, tmp_path)
    for folder in Store(folders.runs).inner_folders().values():
        shutil.rmtree(folder)
    for run in tuned_runs(tuned.outcome):
        shutil.rmtree(Store(folders.runs).folder(run))
    outcome = run_suite(of_lda(tuned), folders, in_process())
    assert Counter(heard) == Counter(outcome.runs)


def test_a_dry_run_says_how_many_runs_there_are_at_most(tuned, in_process, tmp_path):
    folders = dataclasses.replace(tuned.folders, runs=tmp_path / "runs")
    lines = Lines()
    outcome = run_suite(tuned.suite, folders, in_process(), Options(dry_run=True), lines)
    at_most = FOLDS * 2 * (7 + 2)
    assert any(f"at most {at_most} inner runs" in line for line in lines.lines)
    assert outcome.studies == 4
    assert not (tmp_path / "runs").exists()


def test_a_damaged_inner_run_stops_its_study_alone(tuned, in_process, tmp_path):
    folders = copied(tuned, tmp_path)
    store = Store(folders.runs)
    (run, *others) = [run for run in tuned_runs(tuned.outcome) if run.model == "lda"]
    folder = store.inner_folders()[run.chosen_by[0]]
    (folder / RESULT).write_text("{")
    outcome = run_suite(of_lda(tuned), folders, in_process())
    assert not outcome.complete
    assert outcome.studies == 1
    assert [one.id for one in outcome.damaged] == [run.chosen_by[0]]
    assert set(others) <= set(outcome.runs)
    assert run not in outcome.runs


@pytest.mark.parametrize("retry", [False, True])
def test_a_failed_inner_run_is_done_again_if_asked(retry, tuned, in_process, tmp_path):
    folders = copied(tuned, tmp_path)
    store = Store(folders.runs)
    (run, _) = [run for run in tuned_runs(tuned.outcome) if run.model == "lda"]
    folder = store.inner_folders()[run.chosen_by[0]]
    result = dataclasses.replace(store.load(folder), status="failed", error="it failed", files={})
    shutil.rmtree(folder)
    store.save(result)
    outcome = run_suite(of_lda(tuned), folders, in_process(), Options(retry_failed=retry))
    assert outcome.complete
    assert (store.load(folder).status == "done") is retry
    assert (run in outcome.runs) is retry


def test_inner_runs_are_found_by_their_id(tuned):
    name, folder = next(iter(tuned.store.inner_folders().items()))
    assert tuned.store.find_one(name) == folder
    assert isinstance(folder, Path)
