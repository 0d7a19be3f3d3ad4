from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from footnote import doctor
from footnote.finding import Finding, State
from footnote.owner import try_own
from knowledge.settings import Settings
from tests.house import Keys, QuickHouse
from tests.service import free_port


def _by_part(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.part: finding for finding in findings}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "House", QuickHouse)


@pytest.mark.usefixtures("quick")
def test_a_fresh_installation_is_well(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.examine(settings) == 0
    parts = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert {"python", "libraries", "disk", "model", "catalog", "index", "parser"} <= set(parts)


@pytest.mark.usefixtures("quick")
def test_a_misspelt_setting_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        return [each.message for each in doctor.findings(settings) if each.part == "settings"]

    monkeypatch.delenv("FOOTNOTE_GUARD_REPORT")  # of the tests
    assert told() == []
    monkeypatch.setenv("FOOTNOTE_PROT", "9000")
    assert told() == ["FOOTNOTE_PROT is not a setting; did you mean FOOTNOTE_PORT?"]


@pytest.mark.usefixtures("quick")
def test_a_broken_catalog_is_found_and_the_rest_is_still_looked_at(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "catalog.sqlite").write_bytes(b"no database" * 1000)
    found = _by_part(doctor.findings(settings))
    assert found["catalog"].state is State.FAIL
    assert found["index"].state is State.FAIL  # which one is live stands in the catalog
    assert found["parser"].state is State.OK


@pytest.mark.usefixtures("quick")
def test_a_folder_in_use_is_not_opened(settings: Settings) -> None:
    held = try_own(settings.data_dir, command="ingest")
    assert held is not None
    with held:
        found = _by_part(doctor.findings(settings))
    assert found["stores"].state is State.WARN
    assert "ingest since" in found["stores"].message
    assert "catalog" not in found


def test_missing_and_open_keys_are_found(settings: Settings, tmp_path: Path) -> None:
    def keys(**changed: object) -> Finding:
        (finding,) = doctor._keys(settings.model_copy(update=changed))
        return finding

    assert list(doctor._keys(settings)) == []
    assert keys(host="0.0.0.0").state is State.FAIL  # noqa: S104
    path = Keys(tmp_path).path
    assert keys(api_keys_file=path).state is State.OK
    path.chmod(0o644)
    assert "chmod" in keys(api_keys_file=path).message


def test_the_model_server_is_asked_for_its_models(settings: Settings) -> None:
    def look(url: str, name: str = "gpt-oss-20b") -> Finding:
        changed = settings.model_copy(update={"model_url": url, "model_name": name})
        (finding,) = doctor._model_server(changed)
        return finding

    assert look("").state is State.OK
    assert "nothing answers" in look(f"http://127.0.0.1:{free_port()}/v1").message
    with _server() as url:
        assert look(f"{url}/v1").state is State.OK
        wrong = look(f"{url}/v1", "gpt-oss-120b")
        assert wrong.state is State.FAIL
        assert "FOOTNOTE_MODEL_NAME: gpt-oss-20b" in wrong.message
        assert "answers with 404" in look(f"{url}/v2").message


def test_a_port_in_use_is_told_with_its_setting(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        found = doctor._port("api port", port, "FOOTNOTE_PORT", settings)
    assert found.state is State.WARN
    assert "FOOTNOTE_PORT" in found.message
    assert doctor._port("api port", port, "FOOTNOTE_PORT", settings).state is State.OK


class _Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v1/models" else 404)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "gpt-oss-20b"}]}')

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Models) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
