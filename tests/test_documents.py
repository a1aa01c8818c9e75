"""The documents: their Python runs, their commands are the program's, their links lead on."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmark.cli import run as run_command
from benchmark.cli.main import COMMANDS, _parser, main
from benchmark.plan.parse import KEYS, load_suite
from benchmark.plan.suite import Distillation
from benchmark.probes.catalogue import PROBES
from datamodules.catalogue import DATASETS
from datamodules.flags import FLAGS
from datamodules.folder import folder_dataset
from datamodules.formats.folder_head import HEAD
from datamodules.synthesis import folder
from lightning_modules.catalogue import MODELS

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmark", "datamodules", "leaderboards", "lightning_modules")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", *(f"{folder}/README.md" for folder in FOLDERS))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINES = 150
"""Length of README.md at most."""
OWN = {"mylab"}
"""Datasets that a reader of the documents has made."""


def read(document: str) -> str:
    return (ROOT / document).read_text()


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for name, block in FENCE.findall(read(document)):
            if name == language:
                yield document, block


def calls(text: str) -> Iterator[list[str]]:
    """Yield the words of each ``affectbench`` call in shell text, those inside of others too."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(re.sub(r"\$\w+", "1", line), comments=True)
        for place, word in enumerate(words):
            if word == "affectbench" or word.endswith("/affectbench"):
                rest = words[place + 1 :]
                yield rest[: rest.index("&&")] if "&&" in rest else rest
            elif "affectbench run " in word:
                yield from calls(word)
            elif word.endswith(".sbatch"):  # N, a suite, and words of affectbench run
                yield ["run", *words[place + 2 :]]


def named(pattern: str) -> list[tuple[str, str]]:
    """Return what is named in the running text of the documents, with the document."""
    return [
        (document, name)
        for document in DOCUMENTS
        for name in re.findall(pattern, FENCE.sub("", read(document)))
    ]


COMMAND_LINES = sorted(
    {(document, *words) for document, block in blocks("sh") for words in calls(block)}
)
PYTHON = list(blocks("python"))


def in_a_process(place: Path, *words: str) -> str:
    """Return what Python prints that is called in a folder."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Return all options of a parser and of the commands below it."""
    names: set[str] = set()
    for action in parser._actions:
        names.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                names |= options(below)
    return names


def test_the_documents_have_commands_and_python():
    assert len(COMMAND_LINES) > 30
    assert {document for document, _ in PYTHON} >= {
        "README.md",
        "benchmark/README.md",
        "datamodules/README.md",
        "lightning_modules/README.md",
    }


def test_calls_are_found_wherever_they_stand():
    text = (
        "x=1 affectbench list models   # affectbench no\n"
        "echo 'cd $HERE && affectbench run full --shard $I/8' | qsub -J 1-8\n"
        "sbatch --array=1-8 benchmark/slurm/array.sbatch 8 full --data \\\n  /data\n"
    )
    assert list(calls(text)) == [
        ["list", "models"],
        ["run", "full", "--shard", "1/8"],
        ["run", "full", "--data", "/data"],
    ]


def test_readme_is_short():
    assert len(read("README.md").splitlines()) <= LINES


@pytest.mark.parametrize("document", DOCUMENTS)
def test_code_stands_in_blocks_with_a_language(document):
    text = read(document)
    assert text.count("```") % 2 == 0
    assert [block for language, block in FENCE.findall(text) if not language] == []
    assert re.findall(r"\n\n    .*", FENCE.sub("", text)) == []


@pytest.mark.parametrize("line", COMMAND_LINES, ids=" ".join)
def test_commands_are_those_of_the_program(line, capsys):
    _, *words = line
    try:
        arguments = _parser().parse_args(words)
    except SystemExit as refused:
        pytest.fail(capsys.readouterr().err or str(refused))
    if words[0] == "run" and "--plugin" not in words and not OWN & set(words):
        assert run_command._suite(arguments)  # every name of a dataset, model, split is known


def test_another_command_would_be_refused(capsys):
    with pytest.raises(SystemExit):
        _parser().parse_args(["run", "full", "--model-name", "cnn"])
    assert "--model-name" in capsys.readouterr().err


@pytest.mark.parametrize(("document", "name"), named(r"`affectbench (\w+)[^`]*`"))
def test_commands_in_sentences_are_there(document, name):
    assert name in COMMANDS


@pytest.mark.parametrize(("document", "name"), sorted(set(named(r"`(--[a-z-]+)"))))
def test_options_in_sentences_are_there(document, name):
    assert name in options(_parser())


@pytest.mark.parametrize(("document", "block"), PYTHON, ids=[document for document, _ in PYTHON])
@pytest.mark.filterwarnings("ignore")  # Lightning's advice on short trainings
def test_python_runs(document, block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "data/mylab" in block:  # what affectbench data synthesize folder writes
        folder.write(Path("data/mylab"), 3, minutes=1.0)
    if "from benchmark import" in block:  # it starts workers, who look at the file that starts them
        Path("script.py").write_text(block)
        printed = in_a_process(tmp_path, "script.py")
    else:
        exec(compile(block, document, "exec"), {"__name__": "block"})
        printed = capsys.readouterr().out
    for expected in re.findall(r"print\(.*\)  # (.*)", block):
        assert expected in printed


def test_the_model_of_readme_becomes_a_row(tmp_path):
    (network,) = (block for name, block in PYTHON if name == "README.md" and "MODELS" in block)
    (words,) = (
        words for name, *words in COMMAND_LINES if name == "README.md" and "my_net" in words
    )
    (tmp_path / "my_net.py").write_text(network)
    in_a_process(tmp_path, "-m", "benchmark.cli", *words)  # a plug-in stays in the catalogues
    (board,) = (tmp_path / "leaderboards").glob("synthetic__*.csv")
    assert {"my_net", "lda"} <= set(pd.read_csv(board, comment="#")["model"])


def test_the_probe_of_the_documents_becomes_a_row(tmp_path):
    (block,) = (block for _, block in PYTHON if "CLASSIFIERS" in block)
    (words,) = (words for _, *words in COMMAND_LINES if "nearest" in words)
    (tmp_path / "my_probe.py").write_text(block)
    in_a_process(tmp_path, "-m", "benchmark.cli", *words)
    (board,) = (tmp_path / "leaderboards").glob("synthetic__*.csv")
    table = pd.read_csv(board, comment="#").set_index("model")
    assert table.loc["nearest", "signals"] == "eda+temp"
    assert table.loc["nearest", ["n_runs", "n_failed"]].tolist() == [4, 0]
    assert np.isfinite(table.loc["nearest", "macro_f1"])


def test_every_probe_is_documented_with_its_arguments():
    text = read("benchmark/README.md")
    rows = re.findall(r"^\| (`.*) \|$", text[text.index("## Probes") :], re.M)
    cells = [row.split(" | ") for row in rows]
    for name, probe in PROBES.items():
        (row,) = (row for row in cells if f"`{name}`" in row[0])
        if not (probe.blind or probe.encoder):
            said = {n: f"{v:g}" if isinstance(v, float) else v for n, v in probe.arguments.items()}
            assert row[3] == ", ".join(f"`{n}` {value}" for n, value in said.items())


@pytest.mark.parametrize("catalogue", ["datasets", "models", "distillers", "splits", "suites"])
def test_lists_are_printed(catalogue, capsys):
    assert main(["list", catalogue]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_suites_are_suites(tmp_path):
    suites = [block for _, block in blocks("yaml") if "models" in yaml.safe_load(block)]
    assert suites
    for block in suites:
        path = tmp_path / "suite.yaml"
        path.write_text(block)
        assert load_suite(str(path)).models


def test_heads_of_folder_datasets_are_read(tmp_path):
    heads = [block for _, block in blocks("yaml") if "score_unit" in yaml.safe_load(block)]
    tables = [block for _, block in blocks("csv") if "label," in block]
    for head, table in zip(heads, tables, strict=True):
        root = tmp_path / "mylab"
        root.mkdir()
        (root / HEAD).write_text(head)
        (root / "recordings.csv").write_text(table)
        dataset = folder_dataset(root / HEAD)
        assert (dataset.name, dataset.unit) == ("mylab", 60.0)
        assert {"bvp", "eda", "bvp_beats"} < set(dataset.signals)
        assert list(dataset.tasks) == ["stress", "arousal"]
    assert heads


def test_every_key_of_a_suite_is_documented():
    text = read("benchmark/README.md")
    table = text[text.index("| key | value |") : text.index("An entry of `distillations`")]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == set(KEYS)
    entry = text[text.index("An entry of `distillations`") : text.index("The suite `open`")]
    assert all(f"`{f.name}`" in entry for f in fields(Distillation))


def test_every_dataset_model_and_flag_has_a_line():
    lines = {
        "datamodules/README.md": (*DATASETS, *FLAGS),
        "lightning_modules/README.md": tuple(MODELS),
    }
    for document, names in lines.items():
        rows = "\n".join(line for line in read(document).splitlines() if line.startswith("|"))
        assert [name for name in names if f"`{name}`" not in rows] == []


def anchors(document: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", document.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("document", "target"), sorted(set(named(r"(?<!!)\[[^]]*\]\(([^)]+)\)"))))
def test_links_lead_somewhere(document, target):
    path, _, anchor = target.partition("#")
    if "://" in path:
        return
    file = (ROOT / document).parent / path if path else ROOT / document
    assert file.exists()
    assert not anchor or anchor in anchors(file)
