import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.cache import store_subject
from datamodules.errors import (
    AffectbenchError,
    DatasetCorruptedError,
    DatasetNotFoundError,
    IncompatibleRunError,
)
from datamodules.mahnob_hci import EEG, MAHNOB_HCI, SUBJECTS, MAHNOBHCIReader
from datamodules.signals.recording import Fault, Recording, Segment
from datamodules.signals.steps import BandPass, CommonAverage
from datamodules.stored import as_recording
from datamodules.synthesis import mahnob_hci as synthesis
from datamodules.synthesis.edf import Channel, write_bdf
from datamodules.synthesis.mahnob_hci import CHANNELS, Clip

START = datetime(2009, 7, 22, 14, 33, 8)
LABELS = [channel.label for channel in CHANNELS]
STATUS = LABELS.index("Status")
SECONDS = 95
STIMULUS = 35.0
ATTRIBUTES = {
    "date": "2009.07.22",
    "time": "14:33:08",
    "experimentType": "emotion elicitation",
    "isStim": "1",
    "feltEmo": "4",
    "feltArsl": "5",
    "feltVlnc": "7",
    "feltCtrl": "6",
    "feltPred": "3",
    "cutLenSec": "35.0",
    "mediaFile": "90.avi",
}
UNMARKED = "Status: less than two marks; taken from 30 s for cutLenSec"
IDLE = "the amplifier was idle before or after the stimulus; this is cut off"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mahnob")
    synthesis.write(folder, 3, seed=1, n_trials=4, longest=38.0, neutral=False)
    return folder


def digital(seconds: int = SECONDS, rate: int = 256) -> npt.NDArray[np.int32]:
    """Whole numbers of the 47 channels, with marks at 30 and 65 s."""
    rng = np.random.default_rng(0)
    samples = rng.integers(100_000, 200_000, (47, seconds * rate)).astype(np.int32)
    samples[STATUS] = 0
    for second in (30, 65):
        samples[STATUS, second * rate : second * rate + 20] = 268
    return samples


def add(
    root: Path,
    number: int,
    samples: npt.NDArray[np.int32] | None,
    *,
    subject: str = '<subject id="1"/>',
    name: str | None = None,
    channels: tuple[Channel, ...] = CHANNELS,
    rate: int = 256,
    **changes: str | None,
) -> Path:
    """A session's folder; None takes an attribute away, or the .bdf file."""
    attributes = {"sessionId": str(number), **ATTRIBUTES, **changes}
    written = " ".join(f'{key}="{value}"' for key, value in attributes.items() if value is not None)
    folder = root / "Sessions" / str(number)
    folder.mkdir(parents=True)
    (folder / "session.xml").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<session {written}>{subject}</session>'
    )
    if samples is not None:
        write_bdf(
            folder / (name or f"Part_1_S_Trial{number}_emotion.bdf"), channels, samples, rate, START
        )
    return folder


def read(root: Path, subject: str = "1", **options: Any) -> tuple[list[Recording], list[Fault]]:
    found = list(MAHNOBHCIReader(root, **options).read(subject))
    faults = [item for item in found if isinstance(item, Fault)]
    return [item for item in found if isinstance(item, Recording)], faults


def decoded(path: Path, label: str) -> npt.NDArray[np.float64]:
    """Physical values of a channel, by the published layout, number by number."""
    raw = path.read_bytes()
    n_channels, n_records = int(raw[252:256]), int(raw[236:244])
    at = 256
    fields = []
    for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32):
        block = raw[at : at + width * n_channels].decode("latin1")
        fields.append([block[width * n : width * n + width].strip() for n in range(n_channels)])
        at += width * n_channels
    labels, _, _, low, high, least, most, _, rates, _ = fields
    channel, rate = labels.index(label), int(rates[0])
    numbers = []
    for record in range(n_records):
        first = at + 3 * rate * (record * n_channels + channel)
        numbers += [
            int.from_bytes(raw[place : place + 3], "little", signed=True)
            for place in range(first, first + 3 * rate, 3)
        ]
    share = (np.array(numbers) - int(least[channel])) / (int(most[channel]) - int(least[channel]))
    return np.asarray(
        share * (float(high[channel]) - float(low[channel])) + float(low[channel]), dtype=np.float64
    )


# ---- the files


def test_folders_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "_record", lambda *_: np.zeros((47, 256), np.int32))
    synthesis.write(tmp_path, 2, n_trials=2, longest=34.9)
    found = {
        folder.name: sorted(path.name for path in folder.iterdir())
        for folder in (tmp_path / "Sessions").iterdir()
    }
    assert found == {
        str(130 * (person - 1) + 2 * trial - (kind == "N")): [
            f"Part_{person}_{kind}_Trial{trial}_emotion.bdf",
            "session.xml",
        ]
        for person in (1, 2)
        for trial in (1, 2)
        for kind in "NS"
    }
    text = (tmp_path / "Sessions" / "1" / "session.xml").read_text()
    assert 'isStim="0"' in text
    assert "felt" not in text
    lines = (tmp_path / "Sessions" / "2" / "session.xml").read_text().splitlines()
    assert lines[0] == '<?xml version="1.0" encoding="UTF-8"?>'
    assert lines[1].startswith('<session sessionId="2" date="2009.07.02" time="')
    assert 'isStim="1"' in lines[1]


def test_bytes_of_a_bdf(tmp_path: Path) -> None:
    samples = np.array([[0, 1, -1, -(2**23)], [2**23 - 1, 256, -256, 65536]], np.int32)
    channels = (Channel("Fp1", "uV", -262144, 262143), Channel("Status", "Boolean", 0, 1))
    write_bdf(tmp_path / "x.bdf", channels, samples, 2, START)
    raw = (tmp_path / "x.bdf").read_bytes()
    assert raw[:8] == b"\xffBIOSEMI"
    assert raw[168:184] == b"22.07.0914.33.08"
    assert raw[184:192] == b"768     "
    assert raw[192:236] == b"24BIT" + b" " * 39
    assert raw[236:256] == b"2       1       2   "
    assert raw[256:288] == b"Fp1             Status          "
    assert raw[448:464] == b"uV      Boolean "
    assert raw[464:512] == b"-262144 0       262143  1       -8388608-8388608"
    assert raw[512:528] == b"8388607 8388607 "
    assert raw[688:704] == b"2       2       "
    assert raw[768:] == bytes.fromhex(
        "000000 010000 ffff7f 000100".replace(" ", "")
        + "ffffff 000080 00ffff 000001".replace(" ", "")
    )


def test_mne_reads_what_the_publisher_would_write(root: Path) -> None:
    mne = pytest.importorskip("mne")
    path = root / "Sessions" / "132" / "Part_2_S_Trial1_emotion.bdf"
    raw = mne.io.read_raw_bdf(path, stim_channel="Status", preload=True, verbose="error")
    assert raw.ch_names == LABELS
    assert raw.info["sfreq"] == 256
    events = mne.find_events(raw, mask=0xFFFF, mask_type="and", verbose="error")
    (recording, *_), _ = read(root, "2")
    (segment,) = recording.segments
    assert segment.start == 30.0
    assert events[:, 2].tolist() == [268, 268]
    assert (events[:, 0] / 256).tolist() == [segment.start, segment.stop]
    # volts where the unit is uV, and the numbers themselves where it is Ohm
    np.testing.assert_allclose(
        raw.get_data("Fp1")[0] * 1e6, recording.signals["eeg"].samples[0], atol=1e-2
    )
    np.testing.assert_allclose(
        1e6 / raw.get_data("GSR1")[0], recording.signals["eda"].samples[0], rtol=1e-6
    )


def test_what_is_written_wrong_on_purpose(root: Path) -> None:
    assert [(f.trial, f.reason, f.omitted) for f in read(root, "1")[1]] == [
        (2, "session.xml: no feltVlnc from 1 to 9", True)
    ]
    recordings, faults = read(root, "2")
    assert [(f.trial, f.reason, f.omitted) for f in faults] == [(2, UNMARKED, False)]
    assert [r.segments[0].trial for r in recordings] == [1, 2, 3, 4]
    recordings, faults = read(root, "3")
    assert [(f.trial, f.reason, f.omitted) for f in faults] == [
        (1, IDLE, False),
        (4, "no .bdf file", True),
    ]
    assert recordings[0].segments[0].start == 18.0
    assert [r.segments[0].trial for r in recordings] == [1, 2, 3]


def test_participants_without_physiology_have_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "_record", lambda *_: np.zeros((47, 256), np.int32))
    synthesis.write(tmp_path, 27, n_trials=20, neutral=False)
    recorded = {n: 0 for n in range(1, 31)}
    for path in tmp_path.glob("Sessions/*/*.bdf"):
        recorded[int(path.name.split("_")[1])] += 1
    assert len(list(tmp_path.glob("Sessions/*/session.xml"))) == 1200
    assert {str(n) for n, found in recorded.items() if not found} == {"12", "15", "26"}
    assert {n: found for n, found in recorded.items() if 0 < found < 20} == {3: 17, 9: 14, 16: 16}
    assert sum(recorded.values()) == 527
    reader = MAHNOBHCIReader(tmp_path)
    assert sum(p.suffix == ".bdf" for s in reader.subjects for p in reader.files(s)) == 527
    stimuli = {
        session.attributes["mediaFile"] for own in reader._sessions.values() for session in own
    }
    assert len(stimuli) == 20


def test_a_participant_does_not_depend_on_how_many_there_are(root: Path, tmp_path: Path) -> None:
    synthesis.write(tmp_path, 1, seed=1, n_trials=4, longest=38.0, neutral=False)
    written = sorted(path for path in (tmp_path / "Sessions").glob("*/*"))
    assert len(written) == 12
    for path in written:
        assert path.read_bytes() == (root / path.relative_to(tmp_path)).read_bytes()


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old" / "Sessions").mkdir(parents=True)
    with pytest.raises(AffectbenchError, match="expected no Sessions"):
        synthesis.write(tmp_path / "old", 1)

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(synthesis, "write_bdf", fail)
    with pytest.raises(OSError, match="no space left"):
        synthesis.write(tmp_path / "new", 1, n_trials=2)
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"n_subjects": 0}, "expected 1 to 27 subjects, found 0"),
        ({"n_subjects": 28}, "expected 1 to 27 subjects, found 28"),
        ({"n_subjects": 1, "effect": -1.0}, "expected an effect of 0 or more"),
        ({"n_subjects": 1, "n_trials": 21}, "expected n_trials from 2 to 20 .*, found 21 and 60"),
        ({"n_subjects": 1, "longest": 30.0}, "longest from 34.9 to 117 s, found 6 and 30"),
    ],
)
def test_impossible_requests(tmp_path: Path, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(AffectbenchError, match=message):
        synthesis.write(tmp_path / "new", **request_)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_what_is_felt_shows_with_the_stimulus_or_not_at_all(effect: float) -> None:
    person = synthesis.draw_person(np.random.default_rng(1))
    head = synthesis.draw_head(np.random.default_rng(2), 32)

    def record(ratings: tuple[int, int]) -> npt.NDArray[np.int32]:
        clip = Clip(5, 1, 522, START, "90.avi", 35.0, ratings)
        return synthesis._record(np.random.default_rng(3), clip, person, head, effect)

    low, high = record((1, 1)), record((9, 9))
    assert low.shape == (47, SECONDS * 256)
    np.testing.assert_array_equal(low[:32, : 30 * 256], high[:32, : 30 * 256])
    assert (low == high).all() == (effect == 0)
    if effect:
        assert all((low[row] != high[row]).any() for row in (*range(35), 40, 44, 45))


# ---- the reader


def test_subjects_in_natural_order(root: Path) -> None:
    assert MAHNOBHCIReader(root).subjects == SUBJECTS
    assert SUBJECTS[:3] + SUBJECTS[8:13] == ("1", "2", "3", "9", "10", "11", "13", "14")
    assert len(SUBJECTS) == 27
    assert not {"12", "15", "26"} & set(SUBJECTS)


@pytest.mark.parametrize("subject", ["12", "15", "26", "31", "01", "P1"])
def test_subjects_without_physiology(root: Path, subject: str) -> None:
    reader = MAHNOBHCIReader(root)
    for ask in (reader.files, lambda name: list(reader.read(name))):
        with pytest.raises(DatasetNotFoundError, match=f"no physiology of participant '{subject}'"):
            ask(subject)


def test_a_subject_that_is_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"participant 30 .* as of 3 of 27 part"):
        MAHNOBHCIReader(root).files("30")
    with pytest.raises(DatasetNotFoundError, match=r"participant 1 .* as of 0 of 27 part"):
        MAHNOBHCIReader(tmp_path).files("1")


def test_files_are_those_of_the_trials(root: Path) -> None:
    found = MAHNOBHCIReader(root).files("3")
    names = [f"{path.parent.name}/{path.name}" for path in found]
    assert names == [
        name
        for trial in (1, 2, 3, 4)
        for name in (
            f"{260 + 2 * trial}/session.xml",
            f"{260 + 2 * trial}/Part_3_S_Trial{trial}_emotion.bdf",
        )
        if not name.endswith("4_emotion.bdf")
    ]


def test_signals_are_the_published_numbers(root: Path) -> None:
    path = root / "Sessions" / "6" / "Part_1_S_Trial3_emotion.bdf"
    recording = read(root, "1")[0][1]
    signals = recording.signals
    assert recording.segments[0].trial == 3
    assert {name: (signal.unit, signal.channels) for name, signal in signals.items()} == {
        "eeg": ("uV", EEG),
        "ecg": ("mV", ("II", "I")),
        "eda": ("uS", ("eda",)),
        "resp": ("uV", ("resp",)),
        "temp": ("degC", ("temp",)),
    }
    for row, label in ((0, "Fp1"), (2, "F3"), (13, "O1"), (31, "O2")):
        # steps of 1/32 uV below 2**18 are exact in single precision
        np.testing.assert_allclose(signals["eeg"].samples[row], decoded(path, label), atol=1e-2)
    right, left, abdomen = (decoded(path, f"EXG{n}") for n in (1, 2, 3))
    np.testing.assert_allclose(signals["ecg"].samples[0], (abdomen - right) / 1000, atol=1e-5)
    np.testing.assert_allclose(signals["ecg"].samples[1], (left - right) / 1000, atol=1e-5)
    skin = decoded(path, "GSR1")
    assert skin.min() > 10_000
    np.testing.assert_allclose(signals["eda"].samples[0], 1e6 / skin, rtol=1e-6)
    assert 0.1 < np.median(signals["eda"].samples) < 30
    np.testing.assert_allclose(signals["resp"].samples[0], decoded(path, "Resp"), atol=1e-3)
    np.testing.assert_allclose(signals["temp"].samples[0], decoded(path, "Temp"), atol=1e-4)


def test_declared_signals_are_those_read(root: Path) -> None:
    declared = dict(MAHNOB_HCI.signals)
    derived = {name: declared.pop(name) for name in ("eda_tonic", "eda_phasic", "ecg_beats")}
    assert list(derived.values()) == [(1, 256.0), (1, 256.0), (4, 8.0)]
    for recording in read(root, "2")[0]:
        found = {n: (len(s.samples), s.sfreq) for n, s in recording.signals.items()}
        assert found == declared
        assert list(found) == list(declared)


def test_annotations(tmp_path: Path) -> None:
    add(tmp_path, 2, digital(), mediaFile=" Earworm_F.avi ")
    (recording,), faults = read(tmp_path)
    assert faults == []
    assert dict(recording.segments[0].annotations) == {
        "valence": 7.0,
        "arousal": 5.0,
        "control": 6.0,
        "predictability": 3.0,
        "emotion": "joy",
    }
    assert [(s.start, s.stop, s.trial) for s in recording.segments] == [(30.0, 65.0, 1)]
    assert recording.segments[0].stimulus == "earworm_f.avi"
    assert recording.duration == SECONDS
    assert (recording.subject, recording.session, recording.offset) == ("1", "1", 0.0)


def test_what_may_be_missing(tmp_path: Path) -> None:
    gone = {"feltEmo": None, "feltCtrl": None, "feltPred": "0", "cutLenSec": None}
    add(tmp_path, 2, digital(), date=None, **gone)
    (recording,), faults = read(tmp_path)
    assert faults == []
    assert set(recording.segments[0].annotations) == {"valence", "arousal"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"feltArsl": None}, "session.xml: no feltArsl from 1 to 9"),
        ({"feltVlnc": None, "feltArsl": None}, "session.xml: no feltVlnc from 1 to 9"),
        ({"feltVlnc": ""}, "session.xml: no feltVlnc from 1 to 9"),
        ({"feltVlnc": "0"}, "session.xml: no feltVlnc from 1 to 9"),
        ({"feltArsl": "10"}, "session.xml: no feltArsl from 1 to 9"),
        ({"feltArsl": "nan"}, "session.xml: no feltArsl from 1 to 9"),
        ({"mediaFile": None}, "session.xml: no mediaFile"),
    ],
)
def test_trials_without_ratings(
    tmp_path: Path, changes: dict[str, str | None], reason: str
) -> None:
    add(tmp_path, 2, None, **changes)
    assert read(tmp_path) == ([], [Fault("1", 1, reason)])


def test_sessions_that_are_no_trials(tmp_path: Path) -> None:
    samples = digital()
    add(tmp_path, 1, samples, isStim="0", feltArsl=None, feltVlnc=None)
    add(tmp_path, 3, samples, isStim="0")
    add(tmp_path, 41, samples, experimentType="Implicit Tagging", feltVlnc=None)
    add(tmp_path, 4, samples)
    recordings, faults = read(tmp_path)
    assert [r.segments[0].trial for r in recordings] == [1]
    assert faults == []
    assert {path.parent.name for path in MAHNOBHCIReader(tmp_path).files("1")} == {"4"}


def test_identity_is_that_of_session_xml(tmp_path: Path) -> None:
    samples = digital()
    add(tmp_path, 2, samples, subject='<subject id="7"/>')
    add(tmp_path, 134, samples, subject='<subject id="1"/>', name="Part_1_S_Trial9_emotion.bdf")
    (recording,), faults = read(tmp_path, "7")
    reason = "the .bdf is named after another participant; session.xml counts"
    assert faults == [Fault("1", 1, reason, omitted=False)]
    assert recording.subject == "7"
    (recording,), faults = read(tmp_path, "1")
    assert (recording.subject, recording.segments[0].trial, faults) == ("1", 1, [])
    with pytest.raises(DatasetNotFoundError, match=r"participant 2 .* as of 2 of 27"):
        read(tmp_path, "2")


def test_trials_are_numbered_by_session_and_dated(tmp_path: Path) -> None:
    times = {"8": "14:33:08", "10": "14.40.00", "100": "15-00-00.5"}
    for number, time in times.items():
        add(tmp_path, int(number), digital(), time=time, mediaFile=f"{number}.avi")
    recordings, faults = read(tmp_path)
    assert faults == []
    assert [(r.segments[0].trial, r.segments[0].stimulus, r.offset) for r in recordings] == [
        (1, "8.avi", 0.0),
        (2, "10.avi", 412.0),
        (3, "100.avi", 1612.0),
    ]


def test_without_all_times_none_is_used(tmp_path: Path) -> None:
    for number, time in ((2, "14:33:08"), (4, "14:40:00"), (6, "unknown")):
        add(tmp_path, number, digital(), time=time)
    assert [recording.offset for recording in read(tmp_path)[0]] == [0.0, 0.0, 0.0]


def test_names_in_another_order(tmp_path: Path) -> None:
    for number, trial in ((2, 1), (4, 3), (6, 2), (8, 2)):
        add(tmp_path, number, digital(), name=f"Part_1_S_Trial{trial}_emotion.bdf")
    recordings, faults = read(tmp_path)
    reason = "the .bdf is named after an earlier trial; sessionId counts"
    assert faults == [Fault("1", trial, reason, omitted=False) for trial in (3, 4)]
    assert [r.segments[0].trial for r in recordings] == [1, 2, 3, 4]


@pytest.mark.parametrize("resting", [0, 0xFE00])
def test_marks_beneath_the_bits_of_the_amplifier(tmp_path: Path, resting: int) -> None:
    samples = digital()
    samples[STATUS] += 0x180000 + resting
    for second in (20, 70):  # a new epoch sets the bit next to the marks, the sign is one, too
        samples[STATUS, second * 256 : second * 256 + 300] |= 0x10000 - 2**23
    samples[STATUS, 40 * 256 : 40 * 256 + 5] |= 7  # between the first mark and the last
    add(tmp_path, 2, samples)
    (recording,), faults = read(tmp_path)
    assert [(s.start, s.stop) for s in recording.segments] == [(30.0, 65.0)]
    assert faults == []


def marked(*seconds: float) -> npt.NDArray[np.int32]:
    samples = digital()
    samples[STATUS] = 0
    for second in seconds:
        samples[STATUS, round(second * 256) :][:20] = 16
    return samples


@pytest.mark.parametrize("seconds", [(), (30,), (65,), (0, 30)])
def test_less_than_two_marks(tmp_path: Path, seconds: tuple[float, ...]) -> None:
    add(tmp_path, 2, marked(*seconds), cutLenSec="36.25")
    (recording,), faults = read(tmp_path)
    assert faults == [Fault("1", 1, UNMARKED, omitted=False)]
    assert [(s.start, s.stop) for s in recording.segments] == [(30.0, 66.25)]


@pytest.mark.parametrize(
    ("samples", "changes", "reason"),
    [
        (
            lambda: marked(30),
            {"cutLenSec": None},
            "Status: less than two marks; session.xml: no cutLenSec to go by",
        ),
        (
            lambda: marked(30),
            {"cutLenSec": "20"},
            "Status: less than two marks; session.xml: no cutLenSec to go by",
        ),
        (lambda: marked(30), {"cutLenSec": "80"}, "the file ends before the stimulus does"),
        (lambda: marked(30, 63.9), {}, "the stimulus does not last 34 to 118 s"),
        (
            lambda: (
                np.tile(marked(), 2)
                | np.pad(marked(1), ((0, 0), (0, SECONDS * 256)))
                | np.pad(marked(40), ((0, 0), (SECONDS * 256, 0)))
            ),
            {},
            "the stimulus does not last 34 to 118 s",
        ),
        (lambda: None, {}, "no .bdf file"),
    ],
)
def test_stimuli_that_cannot_be_used(
    tmp_path: Path,
    samples: Callable[[], npt.NDArray[np.int32] | None],
    changes: dict[str, str | None],
    reason: str,
) -> None:
    add(tmp_path, 2, samples(), **changes)
    assert read(tmp_path) == ([], [Fault("1", 1, reason)])


def with_unit(label: str, unit: str) -> tuple[Channel, ...]:
    return tuple(replace(c, unit=unit) if c.label == label else c for c in CHANNELS)


@pytest.mark.parametrize(
    ("unit", "option", "microsiemens"),
    [
        ("Ohm", None, 1e6 / 150_000),
        ("kOhm", None, 1e3 / 150_000),
        ("nS", None, 150.0),
        ("uS", None, 150_000.0),
        ("", "Ohm", 1e6 / 150_000),
        ("uV", "nS", 150.0),
    ],
)
def test_skin_conductance_by_unit(
    tmp_path: Path, unit: str, option: str | None, microsiemens: float
) -> None:
    samples = digital()
    samples[LABELS.index("GSR1")] = 150_000
    add(tmp_path, 2, samples, channels=with_unit("GSR1", unit))
    (recording,), faults = read(tmp_path, gsr_unit=option)
    assert faults == []
    np.testing.assert_allclose(recording.signals["eda"].samples, microsiemens, rtol=1e-6)
    assert recording.signals["eda"].unit == "uS"


@pytest.mark.parametrize("unit", ["uV", "", "%", "S"])
def test_skin_conductance_in_a_unit_that_is_not_known(tmp_path: Path, unit: str) -> None:
    add(tmp_path, 2, digital(), channels=with_unit("GSR1", unit))
    with pytest.raises(DatasetCorruptedError, match=rf"GSR1: .* found '{unit}'.* set gsr_unit"):
        read(tmp_path)
    with pytest.raises(IncompatibleRunError, match=r"expected gsr_unit among ohm.*, found 'mho'"):
        MAHNOBHCIReader(tmp_path, gsr_unit="mho")


def test_resistance_that_is_none_of_skin(tmp_path: Path) -> None:
    samples = digital()
    samples[LABELS.index("GSR1"), :100] = [0] * 50 + [-500] * 50
    add(tmp_path, 2, samples)
    (recording,), (fault,) = read(tmp_path)
    assert not fault.omitted
    assert fault.reason.startswith("eda: under 1 % of the samples below 10000 Ohm")
    eda = recording.signals["eda"].samples[0]
    assert 0 < eda.min() <= eda.max() <= 10
    np.testing.assert_allclose(eda[100:], 1e6 / samples[LABELS.index("GSR1"), 100:], rtol=1e-6)


@pytest.mark.parametrize("rate", [128, 512])
def test_other_rates_are_resampled(tmp_path: Path, rate: int) -> None:
    samples = digital(rate=rate)
    times = np.arange(SECONDS * rate) / rate
    for row in (0, LABELS.index("Resp")):
        samples[row] = CHANNELS[row].digital(1000 * np.sin(2 * np.pi * 3 * times) + 500)
    add(tmp_path, 2, samples, rate=rate)
    (recording,), faults = read(tmp_path)
    assert faults == []
    assert [(s.start, s.stop) for s in recording.segments] == [(30.0, 65.0)]
    expected = 1000 * np.sin(2 * np.pi * 3 * np.arange(SECONDS * 256) / 256) + 500
    for name in ("eeg", "resp"):
        signal = recording.signals[name]
        assert (signal.sfreq, signal.samples.shape[1]) == (256.0, SECONDS * 256)
        np.testing.assert_allclose(signal.samples[0, 256:-256], expected[256:-256], atol=2)


def test_an_idle_amplifier_is_cut_off(tmp_path: Path) -> None:
    samples = digital()
    samples[:STATUS, : 10 * 256] = 16
    samples[:STATUS, 90 * 256 :] = 16
    add(tmp_path, 2, samples)
    (recording,), faults = read(tmp_path)
    assert faults == [Fault("1", 1, IDLE, omitted=False)]
    assert [(s.start, s.stop) for s in recording.segments] == [(20.0, 55.0)]
    assert (recording.duration, recording.offset) == (80.0, 10.0)
    assert recording.signals["eda"].samples.max() < 10
    np.testing.assert_allclose(
        recording.signals["resp"].samples[0],
        samples[LABELS.index("Resp"), 2560 : 90 * 256] / 32,
        atol=0.5,  # BioSemi's range is no whole number of steps, which moves zero by half a uV
    )


@pytest.mark.parametrize("idle", [slice(0, 31 * 256), slice(64 * 256, None), slice(None)])
def test_an_idle_amplifier_during_the_stimulus(tmp_path: Path, idle: slice) -> None:
    samples = digital()
    samples[:STATUS, idle] = 16
    add(tmp_path, 2, samples)
    assert read(tmp_path) == (
        [],
        [Fault("1", 1, "resp: the amplifier was idle during the stimulus")],
    )


@pytest.mark.parametrize("idle", [0, 10])
def test_the_baseline_may_be_taken_away(tmp_path: Path, idle: int) -> None:
    samples = digital()
    samples[:STATUS, : idle * 256] = 16
    samples[:STATUS, 30 * 256 :] += 1000
    add(tmp_path, 2, samples)
    (plain,), _ = read(tmp_path)
    (less,), faults = read(tmp_path, subtract_baseline=True)
    assert [fault.omitted for fault in faults] == [False] * bool(idle)
    for name, signal in plain.signals.items():
        rest = signal.samples[:, : (30 - idle) * 256]
        mean = rest.astype(np.float64).mean(axis=1, keepdims=True)
        np.testing.assert_allclose(less.signals[name].samples, signal.samples - mean, atol=1e-2)


def test_a_baseline_that_was_not_recorded(tmp_path: Path) -> None:
    samples = digital()
    samples[:STATUS, : round(29.5 * 256)] = 16
    add(tmp_path, 2, samples)
    assert [f.reason for f in read(tmp_path)[1]] == [IDLE]
    assert read(tmp_path, subtract_baseline=True) == (
        [],
        [Fault("1", 1, "no baseline before the stimulus")],
    )


def test_what_macos_leaves_is_no_recording(tmp_path: Path) -> None:
    folder = add(tmp_path, 2, digital())
    (folder / "._Part_1_S_Trial2_emotion.bdf").write_bytes(b"\0\5\26\7")
    (tmp_path / "Sessions" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "Sessions" / "9").mkdir()
    assert [len(found) for found in read(tmp_path)] == [1, 0]


# ---- files that are not the publisher's


def spoilt_header(path: Path) -> None:
    """Another rate for two channels, in a file of the same size."""
    raw = bytearray(path.read_bytes())
    at = 256 + 47 * (16 + 80 + 8 + 8 + 8 + 8 + 8 + 80)
    raw[at : at + 16] = b"255     257     "
    path.write_bytes(raw)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-1000]), "expected a whole .bdf file"),
    "in the header": (lambda p: p.write_bytes(p.read_bytes()[:5000]), "expected a whole .bdf file"),
    "empty": (lambda p: p.write_bytes(b""), "expected a whole .bdf file"),
    "no .bdf": (lambda p: p.write_bytes(b"<html>" * 9999), "expected a whole .bdf file"),
    "two rates": (
        spoilt_header,
        r"expected one rate for all channels, found \[255.0, 256.0, 257.0",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_bdf_costs_its_trial(name: str, tmp_path: Path) -> None:
    damage, message = DAMAGES[name]
    path = add(tmp_path, 2, digital()) / "Part_1_S_Trial2_emotion.bdf"
    add(tmp_path, 4, digital())
    damage(path)
    for _ in range(2):
        recordings, faults = read(tmp_path)
        assert [recording.segments[0].trial for recording in recordings] == [2]
        (fault,) = faults
        assert (fault.trial, fault.omitted) == (1, True)
        assert re.match(rf"2/{path.name}: .*{message}", fault.reason)


def test_a_participant_of_damaged_files_is_left_out_with_their_reasons(tmp_path: Path) -> None:
    path = add(tmp_path, 2, digital()) / "Part_1_S_Trial2_emotion.bdf"
    path.write_bytes(b"")
    reason = f"all 1 trials are left out: 2/{path.name}: expected a whole .bdf file"
    with pytest.raises(DatasetCorruptedError, match=reason):
        store_subject(tmp_path / "cache", MAHNOBHCIReader(tmp_path), {}, "1")


@pytest.mark.parametrize("label", ["Fp1", "EXG2", "GSR1", "Resp", "Status"])
def test_a_channel_too_few(label: str, tmp_path: Path) -> None:
    kept = [row for row, name in enumerate(LABELS) if name != label]
    add(tmp_path, 2, digital()[kept], channels=tuple(CHANNELS[row] for row in kept))
    recordings, (fault,) = read(tmp_path)
    assert not recordings
    assert re.match(f".*Trial2.* expected a channel {label}, found", fault.reason)


def test_a_channel_by_another_name(tmp_path: Path) -> None:
    channels = tuple(replace(c, label="A1") if c.label == "Fp1" else c for c in CHANNELS)
    add(tmp_path, 2, digital(), channels=channels)
    _, (fault,) = read(tmp_path)
    assert "expected a channel Fp1, found A1, AF3" in fault.reason


def test_channels_in_another_order(tmp_path: Path) -> None:
    samples = digital()
    order = np.random.default_rng(4).permutation(47)
    add(tmp_path / "a", 2, samples)
    add(tmp_path / "b", 2, samples[order], channels=tuple(CHANNELS[row] for row in order))
    (as_published,), _ = read(tmp_path / "a")
    (shuffled,), _ = read(tmp_path / "b")
    for name, signal in as_published.signals.items():
        np.testing.assert_array_equal(shuffled.signals[name].samples, signal.samples)


def test_eeg_in_another_unit(tmp_path: Path) -> None:
    add(tmp_path, 2, digital(), channels=with_unit("Oz", "mV"))
    with pytest.raises(DatasetCorruptedError, match=r"Trial2.*: Oz: expected uV, found 'mV'"):
        read(tmp_path)


LAUGHS = (
    '<!DOCTYPE session [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>\n'
    '<session sessionId="2" mediaFile="&b;"><subject id="1"/></session>'
)
OUTSIDE = (
    '<!DOCTYPE session SYSTEM "file:///etc/passwd">\n'
    '<session sessionId="2"><subject id="1"/></session>'
)
DOCUMENTS: Mapping[str, tuple[bytes, str]] = {
    "cut": (b'<?xml version="1.0"?>\n<session sessionId="2"><subj', "expected an XML document"),
    "empty": (b"", "expected an XML document"),
    "zeros": (bytes(100), "expected an XML document"),
    "encoding": (b'<?xml version="1.0" encoding="klingon"?><session/>', "expected an XML document"),
    "entities": (LAUGHS.encode(), "found otherwise .a document type"),
    "entities in utf-16": (LAUGHS.encode("utf-16"), "found otherwise .a document type"),
    "a file outside": (OUTSIDE.encode(), "found otherwise .a document type"),
    "nobody": (b'<session sessionId="2"/>', "subject id: expected a number, found None"),
    "no id": (
        b'<session sessionId="2"><subject/></session>',
        "subject id: expected a number, found None",
    ),
    "a name": (
        b'<session sessionId="2"><subject id="P1"/></session>',
        "subject id: expected a number, found 'P1'",
    ),
    "no number": (
        b'<session><subject id="1"/></session>',
        "sessionId: expected a number, found None",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_damaged_session_is_named(name: str, tmp_path: Path) -> None:
    raw, message = DOCUMENTS[name]
    folder = add(tmp_path, 2, None)
    (folder / "session.xml").write_bytes(raw)
    with pytest.raises(DatasetCorruptedError, match=message) as caught:
        MAHNOBHCIReader(tmp_path).files("1")
    assert str(folder / "session.xml") in str(caught.value)


def test_one_number_for_two_sessions(tmp_path: Path) -> None:
    add(tmp_path, 2, None)
    add(tmp_path, 4, None, sessionId="2")
    with pytest.raises(DatasetCorruptedError, match=r"4.session.xml: expected a sessionId of its"):
        read(tmp_path)


def test_two_recordings_in_a_folder(tmp_path: Path) -> None:
    folder = add(tmp_path, 2, None)
    for name in ("a.bdf", "b.bdf"):
        (folder / name).write_bytes(b"")
    with pytest.raises(DatasetCorruptedError, match=r"expected at most one \.bdf file, found 2"):
        MAHNOBHCIReader(tmp_path).files("1")


def test_a_recording_of_nobody(tmp_path: Path) -> None:
    folder = add(tmp_path, 2, digital())
    (folder / "session.xml").unlink()
    with pytest.raises(DatasetCorruptedError, match=r"2: expected a session.xml that says whose"):
        MAHNOBHCIReader(tmp_path).files("1")


# ---- in use


def test_a_reader_is_cheap_and_sees_changes(tmp_path: Path) -> None:
    reader = MAHNOBHCIReader(tmp_path / "nowhere")
    assert pickle.loads(pickle.dumps(reader)) == reader
    folder = add(tmp_path, 2, None)
    before = MAHNOBHCIReader(tmp_path)
    assert len(before.files("1")) == 1
    assert pickle.loads(pickle.dumps(before)).files("1") == before.files("1")
    text = (folder / "session.xml").read_text().replace('id="1"', 'id="27"')
    (folder / "session.xml").write_text(text)
    assert len(MAHNOBHCIReader(tmp_path).files("27")) == 1


def test_steps() -> None:
    steps = MAHNOB_HCI.preprocessing
    assert steps["eeg"] == (CommonAverage(), BandPass(1.0, 45.0))
    assert steps["ecg"] == (BandPass(0.5, 45.0),)
    assert set(steps) == {"eeg", "ecg", "eda_tonic", "eda_phasic", "ecg_beats"}


@pytest.mark.parametrize(("rating", "expected"), [(1.0, 0), (5.0, 0), (6.0, 1), (9.0, 1)])
def test_ties_are_low(rating: float, expected: int) -> None:
    segment = Segment(0.0, 1.0, 1, {"valence": rating, "arousal": 10 - rating})
    tasks = MAHNOB_HCI.tasks
    assert list(tasks) == ["valence", "arousal"]
    assert tasks["valence"].label("1", segment) == expected
    assert tasks["arousal"].label("1", segment) == (1 - expected if rating != 5 else 0)


def test_the_datamodule_knows_its_inputs_before_any_file(tmp_path: Path, build: Any) -> None:
    module = build(MAHNOB_HCI, tmp_path, "arousal", signals=["eeg", "ecg"], window=60.0)
    shapes = {name: (spec.n_channels, spec.n_times) for name, spec in module.inputs.items()}
    assert shapes == {"eeg": (32, 34 * 256), "ecg": (2, 34 * 256)}
    assert (module.dataset.name, module.n_classes) == ("mahnob_hci", 2)
    assert MAHNOB_HCI.splits[0] == "subject_stimulus_k_fold"
    assert "leave_one_subject_out" in MAHNOB_HCI.splits


def test_batches_of_every_part(root: Path, tmp_path: Path, build: Any) -> None:
    module = build(
        MAHNOB_HCI,
        root,
        "valence",
        split="leave_one_subject_out",
        subjects=["1", "2", "3"],
        window=20.0,
        stride=10.0,
        batch_size=4,
        cache_dir=tmp_path,
    )
    module.prepare_data()
    module.setup()
    loaders = (module.train_dataloader(), module.val_dataloader(), module.test_dataloader())
    for loader in loaders:
        batch = next(iter(loader))
        shapes = {name: tuple(x.shape[1:]) for name, x in batch.signals.items()}
        assert shapes == {
            "eeg": (32, 5120),
            "ecg": (2, 5120),
            **dict.fromkeys(("eda", "resp", "temp", "eda_tonic", "eda_phasic"), (1, 5120)),
            "ecg_beats": (4, 160),
        }
        assert all(x.isfinite().all() for x in batch.signals.values())
        assert set(batch.target.tolist()) <= {0, 1}


def test_the_cache_takes_it(root: Path, tmp_path: Path) -> None:
    reader = MAHNOBHCIReader(root)
    stored = store_subject(tmp_path, reader, MAHNOB_HCI.preprocessing, "1")
    assert [recording.segments[0].trial for recording in stored.recordings] == [1, 3, 4]
    assert [fault.trial for fault in stored.faults] == [2]
    names = sorted("/".join(name.split("/")[-2:]) for name in stored.files)
    assert names == sorted(f"{p.parent.name}/{p.name}" for p in reader.files("1"))
    eeg = as_recording(stored, 0, ("eeg",)).signals["eeg"].samples
    # offsets of thousands of microvolts are gone, and so is what all channels share
    assert np.abs(eeg.mean(axis=1)).max() < 1
    assert np.abs(eeg.mean(axis=0)).max() < 1e-2
    assert 2 < eeg.std() < 100
