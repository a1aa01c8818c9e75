"""Controls: their losses, and the shuffled answers of a teacher."""

import pytest
import torch
from torch.nn import functional as F

from lightning_modules.distillation.controls import LabelSmoothing, MoreEpochs, ShuffledTeacher


def test_answers_of_the_teacher_are_dealt_out_anew_and_none_is_lost(distilling):
    student, teacher = distilling.pair()
    dealt = []
    for seed in (1, 1, 2):
        model = ShuffledTeacher(student, ("eda",), (teacher,))
        module = distilling.made_up()
        torch.manual_seed(seed)
        distilling.fit(model, module, 1)
        dealt.append(model.teacher_logits)
    batch = module.train_dataloader().dataset[torch.arange(64)]
    with torch.no_grad():
        answers = teacher.model(batch.signals).logits
    assert torch.equal(dealt[0], dealt[1])
    assert not torch.equal(dealt[0], dealt[2])
    for order in dealt:
        assert sum(int(torch.allclose(a, b)) for a, b in zip(order, answers, strict=True)) < 10
        torch.testing.assert_close(order.sort(dim=0).values, answers.sort(dim=0).values)


def test_smoothed_labels_are_shared_out_among_all_classes(distilling):
    student, _ = distilling.pair(n_classes=3)
    model = LabelSmoothing(student, ("eda",), smoothing=0.3).train()
    batch = distilling.made_up().train_dataloader().dataset[torch.arange(12)]
    loss, logits = model.loss(batch)
    shares = torch.full((12, 3), 0.1)
    shares[torch.arange(12), batch.target] += 0.7
    expected = -(shares * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(loss, expected)


def test_more_epochs_is_the_student_alone(distilling):
    student, _ = distilling.pair(norm=False)
    batch = distilling.made_up().train_dataloader().dataset[torch.arange(12)]
    loss, logits = MoreEpochs(student, ("eda",)).train().loss(batch)
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch.target))
    assert MoreEpochs.epochs_factor == 2


def test_a_smoothing_beyond_one_is_refused(distilling):
    student, _ = distilling.pair()
    with pytest.raises(ValueError, match="expected smoothing from 0 to 1"):
        LabelSmoothing(student, ("eda",), smoothing=1.5)
