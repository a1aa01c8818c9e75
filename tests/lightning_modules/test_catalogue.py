"""Catalogue: names without imports, classes when they are asked for."""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import lightning_modules
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import DISTILLERS, MODELS, Catalogue
from lightning_modules.distillation.base import Distiller

SHELF = Path(lightning_modules.__file__).parent


class Plain:
    """A class of this test.

    With more lines.
    """


class Silent:
    pass


def modules(folder: Path, prefix: str) -> Iterator[ModuleType]:
    for path in sorted(folder.glob("[!_]*.py")):
        yield importlib.import_module(f"{prefix}.{path.stem}")


def classes(folder: Path, prefix: str, kind: type) -> set[type]:
    """Concrete subclasses that the files of a folder define."""
    return {
        member
        for module in modules(folder, prefix)
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, kind) and member.__module__ == module.__name__
        if not inspect.isabstract(member)
    }


@pytest.mark.parametrize("name", MODELS)
def test_every_model_loads(name):
    assert issubclass(MODELS[name], EmotionClassifier)
    assert MODELS[name] is MODELS[name]


@pytest.mark.parametrize("name", DISTILLERS)
def test_every_distiller_loads(name):
    assert issubclass(DISTILLERS[name], Distiller)


def test_no_class_has_two_names():
    for catalogue in (MODELS, DISTILLERS):
        assert len(set(catalogue.values())) == len(catalogue)


def test_every_model_of_the_shelf_is_in_the_catalogue():
    models = {
        kind
        for kind in classes(SHELF, "lightning_modules", EmotionClassifier)
        if "inputs" in inspect.signature(kind).parameters
    }
    bases = {base for kind in models for base in kind.__mro__[1:]}
    assert models - bases == set(MODELS.values())


def test_every_distiller_of_the_shelf_is_in_the_catalogue():
    found = classes(SHELF / "distillation", "lightning_modules.distillation", Distiller)
    assert found == set(DISTILLERS.values())


@pytest.mark.parametrize("catalogue", [MODELS, DISTILLERS])
def test_the_line_about_a_class_is_the_first_of_its_docstring(catalogue):
    for name, kind in catalogue.items():
        assert catalogue.about(name) == (kind.__doc__ or "").splitlines()[0]
        assert len(catalogue.about(name).split()) > 3


def test_controls_say_so():
    for name, kind in DISTILLERS.items():
        assert kind.control == DISTILLERS.about(name).startswith("Control: "), name


def test_entries_are_added_at_the_end_or_replaced():
    catalogue: Catalogue[object] = Catalogue({"path": "pathlib:Path", "plain": Plain})
    catalogue.register("decimal", "decimal:Decimal")
    catalogue.register("path", Silent)
    assert list(catalogue) == ["path", "plain", "decimal"]
    assert len(catalogue) == 3
    assert catalogue["path"] is Silent
    assert catalogue["decimal"].__name__ == "Decimal"
    assert catalogue.get("other") is None
    assert "other" not in catalogue
    with pytest.raises(KeyError, match="other"):
        catalogue["other"]
    assert [catalogue.about(name) for name in ("path", "plain")] == ["", "A class of this test."]
    assert next(iter(MODELS)) == "attention_lrcn"


def test_a_wrong_entry_says_what_is_missing():
    catalogue: Catalogue[object] = Catalogue(
        {"module": "lightning_modules.nothing:Thing", "class": "lightning_modules.recipe:Nothing"}
    )
    with pytest.raises(ModuleNotFoundError, match=r"lightning_modules\.nothing"):
        catalogue.about("module")
    with pytest.raises(AttributeError, match=r"expected a class Nothing in .*recipe\.py"):
        catalogue.about("class")


FRESH = """
import sys
{imports}
heavy = [name for name in ("torch", "lightning", "sklearn", "pandas") if name in sys.modules]
assert not heavy, heavy
{after}
"""


@pytest.mark.parametrize(
    ("imports", "after"),
    [
        ("import lightning_modules", ""),
        ("import lightning_modules.recipe as r; r.Recipe('a test')", ""),
        ("import lightning_modules.choices", ""),
        (
            "from lightning_modules.catalogue import DISTILLERS, MODELS\n"
            "for catalogue in (MODELS, DISTILLERS):\n"
            "    assert len(catalogue) == len(list(catalogue))\n"
            "    assert all(name in catalogue and catalogue.about(name) for name in catalogue)\n",
            "assert MODELS['cnn'].__name__ == 'CNN' and 'torch' in sys.modules",
        ),
        (
            "import lightning_modules\n"
            "assert 'cnn' in lightning_modules.MODELS\n"
            "assert 'features' in lightning_modules.DISTILLERS\n"
            "assert lightning_modules.Recipe.__name__ == 'Recipe'\n",
            "for name in lightning_modules.__all__: getattr(lightning_modules, name)",
        ),
    ],
)
def test_names_are_known_without_torch(imports, after):
    program = FRESH.format(imports=imports, after=after)
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
