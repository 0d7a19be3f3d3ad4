from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from footnote.finding import Finding, State
from footnote.selftest import self_test
from knowledge.settings import Settings
from tests.vllm_stub import KEY, WINDOW, Pause, VllmStub, calls, refuses, says, vllm_stub

GOOD = says("Soup is", " 3.20 euro", " [1].", thinking=("Hm.",))


@pytest.fixture(scope="module")
def running() -> Iterator[VllmStub]:
    with vllm_stub() as stub:
        yield stub


@pytest.fixture
def stub(running: VllmStub) -> VllmStub:
    running.usual = GOOD
    return running


def examined(settings: Settings, url: str, **changed: object) -> dict[str, Finding]:
    given = {"model_url": url, "model_api_key": SecretStr(KEY), "model_window": WINDOW, **changed}
    return {each.part: each for each in self_test(settings.model_copy(update=given))}


def states(found: dict[str, Finding]) -> dict[str, State]:
    return {part: finding.state for part, finding in found.items()}


def test_a_good_server_is_well(settings: Settings, stub: VllmStub) -> None:
    found = examined(settings, stub.url)
    assert set(states(found).values()) == {State.OK}, found
    assert list(found) == ["streaming", "window", "citations", "effort", "budget", "tools"]
    assert "3.20 euro [1]" in found["citations"].message


@pytest.mark.parametrize(
    ("ours", "state", "advice"),
    [
        (WINDOW + 1, State.FAIL, f"FOOTNOTE_MODEL_WINDOW={WINDOW}"),
        (WINDOW - 1, State.OK, "for more"),
        (0, State.FAIL, "and we keep to 16384"),
    ],
)
def test_a_window_that_is_not_the_servers_is_told(
    settings: Settings, stub: VllmStub, ours: int, state: State, advice: str
) -> None:
    found = examined(settings, stub.url, model_window=ours)["window"]
    assert found.state is state
    assert advice in found.message


def test_a_server_that_is_not_there_ends_it(settings: Settings) -> None:
    (found,) = examined(settings, "http://127.0.0.1:9/v1").values()
    assert (found.part, found.state) == ("streaming", State.FAIL)
    assert "FOOTNOTE_MODEL_URL" in found.message


def test_a_wrong_key_is_told_with_its_setting(settings: Settings, stub: VllmStub) -> None:
    found = examined(settings, stub.url, model_api_key=SecretStr("wrong"))
    assert "FOOTNOTE_MODEL_API_KEY" in found["streaming"].message


def test_a_server_that_answers_in_one_piece_does_not_stream(
    settings: Settings, stub: VllmStub
) -> None:
    stub.usual = says("Soup is 3.20 euro [1].")
    assert "does not stream" in examined(settings, stub.url)["streaming"].message


@pytest.mark.parametrize(
    ("said", "state"),
    [
        pytest.param("Soup is 3.20 euro.", State.FAIL, id="cites nothing"),
        pytest.param("Soup is 3.20 euro [2].", State.FAIL, id="cites the other"),
        pytest.param("Soup is 3.50 euro [1].", State.WARN, id="another number"),
        pytest.param("NOT_FOUND", State.FAIL, id="finds nothing"),
    ],
)
def test_a_model_that_cannot_cite_is_found_out(
    settings: Settings, stub: VllmStub, said: str, state: State
) -> None:
    stub.usual = says(*said.split(" ", 1)[0:1], " " + said.partition(" ")[2])
    assert states(examined(settings, stub.url))["citations"] is state


def test_a_server_without_a_reasoning_config_is_told(settings: Settings) -> None:
    with vllm_stub(reasoning_config=False) as other:
        other.usual = GOOD
        found = examined(settings, other.url)
        assert found["budget"].state is State.WARN
        assert "--reasoning-config" in found["budget"].message


def test_a_server_that_refuses_tools_is_told(settings: Settings, stub: VllmStub) -> None:
    stub.then(*[GOOD] * 6, refuses(400, "auto tool choice requires a parser"))
    found = examined(settings, stub.url)
    assert found["tools"].state is State.WARN
    assert "--enable-auto-tool-choice" in found["tools"].message


def test_what_it_calls_is_told(settings: Settings, stub: VllmStub) -> None:
    stub.then(*[GOOD] * 6, calls(("search", '{"query": "soup"}')))
    assert "search" in examined(settings, stub.url)["tools"].message


def test_a_slow_start_is_told(
    settings: Settings, stub: VllmStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("footnote.selftest.SLOW", 0.05)
    stub.then((Pause(0.1), *GOOD))  # type: ignore[misc]
    assert "wonder" in examined(settings, stub.url)["streaming"].message
