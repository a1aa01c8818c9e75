"""Predictions on new recordings against the run that the checkpoint is of."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from benchmark.cli.main import main
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import prepare
from benchmark.store import Store
from datamodules.synthesis import empatica_e4


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on made-up E4 sessions, and where they are."""
    root = tmp_path_factory.mktemp("predict")
    empatica_e4.write(root / "data" / "empatica_e4", n_subjects=3, seed=0, effect=1.0)
    prepared = {
        "empatica_e4": prepare("empatica_e4", root / "data/empatica_e4", root / "cache", {}, ())
    }
    suite = Suite("predict", ("empatica_e4",), models=("cnn",), recipes={"cnn": {"max_epochs": 1}})
    run = expand(suite, prepared).runs[0]
    places = Places(root / "data", root / "cache", root / "runs")
    assert execute(run, places).status == "done"
    return root, Store(places.runs).folder(run), Store(places.runs).predictions(run)


def test_windows_of_the_test_subject_get_the_probabilities_of_the_run(finished, tmp_path):
    root, folder, expected = finished
    session = root / "data" / "empatica_e4" / str(expected["subject"][0])
    out = tmp_path / "predictions.csv"
    assert (
        main(
            [
                "predict",
                str(folder / "model.ckpt"),
                str(session),
                "--out",
                str(out),
                "--stride",
                "1",
            ]
        )
        == 0
    )
    table = pd.read_csv(out)
    compared = 0
    for start, probabilities in zip(expected["start"], expected["probabilities"], strict=True):
        rows = table[np.isclose(table["start"], start)]
        if len(rows):
            found = rows[["p_no_stress", "p_stress"]].to_numpy()[0]
            np.testing.assert_allclose(found, probabilities, atol=1e-4)
            compared += 1
    assert compared > 2
    first = float((session / "EDA.csv").read_text().split()[0])
    assert pd.Timestamp(table["time"][0]).timestamp() == int(first)


def test_subjects_of_a_dataset_are_predicted_as_their_files_are(finished, tmp_path):
    root, folder, expected = finished
    subject = str(expected["subject"][0])
    data = root / "data" / "empatica_e4"
    words = ["predict", str(folder / "model.ckpt"), "--stride", "30", "--out"]
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
    root, _, _ = finished
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


def test_an_e4_folder_gets_a_plot_that_is_valid_svg(finished, tmp_path):
    root, folder, expected = finished
    session = root / "data" / "empatica_e4" / str(expected["subject"][0])
    out = tmp_path / "predictions.csv"
    main(["predict", str(folder / "model.ckpt"), str(session), "--out", str(out)])
    (plot,) = tmp_path.glob("*.svg")
    lines = ElementTree.parse(plot).getroot().findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    assert len(lines[0].get("points").split()) == len(pd.read_csv(out))


def test_a_recording_that_does_not_fit_is_refused_and_nothing_is_written(
    finished, tmp_path, capsys
):
    _, folder, _ = finished
    (tmp_path / "session").mkdir()
    words = ["predict", str(folder / "model.ckpt"), str(tmp_path / "session")]
    assert main([*words, "--out", str(tmp_path / "p.csv")]) == 2
    assert "EDA.csv" in capsys.readouterr().err
    assert not list(tmp_path.glob("p*"))
