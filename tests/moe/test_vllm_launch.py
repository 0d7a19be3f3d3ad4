"""What starts vLLM, held against the sources of the vLLMs that may be started."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serving.engine.gate import ALLOWED, Gate, Message
from serving.engine.launch import OLDEST, PINNED, REFUSED, Engine, launch

pytestmark = pytest.mark.moe

SOURCES = Path(__file__).resolve().parents[2] / ".venv-moe" / "vllm"
EACH = pytest.mark.parametrize("version", ["0.32.0", PINNED])
ENGINE = Engine("gpt-oss-20b", "/srv/models/gpt-oss-20b", "/srv/cache", tables="/t", path="/p")
METHODS = {"get", "post", "put", "delete", "patch", "api_route", "websocket", "mount"}
OF_OTHERS = re.compile(r"HF_|TRANSFORMERS_|TRITON_|TORCHINDUCTOR_|FOOTNOTE_|PYTHON")


def sources(version: str) -> Path:
    folder = SOURCES / version / "vllm"
    if not (folder / "entrypoints").exists():
        pytest.skip(f"the sources of vLLM {version} are not here: make test-moe fetches them")
    return folder


def trees(version: str, under: str) -> Iterator[ast.Module]:
    for file in sorted((sources(version) / under).rglob("*.py")):
        yield ast.parse(file.read_text())


def flags(version: str) -> set[str]:
    """Every flag of `vllm serve`: those of the engine by their name, the server's as fields."""
    found = set()
    for node in ast.walk(ast.parse((sources(version) / "engine" / "arg_utils.py").read_text())):
        if isinstance(node, ast.Constant) and str(node.value).startswith("--"):
            found.add(str(node.value))
    for tree in trees(version, "entrypoints"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name.endswith("FrontendArgs"):
                for field in node.body:
                    if isinstance(field, ast.AnnAssign):
                        found.add("--" + ast.unparse(field.target).replace("_", "-"))
    return found


def routes(version: str) -> set[tuple[str, str]]:
    """Every path that a decorator, a mount or a call gives to a router, with each method."""
    found = set()
    for tree in trees(version, "entrypoints"):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            first = node.args[0] if node.args else None
            path = first.value if isinstance(first, ast.Constant) else None
            if isinstance(path, str) and path[:1] == "/" and node.func.attr in METHODS:
                found.add((node.func.attr, path))
    return found


@EACH
def test_every_flag_is_one_of_that_version(version: str) -> None:
    ours = {word for word in launch(replace(ENGINE, vllm=version)).command if word.startswith("--")}
    known = flags(version)
    assert len(known) > 150
    assert sorted(ours - known) == []


@EACH
def test_every_variable_that_we_set_or_refuse_is_read_by_that_version(version: str) -> None:
    told = (sources(version) / "envs.py").read_text()
    ours = {*launch(ENGINE).environment, *REFUSED}
    unread = {name for name in ours if f'"{name}"' not in told}
    assert sorted(name for name in unread if not OF_OTHERS.match(name)) == []


def test_what_0_32_lacks_is_left_out_there() -> None:
    with_it, without = (launch(replace(ENGINE, vllm=each)).command for each in (PINNED, "0.32.0"))
    assert set(with_it) - set(without) - flags("0.32.0") == {
        "--reasoning-effort-map",
        '{"none":"low","minimal":"low","xhigh":"high","max":"high"}',
    }
    assert OLDEST == (0, 32)


@EACH
def test_of_all_routes_in_the_sources_four_pass(version: str) -> None:
    known = routes(version)
    paths = {path for _, path in known}
    assert len(paths) > 40
    assert {path for _, path in ALLOWED if path != "/metrics"} <= paths
    reached = {
        (method, path)
        for path in paths
        for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
        if passes("http", method, path)
    }
    assert ALLOWED - {("GET", "/metrics")} <= reached <= ALLOWED  # metrics are mounted elsewhere
    sockets = {path for kind, path in known if kind == "websocket"}
    assert sockets
    assert not any(passes("websocket", "GET", path) for path in sockets)
    print(f"vLLM {version}: {len(paths)} paths in its sources, {len(reached)} of them answer")


def passes(kind: str, method: str, path: str) -> bool:
    reached = []

    async def app(scope: Message, receive: object, send: object) -> None:
        reached.append(scope)

    async def nothing(*_: Message) -> Message:
        return {}

    scope = {"type": kind, "method": method, "path": path}
    asyncio.run(Gate(app)(scope, nothing, nothing))  # type: ignore[arg-type]
    return bool(reached)


@EACH
def test_a_class_that_the_command_names_is_put_before_all_routes(version: str) -> None:
    register = sources(version) / "entrypoints" / "serve" / "middleware" / "register.py"
    told = ast.unparse(ast.parse(register.read_text()))
    assert "module_path, object_name = middleware.rsplit('.', 1)" in told
    assert "app.add_middleware(imported)" in told
    assert told.rindex("app.add_middleware(") == told.index("app.add_middleware(imported)")


@EACH
def test_no_hosts_at_all_would_mean_every_host(version: str) -> None:
    """Why media are allowed from a host that cannot exist, not from an empty list."""
    told = (sources(version) / "multimodal" / "media" / "connector.py").read_text()
    check = told.partition("def _assert_url_in_allowed_media_domains")[2].partition("def ")[0]
    assert "self.allowed_media_domains\n            and url_spec.hostname not in" in check
