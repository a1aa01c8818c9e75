from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.archive import Archive
from datamodules.cache import store_subject
from datamodules.errors import DatasetCorruptedError
from datamodules.signals.recording import Recording, Segment, Signal


def test_samples_are_those_of_the_recordings(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    spans = [(0.0, 11.3, "rest"), (12.0, 20.0, "stress")]
    recordings = {
        "S2": (make_recording("S2", spans, 1), make_recording("S2", spans[:1], 2, session="2")),
        "S10": (make_recording("S10", spans, 3),),
    }
    archive = archive_of(recordings)
    plain = [recording for found in recordings.values() for recording in found]
    assert [found.session for found in archive.recordings] == ["1", "2", "1"]
    for name in ("fast", "slow"):
        pieces = [recording.signals[name].samples for recording in plain]
        for mapped, piece in zip(archive.samples(name), pieces, strict=True):
            np.testing.assert_array_equal(mapped, piece, strict=True)
        before = np.cumsum([0, *(piece.shape[1] for piece in pieces)])
        assert archive.offsets(name).tolist() == before[:-1].tolist()
        assert [stored.n_times for stored in archive.stored(name)] == np.diff(before).tolist()
    assert archive.samples("fast") is archive.samples("fast")


@pytest.mark.parametrize(("sfreq", "together"), [(0.25, True), (1.0, False), (4.0, False)])
def test_channels_of_feature_rows_lie_side_by_side(
    archive_of: Callable[..., Archive], sfreq: float, together: bool
) -> None:
    samples = np.arange(60, dtype=np.float32).reshape(3, 20)
    rows = Signal(samples, sfreq, ("a", "b", "c"), "au")
    segments = (Segment(0.0, 4.0, 1, {"condition": "rest"}),)
    archive = archive_of({"S1": (Recording("S1", "1", {"rows": rows}, segments),)})
    (found,) = archive.samples("rows")
    np.testing.assert_array_equal(found, samples, strict=True)
    assert found.T.flags.c_contiguous == together
    assert found.flags.c_contiguous != together


def test_some_people_share_the_files_of_all(archive: Archive) -> None:
    """Folds of fewer people, as inner ones are, cost no byte of the disk."""
    files = sorted(archive.subjects[0].folder.parent.rglob("*"))
    fewer = Archive(archive.subjects[1:])
    n_left_out = len(archive.subjects[0].recordings)
    for name in ("fast", "slow"):
        pieces = archive.samples(name)[n_left_out:]
        for piece, other in zip(fewer.samples(name), pieces, strict=True):
            np.testing.assert_array_equal(piece, other, strict=True)
    assert sorted(archive.subjects[0].folder.parent.rglob("*")) == files


def test_the_key_of_an_archive_is_its_content(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    spans = [(0.0, 5.0, "rest"), (6.0, 9.0, "stress")]

    def key(seed: int = 0, spans: list[tuple[float, float, str]] = spans, n: int = 2) -> str:
        names = [f"S{number}" for number in range(n)]
        return archive_of({name: (make_recording(name, spans, seed),) for name in names}).key

    moved = [(0.0, 5.0, "rest"), (6.5, 9.0, "stress")]
    renamed = [(0.0, 5.0, "stress"), (6.0, 9.0, "stress")]
    keys = [key(), key(spans=moved), key(spans=renamed), key(n=1)]
    assert len(set(keys)) == 4
    assert key() == key(1) == keys[0]


def test_the_key_of_samples_is_their_content(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    spans = [(0.0, 5.0, "rest")]

    def archive(seed: int = 0, **other: float) -> Archive:
        rates = {"fast": (2, 8.0), "slow": (1, 2.5)}
        rates |= {name: (1, rate) for name, rate in other.items()}
        names = ("S1", "S2")
        return archive_of({n: (make_recording(n, spans, seed, rates=rates),) for n in names})

    one, same, another, slower = archive(), archive(), archive(1), archive(slow=2.0)
    assert one.samples_key(("fast",)) == same.samples_key(("fast",))
    assert one.samples_key(("fast", "slow")) == same.samples_key(("slow", "fast"))
    assert one.samples_key(("fast",)) == slower.samples_key(("fast",))
    assert one.samples_key(("slow",)) != slower.samples_key(("slow",))
    keys = {one.samples_key(names) for names in (("fast",), ("slow",), ("fast", "slow"))}
    assert len(keys) == 3
    assert one.samples_key(("fast",)) != another.samples_key(("fast",))
    assert one.samples_key(()) == another.samples_key(()) == ""
    assert one.place != same.place


def test_keys_of_trials_in_one_recording(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    spans = [(0.0, 5.0, "rest"), (6.0, 9.0, "stress")]
    archive = archive_of(
        {
            "S1": (make_recording("S1", spans), make_recording("S1", spans[:1], session="2")),
            "S2": (make_recording("S2", spans[:1]),),
        }
    )
    assert archive.trial_keys.tolist() == ["1/1", "1/2", "2/1", "1/1"]


def test_names_of_channels_are_those_in_which_recordings_agree(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    def named(subject: str, *channels: str) -> Recording:
        recording = make_recording(subject, [(0.0, 5.0, "rest")])
        signals = {"fast": replace(recording.signals["fast"], channels=channels)}
        return replace(recording, signals=signals)

    alike = {subject: (named(subject, "F3", "F4"),) for subject in ("S1", "S2")}
    assert archive_of(alike).channels("fast") == ("F3", "F4")
    assert archive_of({**alike, "S3": (named("S3", "F3", "C4"),)}).channels("fast") == ("F3", "")
    sessions = (named("S3", "F3", "F4"), replace(named("S3", "F4", "F3"), session="2"))
    assert archive_of({**alike, "S3": sessions}).channels("fast") == ("", "")


@pytest.mark.parametrize("order", [("S1", "S2"), ("S2", "S1")])
def test_a_signal_that_some_recordings_have_not(
    tmp_path: Path,
    list_reader: Callable[..., Any],
    make_recording: Callable[..., Recording],
    order: tuple[str, ...],
) -> None:
    whole = {name: make_recording(name, [(0.0, 5.0, "rest")]) for name in order}
    fast = {"fast": whole["S2"].signals["fast"]}
    reader = list_reader({"S1": (whole["S1"],), "S2": (replace(whole["S2"], signals=fast),)})
    archive = Archive(tuple(store_subject(tmp_path, reader, {}, name) for name in order))
    assert len(archive.samples("fast")) == 2
    for ask in (archive.offsets, archive.samples, archive.stored):
        with pytest.raises(
            DatasetCorruptedError, match=r"S2, session 1: expected a signal 'slow', found fast"
        ):
            ask("slow")
