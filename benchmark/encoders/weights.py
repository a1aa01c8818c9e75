"""Weights: read from a file without trust, and given to the network that they belong to.

Nothing in a file is run: torch reads tensors alone (``weights_only``), and safetensors holds
nothing else.
"""

import argparse
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.encoders.files import WeightsError
from benchmark.encoders.safetensors import read_safetensors

SAFETENSORS = ".safetensors"
INSIDE = ("model", "state_dict", "model_state_dict", "weights")
"""Names under which training scripts keep the weights of a network in a file with other things."""
SHOWN = 140
"""Largest number of characters of another library's words that a message shows."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, as ``torch.save`` or safetensors wrote them.

    Raises:
        WeightsError: A file that is damaged, holds more than tensors, or holds none.
    """
    try:
        if path.suffix == SAFETENSORS:
            return read_safetensors(path)
        # the settings of a training script are a Namespace; torch warns of pickles of other kinds
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: expected tensors alone, found a pickle that is damaged or holds other "
            "objects, which may run code; nothing of it was used. Save it again by "
            "torch.save(network.state_dict(), FILE)"
        ) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # no library promises particular ones for a broken file
        said = str(error) if type(error) is ValueError else type(error).__name__
        raise WeightsError(
            f"{path}: expected weights as torch.save or safetensors writes them, found otherwise "
            f"({said[:SHOWN]}). It may be cut off; fetch it again"
        ) from error
    weights = _tensors(content)
    if not weights:
        raise WeightsError(
            f"{path}: expected the state of a network, found {type(content).__name__} without "
            "named tensors. Save it by torch.save(network.state_dict(), FILE)"
        )
    return weights


def _tensors(content: Any) -> dict[str, Tensor]:
    """Return the named tensors of a file's content, or of an entry of it that holds a network."""
    if not isinstance(content, Mapping):
        return {}
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    inner = [content[name] for name in INSIDE if isinstance(content.get(name), Mapping)]
    return tensors or next((found for one in inner if (found := _tensors(one))), {})


def load_weights(
    network: nn.Module, weights: Mapping[str, Tensor], unused: tuple[str, ...], name: str
) -> None:
    """Give a network its weights, all of them and no others.

    Names may have a common beginning, as ``module.`` or ``student.``, that training scripts add.

    Args:
        network: Network, which is changed.
        weights: Tensors of a file.
        unused: Beginnings of names that a file may hold and the network has not.
        name: File and encoder, for messages.

    Raises:
        WeightsError: Weights that are missing, unexpected, of other shapes, or no numbers.
    """
    state = network.state_dict()
    prefix = _prefix(list(state), weights)
    held = {key[len(prefix) :]: v for key, v in weights.items() if key.startswith(prefix)}
    beside = [key for key in weights if not key.startswith(prefix)]
    missing = [key for key in state if key not in held]
    others = [*(key for key in held if key not in state), *beside]
    unexpected = [key for key in others if not key.startswith(unused)]
    misshapen = [key for key in state if key in held and held[key].shape != state[key].shape]
    faults = []
    if missing:
        faults.append(f"no {missing[0]}{_more(missing)}")
    if unexpected:
        faults.append(f"{unexpected[0]}, which it has not{_more(unexpected)}")
    if misshapen:
        key = misshapen[0]
        faults.append(
            f"{key} of shape {_shape(held[key])} in place of {_shape(state[key])}{_more(misshapen)}"
        )
    if faults:
        raise WeightsError(
            f"{name}: expected weights of its network, found {'; '.join(faults)}. Is it another "
            "version of the network, or another network?"
        )
    broken = [key for key in state if not bool(held[key].isfinite().all())]
    if broken:
        raise WeightsError(
            f"{name}: expected numbers, found NaN or infinity in {broken[0]}{_more(broken)}"
        )
    network.load_state_dict({key: held[key] for key in state})


def _prefix(expected: list[str], weights: Mapping[str, Tensor]) -> str:
    """Return the beginning that most expected names have in a file; of equals the shortest."""
    ends = tuple(expected)
    found = {key[: -len(end)] for key in weights for end in ends if key.endswith(end)} | {""}

    def matches(prefix: str) -> int:
        return sum(prefix + key in weights for key in expected)

    return max(sorted(found, key=lambda prefix: (len(prefix), prefix)), key=matches)


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
