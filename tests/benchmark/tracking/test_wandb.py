"""W&B: what runs found arrives whole, whatever the server does, and nothing private does."""

import getpass
import gzip
import json
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import wandb
from PIL import Image
from wandb.proto import wandb_internal_pb2

from benchmark.boards.board import write_leaderboards
from benchmark.boards.scores import scored_results
from benchmark.cli.main import main
from benchmark.result import Result
from benchmark.scored import scored
from benchmark.store import Store
from benchmark.tracking import wandb as wandb_writer
from benchmark.tracking.content import draw_confusion
from benchmark.tracking.wandb import read_table, without_folders

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of wandb
KEY = "0123456789" * 4
MAIL = "someone@example.org"


class Stub:
    """A server on loopback that speaks as much of W&B's protocol as its client needs.

    Args:
        lives: Requests that it answers before it closes connections instead; None: all.
        refuses: It forbids to send to paths that end so.
    """

    def __init__(self, lives: int | None = None, refuses: str = "nothing") -> None:
        self.lives, self.headers, self.errors = lives, [], []
        self.queries, self.uploads = [], {}
        self.streams = defaultdict(dict)
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *given):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if stub.lives is not None:
                    stub.lives -= 1
                    if stub.lives < 0:
                        self.close_connection = True
                        return
                stub.headers.append(str(self.headers))
                answer = json.dumps(stub.answer(self.path, body)).encode()
                self.send_response(403 if self.path.endswith(refuses) else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: self.errors.append(sys.exc_info()[1])
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path, body):
        if path == "/graphql":
            asked = json.loads(body)
            name = re.search(r"(?:query|mutation) (\w+)", asked["query"])[1]
            given = asked.get("variables") or {}
            self.queries.append((name, given))
            return {"data": getattr(self, name, lambda _: {})(given)}
        if path.endswith("/file_stream"):
            run = self.streams[path.split("/")[-2]]
            sent = json.loads(body)
            for name, chunk in (sent.get("files") or {}).items():
                lines = run.setdefault(name, {})
                for place, line in enumerate(chunk["content"], chunk["offset"]):
                    lines[place] = json.loads(line)
            run.update({name: sent[name] for name in ("complete", "exitcode") if name in sent})
            return {}
        self.uploads[path] = body
        return {}

    def everything(self):
        return json.dumps([self.headers, self.queries, self.streams]).encode() + b"".join(
            path.encode() + body for path, body in self.uploads.items()
        )

    def history(self, run_id):
        return list(self.streams[run_id]["wandb-history.jsonl"].values())

    def summary(self, run_id):
        return self.streams[run_id]["wandb-summary.json"][0]

    def bucket(self, run_id):
        """The first word about a run."""
        return next(v for name, v in self.queries if name == "UpsertBucket" and v["name"] == run_id)

    def config(self, run_id):
        values = json.loads(self.bucket(run_id)["config"])
        return {name: part["value"] for name, part in values.items() if name != "_wandb"}

    def Viewer(self, given):
        viewer = {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}"}
        return {"viewer": {**viewer, "teams": {"edges": []}}}

    def ServerFeaturesQuery(self, given):
        return {"serverInfo": {"features": []}}

    def UpsertBucket(self, given):
        project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "me"}}
        empty = {"displayName": None, "description": "", "config": "{}", "sweepName": None}
        bucket = {"id": given["name"], "name": given["name"], "project": project, **empty}
        return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}

    def CreateRunFiles(self, given):
        files = [{"name": n, "uploadUrl": f"{self.url}/{given['run']}/{n}"} for n in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def ArtifactType(self, given):
        return {"project": None}

    def CreateArtifact(self, given):
        name = given["input"]["artifactCollectionName"]
        artifact = {"id": name, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def CreateArtifactManifest(self, given):
        file = {"id": "f", "uploadUrl": f"{self.url}/manifests/{given['artifactID']}"}
        manifest = {"id": "m", "file": {**file, "uploadHeaders": []}}
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def CreateArtifactFiles(self, given):
        nodes = [
            {
                "storagePath": file["name"],
                "uploadUrl": f"{self.url}/artifacts/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in given["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def CommitArtifact(self, given):
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Starts a stub and points the client to it; the user has a name, a mail and a home."""
    started = []
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "")  # set by what is tested: so it is put back
    monkeypatch.delenv("WANDB_ERROR_REPORTING")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "2")
    monkeypatch.setenv("WANDB_EMAIL", MAIL)
    monkeypatch.setenv("WANDB_USER_EMAIL", MAIL)
    monkeypatch.setenv("WANDB_USERNAME", "someone")
    monkeypatch.setenv("WANDB_PROGRAM", "/secret/program.py")
    monkeypatch.setenv("WANDB_HOST", "someones-computer")

    def start(*given):
        stub = Stub(*given)
        started.append(stub)
        monkeypatch.setenv("WANDB_BASE_URL", stub.url)
        return stub

    yield start
    wandb_writer.end_client(5.0)
    for stub in started:
        stub.close()
        assert [error for error in stub.errors if not isinstance(error, ConnectionError)] == []


def records(path):
    """Every record of a ``.wandb`` file: LevelDB's log format, with a header of its own."""
    data, place, part = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        room = 2**15 - place % 2**15
        _, size, kind = struct.unpack("<IHB", data[place : place + 7]) if room >= 7 else (0, 0, 0)
        if kind == 0:
            place += room
            continue
        part += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or its last part
            yield wandb_internal_pb2.Record.FromString(part)
            part = b""


def told(items):
    """Name and value of each; the client's own, which begin with ``_``, are left out."""
    named = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
    return {name: value for name, value in named.items() if not name.startswith("_")}


def private(tmp_path):
    """What must not be found in what is kept or sent."""
    here = (str(tmp_path), str(Path.cwd()), str(Path.home()), sys.prefix, sys.executable)
    host = socket.gethostname()
    names = [name for name in (host, getpass.getuser()) if len(name) > 5]  # shorter ones: by chance
    return (*here, *names, "someones-computer", MAIL, "someone", "/secret", "pytest")


def assert_nothing_private(stub, tmp_path):
    for word in private(tmp_path):
        assert word.encode() not in stub.everything(), word
    for name, given in stub.queries:
        if name == "UpsertBucket":
            found = {given[of] for of in ("host", "program", "repo", "commit", "debug")}
            assert found <= {None, "", "affectbench"}


def assert_history(tracked, found, store, result):
    """Rows of numbers by step are those of the run, each once."""
    wanted = tracked.expected_history(store, result)
    assert [row["_step"] for row in found] == sorted(wanted)
    for row in found:
        numbers = {n: v for n, v in row.items() if isinstance(v, int | float) and n[0] != "_"}
        assert numbers == pytest.approx(wanted[row["_step"]])
    assert found[-1]["confusion_matrix"]["_type"] == "image-file"


def kept(stub, name):
    """Content of the one file of a run that has this name."""
    (found,) = [
        body for path, body in stub.uploads.items() if re.match(f"/\\w{{12}}/{name}$", path)
    ]
    return found


def sent_table(stub, name):
    """Rows of a table."""
    return len(json.loads(kept(stub, f"media/table/leaderboards/{name}_.*.json"))["data"])


def expected_summary(store, run):
    """What is in ``result.json``, and what follows from the predictions; W&B has no null."""
    found = json.loads((store.folder(run) / "result.json").read_text())
    found |= json.loads(json.dumps(scored(store, run).derived))
    return {name: "null" if value is None else value for name, value in found.items()}


def test_messages_without_folders(monkeypatch):
    monkeypatch.setenv("HOME", "/home/some one")
    text = 'File "/opt/a b/x.py", line 3: no /data/secret/S1.pkl, data/deap or https://a.org/b/c'
    assert without_folders(text).startswith('File "')
    for word in ("secret", "opt"):
        assert word not in without_folders(text)
    assert "S1.pkl, data/deap or https://a.org/b/c" in without_folders(text)
    assert without_folders("no '/home/some one/data/x.csv'") == "no 'x.csv'"


def test_tables_are_read_without_their_head():
    head, table = read_table("# n = 4\n# a #1\nmodel,score\ncnn #2,\nlda,0.5\n")
    assert head == ["n = 4", "a #1"]
    assert table.columns.tolist() == ["model", "score"]
    assert table.model.tolist() == ["cnn #2", "lda"]


def test_offline(store, tmp_path, serve, tracked):
    stub = serve()
    failed = Result(
        tracked.some(store)[0].run, "failed", error=f"no {tmp_path}/data/x", traceback="/a/b"
    )
    shutil.rmtree(store.folder(failed.run))
    store.save(failed)
    assert tracked.track(store, tracked.some(store)) == []
    assert stub.headers == [], "the network was touched"
    for result in tracked.some(store):
        run = result.run
        (folder,) = (store.root / "wandb").glob(f"offline-run-*-{run.id}")
        (path,) = folder.glob("*.wandb")
        found = list(records(path))
        (asked,) = [record.run for record in found if record.HasField("run")]
        assert (asked.run_id, asked.project) == (run.id, "small")
        assert asked.run_group == f"{run.board}/{run.name}"
        assert {run.dataset, run.task, run.protocol.split, run.model, run.kind} == set(asked.tags)
        assert told(asked.config.update) == json.loads(json.dumps(run.as_dict()))
        summary = {}
        for record in found:
            summary |= told(record.summary.update)
        wanted = expected_summary(store, run)
        assert summary.keys() == wanted.keys()
        if result.status == "failed":
            assert (summary["error"], summary["traceback"]) == ("no x", "b")
        else:
            assert summary == wanted
        assert found[-1].exit.exit_code == (result.status == "failed")
        for word in private(tmp_path):
            assert word.encode() not in path.read_bytes(), word
        assert {p.suffix for p in (folder / "files").rglob("*") if p.is_file()} <= {".png"}


def test_what_was_kept_offline_can_be_sent(store, tmp_path, serve, monkeypatch, tracked):
    stub = serve()
    boards = tmp_path / "leaderboards"
    write_leaderboards(store, boards)
    (boards / "report.html").write_text("<p>report</p>")
    results = tracked.some(store)
    assert tracked.track(store, results, boards=boards) == []
    assert stub.headers == []
    folders = sorted((store.root / "wandb").glob("offline-run-*"))
    assert len(folders) == len(results) + 1
    for name in ("EMAIL", "USER_EMAIL", "USERNAME", "HOST"):
        monkeypatch.delenv(f"WANDB_{name}")  # what the user says of himself when he sends them
    monkeypatch.setenv("WANDB_PROGRAM", "affectbench")  # else wandb sync tells its own path
    command = [sys.executable, "-m", "wandb", "sync", *map(str, folders)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    for result in results:
        assert_history(tracked, stub.history(result.run.id), store, result)
    for path in boards.iterdir():
        assert kept(stub, f"leaderboards/{path.name}") == path.read_bytes()
        assert path.suffix == ".html" or sent_table(stub, path.stem) == len(
            read_table(path.read_text())[1]
        )
    assert_nothing_private(stub, tmp_path)


def test_a_suite_online(tmp_path, serve, write_suite, monkeypatch, capfd, tracked):
    stub = serve()
    recipes = {"cnn": {"max_epochs": 1, "stride": 60.0}}
    suite = write_suite(
        models=["majority", "cnn"], splits=["subject_k_fold"], folds=2, recipes=recipes
    )
    monkeypatch.chdir(tmp_path)
    words = ["run", str(suite), "--logger", "wandb", "--wandb-mode", "online"]
    assert main(words) == 0
    assert "wandb" not in capfd.readouterr().err
    store = Store(tmp_path / "runs")
    results = scored_results(store)
    assert len(results) == 4
    for result in results:
        run = result.run
        assert_history(tracked, stub.history(run.id), store, result)
        summary = {n: v for n, v in stub.summary(run.id).items() if not n.startswith("_")}
        assert summary == expected_summary(store, run)
        assert stub.config(run.id) == json.loads(json.dumps(run.as_dict()))
        assert stub.bucket(run.id)["groupName"] == f"{run.board}/{run.name}"
        assert stub.streams[run.id]["exitcode"] == 0
        (name,) = [n for n in stub.uploads if n.startswith(f"/{run.id}/") and n.endswith(".png")]
        (tmp_path / "sent.png").write_bytes(stub.uploads[name])
        with Image.open(tmp_path / "sent.png") as sent:
            assert np.array_equal(np.asarray(sent), draw_confusion(result))
    for path in (tmp_path / "leaderboards").iterdir():
        assert stub.uploads[f"/artifacts/leaderboards/{path.name}"] == path.read_bytes()
        assert kept(stub, f"leaderboards/{path.name}") == path.read_bytes()
        assert sent_table(stub, path.stem) == len(read_table(path.read_text())[1])
    assert_nothing_private(stub, tmp_path)
    before = len(stub.headers)
    assert main(words) == 0  # nothing is new
    assert len(stub.headers) - before <= 1, "written again"  # the key is checked


@pytest.mark.parametrize("lives", [0, 1, 4, 12, 16, 20])
def test_a_server_that_dies(store, serve, monkeypatch, lives, capfd, tracked):
    stub = serve(lives)
    monkeypatch.setattr(wandb_writer, "INIT_TIMEOUT", 1.0)
    monkeypatch.setattr(wandb_writer, "FINISH_TIMEOUT", 1.0)
    before = {path: path.read_bytes() for path in store.root.glob("*/*/*/*")}
    results = tracked.some(store)
    (warning,) = tracked.track(store, results, mode="online")
    assert "offline" in warning
    assert "wandb" not in capfd.readouterr().err
    assert before == {path: path.read_bytes() for path in before}
    for result in results:
        offline = list((store.root / "wandb").glob(f"offline-run-*-{result.run.id}"))
        if offline:
            assert (offline[0] / "tracked").is_file()
        else:
            assert_history(tracked, stub.history(result.run.id), store, result)


def test_a_client_that_does_not_end_is_killed(monkeypatch):
    process = subprocess.Popen(["sleep", "600"])
    service = SimpleNamespace(_process=process)
    setup = SimpleNamespace(_connection=SimpleNamespace(_proc=service))
    monkeypatch.setattr(wandb_writer.wandb_setup, "_singleton", setup)
    monkeypatch.setattr(wandb, "teardown", lambda: sys.exit(process.wait()))
    wandb_writer.end_client(0.1)
    assert process.returncode == -signal.SIGKILL


def test_a_server_that_refuses(store, serve, tracked):
    serve(None, "file_stream")
    (warning,) = tracked.track(store, tracked.some(store), mode="online")
    assert "refused" in warning
    assert len(list((store.root / "wandb").glob("offline-run-*/tracked"))) == 3


def test_no_server(store, serve, monkeypatch, tracked):
    serve().close()
    monkeypatch.setattr(wandb_writer, "INIT_TIMEOUT", 1.0)
    (warning,) = tracked.track(store, tracked.some(store), mode="online")
    assert "offline" in warning
    assert len(list((store.root / "wandb").glob("offline-run-*/tracked"))) == 3


def test_no_key(store, serve, monkeypatch, tracked):
    stub = serve()
    monkeypatch.delenv("WANDB_API_KEY")
    (warning,) = tracked.track(store, tracked.some(store), mode="online")
    assert "wandb login" in warning
    assert stub.headers == []


def test_a_run_is_written_once_and_anew_if_it_was_done_again(store, serve, tracked):
    serve()
    result = tracked.some(store)[0]
    tracked.track(store, [result])
    (first,) = (store.root / "wandb").glob("offline-run-*")
    (first / "mine").touch()
    tracked.track(store, [result])
    assert (first / "mine").is_file()
    assert tracked.track(store, [result], anew=True) == []
    (second,) = (store.root / "wandb").glob("offline-run-*")
    assert not (second / "mine").is_file()
    assert (second / "tracked").is_file()
