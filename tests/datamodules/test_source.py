import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from datamodules import source
from datamodules.cache import NOT_READING
from datamodules.source import code_digest, source_of


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No test leaves the code of a changed module behind."""
    yield
    source._read.cache_clear()


def key(*modules: str) -> str:
    """A digest of what a subject's key covers, of modules as they are now."""
    source._read.cache_clear()
    return code_digest(modules, {name.partition(".")[0] for name in modules}, NOT_READING)


def change(monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str) -> None:
    """Let the source of a module be another one."""
    path, original = source_of(module), Path.read_bytes
    assert path
    assert original(path).count(old.encode())

    def read_bytes(self: Path) -> bytes:
        text = original(self)
        return text.replace(old.encode(), new.encode()) if self == path else text

    monkeypatch.setattr(Path, "read_bytes", read_bytes)


@pytest.mark.parametrize(
    ("reader", "module", "old", "new"),
    [
        ("wesad", "datamodules.wesad", "COUNTS_PER_G = 64", "COUNTS_PER_G = 32"),
        ("wesad", "datamodules.formats.pickles", '"latin1"', '"cp1252"'),
        ("wesad", "datamodules.formats.wesad_quest", "60 * int", "61 * int"),
        ("stress_predict", "datamodules.formats.empatica", "HOTTEST = 100", "HOTTEST = 90"),
        ("stress_predict", "datamodules.formats.tables", "header=None", "header=0"),
        ("deap", "datamodules.signals.resistance", "DROPOUTS = 0.1", "DROPOUTS = 0.2"),
        ("synthetic", "datamodules.synthesis.physiology", "LEAD = 120", "LEAD = 60"),
        # the films of another dataset, whose lengths the trials of noise have
        ("noise", "datamodules.seed_v", "ROW_SECONDS = 4", "ROW_SECONDS = 2"),
        # a solver that a step imports only when it is called
        ("wesad", "datamodules.signals.interior_point", "GAP = 1e-10", "GAP = 1e-9"),
        ("amigos", "datamodules.signals.steps", "order: int = 4", "order: int = 5"),
    ],
)
def test_a_change_in_what_a_reader_stands_on_is_another_key(
    monkeypatch: pytest.MonkeyPatch, reader: str, module: str, old: str, new: str
) -> None:
    modules = f"datamodules.{reader}", "datamodules.signals.preprocessing"
    before = key(*modules)
    assert key(*modules) == before
    change(monkeypatch, module, old, new)
    assert key(*modules) != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("datamodules.pmemo", "EDA_RATE = 50.0", "EDA_RATE = 60.0"),
        ("datamodules.formats.matlab", "verify_compressed", "check_compressed"),
        ("datamodules.synthesis.wesad", "MARGIN = 10", "MARGIN = 11"),
        ("datamodules.signals.features", "SCR_MINIMUM = 0.01", "SCR_MINIMUM = 0.02"),
        ("datamodules.tasks", "class", "class  "),
        ("datamodules.formats.pickles", '"""Old pickles', '"""Pickles'),
        ("datamodules.signals.steps", "# the deviation", "# The deviation"),
    ],
)
def test_a_change_elsewhere_keeps_the_key(
    monkeypatch: pytest.MonkeyPatch, module: str, old: str, new: str
) -> None:
    modules = "datamodules.wesad", "datamodules.signals.preprocessing"
    before = key(*modules)
    change(monkeypatch, module, old, new)
    assert key(*modules) == before


PLUG_IN = {
    "__init__.py": "",
    "reader.py": "from .formats import parse\nimport numpy\n\ndef read():\n    return parse()\n",
    "formats.py": "def parse():\n    return 1\n",
    "other.py": "x = 1\n",
}


def test_a_plug_in_is_followed_through_its_own_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "plug_in_of_a_user"
    package.mkdir()
    for name, text in PLUG_IN.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    reader = import_module(f"{package.name}.reader").__name__
    before = key(reader)
    (package / "other.py").write_text("x = 2\n")
    (package / "reader.py").write_text("# a comment\n" + PLUG_IN["reader.py"])
    assert key(reader) == before
    (package / "formats.py").write_text(PLUG_IN["formats.py"].replace("1", "2"))
    assert key(reader) != before
    for name in ("", ".reader", ".formats"):
        del sys.modules[package.name + name]


def test_nothing_is_imported_to_follow_imports() -> None:
    code = (
        "import sys, datamodules.signals.cvxeda as c; from datamodules.source import code_digest;"
        "code_digest([c.__name__], ['datamodules']); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "datamodules.source" in done.stdout.split()
    assert "datamodules.signals.interior_point" not in done.stdout.split()


def test_a_module_without_a_file_is_an_error() -> None:
    with pytest.raises(OSError, match="source of sys, found none"):
        code_digest(["sys"], ["sys"])
