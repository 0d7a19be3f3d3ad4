from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from footnote.__main__ import app, main
from knowledge.catalog.store import SqlCatalog
from knowledge.models import JobState
from tests.catalogs import upload
from tests.service import ROOT

ID = upload().id


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqlCatalog]:
    """The catalog of the data folder that the commands use; with one upload of Alice's."""
    monkeypatch.setenv("FOOTNOTE_DATA_DIR", str(tmp_path / "data"))
    catalog = SqlCatalog.open(f"sqlite:///{tmp_path / 'data' / 'catalog.sqlite'}")
    catalog.submit(upload())
    yield catalog
    catalog.close()


def footnote(*arguments: str) -> str:
    """Run a command that succeeds; return what it printed."""
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    return shown.output


def state(catalog: SqlCatalog) -> str:
    (count,) = catalog.job_counts()
    return count


def test_jobs_are_listed_with_how_far_they_are(catalog: SqlCatalog) -> None:
    catalog.claim("w", lease=timedelta(hours=1))
    catalog.renew(ID, "w", lease=timedelta(hours=1), progress=(3, 7))
    (line,) = footnote("jobs").splitlines()
    assert line.split()[:4] == [ID, "upload", "running", "3/7"]
    assert footnote("jobs", "list", "--state", "dead") == "no jobs\n"
    (job,) = json.loads(footnote("jobs", "list", "--json"))["jobs"]
    assert (job["id"], job["state"], job["name"]) == (ID, "running", "report 1.pdf")


def test_a_job_is_held_goes_on_and_is_given_up(catalog: SqlCatalog) -> None:
    for change, becomes in (("pause", "paused"), ("resume", "waiting"), ("cancel", "cancelled")):
        assert becomes in footnote("jobs", change, ID)
        assert state(catalog) == becomes
    shown = CliRunner().invoke(app, ["jobs", "show", ID, "--wait", "--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.output)["reason"] == "cancelled by local"


def test_what_cannot_be_done_is_said_in_one_line(
    catalog: SqlCatalog, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog.finish(ID, JobState.DONE, reason="")
    for arguments in (["jobs", "pause", ID], ["jobs", "retry", ID], ["jobs", "show", "none"]):
        with pytest.raises(SystemExit):
            main(arguments)
        assert capsys.readouterr().err.count("\n") == 1


def test_the_quarantine_is_listed_counted_and_freed(catalog: SqlCatalog) -> None:
    for _ in range(2):
        catalog.reject("s", "/a.pdf", code="timeout", reason="too slow", digest="d", tried_with="p")
    (line,) = footnote("quarantine").splitlines()
    held = line.split()
    assert held[1:5] == ["timeout", "2", "attempts", "/a.pdf"]
    told = footnote("status")
    assert "1 files, not tried again" in told
    assert "1 waiting" in told
    assert len(json.loads(footnote("status", "--json"))["quarantine"]) == 1
    assert "ingest its folder again" in footnote("quarantine", "retry", held[0])
    assert footnote("quarantine", "list") == "nothing is in quarantine\n"
    assert len(catalog.refused()) == 1


@pytest.mark.usefixtures("catalog")
def test_commands_that_ask_do_not_load_the_job_engine() -> None:
    code = """
import sys, footnote.desk, footnote.jobs, footnote.status
from footnote.wiring import House
from knowledge.settings import load_settings
with House(load_settings()) as house:
    house.jobs, house.catalog, house.originals
import ingest.worker, ingest.intake, retrieval.retriever, serving.answer, serving.api
print(*sys.modules)
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()
    assert "sqlalchemy" in loaded  # the control
    assert "dbos" not in loaded
