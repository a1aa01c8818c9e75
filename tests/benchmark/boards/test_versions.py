"""Versions of a board: the latest call's is shown and ranked, others lie apart with a reason."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from benchmark.boards.board import left_behind, write_leaderboards
from benchmark.boards.versions import by_version
from benchmark.cli.main import main
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from datamodules.protocol import Protocol
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import boards_of, make_run, stored

SUBJECTS = ("S1", "S2", "S3")
OLD, NEW = "b" * 16, "a" * 16


def run(model: str, fold: int, **fields) -> Run:
    fields = {"signals": ("eda",), "subjects": SUBJECTS, "data": NEW, **fields}
    return make_run(dataset="synthetic", task="stress", fold=fold, seed=0, model=model, **fields)


def results(model: str, score: float, ended: float = 0.0, **fields) -> list[Scored]:
    """A result a subject, with one score throughout."""
    made = []
    for fold, subject in enumerate(fields.get("subjects", SUBJECTS)):
        made.append(
            Scored(
                run(model, fold, **fields),
                "done",
                scores={subject: dict.fromkeys(SCORES, score)},
                n_units={subject: 4},
                units={subject: f"units of {fields.get('data', NEW)}"},
                confusion={subject: [[1, 1], [1, 1]]},
                seconds={"train": 1.0},
                ended=ended,
            )
        )
    return made


def plan(*models: str, **fields) -> list[Run]:
    subjects = fields.get("subjects", SUBJECTS)
    return [run(model, fold, **fields) for model in models for fold in range(len(subjects))]


BOARD = run("lda", 0).board


def written(folder: Path, found: list[Scored], asked: list[Run]) -> Path:
    store = stored(folder / "runs", found)
    store.save_plan(asked)
    write_leaderboards(store, folder / "boards")
    return folder / "boards"


def macro_f1(path: Path) -> dict[str, float]:
    table = pd.read_csv(path, comment="#")
    return dict(zip(table["model"], table["macro_f1"], strict=True))


def test_the_board_is_of_the_recordings_of_the_latest_call(tmp_path):
    """More people, more results, and computed later: none of it puts the older ones first."""
    everybody = ("S1", "S2", "S3", "S4")
    found = [
        *results("lda", 0.9, ended=9.0, data=OLD, subjects=everybody),
        *results("cnn", 0.8, ended=9.0, data=OLD, subjects=everybody),
        *results("lda", 0.6, ended=1.0),
    ]
    boards = written(tmp_path, found, plan("lda"))
    store = Store(tmp_path / "runs")
    (board,) = boards_of(store)
    assert board.name == BOARD
    assert board.table["macro_f1"].tolist() == pytest.approx([0.6])
    assert macro_f1(boards / f"{BOARD}.csv") == {"lda": 0.6}
    older = boards / "older" / f"{BOARD}__data_bbbbbb.csv"
    assert macro_f1(older) == {"lda": 0.9, "cnn": 0.8}
    head = older.read_text().splitlines()
    assert head[0].startswith(f"# {older.stem}: macro F1")
    assert head[1].startswith("# OLDER VERSION, not ranked")
    assert "4 subjects (S1 S2 S3 S4), today 3 subjects (S1 S2 S3)" in head[1]
    assert OLD in head[1]
    assert NEW in head[1]
    assert any(f"older/{older.name}" in line for line in board.head)
    assert [path.name for path in (boards / "older").iterdir() if "runs" not in path.name] == [
        older.name
    ]
    assert set(pd.read_csv(boards / "runs.csv")["train_seconds"]) == {1.0}
    assert len(pd.read_csv(boards / "runs.csv")) == 3
    assert len(pd.read_csv(boards / "older" / "runs.csv")) == 8
    for name in ("overall", "comparisons"):
        assert "cnn" not in (boards / f"{name}.csv").read_text()
    store.save_plan(plan("lda", "cnn", data=OLD, subjects=everybody))
    assert boards_of(store)[0].table["macro_f1"].tolist() == pytest.approx([0.9, 0.8])


def test_of_a_board_that_the_latest_call_did_not_ask_for_the_last_computed_is_shown(tmp_path):
    found = [*results("lda", 0.9, ended=5.0, data=OLD), *results("lda", 0.6, ended=6.0)]
    other = [dataclasses.replace(asked, task="affect") for asked in plan("lda")]
    boards = written(tmp_path, found, other)
    assert macro_f1(boards / f"{BOARD}.csv") == {"lda": 0.6}
    again = [*results("lda", 0.9, ended=7.0, data=OLD), *results("lda", 0.6, ended=6.0)]
    boards = written(tmp_path / "again", again, other)
    assert macro_f1(boards / f"{BOARD}.csv") == {"lda": 0.9}
    assert macro_f1(boards / "older" / f"{BOARD}__data_aaaaaa.csv") == {"lda": 0.6}


def test_older_protocols_lie_apart():
    cases = [(2, NEW), (2, OLD), (1, NEW), (1, OLD)]
    found = [r for p, data in cases for r in results("lda", p / 10, version=p, data=data)]
    today, older = by_version(found, plan("lda", version=2))
    assert {r.run.protocol.version for r in today[BOARD]} == {2}
    assert {r.run.data for r in today[BOARD]} == {NEW}
    assert {(version.name, version.reason) for version in older} == {
        (f"{BOARD}__data_bbbbbb", f"prepared recordings {OLD}, today {NEW}"),
        (f"{BOARD}__protocol_1", "protocol 1, today 2"),
        (
            f"{BOARD}__protocol_1__data_bbbbbb",
            f"protocol 1, today 2; prepared recordings {OLD}, today {NEW}",
        ),
    }
    assert sum(len(version.results) for version in older) == 9


def test_a_row_is_of_the_code_of_the_latest_call(tmp_path):
    found = [
        *results("cnn", 0.9, ended=9.0, code="c1" * 8),
        *results("cnn", 0.6, ended=1.0, code="c2" * 8),
        *results("lda", 0.7, ended=1.0),
        *results("dnn", 0.2, ended=1.0, code="d1" * 8),
        *results("dnn", 0.3, ended=2.0, code="d2" * 8),
    ]
    boards = written(tmp_path, found, plan("cnn", code="c2" * 8))
    assert macro_f1(boards / f"{BOARD}.csv") == {"cnn": 0.6, "lda": 0.7, "dnn": 0.3}
    older = boards / "older" / f"{BOARD}__code_of_cnn_c1c1c1.csv"
    assert macro_f1(older) == {"cnn": 0.9}
    assert macro_f1(older.with_name(f"{BOARD}__code_of_dnn_d1d1d1.csv")) == {"dnn": 0.2}
    assert f"the code of cnn has changed: {'c1' * 8}, today {'c2' * 8}" in older.read_text()
    compared = pd.read_csv(boards / "comparisons.csv")
    assert {*compared["model"], *compared["against"]} == {"cnn", "lda", "dnn"}
    (overall,) = (boards / "overall.csv",)
    assert "rows on" not in overall.read_text()


def test_windows_that_were_cut_down_to_a_unit_are_older_than_those_around_it(tmp_path):
    found = [
        *results("cnn", 0.9, ended=9.0),
        *results("cnn", 0.6, ended=1.0, window=120.0),
        *results("lda", 0.7, ended=1.0),
    ]
    boards = written(tmp_path, found, [*plan("cnn", window=120.0), *plan("lda")])
    assert macro_f1(boards / f"{BOARD}.csv") == {"cnn": 0.6, "lda": 0.7}
    older = boards / "older" / f"{BOARD}__windows_of_cnn_unit.csv"
    assert macro_f1(older) == {"cnn": 0.9}
    assert "the windows of cnn have changed: unit, today 120s" in older.read_text()
    assert "rows on" not in (boards / "overall.csv").read_text()


def test_other_samples_of_its_signals_make_a_row_older(tmp_path):
    """Rows that see other signals stay, as what they saw is what it was."""
    found = [
        *results("cnn", 0.9, ended=9.0, samples="51" * 8),
        *results("cnn", 0.6, ended=1.0, samples="52" * 8),
        *results("lda", 0.7, ended=1.0, signals=("bvp",), samples="b1" * 8),
    ]
    boards = written(tmp_path, found, plan("cnn", samples="52" * 8))
    assert macro_f1(boards / f"{BOARD}.csv") == {"cnn": 0.6, "lda": 0.7}
    older = boards / "older" / f"{BOARD}__samples_of_cnn_515151.csv"
    assert macro_f1(older) == {"cnn": 0.9}
    assert f"the samples of cnn have changed: {'51' * 8}, today {'52' * 8}" in older.read_text()


def test_other_samples_of_a_member_make_an_ensemble_older():
    def made(samples):
        return results("ensemble", 0.8, kind="greedy", members=(run("cnn", 0, samples=samples),))

    old, new = made("51" * 8), made("52" * 8)
    today, (older,) = by_version(old + new, [r.run for r in new])
    assert [r.run for r in today[BOARD]] == [r.run for r in new]
    assert older.name == f"{BOARD}__samples_of_ensemble_515151"


def test_new_code_that_is_half_done_is_shown_and_the_old_is_not(tmp_path):
    found = [*results("cnn", 0.9), *results("cnn", 0.6, code="c" * 16)[:1], *results("lda", 0.7)]
    store = stored(tmp_path, found)
    store.save_plan(plan("cnn", code="c" * 16) + plan("lda"))
    (board,) = boards_of(store)
    table = board.table.set_index("model")
    assert table["macro_f1"].to_dict() == pytest.approx({"lda": 0.7, "cnn": 0.6})
    assert not table.loc["cnn", "complete"]
    assert any("2 planned run(s) not done" in line for line in board.head)
    assert any("the code of cnn has changed: unrecorded, today cccc" in line for line in board.head)


def test_a_student_of_a_teacher_whose_code_changed_is_older(tmp_path):
    teachers = [run("lstm", fold, code=code) for fold in range(3) for code in ("1", "2")]
    found = []
    for teacher in teachers:
        (made,) = [r for r in results("cnn", 0.5) if r.run.fold == teacher.fold]
        taught = dataclasses.replace(
            made.run, distiller="features", alone=made.run.id, teachers=(teacher,)
        )
        found.append(dataclasses.replace(made, run=taught))
    asked = [r.run for r in found if r.run.teachers[0].code == "2"]
    today, older = by_version(found, asked)
    assert [r.run for r in today[BOARD]] == asked
    (version,) = older
    assert version.name == f"{BOARD}__code_of_cnn-by_features-of_lstm_1"
    assert len(version.results) == 3


def test_flawed_boards_have_versions_too(tmp_path):
    flawed = {"protocol": Protocol(flags=("random_windows",))}
    asked = [dataclasses.replace(r, **flawed) for r in plan("lda")]
    new, old = results("lda", 0.6), results("lda", 0.9, data=OLD)
    found = [dataclasses.replace(r, run=dataclasses.replace(r.run, **flawed)) for r in new + old]
    today, older = by_version(found, asked)
    assert {r.run.data for r in next(iter(today.values()))} == {NEW}
    (version,) = older
    assert version.name.endswith("with_random_windows__data_bbbbbb")


def test_stale_boards_go(tmp_path):
    """A board that is older or of today now, and was not then; strangers stay."""
    boards = written(tmp_path, [*results("lda", 0.9, data=OLD), *results("lda", 0.6)], plan("lda"))
    store = Store(tmp_path / "runs")
    strangers = boards / "mine.csv", boards / "older" / "mine.csv"
    for path in strangers:
        path.write_text("# mine: macro F1\n")
    (boards / f"{BOARD}__data_bbbbbb.csv").write_bytes(  # where versions lay before
        (boards / "older" / f"{BOARD}__data_bbbbbb.csv").read_bytes()
    )
    assert left_behind(store, boards, boards_of(store)) == [boards / f"{BOARD}__data_bbbbbb.csv"]
    store.save_plan(plan("lda", data=OLD))
    write_leaderboards(store, boards)
    names = {path.name for path in (boards / "older").iterdir()}
    assert names == {f"{BOARD}__data_aaaaaa.csv", "runs.csv", "mine.csv"}
    store.save_plan(plan("lda", data="c" * 16))
    today = write_leaderboards(store, boards)
    assert today == []
    assert boards / f"{BOARD}.csv" in left_behind(store, boards, today)
    assert len(list((boards / "older").glob(f"{BOARD}*.csv"))) == 2
    assert all(path.is_file() for path in strangers)


def test_the_command_prints_the_board_of_the_people_it_was_called_with(
    write_suite, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = ["run", str(write_suite(models=["majority", "lda"])), "--devices", "cpu"]
    assert main(words) == 0
    assert "n = 4 subjects, 32 score units" in capsys.readouterr().out
    assert main([*words, "--subject", "S1", "S2", "S3"]) == 0
    said = capsys.readouterr().out
    assert "n = 3 subjects, 24 score units" in said
    assert "n = 4 subjects" not in said
    assert "4 subjects (S1 S2 S3 S4), today 3 subjects (S1 S2 S3)" in said
    (path,) = (tmp_path / "leaderboards" / "older").glob("synthetic*.csv")
    assert "# n = 4 subjects, 32 score units" in path.read_text()
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "nothing to compute" in said
    assert "n = 4 subjects, 32 score units" in said
