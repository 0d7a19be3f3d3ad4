"""A reader in a process of its own: what it gives, and that it survives a file it dies of."""

from __future__ import annotations

from pathlib import Path

from reportlab.pdfgen.canvas import Canvas

from tests.quality.reading import running, stored


def test_a_reader_gives_pages_with_text_and_says_what_they_cost(tmp_path: Path) -> None:
    pdf = two_pages(tmp_path)
    with running(["ours"], tmp_path / "read") as [reader]:
        whole = reader.read(pdf)
        second = reader.read(pdf, [1])
    assert ["river" in page.text for page in whole.pages] == [True, False]
    assert [page.text for page in second.pages] == [whole.pages[1].text]
    assert whole.cpu > 0
    assert whole.peak_mb > 10
    assert stored(tmp_path / "read" / "ours" / "two.json") == second.pages


def test_a_file_that_ends_the_reader_leaves_the_next_file_readable(tmp_path: Path) -> None:
    with running(["ours"], tmp_path / "read") as [reader]:
        assert reader.read(tmp_path / "missing.pdf").pages == []
        assert len(reader.read(two_pages(tmp_path)).pages) == 2


def two_pages(folder: Path) -> Path:
    pdf = folder / "two.pdf"
    canvas = Canvas(str(pdf))
    canvas.drawString(72, 700, "A bridge over the river was built in 1850.")
    canvas.showPage()
    canvas.drawString(72, 700, "It was closed in 1920 and taken down soon after.")
    canvas.save()
    return pdf
