"""Checkpoints: they are used whatever the class of the datamodule is called, or refused."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from benchmark.errors import BenchmarkError
from benchmark.execution.checkpoint import load_predictor
from benchmark.execution.execute import execute
from benchmark.plan.suite import Distillation
from datamodules.inputs import SignalSpec

STATE = "EmotionDataModule"
"""Key of the datamodule's state in a checkpoint: the name of its class."""


def record_digest(checkpoint: Path) -> None:
    """Put the digest of a checkpoint on record, as if it had been committed so."""
    path = checkpoint.with_name("result.json")
    result = json.loads(path.read_text())
    result["files"]["model.ckpt"] = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    path.write_text(json.dumps(result))


@pytest.fixture(scope="module")
def checkpoint_of_cnn(finished):
    run = next(result.run for result in finished.results() if result.run.model == "cnn")
    return finished.folder(run) / "model.ckpt"


def test_the_state_is_found_under_any_name(checkpoint_of_cnn, tmp_path):
    shutil.copyfile(checkpoint_of_cnn.with_name("run.json"), tmp_path / "run.json")
    content = torch.load(checkpoint_of_cnn, weights_only=True)
    content["Wrist"] = content.pop(STATE)
    torch.save(content, tmp_path / "model.ckpt")
    renamed, original = map(load_predictor, (tmp_path / "model.ckpt", checkpoint_of_cnn))
    assert renamed.subjects == original.subjects == content["Wrist"]["train"]
    assert renamed.classes == original.classes
    assert set(renamed.mean) == set(original.inputs)
    assert all(torch.equal(renamed.mean[name], original.mean[name]) for name in original.mean)


def test_a_teacher_with_a_datamodule_of_another_name_teaches(workshop, tmp_path):
    recipes = {name: {"max_epochs": 1, "stride": 60.0} for name in ("cnn", "dnn")}
    pair = Distillation("soft_targets", student="cnn", teacher="dnn")
    runs = workshop.plan([], recipes=recipes, distillations=(pair,))
    student = next(run for run in runs if run.distiller)
    (teacher,) = student.teachers
    store = workshop.do([teacher], tmp_path)
    checkpoint = store.folder(teacher) / "model.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["SyntheticDataModule"] = content.pop(STATE)
    torch.save(content, checkpoint)
    record_digest(checkpoint)
    assert STATE not in torch.load(checkpoint, weights_only=True)
    result = execute(student, workshop.places(tmp_path))
    assert result.status == "done", result.traceback
    assert "S1" not in load_predictor(store.folder(student) / "model.ckpt").subjects


@pytest.mark.parametrize("wrong", ["no file", "no run", "broken", "a probe", "no scaling"])
def test_what_is_no_checkpoint_of_a_run_is_refused(checkpoint_of_cnn, tmp_path, wrong):
    folder = checkpoint_of_cnn.parent
    checkpoint = tmp_path / "model.ckpt"
    if wrong != "no file":
        checkpoint.write_bytes((folder / "model.ckpt").read_bytes())
    if wrong != "no run":
        (tmp_path / "run.json").write_text((folder / "run.json").read_text())
    if wrong == "broken":
        checkpoint.write_bytes(b"x" * 100)
    if wrong == "no scaling":
        content = torch.load(checkpoint, weights_only=True)
        del content[STATE]["std"]
        torch.save(content, checkpoint)
    if wrong == "a probe":
        run = json.loads((tmp_path / "run.json").read_text())
        (tmp_path / "run.json").write_text(json.dumps({**run, "model": "lda"}))
    with pytest.raises(BenchmarkError, match=r"expected|cannot be read"):
        load_predictor(checkpoint)


def test_published_weights_take_their_own_window_and_classes(tmp_path):
    folder = os.environ.get("AFFECTBENCH_ATTENTION_LRCN_WEIGHTS")
    if not folder:
        pytest.skip("AFFECTBENCH_ATTENTION_LRCN_WEIGHTS names no folder")
    predictor = load_predictor(Path(folder) / "student")
    assert predictor.window == 120
    assert predictor.inputs["bvp"] == SignalSpec(1, 7680, 64.0)
    with pytest.raises(BenchmarkError, match="takes bvp"):
        predictor.predict({}, 10.0)


def test_a_checkpoint_that_was_not_committed_is_refused(checkpoint_of_cnn, tmp_path):
    shutil.copytree(checkpoint_of_cnn.parent, tmp_path / "run")
    checkpoint = tmp_path / "run" / "model.ckpt"
    load_predictor(checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    content[STATE]["classes"] = content[STATE]["classes"][::-1]
    torch.save(content, checkpoint)
    with pytest.raises(BenchmarkError, match=r"model\.ckpt"):
        load_predictor(checkpoint)
