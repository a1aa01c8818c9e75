from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.errors import IncompatibleRunError
from datamodules.signals.recording import Recording
from datamodules.synthetic import SYNTHETIC, SyntheticReader


def read(subject: str, **options: float) -> Recording:
    (found,) = SyntheticReader(**{"phase": 60.0, **options}).read(subject)  # type: ignore[arg-type]
    return found


def test_half_of_every_session_is_stress_in_an_order_of_its_own() -> None:
    orders = []
    for number in range(1, 7):
        segments = read(f"S{number}", n_subjects=6).segments
        orders.append(tuple(str(segment.annotations["condition"]) for segment in segments))
        assert sorted(orders[-1]) == ["baseline"] * 4 + ["stress"] * 4
        assert [s.start for s in segments] == [60.0 * place for place in range(8)]
        assert segments[-1].stop == 480.0
    assert len(set(orders)) > 4


def test_the_same_arguments_give_the_same_samples() -> None:
    here, there = read("S2"), read("S2", n_subjects=9)
    for name, signal in here.signals.items():
        np.testing.assert_array_equal(signal.samples, there.signals[name].samples)
    assert here.segments == there.segments
    for other in (read("S3"), read("S2", seed=1)):
        assert not np.array_equal(other.signals["bvp"].samples, here.signals["bvp"].samples)


def test_effect_zero_takes_the_effect_and_nothing_else() -> None:
    with_effect, without = read("S1"), read("S1", effect=0.0)
    assert with_effect.segments == without.segments
    np.testing.assert_array_equal(
        with_effect.signals["acc"].samples, without.signals["acc"].samples
    )

    def rise(recording: Recording) -> float:
        """Of the skin conductance's variation in stress over rest."""
        eda = recording.signals["eda"].samples[0]
        by_condition: dict[str, list[float]] = {"baseline": [], "stress": []}
        for segment in recording.segments:
            steps = np.diff(eda[int(4 * segment.start) + 60 : int(4 * segment.stop)])
            by_condition[str(segment.annotations["condition"])].append(float(np.abs(steps).mean()))
        return float(np.mean(by_condition["stress"]) / np.mean(by_condition["baseline"]))

    assert rise(with_effect) > 1.3 * rise(without)


@pytest.mark.parametrize("options", [{"n_subjects": 0}, {"effect": -1.0}, {"phase": 59.0}])
def test_options_that_cannot_be(options: dict[str, float], build: Any) -> None:
    with pytest.raises(IncompatibleRunError, match="n_subjects >= 1, effect >= 0 and phase >= 60"):
        SyntheticReader(**options)  # type: ignore[arg-type]
    with pytest.raises(IncompatibleRunError, match=r"Synthetic: .*subject"):
        build(SYNTHETIC, options={"subject": 3})


def test_it_needs_no_files(tmp_path: Path, build: Any) -> None:
    assert SyntheticReader().files("S1") == ()
    module = build(SYNTHETIC, None, cache_dir=tmp_path)
    assert module.subjects == ("S1", "S2", "S3", "S4")
    assert list(tmp_path.iterdir()) == []
