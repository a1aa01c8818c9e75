"""Kept probes: the same answers again, of no type that is not on the list, and no more types."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.neighbors import KNeighborsClassifier

from benchmark.probes import classifiers
from benchmark.probes.classifiers import CLASSIFIERS, learned_values
from benchmark.probes.kept import TYPES, as_bytes, from_bytes
from benchmark.probes.windows import Windows
from datamodules.inputs import SignalSpec

FACTS = {"classes": ["a", "b"], "low": np.array([1.0, 2.0], np.float32), "inputs": {"x": [1, 2.5]}}


ON_WINDOWS = ("minirocket", "tangent_space")
NAMES = (
    "forest",
    "linear",
    "gradient_boosting",
    "logistic",
    "svm_rbf",
    *ON_WINDOWS,
    "frequencies",
    "most_frequent",
)
"""Classifiers whose probes may be kept, those of a constant among them."""


def fitted(name: str, n_classes: int = 2) -> tuple[Any, Any]:
    """A classifier and what it was fitted on: features, or windows of two signals."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, n_classes, 120)
    columns: Any = rng.normal(size=(120, 70)) + 0.3 * target[:, None]
    if name in ON_WINDOWS:
        inputs = {"eeg": SignalSpec(3, 20, 4.0), "ecg": SignalSpec(1, 20, 4.0)}
        samples = {
            signal: rng.normal(size=(120, spec.n_channels, 20)).astype(np.float32)
            for signal, spec in inputs.items()
        }
        columns = Windows.of(inputs, samples)
    people = {"groups": np.arange(120) // 20} if name == "svm_rbf" else {}
    return CLASSIFIERS[name](0, n_classes, columns.shape).fit(columns, target, **people), columns


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", [*NAMES, "components"])
def test_it_answers_with_the_same_numbers(monkeypatch, name, n_classes):
    if name == "components":
        monkeypatch.setattr(classifiers, "MANY", 20)
    classifier, columns = fitted("linear" if name == "components" else name, n_classes)
    again, facts, notes = from_bytes(as_bytes(classifier, FACTS))
    np.testing.assert_allclose(
        again.predict_proba(columns), classifier.predict_proba(columns), rtol=1e-12
    )
    assert type(again) is type(classifier)
    assert learned_values(again) == learned_values(classifier)
    assert (learned_values(again) > 0) == (name not in ("frequencies", "most_frequent"))
    assert facts.keys() == FACTS.keys()
    assert facts["inputs"] == FACTS["inputs"]
    np.testing.assert_array_equal(facts["low"], FACTS["low"])
    assert notes == ()


def test_every_type_on_the_list_is_needed(monkeypatch):
    found = set()
    for many in (1000, 20):
        monkeypatch.setattr(classifiers, "MANY", many)
        for name in NAMES:
            with zipfile.ZipFile(io.BytesIO(as_bytes(fitted(name)[0], FACTS))) as file:
                waiting = [json.loads(file.read("schema.json"))]
            while waiting:
                node = waiting.pop()
                if isinstance(node, dict):
                    waiting += node.values()
                    if "__loader__" in node:
                        found.add((node["__loader__"], f"{node['__module__']}.{node['__class__']}"))
                elif isinstance(node, list):
                    waiting += node
    assert found == {(kind, name) for kind, names in TYPES.items() for name in names}


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(), object, print, (n for n in ())])
def test_a_classifier_of_types_that_are_not_read_is_not_written(estimator):
    with pytest.raises(ValueError, match="expected"):
        as_bytes(estimator, FACTS)


def test_another_version_of_scikit_learn_is_noted():
    with zipfile.ZipFile(io.BytesIO(as_bytes(fitted("linear")[0], FACTS))) as file:
        members = {name: file.read(name) for name in file.namelist()}
    schema = members["schema.json"].decode()
    assert sklearn.__version__ in schema
    members["schema.json"] = schema.replace(sklearn.__version__, "0.0.1").encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    _, _, (note,) = from_bytes(packed.getvalue())
    assert note.startswith(f"fitted with scikit-learn 0.0.1, used with {sklearn.__version__}")
