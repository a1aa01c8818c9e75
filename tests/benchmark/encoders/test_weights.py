"""Weights: one clear message for each file that does not fit, and nothing in it is run."""

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.encoders.files import WeightsError
from benchmark.encoders.weights import load_weights, read_weights
from tests.benchmark.encoders.test_safetensors import entry, written

NAMES = {"body.weight": (4, 2, 3), "body.bias": (4,), "last.weight": (2, 4), "last.bias": (2,)}


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = nn.Conv1d(2, 4, 3), nn.Linear(4, 2)


def tensors(prefix: str = "") -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": torch.randn(shape) for name, shape in NAMES.items()}


def loaded(path: Path, unused: tuple[str, ...] = ("head.",)) -> Network:
    network = Network()
    load_weights(network, read_weights(path), unused, str(path))
    return network


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module.", "student.", "model.encoder."])
@pytest.mark.parametrize("inside", [None, "model", "state_dict", "model_state_dict"])
def test_weights_are_found_as_training_scripts_save_them(tmp_path, prefix, inside):
    state = tensors(prefix)
    extra = {**state, "head.weight": torch.ones(3), f"{prefix}head.bias": torch.ones(3)}
    content = {inside: extra, "epoch": 3, "args": argparse.Namespace(lr=0.1)} if inside else extra
    network = loaded(saved(tmp_path / "x.pth", content))
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[prefix + name])


def test_weights_of_safetensors(tmp_path):
    state, header, values = tensors(), {}, b""
    for name, value in state.items():
        packed = value.numpy().tobytes()
        header[name] = entry("F32", list(value.shape), len(values), len(values) + len(packed))
        values += packed
    network = loaded(written(tmp_path / "x.safetensors", header, values))
    assert torch.equal(network.last.weight, state["last.weight"])


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: without(s, "last.bias"), r"found no last\.bias\. Is it another version"),
        (lambda s: without(without(s, "body.bias"), "last.bias"), r"no body\.bias \(and 1 more\)"),
        (lambda s: {**s, "extra.x": torch.ones(1)}, r"extra\.x, which it has not"),
        (
            lambda s: {**s, "body.weight": torch.ones(4, 2, 5)},
            r"body\.weight of shape 4 x 2 x 5 in place of 4 x 2 x 3",
        ),
        (
            lambda s: {"last.weight": torch.ones(3), "other": torch.ones(1)},
            r"no body\.weight \(and 2 more\); other, which it has not; last\.weight of shape 3 in",
        ),
        (
            lambda s: {**s, "body.bias": torch.tensor([1, 2, float("nan"), 4])},
            r"expected numbers, found NaN or infinity in body\.bias",
        ),
    ],
)
def test_weights_of_another_network_are_named(tmp_path, change, said):
    path = saved(tmp_path / "x.pth", change(tensors()))
    with pytest.raises(WeightsError, match=said) as caught:
        loaded(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_name_of_the_network_beside_its_prefix_is_not_taken_for_it(tmp_path):
    state = {**tensors("student."), "last.bias": torch.zeros(2)}
    with pytest.raises(WeightsError, match=r"last\.bias, which it has not"):
        loaded(saved(tmp_path / "x.pth", state))


class Evil:
    def __reduce__(self):
        return Path.write_text, (Path("evil.txt"), "run")


def test_code_in_a_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path / "x.pth", {**tensors(), "evil": Evil()})
    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(Evil()))
    for file in (path, plain):
        with pytest.raises(WeightsError, match="may run code; nothing of it was used"):
            read_weights(file)
    assert not Path("evil.txt").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_file_that_is_cut_off_is_one_sentence(tmp_path, share):
    whole = saved(tmp_path / "x.pth", tensors()).read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match=r"cut\.pth: expected") as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [torch.ones(3), [1, 2], {"epoch": 3}, {"model": {"lr": 0.1}}])
def test_file_without_named_tensors_is_refused(tmp_path, content):
    with pytest.raises(WeightsError, match="expected the state of a network"):
        read_weights(saved(tmp_path / "x.pth", content))
