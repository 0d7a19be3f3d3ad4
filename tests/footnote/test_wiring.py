from __future__ import annotations

from datetime import timedelta

from fastapi.testclient import TestClient

from knowledge.models import Principal
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
