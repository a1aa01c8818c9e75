"""Catalogue of probes: which signals each takes, and what a board may conclude from it."""

import inspect
import math

import pytest

from benchmark.probes.catalogue import CLASSIFIER_NAMES, PROBES, ProbeRecipe
from benchmark.probes.classifiers import CLASSIFIERS
from benchmark.probes.encoders import ENCODERS
from datamodules.errors import IncompatibleRunError
from datamodules.inputs import SignalSpec

CLASSIFYING = {name: probe for name, probe in PROBES.items() if probe.encoder is None}
"""Probes with a classifier of their own; an encoder has a head."""


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
    expected = {"motion": motion, "signals": others, "subject": others, "windows": others}
    available = {name: SignalSpec(3 if "acc" in name else 2, 240, 4.0) for name in available}
    for probe in CLASSIFYING.values():
        if expected.get(probe.sees, ()) is None:
            with pytest.raises(IncompatibleRunError, match=r"takes .*; there is only"):
                probe.choose_signals(available)
        else:
            assert probe.choose_signals(available) == expected.get(probe.sees, ())


WEARABLE = {
    "bvp": SignalSpec(1, 3840, 64.0),
    "eda": SignalSpec(1, 240, 4.0),
    "temp": SignalSpec(1, 240, 4.0),
    "acc": SignalSpec(3, 1920, 32.0),
}
SLOW = {"eda": SignalSpec(1, 8, 0.25), "eye": SignalSpec(33, 9, 0.3)}
BRAIN = {"eeg": SignalSpec(19, 500, 500.0), "ecg": SignalSpec(1, 500, 500.0)}


@pytest.mark.parametrize(
    ("name", "available", "expected"),
    [
        ("minirocket", WEARABLE, ("bvp", "eda", "temp")),
        ("minirocket", SLOW, ("eye",)),
        ("tangent_space", WEARABLE, ("eda", "temp")),
        ("tangent_space", BRAIN, ("eeg", "ecg")),
        ("tangent_space", {**WEARABLE, **BRAIN}, ("eeg", "ecg")),
    ],
)
def test_signals_of_windows_that_a_probe_can_use(name, available, expected):
    assert PROBES[name].choose_signals(available) == expected


@pytest.mark.parametrize(
    ("name", "available", "reason"),
    [
        ("minirocket", {"eda": SLOW["eda"]}, "at least 9 samples of a signal; those of eda have"),
        (
            "tangent_space",
            {name: WEARABLE[name] for name in ("bvp", "eda", "acc")},
            "takes at least 2 channels at one rate; of bvp, eda there are 1",
        ),
        ("minirocket", {"acc": WEARABLE["acc"]}, "takes any signal but acc; there is only acc"),
    ],
)
def test_signals_that_a_probe_cannot_use(name, available, reason):
    with pytest.raises(IncompatibleRunError, match=reason):
        PROBES[name].choose_signals(available)


def test_names_of_classifiers_are_those_that_there_are():
    assert set(CLASSIFIER_NAMES) == set(CLASSIFIERS)


def test_every_classifier_is_known_and_used():
    assert {probe.classifier for probe in CLASSIFYING.values()} == set(CLASSIFIERS)


def test_an_encoder_has_a_row_with_its_weights_and_one_with_random_ones():
    of_encoders = {name: probe for name, probe in PROBES.items() if probe.encoder}
    assert list(of_encoders) == [n for one in ENCODERS for n in (one, f"{one}_untrained")]
    for name, encoder in ENCODERS.items():
        both = [of_encoders[name], of_encoders[f"{name}_untrained"]]
        assert [probe.pretrained for probe in both] == [True, False]
        assert all(probe.encoder is encoder for probe in both)
        assert all(probe.sees == "embedding" and not probe.classifier for probe in both)
        assert (
            both[0].published
            == both[1].published
            == ProbeRecipe(encoder.window, encoder.window / 2)
        )


def test_a_probe_is_to_be_beaten_or_should_lose():
    assert [name for name, probe in PROBES.items() if probe.simple] == ["random_forest", "lda"]
    assert not any(probe.simple and probe.blind for probe in PROBES.values())
    strong = ("gradient_boosting", "logistic", "svm_rbf", "minirocket", "tangent_space")
    assert [n for n, p in CLASSIFYING.items() if not (p.simple or p.blind)] == list(strong)
    assert all(probe.sees == "signals" for probe in PROBES.values() if probe.simple)


@pytest.mark.parametrize("name", CLASSIFYING)
def test_the_catalogue_declares_the_arguments_of_the_classifier_and_their_defaults(name):
    parameters = inspect.signature(CLASSIFIERS[PROBES[name].classifier]).parameters.values()
    given, *arguments = list(parameters)[2:]
    assert given.name == "shape"
    assert PROBES[name].arguments == {p.name: p.default for p in arguments}


@pytest.mark.parametrize(
    ("probe", "changes"),
    [
        ("random_forest", {"n_trees": 50, "max_features": 0.5}),
        ("random_forest", {"max_features": "log2"}),
        ("lda", {"shrinkage": 0}),
        ("lda", {}),
    ],
)
def test_arguments_are_the_defaults_but_for_what_is_changed(probe, changes):
    found = PROBES[probe].with_arguments(changes)
    assert found == {**PROBES[probe].arguments, **changes}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trees": 5}, "expected arguments n_trees, min_leaf, max_features, found 'trees'"),
        ({"n_trees": 50.5}, "expected n_trees to be a value like 200, found 50.5"),
        ({"n_trees": "many"}, "expected n_trees to be a value like 200, found 'many'"),
        ({"n_trees": True}, "expected n_trees to be a value like 200, found True"),
        ({"min_leaf": -1}, "expected min_leaf to be a value like 5, found -1"),
        ({"max_features": math.inf}, "expected max_features to be a value like 'sqrt', found inf"),
        ({"max_features": None}, "expected max_features to be a value like 'sqrt', found None"),
    ],
)
def test_arguments_that_a_classifier_does_not_take(changes, expected):
    with pytest.raises(ValueError, match=expected):
        PROBES["random_forest"].with_arguments(changes)


def test_a_probe_without_arguments_says_so():
    with pytest.raises(ValueError, match="expected arguments none, found 'C'"):
        PROBES["prior"].with_arguments({"C": 1.0})


@pytest.mark.parametrize("values", [{"window": 0.0}, {"stride": -1.0}])
def test_windows_have_a_length(values):
    with pytest.raises(ValueError, match="expected a positive window and stride"):
        ProbeRecipe(**values)
