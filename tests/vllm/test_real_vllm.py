"""A real vLLM on the CPU, serving a tiny gpt-oss that writes noise, under the contract."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from scripts.moe_plugin import install
from serving.engine.launch import Engine, launch
from tests.service import ROOT, free_port
from tests.serving.chat_contract import ChatContract, Server

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

VLLM = ROOT / ".venv-vllm" / "bin" / "vllm"
MODEL = ROOT / "build" / "tiny-gpt-oss"
KEY = "test-key"
NAME = "gpt-oss-20b"
START_SECONDS = 300

ENGINE = Engine(NAME, str(MODEL), str(ROOT / "build" / "vllm-cache"), vllm="0.32.0")
OF_THE_CPU = ("--max-model-len", "4096", "--enforce-eager")
"""What a CPU and a tiny model need besides; the last of two equal flags counts."""

# Random weights write noise. These leave it no choice: straight into the final channel, and there
# into the one text that the grammar admits.
FINAL = {"200005": 60, "17196": 45, "35644": -100, "200008": 50}
STEER = {
    "logit_bias": FINAL,
    "structured_outputs": {"choice": ["Soup costs three euro [1]."]},
}
ENDLESS = {
    "logit_bias": FINAL,
    "structured_outputs": {"regex": "(soup )+"},
    "max_tokens": 3000,
}


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the server of this session says."""
    return tmp_path_factory.mktemp("vllm") / "serve.log"


@pytest.fixture(scope="session")
def server(log: Path) -> Iterator[Server]:
    if not VLLM.exists() or not (MODEL / "tokenizer.json").exists():
        pytest.skip("needs a real vLLM: run make test-vllm")
    with serving(log) as root:
        yield Server(
            url=f"{root}/v1",
            model=NAME,
            key=KEY,
            running=lambda: running(root),
            steer=STEER,
            endless=ENDLESS,
        )


class TestRealVllm(ChatContract):
    pass


PROBES = [
    *(("GET", path, {}) for path in ("/version", "/load", "/ping", "/v1/models/", "/metrics/x")),
    *(("POST", path, {}) for path in ("/invocations", "/tokenize", "/detokenize", "/ping")),
    ("POST", "/v1/completions", {"model": NAME, "prompt": "soup", "max_tokens": 1}),
    ("POST", "/v1/responses", {"model": NAME, "input": "soup", "max_output_tokens": 16}),
    ("POST", "/v1/messages", {}),
    ("OPTIONS", "/v1/models", {}),
    ("HEAD", "/health", {}),
]
"""What vLLM answers besides, or how what we call might be spelt otherwise."""


def test_only_what_we_call_answers(server: Server) -> None:
    root = server.url.removesuffix("/v1")
    with client(root) as calls:
        for path in ("/health", "/metrics", "/v1/models"):
            assert calls.get(path).status_code == 200, path
    assert answered(root) == []


def test_without_the_gate_the_others_do(tmp_path: Path) -> None:
    """The control of the zero above."""
    with serving(tmp_path / "serve.log", gated=False) as root:
        found = answered(root)
    print(f"without the gate {len(found)} of {len(PROBES)} answer: {', '.join(found)}")
    assert len(found) >= 8
    assert "POST /invocations" in found


def client(root: str) -> httpx2.Client:
    bearer = {"Authorization": f"Bearer {KEY}"}
    return httpx2.Client(base_url=root, headers=bearer, trust_env=False, timeout=60)


def answered(root: str) -> list[str]:
    """Return the probes that got anything but the answer for what is not there."""
    with client(root) as calls:
        missing = calls.get("/nothing")
        found = []
        for method, path, body in PROBES:
            answer = calls.request(method, path, json=body or None)
            same = answer.status_code == missing.status_code == 404
            if not same or answer.text not in ("", missing.text):
                found.append(f"{method} {path}")
    return found


def test_our_plugin_is_loaded_and_leaves_alone_what_it_does_not_know(
    server: Server, log: Path
) -> None:
    told = log.read_text()
    assert re.search(r"vllm_plugin.*MoE kernels as vLLM has them: no triton_kernels", told)


def test_a_request_without_the_key_is_refused(server: Server) -> None:
    answer = httpx2.get(f"{server.url}/models", trust_env=False)
    assert answer.status_code == 401


@contextlib.contextmanager
def serving(log: Path, *, gated: bool = True) -> Iterator[str]:
    """Run `vllm serve` on a free port, our plugin beside it; yield its root URL once healthy."""
    port, plugin = free_port(), log.parent / "plugin"
    install(plugin)
    with log.open("w") as out:
        process = subprocess.Popen(
            command(port, plugin, gated=gated), stdout=out, stderr=subprocess.STDOUT
        )
        try:
            root = f"http://127.0.0.1:{port}"
            await_health(root, process, log)
            yield root
        finally:
            process.terminate()
            process.wait(60)


def command(port: int, plugin: Path, *, gated: bool = True) -> list[str]:
    """Return the command line that a site runs, with its variables, on this port."""
    plan = launch(replace(ENGINE, port=port, path=f"{ROOT}:{plugin}"))
    told = {**plan.environment, "VLLM_API_KEY": KEY, "VLLM_CPU_KVCACHE_SPACE": "1"}
    variables = [f"{name}={value}" for name, value in told.items()]
    words = list(plan.command[1:])
    if not gated:
        at = words.index("--middleware")
        del words[at : at + 2]
    return ["env", *variables, str(VLLM), *words, *OF_THE_CPU]


def await_health(root: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(
                f"vLLM ended with {process.returncode}:\n{log.read_text()[-4000:]}"
            )
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(f"{root}/health", trust_env=False).status_code == 200:
                return
        time.sleep(1)
    raise AssertionError(f"vLLM did not come up:\n{log.read_text()[-4000:]}")


def running(root: str) -> int:
    """Return how many requests vLLM works on."""
    metrics = httpx2.get(f"{root}/metrics", trust_env=False).text
    found = re.findall(r"^vllm:num_requests_running\{[^}]*\} ([\d.]+)", metrics, re.MULTILINE)
    return int(sum(map(float, found)))
