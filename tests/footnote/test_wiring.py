from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from footnote.wiring.model import window
from knowledge.models import Principal, Question
from knowledge.settings import Settings
from serving.auth import LOCAL
from tests.house import QuickHouse
from tests.service import free_port

ZEBRA = "The zebra budget of 2031 is 4211 euros. It was approved by the herd in spring."


def test_without_a_model_server_the_answer_is_quoted_and_says_why(settings: Settings) -> None:
    dead = settings.model_copy(update={"model_url": f"http://127.0.0.1:{free_port()}/v1"})
    with QuickHouse(dead) as house:
        house.take_in("zebra.txt", ZEBRA, LOCAL)
        client = TestClient(house.app, base_url="http://127.0.0.1")
        health = client.get("/v1/health")
        assert health.status_code == 200
        assert health.json()["parts"]["model"] == "does not answer"
        assert health.json()["parts"]["answers"] == "gpt-oss-20b"
        answer = client.post("/v1/ask", json={"question": "What is the zebra budget?"}).json()
        assert answer["extractive"] is True
        assert answer["fallback_reason"]
        assert "4211" in answer["citations"][0]["quote"]


def test_an_upload_that_was_under_way_when_the_owner_died_is_taken_up_at_once(
    settings: Settings,
) -> None:
    alice = Principal("alice")
    with QuickHouse(settings) as house:
        house.take_in("first.txt", "Something else.", alice)
        with (settings.data_dir / "zebra.txt").open("wb+") as file:
            file.write(ZEBRA.encode())
            file.seek(0)
            taken = house.intake.submit(
                file, name="zebra.txt", collection="main", access=alice.tokens(), by=alice
            )
        assert house.catalog.claim("a worker that dies", lease=timedelta(hours=1)) is not None
    with QuickHouse(settings) as house:
        assert house.intake.status(taken.id, alice).state == "received"
        assert house.worker.work_one()
        assert house.intake.status(taken.id, alice).state == "done"


@pytest.mark.parametrize(
    ("name", "profile", "told", "tokens"),
    [
        ("gpt-oss-20b", "", 0, 16_384),
        ("gpt-oss-20b", "80gb", 0, 32_768),
        ("gpt-oss-120b", "", 0, 32_768),
        ("another", "", 0, 16_384),
        ("another", "", 4_096, 4_096),
    ],
)
def test_the_window_is_the_engines_unless_it_is_told(
    settings: Settings, name: str, profile: str, told: int, tokens: int
) -> None:
    changed = {"model_name": name, "engine_profile": profile, "model_window": told}
    assert window(settings.model_copy(update=changed)).tokens == tokens


def test_passages_give_way_to_a_long_question_where_a_model_reads_them(settings: Settings) -> None:
    changed = {"model_url": "http://127.0.0.1:9/v1", "model_window": 8192}
    served = settings.model_copy(update=changed)
    short, long = Question("When?"), Question("何時に開きますか。" * 800)
    with QuickHouse(settings) as quoting, QuickHouse(served) as asking:
        assert quoting.budget(long) == settings.context_tokens
        assert asking.budget(short) == settings.context_tokens
        assert asking.budget(long) < settings.context_tokens
