"""SoftTargets: its loss on training windows, and its options."""

import pytest
import torch

from lightning_modules.distillation.losses import soft_target_loss
from lightning_modules.distillation.soft_targets import SoftTargets


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0, "soft": 0.5}])
def test_loss_is_that_of_the_teachers_answers_to_these_windows(distilling, options):
    student, teacher = distilling.pair(norm=False)
    model = SoftTargets(student, ("eda",), (teacher,), **options)
    module = distilling.made_up()
    distilling.fit(model, module, 1)
    batch = module.train_dataloader().dataset[torch.tensor([40, 3, 17, 3])]
    with torch.no_grad():
        taught = teacher.model(batch.signals).logits
    loss, logits = model.train().loss(batch)
    chosen = {"temperature": 4.0, "soft": 0.9, **options}
    torch.testing.assert_close(loss, soft_target_loss(logits, taught, batch.target, **chosen))


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"soft": 1.1}, {"soft": -0.1}])
def test_options_out_of_range_are_refused(distilling, options):
    student, teacher = distilling.pair()
    with pytest.raises(ValueError, match="temperature > 0 and soft from 0 to 1"):
        SoftTargets(student, ("eda",), (teacher,), **options)
