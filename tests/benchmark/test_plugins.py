"""Plug-ins: they join the catalogues, or one sentence says why not; runs carry them along."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import plugins
from benchmark.cli.new import NewError, write
from benchmark.code import code_of, code_of_run
from benchmark.plan.parse import load_suite
from benchmark.plan.suite import Suite
from benchmark.plugins import PluginError, load
from benchmark.probes.catalogue import PROBES
from benchmark.probes.classifiers import CLASSIFIERS
from benchmark.probes.spaces import SPACES as OF_PROBES
from datamodules import source
from datamodules.catalogue import DATASETS
from lightning_modules.catalogue import DISTILLERS, MODELS
from lightning_modules.spaces import SPACES as OF_MODELS
from lightning_modules.spaces import Range
from tests.benchmark.made_up import make_run

PROBE = """
from sklearn.svm import SVC

from benchmark.probes.catalogue import Probe

CLASSIFIERS = {"svm": lambda seed, n_classes, shape: SVC(probability=True, random_state=seed)}
PROBES = {"svm": Probe("signals", "svm", "support vector machine")}
"""
SPACE = """
from lightning_modules.spaces import Range

SPACES = {"svm": {"C": Range(0.1, 10.0, log=True)}}
"""


ENCODER = """
from torch import nn

from benchmark.probes.encoders import Encoder


class Mean(nn.Module):
    def __init__(self, channels, n_times):
        super().__init__()
        self.scale = 0.5

    def forward(self, window):
        return self.scale * window.mean(dim=2)


ENCODERS = {"tiny": Encoder(Mean, ("eda",), 4.0, 60.0, ("unknown",), "mean")}
"""


@pytest.fixture(autouse=True)
def catalogues(monkeypatch):
    """Put the catalogues back after a test."""
    for catalogue in (MODELS, DISTILLERS):
        monkeypatch.setattr(catalogue, "_entries", dict(catalogue._entries))
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(plugins, "_origins", {})
    plain = (PROBES, DATASETS, CLASSIFIERS, OF_MODELS, OF_PROBES)
    before = [dict(catalogue) for catalogue in plain]
    yield
    for catalogue, entries in zip(plain, before, strict=True):
        catalogue.clear()
        catalogue.update(entries)
    for name in [name for name in sys.modules if name.startswith(plugins.PREFIX)]:
        del sys.modules[name]


def cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Call the command line in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "benchmark.cli", *words],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


# --- loading


def test_entries_join_the_catalogues_once(tmp_path):
    path = write("model", "my_net", tmp_path)
    load([str(path)])
    load([str(path)])
    assert list(MODELS)[-1] == "my_net"
    assert MODELS["my_net"].prefers[0] == ("eda",)
    assert plugins.loaded() == (str(path),)
    assert set(plugins.used([("MODELS", "my_net"), ("MODELS", "cnn")])) == {"my_net.py"}


def test_a_dataset_of_its_own(tmp_path):
    load([str(write("dataset", "our_lab", tmp_path))])
    assert DATASETS["our_lab"].name == "our_lab"
    assert DATASETS["our_lab"].title == "Our lab"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "expected a dict named MODELS"),
        ("MODELS = []", "expected MODELS to be a dict, found list"),
        (
            "MODELS = {'cnn': int}",
            "expected a new name in MODELS, found cnn, which this project has",
        ),
        ("PROBES = {'cnn': 1}", "found cnn, which this project has"),
        ("MODELS = {'ensemble': int}", "found ensemble, which this project has"),
        ("MODELS = {'../up': int}", "expected names of small letters, digits and _"),
        ("MODELS = {'mine': 3}", "expected mine of MODELS to be a class, found 3"),
        ("PROBES = {'mine': 3}", "expected mine to be a Probe, found 3"),
        ("DATASETS = {'mine': 3}", "expected a Dataset of the name mine, found int"),
        ("CLASSIFIERS = {'forest': print}", "found forest, which this project has"),
        ("CLASSIFIERS = {'mine': 3}", "expected mine of CLASSIFIERS to be a function"),
        ("SPACES = {'mine': 3}", "expected mine of SPACES to be a dict of Range and Choice"),
        ("SPACES = {'mine': {'lr': 3}}", "expected mine of SPACES to be a dict of Range and"),
        (SPACE.replace("svm", "cnn"), "expected models and probes of this plug-in, found cnn"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(text, message, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    before = [dict(kind) for kind in (PROBES, DATASETS)], list(MODELS)
    with pytest.raises(PluginError) as error:
        load([str(path)])
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert ([dict(kind) for kind in (PROBES, DATASETS)], list(MODELS)) == before


def test_no_file_and_no_module(tmp_path):
    with pytest.raises(PluginError, match="no plug-in at"):
        load([str(tmp_path / "none.py")])
    with pytest.raises(PluginError, match="expected a module, or a path that ends in"):
        load(["no.such.module"])
    (tmp_path / "my-model.py").write_text("MODELS = {}")
    with pytest.raises(PluginError, match="expected a file named like a variable"):
        load([str(tmp_path / "my-model.py")])


def test_all_entries_of_a_plug_in_join_or_none(tmp_path):
    path = tmp_path / "half.py"
    path.write_text(PROBE + "PROBES['lda'] = PROBES['svm']\n")
    with pytest.raises(PluginError, match="found lda, which this project has"):
        load([str(path)])
    assert "svm" not in PROBES


def test_a_space_joins_those_of_its_kind(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PROBE + SPACE)
    load([str(path)])
    assert OF_PROBES["svm"] == {"C": Range(0.1, 10.0, log=True)}
    path = tmp_path / "net.py"
    network = "from lightning_modules.dnn import DNN\nMODELS = {'svm_net': DNN}\n"
    path.write_text(network + SPACE.replace("svm", "svm_net").replace('"C"', '"lr"'))
    load([str(path)])
    assert OF_MODELS["svm_net"] == {"lr": Range(0.1, 10.0, log=True)}


def test_an_encoder_joins_as_two_rows(tmp_path):
    path = tmp_path / "my_encoder.py"
    path.write_text(ENCODER)
    load([str(path)])
    assert PROBES["tiny"].encoder is PROBES["tiny_untrained"].encoder
    assert PROBES["tiny"].encoder.module == "affectbench_plugin_my_encoder"
    for row in ("tiny", "tiny_untrained"):
        assert list(plugins.used([("PROBES", row)])) == ["my_encoder.py"]
    path = tmp_path / "other_encoder.py"
    path.write_text("ENCODERS = {'other': 3}")
    with pytest.raises(PluginError, match="expected other of ENCODERS to be an Encoder, found 3"):
        load([str(path)])


def test_a_row_of_an_encoder_depends_on_its_code(tmp_path):
    path, codes = tmp_path / "my_encoder.py", []
    values = {"dataset": "wesad", "task": "stress", "fold": 0, "seed": 0, "data": "a" * 16}
    run = make_run(**values, model="tiny", signals=("eda",), subjects=("S2",))
    for text in (ENCODER, ENCODER.replace("0.5", "0.25"), ENCODER + "\n# a comment"):
        path.write_text(text)
        for row in ("tiny", "tiny_untrained"):
            PROBES.pop(row, None)
        plugins._loaded.clear()
        plugins._origins.clear()
        sys.modules.pop(f"{plugins.PREFIX}my_encoder", None)
        for cached in (code_of, source._read):
            cached.cache_clear()
        load([str(path)])
        codes.append(code_of_run(run))
    assert codes[0] == codes[2] != codes[1]


def test_two_plug_ins_may_not_have_an_entry_of_one_name(tmp_path):
    for name in ("one", "two"):
        text = PROBE if name == "one" else "CLASSIFIERS = {'svm': print}"
        (tmp_path / f"{name}.py").write_text(text)
    load([str(tmp_path / "one.py")])
    before = CLASSIFIERS["svm"]
    with pytest.raises(PluginError, match=r"found svm, which .*one\.py has"):
        load([str(tmp_path / "two.py")])
    assert CLASSIFIERS["svm"] is before


def test_two_files_of_one_name(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    load([str(write("model", "my_net", tmp_path / "a"))])
    with pytest.raises(PluginError, match="expected one file of this name"):
        load([str(write("model", "my_net", tmp_path / "b"))])


def test_a_suite_names_its_plugins_from_its_own_folder(tmp_path):
    write("model", "my_net", tmp_path)
    suite = tmp_path / "mine.yaml"
    suite.write_text("datasets: [synthetic]\nmodels: [my_net]\nplugins: [my_net.py]\n")
    assert load_suite(str(suite)).models == ("my_net",)
    suite.write_text("datasets: [synthetic]\nmodels: [my_net]\nplugins: [{}]\n")
    with pytest.raises(Exception, match="expected plugins to be a list of files or modules"):
        load_suite(str(suite))


def test_a_suite_made_in_python_loads_its_plugins(tmp_path):
    path = write("model", "my_net", tmp_path)
    suite = Suite("mine", ("synthetic",), models=("my_net",), plugins=(str(path),))
    assert suite.models == ("my_net",)
    assert "my_net" in MODELS


def test_nothing_is_written_over(tmp_path):
    write("model", "my_net", tmp_path)
    with pytest.raises(NewError, match="found one: it is not written over"):
        write("dataset", "my_net", tmp_path)
    with pytest.raises(NewError, match="expected a name of small letters"):
        write("model", "../my_net", tmp_path)


# --- from the command line to a board


def test_from_nothing_to_a_board_with_workers_and_without_the_plugin_after(tmp_path):
    assert cli(tmp_path, "new", "model", "my_net").returncode == 0
    assert cli(tmp_path, "new", "dataset", "our_lab").returncode == 0
    (tmp_path / "svm.py").write_text(PROBE)
    own = [word for name in ("my_net", "our_lab", "svm") for word in ("--plugin", f"{name}.py")]
    run = ["run", "full", "--dataset", "our_lab", "--model", "my_net", "svm", "lda"]
    done = cli(tmp_path, *run, "--seeds", "0", "--max-epochs", "1", "--jobs-per-device", "2", *own)
    assert done.returncode == 0, done.stderr
    assert "18 runs on 1 board(s)" in done.stdout
    board = (tmp_path / "leaderboards" / "our_lab__stress__leave_one_subject_out.csv").read_text()
    assert {"my_net", "svm", "lda"} <= {
        word for line in board.splitlines() for word in line.split(",")
    }
    assert "not loaded here" not in board
    again = cli(tmp_path, *run, "--seeds", "0", "--max-epochs", "1", *own)
    assert "nothing to compute" in again.stdout
    folder = next((tmp_path / "runs").glob("*/my_net/0-0-*"))
    assert cli(tmp_path, "verify", str(folder), *own).returncode == 0
    without = cli(tmp_path, "verify", str(folder))
    assert without.returncode == 2
    assert "dataset our_lab, model my_net: not loaded here; --plugin" in without.stderr
    assert "Traceback" not in without.stderr
    plain = cli(tmp_path, "leaderboard")
    assert plain.returncode == 0, plain.stderr
    assert "model my_net: not loaded here; --plugin my_net.py, our_lab.py" in plain.stdout
    code = tmp_path / "my_net.py"
    code.write_text(code.read_text().replace("width: int = 16", "width: int = 8"))
    changed = cli(tmp_path, *run, "--seeds", "0", "--max-epochs", "1", "--dry-run", *own)
    assert "code of my_net changed since 6 finished runs" in changed.stdout
    assert "12 of them finished before, 6 to do" in changed.stdout


def test_a_folder_dataset_is_found_under_data_and_its_absence_named(tmp_path):
    root = tmp_path / "data" / "mylab"
    assert cli(tmp_path, "data", "synthesize", "folder", "--root", str(root)).returncode == 0
    run = ["run", "full", "--dataset", "mylab", "--task", "stress", "--model", "lda", "majority"]
    done = cli(tmp_path, *run, "--seeds", "0", "--jobs-per-device", "2")
    assert done.returncode == 0, done.stderr
    assert "8 runs on 1 board(s)" in done.stdout
    folder = next((tmp_path / "runs").glob("*/lda/0-0-*"))
    assert cli(tmp_path, "verify", str(folder)).returncode == 0
    elsewhere = cli(tmp_path, "verify", str(folder), "--data", "none")
    assert elsewhere.returncode == 2
    assert "dataset mylab: not loaded here; --plugin mylab/dataset.yaml" in elsewhere.stderr
    (root / "dataset.yaml").write_text("signals: 3")
    broken = cli(tmp_path, *run, "--seeds", "0")
    assert broken.returncode == 2
    assert str(root / "dataset.yaml") in broken.stderr
    assert "Traceback" not in broken.stderr


def test_a_folder_dataset_may_not_hide_a_built_in_one(tmp_path):
    root = tmp_path / "wesad"
    assert cli(tmp_path, "data", "synthesize", "folder", "--root", str(root)).returncode == 0
    with pytest.raises(PluginError, match="found wesad, which this project has"):
        load(plugins.heads(tmp_path))
