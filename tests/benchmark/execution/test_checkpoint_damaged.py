"""Damaged and hostile files of a model: each is one sentence and exit 2, whatever is wrong."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from sklearn.linear_model import LogisticRegression

from benchmark.cli.main import main
from benchmark.errors import BenchmarkError
from benchmark.execution.checkpoint import NETWORK, PROBE, load_predictor

STATE = "EmotionDataModule"
"""Key of the datamodule's state in a checkpoint: the name of its class."""


def folder_of(finished: Any, model: str, to: Path) -> Path:
    """Copy a run's model without its result, so that no digest is in the way."""
    run = next(result.run for result in finished.results() if result.run.model == model)
    shutil.copytree(finished.folder(run), to)
    (to / "result.json").unlink()
    load_predictor(to)
    return to


@pytest.fixture
def network(finished, tmp_path) -> Path:
    return folder_of(finished, "cnn", tmp_path / "run")


@pytest.fixture
def probe(finished, tmp_path) -> Path:
    return folder_of(finished, "lda", tmp_path / "run")


def refusal(folder: Path, capsys: Any, *more: str) -> str:
    """Return the one line that predict ends with, and see that nothing was written."""
    capsys.readouterr()
    out = folder.parent / "p.csv"
    dataset = ["--dataset", "synthetic", *more]
    assert main(["predict", str(folder), "S1", "--out", str(out), *dataset]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert not out.exists()
    assert "weights_only" not in line
    assert len(line) < 500
    return line


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def without(*path: str) -> Callable[[Any], Any]:
    def change(content: Any) -> Any:
        at = content
        for name in path[:-1]:
            at = at[name]
        del at[path[-1]]
        return content

    return change


def with_value(value: Any, *path: str) -> Callable[[Any], Any]:
    def change(content: Any) -> Any:
        at = content
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = value
        return content

    return change


def first_weight(value: Callable[[torch.Tensor], Any]) -> Callable[[Any], Any]:
    def change(content: Any) -> Any:
        weights = content["state_dict"]
        name = next(name for name, w in weights.items() if w.is_floating_point() and w.ndim > 1)
        weights[name] = value(weights[name])
        return content

    return change


def scaling(name: str, value: Any) -> Callable[[Any], Any]:
    def change(content: Any) -> Any:
        by_signal = content[STATE][name]
        by_signal[next(iter(by_signal))] = value
        return content

    return change


NOT_A_CHECKPOINT: dict[str, Callable[[Any], Any]] = {
    "list": lambda content: [content],
    "tensor": lambda content: torch.zeros(3),
    "number": lambda content: 7,
    "none": lambda content: None,
    "empty": lambda content: {},
    "no hyper_parameters": without("hyper_parameters"),
    "no state_dict": without("state_dict"),
    "no datamodule": without(STATE),
    **{f"no {name}": without(STATE, name) for name in ("classes", "train", "trials", "mean")},
    "no inputs": without("hyper_parameters", "inputs"),
    "no n_classes": without("hyper_parameters", "n_classes"),
    "hyper_parameters is text": with_value("x", "hyper_parameters"),
    "inputs are numbers": with_value([1, 2], "hyper_parameters", "inputs"),
    "inputs without a shape": with_value({"eda": 3}, "hyper_parameters", "inputs"),
    "no signal": with_value({}, "hyper_parameters", "inputs"),
    **{
        f"n_classes {value}": with_value(value, "hyper_parameters", "n_classes")
        for value in (-1, 0, 3, 10**9, float("nan"), "2", None)
    },
    "classes are numbers": with_value([0, 1], STATE, "classes"),
    "classes are one text": with_value("ab", STATE, "classes"),
    "a class twice": with_value(["a", "a"], STATE, "classes"),
    "many classes": with_value([str(n) for n in range(10**5)], STATE, "classes"),
    "subjects are numbers": with_value([1], STATE, "train"),
    "ranges are text": with_value({"eda": "low"}, STATE, "ranges"),
    "ranges of nothing": with_value({"eda": {}}, STATE, "ranges"),
    "a range of another shape": lambda content: [
        with_value(torch.zeros(9), STATE, "ranges", name, end)(content)
        for name in content[STATE]["ranges"]
        for end in ("low", "high")
    ][-1],
    "a range upside down": lambda content: with_value(
        content[STATE]["ranges"]["eda"]["high"] + 1, STATE, "ranges", "eda", "low"
    )(content),
    "other signals": lambda content: with_value(
        {f"chest_{name}": spec for name, spec in content["hyper_parameters"]["inputs"].items()},
        "hyper_parameters",
        "inputs",
    )(content),
    "more names than channels": lambda content: with_value(
        {
            name: replace(spec, channels=("x",) * (spec.n_channels + 1))
            for name, spec in content["hyper_parameters"]["inputs"].items()
        },
        "hyper_parameters",
        "inputs",
    )(content),
    "state_dict is a list": with_value([1], "state_dict"),
    "state_dict is empty": with_value({}, "state_dict"),
    "a weight is missing": lambda content: without("state_dict", next(iter(content["state_dict"])))(
        content
    ),
    "a weight too many": with_value(torch.zeros(2), "state_dict", "other"),
    "a weight of another size": first_weight(lambda weight: weight[:1]),
    "a weight is text": first_weight(lambda weight: "x"),
    "a weight is no number": first_weight(lambda weight: weight * float("nan")),
    "a weight is infinite": first_weight(lambda weight: weight + float("inf")),
    "std 0": scaling("std", torch.zeros(1, 1)),
    "std negative": scaling("std", -torch.ones(1, 1)),
    "std no number": scaling("std", torch.full((1, 1), float("nan"))),
    "std of another shape": scaling("std", torch.ones(7)),
    "mean no number": scaling("mean", torch.full((1, 1), float("nan"))),
    "mean is text": scaling("mean", "x"),
}


@pytest.mark.parametrize("damage", NOT_A_CHECKPOINT)
def test_a_checkpoint_with_other_contents(network, capsys, damage):
    content = torch.load(network / NETWORK, weights_only=True)
    torch.save(NOT_A_CHECKPOINT[damage](content), network / NETWORK)
    assert "expected" in refusal(network, capsys)


@pytest.mark.parametrize(
    "spec", [(0, 10, 4.0), (1, -1, 4.0), (1, 10, 0.0), (1, 10, float("nan")), (1, 10**12, 4.0)]
)
def test_impossible_shapes_of_signals(network, capsys, spec):
    content = torch.load(network / NETWORK, weights_only=True)
    inputs = content["hyper_parameters"]["inputs"]
    (name, *_) = inputs
    inputs[name] = type(inputs[name])(*spec)
    torch.save(content, network / NETWORK)
    assert "shape" in refusal(network, capsys)


class Evil:
    """An object that runs code where it is unpickled without care."""

    def __reduce__(self) -> Any:
        return (print, ("ran",))


@pytest.mark.parametrize("damage", ["empty", "noise", "cut", "pickle", "text"])
@pytest.mark.parametrize("model", ["cnn", "lda"])
def test_files_that_are_something_else(finished, tmp_path, capsys, model, damage):
    folder = folder_of(finished, model, tmp_path / "run")
    path = folder / (NETWORK if model == "cnn" else PROBE)
    whole = path.read_bytes()
    if damage == "pickle":
        torch.save({"state_dict": Evil()}, path)
    else:
        contents = {
            "empty": b"",
            "noise": np.random.default_rng(0).bytes(5000),
            "cut": whole[: len(whole) // 2],
            "text": b"hello",
        }
        path.write_bytes(contents[damage])
    line = refusal(folder, capsys)
    assert "ran" not in capsys.readouterr().out
    assert "Delete its folder" in line


RUN_JSON = {
    "brace": "{",
    "list": "[]",
    "object": "{}",
    "null": "null",
    "text": '"run"',
    "nothing": "",
    "NUL": "\0" * 100,
    "deep": nested(100_000),
    "deep in it": '{"dataset": ' + nested(100_000) + "}",
    "not UTF-8": b"\xff\xfe\xff",
}


@pytest.mark.parametrize("content", RUN_JSON)
@pytest.mark.parametrize("model", ["cnn", "lda"])
def test_a_damaged_description(finished, tmp_path, capsys, model, content):
    folder = folder_of(finished, model, tmp_path / "run")
    text = RUN_JSON[content]
    (folder / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "run.json" in refusal(folder, capsys)


@pytest.mark.parametrize("content", RUN_JSON)
def test_a_damaged_result(network, capsys, content):
    text = RUN_JSON[content]
    (network / "result.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "result.json" in refusal(network, capsys)


@pytest.mark.parametrize("name", ["dnn", "majority", "nothing", "", "x" * 10_000])
def test_a_description_of_another_model(network, capsys, name):
    run = json.loads((network / "run.json").read_text())
    (network / "run.json").write_text(json.dumps({**run, "model": name}))
    assert "expected" in refusal(network, capsys)


@pytest.mark.parametrize("key", ["dataset", "model", "protocol", "recipe", "signals", "fold"])
@pytest.mark.parametrize("value", [None, 7, [], {}, [[]]])
def test_values_of_a_description_of_another_type(network, capsys, key, value):
    run = json.loads((network / "run.json").read_text())
    (network / "run.json").write_text(json.dumps({**run, key: value}))
    try:
        load_predictor(network)  # some are in no way that the model depends on
    except BenchmarkError:
        refusal(network, capsys)


def test_a_description_that_was_edited_after_it_was_committed(store, capsys, tmp_path):
    result = next(result for result in store.results() if result.run.model == "cnn")
    folder = store.folder(result.run)
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "seed": 5}))
    with pytest.raises(BenchmarkError, match=r"run\.json: expected the file that was committed"):
        load_predictor(folder)


@pytest.mark.parametrize("stride", ["1e-9", "0", "-5", "nan", "inf"])
def test_impossible_strides(network, capsys, stride):
    assert "stride" in refusal(network, capsys, "--stride", stride)


def test_places_that_cannot_be_written(network, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    words = ["predict", str(network), "S1", "--dataset", "synthetic", "--out"]
    for out in (tmp_path, tmp_path / "file" / "p.csv"):
        assert main([*words, str(out)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "expected a file to write" in line


# --- probes


def edited(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the schema of a file of skops."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    schema = json.loads(members["schema.json"])
    members["schema.json"] = json.dumps(change(schema)).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def node_of(schema: Any, kind: str) -> dict[str, Any]:
    """Return the first node of a type."""
    waiting = [schema]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, dict):
            if node.get("__class__") == kind:
                return node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    raise AssertionError(kind)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("sklearn.linear_model._perceptron", "Perceptron"),
        ("numpy.lib.npyio", "NpzFile"),
        ("sklearn.tree._tree", "Tree"),
    ],
)
def test_a_type_of_no_probe_is_never_made(probe, capsys, module, name):
    def change(schema: dict[str, Any]) -> dict[str, Any]:
        node_of(schema, "StandardScaler").update({"__module__": module, "__class__": name})
        return schema

    edited(probe / PROBE, change)
    assert f"{module}.{name}" in refusal(probe, capsys)


@pytest.mark.parametrize("kind", ["FunctionNode", "MethodNode", "PartialNode", "ReduceNode"])
def test_a_kind_of_node_of_no_probe_is_never_made(probe, capsys, kind):
    def change(schema: dict[str, Any]) -> dict[str, Any]:
        node_of(schema, "StandardScaler")["__loader__"] = kind
        return schema

    edited(probe / PROBE, change)
    assert "types of probes" in refusal(probe, capsys)


@pytest.mark.parametrize(
    "content",
    [
        LogisticRegression(),
        {"classifier": LogisticRegression().fit([[0.0], [1.0]], [0, 1]), "trees": {}, "facts": {}},
        {"classifier": 3, "trees": {}, "facts": {}},
        {"facts": {}},
        [],
        "text",
    ],
)
def test_other_contents_of_skops(probe, capsys, content):
    (probe / PROBE).write_bytes(skops.io.dumps(content))
    assert "lda" in refusal(probe, capsys)


@pytest.mark.parametrize("schema", ["[]", "{}", "null", nested(100_000), "{", "3"])
def test_other_schemas(probe, capsys, schema):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("schema.json", schema)
    (probe / PROBE).write_bytes(packed.getvalue())
    assert "lda" in refusal(probe, capsys)


def test_a_bomb_is_not_unpacked(probe, capsys, monkeypatch):
    monkeypatch.setattr("benchmark.probes.kept.LARGEST", 1000)
    assert "1000 bytes" in refusal(probe, capsys)


# --- no model


def test_a_probe_of_an_older_version_says_that_it_kept_no_model(store, tmp_path, capsys):
    run = next(result.run for result in store.results() if result.run.model == "lda")
    folder = store.folder(run)
    (folder / PROBE).unlink()
    for path in (folder, folder / PROBE, folder / NETWORK):
        assert "expected a kept model, found none" in refusal(path, capsys)
    assert store.predictions(run)
    assert store.result(run).status == "done"


def test_a_probe_that_sees_no_signals_says_so(store, capsys):
    run = next(result.run for result in store.results() if result.run.model == "majority")
    assert not (store.folder(run) / PROBE).exists()
    assert "found majority, which is not kept" in refusal(store.folder(run), capsys)


# --- published weights


@pytest.mark.parametrize("damage", ["noise", "pickle", "list"])
def test_damaged_published_weights(tmp_path, capsys, damage):
    folder = tmp_path / "student"
    folder.mkdir()
    for name in ("lrcn", "att", "fc"):
        path = folder / f"S2_net_{name}.pt"
        if damage == "noise":
            path.write_bytes(b"noise" * 100)
        else:
            torch.save(Evil() if damage == "pickle" else [1], path)
    assert "S2_net_" in refusal(folder, capsys) or "as the authors publish them" in refusal(
        folder, capsys
    )
    assert "ran" not in capsys.readouterr().out
