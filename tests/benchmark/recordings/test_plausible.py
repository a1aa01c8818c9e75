"""What data check says of an E4's signals that were spoilt by hand."""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from benchmark.recordings.plausible import doubts_of
from datamodules.formats.empatica import CHANNELS, SIGNALS, UNITS
from datamodules.signals.recording import STATIC_RATE, Recording, Signal
from datamodules.synthesis.physiology import Phase, session

Samples = dict[str, npt.NDArray[np.float32]]
SECONDS = 120.0


def samples() -> Samples:
    made = session(np.random.default_rng(2), [Phase("", SECONDS, 0.3)])
    return {name: signal.samples.copy() for name, signal in made.signals.items()}


def recording(values: Samples) -> Recording:
    signals = {
        name: Signal(values[name].astype(np.float32), rate, CHANNELS[name], UNITS[name])
        for name, (_, rate) in SIGNALS.items()
        if name in values
    }
    return Recording("P01", "1", signals, ())


def huge(values: Samples) -> None:
    values["eda"][0, 100] = 1e38


def deep(values: Samples) -> None:
    values["bvp"][0, 100] = -3e38


def nano(values: Samples) -> None:
    values["eda"] = (2 + values["eda"] / np.ptp(values["eda"])) * 1000


def exchanged(values: Samples) -> None:
    values["eda"], values["temp"] = values["temp"].copy(), values["eda"].copy()


def flat_pulse(values: Samples) -> None:
    values["bvp"][:] = 12.5


def resting_pulse(values: Samples) -> None:
    values["bvp"][:, 640 : 640 + 64 * 16] = 0


def no_contact(values: Samples) -> None:
    values["eda"][:, 40:160] = 0.01


def flat_skin(values: Samples) -> None:
    values["eda"] = 0.4 + values["eda"] * 1e-4


def fahrenheit(values: Samples) -> None:
    values["temp"] = values["temp"] * 1.8 + 32


def in_counts(values: Samples) -> None:
    values["acc"] = values["acc"] * 64


SPOILT: dict[str, tuple[Callable[[Samples], None], str]] = {
    "one sample of 1e38": (huge, r"eda from \S+ to 1e\+38 uS, expected 0 to 100 \(under 1% of "),
    "one sample of -3e38": (deep, r"bvp from -3e\+38 to \S+ a\.u\., expected -1e\+09 to 1e\+09 "),
    "EDA times 1000": (nano, r"eda from \d{4} to \d{4} uS, expected 0 to 100 \(100% of the "),
    "a pulse that rests": (resting_pulse, "bvp stands still for 13% of the time"),
    "a flat pulse": (flat_pulse, r"bvp: 1 channel\(s\) never change"),
    "no contact": (no_contact, "eda below 0.02 uS for 25% of the time, as without contact"),
    "flat skin": (flat_skin, r"eda is flat, within \S+ uS"),
    "Fahrenheit": (fahrenheit, r"temp from \S+ to \S+ degC, expected 15 to 45 \(100%"),
    "counts": (in_counts, r"acc from \S+ to \S+ g, expected -20 to 20"),
}


def test_nothing_is_wrong() -> None:
    assert doubts_of([recording(samples())], tuple(SIGNALS)) == []


@pytest.mark.parametrize("name", SPOILT)
def test_what_was_spoilt_is_named(name: str) -> None:
    spoil, message = SPOILT[name]
    values = samples()
    spoil(values)
    (doubt,) = doubts_of([recording(values)], tuple(SIGNALS))
    assert re.match(message, doubt), doubt


def test_skin_conductance_and_temperature_exchanged() -> None:
    values = samples()
    exchanged(values)
    of_range, of_both = doubts_of([recording(values)], tuple(SIGNALS))
    assert of_range.startswith("temp from ")
    eda, temp = (float(np.median(values[name])) for name in ("eda", "temp"))
    expected = f"eda and temp look exchanged: medians {eda:.3g} uS and {temp:.3g} degC"
    assert of_both == expected


def test_recordings_are_counted() -> None:
    good, bad = samples(), samples()
    nano(bad)
    del good["temp"]
    doubts = doubts_of([recording(good), recording(bad), recording(samples())], tuple(SIGNALS))
    assert [doubt.rpartition(" in ")[2] for doubt in doubts] == ["1 of 3 recordings"] * 2
    assert re.match(r"eda from \d{4} to ", doubts[0])
    assert doubts[1] == "no temp in 1 of 3 recordings"


def test_a_hand_that_rests_and_a_published_vector_are_no_doubt() -> None:
    values = samples()
    values["acc"][:] = np.array([[0.1], [0.2], [0.97]])
    values["acc"][:, 2000:] += 0.1
    made = recording(values)
    music = Signal(np.array([[-1e30], [1e30]], np.float32), STATIC_RATE, ("0", "1"), "a.u.")
    made = Recording("P01", "1", {**made.signals, "music": music}, ())
    assert doubts_of([made], (*SIGNALS, "music")) == []
