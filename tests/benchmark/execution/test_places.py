"""Places: a folder's name may be written in any case, and only some runs spread over a group."""

from pathlib import Path

import pytest

from benchmark.execution.parallel import Group
from benchmark.execution.places import Places


@pytest.mark.parametrize("name", ["wesad", "WESAD", "Wesad"])
def test_folder_of_a_dataset_in_any_case(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "wesad.zip").touch()
    assert Places(tmp_path, tmp_path, tmp_path).root("wesad") == tmp_path / name


@pytest.mark.parametrize("made", [(), ("wesad2",)])
def test_folder_that_is_not_there_has_the_name_of_the_dataset(tmp_path, made):
    for name in made:
        (tmp_path / name).mkdir()
    (tmp_path / "WESAD").touch()  # a file
    assert Places(tmp_path, tmp_path, tmp_path).root("wesad") == tmp_path / "wesad"
    assert Places(tmp_path / "none", tmp_path, tmp_path).root("deap") == tmp_path / "none" / "deap"


def test_only_networks_without_a_teacher_are_trained_by_a_group(workshop, tmp_path):
    group = Group(0, 2, tmp_path)
    alone, together = workshop.places(tmp_path), workshop.places(tmp_path, group=group)
    network, *_, probe = workshop.plan(["cnn", "lda"])
    assert (network.model, probe.model) == ("cnn", "lda")
    assert together.group_of(network) is group
    assert together.group_of(probe) is None
    assert alone.group_of(network) is None
    assert Places(Path("a"), Path("b"), Path("c")).group is None
