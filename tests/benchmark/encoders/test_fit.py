"""An encoder as a row: trained elsewhere, frozen here, and blind for who is tested."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.boards.calibrated import calibrated_results
from benchmark.boards.scores import scored_results
from benchmark.encoders import fit as module
from benchmark.encoders.files import Weights
from benchmark.execution.assemble import make_datamodule
from benchmark.execution.execute import execute
from benchmark.probes.catalogue import PROBES, encoder_probes
from benchmark.probes.encoders import Encoder
from benchmark.store import VALIDATION, Store, as_npz, parsed
from datamodules.signals.steps import Resample
from datamodules.synthetic import SyntheticReader
from tests.benchmark.made_up import plant

ONE = {"synthetic": {"n_subjects": 6, "phase": 60.0}}


class Narrow(nn.Module):
    """A network whose embedding is one number."""

    def __init__(self, channels: Sequence[str], n_times: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(len(channels), 8, 9, stride=2)
        self.last = nn.Linear(8, 1)

    def forward(self, window: Tensor) -> Tensor:
        centred = window - window.mean(dim=2, keepdim=True)
        return self.last(torch.relu(self.first(centred)).mean(dim=2))


NARROW = Encoder(Narrow, ("eda", "bvp"), 8.0, 20.0, ("other_people",), "narrow")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, probe in encoder_probes("narrow", NARROW).items():
        monkeypatch.setitem(PROBES, name, probe)


def pretrained(path: Path) -> Path:
    """Weights that were trained to tell stress in people of another dataset."""
    reader = SyntheticReader(n_subjects=3, seed=99, phase=60.0)
    windows, targets = [], []
    for subject in reader.subjects:
        for recording in reader.read(subject):
            signals = [Resample(8.0)(recording.signals[n]).samples[0] for n in NARROW.signals]
            for segment in recording.segments:
                for start in range(round(segment.start * 8), round(segment.stop * 8) - 160, 80):
                    windows.append([x[start : start + 160] for x in signals])
                    targets.append(segment.annotations["condition"] == "stress")
    x, y = torch.tensor(np.array(windows)), torch.tensor(targets).float()
    torch.manual_seed(0)
    network = Narrow("ab", 160)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network(x)[:, 0], y)
        loss.backward()
        optimizer.step()
    torch.save(network.state_dict(), path)
    return path


def test_encoder_that_was_trained_elsewhere_beats_random_weights(workshop, narrow, tmp_path):
    encoders = {"narrow": Weights(str(pretrained(tmp_path / "narrow.pth")))}
    runs = workshop.plan(
        ["narrow", "narrow_untrained"], recipes={}, encoders=encoders, options=ONE, seeds=(0, 1)
    )
    scores: dict[str, list[float]] = {"narrow": [], "narrow_untrained": []}
    for run in runs:
        result = execute(run, workshop.places(tmp_path / "runs", encoders=encoders))
        assert result.status == "done", result.traceback
        scores[run.model] += [one["macro_f1"] for one in result.scores.values()]
        assert result.parameters == sum(p.numel() for p in Narrow("ab", 160).parameters()) + 2
    assert np.mean(scores["narrow"]) > np.mean(scores["narrow_untrained"]) + 0.1


def test_run_is_known_by_the_weights_and_not_by_their_place(workshop, tiny, weights, tmp_path):
    copy = tmp_path / "copy.pth"
    shutil.copy(weights, copy)
    other = tmp_path / "other.pth"
    state = torch.load(weights, weights_only=True)
    torch.save({name: 2 * value for name, value in state.items()}, other)

    def plan(path: Path, **more: Any) -> Any:
        (run, *_) = workshop.plan(
            ["tiny"], recipes={}, encoders={"tiny": Weights(str(path), **more)}
        )
        return run

    run = plan(weights)
    assert plan(copy).id == run.id
    assert plan(other).id != run.id
    assert plan(weights, pretrained_on=("deap",)).id != run.id
    assert run.pretrained == Weights(str(copy)).digest
    assert str(tmp_path) not in repr(run)
    assert run.pretrained_on == ("wesad",)
    assert f"weights={run.pretrained}" in run.recipe_label
    (untrained, *_) = workshop.plan(["tiny_untrained"], recipes={})
    assert (untrained.pretrained, untrained.pretrained_on) == ("", ())


def test_run_fails_where_its_weights_are_not(workshop, tiny, weights, tmp_path):
    (run, *_) = workshop.plan(["tiny"], recipes={}, encoders={"tiny": Weights(str(weights))})
    result = execute(run, workshop.places(tmp_path / "runs"))
    assert result.status == "failed"
    assert f"expected the file of weights {run.pretrained}, found none" in result.error


def test_random_weights_are_those_of_the_seed(workshop, tiny):
    def values(seed: int) -> Tensor:
        torch.manual_seed(123 + seed)  # whatever was drawn before does not count
        return module.freeze(tiny, ("a", "b"), 20.0, seed=seed).body.weight

    assert torch.equal(values(3), values(3))
    assert not torch.equal(values(3), values(4))


def test_frozen_network_learns_nothing(workshop, tiny, weights):
    network = module.freeze(tiny, ("a", "b"), 20.0, weights)
    assert not network.training
    assert not any(values.requires_grad for values in network.parameters())
    saved = torch.load(weights, weights_only=True)
    assert all(torch.equal(saved[name], value) for name, value in network.state_dict().items())


# --- who is seen


@pytest.fixture
def told(workshop: Any, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Fits a head of fold 0 on made-up embeddings, those of some people being changed."""
    (run, *_) = workshop.plan(["tiny_untrained"], recipes={}, options=ONE)
    data = make_datamodule(run, workshop.places(Path("none")))
    data.prepare_data()
    data.setup()
    segments = data.fold.grids["segments"]
    rng = np.random.default_rng(0)
    tables = {
        n: rng.normal(size=(len(w), 6)).astype(np.float32) for n, w in data.fold.grids.items()
    }
    monkeypatch.setattr(module, "embeddings", lambda *_: tables)
    frozen = module.Frozen(tiny, nn.Identity(), "key")

    def fitted(changed: Sequence[str]) -> tuple[float, np.ndarray]:
        original = tables["segments"]
        names = np.array(data.subjects)[segments.subject]
        rows = np.isin(names, changed)
        tables["segments"] = np.where(rows[:, None], 1e6 * segments.target[:, None], original)
        head = module.fit_encoder(frozen, data).head
        tables["segments"] = original
        assert head is not None
        return head.C, head.fitted[-1].coef_

    return data, fitted


def test_people_who_are_validated_or_tested_have_no_say(told):
    data, fitted = told
    members = data.fold.members
    assert members.val
    assert members.test
    penalty, coefficients = fitted(())
    for others in (members.val, members.test):
        again = fitted(others)
        assert again[0] == penalty
        np.testing.assert_array_equal(again[1], coefficients)


def test_a_person_who_had_a_say_would_be_seen(told):
    data, fitted = told
    _, coefficients = fitted(())
    again = fitted(data.fold.members.train[:1])
    assert not np.allclose(again[1], coefficients)


def test_refit_lets_validation_people_in(told):
    data, fitted = told
    data.train_on_validation()
    _, coefficients = fitted(())
    assert not np.allclose(fitted(told[0].fold.members.val[:1])[1], coefficients)


def test_one_class_is_a_constant(workshop, tiny, monkeypatch):
    (run, *_) = workshop.plan(["tiny_untrained"], recipes={}, options=ONE)
    data = make_datamodule(run, workshop.places(Path("none")))
    data.prepare_data()
    data.setup()
    for windows in data.fold.grids.values():
        monkeypatch.setitem(windows.__dict__, "target", np.ones_like(windows.target))
    tables = {n: np.zeros((len(w), 3), np.float32) for n, w in data.fold.grids.items()}
    monkeypatch.setattr(module, "embeddings", lambda *_: tables)
    fitted = module.fit_encoder(module.Frozen(tiny, nn.Identity(), "key"), data)
    np.testing.assert_array_equal(fitted.predict(data), [[0.0, 1.0]] * len(fitted.predict(data)))
    assert fitted.notes == (
        "every training window of a fold is of class stress: a constant was fitted",
    )


def test_result_is_kept_and_says_what_it_cost(workshop, tiny, weights, tmp_path):
    encoders = {"tiny": Weights(str(weights))}
    (run, *_) = workshop.plan(["tiny"], recipes={}, encoders=encoders)
    execute(run, workshop.places(tmp_path / "runs", encoders=encoders))
    (result,) = Store(tmp_path / "runs").results()
    assert result.run == run
    assert not (Store(tmp_path / "runs").folder(run) / "model.skops").exists()


def test_a_tested_person_among_those_who_calibrate_a_row_is_refused(
    workshop, tiny, weights, tmp_path
):
    """The units that are tested would choose temperature and threshold."""
    encoders = {"tiny": Weights(str(weights))}
    runs = workshop.plan(["tiny"], recipes={}, encoders=encoders, options=ONE)[:2]
    store = Store(tmp_path / "runs")
    for run in runs:
        result = execute(run, workshop.places(store.root, encoders=encoders))
        assert result.status == "done", result.traceback
    honest, spoilt = (store.folder(run) for run in runs)
    kept = parsed((spoilt / VALIDATION).read_bytes(), spoilt, VALIDATION)
    tested = store.predictions(runs[1])
    (stranger,) = set(tested["subject"].tolist())
    assert stranger not in kept["subject"]
    plant(
        spoilt / VALIDATION,
        as_npz({name: np.concatenate([kept[name], tested[name]]) for name in kept}),
    )
    calibrated = calibrated_results(scored_results(store), store)
    assert calibrated[honest].reason == ""
    assert calibrated[honest].values
    assert calibrated[spoilt].reason == f"REFUSED, a leak: {stranger} calibrated and tested"
    assert calibrated[spoilt].values is None
