"""TensorBoard: the same scalars and pictures, read back with its own reader."""

import dataclasses
import socket

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmark.store import Store
from benchmark.tracking.content import draw_confusion, mean_scores


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its protobuf
def test_runs_of_published_tasks_are_written(store, tmp_path, tracked):
    result = next(result for result in store.results() if result.run.model == "lda")
    run = dataclasses.replace(result.run, dataset="deap", task="valence_9")
    other = Store(tmp_path / "published")
    other.save(dataclasses.replace(result, run=run), store.predictions(result.run))
    assert tracked.track(other, other.results(), "tensorboard") == []
    found = EventAccumulator(str(other.root / "tensorboard" / run.folder)).Reload()
    assert len(found.Images("confusion_matrix")) == 1
