"""Data check: every number again from recordings that are known sample by sample."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import pytest

from benchmark.execution.assemble import make_datamodule
from benchmark.recordings.check import Check, check
from benchmark.recordings.plausible import FLAT_EDA
from datamodules.catalogue import DATASETS
from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.signals.preprocessing import Derived
from datamodules.signals.recording import Fault, Recording, Segment, Signal
from datamodules.signals.steps import Step
from datamodules.tasks import ConditionTask, RatingTask

SPANS = ((0.0, 130.0, "calm", 2.0), (140.0, 200.0, "wild", 5.0), (200.0, 230.0, "wild", 8.0))
"""Start and stop in seconds, condition and rating."""


def recording(subject: str, session: str = "1", **changes: Any) -> Recording:
    """Four minutes in which nothing is wrong, but for some signals."""
    rng = np.random.default_rng(crc32(f"{subject} {session} {sorted(changes)}".encode()))
    samples = {
        "eda": (1 + rng.random((1, 960)), 4.0, "uS"),
        "temp": (33 + rng.random((1, 960)), 4.0, "degC"),
        "eeg": (rng.normal(size=(3, 1920)), 8.0, "uV"),
    }
    signals = {
        name: Signal(
            np.asarray(changes.get(name, values), np.float32),
            rate,
            tuple(f"{name}{row}" for row in range(len(values))),
            unit,
        )
        for name, (values, rate, unit) in samples.items()
    }
    segments = tuple(
        Segment(start, stop, trial, {"condition": condition, "valence": rating})
        for trial, (start, stop, condition, rating) in enumerate(SPANS, start=1)
    )
    return Recording(subject, session, signals, segments)


def varied(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 960)[None]


def still_channel() -> np.ndarray:
    samples = np.random.default_rng(0).normal(size=(3, 1920))
    samples[1:] = 4.0
    return samples


def people() -> dict[str, list[Recording | Fault] | Exception]:
    return {
        "good": [Fault("1", 0, "ended early", omitted=False), recording("good")],
        "flat": [
            recording("flat", eda=varied(2, 2 + 0.9 * FLAT_EDA), temp=varied(14, 33)),
        ],
        "below": [
            recording("below", "1", eda=varied(-0.5, 3)),
            recording("below", "2", temp=varied(30, 46)),
            recording("below", "2", eda=varied(-0.1, 2), eeg=still_channel()),
        ],
        "faulty": [
            Fault("1", 7, "no ratings"),
            recording("faulty"),
            Fault("1", 8, "eda has gaps"),
            Fault("1", 9, "no ratings"),
            Fault("1", 3, "eda has gaps, filled", omitted=False),
            Fault("1", 0, "a clock is off", omitted=False, doubtful=True),
        ],
        "also_faulty": [recording("also_faulty"), Fault("1", 4, "no ratings")],
        "gone": DatasetCorruptedError("/there/gone.dat: expected numbers, found a letter"),
        "lost": DatasetCorruptedError("/there/lost.dat: expected numbers, found a letter"),
    }


@dataclass(frozen=True)
class MadeReader:
    """Gives those people."""

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(people())

    def files(self, subject: str) -> tuple[Path, ...]:
        return ()

    def read(self, subject: str) -> Iterator[Recording | Fault]:
        found = people()[subject]
        if isinstance(found, Exception):
            raise found
        yield from found


@dataclass(frozen=True)
class Halved(Step):
    """A step."""

    def __call__(self, signal: Signal) -> Signal:
        return replace(signal, samples=signal.samples / 2)


MADE = Dataset(
    name="made",
    title="Made",
    reader=MadeReader,
    tasks={
        "mood": ConditionTask("mood", ("calm", "wild"), {"calm": 0, "wild": 1}, "made up"),
        "valence": RatingTask("valence", 5.0, "made up"),
        "pain": RatingTask("pain", 5.0, "made up"),
    },
    signals={"eda": (1, 4.0), "temp": (1, 4.0), "eeg": (3, 8.0), "half": (1, 4.0)},
    preprocessing={"half": Derived("temp", (Halved(),))},
    unit=60.0,
    access="Made up.",
    layout="no files",
    has_files=False,
)
"""Scored by the minute."""
TRIALS = replace(MADE, unit=None, trial_seconds=(30.0, 130.0))
"""Scored by the trial."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Check:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, "made", MADE)
        return check("made", Path("/there"), tmp_path_factory.mktemp("made"), ())


@pytest.fixture(scope="module")
def rows(found: Check) -> pd.DataFrame:
    return found.subjects.set_index("subject")


def test_every_subject_has_a_row_in_order(found):
    assert found.subjects["subject"].tolist() == list(people())
    assert found.subjects["found"].tolist() == ["yes"] * 5 + ["no"] * 2
    assert not found.subjects.isna().any(axis=None)
    assert set(found.subjects.set_index("subject").loc["gone"].drop(["found", "doubts"])) == {"-"}


def test_what_there_is_of_each_subject(rows):
    expected = pd.DataFrame(
        {
            "sessions": ["1", "1", "2", "1", "1"],
            "minutes": ["4.0", "4.0", "12.0", "4.0", "4.0"],
            "trials": ["3 of 3", "3 of 3", "9 of 9", "3 of 6", "3 of 4"],
            "repaired": ["0", "0", "0", "1", "0"],
        },
        index=pd.Index(["good", "flat", "below", "faulty", "also_faulty"], name="subject"),
    )
    pd.testing.assert_frame_equal(rows.loc[expected.index, list(expected)], expected)


def test_score_units_of_each_class(rows):
    # two whole minutes of calm, one of wild; half a minute is no unit
    assert rows.loc["good", "mood (60 s)"] == "calm:2 wild:1"
    assert rows.loc["below", "mood (60 s)"] == "calm:6 wild:3"
    assert rows.loc["good", "valence (60 s)"] == "low:3 high:0"  # ties are low
    assert rows.loc["good", "pain (60 s)"] == "low:0 high:0"


def test_trials_are_counted_where_they_are_the_unit(monkeypatch, tmp_path):
    monkeypatch.setitem(DATASETS, "made", TRIALS)
    found = check("made", Path("/there"), tmp_path, ("good",))
    (row,) = found.subjects.to_dict("records")
    assert row["mood (trials)"] == "calm:1 wild:2"
    assert row["valence (trials)"] == "low:2 high:1"
    assert "windows are cut to 30 s at most, the shortest trial" in found.summary


def test_units_are_those_of_the_benchmark(workshop):
    options = {"n_subjects": 4, "phase": 130.0}
    (run, *_) = workshop.plan(["majority"], options={"synthetic": options}, recipes={})
    module = make_datamodule(run, workshop.places(Path("none")))
    module.prepare_data()
    module.setup()
    windows = module.windows("test")
    names = ("baseline", "stress")
    counts = np.bincount(windows.target)
    found = check("synthetic", Path("none"), workshop.cache, ("S1",), options)
    (row,) = found.subjects.to_dict("records")
    assert module.fold.members.test == ("S1",)
    expected = " ".join(f"{name}:{count}" for name, count in zip(names, counts, strict=True))
    assert row["stress (60 s)"] == expected == "baseline:8 stress:8"


def test_doubts(rows):
    assert rows["doubts"].to_dict() == {
        "good": "none",
        "flat": "eda is flat, within 0.009 uS; temp from 14 to 33 degC, expected 15 to 45 (5% of "
        "the samples are beyond)",
        "below": "eda from -0.5 to 3 uS, expected 0 to 100 (10% of the samples are beyond) in 2 of "
        "3 recordings (1, 2); eda below 0.02 uS for 15% of the time, as without contact in 2 of 3 "
        "recordings (1, 2); temp from 30 to 46 degC, expected 15 to 45 (6% of the samples are "
        "beyond) in 1 of 3 recordings (2); eeg: 2 channel(s) never change in 1 of 3 recordings (2)",
        "faulty": "1 doubt(s) about the files, see below",
        "also_faulty": "none",
        "gone": "cannot be used, see below",
        "lost": "cannot be used, see below",
    }


def test_who_lacks_a_signal(monkeypatch, tmp_path):
    def without(recording: Recording, name: str) -> Recording:
        kept = {other: s for other, s in recording.signals.items() if other != name}
        return replace(recording, signals=kept)

    readings = {
        "all": [recording("all")],
        "cold": [without(recording("cold"), "temp")],
        "once": [recording("once"), without(recording("once", "2"), "eeg")],
    }
    monkeypatch.setattr(f"{__name__}.people", lambda: readings)
    monkeypatch.setitem(DATASETS, "made", MADE)
    found = check("made", Path("/there"), tmp_path, ())
    assert found.subjects.set_index("subject")["doubts"].to_dict() == {
        "all": "none",
        "cold": "no temp",
        "once": "no eeg in 1 of 2 recordings (2)",
    }
    assert found.summary[-2:] == (
        "no model sees temp, which cold lacks",
        "no model sees eeg, which once lacks",
    )


def test_signal_that_is_shared(monkeypatch, tmp_path):
    readings = {
        "one": [recording("one")],
        "other": [recording("other")],
        "copy": [replace(recording("one"), subject="copy")],
        "again": [recording("again"), replace(recording("again"), session="2")],
    }
    monkeypatch.setattr(f"{__name__}.people", lambda: readings)
    monkeypatch.setitem(DATASETS, "made", MADE)
    found = check("made", Path("/there"), tmp_path, ())
    assert [(double.subject, double.other) for double in found.doubles] == [
        ("one", "copy"),
        ("again", "again"),
    ]
    doubts = found.subjects.set_index("subject")["doubts"]
    assert doubts["other"] == "none"
    assert re.fullmatch(r"shares \w+ with copy", doubts["one"])
    assert re.fullmatch(r"shares \w+ with one", doubts["copy"])
    assert re.fullmatch(r"\w+ twice", doubts["again"])


def test_ranges_of_signals(found):
    everything: dict[str, list[np.ndarray]] = {}
    for recordings in people().values():
        for item in recordings if isinstance(recordings, list) else []:
            if isinstance(item, Recording):
                for name, signal in item.signals.items():
                    everything.setdefault(name, []).append(signal.samples.ravel())
    everything["half"] = [samples / 2 for samples in everything["temp"]]
    table = found.signals.set_index("signal")
    assert list(table.index) == list(everything)
    for name, parts in everything.items():
        samples = np.concatenate(parts)
        assert table.loc[name, "lowest"] == f"{samples.min():.4g}"
        assert table.loc[name, "highest"] == f"{samples.max():.4g}"
    assert table["channels"].tolist() == [1, 1, 3, 1]
    assert table["rate (Hz)"].tolist() == ["4", "4", "8", "4"]
    assert table["unit"].tolist() == ["uS", "degC", "uV", "degC"]
    assert table["from"].tolist() == ["recorded", "recorded", "recorded", "temp"]


def test_faults_are_counted_by_kind_those_left_out_first(found):
    assert found.faults == (
        "1 trial(s) left out: eda has gaps (faulty 1)",
        "3 trial(s) left out: no ratings (faulty 2, also_faulty 1)",
        "1 trial(s) repaired: eda has gaps, filled (faulty 1)",
        "1 session(s) on record: ended early (good 1)",
        "1 session(s) doubtful: a clock is off (faulty 1)",
    )


def test_subjects_that_cannot_be_used_have_equal_reasons_and_no_folder(found):
    reason = "Made/<subject>.dat: expected numbers, found a letter"
    assert found.left_out == {"gone": reason, "lost": reason}


def test_summary(found):
    assert found.summary == (
        "5 of 7 subjects can be used, with 21 of 25 trials",
        "mood: 21 score units; calm 67%, wild 33%",
        "valence: 21 score units; low 100%, high 0%",
        "splits: leave_one_subject_out, subject_k_fold, subject_hold_out; the first is the default",
    )


def test_only_those_that_were_asked_for(monkeypatch, tmp_path):
    monkeypatch.setitem(DATASETS, "made", MADE)
    found = check("made", Path("/there"), tmp_path, ("lost", "good"))
    assert found.subjects["subject"].tolist() == ["good", "lost"]
    with pytest.raises(DatasetNotFoundError, match="no subject 'nobody'"):
        check("made", Path("/there"), tmp_path, ("nobody",))


def test_nobody_can_be_used(monkeypatch, tmp_path):
    monkeypatch.setitem(DATASETS, "made", MADE)
    found = check("made", Path("/there"), tmp_path, ("gone", "lost"))
    assert found.signals.empty
    assert found.subjects["found"].tolist() == ["no", "no"]
    assert found.faults == ()
    assert found.summary[0] == "0 of 2 subjects can be used, with 0 of 0 trials"
    assert len(found.left_out) == 2


def test_options_are_the_readers(workshop):
    found = check("synthetic", Path("none"), workshop.cache, (), {"n_subjects": 2, "phase": 60.0})
    assert found.subjects["subject"].tolist() == ["S1", "S2"]
    assert found.subjects["minutes"].tolist() == ["8.0", "8.0"]
