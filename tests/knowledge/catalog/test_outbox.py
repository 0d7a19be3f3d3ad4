from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from knowledge.catalog.store import SqlCatalog
from knowledge.errors import NotFound
from knowledge.models import NOBODY, JobState, Principal, Submission, SubmissionState
from tests.catalogs import ALICE, BOB, document, publish, upload

LEASE = timedelta(minutes=5)
AT_ONCE = timedelta(seconds=-1)
ADMIN = Principal("root", roles=frozenset({"admin"}))


def finish(
    catalog: SqlCatalog,
    submission: Submission,
    state: JobState = JobState.DONE,
    *documents: str,
) -> None:
    catalog.finish(submission.id, state, reason="because", documents=documents)


def test_an_upload_comes_back_as_it_was_handed_in(catalog: SqlCatalog) -> None:
    catalog.submit(upload())

    assert catalog.submission(upload().id, ALICE) == upload()


def test_an_upload_without_a_time_was_received_now(catalog: SqlCatalog) -> None:
    catalog.submit(replace(upload(), received_at=None))

    received_at = catalog.submission(upload().id, ALICE).received_at
    assert received_at is not None
    assert received_at.tzinfo is not None


def test_the_oldest_is_claimed_first_and_only_once(catalog: SqlCatalog) -> None:
    for number in (2, 1, 3):
        catalog.submit(upload(number))

    claimed = [catalog.claim(f"worker {n}", lease=LEASE) for n in range(4)]

    assert [each.name if each else None for each in claimed] == [
        "report 1.pdf",
        "report 2.pdf",
        "report 3.pdf",
        None,
    ]
    first = catalog.submission(upload(1).id, ALICE)
    assert first == replace(upload(1), state=SubmissionState.WORKING, attempts=1)


def test_a_claim_whose_lease_ran_out_is_taken_over(catalog: SqlCatalog) -> None:
    catalog.submit(upload())
    catalog.claim("dead worker", lease=AT_ONCE)

    again = catalog.claim("next worker", lease=LEASE)

    assert again is not None
    assert again.attempts == 2
    assert catalog.claim("third", lease=LEASE) is None


def test_a_file_that_kills_its_workers_does_not_hold_up_the_others(catalog: SqlCatalog) -> None:
    catalog.submit(upload(1))
    catalog.claim("killed", lease=AT_ONCE)
    catalog.submit(upload(2))

    claimed = catalog.claim("next", lease=LEASE)

    assert claimed is not None
    assert claimed.name == "report 2.pdf"


def test_versions_of_one_document_are_worked_on_in_order(catalog: SqlCatalog) -> None:
    for number in (1, 2):
        catalog.submit(upload(number, name="same.pdf"))
    catalog.submit(upload(3, name="same.pdf", by="bob"))

    claimed = [catalog.claim("w", lease=LEASE) for _ in range(3)]
    assert [each.id if each else None for each in claimed] == [upload(1).id, upload(3).id, None]

    finish(catalog, upload(1))
    second = catalog.claim("w", lease=LEASE)
    assert second is not None
    assert second.id == upload(2).id


def test_a_lease_is_renewed_only_by_its_holder(catalog: SqlCatalog) -> None:
    catalog.submit(upload())
    catalog.claim("mine", lease=AT_ONCE)

    assert catalog.renew(upload().id, "mine", lease=LEASE) is True
    assert catalog.renew(upload().id, "somebody", lease=LEASE) is False
    assert catalog.claim("somebody", lease=LEASE) is None
    finish(catalog, upload(), JobState.CANCELLED)
    assert catalog.renew(upload().id, "mine", lease=LEASE) is False


def test_a_claim_handed_back_is_no_attempt(catalog: SqlCatalog) -> None:
    catalog.submit(upload())
    catalog.claim("w", lease=LEASE)

    catalog.hand_back(upload().id, "w")
    assert catalog.submission(upload().id, ALICE) == upload()
    catalog.hand_back(upload().id, "w")
    assert catalog.submission(upload().id, ALICE).attempts == 0


def test_released_claims_count_as_attempts(catalog: SqlCatalog) -> None:
    for number in (1, 2, 3):
        catalog.submit(upload(number))
    catalog.claim("w", lease=LEASE)
    catalog.claim("w", lease=LEASE)

    assert catalog.release() == 2
    assert catalog.release() == 0
    assert catalog.submission(upload(1).id, ALICE) == replace(upload(1), attempts=1)
    assert catalog.submission(upload(3).id, ALICE) == upload(3)


def test_a_cancelled_upload_that_nobody_tidied_up_after_is_taken_over_once(
    catalog: SqlCatalog,
) -> None:
    for number in (1, 2):
        catalog.submit(upload(number, name="same.pdf"))
    catalog.claim("killed", lease=LEASE)
    finish(catalog, upload(1), JobState.CANCELLED)
    assert catalog.take_over("w", lease=LEASE) == []  # its worker may be alive

    assert catalog.release() == 0
    assert catalog.claim("w", lease=LEASE) is None  # a later version waits for it
    assert [each.id for each in catalog.take_over("w", lease=LEASE)] == [upload(1).id]
    assert catalog.take_over("other", lease=LEASE) == []
    catalog.hand_back(upload(1).id, "w")
    second = catalog.claim("w", lease=LEASE)
    assert second is not None
    assert second.id == upload(2).id


def test_one_that_was_cancelled_between_two_runs_is_taken_over_and_one_that_never_ran_is_not(
    catalog: SqlCatalog,
) -> None:
    for number in (1, 2):
        catalog.submit(upload(number))
    catalog.claim("w", lease=LEASE)
    catalog.hand_back(upload(1).id, "w")
    for number in (1, 2):
        finish(catalog, upload(number), JobState.CANCELLED)

    assert [each.id for each in catalog.take_over("w", lease=LEASE)] == [upload(1).id]


def test_how_it_ended_is_written_with_its_documents_in_order(catalog: SqlCatalog) -> None:
    catalog.submit(upload())
    finish(catalog, upload(), JobState.DONE, "b", "a")

    ended = catalog.submission(upload().id, ALICE)

    assert (ended.state, ended.reason) == (SubmissionState.DONE, "because")
    assert ended.document_ids == ("b", "a")


@pytest.mark.parametrize("final", [state for state in JobState if state.final])
def test_what_has_ended_stays_as_it_is(catalog: SqlCatalog, final: JobState) -> None:
    catalog.submit(upload())
    catalog.claim("w", lease=AT_ONCE)
    finish(catalog, upload(), final, "a")

    finish(catalog, upload(), JobState.FAILED)
    finish(catalog, upload(), JobState.DONE, "x", "y")
    catalog.hand_back(upload().id, "w")

    assert catalog.job(upload().id, ALICE).state is final
    assert catalog.submission(upload().id, ALICE).document_ids == ("a",)
    assert catalog.release() == 0
    assert catalog.claim("w", lease=LEASE) is None


def test_an_upload_is_shown_to_whoever_handed_it_in_and_to_admins(catalog: SqlCatalog) -> None:
    catalog.submit(upload())

    assert catalog.submission(upload().id, ADMIN) == upload()
    messages = set()
    stranger = Principal("", roles=frozenset({"admin"}))
    for principal, submission_id in (
        (BOB, upload().id),
        (NOBODY, upload().id),
        (stranger, upload().id),
        (ALICE, upload(9).id),
    ):
        with pytest.raises(NotFound) as caught:
            catalog.submission(submission_id, principal)
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_uploads_are_listed_newest_first_for_whoever_handed_them_in(catalog: SqlCatalog) -> None:
    for number in (1, 3, 2):
        catalog.submit(upload(number))
    catalog.submit(upload(4, by="bob"))
    catalog.submit(upload(5, by=""))
    finish(catalog, upload(2), JobState.DONE, "a")

    assert [each.name for each in catalog.submissions(ALICE)] == [
        "report 3.pdf",
        "report 2.pdf",
        "report 1.pdf",
    ]
    assert catalog.submissions(ALICE)[1].document_ids == ("a",)
    assert len(catalog.submissions(ALICE, limit=2)) == 2
    assert [each.name for each in catalog.submissions(BOB)] == ["report 4.pdf"]
    assert catalog.submissions(NOBODY) == []


def test_bytes_are_wanted_until_their_upload_has_ended(catalog: SqlCatalog) -> None:
    assert catalog.wanted("d1") is False
    catalog.submit(upload())
    assert catalog.wanted("d1") is True
    catalog.claim("w", lease=LEASE)
    assert catalog.wanted("d1") is True
    finish(catalog, upload(), JobState.FAILED)
    assert catalog.wanted("d1") is False


def test_bytes_are_wanted_while_a_document_made_of_them_is_live(catalog: SqlCatalog) -> None:
    for uri in ("a", "b"):
        publish(catalog, document(uri), "text")
    catalog.submit(upload())
    finish(catalog, upload(), JobState.DONE, document("a").id, document("b").id)

    assert catalog.wanted("d1") is True
    catalog.remove(document("a").id)
    assert catalog.wanted("d1") is True
    catalog.remove(document("b").id)
    assert catalog.wanted("d1") is False


def test_replaced_bytes_are_not_wanted_any_more(catalog: SqlCatalog) -> None:
    publish(catalog, document("a"), "text")
    catalog.submit(upload(1, digest="old"))
    finish(catalog, upload(1), JobState.DONE, document("a").id)
    catalog.submit(upload(2, digest="new"))
    finish(catalog, upload(2), JobState.DONE, document("a").id)

    assert catalog.wanted("new") is True
    assert catalog.wanted("old") is False
    catalog.submit(upload(3, digest="old"))
    assert catalog.wanted("old") is True
    finish(catalog, upload(3), JobState.DONE, document("a").id)
    assert catalog.wanted("old") is True
    assert catalog.wanted("new") is False


def test_many_workers_never_claim_the_same_upload(catalog: SqlCatalog) -> None:
    for number in range(40):
        catalog.submit(upload(number))
    claimed: list[str] = []

    def work(name: str) -> None:
        while (found := catalog.claim(name, lease=LEASE)) is not None:
            claimed.append(found.id)

    workers = [threading.Thread(target=work, args=(f"{n}",)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(claimed) == sorted(upload(number).id for number in range(40))
