"""Probes: they see what they say and nothing else, against scikit-learn fitted by hand."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier

from benchmark.execution.assemble import make_datamodule
from benchmark.probes import classifiers
from benchmark.probes.catalogue import PROBES
from benchmark.probes.classifiers import CLASSIFIERS
from benchmark.probes.fit import fit_probe, window_features
from datamodules.datamodule import EmotionDataModule, Selection
from datamodules.dataset import Dataset
from datamodules.fold import Part, Windowing
from datamodules.noise import NOISE, NoiseReader
from datamodules.protocol import Protocol
from datamodules.resident import RESIDENT
from datamodules.signals.features import features
from datamodules.signals.recording import Recording, Segment, Signal
from datamodules.stored import as_recording
from datamodules.synthetic import SyntheticReader
from datamodules.tasks import ConditionTask

CLASSIFYING = [name for name, probe in PROBES.items() if not probe.encoder]
"""Probes with a classifier; encoders have a head, see the tests of ``benchmark.encoders``."""
UNEVEN = {"synthetic": {"n_subjects": 4, "phase": 90.0}}
"""A phase holds two training windows, 30 s apart, and one score unit."""


def module_of(workshop: Any, model: str, seed: int = 0, fold: int = 0) -> EmotionDataModule:
    runs = workshop.plan([model], options=UNEVEN, recipes={}, seeds=(seed,))
    module = make_datamodule(runs[fold], workshop.places(Path("none")))
    module.prepare_data()
    module.setup()
    return module


def predicted(workshop: Any, model: str, seed: int = 0) -> np.ndarray:
    module = module_of(workshop, model, seed)
    return fit_probe(PROBES[model], module, seed).predict(module)


def by_hand(module: EmotionDataModule, part: Part) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Features, targets and subjects, one window after the other, from the recordings alone."""
    rows, targets, subjects = [], [], []
    for stored in module.fold.archive.subjects:
        for number, found in enumerate(stored.recordings):
            if found.subject not in getattr(module.fold.members, part):
                continue
            recording = as_recording(stored, number)
            for segment in recording.segments:
                starts = [0.0] if part == "test" else [0.0, 30.0]
                for offset in starts:
                    columns = []
                    for name in module.signals:
                        signal = recording.signals[name]
                        first = round((segment.start + offset) * signal.sfreq)
                        window = signal.samples[:, first : first + round(60 * signal.sfreq)]
                        columns.append(features(name, np.array(window[None]), signal.sfreq)[0][0])
                    rows.append(np.concatenate(columns))
                    targets.append(module.task.label(recording.subject, segment))
                    subjects.append(recording.subject)
    return np.array(rows), np.array(targets), subjects


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch, workshop: Any, tmp_path: Path) -> Any:
    """A workshop in which some signals of some subjects are noise."""

    def make(subjects: tuple[str, ...], names: tuple[str, ...]) -> Any:
        def read(self: SyntheticReader, subject: str) -> Iterator[Recording]:
            for found in original(self, subject):
                rng = np.random.default_rng([5, int(subject[1:])])
                signals = {
                    name: dataclasses.replace(
                        signal,
                        samples=rng.normal(3, 2, signal.samples.shape).astype(np.float32),
                    )
                    if subject in subjects and name in names
                    else signal
                    for name, signal in found.signals.items()
                }
                yield dataclasses.replace(found, signals=signals)

        monkeypatch.setattr(SyntheticReader, "read", read)
        return dataclasses.replace(workshop, cache=tmp_path / "changed")

    original = SyntheticReader.read
    return make


EVERYBODY = ("S1", "S2", "S3", "S4")
EVERYTHING = ("bvp", "eda", "temp", "acc")


def unbalanced(module: EmotionDataModule) -> None:
    """Take most of the stress out of the training windows, so that classes can be told apart."""
    grid = module.fold.grids["segments"]
    keep = np.flatnonzero((grid.target == 0) | (np.arange(len(grid)) % 3 == 0))
    module.fold.grids["segments"] = grid.take(keep)


def test_majority_and_prior_by_hand(workshop):
    module = module_of(workshop, "majority")
    unbalanced(module)
    grid = module.fold.grids["segments"]
    counts = [0, 0]
    for subject, target in zip(grid.subject, grid.target, strict=True):
        if module.subjects[subject] in module.fold.members.train:
            counts[target] += 1
    assert counts[0] > counts[1] > 0
    n_test = len(module.windows("test"))
    majority = fit_probe(PROBES["majority"], module, 0).predict(module)
    np.testing.assert_array_equal(majority, [[1.0, 0.0]] * n_test)
    prior = fit_probe(PROBES["prior"], module, 0).predict(module)
    np.testing.assert_allclose(prior, [np.array(counts) / sum(counts)] * n_test)


def test_majority_of_the_other_class(workshop):
    module = module_of(workshop, "majority")
    grid = module.fold.grids["segments"]
    module.fold.grids["segments"] = grid.take(
        np.flatnonzero((grid.target == 1) | (np.arange(len(grid)) % 3 == 0))
    )
    assert fit_probe(PROBES["majority"], module, 0).predict(module)[:, 1].min() == 1.0


def test_lda_by_hand(workshop):
    module = module_of(workshop, "lda")
    x, y, _ = by_hand(module, "train")
    assert x.shape[0] == 2 * 8 * 2
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1
    classifier = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=[0.5, 0.5])
    classifier.fit((x - mean) / std, y)
    test, _, _ = by_hand(module, "test")
    assert len(test) == 8
    expected = classifier.predict_proba((test - mean) / std)
    np.testing.assert_allclose(predicted(workshop, "lda"), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 7])
def test_random_forest_by_hand(workshop, seed):
    module = module_of(workshop, "random_forest", seed)
    x, y, _ = by_hand(module, "train")
    classifier = RandomForestClassifier(
        200, min_samples_leaf=5, class_weight="balanced", random_state=seed
    ).fit(x, y)
    expected = classifier.predict_proba(by_hand(module, "test")[0])
    np.testing.assert_allclose(predicted(workshop, "random_forest", seed), expected, atol=1e-9)


def test_arguments_reach_the_classifier(workshop):
    runs = workshop.plan(
        ["random_forest"],
        options=UNEVEN,
        recipes={},
        arguments={"random_forest": {"n_trees": 3, "max_features": 0.5}},
    )
    assert runs[0].arguments == (("max_features", 0.5), ("n_trees", 3))
    module = module_of(workshop, "random_forest")
    probe = PROBES["random_forest"]
    fitted = fit_probe(probe, module, 0, dict(runs[0].arguments)).classifier
    assert (fitted.n_estimators, fitted.max_features, fitted.min_samples_leaf) == (3, 0.5, 5)
    with pytest.raises(ValueError, match="expected arguments n_trees"):
        fit_probe(probe, module, 0, {"trees": 3})


def test_windows_are_those_of_the_recordings(workshop, monkeypatch):
    """Each signal at its own rate; of the people, the training people and no others."""
    module = module_of(workshop, "minirocket")
    assert module.signals == ("bvp", "eda", "temp")
    seen: dict[str, Any] = {}

    class Listener:
        def fit(self, windows: Any, target: np.ndarray, groups: np.ndarray) -> "Listener":
            seen.update(windows=windows, target=target, groups=groups)
            self.classes_ = np.unique(target)
            return self

        def predict_proba(self, windows: Any) -> np.ndarray:
            seen["test"] = windows
            return np.full((len(windows), 2), 0.5)

    def listening(seed: int, n_classes: int, shape: tuple[int, int], n_features: int) -> Listener:
        seen["shape"] = shape
        return Listener()

    monkeypatch.setitem(CLASSIFIERS, "minirocket", listening)
    fit_probe(PROBES["minirocket"], module, 0).predict(module)
    for part, key in (("train", "windows"), ("test", "test")):
        found = seen[key][:]
        row = 0
        for stored in module.fold.archive.subjects:
            for number, recorded in enumerate(stored.recordings):
                if recorded.subject not in getattr(module.fold.members, part):
                    continue
                recording = as_recording(stored, number)
                for segment in recording.segments:
                    for offset in [0.0] if part == "test" else [0.0, 30.0]:
                        for name in module.signals:
                            signal = recording.signals[name]
                            first = round((segment.start + offset) * signal.sfreq)
                            expected = signal.samples[:, first : first + round(60 * signal.sfreq)]
                            np.testing.assert_array_equal(found[name][row], expected)
                        if part == "train":
                            assert module.subjects[seen["groups"][row]] == recording.subject
                            label = module.task.label(recording.subject, segment)
                            assert seen["target"][row] == label
                        row += 1
        assert row == len(seen[key])
    assert seen["shape"] == (32, 60 * (64 + 4 + 4))


def test_subject_mean_is_constant_within_a_subject(workshop):
    probabilities = predicted(workshop, "subject_mean")
    assert len(probabilities) == 8
    assert np.ptp(probabilities, axis=0).max() == 0
    assert np.ptp(predicted(workshop, "lda"), axis=0).max() > 0.1


def test_subject_mean_is_that_of_the_subject(workshop):
    module = module_of(workshop, "subject_mean")
    x, y, subjects = by_hand(module, "train")
    people = sorted(set(subjects))
    means = {s: x[[name == s for name in subjects]].mean(axis=0) for s in people}
    classifier = CLASSIFIERS["linear"](0, 2, x.shape).fit([means[s] for s in subjects], y)
    test, _, _ = by_hand(module, "test")
    expected = classifier.predict_proba(np.repeat(test.mean(axis=0)[None], len(test), axis=0))
    np.testing.assert_allclose(predicted(workshop, "subject_mean"), expected, atol=1e-6)


@pytest.mark.parametrize("model", ["time", "majority", "prior"])
def test_signals_change_nothing_for_who_does_not_see_them(workshop, changed, model):
    before = predicted(workshop, model)
    other = changed(EVERYBODY, EVERYTHING)
    np.testing.assert_array_equal(predicted(other, model), before)
    assert not np.allclose(predicted(other, "lda"), predicted(workshop, "lda"))


def test_time_sees_the_seconds(workshop):
    module = module_of(workshop, "time")
    x, y = [], []
    for recording in module.fold.archive.recordings:
        if recording.subject in module.fold.members.train:
            for segment in recording.segments:
                x += [[segment.start], [segment.start + 30]]
                y += [module.task.label(recording.subject, segment)] * 2
    classifier = RandomForestClassifier(
        200, min_samples_leaf=5, class_weight="balanced", random_state=0
    ).fit(np.array(x), np.array(y))
    (tested,) = [r for r in module.fold.archive.recordings if r.subject in module.fold.members.test]
    expected = classifier.predict_proba([[segment.start] for segment in tested.segments])
    np.testing.assert_allclose(predicted(workshop, "time"), expected, atol=1e-9)
    assert np.ptp(expected[:, 0]) > 0


def test_motion_sees_only_acceleration(workshop, changed):
    before = predicted(workshop, "motion")
    others = changed(EVERYBODY, ("bvp", "eda", "temp"))
    np.testing.assert_array_equal(predicted(others, "motion"), before)
    still = changed(EVERYBODY, ("acc",))
    still = dataclasses.replace(still, cache=still.cache.with_name("still"))
    assert not np.allclose(predicted(still, "motion"), before)


def test_no_other_probe_sees_acceleration(workshop, changed):
    sees = ("signals", "subject", "windows")
    models = [name for name, probe in PROBES.items() if probe.sees in sees]
    before = {model: predicted(workshop, model) for model in models}
    other = changed(EVERYBODY, ("acc",))
    for model in models:
        np.testing.assert_array_equal(predicted(other, model), before[model])


def state(classifier: Any) -> list[np.ndarray]:
    """Everything that fitting has left in a classifier, and in what it consists of."""
    if isinstance(classifier, np.ndarray):
        return [classifier]
    if isinstance(classifier, RandomForestClassifier):
        trees = [tree.tree_ for tree in classifier.estimators_]
        return [part for tree in trees for part in (tree.threshold, tree.feature, tree.value)]
    parts: Any = ()
    if isinstance(classifier, dict):
        parts = classifier.values()
    elif isinstance(classifier, list | tuple):
        parts = classifier
    elif hasattr(classifier, "__dict__"):
        parts = vars(classifier).values()
    return [array for part in parts for array in state(part)]


@pytest.mark.parametrize(
    "model", [m for m in CLASSIFYING if PROBES[m].sees not in ("nothing", "length", "stimulus")]
)
def test_test_subject_has_no_influence(workshop, changed, model):
    module = module_of(workshop, model)
    assert module.fold.members.test == ("S1",)
    clean = state(fit_probe(PROBES[model], module, 0).classifier)
    assert clean
    other = changed(("S1",), EVERYTHING)
    disturbed = state(fit_probe(PROBES[model], module_of(other, model), 0).classifier)
    assert len(clean) == len(disturbed)
    for one, two in zip(clean, disturbed, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_stimulus_probe_answers_with_the_classes_of_other_people_with_that_film(tmp_path):
    module = EmotionDataModule(
        NOISE,
        selection=Selection(options={"n_subjects": 6, "permuted": True, "equal": True}),
        protocol=Protocol("subject_k_fold", 3, validation=False),
        windowing=Windowing(60.0, 60.0),
        cache_dir=tmp_path,
    )
    module.prepare_data()
    module.setup()
    answered = fit_probe(PROBES["stimulus"], module, 0).predict(module)
    archive, windows = module.fold.archive, module.windows("test")
    labels: dict[str, list[int]] = {}
    for row, segment in archive.segments:
        person = archive.recordings[row].subject
        if person not in module.fold.members.test:
            labels.setdefault(segment.stimulus, []).append(module.task.label(person, segment))
    assert any(len(set(of_film)) > 1 for of_film in labels.values())
    for position, found in zip(windows.segment.tolist(), answered, strict=True):
        of_film = labels[archive.segments[position][1].stimulus]
        assert found == pytest.approx([of_film.count(label) / 4 for label in range(5)])


@pytest.mark.parametrize(("part", "influence"), [("train", True), ("val", False)])
def test_who_has_influence(workshop, changed, part, influence):
    module = module_of(workshop, "lda")
    clean = state(fit_probe(PROBES["lda"], module, 0).classifier)
    other = changed(getattr(module.fold.members, part)[:1], EVERYTHING)
    disturbed = state(fit_probe(PROBES["lda"], module_of(other, "lda"), 0).classifier)
    same = all(np.array_equal(a, b) for a, b in zip(clean, disturbed, strict=True))
    assert same is not influence


@pytest.mark.parametrize("validation", [True, False])
def test_windows_are_those_that_a_network_is_trained_on(workshop, validation):
    """Of a probe and a network with the same windows, whatever the protocol keeps apart."""
    recipe = {"window": 60.0, "stride": 30.0}
    runs = workshop.plan(["cnn", "lda"], options=UNEVEN, recipes={"cnn": recipe})
    modules = {}
    for name in ("cnn", "lda"):
        run = next(run for run in runs if run.model == name)
        protocol = dataclasses.replace(run.protocol, validation=validation)
        run = dataclasses.replace(run, protocol=protocol)
        modules[name] = make_datamodule(run, workshop.places(Path("none")))
        modules[name].setup()
    fitted = fit_probe(PROBES["lda"], modules["lda"], 0)
    assert list(fitted.trained_on) == modules["cnn"].class_counts().tolist()
    assert sum(fitted.trained_on) == (2 if validation else 3) * 8 * 2
    members = [modules[name].fold.members.train for name in ("cnn", "lda")]
    assert members[0] == members[1]


@pytest.mark.parametrize("model", CLASSIFYING)
def test_one_class_in_training_is_a_constant_with_a_note(workshop, model):
    module = module_of(workshop, "lda" if model != "motion" else model)
    grid = module.fold.grids["segments"]
    module.fold.grids["segments"] = grid.take(np.flatnonzero(grid.target == 1))
    fitted = fit_probe(PROBES[model], module, 0)
    probabilities = fitted.predict(module)
    np.testing.assert_array_equal(probabilities, [[0.0, 1.0]] * len(probabilities))
    assert fitted.size == 0
    assert fitted.trained_on[0] == 0
    (note,) = fitted.notes
    assert f"of class {module.task.classes[1]}: a constant was fitted" in note


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> EmotionDataModule:
    """A fold of five emotions in whose training windows the second one does not occur."""
    module = EmotionDataModule(
        NOISE,
        None,
        Selection("emotion", options={"n_subjects": 6}),
        Protocol("subject_k_fold", 3),
        windowing=Windowing(60.0, 30.0, "none"),
        cache_dir=tmp_path_factory.mktemp("lacking"),
    )
    module.prepare_data()
    module.setup()
    grid = module.fold.grids["segments"]
    module.fold.grids["segments"] = grid.take(np.flatnonzero(grid.target != 1))
    return module


@pytest.mark.parametrize("model", [m for m in CLASSIFYING if PROBES[m].sees != "motion"])
def test_class_that_training_lacks_has_no_probability(lacking, model):
    fitted = fit_probe(PROBES[model], lacking, 0)
    probabilities = fitted.predict(lacking)
    assert probabilities.shape == (len(lacking.windows("test")), 5)
    assert probabilities[:, 1].max() == 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert fitted.trained_on[1] == 0
    assert all(count for k, count in enumerate(fitted.trained_on) if k != 1)
    assert fitted.notes == ()


def test_lda_of_the_classes_that_there_are_is_that_of_scikit_learn(lacking):
    def samples(part: Part) -> tuple[np.ndarray, np.ndarray]:
        rows, targets = [], []
        grid = lacking.fold.grids["units" if part == "test" else "segments"]
        for name in getattr(lacking.fold.members, part):
            (recording,) = NoiseReader(6).read(name)
            signal = recording.signals["eeg_de"]
            for row in np.flatnonzero(grid.subject == lacking.subjects.index(name)):
                first = round(grid.start[row] * signal.sfreq)
                window = signal.samples[None, :, first : first + round(grid.length * signal.sfreq)]
                rows.append(features("eeg_de", window, signal.sfreq)[0][0])
                targets.append(grid.target[row])
        return np.array(rows), np.array(targets)

    (x, y), (test, targets) = samples("train"), samples("test")
    assert set(y) == {0, 2, 3, 4}
    assert set(targets) == set(range(5))
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1
    classifier = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=[0.25] * 4)
    classifier.fit((x - mean) / std, y)
    expected = np.zeros((len(test), 5))
    expected[:, classifier.classes_] = classifier.predict_proba((test - mean) / std)
    probabilities = fit_probe(PROBES["lda"], lacking, 0).predict(lacking)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5, atol=1e-9)


def test_size(workshop):
    module = module_of(workshop, "lda")
    n_features = by_hand(module, "test")[0].shape[1]
    assert fit_probe(PROBES["lda"], module, 0).size == n_features + 1
    assert fit_probe(PROBES["majority"], module, 0).size == 0
    forest = fit_probe(PROBES["random_forest"], module, 0)
    assert forest.size == sum(tree.tree_.node_count for tree in forest.classifier.estimators_)


# --- many features


def test_lda_on_components_by_hand(workshop, monkeypatch):
    module = module_of(workshop, "lda")
    x, y, _ = by_hand(module, "train")
    monkeypatch.setattr(classifiers, "MANY", x.shape[1] - 1)
    monkeypatch.setattr(classifiers, "COMPONENTS", 20)
    fitted = fit_probe(PROBES["lda"], module, 0)
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1
    axes = np.linalg.svd((x - mean) / std, full_matrices=False)[2][:20]
    classifier = LinearDiscriminantAnalysis("lsqr", shrinkage="auto", priors=[0.5, 0.5])
    classifier.fit((x - mean) / std @ axes.T, y)
    test, _, _ = by_hand(module, "test")
    expected = classifier.predict_proba((test - mean) / std @ axes.T)
    np.testing.assert_allclose(fitted.predict(module), expected, atol=1e-4)
    assert fitted.size == 20 + 1


def test_components_depend_on_no_test_subject(workshop, changed, monkeypatch):
    monkeypatch.setattr(classifiers, "MANY", 5)
    monkeypatch.setattr(classifiers, "COMPONENTS", 4)
    clean = state(fit_probe(PROBES["lda"], module_of(workshop, "lda"), 0).classifier)
    other = module_of(changed(("S1",), EVERYTHING), "lda")
    disturbed = state(fit_probe(PROBES["lda"], other, 0).classifier)
    assert any(values.shape[0] == 4 for values in clean)
    for one, two in zip(clean, disturbed, strict=True):
        np.testing.assert_array_equal(one, two)


# --- trials of their own length, at their own time


@dataclass(frozen=True)
class UnevenReader:
    """A recording a trial; wild trials tend to be longer and to come late."""

    @property
    def subjects(self) -> tuple[str, ...]:
        return ("U1", "U2", "U3", "U4")

    def files(self, subject: str) -> tuple[Path, ...]:
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        rng = np.random.default_rng(self.subjects.index(subject))
        offset = 0.0
        for trial in range(16):
            wild = bool(rng.random() < trial / 16)
            seconds = float(rng.integers(4, 9) + 2 * wild)
            samples = rng.normal(size=(1, round(seconds * 4))).astype(np.float32)
            segment = Segment(1.0, seconds, trial, {"condition": "wild" if wild else "calm"})
            signals = {"eda": Signal(samples, 4.0, ("eda",), "uS")}
            yield Recording(subject, "1", signals, (segment,), offset)
            offset += seconds + 5


UNEVEN_TRIALS = Dataset(
    name="uneven",
    title="Uneven",
    reader=UnevenReader,
    tasks={"mood": ConditionTask("mood", ("calm", "wild"), {"calm": 0, "wild": 1}, "made up")},
    signals={"eda": (1, 4.0)},
    trial_seconds=(3.0, 10.0),
    access="Made up.",
    layout="no files",
    has_files=False,
)
"""Trials scored as a whole."""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> EmotionDataModule:
    cache = tmp_path_factory.mktemp("uneven")
    protocol = Protocol(padding="zero", flags=("pad_reveals_length",))
    module = EmotionDataModule(
        UNEVEN_TRIALS, None, Selection(signals=()), protocol, cache_dir=cache
    )
    module.prepare_data()
    module.setup()
    return module


@pytest.mark.parametrize("model", ["length", "time"])
def test_length_and_place_of_trials(uneven, model):
    rows: dict[str, tuple[list[list[float]], list[int]]] = {}
    for part in ("train", "test"):
        x, y = [], []
        for subject in getattr(uneven.fold.members, part):
            for recording in UnevenReader().read(subject):
                (segment,) = recording.segments
                place = recording.offset + segment.start
                x.append([segment.stop - segment.start if model == "length" else place])
                y.append(int(segment.annotations["condition"] == "wild"))
        rows[part] = (x, y)
    forest = RandomForestClassifier(
        200, min_samples_leaf=5, class_weight="balanced", random_state=2
    ).fit(*rows["train"])
    found = fit_probe(PROBES[model], uneven, 2).predict(uneven)
    np.testing.assert_allclose(found, forest.predict_proba(rows["test"][0]), atol=1e-9)
    hits = (found.argmax(axis=1) == rows["test"][1]).mean()
    assert hits > 0.6
    assert np.ptp(found[:, 0]) > 0.3


def test_length_is_one_value_where_nothing_is_padded(tmp_path):
    module = EmotionDataModule(
        UNEVEN_TRIALS,
        None,
        Selection(signals=()),
        windowing=Windowing(length=3.0, stride=1.0),
        cache_dir=tmp_path,
    )
    module.prepare_data()
    module.setup()
    found = fit_probe(PROBES["length"], module, 0).predict(module)
    assert len(found) > 16
    assert np.ptp(found, axis=0).max() == 0


def test_features_of_shared_windows_are_computed_once(workshop):
    RESIDENT.clear()
    module = module_of(workshop, "lda")
    shared = (
        module.fold.archive,
        module.fold.grids["units"],
        module.signals,
        module.protocol.padding,
    )
    features_once = window_features(*shared)
    assert window_features(*shared) is features_once
    RESIDENT.clear()
    again = window_features(*shared)
    assert again is not features_once
    np.testing.assert_array_equal(again, features_once)
