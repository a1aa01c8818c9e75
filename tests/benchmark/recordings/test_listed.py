"""Fetching datasets file by file, by the publisher's list."""

import dataclasses
import hashlib
import io
import random
import re
import shutil
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmark.cli.main import main
from benchmark.errors import BenchmarkError
from benchmark.recordings import download as download_module
from benchmark.recordings.download import download, is_complete, missing, would_fetch
from benchmark.recordings.fetch import UnexpectedBytesError
from datamodules.catalogue import DATASETS
from datamodules.download import ListedFiles

NOISE = random.Random(1).randbytes(300_000)
FILES = {
    "Data/S01/EDA.csv": b"1\n4\n0.5\n",
    "Data/S01/BVP one.csv": NOISE,
    "Data/S02/EDA.csv": b"1\n4\n0.7\n",
    "README.txt": b"read me",
}
LIST = "SHA256SUMS.txt"


def list_of(files, blank=" "):
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}{blank}{name}\n" for name in files]
    return "".join(lines).encode()


@pytest.fixture
def place(server, tmp_path, monkeypatch):
    """Puts files and their list on the server and on record, and fetches them."""
    root, output = tmp_path / "data" / "eegmat", io.StringIO()

    def put(files=FILES, listing=None, pinned=True, **fields):
        listing = list_of({**FILES, "notes.ipynb": b"{}"}) if listing is None else listing
        paths = {name.replace(" ", "%20"): content for name, content in files.items()}
        server.files = {f"/set/{name}": body for name, body in {**paths, LIST: listing}.items()}
        record = {
            "url": f"{server.url}/",
            "parts": ("Data", "README.txt"),
            "sha256": hashlib.sha256(listing).hexdigest() if pinned else None,
            "unpacked": 1_000_000,
            "terms": "ODC-By",
        }
        source = ListedFiles(**(record | fields))
        changed = dataclasses.replace(DATASETS["eegmat"], download=source)
        monkeypatch.setitem(DATASETS, "eegmat", changed)

    def fetch(**options):
        return download("eegmat", root, Console(file=output, **options))

    def fetched():
        """Names of the files that were asked for."""
        return [entry.path.removeprefix("/set/").replace("%20", " ") for entry in server.log]

    return SimpleNamespace(put=put, fetch=fetch, fetched=fetched, root=root, said=output)


def contents(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("blank", [" ", "  ", " *"])
def test_what_is_on_the_list_is_fetched_and_nothing_else(place, blank):
    listing = list_of({**FILES, "notes.ipynb": b"{}"}, blank)
    place.put(listing=listing)
    assert not is_complete("eegmat", place.root)
    assert place.fetch() == "and is what is on record"
    assert contents(place.root) == dict(sorted({**FILES, LIST: listing}.items()))
    assert place.fetched() == [LIST, *FILES]
    assert "ODC-By" in place.said.getvalue()
    assert is_complete("eegmat", place.root)
    (place.root / "Data/S02/EDA.csv").unlink()
    assert not is_complete("eegmat", place.root)


def test_a_list_without_a_digest_on_record_is_taken_and_that_is_said(place):
    place.put(pinned=False)
    assert "of which no digest is on record" in place.fetch()
    assert place.fetch()
    assert place.fetched().count(LIST) == 2


def test_a_later_call_fetches_only_what_is_missing(server, place):
    place.put()
    server.statuses = [0, 0, 0, 404]  # the third file
    with pytest.raises(BenchmarkError, match=r"404.*publisher"):
        place.fetch()
    assert set(contents(place.root)) == {LIST, "Data/S01/EDA.csv", "Data/S01/BVP one.csv"}
    server.log.clear()
    place.fetch()
    assert place.fetched() == ["Data/S02/EDA.csv", "README.txt"]
    assert set(contents(place.root)) == {LIST, *FILES}
    server.log.clear()
    place.fetch()
    assert place.fetched() == []


def test_files_that_are_there_are_kept(place):
    place.put()
    path = place.root / "Data/S01/BVP one.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(NOISE)
    (place.root / "mine.txt").write_text("mine")
    place.fetch()
    assert "Data/S01/BVP one.csv" not in place.fetched()
    assert contents(place.root)["mine.txt"] == b"mine"


def test_another_file_in_the_place_of_a_listed_one_is_left_alone(place):
    place.put()
    path = place.root / "README.txt"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(BenchmarkError, match=r"README\.txt: expected .* found another"):
        place.fetch()
    assert path.read_text() == "mine"
    assert place.fetched() == [LIST]


def test_a_lost_connection_is_taken_up_again_within_a_file(server, place):
    place.put()
    server.drops = [None, None, 100_000]
    place.fetch()
    assert place.fetched() == [LIST, *list(FILES)[:2], *list(FILES)[1:]]
    assert server.log[3].range == "bytes=100000-"
    assert (place.root / "Data/S01/BVP one.csv").read_bytes() == NOISE


def test_a_file_that_is_not_the_listed_one_is_not_kept(place):
    place.put(files={**FILES, "Data/S02/EDA.csv": b"other"})
    with pytest.raises(UnexpectedBytesError, match=r"S02/EDA\.csv: expected the sha256 "):
        place.fetch()
    assert set(contents(place.root)) == {LIST, *list(FILES)[:2]}


def test_a_list_that_is_not_the_one_on_record_is_not_kept(place):
    place.put(sha256="0" * 64)
    with pytest.raises(UnexpectedBytesError, match=rf"{LIST}: expected the sha256 0000"):
        place.fetch()
    assert contents(place.root) == {}
    assert place.fetched() == [LIST]


@pytest.mark.parametrize(
    "listing",
    [
        b"",
        b"<html>sign in</html>\n",
        list_of({"README.txt": b"read me"}),
        list_of({**FILES, "../escaped": b"x"}),
        list_of({**FILES, "Data/../../escaped": b"x"}),
        list_of({**FILES, "/tmp/escaped": b"x"}),
        list_of({**FILES, "C:/escaped": b"x"}),
        list_of(FILES) + b"0123 README.txt\n",
    ],
)
def test_a_list_that_cannot_be(place, listing):
    place.put(listing=listing)
    with pytest.raises(BenchmarkError, match=rf"{LIST}: expected a line of SHA-256 and path"):
        place.fetch()
    assert place.fetched() == [LIST]


def test_more_than_is_on_record_is_not_fetched(place):
    place.put(unpacked=299_999)
    with pytest.raises(UnexpectedBytesError, match="at most 299999 bytes"):
        place.fetch()
    assert "Data/S01/BVP one.csv" not in contents(place.root)
    place.put(unpacked=300_010)
    with pytest.raises(UnexpectedBytesError, match="at most 300010 bytes"):
        place.fetch()


def test_a_full_disk_is_seen_before_it_is_full(place, monkeypatch):
    place.put()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10_500_000))
    place.fetch()
    shutil.rmtree(place.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=500_000))
    with pytest.raises(BenchmarkError, match="MB of free disk"):
        place.fetch()


def test_lines_of_progress(place):
    place.put()
    place.fetch()
    said = place.said.getvalue()
    assert "4 of 4 files are to be fetched\n" in said
    assert re.findall(r"fetched: (\d+) % of 4 files\n", said) == ["20", "50", "70", "100"]
    assert "\x1b" not in said


def test_a_bar_on_a_terminal(place):
    place.put()
    place.fetch(force_terminal=True, width=100)
    assert re.search(r"files .*4/4", place.said.getvalue())


def test_the_command(place, capsys, monkeypatch):
    place.put(pinned=False)
    words = ["data", "download", "eegmat", "--root", str(place.root)]

    def interrupted(*words, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download_module, "fetch", interrupted)
        assert main(words) == 130
    assert "goes on from it" in capsys.readouterr().err
    assert main(words) == 0
    expected = "and each file is that of the publisher's list, of which no digest is on record"
    assert capsys.readouterr().out == f"eegmat is in {place.root}, {expected}\n"


def test_what_is_missing_and_may_be_fetched(place, tmp_path):
    place.put()
    roots = {"eegmat": place.root, "deap": tmp_path / "deap", "wesad": tmp_path / "wesad"}
    assert missing(roots) == {"eegmat": roots["eegmat"], "wesad": roots["wesad"]}
    place.fetch()
    (tmp_path / "wesad").mkdir()
    assert list(missing(roots)) == ["wesad"]
    (tmp_path / "wesad" / "S2").mkdir()
    assert missing(roots) == {}
    assert would_fetch("eegmat", place.root) == (
        f"eegmat: to be fetched to {place.root}, at most 1 MB (ODC-By)"
    )
    with pytest.raises(LookupError, match="deap"):
        would_fetch("deap", tmp_path)


def test_what_is_on_record_of_the_open_datasets():
    listed = {n: d.download for n, d in DATASETS.items() if isinstance(d.download, ListedFiles)}
    assert set(listed) == {"wearable_stress", "eegmat"}
    for source in listed.values():
        assert re.fullmatch(r"https://physionet\.org/files/[a-z-]+/\d\.\d\.\d/", source.url)
    assert len(listed["eegmat"].parts) == 72
    assert listed["eegmat"].sha256 is None
    assert re.fullmatch("[0-9a-f]{64}", listed["wearable_stress"].sha256)
