"""TensorBoard: the same scalars and pictures, read back with its own reader."""

import socket

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmark.tracking.tracker import draw_confusion, mean_scores


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its protobuf
def test_tensorboard(store, tracked):
    assert tracked.track(store, tracked.some(store), "tensorboard") == []
    for result in tracked.some(store):
        folder = store.root / "tensorboard" / result.run.folder
        (path,) = folder.iterdir()
        assert socket.gethostname() not in path.name
        found = EventAccumulator(str(folder)).Reload()
        for name in found.Tags()["scalars"]:
            wanted = tracked.expected_history(store, result)
            for event in found.Scalars(name):
                assert event.value == pytest.approx(wanted[event.step].pop(name))
            for row in wanted.values():
                assert name not in row or name == "epoch"
        assert set(mean_scores(result)) <= set(found.Tags()["scalars"])
        assert set(found.Tags()["scalars"]) >= tracked.CURVES or result.run.model != "cnn"
        (image,) = found.Images("confusion_matrix")
        assert (image.width, image.height) == draw_confusion(result).shape[:2]
