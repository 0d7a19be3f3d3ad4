"""Real office files through the real command: what is indexed, what is not and why, what is cited.

The ten questions were written down before the files were first ingested and stay as they are; two
more files that hold the very same fact were added to the key afterwards. What docling made of a
file (`*.reference.md`) is a copy of it in another format, and is left out.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.requirements import eval_data
from tests.service import ROOT, footnote, serving

pytestmark = [pytest.mark.quality, pytest.mark.timeout(3600)]

READ = {
    *("pdf", "docx", "pptx", "xlsx", "html", "htm", "md", "txt", "csv", "eml", "msg", "rtf", "odt"),
    *("ods", "odp", "epub", "xml", "tsv", "rst", "org"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the files that may be cited for it, and the page where the format fixes pages."""

    question: str
    files: frozenset[str]
    page: int | None

    def is_right(self, name: str, page: int | None) -> bool:
        return name in self.files and self.page in {None, page}


def asked(question: str, *files: str, page: int | None = None) -> Asked:
    return Asked(question, frozenset(files), page)


QUESTIONS = [
    asked(
        "How many bottles of water were delivered on January 23, 2023?",
        "fake-memo.pdf",
        "fake-memo-with-duplicate-page.pdf",
        page=1,
    ),
    asked(
        "What does a column mask describe in row and column access control?",
        "redp5110_sampled.pdf",
        page=10,
    ),
    asked(
        "Which Chevron-operated fields produce natural gas in the Eastern Mediterranean?",
        "chevron-page.pdf",
        page=1,
    ),
    asked(
        "Who appoints and supervises standing trustees?",
        "handbook-1p.docx",
        "handbook-1p-no-rendered-page-breaks.docx",
        "handbook-872p.docx",
    ),
    asked("What should I not forget when swimming in the lake?", "word_sample.docx"),
    asked("What does Code 660 stand for?", "science-exploration-1p.pptx", page=1),
    asked(
        "How many freshwater ducks were observed in 2022?",
        "xlsx_03_chartsheet.xlsx",
        "xlsx_05_table_with_title.xlsx",
    ),
    asked(
        "Which book by Stephen Hawking is in the library catalog?",
        "xlsx_09_section_label_header.xlsx",
    ),
    asked("What is the way to get new ideas?", "ideas-page.html"),
    asked("What will there be at the first annual family day?", "family-day.eml"),
]


def test_office_files_are_indexed_or_refused_with_a_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = _office_files()
    data = ROOT / "build" / "quality" / "office-samples"
    shutil.rmtree(data, ignore_errors=True)  # what is unchanged is not said to be empty again
    done = footnote(data, "ingest", str(folder), "--json", timeout=3000)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    files = [e for e in events if _format(e) in READ]
    indexed = [e for e in files if e["outcome"] == "indexed"]
    rest = [e for e in files if e not in indexed]
    with capsys.disabled():
        print(f"\noffice-samples: {len(indexed)} of {len(files)} indexed")
        for name, count in sorted(Counter(_format(e) for e in files).items()):
            print(f"  {name:5} {sum(_format(e) == name for e in indexed):3} of {count}")
        for event in rest:
            print(f"  {event['outcome']}: {Path(event['uri']).name}: {event['reason']}")
    assert all(event["reason"] for event in rest)
    assert len(indexed) >= 0.95 * len(files)


def test_ten_questions_cite_the_right_document_and_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    eval_data("office-samples")
    data = ROOT / "build" / "quality" / "office-samples"
    right = 0
    with serving(data) as url:
        for each in QUESTIONS:
            answer = httpx2.post(f"{url}/v1/ask", json={"question": each.question}, timeout=60)
            cited = [(Path(c["uri"]).name, c["page"]) for c in answer.json()["citations"]]
            good = any(each.is_right(name, page) for name, page in cited)
            right += good
            with capsys.disabled():
                print(f"\n{'right' if good else 'WRONG'}: {each.question}\n       {cited}")
    assert right >= 8


def _office_files() -> Path:
    """Copy the samples, without what describes them, to a folder of their own."""
    copy = ROOT / "build" / "quality" / "office-files"
    beside = shutil.ignore_patterns("*.reference.md", "SOURCE.md", "manifest.jsonl")
    shutil.copytree(eval_data("office-samples"), copy, ignore=beside, dirs_exist_ok=True)
    return copy


def _format(event: dict[str, str]) -> str:
    return Path(event["uri"].partition("#")[0]).suffix.lstrip(".").lower()
