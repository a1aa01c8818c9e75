"""Fitted probes as files: skops, which holds no code and is read for a few types only.

skops imports all of scikit-learn, which takes seconds, so that it is imported when it is used.
"""

import io
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import InconsistentVersionWarning

from benchmark.probes.trees import put_together, taken_apart

TYPES = {
    "DictNode": ("builtins.dict",),
    "ListNode": ("builtins.list",),
    "TupleNode": ("builtins.tuple",),
    "TypeNode": ("builtins.str",),
    "JsonNode": ("builtins.str",),
    "NdArrayNode": ("numpy.ndarray", "numpy.float64", "numpy.int64"),
    "ObjectNode": (
        "benchmark.probes.boosting.BoostedTrees",
        "benchmark.probes.minirocket.MiniRocket",
        "benchmark.probes.scale.Scale",
        "benchmark.probes.support_vectors.Machine",
        "benchmark.probes.support_vectors.SupportVectors",
        "benchmark.probes.tangent.TangentSpace",
        "sklearn.decomposition._pca.PCA",
        "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
        "sklearn.dummy.DummyClassifier",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.tree._classes.DecisionTreeClassifier",
    ),
}
"""By the kind of a node in the file, the types that probes consist of; no other is made."""
OWN = [name for name in TYPES["ObjectNode"] if name.startswith("benchmark.")]
"""Types of this project, which skops does not trust by itself."""
LARGEST = 2**30
"""Largest number of bytes that a file may hold when it is unpacked."""


def as_bytes(classifier: Any, facts: Mapping[str, Any]) -> bytes:
    """Return a fitted classifier and facts about it as the bytes of a file.

    Args:
        classifier: Classifier from ``benchmark.probes.classifiers``, or of a plug-in.
        facts: Numbers, texts, arrays, and lists and dictionaries of them.

    Raises:
        ValueError: A classifier of types that would not be read again.
    """
    import skops.io  # takes seconds

    trees: dict[str, Any] = {}
    if isinstance(classifier, RandomForestClassifier):
        classifier, trees = taken_apart(classifier)
    content = {"classifier": classifier, "trees": trees, "facts": dict(facts)}
    try:
        packed: bytes = skops.io.dumps(content, compression=zipfile.ZIP_DEFLATED, compresslevel=6)
    except Exception as error:  # no library promises particular ones for whatever it is given
        raise ValueError(f"expected what skops can write, found {error!r}") from error
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        _check_types(file)
    return packed


def from_bytes(content: bytes) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    """Return the classifier and the facts of a file, and notes that a user of them must know.

    Raises:
        ValueError: Types that no probe consists of, or trees that are none. What else may be wrong
            with a file raises whatever zipfile, json, skops and scikit-learn raise.
    """
    import skops.io  # takes seconds

    with zipfile.ZipFile(io.BytesIO(content)) as file:
        size = sum(member.file_size for member in file.infolist())
        if size > LARGEST:
            raise ValueError(f"expected at most {LARGEST} bytes unpacked, found {size}")
        _check_types(file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = skops.io.loads(content, trusted=OWN)
    classifier, facts = loaded["classifier"], loaded["facts"]
    if isinstance(classifier, RandomForestClassifier):
        n_features = int(loaded["classifier"].n_features_in_)
        classifier = put_together(classifier, loaded["trees"], n_features)
    versions = [w.message for w in caught if isinstance(w.message, InconsistentVersionWarning)]
    notes = [
        f"fitted with scikit-learn {version.original_sklearn_version}, used with "
        f"{version.current_sklearn_version}: probabilities may differ"
        for version in versions[:1]
    ]
    return classifier, facts, tuple(notes)


def _check_types(file: zipfile.ZipFile) -> None:
    """Raise ValueError for a type that no probe consists of."""
    for kind, name in _types(json.loads(file.read("schema.json"))):
        if name not in TYPES.get(kind, ()):
            raise ValueError(f"expected types of probes alone, found {name[:70]!r}")


def _types(schema: Any) -> Iterator[tuple[str, str]]:
    """Yield kind and type of every node of a file, however deep."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend(node.values())
            if "__loader__" in node:
                yield str(node["__loader__"]), f"{node['__module__']}.{node['__class__']}"
        elif isinstance(node, list):
            waiting.extend(node)
