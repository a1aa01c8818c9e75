from collections.abc import Iterator
from dataclasses import FrozenInstanceError, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from datamodules.dataset import Dataset
from datamodules.errors import DatasetNotFoundError, IncompatibleRunError
from datamodules.inputs import LENGTH, SignalSpec
from datamodules.protocol import Protocol
from datamodules.signals.preprocessing import Derived
from datamodules.signals.recording import STATIC_RATE, Recording
from datamodules.signals.steps import AveragePool, Resample
from datamodules.signals.units import Convert
from datamodules.splits import SPLITS, SUBJECT_SPLITS
from datamodules.synthesis import wesad
from datamodules.synthetic import SYNTHETIC
from datamodules.tasks import ConditionTask, RatingTask


@dataclass(frozen=True)
class FolderReader:
    """Reader of nothing, with a folder and an option."""

    root: Path
    loud: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        return ("S1", "S2", "S10")

    def files(self, subject: str) -> tuple[Path, ...]:
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        yield from ()


UNITS = Dataset(
    name="made_up",
    title="Made-Up",
    reader=FolderReader,
    tasks={
        "valence": RatingTask("valence", 5.0, "test"),
        "film": ConditionTask("film", ("a", "b"), {"a": 0, "b": 1}, "test"),
    },
    published_tasks={"quick": ConditionTask("quick", ("a", "b"), {"a": 0, "b": 1}, "test")},
    signals={"ecg": (2, 256.0), "noise": (1, 10.0), "face": (3, STATIC_RATE), "slow": (2, 1.0)},
    optional={"noise": "loud"},
    preprocessing={"ecg": (Resample(256.0),), "slow": Derived("ecg", (Resample(1.0),))},
    unit=30.0,
    access="Ask them.",
    layout="S1/S1.csv ...",
)
"""Scored in units of half a minute."""
TRIALS = replace(UNITS, unit=None, trial_seconds=(8.0, 14.0))
"""The same, scored by the trial."""


# ---- a value that checks itself


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit": None}, "Made-Up: expected either unit or trial_seconds"),
        ({"trial_seconds": (8.0, 14.0)}, "Made-Up: expected either unit or trial_seconds"),
        (
            {"splits": ("subject_k_fold", "by_chance")},
            r"Made-Up: expected known splits, found \['by_chance'\]",
        ),
        (
            {"tasks": {"mood": RatingTask("valence", 5.0, "test")}},
            "Made-Up: expected task mood, found valence",
        ),
        (
            {"published_tasks": {"mood": RatingTask("valence", 5.0, "test")}},
            "Made-Up: expected task mood, found valence",
        ),
    ],
)
def test_facts_that_contradict_each_other(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(UNITS, **fields)


def test_it_is_frozen_and_equal_to_itself_alone() -> None:
    with pytest.raises(FrozenInstanceError):
        UNITS.unit = 10.0  # type: ignore[misc]
    assert UNITS == UNITS
    assert replace(UNITS) != UNITS
    assert len({UNITS, UNITS, replace(UNITS)}) == 2
    assert UNITS.splits == SUBJECT_SPLITS


def test_unit_of_scores_in_words() -> None:
    assert UNITS.unit_name == "30 s block"
    assert replace(UNITS, unit=7.5).unit_name == "7.5 s block"
    assert TRIALS.unit_name == "trial"


# ---- tasks


def test_tasks_by_name() -> None:
    assert list(UNITS.every_task()) == ["valence", "film", "quick"]
    assert UNITS.task() is UNITS.task("valence") is UNITS.tasks["valence"]
    assert UNITS.task("quick") is UNITS.published_tasks["quick"]
    with pytest.raises(
        IncompatibleRunError,
        match=r"Made-Up: expected a task among \['valence', 'film', 'quick'\], found 'joy'",
    ):
        UNITS.task("joy")


# ---- readers and writers


def test_a_reader_is_given_the_folder_and_options(tmp_path: Path) -> None:
    assert UNITS.make_reader(tmp_path) == FolderReader(tmp_path)
    assert UNITS.make_reader(str(tmp_path), loud=True) == FolderReader(tmp_path, loud=True)
    with pytest.raises(IncompatibleRunError, match=r"Made-Up: .*colour"):
        UNITS.make_reader(tmp_path, colour="red")


def test_there_has_to_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for root in (None, tmp_path / "nowhere", str(tmp_path / "nowhere"), tmp_path / "file"):
        with pytest.raises(DatasetNotFoundError) as caught:
            UNITS.make_reader(root)
        assert str(caught.value) == (
            f"no Made-Up at {str(root)!r}: expected a folder with S1/S1.csv .... Ask them."
        )


def test_without_files_the_folder_is_not_read(tmp_path: Path) -> None:
    made_up = replace(UNITS, has_files=False, reader=lambda loud=False: FolderReader(Path(), loud))
    for root in (None, tmp_path, tmp_path / "nowhere"):
        assert made_up.make_reader(root, loud=True) == FolderReader(Path(), loud=True)


def test_a_writer_is_imported_when_it_is_asked_for() -> None:
    assert UNITS.make_writer() is None
    assert replace(UNITS, writer="datamodules.synthesis.wesad").make_writer() is wesad.write


# ---- subjects


def test_subjects_are_in_the_datasets_order(tmp_path: Path) -> None:
    reader = FolderReader(tmp_path)
    assert UNITS.check_subjects(reader, None) == ("S1", "S2", "S10")
    assert UNITS.check_subjects(reader, ["S10", "S1"]) == ("S1", "S10")
    assert UNITS.check_subjects(reader, []) == ()
    with pytest.raises(
        DatasetNotFoundError, match="Made-Up has no subject 'S3': expected some of S1, S2, S10"
    ):
        UNITS.check_subjects(reader, ["S1", "S3"])


# ---- signals


def test_signals_are_those_that_the_options_give() -> None:
    assert UNITS.available({}) == ("ecg", "face", "slow")
    assert UNITS.available({"loud": False}) == ("ecg", "face", "slow")
    assert UNITS.available({"loud": True}) == ("ecg", "noise", "face", "slow")
    assert UNITS.choose_signals(None, {}) == ("ecg", "face", "slow")
    assert UNITS.choose_signals(["slow", "noise"], {"loud": True}) == ("slow", "noise")
    assert UNITS.choose_signals([], {}) == ()
    with pytest.raises(IncompatibleRunError, match="'noise' is read only with the option loud"):
        UNITS.choose_signals(["ecg", "noise"], {})
    for choose in (UNITS.check_signals, lambda names: UNITS.choose_signals(names, {})):
        with pytest.raises(
            IncompatibleRunError, match=r"Made-Up has no signal 'smell': expected some of \['ecg', "
        ):
            choose(["ecg", "smell"])


def test_a_dataset_without_a_signal_lacks_what_is_derived_from_it() -> None:
    without = UNITS.without(["ecg"])
    assert list(without.signals) == ["noise", "face"]
    assert dict(without.preprocessing) == {}
    assert without.available({"loud": True}) == ("noise", "face")
    assert UNITS.without(["noise"]).available({"loud": True}) == ("ecg", "face", "slow")
    assert UNITS.without([]).signals == UNITS.signals
    with pytest.raises(IncompatibleRunError, match="has no signal 'ecg'"):
        without.choose_signals(["ecg"], {})


def test_signals_that_are_derived_from_others_are_not_recorded() -> None:
    assert UNITS.recorded(list(UNITS.signals)) == ("ecg", "noise", "face")
    assert UNITS.recorded(["slow"]) == ()


# ---- protocols


def test_protocols_that_fit() -> None:
    UNITS.check_protocol("valence", Protocol(rule="median"))
    UNITS.check_protocol("film", Protocol(split="subject_hold_out"))
    TRIALS.check_protocol("valence", Protocol(padding="zero", mask=True))


def test_protocols_that_do_not_fit() -> None:
    for dataset, task, protocol, message in (
        (
            *(UNITS, "valence", Protocol(split="session_out", folds=3)),
            "Made-Up has no split session_out: expected one of leave_one_subject_out, subject_k_f",
        ),
        (
            *(UNITS, "film", Protocol(rule="median")),
            "Made-Up, film: expected ratings for the label rule median, found conditions",
        ),
        (
            *(UNITS, "valence", Protocol(padding="zero", mask=True)),
            "Made-Up is not scored by the trial, so that no trial is padded",
        ),
        (UNITS, "joy", Protocol(rule="median"), "expected a task among"),
    ):
        with pytest.raises(IncompatibleRunError, match=message):
            dataset.check_protocol(task, protocol)
    with pytest.raises(IncompatibleRunError, match="Made-Up has no split trial_k_fold"):
        UNITS.check_split("trial_k_fold")


# ---- windows

PADDED = Protocol(padding="edge", mask=True)
EACH = Protocol(score_windows=True)


@pytest.mark.parametrize(
    ("dataset", "protocol", "requested", "length"),
    [
        (UNITS, None, 10.0, 10.0),
        (UNITS, None, 30.0, 30.0),
        (UNITS, None, 60.0, 30.0),
        (UNITS, EACH, 60.0, 60.0),
        (TRIALS, None, 3.0, 3.0),
        (TRIALS, None, 60.0, 8.0),
        (TRIALS, EACH, 60.0, 8.0),
        (TRIALS, PADDED, 3.0, 14.0),
        (TRIALS, PADDED, 60.0, 14.0),
    ],
)
def test_length_of_windows(
    dataset: Dataset, protocol: Protocol | None, requested: float, length: float
) -> None:
    assert dataset.window_length(requested, protocol) == length
    # What was capped is not capped again.
    assert dataset.window_length(length, protocol) == length
    inputs = dataset.window_inputs(["ecg", "slow", "face"], requested, protocol)
    assert inputs["ecg"] == SignalSpec(2, round(256 * length), 256.0)
    assert inputs["slow"] == SignalSpec(2, round(length), 1.0)
    assert inputs["face"] == SignalSpec(3, 1, STATIC_RATE)
    assert list(inputs) == ["ecg", "slow", "face", *([LENGTH] if protocol is PADDED else [])]


@pytest.mark.parametrize(
    ("dataset", "protocol", "requested", "longest", "length"),
    [
        (UNITS, None, 60.0, 45.0, 45.0),
        (UNITS, None, 60.0, 90.0, 60.0),
        (UNITS, None, 60.0, 30.0, 30.0),
        (UNITS, None, 60.0, 20.0, 30.0),
        (UNITS, None, 10.0, 45.0, 10.0),
        (UNITS, EACH, 60.0, 45.0, 60.0),
        (TRIALS, None, 60.0, 45.0, 8.0),
        (TRIALS, PADDED, 60.0, 45.0, 14.0),
    ],
)
def test_a_window_may_be_longer_than_a_unit(
    dataset: Dataset,
    protocol: Protocol | None,
    requested: float,
    longest: float,
    length: float,
) -> None:
    assert dataset.window_length(requested, protocol, longest) == length
    assert dataset.window_length(length, protocol, longest) == length
    inputs = dataset.window_inputs(["ecg"], requested, protocol, longest)
    assert inputs["ecg"].n_times == round(256 * length)
    beyond = dataset.window_beyond_unit(requested, protocol or Protocol(), longest)
    around = dataset is UNITS and protocol is None and length > 30.0
    assert beyond == (length if around else 0.0)


def test_names_of_channels_are_in_the_inputs_once_they_are_known() -> None:
    names = {"ecg": ("right", "left"), "gone": ("x",)}
    known = UNITS.with_channels(names).without(["noise"])
    for dataset, expected in ((UNITS, ()), (known, ("right", "left"))):
        inputs = dataset.window_inputs(["ecg", "slow"], 4.0)
        assert inputs["ecg"].channels == expected
        assert inputs["slow"].channels == ()
        assert inputs == UNITS.window_inputs(["ecg", "slow"], 4.0)


def test_a_mask_is_one_number_a_window() -> None:
    assert TRIALS.window_inputs([], 3.0, PADDED) == {LENGTH: SignalSpec(1, 1, STATIC_RATE)}
    assert TRIALS.window_inputs([], 3.0, replace(PADDED, mask=False)) == {}


def test_same_stimuli_are_trained_on_where_people_alone_are_apart() -> None:
    crossed = "subject_stimulus_k_fold"
    shown = replace(UNITS, splits=(crossed, *SUBJECT_SPLITS))
    assert (shown.has_stimuli, UNITS.has_stimuli) == (True, False)
    for split in SPLITS:
        assert shown.same_stimuli(Protocol(split)) == (split in SUBJECT_SPLITS)
        assert not UNITS.same_stimuli(Protocol(split))
        if not SPLITS[split].trains:  # models of others are tested on any dataset
            UNITS.check_split(split)
    assert shown.same_stimuli(Protocol(crossed, flags=("same_stimuli",)))


def test_heart_beats_come_with_the_pulse_that_they_are_found_in() -> None:
    names = SYNTHETIC.signals
    assert SYNTHETIC.hand_crafted([*names]) == ("bvp", "eda", "temp", "acc", "bvp_beats")
    assert SYNTHETIC.hand_crafted(["bvp"]) == ("bvp", "bvp_beats")
    assert SYNTHETIC.hand_crafted(["bvp_beats"]) == ("bvp_beats",)
    assert SYNTHETIC.hand_crafted(["eda", "eda_tonic"]) == ("eda",)


# ---- another form


def test_a_signal_is_brought_to_another_form_before_anything_is_derived_of_it() -> None:
    brought = UNITS.brought((("ecg", 64.0, "mV"), ("noise", 0.0, "uV")))
    assert brought.signals == {**UNITS.signals, "ecg": (2, 64.0)}
    assert list(brought.signals) == list(UNITS.signals)
    assert dict(brought.preprocessing) == {
        "ecg": (Resample(256.0), Convert("mV"), Resample(64.0)),
        "noise": (Convert("uV"),),
        "slow": Derived("ecg", (Resample(1.0),)),
    }
    assert brought.window_inputs(["ecg", "slow"], 30.0) == {
        "ecg": SignalSpec(2, 30 * 64, 64.0),
        "slow": SignalSpec(2, 30, 1.0),
    }
    assert (brought.unit, brought.tasks, brought.reader) == (30.0, UNITS.tasks, FolderReader)


def test_the_rate_of_what_is_derived_follows() -> None:
    pooled = replace(
        UNITS,
        preprocessing={"slow": Derived("ecg", (AveragePool(2),))},
        signals={"ecg": (2, 256.0), "slow": (1, 128.0)},
        optional={},
    )
    assert pooled.brought((("ecg", 64.0, ""),)).signals == {"ecg": (2, 64.0), "slow": (1, 32.0)}


def test_a_dataset_in_its_own_form_is_itself() -> None:
    assert UNITS.brought(()) is UNITS
