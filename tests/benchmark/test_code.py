"""Digest of a model's code: what makes it other work, and what does not."""

import importlib
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.code import NO_SOURCE, code_of, code_of_run
from benchmark.plan.suite import Distillation
from benchmark.probes.catalogue import PROBES
from datamodules import source
from datamodules.source import DIGITS
from lightning_modules.catalogue import MODELS

OURS = ("lightning_modules",)
ROOT = Path(__file__).parents[2]


def forget():
    code_of.cache_clear()
    source._read.cache_clear()


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the models as a package of another name, and a function to digest one of them."""
    folder = tmp_path / "copied_models"
    shutil.copytree(ROOT / "lightning_modules", folder)
    for path in folder.rglob("*.py"):
        path.write_text(path.read_text().replace("lightning_modules", "copied_models"))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()

    def digest(model: str) -> str:
        forget()
        return code_of(f"copied_models.{model}", ("copied_models",))

    yield folder, digest
    forget()
    assert not [name for name in sys.modules if name.startswith("copied_models.")]


def changed(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, path
    path.write_text(text.replace(before, after))


def test_another_width_is_other_work_of_this_model_alone(copy):
    folder, digest = copy
    before = {name: digest(name) for name in ("dnn", "cnn", "mlstm_fcn")}
    assert len(set(before.values())) == 3
    changed(folder / "dnn.py", "WIDTH = 128", "WIDTH = 4")
    assert digest("dnn") != before["dnn"]
    assert {name: digest(name) for name in ("cnn", "mlstm_fcn")} == {
        name: before[name] for name in ("cnn", "mlstm_fcn")
    }


def test_a_changed_helper_is_other_work_of_those_who_import_it(copy):
    folder, digest = copy
    before = {name: digest(name) for name in ("dnn", "mlstm_fcn")}
    rows = folder / "feature_rows" / "rows.py"
    rows.write_text(rows.read_text() + "\nADDED = 1\n")
    assert digest("dnn") != before["dnn"]
    assert digest("mlstm_fcn") == before["mlstm_fcn"]
    base = folder / "base.py"
    base.write_text(base.read_text() + "\nADDED = 1\n")
    assert digest("mlstm_fcn") != before["mlstm_fcn"]


def test_comments_docstrings_and_formatting_are_no_work(copy):
    folder, digest = copy
    before = digest("dnn")
    path = folder / "dnn.py"
    text = path.read_text()
    body = text[text.index('"""', 3) + 3 :].replace("WIDTH = 128", "WIDTH = (  128  )")
    path.write_text('"""Another docstring."""\n# a comment\n' + body)
    assert path.read_text() != text
    assert digest("dnn") == before


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (
            '"""Words."""\nX = 1\n"""About it."""\ndef f():\n    """Do."""\n    return X\n',
            True,
        ),
        ("X = 0x1\ndef f():\n    pass\n    return (X)\n", True),
        ("X = 1.0\ndef f():\n    return X\n", False),
        ("X = True\ndef f():\n    return X\n", False),
        ("X = '1'\ndef f():\n    return X\n", False),
        ("X = 1\ndef f():\n    return -X\n", False),
        ("X = 1\ndef g():\n    return X\n", False),
        ("X = 1\ndef f(a=None):\n    return X\n", False),
        ("X = 1\nasync def f():\n    return X\n", False),
    ],
)
def test_small_changes(tmp_path, monkeypatch, text, same):
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for content in ("X = 1\ndef f():\n    return X\n", text):
        (tmp_path / "one_small_module.py").write_text(content)
        importlib.invalidate_caches()
        forget()
        digests.append(code_of("one_small_module", ("one_small_module",)))
    assert (digests[0] == digests[1]) is same
    assert all(len(digest) == DIGITS for digest in digests)


def test_imports_are_followed_wherever_they_stand(tmp_path, monkeypatch):
    """Relative, in functions, of names from modules; those of other packages are not."""
    package = tmp_path / "some_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("from some_plugin.model import Model\n")
    (package / "model.py").write_text(
        "import json\nfrom . import near\nclass Model:\n    def f(self):\n"
        "        from some_plugin.far import thing\n        import elsewhere\n"
    )
    (package / "near.py").write_text("A = 1\n")
    (package / "far.py").write_text("from .deep import thing\n")
    (package / "deep.py").write_text("thing = 1\n")
    (package / "unrelated.py").write_text("B = 1\n")
    (tmp_path / "elsewhere.py").write_text("C = 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def digest():
        forget()
        return code_of("some_plugin.model", ("some_plugin",))

    before = digest()
    for path, counts in (
        (package / "near.py", True),
        (package / "far.py", True),
        (package / "deep.py", True),
        (package / "unrelated.py", False),
        (package / "__init__.py", False),
        (tmp_path / "elsewhere.py", False),
    ):
        text = path.read_text()
        path.write_text(text + "CHANGED = 1\n")
        assert (digest() != before) is counts, path
        path.write_text(text)
    assert digest() == before


def test_a_class_of_no_file_has_a_word_of_its_own(workshop, monkeypatch):
    run = workshop.plan(["cnn"])[0]
    local = type("Local", (MODELS["cnn"],), {"__module__": "typed_in_a_session"})
    assert len(code_of_run(run)) == DIGITS
    monkeypatch.setitem(getattr(MODELS, "_entries", MODELS), "cnn", local)
    assert code_of_run(run) == NO_SOURCE


def test_every_model_probe_and_distiller_has_a_code(workshop):
    for model in MODELS:
        assert len(code_of(MODELS[model].__module__, OURS)) == DIGITS
    probes = workshop.plan(["lda", "random_forest", "majority", "time", "motion"])
    assert len({code_of_run(run) for run in probes}) == 5
    pairs = [
        Distillation(distiller, student="cnn", teacher="dnn")
        for distiller in ("soft_targets", "features")
    ]
    runs = workshop.plan([], distillations=pairs)
    codes = {(run.model, run.distiller): code_of_run(run) for run in runs}
    assert len(codes) == len(set(codes.values())) == 4


def test_another_default_of_a_probe_is_other_work(workshop, monkeypatch):
    (run, *_) = workshop.plan(["lda"])
    before = code_of_run(run)
    monkeypatch.setitem(PROBES, "lda", replace(PROBES["lda"], arguments={"shrinkage": 0.5}))
    assert code_of_run(run) != before


def test_what_disturbs_recordings_is_part_of_the_code_of_a_test_on_them(workshop, monkeypatch):
    (run, *_) = workshop.plan(["lda"])
    disturbed = replace(run, protocol=replace(run.protocol, corruption="eda_detached"))
    alone, before = code_of_run(run), code_of_run(disturbed)
    assert before != alone

    def changed(name, within):
        return "changed" if name == "datamodules.corruptions" else code_of(name, within)

    monkeypatch.setattr("benchmark.code.code_of", changed)
    assert code_of_run(run) == alone
    assert code_of_run(disturbed) not in (before, alone)
