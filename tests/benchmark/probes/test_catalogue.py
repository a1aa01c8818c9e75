"""Catalogue of probes: which signals each takes, and what a board may conclude from it."""

import pytest

from benchmark.probes.catalogue import PROBES, ProbeRecipe
from benchmark.probes.classifiers import CLASSIFIERS
from datamodules.errors import IncompatibleRunError


@pytest.mark.parametrize(
    ("available", "motion", "others"),
    [
        (("bvp", "eda", "acc"), ("acc",), ("bvp", "eda")),
        (("ecg", "chest_acc", "acc"), ("chest_acc", "acc"), ("ecg",)),
        (("eda",), None, ("eda",)),
        (("acc",), ("acc",), None),
    ],
)
def test_signals_of_probes(available, motion, others):
    expected = {"motion": motion, "signals": others, "subject": others}
    for probe in PROBES.values():
        if expected.get(probe.sees, ()) is None:
            with pytest.raises(IncompatibleRunError, match=r"takes .*; there is only"):
                probe.choose_signals(available)
        else:
            assert probe.choose_signals(available) == expected.get(probe.sees, ())


def test_every_classifier_is_known_and_used():
    assert {probe.classifier for probe in PROBES.values()} == set(CLASSIFIERS)


def test_a_probe_is_to_be_beaten_or_should_lose():
    assert [name for name, probe in PROBES.items() if probe.simple] == ["random_forest", "lda"]
    assert all(probe.simple != probe.blind for probe in PROBES.values())
    assert all(probe.sees == "signals" for probe in PROBES.values() if probe.simple)


@pytest.mark.parametrize("values", [{"window": 0.0}, {"stride": -1.0}])
def test_windows_have_a_length(values):
    with pytest.raises(ValueError, match="expected a positive window and stride"):
        ProbeRecipe(**values)
