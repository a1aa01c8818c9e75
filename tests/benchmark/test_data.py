"""Fetching and checking recordings; the server is on loopback."""

import functools
import http.server
import io
import tarfile
import threading

import pytest

from benchmark import data
from benchmark.run import BenchmarkError

FILES = {
    "Set-1/Raw_data/S02/EDA.csv": b"1\n4\n0.5\n",
    "Set-1/LICENSE": b"MIT",
    "Set-1/notes.txt": b"not kept",
}


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}/set.tar.gz"
        running.shutdown()


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def record(monkeypatch, url, sha256):
    source = data.Download(url, "Set-1", ("Raw_data", "LICENSE"), sha256)
    monkeypatch.setitem(data.DOWNLOADS, "stress_predict", source)


def digest_of(tmp_path, files):
    for name, content in files.items():
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return data.tree_digest(tmp_path / "unpacked" / "Set-1", ("Raw_data", "LICENSE"))


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_what_is_on_record_is_kept_and_nothing_else(server, tmp_path, monkeypatch):
    folder, url = server
    archive(folder / "set.tar.gz", FILES)
    record(monkeypatch, url, digest_of(tmp_path, FILES))
    data.download("stress_predict", tmp_path / "data" / "stress_predict")
    assert names(tmp_path / "data") == [
        "stress_predict/LICENSE",
        "stress_predict/Raw_data/S02/EDA.csv",
    ]


@pytest.mark.parametrize("change", ["content", "name"])
def test_other_files_than_on_record_are_refused(server, tmp_path, monkeypatch, change):
    folder, url = server
    record(monkeypatch, url, digest_of(tmp_path, FILES))
    changed = dict(FILES)
    content = changed.pop("Set-1/Raw_data/S02/EDA.csv")
    if change == "content":
        changed["Set-1/Raw_data/S02/EDA.csv"] = content + b"0.6\n"
    else:
        changed["Set-1/Raw_data/S03/EDA.csv"] = content
    archive(folder / "set.tar.gz", changed)
    with pytest.raises(BenchmarkError, match="digest"):
        data.download("stress_predict", tmp_path / "data" / "stress_predict")
    assert names(tmp_path / "data") == []


def test_a_member_that_would_leave_the_folder_is_refused(server, tmp_path, monkeypatch):
    folder, url = server
    record(monkeypatch, url, "")
    archive(folder / "set.tar.gz", {"../../escaped": b"x"})
    with pytest.raises(BenchmarkError, match="failed"):
        data.download("stress_predict", tmp_path / "data" / "stress_predict")
    assert names(tmp_path / "data") == []
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("served", [None, b"\x1f\x8b cut off"])
def test_a_download_that_fails_leaves_nothing(server, tmp_path, monkeypatch, served):
    folder, url = server
    record(monkeypatch, url, "")
    if served:
        (folder / "set.tar.gz").write_bytes(served)
    with pytest.raises(BenchmarkError, match="try again"):
        data.download("stress_predict", tmp_path / "data" / "stress_predict")
    assert names(tmp_path / "data") == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(BenchmarkError, match="not empty"):
        data.download("stress_predict", tmp_path)
    assert names(tmp_path) == ["mine"]


def test_a_dataset_under_agreement_is_not_fetched(tmp_path):
    with pytest.raises(BenchmarkError, match="Empatica E4 is not downloaded"):
        data.download("empatica_e4", tmp_path / "x")
    assert not (tmp_path / "x").exists()
