from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from datamodules.archive import Archive
from datamodules.scaling import fit_range, fit_scaling, segment_moments
from datamodules.signals.recording import Recording
from datamodules.stored import as_recording
from datamodules.tasks import ConditionTask

Spans = Mapping[str, Sequence[Sequence[tuple[float, float, str]]]]

TASK = ConditionTask(
    "stress", ("rest", "stress"), {"rest": 0, "fun": 0, "stress": 1}, source="test"
)


def segments_of(archive: Archive, subjects: tuple[str, ...]) -> np.ndarray:
    """Which segments are of these subjects and part of the task."""
    return np.array(
        [
            archive.recordings[row].subject in subjects and TASK.label("", segment) is not None
            for row, segment in archive.segments
        ]
    )


def pieces_of(archive: Archive, name: str, sfreq: float) -> np.ndarray:
    """Samples of the segments of S1 and S10 that are part of the task, one after the other."""
    pieces = []
    for subject in archive.subjects:
        for number, stored in enumerate(subject.recordings):
            samples = as_recording(subject, number).signals[name].samples.astype(np.float64)
            for segment in stored.segments:
                if stored.subject != "S2" and segment.annotations["condition"] != "talk":
                    first, stop = round(segment.start * sfreq), round(segment.stop * sfreq)
                    pieces.append(samples[:, first:stop])
    return np.concatenate(pieces, axis=1)


def test_scaling_is_mean_and_deviation_of_the_training_segments(archive: Archive) -> None:
    moments = {name: segment_moments(archive, name) for name in ("fast", "slow")}
    scaling = fit_scaling(moments, segments_of(archive, ("S1", "S10")))
    for name, sfreq in (("fast", 8.0), ("slow", 2.5)):
        joined = pieces_of(archive, name, sfreq)
        assert scaling.mean[name].shape == (len(joined), 1)
        np.testing.assert_allclose(scaling.mean[name][:, 0], joined.mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(scaling.std[name][:, 0], joined.std(axis=1), rtol=1e-6)


def test_a_range_becomes_0_to_1(archive: Archive) -> None:
    scaling = fit_range(archive, ("fast", "slow"), segments_of(archive, ("S1", "S10")))
    assert list(scaling.mean) == list(scaling.std) == ["fast", "slow"]
    for name, sfreq in (("fast", 8.0), ("slow", 2.5)):
        joined = pieces_of(archive, name, sfreq)
        assert scaling.mean[name].shape == scaling.std[name].shape == (len(joined), 1)
        scaled = (joined - scaling.mean[name].numpy()) / scaling.std[name].numpy()
        np.testing.assert_allclose(scaled.min(axis=1), 0.0, atol=1e-6)
        np.testing.assert_allclose(scaled.max(axis=1), 1.0, atol=1e-6)


def test_scaling_knows_nothing_of_other_subjects(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording], spans: Spans
) -> None:
    def fitted(seed: int, other: Sequence[tuple[float, float, str]]) -> tuple[torch.Tensor, ...]:
        archive = archive_of(
            {
                "S1": (make_recording("S1", spans["S1"][0], seed=1),),
                "S2": (make_recording("S2", other, seed=seed),),
                "S3": (make_recording("S3", spans["S2"][0], seed=2),),
            }
        )
        moments = {name: segment_moments(archive, name) for name in ("fast", "slow")}
        scaling = fit_scaling(moments, segments_of(archive, ("S1", "S3")))
        return (*scaling.mean.values(), *scaling.std.values())

    one, other = fitted(3, spans["S2"][0]), fitted(4, spans["S10"][0])
    for here, there in zip(one, other, strict=True):
        assert torch.equal(here, there)


def test_a_channel_that_never_changes_is_not_divided_by_zero(
    archive_of: Callable[..., Archive], make_recording: Callable[..., Recording]
) -> None:
    recording = make_recording("S1", [(0.0, 20.0, "rest")])
    recording.signals["fast"].samples[1] = 36.7
    archive = archive_of({"S1": (recording,)})
    moments = {"fast": segment_moments(archive, "fast")}
    scaling = fit_scaling(moments, segments_of(archive, ("S1",)))
    assert scaling.std["fast"][1, 0] == 1
    assert scaling.std["fast"][0, 0] > 1.5
    ranges = fit_range(archive, ("fast",), segments_of(archive, ("S1",)))
    assert ranges.std["fast"][1, 0] == 1
    assert ranges.mean["fast"][1, 0] == np.float32(36.7)
    assert ranges.std["fast"][0, 0] > 5
