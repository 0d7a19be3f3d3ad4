"""Commands that meet at one data folder, as real processes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from footnote.owner import try_own
from tests.service import command, footnote, free_port

ZEBRA = "The zebra budget of 2031 is 4211 euros. It was approved by the herd in spring."
LION = "The lion sleeps 20 hours a day. Its budget is 77 euros."


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "zebra.txt").write_text(ZEBRA)
    return folder


def test_ingest_ask_and_serve_run_together(tmp_path: Path, texts: Path) -> None:
    data = tmp_path / "data"
    ingest = _start(data, "ingest", str(texts))
    _await(lambda: (data / "owner.lock").exists() and not _is_free(data))
    serve = _start(data, "serve", FOOTNOTE_PORT=str(free_port()))
    try:
        ask = footnote(data, "ask", "What is the zebra budget?", "--json")
        assert ask.returncode == 0, ask.stderr
        assert "is in use (ingest since" in ask.stderr
        assert "4211" in json.loads(ask.stdout)["text"]
        assert _output(ingest) == (0, "1 indexed")
        _await(lambda: (data / "service.json").exists())
        _use_the_service(data, texts)
    finally:
        serve.send_signal(signal.SIGTERM)
        said = serve.communicate(timeout=30)[1]
    assert "is in use (ingest since" in said
    assert serve.returncode == 0, said
    assert not (data / "service.json").exists()
    assert _is_free(data)


def _use_the_service(data: Path, texts: Path) -> None:
    """Run commands that go through the service: they would fail or wait if they did not."""
    token = data / "service.json"
    assert token.stat().st_mode & 0o777 == 0o600
    (texts / "lion.txt").write_text(LION)
    (texts / "broken.pdf").write_text("no pdf")
    (texts / "blank.txt").write_text(" ")
    footnote(data, "ingest", str(texts / "blank.txt"))
    again = footnote(data, "ingest", str(texts), "--json")
    assert again.returncode == 1, again.stderr
    events = [json.loads(line) for line in again.stdout.splitlines()]
    assert {Path(each["uri"]).name: each["outcome"] for each in events} == {
        "zebra.txt": "unchanged",
        "lion.txt": "indexed",
        "broken.pdf": "rejected",
        "blank.txt": "unchanged",
    }
    asked = footnote(data, "ask", "What is the budget of the lion?")
    assert asked.returncode == 0, asked.stderr
    assert "77 euros" in asked.stdout
    assert "extractive" in asked.stdout
    assert "lion.txt" in asked.stdout
    shown = json.loads(footnote(data, "status", "--json").stdout)
    assert shown["collections"] == [{"name": "main", "documents": 3}]
    assert shown["service"] == json.loads(token.read_text())["url"]
    (refused,) = shown["refusals"]
    assert refused["uri"] == str(texts / "broken.pdf")
    assert refused["reason"] in footnote(data, "status").stdout
    (gap,) = shown["coverage"]
    assert gap["uri"] == str(texts / "blank.txt")
    assert gap["reasons"][0] in footnote(data, "status", "--coverage").stdout
    same_port = shown["service"].rpartition(":")[2]
    for port in (str(free_port()), same_port):
        second = footnote(data, "serve", FOOTNOTE_PORT=port)
        assert second.returncode == 2
        assert "served already" in second.stderr
    found = json.loads(footnote(data, "search", "lion", "--json", "--limit", "1").stdout)
    document_id = found["passages"][0]["document"]["id"]
    assert footnote(data, "access", "set", document_id, "g:lions").returncode == 0
    hidden = json.loads(footnote(data, "search", "lion", "--json").stdout)["passages"]
    assert document_id not in [each["document"]["id"] for each in hidden]
    assert footnote(data, "access", "set", document_id, "everyone").returncode == 0
    assert footnote(data, "remove", document_id).returncode == 0
    absent = footnote(data, "remove", document_id)
    assert absent.returncode == 2
    assert absent.stderr == "footnote: there is no such document\n"
    elsewhere = footnote(data, "ask", "What is the budget of the lion?", "--collection", "zoo")
    assert "there is no collection 'zoo'; there are: main" in elsewhere.stderr


def test_a_killed_owner_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "service.json").write_text('{"url": "http://127.0.0.1:9", "token": "stale"}')
    shown = footnote(data, "status", "--json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["service"] is None
    assert not (data / "service.json").exists()


def _start(data: Path, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(data, *arguments, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _output(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and the last line of the output."""
    out, _ = process.communicate(timeout=120)
    return process.returncode, out.splitlines()[-1]


def _is_free(data: Path) -> bool:
    ownership = try_own(data, command="a test")
    if ownership is None:
        return False
    with ownership:
        return True


def _await(condition: object, seconds: float = 120) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
