"""A real vLLM on the CPU, serving a tiny gpt-oss that writes noise, under the contract."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.service import ROOT, free_port
from tests.serving.chat_contract import ChatContract, Server

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

VLLM = ROOT / ".venv-vllm" / "bin" / "vllm"
MODEL = ROOT / "build" / "tiny-gpt-oss"
KEY = "test-key"
NAME = "gpt-oss-20b"
START_SECONDS = 300

SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_HOST_IP": "127.0.0.1",
}
REASONING = {
    "reasoning_start_str": "<|channel|>analysis<|message|>",
    "reasoning_end_str": "<|end|><|start|>assistant<|channel|>final",
}

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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not VLLM.exists() or not (MODEL / "tokenizer.json").exists():
        pytest.skip("needs a real vLLM: run make test-vllm")
    with serving(tmp_path_factory.mktemp("vllm") / "serve.log") as root:
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


@contextlib.contextmanager
def serving(log: Path) -> Iterator[str]:
    """Run `vllm serve` on a free port; yield its root URL once it is healthy."""
    port = free_port()
    with log.open("w") as out:
        process = subprocess.Popen(command(port), stdout=out, stderr=subprocess.STDOUT)
        try:
            root = f"http://127.0.0.1:{port}"
            await_health(root, process, log)
            yield root
        finally:
            process.terminate()
            process.wait(60)


def command(port: int) -> list[str]:
    """Return the command line; `env` sets its variables and keeps the test guard out of torch."""
    settings = [f"{name}={value}" for name, value in SETTINGS.items()]
    options = {
        "host": "127.0.0.1",
        "port": str(port),
        "api-key": KEY,
        "served-model-name": NAME,
        "max-model-len": "4096",
        "reasoning-parser": "openai_gptoss",
        "tool-call-parser": "openai",
        "reasoning-config": json.dumps(REASONING),
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [
        *("env", "-u", "PYTHONPATH", *settings),
        *(str(VLLM), "serve", str(MODEL)),
        *("--enforce-eager", "--enable-auto-tool-choice", *flags),
    ]


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
