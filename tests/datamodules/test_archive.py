import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import samples
from datamodules.archive import Archive
from datamodules.cache import store_subject
from datamodules.errors import DatasetCorruptedError, MachineError
from datamodules.signals.recording import Recording, Segment, Signal


def test_joined_is_concatenated(
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
        joined = archive.samples(name)
        np.testing.assert_array_equal(joined, np.concatenate(pieces, axis=1), strict=True)
        for offset, piece in zip(archive.offsets(name), pieces, strict=True):
            np.testing.assert_array_equal(joined[:, offset : offset + piece.shape[1]], piece)
        assert isinstance(joined, np.memmap)
    assert archive.samples("fast") is archive.samples("fast")


@pytest.mark.parametrize(("sfreq", "together"), [(0.25, True), (1.0, False), (4.0, False)])
def test_channels_of_feature_rows_lie_side_by_side(
    archive_of: Callable[..., Archive], sfreq: float, together: bool
) -> None:
    samples = np.arange(60, dtype=np.float32).reshape(3, 20)
    rows = Signal(samples, sfreq, ("a", "b", "c"), "au")
    segments = (Segment(0.0, 4.0, 1, {"condition": "rest"}),)
    archive = archive_of({"S1": (Recording("S1", "1", {"rows": rows}, segments),)})
    found = archive.samples("rows")
    np.testing.assert_array_equal(found, samples, strict=True)
    assert found.T.flags.c_contiguous == together
    assert found.flags.c_contiguous != together


def test_joining_again_writes_nothing(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    archive = archive_of({"S1": (make_recording("S1", [(0.0, 5.0, "rest")]),)})
    (path,) = (archive.folder / f"all-{archive.key}").glob("fast.npy")
    before = path.stat()
    archive.join("fast")
    assert path.stat() == before


def test_an_interrupted_join_leaves_nothing(
    archive_of: Callable[..., Archive],
    make_recording: Callable[..., Recording],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = archive_of({"S1": (make_recording("S1", [(0.0, 5.0, "rest")]),)})
    joined = archive.folder / f"all-{archive.key}"
    (joined / "fast.npy").unlink()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("datamodules.archive.map_samples", fail)
    with pytest.raises(MachineError, match="no space left"):
        archive.join("fast")
    assert [path.name for path in joined.iterdir()] == ["slow.npy"]


@pytest.mark.parametrize("signal", ["fast", "slow"])
def test_a_damaged_array_is_joined_anew(
    archive: Archive, signal: str, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = (archive.folder / f"all-{archive.key}").glob(f"{signal}.npy")
    sound, time = path.read_bytes(), path.stat().st_mtime_ns
    head = len(sound) - archive.samples(signal).nbytes
    sixth = np.frombuffer(sound[head:], np.float32).copy()
    sixth[: len(sixth) // 6] = 7e4
    contents = [b"", sound[: len(sound) // 2], sound[:-1], sound + b"0", bytes(len(sound))]
    contents += [sound[:head] + sixth.tobytes(), sound[:head] + bytes(len(sound) - head)]
    contents += [sound[:20] + b"X" + sound[21:]]
    for place in range(head, len(sound), len(sound) // 40):
        contents.append(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
    for number, content in enumerate(contents, start=1):
        path.write_bytes(content)
        os.utime(path, ns=(time, time + number * 1_000_000_000))
        assert not archive.holds(signal)
        caplog.clear()
        assert archive.join(signal)
        (record,) = caplog.records
        assert f"{path}: not what was written there" in record.getMessage()
        assert path.read_bytes() == sound
        assert archive.holds(signal)
        assert not archive.join(signal)
    assert len(list(path.parent.iterdir())) == 2


def test_an_array_is_read_through_once(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    count = samples.checksum

    def counted(piece: samples.Samples) -> int:
        lengths.append(piece.shape[1])
        return count(piece)

    path = archive.folder / f"all-{archive.key}" / "fast.npy"
    os.utime(path, ns=(0, 0))
    monkeypatch.setattr(samples, "checksum", counted)
    again = Archive(archive.folder, archive.subjects)
    assert archive.holds("fast")
    assert again.holds("fast")
    assert lengths == [recording.signals["fast"].n_times for recording in archive.recordings]


def test_the_key_of_an_archive_is_its_content(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    spans = [(0.0, 5.0, "rest"), (6.0, 9.0, "stress")]

    def key(seed: int = 0, spans: list[tuple[float, float, str]] = spans, n: int = 2) -> str:
        names = [f"S{number}" for number in range(n)]
        return archive_of({name: (make_recording(name, spans, seed),) for name in names}).key

    moved = [(0.0, 5.0, "rest"), (6.5, 9.0, "stress")]
    renamed = [(0.0, 5.0, "stress"), (6.0, 9.0, "stress")]
    keys = [key(), key(1), key(spans=moved), key(spans=renamed), key(n=1)]
    assert len(set(keys)) == 5
    assert key() == keys[0]


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
    archive = Archive(tmp_path, tuple(store_subject(tmp_path, reader, {}, name) for name in order))
    archive.join("fast")
    for ask in (archive.offsets, archive.join):
        with pytest.raises(
            DatasetCorruptedError, match=r"S2, session 1: expected a signal 'slow', found fast"
        ):
            ask("slow")
