"""Distillation helps where it should: a teacher that sees through wrong labels, which a weak signal
alone cannot.

Both learn from few windows of which three in ten are labelled wrongly. The teacher's signal is the
class, so that its answers are those of the majority: right. The student's has a weak copy of the
class among twenty numbers, enough to learn each wrong label by heart. Answers of the teacher are
right labels for it; the same answers dealt out at random are not.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lightning_modules.distillation.controls import ShuffledTeacher
from lightning_modules.distillation.soft_targets import SoftTargets

N_TRAIN, N_TEST, N_NUMBERS = 120, 2000, 20
WRONG = 0.3
SEEDS = range(5)


def signals_of(truth, rng):
    """Return ``eeg``, the class with little noise, and ``eda``, twenty numbers with much noise."""
    sign = 2 * truth - 1
    worn = rng.normal(0.4 * sign[:, None, None], 1.0, (len(truth), 1, N_NUMBERS))
    lab = rng.normal(sign[:, None, None], 0.2, (len(truth), 1, 1))
    return {"eda": torch.from_numpy(worn).float(), "eeg": torch.from_numpy(lab).float()}


def accuracies(distilling, seed):
    """Return accuracies on new windows with right labels: alone, distilled, by shuffled answers."""
    rng = np.random.default_rng(seed)
    truth, tested = (rng.integers(2, size=n) for n in (N_TRAIN, N_TEST))
    labels = np.where(rng.random(N_TRAIN) < WRONG, 1 - truth, truth)
    train, test = signals_of(truth, rng), signals_of(tested, rng)
    recipe = replace(distilling.RECIPE, lr=0.02, batch_size=60)

    def module():
        return distilling.MadeUp(train, labels, np.arange(N_TRAIN) // 10, batch_size=60)

    def student():
        torch.manual_seed(seed)
        return distilling.tiny({"eda": N_NUMBERS}, width=32, norm=False, recipe=recipe)

    def score(model):
        with torch.no_grad():
            said = model.eval()(test).logits.argmax(dim=1).numpy()
        return float((said == tested).mean())

    teacher = distilling.tiny({"eeg": 1}, width=4, norm=False, recipe=recipe)
    distilling.fit(teacher, module(), 30)
    trusted = distilling.Teacher(teacher, ("eeg",))
    found = []
    for build in (
        lambda own: own,
        lambda own: SoftTargets(own, ("eda",), (trusted,)),
        lambda own: ShuffledTeacher(own, ("eda",), (trusted,)),
    ):
        model = build(student())
        distilling.fit(model, module(), 30)
        found.append(score(model))
    return found


def test_a_teacher_that_knows_more_helps_and_one_that_is_shuffled_does_not(distilling):
    alone, distilled, shuffled = np.mean([accuracies(distilling, s) for s in SEEDS], axis=0)
    assert distilled > alone + 0.05
    assert shuffled < alone
    assert alone == pytest.approx(0.7, abs=0.2)  # neither chance nor solved
