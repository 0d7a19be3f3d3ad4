"""A real vLLM on the CPU, serving a tiny gpt-oss that writes noise, under the contract."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cache
from pathlib import Path

import httpx2
import pytest
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from knowledge.errors import ModelError
from knowledge.models import Delta
from scripts.moe_plugin import install
from serving.chat import ChatGenerator
from serving.engine.launch import Engine, launch
from serving.prompt import LAST_ROUND, browse_messages
from tests.service import ROOT, free_port
from tests.serving.chat_contract import ASKED, LIMITS, ChatContract, Server

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


BRACKETED = ("[", "]", " [", "[1", "1", "2", "3", "7", "19", "【", "】", "［", "］", "](", "†")
"""What noise is made of here: pieces of marks, right ones and others."""
SEEDS = 40


def test_a_grammar_lets_nothing_but_sources_that_are_there_be_cited(server: Server) -> None:
    """Noise that leans to brackets is held to `[1]` and `[2]`; a grammar of any text does not."""
    held = noises(server, {})
    free = noises(server, ANY_TEXT)
    marks = sum(len(re.findall(r"\[[12]\]", text)) for text in held)
    print(f"{len(held)} texts with the grammar: {marks} marks, {sum(map(foreign, held))} others")
    print(f"control, {len(free)} texts under one of any text: {sum(map(foreign, free))} others")
    assert len(held) >= SEEDS // 2
    assert marks > 0
    assert not any(map(foreign, held))
    assert any(map(foreign, free))


ANY_TEXT = {"structured_outputs": {"grammar": 'root ::= ([^<] | "<" [^<|])+'}}


def noises(server: Server, changed: Mapping[str, object]) -> list[str]:
    """Return what the model writes at random, of each seed that brought a text."""
    return [text for seed in range(SEEDS) if (text := noise(server, seed, changed))]


def noise(server: Server, seed: int, changed: Mapping[str, object]) -> str:
    extra = {**changed, "logit_bias": leaning(), "temperature": 1.0, "seed": seed, "max_tokens": 48}
    return asyncio.run(written(server, extra))


async def written(server: Server, extra: Mapping[str, object]) -> str:
    """Return what came, whether or not it was cut at its limit."""
    ours = "structured_outputs" not in extra
    generator = ChatGenerator(
        server.url, server.model, api_key=KEY, limits=LIMITS, grammar=ours, extra=extra
    )
    text = ""
    try:
        async with aclosing(generator.generate(ASKED)) as deltas:
            async for delta in deltas:
                text += delta.text
    except ModelError as error:
        assert error.code in ("length", "harmony_markup", "null_content"), error
    finally:
        await generator.aclose()
    return text


def foreign(text: str) -> int:
    """Count the brackets that are no part of a mark of one of the two sources.

    At the limit a mark may be cut in its middle.
    """
    rest = re.sub(r"\[[12]\]", "", re.sub(r"\[[12]?$", "", text))
    return len(re.findall(r"[\[\]【】［］]", rest))


@cache
def leaning() -> dict[str, int]:
    """Return what leads straight into the final channel, and there to brackets and numbers."""
    vocabulary = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    pieces = [vocabulary.encode(piece, disallowed_special=()) for piece in BRACKETED]
    return {str(token): 55 for piece in pieces for token in piece} | FINAL


def test_a_conversation_with_tools_goes_on_after_their_results(server: Server) -> None:
    """The shapes of an agentic search: a call, its result, the next round, the last without tools.

    Noise may call tools that there are not or write markup; what counts is that vLLM takes it.
    """
    page = "[1] Prices\nL1: Soup costs three euro."
    begun = browse_messages(ASKED.question, page)
    again = {**begun[-2], "reasoning": "I should open the page.", "content": ""}
    later = [*begun, again, begun[-1], {"role": "user", "content": LAST_ROUND}]
    asyncio.run(said(server, begun, [SEARCH]))
    deltas = asyncio.run(said(server, later, [], extra=STEER))
    assert "Soup costs three euro" in "".join(delta.text for delta in deltas)


SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Searches the documents.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}


async def said(
    server: Server,
    messages: Sequence[Mapping[str, object]],
    tools: Sequence[Mapping[str, object]],
    *,
    extra: Mapping[str, object] | None = None,
) -> list[Delta]:
    """Return one round; a refusal by the server is an error, noise is not."""
    generator = ChatGenerator(
        server.url, server.model, api_key=KEY, limits=LIMITS, extra=extra or {"max_tokens": 32}
    )
    found: list[Delta] = []
    try:
        async with aclosing(generator.converse(ASKED, messages, tools)) as deltas:
            async for delta in deltas:
                found.append(delta)
    except ModelError as error:
        assert not error.code.startswith(("http_", "context_overflow", "unavailable")), error
        assert extra is None, error
    finally:
        await generator.aclose()
    return found


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
