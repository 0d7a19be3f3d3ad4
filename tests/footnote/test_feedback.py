from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from footnote.__main__ import app
from knowledge.catalog.store import SqlCatalog
from tests.knowledge.conversations_contract import DOWN, exchange


def footnote(*arguments: str) -> str:
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    return shown.stdout


def test_what_people_said_is_told_without_names_and_without_what_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_DATA_DIR", str(tmp_path / "data"))
    assert footnote("feedback") == ""
    catalog = SqlCatalog.open(f"sqlite:///{tmp_path / 'data' / 'catalog.sqlite'}")
    for number in range(101):
        title = "Zebras" if number == 0 else ""
        catalog.keep(exchange(number), owner="alice", title=title)
        catalog.judge(exchange(number).id, "alice", DOWN)
    catalog.close()

    lines = footnote("feedback").splitlines()
    assert len(lines) == 101
    assert lines[0] == "down  wrong  How much is it? 0  No.  should be: It is 7."
    told = [json.loads(line) for line in footnote("feedback", "--jsonl").splitlines()]
    assert len({each["id"] for each in told}) == 101
    assert told[0]["feedback"]["correction"] == "It is 7."
    assert told[0]["settings"] == "digest"
    assert all(each["withheld"] and not each["answer"]["text"] for each in told)
    assert "alice" not in json.dumps(told)
