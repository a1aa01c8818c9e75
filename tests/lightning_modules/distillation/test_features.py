"""Features: the distance between the embeddings of student and teacher."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightning_modules.distillation.features import Features


@pytest.mark.parametrize(("width", "kind"), [(4, nn.Identity), (5, nn.Linear)])
def test_loss_is_cross_entropy_and_distance_of_embeddings(distilling, width, kind):
    student, teacher = distilling.pair(width=width, norm=False)
    model = Features(student, ("eda",), (teacher,), feature=2.5)
    module = distilling.made_up()
    distilling.fit(model, module, 1)
    assert isinstance(model.project, kind)
    batch = module.train_dataloader().dataset[torch.tensor([40, 3, 17])]
    loss, logits = model.train().loss(batch)
    with torch.no_grad():
        own = student(batch.signals).embedding
        if width == 5:
            own = own @ model.project.weight.T + model.project.bias
        distance = (own - teacher.model(batch.signals).embedding).square().sum() / (3 * width)
    torch.testing.assert_close(loss, F.cross_entropy(logits, batch.target) + 2.5 * distance)


def test_the_map_is_trained_and_left_behind(distilling, tmp_path):
    student, teacher = distilling.pair(width=5)
    model = Features(student, ("eda",), (teacher,))
    distilling.fit(model, distilling.made_up(), 1)
    ids = [id(p) for group in model.optimizers().param_groups for p in group["params"]]
    assert {id(p) for p in model.project.parameters()} <= set(ids)
    assert len(set(ids)) == len(list(student.parameters())) + 2
    assert not any("project" in key for key in student.state_dict())


def test_looking_for_sizes_changes_no_statistics(distilling):
    student, teacher = distilling.pair(width=5)
    teacher.model.train()
    found = [p.network.norm.running_mean.clone() for p in (student, teacher.model)]
    model = Features(student, ("eda",), (teacher,))
    module = distilling.made_up()
    model.trainer = type("Trainer", (), {"datamodule": module})()
    model.setup("fit")
    assert model.training
    for before, module in zip(found, (student, teacher.model), strict=True):
        assert torch.equal(module.network.norm.running_mean, before)


def test_a_factor_below_zero_is_refused(distilling):
    student, teacher = distilling.pair()
    with pytest.raises(ValueError, match="expected feature from 0 up"):
        Features(student, ("eda",), (teacher,), feature=-1.0)
