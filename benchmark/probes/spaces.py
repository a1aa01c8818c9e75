"""Spaces of probes: the values among which a study chooses the arguments of their classifiers.

Ranges are those that studies of tuning take: Probst et al. 2019 for forests and regularised models.
"""

from lightning_modules.spaces import Choice, Range, Space

SPACES: dict[str, Space] = {
    "random_forest": {
        "min_leaf": Range(1, 50, log=True, whole=True),
        "max_features": Choice(("sqrt", "log2", 0.1, 0.3, 1.0)),
    },
    "lda": {"shrinkage": Choice(("auto", 0.01, 0.03, 0.1, 0.3, 0.6, 0.9))},
    "gradient_boosting": {
        "learning_rate": Range(0.01, 0.3, log=True),
        "max_iter": Range(50, 500, log=True, whole=True),
        "max_leaf_nodes": Range(4, 64, log=True, whole=True),
        "min_samples_leaf": Range(1, 50, log=True, whole=True),
        "l2": Choice((0.0, 0.01, 0.1, 1.0, 10.0)),
    },
    "logistic": {"C": Range(1e-4, 1e2, log=True)},
    "tangent_space": {"C": Range(1e-4, 1e2, log=True)},
    "svm_rbf": {
        "C": Range(1e-2, 1e3, log=True),
        "gamma": Choice(("scale", 1e-4, 1e-3, 1e-2, 1e-1)),
    },
}
"""Spaces by probe; one without has nothing to choose, as MiniRocket, whose ridge classifier chooses
its own penalty. A plug-in adds those of its own probes."""
