"""A suite goes in and boards come out, called from Python; test_main.py calls it as a user does."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark import campaign
from benchmark.campaign import Folders, Options, Reporter, changed_code, run_suite
from benchmark.plan.expand import expand
from benchmark.plan.suite import SuiteError
from benchmark.run import Run
from benchmark.scored import scored
from benchmark.store import Store
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.protocol import Protocol
from datamodules.synthesis import empatica_e4
from datamodules.synthetic import SyntheticReader

BOARD = "synthetic_phase_60__stress__leave_one_subject_out"


class Notes(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.said, self.warned, self.boards, self.events = [], [], [], []

    def say(self, line):
        self.said.append(line)

    def warn(self, line):
        self.warned.append(line)

    def board(self, board):
        self.boards.append(board)

    def finished(self, event):
        self.events.append(event)


@pytest.fixture
def folders(tmp_path, workshop):
    """Paths as text, as a user may write them."""
    names = {name: str(tmp_path / name) for name in ("data", "runs", "leaderboards")}
    return Folders(cache=workshop.cache, **names)


@pytest.fixture
def suite(workshop):
    return workshop.suite(["majority", "lda"])


def test_suite_in_boards_out(suite, folders, in_process, capfd, tmp_path):
    outcome = run_suite(suite, folders, in_process())
    assert outcome.complete
    assert outcome.failed == ()
    assert len(outcome.runs) == 8
    (board,) = outcome.boards
    assert board.name == BOARD
    assert set(board.table["model"]) == {"majority", "lda"}
    assert (tmp_path / "leaderboards" / f"{BOARD}.csv").is_file()
    assert capfd.readouterr() == ("", "")


def test_on_this_machine_unless_an_engine_is_given(write_suite, folders):
    """A path of a file in place of a suite; worker processes do the runs."""
    outcome = run_suite(str(write_suite(models=["majority"])), folders)
    assert outcome.complete
    assert [board.name for board in outcome.boards] == [BOARD]


def test_name_of_a_suite(folders, in_process):
    outcome = run_suite("quick", folders, in_process(), Options(dry_run=True))
    assert outcome.runs
    assert set(outcome.statuses.values()) == {None}
    with pytest.raises(SuiteError, match="quik"):
        run_suite("quik", folders, in_process())


def test_the_second_time_nothing_is_done(suite, folders, in_process):
    first, second = Notes(), Notes()
    for notes in (first, second):
        assert run_suite(suite, folders, in_process(), reporter=notes).complete
    assert len(first.events) == 8
    assert second.events == []
    assert "8 runs on 1 board(s), 8 of them finished before, 0 to do" in second.said
    assert [board.name for board in second.boards] == [BOARD]
    assert first.warned == second.warned == []


def test_dry_run_touches_nothing(suite, folders, in_process, tmp_path):
    notes = Notes()
    outcome = run_suite(suite, folders, in_process(), Options(dry_run=True), notes)
    assert (outcome.complete, outcome.boards) == (False, ())
    assert f"{BOARD}: 8 to do" in notes.said
    assert {line.split()[0] for line in notes.said if line.startswith("  ")} == {
        run.id for run in outcome.runs
    }
    assert not (tmp_path / "runs").exists()


def test_shards_together_are_the_whole(suite, folders, in_process):
    parts = [
        run_suite(suite, folders, in_process(), Options(shard=(number, 2))) for number in (1, 2)
    ]
    assert [part.boards for part in parts] == [(), ()]
    ids = [run.id for part in parts for run in part.runs]
    assert len(ids) == len(set(ids)) == 8
    notes = Notes()
    assert run_suite(suite, folders, in_process(), reporter=notes).complete
    assert notes.events == []


def test_failed_runs_are_an_outcome_and_done_again_if_asked(
    workshop, folders, in_process, tmp_path
):
    diverging = workshop.suite(["cnn"], recipes={"cnn": {"lr": 1e30, "stride": 30.0}})
    notes = Notes()
    outcome = run_suite(diverging, folders, in_process(), reporter=notes)
    assert len(outcome.failed) == 4
    assert not outcome.complete
    assert "4 run(s) failed; --retry-failed does them again" in notes.warned
    again = Notes()
    run_suite(diverging, folders, in_process(), reporter=again)
    assert again.events == []
    run_suite(diverging, folders, in_process(), Options(retry_failed=True), again)
    assert len(again.events) == 4


def test_time_that_is_over_leaves_runs(suite, folders, in_process):
    notes = Notes()
    outcome = run_suite(suite, folders, in_process(), Options(max_hours=1e-12), notes)
    assert not outcome.complete
    assert set(outcome.statuses.values()) == {None}
    assert any(line.startswith("8 run(s) left, as 1e-12 hours") for line in notes.warned)


def test_a_subject_that_cannot_be_read_is_left_out_or_stops_it(
    suite, folders, in_process, monkeypatch, tmp_path
):
    read = SyntheticReader.read

    def damaged(self, subject):
        if subject == "S2":
            raise DatasetCorruptedError("broken")
        return read(self, subject)

    monkeypatch.setattr(SyntheticReader, "read", damaged)
    folders = dataclasses.replace(folders, cache=tmp_path / "cache")
    with pytest.raises(SuiteError, match="--strict was given"):
        run_suite(suite, folders, in_process(), Options(strict=True))
    notes = Notes()
    outcome = run_suite(suite, folders, in_process(), reporter=notes)
    assert outcome.left_out == {"synthetic": {"S2": "broken"}}
    assert not outcome.complete
    assert all(status == "done" for status in outcome.statuses.values())
    assert "synthetic: left out: S2: broken" in notes.warned


def test_no_data_is_an_error_for_a_user(folders, in_process, workshop):
    suite = dataclasses.replace(workshop.suite(["majority"]), datasets=("wesad",), options={})
    with pytest.raises(DatasetNotFoundError):
        run_suite(suite, folders, in_process())


def test_code_that_changed_since_runs_were_finished():
    def run(fold, code, *teachers, alone=""):
        return Run(
            *("d", "t", Protocol(), fold, 0, "dnn", ("eda",), ("S1",), "x"),
            code=code,
            teachers=teachers,
            alone=alone,
        )

    before = [run(fold, "old") for fold in range(4)]
    planned = [run(fold, "new") for fold in range(5)]
    assert changed_code(planned, before) == {"dnn": 4}
    assert changed_code(before, before) == {}
    assert changed_code(planned, []) == {}
    taught = run(0, "same", run(1, "new"), alone=run(0, "new").id)
    taught_before = run(0, "same", run(1, "old"), alone=run(0, "old").id)
    assert changed_code([taught], [taught_before]) == {taught.name: 1}


def test_changed_code_is_said_and_done_again(suite, folders, in_process, monkeypatch):
    run_suite(suite, folders, in_process())

    def expand_changed(*words):
        plan = expand(*words)
        runs = [dataclasses.replace(r, code="x" * 12) if r.model == "lda" else r for r in plan.runs]
        return dataclasses.replace(plan, runs=tuple(runs))

    monkeypatch.setattr(campaign, "expand", expand_changed)
    notes = Notes()
    assert run_suite(suite, folders, in_process(), reporter=notes).complete
    said = "code of lda changed since 4 finished runs: they are kept, and done again"
    assert [line for line in notes.said if line.startswith("code of")] == [said]
    assert [event.run.model for event in notes.events] == ["lda"] * 4
    assert len(list(Store(Path(folders.runs)).results())) == 12


def test_long_and_short_windows_stand_on_one_board(workshop, folders, in_process):
    """A unit of a minute by windows of 20 s, 60 s and 90 s: the same units, and the row says so."""
    recipes = {
        "cnn": {"window": 90.0, "stride": 30.0, "max_epochs": 1},
        "dnn": {"window": 20.0, "stride": 20.0, "max_epochs": 1},
    }
    options = {"synthetic": {"n_subjects": 4, "phase": 120.0}}
    suite = workshop.suite(
        ["cnn", "dnn", "lda"], options=options, recipes=recipes, splits=("subject_k_fold",)
    ).with_protocol(folds=3)
    outcome = run_suite(suite, folders, in_process())
    assert outcome.complete
    (board,) = outcome.boards
    table = board.table.set_index("model")
    assert table["window"].to_dict() == {"cnn": "90", "dnn": "20", "lda": "60"}
    assert any("longer than a score unit: cnn (90 s);" in line for line in board.head)
    runs = {run.model: run for run in outcome.runs if not run.fold}
    results = {model: scored(Store(Path(folders.runs)), run) for model, run in runs.items()}
    assert results["cnn"].n_units == results["dnn"].n_units == results["lda"].n_units
    assert results["cnn"].units == results["dnn"].units
    assert set(results["cnn"].n_units.values()) == {8 * 2}
    predictions = np.load(Store(Path(folders.runs)).folder(runs["cnn"]) / "predictions.npz")
    assert len(predictions["unit"]) == 8 * 2 * len(results["cnn"].n_units)


# ---- signals that are prepared


def prepared_signals(cache, dataset):
    return {path.name.partition(".")[2] for path in (cache / dataset).iterdir()} - {""}


def test_only_signals_of_the_runs_are_prepared_and_others_later(tmp_path, in_process, workshop):
    folders = Folders("none", tmp_path / "cache", tmp_path / "runs", tmp_path / "leaderboards")
    suite = workshop.suite(["cnn", "majority"], signals=("temp",))
    first = run_suite(suite, folders, in_process())
    assert first.complete
    assert prepared_signals(tmp_path / "cache", "synthetic") == {"temp"}
    more = dataclasses.replace(suite, signals=("temp", "eda"))
    second = run_suite(more, folders, in_process())
    assert prepared_signals(tmp_path / "cache", "synthetic") == {"temp", "eda"}
    (board,) = second.boards
    assert set(board.table["model"]) == {"cnn", "majority"}
    # who predicts the majority sees no signal, whichever are prepared: it is not done again
    again = {run.id for run in first.runs} & {run.id for run in second.runs}
    assert again == {run.id for run in first.runs if run.model == "majority"}


def test_another_signal_is_prepared_in_place_of_one_that_somebody_lacks(
    tmp_path, in_process, write_suite
):
    empatica_e4.write(tmp_path / "data" / "empatica_e4", 4, minutes=2.2)
    (tmp_path / "data" / "empatica_e4" / "P02" / "BVP.csv").unlink()
    folders = Folders(tmp_path / "data", tmp_path / "cache", tmp_path / "r", tmp_path / "l")
    keys = {"datasets": ["empatica_e4"], "models": ["attention_lrcn"], "options": {}}
    outcome = run_suite(write_suite(**keys), folders, in_process(), Options(dry_run=True))
    (signals,) = {run.signals for run in outcome.runs}
    assert "bvp" not in signals
    assert prepared_signals(tmp_path / "cache", "empatica_e4") == {"bvp", *signals}
    assert all(run.samples for run in outcome.runs)
