"""Page evidence on the annual reports of financebench-dev, as PDFs, through the real service.

The PDFs are ingested by the command and searched by `POST /v1/search`; a question counts when all
its gold pages are among the first ten pages found. Once over all documents, once within the right
one.
"""

from __future__ import annotations

import httpx2
import pytest

from tests.quality import corpora, evidence
from tests.service import ROOT, footnote, serving

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

NAME = "financebench-pdf"
OVER_ALL, WITHIN = 19, 26


def test_the_pages_that_hold_the_answer_are_among_the_first_ten(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = corpora.folder("financebench-dev")
    data = ROOT / "build" / "quality" / NAME
    done = footnote(data, "ingest", str(folder / "pdfs"), "--collection", NAME, timeout=3000)
    assert done.returncode == 0, done.stderr[-2000:]
    asked = evidence.questions(folder)
    with serving(data) as url, httpx2.Client(base_url=url, timeout=60) as client:
        ids = _ids(client)
        over_all = {each.id: _pages(client, each.text) for each in asked}
        within = {each.id: _pages(client, each.text, ids[each.document]) for each in asked}
    everywhere, inside = evidence.tally(asked, over_all), evidence.tally(asked, within)
    with capsys.disabled():
        print(f"\nover all documents         {everywhere}")
        print(f"within the right document  {inside}")
    assert all(page[0] == each.document for each in asked for page in within[each.id])
    assert sum(everywhere.every) >= OVER_ALL
    assert sum(inside.every) >= WITHIN


def _ids(client: httpx2.Client) -> dict[str, str]:
    reply = client.get("/v1/documents", params={"collection": NAME, "limit": 1000})
    listed = reply.json()["documents"]
    return {each["uri"].rpartition("/")[2].removesuffix(".pdf"): each["id"] for each in listed}


def _pages(client: httpx2.Client, query: str, *document_ids: str) -> list[evidence.Page]:
    body = {"query": query, "collection": NAME, "limit": corpora.LIMIT}
    if document_ids:
        body["document_ids"] = list(document_ids)
    reply = client.post("/v1/search", json=body)
    assert reply.status_code == 200, reply.text
    return evidence.pages(reply.json()["passages"])
