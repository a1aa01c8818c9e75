from pathlib import Path

import pytest
import yaml

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.folder_head import HEAD, read_head
from datamodules.signals.recording import Segment
from datamodules.tasks import RatingTask

TEXT = """
title: Talks in our lab
licence: not to be passed on
score_unit: 60
signals:
  bvp: {file: "{subject}_bvp.csv", column: BVP, rate: 64, unit: a.u.}
  wrist_acc: {columns: [x, y, z], rate: 32, unit: g, scale: 0.015625}
tasks:
  stress: {classes: [no_stress, stress], labels: {rest: no_stress, 2: stress, break: unused}}
  arousal: {rating: felt, scale: [1, 9]}
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / HEAD).write_text(text, encoding="utf-8")
    return folder / HEAD


def changed(tmp_path: Path, *keys: str, value: object) -> Path:
    """Write the head with one value changed; a value of ``...`` takes the key away."""
    values = yaml.safe_load(TEXT)
    within = values
    for key in keys[:-1]:
        within = within[key]
    if value is ...:
        del within[keys[-1]]
    else:
        within[keys[-1]] = value
    return write(tmp_path / "mylab", yaml.safe_dump(values))


def segment(**annotations: str | float) -> Segment:
    return Segment(0.0, 1.0, 1, annotations)


def test_a_head_says_what_is_in_the_folder(tmp_path):
    head = read_head(write(tmp_path / "MyLab", TEXT))
    assert (head.name, head.title, head.unit) == ("mylab", "Talks in our lab", 60.0)
    assert (head.licence, head.access, head.table) == ("not to be passed on", "", "recordings.csv")
    bvp, acc = head.signals["bvp"], head.signals["wrist_acc"]
    assert (bvp.columns, bvp.rate, bvp.unit, bvp.scale) == (("BVP",), 64.0, "a.u.", None)
    assert (bvp.file, acc.file) == ("{subject}_bvp.csv", "")
    assert (acc.channel_names, acc.scale) == (("x", "y", "z"), 1 / 64)
    stress, arousal = head.tasks.values()
    assert [stress.label("P01", segment(label=word)) for word in ("rest", "2", "break", "x")] == [
        0,
        1,
        None,
        None,
    ]
    assert [arousal.label("P01", segment(arousal=rating)) for rating in (5.0, 5.1)] == [0, 1]
    assert head.ratings == {"arousal": ("felt", 1.0, 9.0)}


def test_valence_and_arousal_are_one_plane(tmp_path):
    ratings = {
        "valence": {"rating": "v", "scale": [1, 9]},
        "fear": {"rating": "f", "scale": [0, 4]},
    }
    alone = read_head(changed(tmp_path, "tasks", value=ratings)).tasks
    assert isinstance(alone["valence"], RatingTask)
    assert alone["valence"].plane == ("valence",)
    both = {**ratings, "arousal": {"rating": "a", "scale": [1, 9]}}
    together = read_head(changed(tmp_path, "tasks", value=both)).tasks
    planes = {name: task.plane for name, task in together.items() if isinstance(task, RatingTask)}
    assert planes["fear"] == ("fear",)
    assert planes["valence"] == planes["arousal"] == ("arousal", "valence")


def test_rows_are_the_unit_where_it_says_trial(tmp_path):
    assert read_head(changed(tmp_path, "score_unit", value="trial")).unit is None


CASES = {
    "no key": (["licence"], ..., "expected the keys .*licence.*, found no licence"),
    "a misspelled key": (["licens"], "x", "found 'licens'; did you mean licence"),
    "a name of its own": (["name"], "other", "expected the name of the folder.*found other"),
    "a unit of words": (["score_unit"], "minute", "expected seconds, or trial.*found 'minute'"),
    "a unit of nothing": (["score_unit"], 0, "expected seconds, or trial"),
    "a unit without end": (["score_unit"], float("inf"), "expected seconds, or trial"),
    "a table outside": (["table"], "../other.csv", "expected a path inside the folder"),
    "a table at the root": (["table"], "/etc/passwd", "expected a path inside the folder"),
    "no signals": (["signals"], {}, "signals: expected names, each with its keys"),
    "a list of signals": (["signals"], ["bvp"], "signals: expected names"),
    "a path for a signal": (["signals", "../x"], {}, "expected names of small letters"),
    "another name": (["signals", "wrist_gsr"], {}, "expected the name wrist_eda"),
    "a computed signal": (["signals", "eda_tonic"], {}, "no computed signal has"),
    "the length": (["signals", "length"], {}, "no computed signal has"),
    "an unknown key": (["signals", "bvp", "rat"], 64, "found 'rat'; did you mean rate"),
    "column and columns": (["signals", "bvp", "columns"], ["x"], "either column or columns"),
    "no column": (["signals", "bvp", "column"], ..., "either column or columns"),
    "a column twice": (["signals", "wrist_acc", "columns"], ["x", "x"], "each name once"),
    "channels of several": (["signals", "wrist_acc", "channels"], ["x"], "beside one column"),
    "a rate of words": (["signals", "bvp", "rate"], "64 Hz", "above 0 and up to .*'64 Hz'"),
    "no rate at all": (["signals", "bvp", "rate"], 0, "above 0"),
    "true as a rate": (["signals", "bvp", "rate"], True, "above 0"),
    "too slow a pulse": (["signals", "bvp", "rate"], 4, "16 Hz or more"),
    "another unit": (["signals", "wrist_acc", "unit"], "counts", "expected g, a unit that.*scale"),
    "a negative factor": (["signals", "bvp", "scale"], -1, "a factor above 0"),
    "a pattern outside": (["signals", "bvp", "file"], "../{subject}.csv", "inside the folder"),
    "a pattern of code": (["signals", "bvp", "file"], "{subject.x}.csv", "no other braces"),
    "a pattern of words": (["signals", "bvp", "file"], "{person}.csv", "no other braces"),
    "half a brace": (["signals", "bvp", "file"], "{subject.csv", "no other braces"),
    "may be missing without a file": (
        ["signals", "wrist_acc", "may_be_missing"],
        True,
        "may_be_missing beside a file",
    ),
    "one class": (["tasks", "stress", "classes"], ["stress"], "two or more"),
    "a class of signs": (["tasks", "stress", "classes"], ["a,b", "c"], "letters, digits and _"),
    "a class without a label": (["tasks", "stress", "labels"], {"rest": "stress"}, "of no_stress"),
    "a label of no class": (["tasks", "stress", "labels", "film"], "sad", "label film: expected"),
    "a label that YAML reads": (["tasks", "stress", "labels"], {False: "stress"}, "in quotes"),
    "one end of a scale": (["tasks", "arousal", "scale"], [9], "lowest and the highest"),
    "a scale upside down": (["tasks", "arousal", "scale"], [9, 1], "lowest and the highest"),
    "a task with a path": (["tasks", "a/b"], {}, "expected names of small letters"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_refused(tmp_path, case):
    keys, value, message = CASES[case]
    with pytest.raises(DatasetCorruptedError, match=message) as error:
        read_head(changed(tmp_path, *keys, value=value))
    assert "dataset.yaml" in str(error.value)


@pytest.mark.parametrize(
    "text", ["a: [", "- a\n- b", "", "x", "a: &a [*a]", "\0", "[" * 5000, "2001-99-99: x"]
)
def test_what_is_no_head_is_refused(tmp_path, text):
    with pytest.raises(DatasetCorruptedError, match="expected") as error:
        read_head(write(tmp_path / "mylab", text))
    assert len(str(error.value)) < 600


@pytest.mark.parametrize("extra", ["licence: other", "tasks: {}"])
def test_a_key_that_comes_twice_is_refused(tmp_path, extra):
    with pytest.raises(DatasetCorruptedError, match=r"a key that comes twice: '.*line \d+"):
        read_head(write(tmp_path / "mylab", f"{TEXT}\n{extra}\n"))
    labels = TEXT.replace("2: stress", "2: stress, '2': no_stress")
    with pytest.raises(DatasetCorruptedError, match="a key that comes twice: '2'"):
        read_head(write(tmp_path / "mylab", labels))


def test_a_folder_that_no_dataset_can_be_named_after_is_refused(tmp_path):
    with pytest.raises(DatasetCorruptedError, match="a folder named by small letters"):
        read_head(write(tmp_path / "my lab", TEXT))


def test_no_head_is_one_sentence(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="synthesize folder writes an example"):
        read_head(tmp_path / HEAD)
