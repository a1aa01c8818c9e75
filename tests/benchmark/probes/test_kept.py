"""Kept probes: the same answers again, of no type that is not on the list, and no more types."""

import io
import json
import zipfile

import numpy as np
import pytest
import sklearn

from benchmark.probes import classifiers
from benchmark.probes.classifiers import CLASSIFIERS
from benchmark.probes.kept import TYPES, as_bytes, from_bytes

FACTS = {"classes": ["a", "b"], "low": np.array([1.0, 2.0], np.float32), "inputs": {"x": [1, 2.5]}}


def fitted(name: str, seed: int = 0) -> tuple[object, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, 120)
    columns = rng.normal(size=(120, 70)) + 0.3 * target[:, None]
    return CLASSIFIERS[name](seed, 2, columns.shape).fit(columns, target), columns


@pytest.mark.parametrize("name", ["forest", "linear", "components", "frequencies", "most_frequent"])
def test_it_answers_with_the_same_numbers(monkeypatch, name):
    if name == "components":
        monkeypatch.setattr(classifiers, "MANY", 20)
    classifier, columns = fitted("linear" if name == "components" else name)
    again, facts, notes = from_bytes(as_bytes(classifier, FACTS))
    np.testing.assert_allclose(
        again.predict_proba(columns), classifier.predict_proba(columns), rtol=1e-12
    )
    assert type(again) is type(classifier)
    assert facts.keys() == FACTS.keys()
    assert facts["inputs"] == FACTS["inputs"]
    np.testing.assert_array_equal(facts["low"], FACTS["low"])
    assert notes == ()


def test_every_type_on_the_list_is_needed(monkeypatch):
    found = set()
    for many in (1000, 20):
        monkeypatch.setattr(classifiers, "MANY", many)
        for name in ("forest", "linear", "most_frequent"):
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
