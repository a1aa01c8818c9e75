import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from datamodules.inputs import SignalSpec


def test_a_shape_is_a_value() -> None:
    spec = SignalSpec(n_channels=2, n_times=640, sfreq=64.0)
    assert spec == SignalSpec(2, 640, 64.0) != SignalSpec(2, 640, 32.0)
    assert hash(spec) == hash(SignalSpec(2, 640, 64.0))
    assert pickle.loads(pickle.dumps(spec)) == spec
    with pytest.raises(FrozenInstanceError):
        spec.n_times = 1  # type: ignore[misc]


def test_names_of_channels_are_no_part_of_a_shape() -> None:
    named = SignalSpec(2, 640, 64.0, ("F3", "F4"))
    assert named == SignalSpec(2, 640, 64.0) == SignalSpec(2, 640, 64.0, ("Fp1", "Fp2"))
    assert hash(named) == hash(SignalSpec(2, 640, 64.0))
    assert pickle.loads(pickle.dumps(named)).channels == ("F3", "F4")


def test_shapes_of_older_checkpoints_have_no_names() -> None:
    older = SignalSpec.__new__(SignalSpec)
    vars(older).update(n_channels=2, n_times=640, sfreq=64.0)
    assert older.channels == ()
    assert older == SignalSpec(2, 640, 64.0, ("F3", "F4"))


def test_no_torch_is_needed() -> None:
    code = "import sys, datamodules.inputs; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
