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


def test_no_torch_is_needed() -> None:
    code = "import sys, datamodules.inputs; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
