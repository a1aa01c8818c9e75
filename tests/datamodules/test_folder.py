import errno
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from datamodules import folder
from datamodules.archive import Archive
from datamodules.cache import store_subject
from datamodules.errors import (
    DatasetCorruptedError,
    DatasetNotFoundError,
    IncompatibleRunError,
    MachineError,
)
from datamodules.folder import FolderDataset, folder_dataset
from datamodules.formats.folder_head import HEAD
from datamodules.signals.beats import Beats
from datamodules.signals.preprocessing import EDA_PARTS, Derived
from datamodules.signals.recording import Fault, Recording
from datamodules.stored import StoredSubject

HEAD_TEXT = """
title: Talks
licence: not to be passed on
access: Ask the lab.
score_unit: 10
signals:
  eda: {file: "{subject}_eda.csv", column: EDA, rate: 4, unit: uS, may_be_missing: true}
  acc: {columns: [x, y], rate: 8, unit: g, scale: 0.5}
tasks:
  stress: {classes: [no_stress, stress], labels: {rest: no_stress, talk: stress, break: unused}}
  arousal: {rating: arousal, scale: [1, 9]}
"""
ROWS = (
    "subject,file,start,stop,label,arousal",
    "P01,P01.csv,0,20,rest,5",
    "P01,P01.csv,20,39.5,talk,6",
    "P10,P10.csv,0,20,talk,",
    "P2,P2.csv,0,20,rest,",
)
SECONDS = 40


def samples(number: int) -> np.ndarray:
    """Return numbers that 32 bits hold as they are written, shape (2, T)."""
    return np.random.default_rng(number).integers(-512, 512, (2, 8 * SECONDS)) / 64


def write_lab(root: Path, rows=ROWS, head: str = HEAD_TEXT) -> Path:
    root.mkdir(parents=True)
    (root / HEAD).write_text(head)
    (root / "recordings.csv").write_text("".join(f"{row}\n" for row in rows))
    for number, subject in enumerate(("P01", "P2", "P10")):
        lines = [f"{x!r},{y!r}" for x, y in samples(number).T.tolist()]
        (root / f"{subject}.csv").write_text("\n".join(["x,y", *lines]) + "\n")
        values = [f"{value!r}" for value in (2 + samples(number)[0, ::2] / 64).tolist()]
        (root / f"{subject}_eda.csv").write_text("\n".join(["EDA", *values]) + "\n")
    return root


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return write_lab(tmp_path / "mylab")


def read(root: Path, subject: str = "P01") -> tuple[list[Recording], list[Fault]]:
    items = list(folder_dataset(root / HEAD).make_reader(root).read(subject))
    recordings = [item for item in items if isinstance(item, Recording)]
    return recordings, [item for item in items if isinstance(item, Fault)]


def stored(root: Path, subject: str = "P01") -> tuple[FolderDataset, StoredSubject]:
    dataset = folder_dataset(root / HEAD)
    reader = dataset.make_reader(root)
    cache = root.parent / "cache"
    return dataset, store_subject(cache, reader, dataset.preprocessing, subject)


def test_a_head_makes_a_dataset(lab):
    dataset = folder_dataset(lab / HEAD)
    assert (dataset.name, dataset.title, dataset.unit) == ("mylab", "Talks", 10.0)
    assert dataset.access == "Ask the lab. Licence: not to be passed on."
    assert dict(dataset.preprocessing) == dict(EDA_PARTS)
    assert dict(dataset.signals) == {
        "eda": (1, 4.0),
        "acc": (2, 8.0),
        "eda_tonic": (1, 4.0),
        "eda_phasic": (1, 4.0),
    }
    assert dataset.splits[0] == "leave_one_subject_out"
    assert dataset.make_reader(lab).subjects == ("P01", "P2", "P10")


def test_beats_are_found_in_every_pulse_and_ecg(tmp_path):
    acc = "acc: {columns: [x, y], rate: 8, unit: g, scale: 0.5}"
    root = write_lab(
        tmp_path / "mylab",
        head=HEAD_TEXT.replace(acc, "wrist_bvp: {columns: [x, y], rate: 64, unit: a.u.}"),
    )
    dataset = folder_dataset(root / HEAD)
    assert dataset.preprocessing["wrist_bvp_beats"] == Derived("wrist_bvp", (Beats("bvp"),))
    assert dataset.signals["wrist_bvp_beats"] == (4, 8.0)


def test_recordings_hold_samples_and_rows_as_written(lab):
    (recording,), faults = read(lab)
    assert faults == []
    assert (recording.subject, recording.session) == ("P01", "1")
    acc = recording.signals["acc"]
    np.testing.assert_array_equal(acc.samples, 0.5 * samples(0))
    assert (acc.sfreq, acc.channels, acc.unit) == (8.0, ("x", "y"), "g")
    eda = recording.signals["eda"].samples
    np.testing.assert_array_equal(eda, (2 + samples(0)[:1, ::2] / 64).astype(np.float32))
    first, second = recording.segments
    assert (first.start, first.stop, first.trial) == (0.0, 20.0, 1)
    assert (second.start, second.stop, second.trial) == (20.0, 39.5, 2)
    tasks = folder_dataset(lab / HEAD).tasks
    labels = [[task.label("P01", s) for task in tasks.values()] for s in recording.segments]
    assert labels == [[0, 0], [1, 1]]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


FAULTS = {
    "a late row": (
        lambda lab: change(lab / "recordings.csv", "39.5", "41"),
        ["recordings.csv, line 3: expected stop up to 40 s, where eda ends, found 41"],
    ),
    "an unknown label": (
        lambda lab: change(lab / "recordings.csv", "39.5,talk", "39.5,tlak"),
        ["recordings.csv, line 3: expected a label among"],
    ),
    "a file cut off": (
        lambda lab: (lab / "P01.csv").write_text("x,y\n1,2\n3,\n4,"),
        ["line 2: P01.csv: expected columns of one length", "line 3: P01.csv: expected columns"],
    ),
    "no file": (
        lambda lab: (lab / "P01.csv").unlink(),
        ["line 2: expected a file 'P01.csv', found none", "line 3: expected a file 'P01.csv'"],
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_row_that_cannot_be_used_is_left_out_with_its_line(lab, case):
    spoil, reasons = FAULTS[case]
    spoil(lab)
    recordings, faults = read(lab)
    assert [fault.omitted for fault in faults] == [True] * len(reasons)
    for fault, reason in zip(faults, reasons, strict=True):
        assert reason in fault.reason
        assert str(lab) not in fault.reason
    kept = [segment.trial for recording in recordings for segment in recording.segments]
    assert sorted([*kept, *(fault.trial for fault in faults)]) == [1, 2]
    assert len(read(lab, "P2")[0]) == 1


def test_somebody_without_a_usable_row_is_left_out_with_the_reasons(lab):
    (lab / "P01.csv").unlink()
    with pytest.raises(DatasetCorruptedError, match=r"all 2 trials are left out.*line 2.*line 3"):
        stored(lab)


def test_a_unit_that_can_be_converted_is(lab):
    change(lab / HEAD, "rate: 4, unit: uS", "rate: 4, unit: nS")
    (recording,), _ = read(lab)
    eda = recording.signals["eda"]
    assert eda.unit == "uS"
    expected = (2 + samples(0)[:1, ::2] / 64) / 1000
    np.testing.assert_allclose(eda.samples, expected, rtol=1e-6)


def test_a_unit_that_is_not_known_stays_so(lab):
    change(lab / HEAD, "rate: 4, unit: uS", "rate: 4, unit: a.u.")
    (recording,), _ = read(lab)
    assert recording.signals["eda"].unit == "a.u."


def test_a_row_that_holds_no_score_unit_is_doubted(lab):
    change(lab / "recordings.csv", "20,39.5", "20,29")
    (recording,), (fault,) = read(lab)
    assert len(recording.segments) == 2
    assert (fault.omitted, fault.doubtful) == (False, True)
    assert "lasts 9 s, so that it holds no score unit" in fault.reason


def test_a_signal_may_be_missing_where_the_head_says_so(lab):
    (lab / "P01_eda.csv").unlink()
    (recording,), faults = read(lab)
    assert ([*recording.signals], faults) == (["acc"], [])


def test_a_link_out_of_the_folder_is_not_followed(lab, tmp_path):
    outside = tmp_path / "outside.csv"
    (lab / "P01.csv").rename(outside)
    (lab / "P01.csv").symlink_to(outside)
    recordings, faults = read(lab)
    assert recordings == []
    assert "'P01.csv' inside the folder, found a link that leads out" in faults[0].reason
    (lab / "recordings.csv").rename(outside)
    (lab / "recordings.csv").symlink_to(outside)
    with pytest.raises(DatasetNotFoundError, match="link that leads out"):
        folder_dataset(lab / HEAD)


@pytest.mark.parametrize("name", ["P01.csv", "recordings.csv", HEAD])
def test_a_file_that_may_not_be_read_is_no_fault_of_the_rows(lab, name, monkeypatch):
    opened = Path.open

    def refused(self, *arguments, **named):
        if self.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return opened(self, *arguments, **named)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(MachineError, match=f"{name}: expected to read it, found Permission denied"):
        stored(lab)


@pytest.mark.parametrize("name", ["loop.csv", "n" * 300 + ".csv", "\0.csv", "folder.csv"])
def test_a_file_that_cannot_be_there_is_a_fault_of_its_row(lab, name):
    (lab / "loop.csv").symlink_to(lab / "loop.csv")
    (lab / "folder.csv").mkdir()
    change(lab / "recordings.csv", "P10,P10.csv", f"P10,{name}")
    recordings, faults = read(lab, "P10")
    assert recordings == []
    assert ["line 4: expected a file '" in fault.reason for fault in faults] == [True]
    assert len(folder_dataset(lab / HEAD).make_reader(lab).files("P10")) == 3


def test_several_subjects_may_be_one_person(tmp_path):
    rows = [
        f"{row},{'person' if not n else 'B' if 'P2' in row else 'A'}" for n, row in enumerate(ROWS)
    ]
    root = write_lab(tmp_path / "mylab", rows)
    assert folder_dataset(root / HEAD).make_reader(root).subjects == ("A", "B")
    recordings, _ = read(root, "A")
    assert [recording.session for recording in recordings] == ["P01", "P10"]
    assert {recording.subject for recording in recordings} == {"A"}


def test_stimuli_that_people_share_make_the_crossed_split_the_default(tmp_path):
    rows = [f"{row},{'film_1' if n else 'stimulus'}" for n, row in enumerate(ROWS)]
    root = write_lab(tmp_path / "mylab", rows)
    dataset = folder_dataset(root / HEAD)
    assert dataset.splits[:2] == ("subject_stimulus_k_fold", "leave_one_subject_out")
    assert dataset.has_stimuli
    (recording,), _ = read(root)
    assert {segment.stimulus for segment in recording.segments} == {"film_1"}


def test_trials_have_the_lengths_of_the_table(tmp_path):
    head = HEAD_TEXT.replace("score_unit: 10", "score_unit: trial")
    root = write_lab(tmp_path / "mylab", head=head)
    dataset = folder_dataset(root / HEAD)
    assert dataset.unit is None
    assert dataset.trial_seconds == (19.5, 20.0)


EDITS = {
    "another class": ("{rest: no_stress, talk: stress", "{rest: stress, talk: no_stress", False),
    "another scale": ("[1, 9]", "[1, 7]", False),
    "another unit": ("score_unit: 10", "score_unit: 5", False),
    "another title": ("title: Talks", "title: Speeches", True),
    "another licence": ("not to be passed on", "CC BY 4.0", True),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_changed_task_makes_other_recordings_and_other_words_do_not(lab, case):
    """Runs are named by the digest of recordings: else old results would pass for new ones."""
    old, new, same = EDITS[case]
    before, subject = stored(lab)
    key = Archive((subject,)).key
    change(lab / HEAD, old, new)
    _, subject = stored(lab)
    assert (Archive((subject,)).key == key) is same
    if not same:
        with pytest.raises(IncompatibleRunError, match="was loaded, found others"):
            before.make_reader(lab)


def test_a_folder_is_read_from_wherever_it_lies(lab, tmp_path):
    dataset = folder_dataset(lab / HEAD)
    lab.rename(tmp_path / "elsewhere").rename(tmp_path / "mylab")
    (tmp_path / "disk").mkdir()
    moved = lab.rename(tmp_path / "disk" / "mylab")
    assert dataset.make_reader(moved).subjects == ("P01", "P2", "P10")
    with pytest.raises(DatasetNotFoundError, match=r"no Talks at .*expected a folder with dataset"):
        dataset.make_reader(lab)


def test_its_score_units_are_those_of_the_rows(lab, build, resident):
    change(lab / HEAD, "score_unit: 10", "score_unit: 5")
    dataset = folder_dataset(lab / HEAD)
    module = build(dataset, lab, cache_dir=lab.parent / "cache", window=5, stride=5)
    module.prepare_data()
    module.setup()
    (batch,) = module.test_dataloader()
    assert [module.subjects[row] for row in batch.subject] == ["P01"] * 7
    assert batch.target.tolist() == [0] * 4 + [1] * 3


def test_the_head_and_the_table_of_the_readme_are_taken(tmp_path):
    text = (Path(folder.__file__).parent / "README.md").read_text()
    (head,) = re.findall(r"```yaml\n(title:.*?)```", text, re.DOTALL)
    (table,) = re.findall(r"```csv\n(subject,session,file,.*?)```", text, re.DOTALL)
    rows = [line.strip() for line in table.splitlines()]
    dataset = folder_dataset(write_lab(tmp_path / "mylab", rows, head) / HEAD)
    assert list(dataset.tasks) == ["stress", "arousal"]
    assert set(dataset.recorded([*dataset.signals])) == {"bvp", "eda", "temp", "acc"}
    reader = dataset.make_reader(tmp_path / "mylab")
    assert [row.reason for row in reader.table.rows] == ["", ""]


def test_the_head_and_the_table_of_the_docstring_are_taken(tmp_path):
    assert folder.__doc__
    _, _, head, table, *_ = re.split(r"::\n\n", folder.__doc__)
    head = textwrap.dedent(head.rpartition("\n\n")[0])
    rows = textwrap.dedent(table.partition("\n\n")[0]).splitlines()
    dataset = folder_dataset(write_lab(tmp_path / "mylab", rows, head) / HEAD)
    assert list(dataset.tasks) == ["stress", "arousal"]
