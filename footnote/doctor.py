"""`footnote doctor`: looks at everything a working installation needs, and says what to do."""

from __future__ import annotations

import platform
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import chain

from footnote.client import answers, probe
from footnote.finding import Finding, State
from footnote.owner import announced, owner, try_own
from footnote.wiring import House
from knowledge.errors import FootnoteError
from knowledge.settings import ROOT, Settings, misspelt

GIGABYTE = 1_000_000_000
SUPPORTED = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}


def examine(settings: Settings, *, model: bool = False) -> int:
    """Print a line per part, with `model` also what it answers; return 1 when something fails."""
    worst = 0
    for finding in chain(findings(settings), _asked(settings) if model else ()):
        print(f"{finding.state.value:<5} {finding.part:<10} {finding.message}", flush=True)
        worst = max(worst, finding.state is State.FAIL)
    return int(worst)


def findings(settings: Settings) -> Iterator[Finding]:
    """Look at one part after the other."""
    yield from _settings()
    yield _python()
    yield _libraries()
    yield _disk(settings)
    yield from _stores(settings)
    yield from _keys(settings)
    yield from _model_server(settings)
    yield _port("api port", settings.port, "FOOTNOTE_PORT", settings)
    yield _port("page port", settings.ui_port, "FOOTNOTE_UI_PORT", settings)


def _asked(settings: Settings) -> Iterator[Finding]:
    if settings.model_url:
        from footnote.selftest import self_test

        yield from self_test(settings)


def _settings() -> Iterator[Finding]:
    for name, likely in misspelt():
        meant = f"; did you mean {likely}?" if likely else ""
        yield Finding("settings", State.WARN, f"{name} is not a setting{meant}")


# --- this machine -------------------------------------------------------------------------------


def _python() -> Finding:
    here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Finding("python", State.FAIL, f"{here}: 3.11 to 3.14 are supported")
    if (platform.system(), platform.machine()) not in SUPPORTED:
        return Finding("python", State.WARN, f"{here} is not among the tested platforms")
    return Finding("python", State.OK, here)


def _libraries() -> Finding:
    missing, other = [], []
    tested = dict(_tested())
    for name, wanted in tested.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            missing.append(name)
            continue
        if found.partition("+")[0] != wanted.partition("+")[0]:
            other.append(f"{name} {found} (tested: {wanted})")
    if missing:
        return Finding("libraries", State.FAIL, f"missing: {', '.join(missing)}; run: make install")
    if other:
        return Finding("libraries", State.WARN, f"{', '.join(other)}; run: make install")
    return Finding("libraries", State.OK, f"{len(tested)} of them, in the tested versions")


def _tested() -> Iterator[tuple[str, str]]:
    """Yield what this version was tested with, of the libraries it names itself."""
    wanted = _named()
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, same, rest = line.partition("==")
        if same and name.strip().lower() in wanted:
            yield name.strip(), rest.split()[0].strip(";")


def _named() -> set[str]:
    lines = [line for line in requires("footnote") or [] if "extra ==" not in line]
    return {re.split(r"[^\w.-]", line.lower(), maxsplit=1)[0] for line in lines}


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / GIGABYTE
    said = f"{free:.1f} GB free at {settings.data_dir}"
    if free < 1:
        return Finding("disk", State.FAIL, f"{said}; make room or set FOOTNOTE_DATA_DIR")
    if free < 5:
        return Finding("disk", State.WARN, f"{said}; a large collection needs more")
    return Finding("disk", State.OK, said)


def _port(part: str, port: int, variable: str, settings: Settings) -> Finding:
    if port == 0:
        return Finding(part, State.OK, "any free one")
    with socket.socket() as client:
        client.settimeout(2)
        taken = client.connect_ex(("127.0.0.1", port)) == 0
    if not taken:
        return Finding(part, State.OK, f"{port} is free")
    service = announced(settings.data_dir)
    if service and service.url.endswith(f":{port}"):
        return Finding(part, State.OK, f"{port} is this installation's own")
    return Finding(part, State.WARN, f"{port} is in use; if not by Footnote, set {variable}")


# --- the parts of the house ---------------------------------------------------------------------


def _stores(settings: Settings) -> Iterator[Finding]:
    """Open the stores, unless another process has them: then ask it."""
    with ExitStack() as stack:
        if settings.embedded:
            held = try_own(settings.data_dir, command="doctor")
            if held is None:
                yield _elsewhere(settings)
                return
            stack.enter_context(held)
        yield from _opened(stack.enter_context(House(settings)))


def _opened(house: House) -> Iterator[Finding]:
    yield _tried("model", lambda: f"{house.embedder.name}, {house.embedder.dimension} dimensions")
    yield _tried("catalog", lambda: _catalog(house))
    yield _tried("index", lambda: _index(house))
    with suppress(FootnoteError):  # then the lines above say what is wrong
        yield _passages(house)
        yield _generation(house)
    yield _tried("parser", lambda: _parser(house))


def _tried(part: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(part, State.OK, look())
    except FootnoteError as error:
        return Finding(part, State.FAIL, str(error))


def _catalog(house: House) -> str:
    house.catalog.ping()
    counts = house.catalog.counts()
    return f"{counts.documents:,} documents, {counts.chunks:,} passages"


def _index(house: House) -> str:
    house.index.count("none")
    return house.settings.qdrant_url or "Qdrant Edge, in the data folder"


def _passages(house: House) -> Finding:
    found = house.missing()
    if found.revisions:
        return Finding("passages", State.WARN, f"{found}; run: footnote rebuild")
    return Finding("passages", State.OK, f"the index holds all {found.passages:,}")


def _generation(house: House) -> Finding:
    live = house.spaces.live_generation()
    if house.spaces.is_outdated():
        said = "made by another model, chunk size or version of Footnote; run: footnote reindex"
        return Finding("generation", State.WARN, said)
    return Finding("generation", State.OK, f"number {live.number}, made by what is at hand")


def _parser(house: House) -> str:
    if not house.parser.ping():
        where = house.settings.parser_socket
        raise FootnoteError(
            f"nothing answers at {where}; start: footnote parser"
            if where
            else "the parser process does not start; see its message above"
        )
    return "answers"


def _elsewhere(settings: Settings) -> Finding:
    service = announced(settings.data_dir)
    if service is None or not answers(service):
        said = f"in use ({owner(settings.data_dir)}); run doctor again when it is done"
        return Finding("stores", State.WARN, said)
    status, body = probe(f"{service.url}/v1/health")
    parts = ", ".join(f"{name} {word}" for name, word in body.get("parts", {}).items())
    state = State.OK if status == 200 else State.FAIL
    return Finding("service", state, f"{service.url}: {parts or 'it does not say how it is'}")


def _keys(settings: Settings) -> Iterator[Finding]:
    from serving.auth import LOOPBACK
    from serving.keys import read_keys

    if settings.api_keys_file is None:
        if not settings.embedded or settings.host not in LOOPBACK:
            yield Finding("api keys", State.FAIL, "needed here: footnote keys add --user NAME")
        return
    path = settings.api_keys_file
    yield _tried("api keys", lambda: f"{len(read_keys(path))} in {path}")


def _model_server(settings: Settings) -> Iterator[Finding]:
    if not settings.model_url:
        yield Finding("answers", State.OK, "extractive (set FOOTNOTE_MODEL_URL for a model)")
        return
    url = f"{settings.model_url.rstrip('/')}/models"
    status, body = probe(url, key=settings.model_api_key.get_secret_value())
    if status == 0:
        said = f"nothing answers at {url}; answers are extractive until it does"
        yield Finding("answers", State.FAIL, said)
    elif status != 200:
        said = f"{url} answers with {status}; check FOOTNOTE_MODEL_API_KEY and FOOTNOTE_MODEL_URL"
        yield Finding("answers", State.FAIL, said)
    else:
        names = [str(model.get("id")) for model in body.get("data", [])]
        yield _has_model(settings.model_name, names)


def _has_model(wanted: str, names: list[str]) -> Finding:
    if wanted in names:
        return Finding("answers", State.OK, f"written by {wanted}")
    there = ", ".join(names) or "none"
    return Finding("answers", State.FAIL, f"no model {wanted}; set FOOTNOTE_MODEL_NAME: {there}")
