from collections.abc import Sequence
from pathlib import Path

import pytest

from datamodules.errors import DatasetCorruptedError
from datamodules.formats.wesad_quest import CONDITIONS, read_intervals

# The published schedule of S2, and how many of its labels at 700 Hz have each code.
NAMES = ["Base", "TSST", "Medi 1", "Fun", "Medi 2", "sRead", "fRead"]
STARTS = ["7.08", "39.55", "70.19", "81.25", "93.38", "54.42", "89.51"]
ENDS = ["26.32", "50.3", "77.1", "87.47", "100.15", "56.07", "91.15"]
LABELLED = {"Base": 800800, "TSST": 430500, "Fun": 253400}
MEDITATION = 537599
EDGES = 20
"""Seconds of an interval that are not labelled."""
MANIKINS = [["7", "1"], ["3", "8"], ["8", "2"], ["6", "5"], ["9", "4"]]

Line = Sequence[str]


def padded(cells: Line) -> str:
    return ";".join([*cells, *[""] * (27 - len(cells))]) + "\n"


def quest(
    names: Line = NAMES,
    starts: Line = STARTS,
    ends: Line = ENDS,
    manikins: Sequence[Line] = MANIKINS,
    panas: str = "3",
) -> str:
    """The file line by line, as published."""
    asked = [name for name in names if name in CONDITIONS]
    lines = [
        ["# Subj", "S2"],
        ["# ORDER", *names],
        ["# START", *starts],
        ["# END", *ends],
        [],
        *(["# PANAS", *[panas] * (26 if name == "TSST" else 24)] for name in asked),
        [],
        *(["# STAI", *["2"] * 6] for _ in asked),
        [],
        *(["# DIM", *row] for row in manikins),
        [],
        ["# SSSQ", *["4"] * 6],
    ]
    return "".join(padded(line) for line in lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "S2_quest.csv"


def test_times_are_minutes_and_seconds_without_the_zeros_at_the_end(path: Path) -> None:
    """The labels of S2 last as long as its schedule says, less 20 s."""
    path.write_text(quest())
    found = {interval.name: interval for interval in read_intervals(path)}
    assert list(found) == ["Base", "TSST", "Medi 1", "Fun", "Medi 2"]
    seconds = {name: interval.stop - interval.start - EDGES for name, interval in found.items()}
    assert {name: 700 * seconds[name] for name in LABELLED} == LABELLED
    assert 700 * (seconds["Medi 1"] + seconds["Medi 2"]) == pytest.approx(MEDITATION, abs=1)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("2.5", 170), ("2.05", 125), ("2.50", 170), ("29", 1740), ("50.3", 3030), ("0", 0), ("1", 60)],
)
def test_times(path: Path, written: str, seconds: int) -> None:
    path.write_text(quest(starts=[written, *["80"] * 6], ends=["70", *["90"] * 6]))
    assert min(interval.start for interval in read_intervals(path)) == seconds


def test_ratings_are_those_of_the_line_of_the_condition(path: Path) -> None:
    """S14: the second meditation is named first, and its answers stand first."""
    names = ["Base", "TSST", "Medi 2", "Fun", "Medi 1", "fRead", "bRead", "sRead"]
    path.write_text(quest(names, [*STARTS, "2"], [*ENDS, "3"]))
    found = [(interval.name, dict(interval.ratings)) for interval in read_intervals(path)]
    assert found == [
        ("Base", {"valence": 7.0, "arousal": 1.0}),
        ("TSST", {"valence": 3.0, "arousal": 8.0}),
        ("Medi 2", {"valence": 8.0, "arousal": 2.0}),
        ("Fun", {"valence": 6.0, "arousal": 5.0}),
        ("Medi 1", {"valence": 9.0, "arousal": 4.0}),
    ]


def test_intervals_are_in_order_of_time(path: Path) -> None:
    starts, ends = STARTS[::-1], [str(int(start[:2]) + 1) for start in STARTS[:0:-1]]
    path.write_text(quest(starts=starts, ends=[*ends, "8"]))
    found = read_intervals(path)
    assert [interval.name for interval in found] == ["TSST", "Medi 2", "Fun", "Base", "Medi 1"]
    assert found[1].ratings == {"valence": 9.0, "arousal": 4.0}


def test_answers_that_were_not_given(path: Path) -> None:
    """S5 has the text Nan in PANAS."""
    path.write_text(quest(panas="Nan", manikins=[["Nan", "1"], ["nan", "Nan"], *MANIKINS[2:]]))
    found = {interval.name: dict(interval.ratings) for interval in read_intervals(path)}
    assert found["Base"] == {"arousal": 1.0}
    assert found["TSST"] == {}
    assert found["Fun"] == {"valence": 6.0, "arousal": 5.0}


def without(key: str) -> str:
    return "".join(line for line in quest().splitlines(True) if not line.startswith(key))


SPOILT = {
    "empty": ("", "# ORDER: expected one line, found 0"),
    "cut off": (
        quest()[: quest().index("# START") + 14],
        "# START: expected 7 times as minutes.seconds, found 7.08",
    ),
    "cut off at the end": (quest()[: quest().index("# DIM") + 9], "# DIM: expected 5 lines, found"),
    "no end": (without("# END"), "# END: expected one line, found 0"),
    "two orders": (quest() + "# ORDER;Base\n", "# ORDER: expected one line, found 2"),
    "a condition too few": (
        quest(NAMES[1:], STARTS[1:], ENDS[1:]),
        "# ORDER: expected Base, TSST, .* once each, in any order, found TSST, Medi 1",
    ),
    "a condition twice": (quest(["Base", *NAMES]), "# ORDER: expected .* found Base, Base, TSST"),
    "a name that is not known": (quest(["Baseline", *NAMES[1:]]), "# ORDER: .* found Baseline"),
    "a time too few": (quest(ends=ENDS[:-1]), "# END: expected 7 times as minutes.seconds"),
    "no time": (quest(starts=["soon", *STARTS[1:]]), "# START: expected 7 times .* found soon;"),
    "70 seconds": (quest(starts=["7.7", *STARTS[1:]]), "# START: expected 7 times as minutes.sec"),
    "three digits": (quest(starts=["7.080", *STARTS[1:]]), "# START: expected 7 times as minutes"),
    "backwards": (
        quest(starts=["26.4", *STARTS[1:]]),
        "# END, Base: expected a later time than its start, found 1600 and 1592 s",
    ),
    "too many manikins": (quest(manikins=[*MANIKINS, ["1", "1"]]), "# DIM: expected 5 .* found 6"),
    "ten": (
        quest(manikins=[["10", "1"], *MANIKINS[1:]]),
        "# DIM, Base: expected valence and arousal from 1 to 9 or Nan, found 10;1",
    ),
    "zero": (quest(manikins=[*MANIKINS[:4], ["1", "0"]]), "# DIM, Medi 2: .* found 1;0"),
    "text": (quest(manikins=[["good", "1"], *MANIKINS[1:]]), "# DIM, Base: .* found good;1"),
    "arousal alone": (quest(manikins=[["", "1"], *MANIKINS[1:]]), "# DIM, Base: .* found ;1"),
    "valence alone": (
        quest(manikins=[*MANIKINS[:3], ["1"], ["2", "3"]]),
        "# DIM, Fun: .* found 1\\.",
    ),
    "no text": ("# ORDER;Base;ä", "content: expected text, found"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_is_named(name: str, path: Path) -> None:
    content, message = SPOILT[name]
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DatasetCorruptedError, match=rf"S2_quest\.csv: {message}") as caught:
        read_intervals(path)
    assert "take it away: the rest can be read without it" in str(caught.value)
