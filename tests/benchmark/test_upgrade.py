"""A store of an older schema: every file of it is read, and its boards are what they were.

``fixtures/schema_1`` was written by the version before schemas: store and leaderboards of two calls
on synthetic data, without checkpoints, curves and logs.
"""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.boards.scores import scored_results
from benchmark.checks.verify import VerifyError, verify
from benchmark.plan.order import estimate
from benchmark.probes.catalogue import ProbeRecipe
from benchmark.report.content import collect
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store, load_run
from benchmark.upgrade import CONTROLS, SCHEMA, SchemaError, upgrade, upgrade_run
from datamodules.protocol import VERSION, Protocol
from lightning_modules.metrics import SCORES
from lightning_modules.recipe import Recipe

SCHEMA_1 = Path(__file__).parent / "fixtures" / "schema_1"
STORED = ("macro_f1", "balanced_accuracy", "mcc", "accuracy", "brier", "ece")
"""Scores that the results of schema 1 hold."""
HONEST = "synthetic_phase_60__stress__leave_one_subject_out"
FLAWED = "synthetic_phase_60__stress__subject_2_fold__with_random_windows"
RUN = Run(
    "wesad", "stress", Protocol("subject_k_fold", folds=2), 0, 0, "lda", ("eda",), ("S1",), "d" * 16
)

DECISIONS = {
    *("tie_group", "delta_simple", "p", "p_holm", "subjects_above_chance", "reading"),
    *(
        f"{name}{end}"
        for name in ("", "ci_", "balanced_", "gain_", "accuracy_")
        for end in ("low", "high")
    ),
}
"""Columns of decisions and intervals, which are made otherwise today."""


@pytest.fixture
def old(tmp_path: Path) -> Store:
    shutil.copytree(SCHEMA_1 / "store", tmp_path / "runs")
    return Store(tmp_path / "runs")


def as_written(store: Store) -> dict[str, dict]:
    paths = store.root.rglob("result.json")
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def test_every_file_is_read(old):
    written = as_written(old)
    assert len(written) == 24
    assert all("schema" not in values for values in written.values())
    for folder, result in old.entries():
        values = written[folder.name]
        assert result.run == load_run(folder)
        assert result.files == {}
        assert result.ended == (folder / "result.json").stat().st_mtime
        assert result.control == (values["run"]["distiller"] == "label_smoothing")
        for name in ("parameters", "seconds", "versions", "peak_memory", "commit", "raw"):
            assert getattr(result, name) == values[name]
    assert len(old.plan()) == 16
    assert {run.board for run in old.plan()} == {HONEST}


def test_a_run_is_what_it_was(old):
    """Every value of a flat run is in the run, its protocol or its recipe."""
    written = as_written(old)
    for folder, result in old.entries():
        run, values = result.run, written[folder.name]["run"]
        protocol = dataclasses.asdict(run.protocol)
        assert protocol.pop("version") == values.pop("protocol")
        assert protocol.pop("flags") == tuple(values.pop("flags"))
        assert protocol.pop("stimulus_folds") == 4  # these came later
        assert protocol.pop("partitions") == 1
        assert protocol.pop("corruption") == ""
        assert protocol.pop("calibration") == "none"
        assert protocol == {name: values.pop(name) for name in protocol}
        assert type(run.recipe) is (Recipe if run.model == "cnn" else ProbeRecipe)
        recipe = {name: getattr(run.recipe, name) for name, _ in values["recipe"]}
        assert recipe == dict(values.pop("recipe"))
        defaults = {field.name: field.default for field in dataclasses.fields(run.recipe)}
        assert dataclasses.asdict(run.recipe) == {**defaults, **recipe}
        assert values.keys() == {f.name for f in dataclasses.fields(Run)} - {
            "protocol",
            "recipe",
            "code",
            "window",
            "budget",
            "tuned",
            "chosen_by",
            "inner",
            "samples",
            "members",
            "weights",
            "pretrained",
            "pretrained_on",
            "trained",
            "adapter",
            "brought",
        }
        assert run.window == 0.0  # windows were cut down to a unit
        assert json.loads(json.dumps({name: getattr(run, name) for name in values})) == values


def test_teachers_of_a_run_are_runs(old):
    teacher, taught = (
        json.loads(next(old.root.rglob(f"{name}/0-0-*/run.json")).read_text())
        for name in ("cnn", "cnn-by_label_smoothing")
    )
    taught["teachers"] = [teacher, {**teacher, "without": ["S2"]}]
    run = Run.from_dict(upgrade_run(taught, 1))
    first, second = run.teachers
    assert first == Run.from_dict(upgrade_run(teacher, 1))
    assert second == dataclasses.replace(first, without=("S2",))
    assert first.protocol == run.protocol
    assert isinstance(first.recipe, Recipe)


def test_runs_are_found_by_the_ids_that_tables_name(old, tmp_path):
    """Runs of schema 1 had other ids, after which their folders are named."""
    write_leaderboards(old, tmp_path / "boards")
    tables = (tmp_path / "boards").rglob("runs.csv")
    ids = set(pd.concat([pd.read_csv(path) for path in tables])["id"])
    assert ids == {values["id"] for values in as_written(old).values()}
    for name in ids:
        assert old.find_one(name).name.endswith(f"-{name}")
    assert {result.run.id for result in scored_results(old)}.isdisjoint(ids)


@pytest.mark.parametrize("name", ["cnn", "lda"])
def test_a_run_of_another_protocol_is_not_done_again(old, workshop, in_process, tmp_path, name):
    """Beats, and who probes are fitted on, changed its numbers: it is another experiment."""
    for folder in sorted(old.root.glob(f"*/{name}/0-0-*")):
        with pytest.raises(VerifyError, match=f"protocol {VERSION}, found protocol 1"):
            verify(folder, workshop.places(tmp_path), in_process())


def test_costs_of_planned_runs_are_those_of_old_results(old):
    estimated = estimate(old.plan(), old, workers=1)
    assert estimated.unknown == {}
    assert estimated.hours > 0
    assert estimated.size > 0


def test_scores_are_those_that_were_stored(old):
    written, compared = as_written(old), 0
    for result in scored_results(old):
        values = written[result.folder.name]
        assert result.n_units == values["n_units"]
        assert result.confusion == values["confusion"]
        for subject, scores in values["scores"].items():
            again = {name: result.scores[subject][name] for name in scores}
            assert again == pytest.approx(scores, abs=1e-6)
            compared += len(scores)
    assert compared == (16 * 1 + 4 * 2 + 4 * 4) * len(STORED)


def test_boards_hold_the_same_numbers(old, tmp_path):
    write_leaderboards(old, tmp_path / "boards")
    names = {path.relative_to(SCHEMA_1 / "leaderboards") for path in SCHEMA_1.rglob("*.csv")}
    assert len(names) == 7
    for name in names:
        before, after = (
            pd.read_csv(folder / name, comment="#")
            for folder in (SCHEMA_1 / "leaderboards", tmp_path / "boards")
        )
        kept = [column for column in before if column not in DECISIONS]
        assert len(kept) > len(before) / 2
        pd.testing.assert_frame_equal(after[kept], before[kept], rtol=0, atol=1.01e-4)
    head = (tmp_path / "boards" / f"{HONEST}.csv").read_text().splitlines()
    said = "# 16 result(s) were kept by a version that recorded no digests"
    assert sum(line.startswith(said) for line in head) == 1


def excess(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Hits less misses, as a share: a score as a contributor would add it."""
    hits = probabilities.argmax(axis=1) == target
    return float(np.mean(hits) - np.mean(~hits))


def test_a_new_score_is_on_every_board_without_a_run(old, tmp_path, monkeypatch):
    write_leaderboards(old, tmp_path / "before")
    monkeypatch.setitem(SCORES, "excess", excess)
    write_leaderboards(old, tmp_path / "boards")
    for name in (f"{HONEST}.csv", f"flawed/{FLAWED}.csv", "runs.csv", "flawed/runs.csv"):
        before = pd.read_csv(tmp_path / "before" / name, comment="#")
        after = pd.read_csv(tmp_path / "boards" / name, comment="#")
        columns = list(after)
        assert columns[columns.index("excess") - 1] == list(SCORES)[-2]
        pd.testing.assert_frame_equal(after.drop(columns="excess"), before)
    lines = pd.read_csv(tmp_path / "boards" / "runs.csv")
    np.testing.assert_allclose(lines["excess"], 2 * lines["accuracy"] - 1, atol=2e-4)
    assert lines["excess"].nunique() > 3
    board = next(board for board in collect(old, tmp_path).boards if board.name == HONEST)
    place = [column.title for column in board.columns].index("excess")
    assert board.columns[place].number
    shown = {line.name: line.cells[place].text for line in board.lines}
    assert shown["lda"] == "1.000"
    assert shown["majority"] == "0.000"


def test_a_later_schema_is_refused(tmp_path, caplog):
    store = Store(tmp_path)
    store.save(Result(RUN, "failed", error="ValueError: no"))
    path = store.folder(RUN) / "result.json"
    values = json.loads(path.read_text())
    assert values["schema"] == SCHEMA
    path.write_text(json.dumps({**values, "schema": SCHEMA + 1}))
    (tmp_path / "plan.json").write_text(json.dumps({"schema": SCHEMA + 1, "runs": [values["run"]]}))
    said = rf"expected results of schema {SCHEMA} or an older one, found schema {SCHEMA + 1}"
    for read in (
        lambda: store.load(path.parent),
        store.plan,
    ):
        with pytest.raises(SchemaError, match=said):
            read()
    assert list(store.results()) == []
    assert store.status(RUN) == "damaged"
    (named,) = caplog.messages
    assert named.startswith(f"set aside: {path}: expected results of schema {SCHEMA} or an older")


def test_what_is_written_is_read_back_as_it_is(tmp_path):
    result = Result(RUN, "done", control=True, ended=3.0, epochs=(3, 2), notes=("a",))
    values = json.loads(json.dumps(result.as_dict()))
    assert Result.from_dict(values) == result
    assert upgrade(values, SCHEMA)["control"] is True
    store = Store(tmp_path)
    store.save_plan([RUN])
    assert store.plan() == [RUN]


@pytest.mark.parametrize("name", [*CONTROLS, "soft_targets", ""])
def test_controls_of_schema_1_are_told_by_name(name):
    old = {"run": {"distiller": name}, "scores": {"S1": {}}, "confusion": {}, "parameters": 3}
    new = upgrade(old, 1)
    assert new["control"] == (name in CONTROLS)
    assert "scores" not in new
    assert "confusion" not in new
    assert new["parameters"] == 3


def test_the_same_arrays_make_the_same_predictions_file():
    """Digests of two executions agree as no time stands in the file."""
    made = []
    for _ in range(2):
        file = io.BytesIO()
        np.savez(file, a=np.arange(3))
        made.append(file.getvalue())
    assert made[0] == made[1]
