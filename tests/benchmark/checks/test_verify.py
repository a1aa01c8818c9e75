"""Verify: what comes out again, what was tampered with, and what has changed meanwhile."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.cli.main import main
from benchmark.execution import execute as train
from benchmark.execution.circumstances import commit
from benchmark.plan.suite import Distillation
from benchmark.run import Run
from benchmark.scored import scored
from benchmark.store import Store, load_run
from datamodules.protocol import VERSION


@pytest.fixture(scope="module")
def kept(workshop, tmp_path_factory) -> tuple[Path, dict[str, Run]]:
    """A store of a student, its teacher, the taught student and a probe, of fold 1."""
    pair = Distillation("soft_targets", "dnn", "cnn")
    changes = {name: {"max_epochs": 2, "stride": 30.0} for name in ("cnn", "dnn")}
    plan = workshop.plan(["lda"], distillations=(pair,), recipes=changes, seeds=(3,))
    runs = {run.name: run for run in plan if run.fold == 1}
    folder = tmp_path_factory.mktemp("kept")
    workshop.do(list(runs.values()), folder)
    return folder, runs


@pytest.fixture
def store(kept, tmp_path) -> Store:
    """A copy that may be changed."""
    shutil.copytree(kept[0], tmp_path / "runs")
    return Store(tmp_path / "runs")


@pytest.fixture
def again(workshop, tmp_path, capsys, monkeypatch, in_process):
    """Calls the command; the run is done in this process, not in a worker's."""

    monkeypatch.setattr("benchmark.cli.verify.make_engine", lambda *_: in_process())

    def call(run: str, *words: str) -> tuple[int, str, str]:
        places = ["--data", "none", "--cache", str(workshop.cache)]
        status = main(["verify", run, "--runs", str(tmp_path / "runs"), *places, *words])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def altered(folder: Path, **columns) -> None:
    """Predictions with some columns changed by functions, as if they had been committed so."""
    with np.load(folder / "predictions.npz") as file:
        values = dict(file)
    values.update({name: change(values[name]) for name, change in columns.items()})
    np.savez(folder / "predictions.npz", **values)
    digest = hashlib.sha256((folder / "predictions.npz").read_bytes()).hexdigest()
    path = folder / "result.json"
    rewritten(path, files={**json.loads(path.read_text())["files"], "predictions.npz": digest})


def rewritten(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", ["dnn", "lda", "dnn-by_soft_targets-of_cnn"])
def test_comes_out_again_bit_by_bit(kept, store, again, name):
    before = contents(store.root)
    status, out, err = again(kept[1][name].id, "--tolerance", "0")
    assert (status, err) == (0, "")
    assert "equal bits" in out
    assert contents(store.root) == before


def test_deterministic_holds_torch_to_it_for_the_run_alone(kept, store, again, monkeypatch):
    seen = []
    fit = train._fit

    def watched(*values):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return fit(*values)

    monkeypatch.setattr(train, "_fit", watched)
    status, out, _ = again(kept[1]["cnn"].id, "--deterministic")
    assert status == 0
    assert "deterministic: False on record, True now" in out
    assert "(tolerance: equal bits)" in out
    assert seen == [True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_worker_gives_the_same_bits(kept, store, workshop, tmp_path, capsys):
    words = ["--data", "none", "--cache", str(workshop.cache), "--device", "cpu"]
    runs = ["--runs", str(store.root)]
    assert main(["verify", str(store.folder(kept[1]["dnn"])), *words, *runs, "--tolerance=0"]) == 0
    assert "equal bits" in capsys.readouterr().out


def test_changed_probabilities_are_found_and_counted(kept, store, again):
    folder = store.folder(kept[1]["cnn"])

    def moved(p):
        p = p.copy()
        p[0] = p[0, ::-1]
        p[1] += [1e-3, -1e-3]
        p[2] += [1e-6, -1e-6]
        return p

    altered(folder, probabilities=moved)
    status, out, _ = again(kept[1]["cnn"].id)
    assert status == 1
    assert "| probabilities |" in out
    assert "2 differ, 1 in class" in out
    assert again(kept[1]["cnn"].id, "--tolerance", "0")[1].count("3 differ, 1 in class") == 1
    assert again(kept[1]["cnn"].id, "--tolerance", "1")[0] == 0


def test_changed_score_is_found(kept, store, again):
    run = kept[1]["lda"]
    (subject,) = scored(store, run).scores
    true = scored(store, run).scores[subject]["mcc"]
    altered(store.folder(run), probabilities=lambda p: np.roll(p, 1, axis=0))
    other = scored(store, run).scores[subject]["mcc"]
    status, out, _ = again(run.id)
    assert status == 1
    assert f"| mcc of {subject} | {other:.6f} | {true:.6f} |" in out


def test_predictions_that_are_not_those_committed_are_refused(kept, store, again):
    path = store.folder(kept[1]["lda"]) / "predictions.npz"
    path.write_bytes(path.read_bytes() + b" ")
    status, out, err = again(kept[1]["lda"].id)
    assert (status, out) == (2, "")
    assert f"{path}: expected the file that was committed" in err


def test_other_windows_are_found(kept, store, again):
    altered(store.folder(kept[1]["lda"]), label=lambda label: 1 - label)
    status, out, _ = again(kept[1]["lda"].id)
    assert status == 1
    assert "| windows: label |" in out


def test_what_changed_meanwhile_is_said_and_is_no_verdict(kept, store, again):
    path = store.folder(kept[1]["lda"]) / "result.json"
    versions = {**json.loads(path.read_text())["versions"], "torch": "1.0"}
    rewritten(path, commit="0123456789", versions=versions, device="cpu (z80)", threads=9)
    status, out, _ = again(kept[1]["lda"].id)
    assert status == 0
    for line in (
        f"commit: 0123456789 on record, {commit() or 'unknown'} now",
        f"torch: 1.0 on record, {torch.__version__} now",
        "device: cpu (z80) on record",
        "threads: 9 on record, 1 now",
    ):
        assert line in out


def test_run_that_fails_now_differs(kept, store, again, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(train, "fit_probe", broken)
    status, out, _ = again(kept[1]["lda"].id)
    assert status == 1
    assert out.splitlines()[-1] == "FAILED now: RuntimeError: no such kernel"


def test_run_that_cannot_be_done_again_is_refused(kept, store, again):
    taught = kept[1]["dnn-by_soft_targets-of_cnn"]
    shutil.rmtree(store.folder(kept[1]["cnn"]))
    status, out, err = again(taught.id)
    assert (status, out) == (2, "")
    assert f"expected its teacher {kept[1]['cnn'].id}" in err
    folder = store.folder(kept[1]["lda"])
    whole = json.loads((folder / "run.json").read_text())
    for changes, expected in (
        ({"seed": 9}, "of one run"),
        ({"protocol": {**whole["protocol"], "version": VERSION + 1}}, "of one run"),
    ):
        (folder / "run.json").write_text(json.dumps({**whole, **changes}))
        assert expected in again(kept[1]["lda"].id)[2]
    (folder / "run.json").write_text(json.dumps(whole))
    run = load_run(folder)
    old = dataclasses.replace(run, protocol=dataclasses.replace(run.protocol, version=VERSION + 1))
    (folder / "run.json").write_text(json.dumps({**whole, **old.as_dict()}))
    rewritten(folder / "result.json", run=old.as_dict(), id=old.id)
    assert f"found protocol {VERSION + 1}" in again(str(folder))[2]
    (folder / "run.json").unlink()
    assert "expected run.json" in again(str(folder))[2]
    assert "no run 'zzz'" in again("zzz")[2]
    assert "expected one run, found 3" in again("")[2]


def test_failed_run_is_refused(kept, store, again):
    path = store.folder(kept[1]["lda"]) / "result.json"
    rewritten(path, status="failed", error="ValueError: no")
    assert "found one that failed: ValueError: no" in again(kept[1]["lda"].id)[2]


def test_no_such_device(kept, store, again):
    status, _, err = again(kept[1]["lda"].id, "--device", "99")
    assert status == 2
    assert "no device '99'" in err
