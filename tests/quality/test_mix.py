from __future__ import annotations

from pathlib import Path

import pypdfium2
from reportlab.pdfgen.canvas import Canvas

from tests.quality import mix
from tests.quality.evidence import Sought
from tests.quality.ingesting import ratio


def test_a_report_is_cut_down_to_the_pages_asked_for_and_drawn_ones(tmp_path: Path) -> None:
    _pdf(tmp_path / "whole" / "acme.pdf", pages=9)
    asked = [Sought("q", "?", "Acme", "acme", frozenset({("acme", 9), ("acme", 4)}))]
    cuts = mix.reports(tmp_path / "whole", asked, 5, tmp_path / "cut")
    kept = cuts["acme"].pages
    assert len(kept) == 5
    assert {4, 9} <= set(kept)
    [moved] = mix.in_cuts(asked, cuts)
    with pypdfium2.PdfDocument(cuts["acme"].path) as shorter:
        words = {n: shorter[n - 1].get_textpage().get_text_range() for _, n in moved.gold}
    assert sorted(words.values()) == ["this is page number four", "this is page number nine"]


def test_each_content_counts_once_and_what_not_all_read_is_apart(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("one")
    (tmp_path / "c.md").write_text("two")
    (tmp_path / "c.md.reference.md").write_text("not a sample")
    (tmp_path / "d.msg").write_text("three")
    (tmp_path / "e.txt").write_text("four")
    _pdf(tmp_path / "words.pdf", pages=1)
    _pdf(tmp_path / "picture.pdf", pages=0)
    everywhere, rest = mix.office(tmp_path, unread=["e.txt"])
    assert [path.name for path in everywhere] == ["a.txt", "c.md", "words.pdf"]
    assert [path.name for path in rest] == ["d.msg", "e.txt", "picture.pdf"]


def test_batches_share_the_office_files_under_distinct_names(tmp_path: Path) -> None:
    files = [tmp_path / folder / "same.txt" for folder in "abcd"]
    for file in files:
        file.parent.mkdir()
        file.write_text(file.parent.name)
    _pdf(tmp_path / "one.pdf", pages=2)
    _pdf(tmp_path / "two.pdf", pages=3)
    reports = [tmp_path / "one.pdf", tmp_path / "two.pdf"]
    made = mix.batches(reports, files, 2, tmp_path / "made")
    assert [batch.pages for batch in made] == [2, 3]
    assert [len({path.name for path in batch.files}) for batch in made] == [3, 3]
    texts = [path.read_text() for batch in made for path in batch.files if path.suffix == ".txt"]
    assert sorted(texts) == ["a", "b", "c", "d"]


def test_a_ratio_is_that_of_the_sums_and_its_interval_that_of_the_batches() -> None:
    assert ratio([3.0, 6.0], [1.0, 2.0]) == (3.0, 3.0, 3.0)
    middle, low, high = ratio([2.0, 4.0, 3.0], [1.0, 1.0, 1.0])
    assert (low, middle, high) == (2.0, 3.0, 4.0)


def _pdf(path: Path, *, pages: int) -> None:
    """Write pages of a few words, or one page without any."""
    names = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    path.parent.mkdir(exist_ok=True)
    canvas = Canvas(str(path))
    for name in names[:pages] or [""]:
        canvas.drawString(72, 700, f"this is page number {name}" if name else "")
        canvas.showPage()
    canvas.save()
