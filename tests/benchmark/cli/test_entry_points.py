"""Plug-ins of installed packages: a wheel that declares one, and its probe is listed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("pip")
ROOT = Path(__file__).parents[3]
MODULE = """
from benchmark.probes.catalogue import Probe

PROBES = {"tiny_probe": Probe("time", "forest", "a forest of a package")}
"""
INFO = {
    "METADATA": "Metadata-Version: 2.1\nName: tiny-affect\nVersion: 0.1\n",
    "WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "entry_points.txt": "[affectbench.plugins]\ntiny = tiny_affect.plugin\n",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the installed package."""
    tmp_path = tmp_path_factory.mktemp("installed")
    files = {"tiny_affect/__init__.py": "", "tiny_affect/plugin.py": MODULE}
    files |= {f"tiny_affect-0.1.dist-info/{name}": text for name, text in INFO.items()}
    wheel = tmp_path / "tiny_affect-0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in files)
        archive.writestr(
            "tiny_affect-0.1.dist-info/RECORD", f"{record}tiny_affect-0.1.dist-info/RECORD,,\n"
        )
    target = tmp_path / "site"
    words = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"]
    subprocess.run([sys.executable, "-m", "pip", *words, str(target), str(wheel)], check=True)
    return target


def listed(place: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Models and probes that the program lists in a process that finds packages in some folders."""
    return subprocess.run(
        [sys.executable, "-m", "benchmark.cli", "list", "models"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*paths, ROOT)))},
        capture_output=True,
        text=True,
    )


def test_a_probe_of_an_installed_package_is_listed(site, tmp_path):
    assert "tiny_probe" not in listed(tmp_path).stdout
    there = listed(tmp_path, site)
    assert there.returncode == 0, there.stderr
    assert [line.split()[0] for line in there.stdout.splitlines()].count("tiny_probe") == 1


def test_an_installed_plugin_that_cannot_be_loaded_is_one_line(site, tmp_path):
    broken = shutil.copytree(site, tmp_path / "site")
    (broken / "tiny_affect" / "plugin.py").write_text("import a_module_that_nobody_has\n")
    there = listed(tmp_path, broken)
    assert there.returncode == 2
    (line,) = there.stderr.splitlines()
    assert "tiny_affect.plugin" in line
    assert "a_module_that_nobody_has" in line
