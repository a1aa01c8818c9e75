"""UncertaintyWeighted: each window has the weight of its neighbourhood, wherever its row is."""

import numpy as np
import pytest
import torch

from lightning_modules.catalogue import MODELS
from lightning_modules.distillation.losses import uncertainty_weights, weighted_distillation_loss
from lightning_modules.distillation.uncertainty_weighted import UncertaintyWeighted


def fitted(distilling, module, rows=None, **options):
    student, teacher = distilling.pair(norm=False)
    if rows:
        options["span"] = rows * student.recipe.stride
    model = UncertaintyWeighted(student, ("eda",), (teacher,), **options)
    distilling.fit(model, module, 1)
    return model


def weights_of(model, module, rows, groups, **options):
    """Return the weights of some rows that are neighbours in this order."""
    batch = module.train_dataloader().dataset[torch.as_tensor(rows)]
    with torch.no_grad():
        q = (model.teachers[0].model(batch.signals).logits / model.temperature).softmax(dim=1)
    return uncertainty_weights(q, torch.as_tensor(groups), **options)


def test_neighbours_are_windows_of_the_segment(distilling):
    module = distilling.made_up()
    model = fitted(distilling, module, rows=5)
    for segment in range(8):
        rows = np.arange(8 * segment, 8 * segment + 8)
        expected = weights_of(model, module, rows, np.zeros(8), width=5)
        torch.testing.assert_close(model.weights[rows], expected)
    assert len(model.weights.unique()) > 20


def test_windows_drawn_again_have_the_weight_of_the_first(distilling):
    plain = distilling.made_up()
    model = fitted(distilling, plain, rows=5)
    again = np.array([5, 5, 60, 31])
    rows = np.concatenate([np.arange(64), again])
    signals, windows = plain.kept["train"]
    module = distilling.MadeUp({n: s[rows] for n, s in signals.items()}, windows.target, [0] * 64)
    for name, column in vars(windows).items():
        setattr(module.windows("train"), name, column[rows])
    repeated = fitted(distilling, module, rows=5)
    torch.testing.assert_close(repeated.weights[:64], model.weights)
    assert torch.equal(repeated.weights[64:], repeated.weights[again])


@pytest.mark.parametrize("divided", [False, True])
def test_the_published_table_is_in_order_of_person_condition_and_time(distilling, divided):
    module = distilling.made_up(n_windows=256)
    windows = module.windows("train")
    condition = windows.target.copy()
    if divided:  # every other segment of class 0 is a condition of its own, which comes last
        condition[(windows.target == 0) & (windows.segment % 4 < 2)] = 2
        assert set(condition) == {0, 1, 2}
        module.conditions = lambda: condition
    model = fitted(distilling, module, rows=40, order="table")
    table = sorted(
        range(256),
        key=lambda row: (
            windows.subject[row],
            condition[row],
            windows.segment[row],
            windows.start[row],
        ),
    )
    assert table != list(range(256))
    expected = weights_of(model, module, table, np.zeros(256), width=40, order="table")
    torch.testing.assert_close(model.weights[table], expected)


def test_loss_weighs_each_window(distilling):
    module = distilling.made_up()
    model = fitted(distilling, module, rows=5)
    rows = torch.tensor([40, 3, 17, 3])
    batch = module.train_dataloader().dataset[rows]
    with torch.no_grad():
        taught = model.teachers[0].model(batch.signals).logits
    loss, logits = model.train().loss(batch)
    expected = weighted_distillation_loss(logits, taught, batch.target, model.weights[rows])
    torch.testing.assert_close(loss, expected)


def test_its_paper_changes_the_learning_rate_of_its_student():
    assert UncertaintyWeighted.changes == {MODELS["attention_lrcn"]: {"lr": 2e-3}}


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.0}, {"span": 0.0}, {"exponent": -1.0}, {"soft": -1.0}, {"order": "time"}],
)
def test_options_out_of_range_are_refused(distilling, options):
    student, teacher = distilling.pair()
    with pytest.raises(ValueError, match="expected"):
        UncertaintyWeighted(student, ("eda",), (teacher,), **options)


def test_the_span_is_in_seconds(distilling):
    """60 s of windows 10 s apart are 6 rows, and weights vary inside segments of 8."""
    module = distilling.made_up()
    model = fitted(distilling, module, span=60.0)
    assert model.recipe.stride == 10
    same = fitted(distilling, module, rows=6)
    assert torch.equal(model.weights, same.weights)
    weights = model.weights.reshape(8, 8)
    varied = int((weights.max(dim=1).values - weights.min(dim=1).values > 1e-4).sum())
    assert varied > 4
    (note,) = model.notes
    assert note.endswith(f"they vary in {varied} of 8 segments")
    inside = (weights - weights.mean(dim=1, keepdim=True)).double().std(correction=0)
    assert f"standard deviation inside segments {inside:.3f}" in note


def test_a_short_span_is_three_rows(distilling):
    module = distilling.made_up()
    short = fitted(distilling, module, span=1.0)
    assert torch.equal(short.weights, fitted(distilling, module, rows=3).weights)
