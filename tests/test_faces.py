"""The faces of the packages: the names that they promise are those that they give."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "datamodules", "lightning_modules")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_star_imports_all_names_and_no_others(package):
    names: dict[str, object] = {}
    exec(f"from {package} import *", names)
    face = import_module(package)
    assert sorted(names.keys() - {"__builtins__"}) == sorted(face.__all__)
    assert all(names[name] is getattr(face, name) for name in face.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_those_that_a_type_checker_sees(package):
    """A type checker reads the imports that never run, each of the file that defines the name."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    face = import_module(package)
    assert sorted(seen) == sorted(face.__all__)
    for name, module in seen.items():
        assert getattr(import_module(str(module)), name) is getattr(face, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="Nothing"):
        import_module(package).Nothing  # noqa: B018
