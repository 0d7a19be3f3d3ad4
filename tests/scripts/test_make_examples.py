from __future__ import annotations

import html
import subprocess
import sys
import zipfile
from pathlib import Path

import pypdfium2
import pytest

from knowledge.settings import ROOT, Settings

EXAMPLES = ROOT / "examples"
OFFICE = ["security.docx", "settings.xlsx", "tour.pptx"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folders = [tmp_path_factory.mktemp("examples") for _ in range(2)]
    for folder in folders:
        script = ROOT / "scripts" / "make_examples.py"
        command = ["env", f"PYTHONPATH={ROOT}", sys.executable, str(script), str(folder)]
        subprocess.run(command, check=True, capture_output=True)
    return folders


def test_the_same_sources_give_the_same_bytes(made: list[Path]) -> None:
    first, second = ({path.name: path.read_bytes() for path in made[i].iterdir()} for i in (0, 1))

    assert set(first) == {"handbook.pdf", *OFFICE}
    assert first == second


def test_the_documents_that_are_kept_say_what_their_sources_say(made: list[Path]) -> None:
    assert pdf_text(EXAMPLES / "handbook.pdf") == pdf_text(made[0] / "handbook.pdf")
    for name in OFFICE:
        assert office_text(EXAMPLES / name) == office_text(made[0] / name), name


def test_every_setting_stands_in_the_table_of_settings() -> None:
    table = office_text(EXAMPLES / "settings.xlsx")

    for name, field in Settings.model_fields.items():
        assert f">FOOTNOTE_{name.upper()}<" in table
        assert (field.description or "?") in table


def test_there_are_five_formats_and_little_weight() -> None:
    files = [path for path in EXAMPLES.iterdir() if not path.name.startswith(".")]

    assert {path.suffix for path in files} >= {".pdf", ".docx", ".xlsx", ".html", ".md"}
    assert sum(path.stat().st_size for path in files) < 500_000


def pdf_text(path: Path) -> list[str]:
    with pypdfium2.PdfDocument(path) as pdf:
        return [page.get_textpage().get_text_range() for page in pdf]


def office_text(path: Path) -> str:
    """Return all XML of an Office file, joined."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".xml")]
        return html.unescape("".join(archive.read(name).decode() for name in names))
