"""Predictions on new recordings against the run that the checkpoint is of."""

import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from benchmark.cli.main import main
from benchmark.execution.checkpoint import PROBE, load_predictor
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.probes.catalogue import PROBES
from benchmark.recordings.prepare import prepare
from benchmark.store import Store
from datamodules.empatica_e4 import EMPATICA_E4
from datamodules.formats.empatica import read_session
from datamodules.signals.preprocessing import preprocess
from datamodules.synthesis import empatica_e4

SVG = "{http://www.w3.org/2000/svg}"


KEPT = [name for name, probe in PROBES.items() if probe.sees in ("signals", "motion", "windows")]
"""Probes that can be used on new recordings."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on made-up E4 sessions, and where they are."""
    root = tmp_path_factory.mktemp("predict")
    empatica_e4.write(root / "data" / "empatica_e4", n_subjects=3, seed=0, effect=1.0)
    prepared = {
        "empatica_e4": prepare("empatica_e4", root / "data/empatica_e4", root / "cache", {}, ())
    }
    models = ("cnn", *KEPT)
    suite = Suite(
        "predict",
        ("empatica_e4",),
        models=models,
        recipes={"cnn": {"max_epochs": 1}},
        arguments={"minirocket": {"n_features": 500}},
    )
    runs = [run for run in expand(suite, prepared).runs if run.fold == 0]
    assert len(runs) == len(models)
    places = Places(root / "data", root / "cache", root / "runs")
    assert all(execute(run, places).status == "done" for run in runs)
    store = Store(places.runs)
    return root, {run.model: (store.folder(run), store.predictions(run)) for run in runs}


@pytest.fixture(params=["cnn", "lda", "random_forest", "motion"])
def of_model(request, finished):
    root, runs = finished
    return root, *runs[request.param]


@pytest.fixture
def of_cnn(finished):
    root, runs = finished
    return root, *runs["cnn"]


def test_windows_of_the_test_subject_get_the_probabilities_of_the_run(of_model, tmp_path):
    root, folder, expected = of_model
    session = root / "data" / "empatica_e4" / str(expected["subject"][0])
    out = tmp_path / "predictions.csv"
    assert main(["predict", str(folder), str(session), "--out", str(out), "--stride", "1"]) == 0
    table = pd.read_csv(out)
    compared = 0
    for start, probabilities in zip(expected["start"], expected["probabilities"], strict=True):
        rows = table[np.isclose(table["start"], start)]
        if len(rows):
            found = rows[["p_no_stress", "p_stress"]].to_numpy()[0]
            np.testing.assert_allclose(found, probabilities, atol=1e-4)
            compared += 1
    assert compared > 2
    assert np.ptp(expected["probabilities"][:, 1]) > 1e-3
    first = float((session / "EDA.csv").read_text().split()[0])
    assert pd.Timestamp(table["time"][0]).timestamp() == int(first)


@pytest.mark.parametrize("model", KEPT)
def test_a_kept_probe_answers_exactly_as_in_its_run(finished, model):
    root, runs = finished
    folder, expected = runs[model]
    predictor = load_predictor(folder / PROBE)
    session = read_session(root / "data" / "empatica_e4" / str(expected["subject"][0]))
    signals = preprocess(session.signals, EMPATICA_E4.preprocessing)
    predicted = predictor.predict(signals, 1.0)
    rows = [predicted.starts.tolist().index(start) for start in expected["start"]]
    np.testing.assert_allclose(
        predicted.probabilities[rows], expected["probabilities"], rtol=1e-9, atol=1e-12
    )
    assert predictor.classes == ("no_stress", "stress")
    assert str(expected["subject"][0]) not in predictor.subjects
    assert set(predictor.ranges) == set(predictor.inputs)


def test_subjects_of_a_dataset_are_predicted_as_their_files_are(of_model, tmp_path):
    root, folder, expected = of_model
    subject = str(expected["subject"][0])
    data = root / "data" / "empatica_e4"
    words = ["predict", str(folder), "--stride", "30", "--out"]
    assert main([*words, str(tmp_path / "a.csv"), str(data / subject)]) == 0
    dataset = ["--dataset", "empatica_e4", "--root", str(data)]
    assert main([*words, str(tmp_path / "b.csv"), subject, *dataset]) == 0
    one, other = (pd.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    columns = ["start", "predicted", "p_no_stress", "p_stress"]
    pd.testing.assert_frame_equal(one[columns], other[columns])
    assert set(other["file"]) == {f"{subject} session 1 trial 1"}
    assert main([*words, str(tmp_path / "c.csv"), "nobody", *dataset]) == 2
    assert not (tmp_path / "c.csv").exists()


def test_tonic_and_phasic_parts_are_computed_of_a_new_recording(finished, tmp_path):
    root, _ = finished
    prepared = {
        "empatica_e4": prepare("empatica_e4", root / "data/empatica_e4", root / "cache", {}, ())
    }
    fewer = {"rtcan_1d": {"max_epochs": 1, "window": 60.0, "stride": 60.0}}
    suite = Suite("predict", ("empatica_e4",), models=("rtcan_1d",), recipes=fewer)
    run = expand(suite, prepared).runs[0]
    assert run.signals == ("eda", "eda_tonic", "eda_phasic")
    places = Places(root / "data", root / "cache", root / "runs")
    assert execute(run, places).status == "done"
    expected = Store(places.runs).predictions(run)
    session = root / "data" / "empatica_e4" / str(expected["subject"][0])
    checkpoint = Store(places.runs).folder(run) / "model.ckpt"
    out = tmp_path / "p.csv"
    assert main(["predict", str(checkpoint), str(session), "--out", str(out), "--stride", "1"]) == 0
    table = pd.read_csv(out).set_index("start")
    compared = 0
    for start, probabilities in zip(expected["start"], expected["probabilities"], strict=True):
        if start in table.index:
            found = table.loc[start, ["p_no_stress", "p_stress"]].to_numpy(dtype=float)
            np.testing.assert_allclose(found, probabilities, atol=1e-3)
            compared += 1
    assert compared > 2


def test_an_e4_folder_gets_a_plot_that_is_valid_svg(of_cnn, tmp_path):
    root, folder, expected = of_cnn
    session = root / "data" / "empatica_e4" / str(expected["subject"][0])
    out = tmp_path / "predictions.csv"
    main(["predict", str(folder / "model.ckpt"), str(session), "--out", str(out)])
    (plot,) = tmp_path.glob("*.svg")
    tree = ElementTree.parse(plot).getroot()
    (line,) = tree.findall(f"{SVG}polyline")
    assert len(line.get("points").split()) == len(pd.read_csv(out))
    texts = ["".join(text.itertext()) for text in tree.iter(f"{SVG}text")]
    assert "cnn (empatica_e4 stress, fold 0, seed 0)" in texts
    assert "probability of stress" in texts


def test_sessions_of_one_name_get_a_plot_each(of_cnn, tmp_path):
    root, folder, _ = of_cnn
    sessions = []
    for subject in ("P01", "P02"):
        sessions.append(tmp_path / subject / "E4")
        shutil.copytree(root / "data" / "empatica_e4" / subject, sessions[-1])
    out = tmp_path / "p.csv"
    assert main(["predict", str(folder), *map(str, sessions), "--out", str(out)]) == 0
    plots = sorted(tmp_path.glob("*.svg"))
    assert [plot.name for plot in plots] == ["p-E4-2.svg", "p-E4.svg"]
    assert plots[0].read_text() != plots[1].read_text()
    assert set(pd.read_csv(out)["file"]) == set(map(str, sessions))


def flat(values: np.ndarray) -> np.ndarray:
    return np.full_like(values, values[len(values) // 2])


def in_nanosiemens(values: np.ndarray) -> np.ndarray:
    return values * 1000


FAULTS = {
    "flat skin": ("EDA.csv", flat, "eda: does not move in 100 % of the windows", "eda still"),
    "no pulse": ("BVP.csv", np.zeros_like, "bvp: does not move in 100 %", "bvp still"),
    "another unit": (
        "EDA.csv",
        in_nanosiemens,
        "eda: outside the range of the training in 100 % of the windows",
        "eda outside",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_recording_is_doubted_in_table_plot_and_message(finished, tmp_path, capsys, fault):
    root, runs = finished
    folder, expected = runs["lda"]
    session = tmp_path / "session"
    shutil.copytree(root / "data" / "empatica_e4" / str(expected["subject"][0]), session)
    name, change, said, word = FAULTS[fault]
    head = (session / name).read_text().splitlines()[:2]
    values = np.loadtxt(session / name, skiprows=2)
    lines = [*head, *(f"{value:.6f}" for value in change(values))]
    (session / name).write_text("\n".join(lines) + "\n")
    out = tmp_path / "p.csv"
    assert main(["predict", str(folder), str(session), "--out", str(out)]) == 0
    doubts = capsys.readouterr().err.splitlines()
    assert any(line.startswith(f"DOUBT: {session}: {said}") for line in doubts)
    assert pd.read_csv(out)["doubts"].str.contains(word).all()
    (plot,) = tmp_path.glob("*.svg")
    assert said in plot.read_text()
    assert 'class="doubt"' in plot.read_text()


def test_a_recording_that_does_not_fit_is_refused_and_nothing_is_written(of_cnn, tmp_path, capsys):
    _, folder, _ = of_cnn
    (tmp_path / "session").mkdir()
    words = ["predict", str(folder / "model.ckpt"), str(tmp_path / "session")]
    assert main([*words, "--out", str(tmp_path / "p.csv")]) == 2
    assert "EDA.csv" in capsys.readouterr().err
    assert not list(tmp_path.glob("p*"))
