from pathlib import Path

import pytest

from datamodules.errors import DatasetCorruptedError, DatasetNotFoundError
from datamodules.formats.folder_head import HEAD, Head, read_head
from datamodules.formats.folder_table import read_table

TEXT = """
licence: none
score_unit: 60
ignored: [age]
signals:
  bvp: {file: "{subject}/{session}.csv", column: BVP, rate: 64, unit: a.u.}
tasks:
  stress: {classes: [no_stress, stress], labels: {rest: no_stress, talk: stress, break: unused}}
  tired: {classes: ["no", "yes"], labels: {talk: "yes", rest: "no", film: "no"}}
  arousal: {rating: felt, scale: [1, 9]}
"""


def head(tmp_path: Path, text: str = TEXT) -> Head:
    (tmp_path / "mylab").mkdir(exist_ok=True)
    (tmp_path / "mylab" / HEAD).write_text(text)
    return read_head(tmp_path / "mylab" / HEAD)


def table(tmp_path: Path, text: str, of: str = TEXT, encoding: str = "utf-8"):
    path = tmp_path / "mylab" / "recordings.csv"
    described = head(tmp_path, of)
    path.write_text(text, encoding=encoding)
    return read_table(path, described)


def test_rows_have_person_session_files_and_annotations(tmp_path):
    text = (
        "\ufeffsubject,person,session,start,stop,label,felt,age\n"
        "P1_a,P1,1,0,60.5,rest,2,30\n"
        "\n"
        " P1_a , P1, 1, 70 , 130,talk ,,30\n"
        "P1_b,P1,1,0,60,film,9,30\n"
        "P2,P2,1,0,60,,5,31\n"
    )
    rows = table(tmp_path, text).rows
    assert [row.reason for row in rows] == [""] * 4
    assert [row.line for row in rows] == [2, 4, 5, 6]
    assert [(row.person, row.session, row.trial) for row in rows] == [
        ("P1", "P1_a 1", 1),
        ("P1", "P1_a 1", 2),
        ("P1", "P1_b 1", 1),
        ("P2", "1", 1),
    ]
    assert rows[0].files == {"bvp": "P1_a/1.csv"}
    assert (rows[0].start, rows[0].stop, rows[1].start) == (0.0, 60.5, 70.0)
    assert [dict(row.annotations) for row in rows] == [
        {"label": "rest", "arousal": 2.0},
        {"label": "talk"},
        {"label": "film", "arousal": 9.0},
        {"arousal": 5.0},
    ]


def test_unused_labels_leave_rows_out_without_a_word(tmp_path):
    text = "subject,start,stop,label,felt\nP1,0,60,break,\nP1,60,120,rest,\nP1,130,140,break,3\n"
    rows = table(tmp_path, text).rows
    assert [(row.line, row.trial, dict(row.annotations)) for row in rows] == [
        (3, 1, {"label": "rest"}),
        (4, 2, {"arousal": 3.0}),
    ]


ROWS = {
    "an unknown label": ("P1,0,60,tlak,5", "found 'tlak'; did you mean talk"),
    "nothing": ("P1,0,60,,", "a label or a rating, found empty cells"),
    "a rating off its scale": ("P1,0,60,rest,10", "expected felt from 1 to 9, found '10'"),
    "a rating of words": ("P1,0,60,rest,high", "expected felt from 1 to 9, found 'high'"),
    "a time upside down": ("P1,60,0,rest,", "expected 0 <= start < stop"),
    "a time of day": ("P1,2024-03-05T10:00:00,60,rest,", "seconds from the beginning of the file"),
    "a time that is none": ("P1,nan,inf,rest,", "expected 0 <= start < stop"),
    "no time": ("P1,,60,rest,", "expected 0 <= start < stop"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_cannot_be_used_says_why(tmp_path, case):
    cells, reason = ROWS[case]
    good, bad = table(tmp_path, f"subject,start,stop,label,felt\nP1,100,160,rest,5\n{cells}\n").rows
    assert not good.reason
    assert bad.line == 3
    assert reason in bad.reason


def test_rows_that_overlap_cannot_be_used(tmp_path):
    text = "subject,session,start,stop,label,felt\n"
    text += "P1,1,0,100,rest,\nP1,1,20,30,talk,\nP1,1,90,110,talk,\nP1,1,110,120,rest,\n"
    text += "P1,2,50,120,rest,\n"
    reasons = [row.reason for row in table(tmp_path, text).rows]
    assert ["overlap" in reason for reason in reasons] == [True, True, True, False, False]
    assert "line 3" in reasons[0]
    assert "line 2" in reasons[1]
    assert "line 2" in reasons[2]


FILED = TEXT.replace('file: "{subject}/{session}.csv", ', "")


@pytest.mark.parametrize("file", ["../P1.csv", "/etc/passwd", "a\\b.csv", "C:x.csv", ""])
def test_a_file_outside_the_folder_cannot_be_used(tmp_path, file):
    text = f"subject,file,start,stop,label,felt\nP1,{file},0,60,rest,\nP1,a/b.csv,0,60,rest,\n"
    bad, good = table(tmp_path, text, FILED).rows
    assert "inside the folder" in bad.reason
    assert (good.reason, good.files) == ("", {"bvp": "a/b.csv"})


REFUSED = {
    "no column": ("subject,start,label,felt\nP1,0,rest,", "expected the columns .*stop"),
    "semicolons": ("subject;start;stop;label;felt\nP1;0;1;rest;", "Separate columns by commas"),
    "a misspelled column": (
        "subject,start,stop,label,felt,persn\nP1,0,60,rest,,A",
        "did you mean person.*ignored: .'persn'",
    ),
    "a column twice": (
        "subject,start,stop,label,felt,felt\nP1,0,60,rest,,",
        "expected each column once",
    ),
    "no row": ("subject,start,stop,label,felt\n", "found none"),
    "an empty file": ("", "expected the columns"),
    "too few cells": ("subject,start,stop,label,felt\nP1,0,60", "line 2: expected 5 cells.*3"),
    "too many cells": (
        "subject,start,stop,label,felt\nP1,0,60,rest,,7",
        "line 2: expected 5 cells",
    ),
    "half a quote": ('subject,start,stop,label,felt\nP1,0,60,"rest,', "found otherwise"),
    "a path for a subject": ("subject,start,stop,label,felt\n../P1,0,60,rest,", "line 2"),
    "no subject": ("subject,start,stop,label,felt\n,0,60,rest,", "a subject named by"),
    "two spellings": (
        "subject,start,stop,label,felt\nP1,0,60,rest,\np1,70,99,rest,",
        "line 3: expected one spelling",
    ),
    "a subject of two people": (
        "subject,person,start,stop,label,felt\nP1,A,0,60,rest,\nP1,B,70,99,rest,",
        "line 3: expected one person for each subject",
    ),
    "unused rows alone": ("subject,start,stop,label,felt\nP1,0,60,break,", "all unused"),
    "bad rows alone": ("subject,start,stop,label,felt\nP1,0,60,rset,", "line 2: .*did you mean"),
    "stimuli that nobody shares": (
        "subject,start,stop,label,felt,stimulus\nP1,0,60,rest,,a\nP2,0,60,rest,,b",
        "expected stimuli that several people share",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_concerns_everybody_is_refused(tmp_path, case):
    text, message = REFUSED[case]
    with pytest.raises(DatasetCorruptedError, match=message):
        table(tmp_path, text)


def test_a_file_of_two_people_is_refused(tmp_path):
    """A pattern of the session alone gives everybody the file of one."""
    text = "subject,start,stop,label,felt\nP1,0,60,rest,\nP2,0,60,talk,\n"
    with pytest.raises(DatasetCorruptedError, match=r"'1\.csv' in line 2 .P1 1. and in line 3"):
        table(tmp_path, text, TEXT.replace("{subject}/", ""))


@pytest.mark.parametrize("other", ["rec.csv", "./rec.csv", "REC.csv"])
def test_a_file_of_two_sessions_is_refused(tmp_path, other):
    text = "subject,session,file,start,stop,label,felt\n"
    text += f"P1,1,rec.csv,0,60,rest,\nP1,2,{other},0,60,talk,\n"
    with pytest.raises(DatasetCorruptedError, match="expected a file of one recording"):
        table(tmp_path, text, FILED)


def test_stimuli_that_are_shared(tmp_path):
    text = "subject,start,stop,label,felt,stimulus\n"
    text += "P1,0,60,rest,,a\nP2,0,60,rest,,a\nP2,60,70,talk,,\n"
    found = table(tmp_path, text)
    assert found.has_stimuli
    assert [row.stimulus for row in found.usable] == ["a", "a"]
    assert "name of a stimulus" in found.rows[2].reason


def test_a_table_in_another_encoding_is_refused(tmp_path):
    with pytest.raises(DatasetCorruptedError, match="UTF-8"):
        table(tmp_path, "subject,start,stop,label,felt\nP1,0,60,rüst,\n", encoding="latin1")


def test_no_table_is_one_sentence(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"no other\.csv in .*expected the table"):
        read_table(tmp_path / "other.csv", head(tmp_path))
