from __future__ import annotations

import pytest

from ingest.parsing.formats import SUFFIXES, Format, declared_format, parse
from knowledge.errors import IngestError, Unsupported
from tests.ingest.samples import HTML, every_format, joined, lines, pdf, word

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries

PDF = pdf([("Head", "text")])
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def code(data: bytes, name: str) -> str:
    with pytest.raises(IngestError) as caught:
        list(parse(data, name))
    return caught.value.code


@pytest.mark.parametrize("name", every_format())
def test_every_format_gives_text_whose_spans_hold(name: str) -> None:
    (parsed,) = parse(every_format()[name], name)
    assert joined(parsed) == parsed.text != ""
    assert parsed.title
    assert parsed.warnings == ()


def test_every_format_has_a_sample() -> None:
    pictures = {Format.PNG, Format.JPEG, Format.TIFF}  # see test_image
    assert {declared_format(name) for name in every_format()} == set(Format) - pictures
    assert set(SUFFIXES.values()) == set(Format)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a.doc", "convert it to .docx .soffice --headless --convert-to docx"),
        ("a.xls", "convert it to .xlsx"),
        ("a.ppt", "convert it to .pptx"),
        ("a.mbox", "convert it to .eml"),
        ("scan.HEIC", "convert it to .png"),
        ("a.zip", "pdf, docx"),
        ("README", "without a suffix"),
    ],
)
def test_what_is_not_read_comes_with_advice(name: str, advice: str) -> None:
    with pytest.raises(Unsupported, match=advice):
        list(parse(b"anything", name))


@pytest.mark.parametrize("name", every_format())
def test_an_empty_file_is_called_empty(name: str) -> None:
    assert code(b"", name) == "empty"


@pytest.mark.parametrize(
    ("data", "name", "found"),
    [
        (PDF, "a.docx", "pdf"),
        (PDF, "a.txt", "pdf"),
        (word(), "a.pdf", "docx"),
        (HTML, "a.xlsx", "html"),
    ],
)
def test_content_decides_where_the_name_is_wrong(data: bytes, name: str, found: str) -> None:
    (parsed,) = parse(data, name)
    assert parsed.text
    assert parsed.warnings[-1].startswith(f"it is a .{found} file, not what its name")


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"plain words", "a.pdf", "wrong_type"),
        (b"plain words", "a.docx", "wrong_type"),
        (b"PK\x03\x04 torn", "a.docx", "damaged"),
        (bytes(range(256)) * 20, "a.txt", "wrong_type"),
        (b"GIF89a" + bytes(500), "a.md", "wrong_type"),
        (lines([{"text": "x"}], packed=True), "a.csv", "wrong_type"),
        (OLD_OFFICE, "a.docx", "unsupported"),
        (OLD_OFFICE + "EncryptedPackage".encode("utf-16-le"), "a.xlsx", "encrypted"),
    ],
)
def test_what_cannot_be_read_has_a_code(data: bytes, name: str, expected: str) -> None:
    assert code(data, name) == expected


def test_text_about_pdf_stays_text() -> None:
    (parsed,) = parse(b"A PDF begins with %PDF-1.7, always.", "a.txt")
    assert parsed.text == "A PDF begins with %PDF-1.7, always."


def test_utf_16_is_not_taken_for_binary_data() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        (parsed,) = parse("Plain words, many of them.".encode(encoding), "a.txt")
        assert parsed.text == "Plain words, many of them."


def test_the_title_is_the_name_without_folder_and_suffix() -> None:
    (parsed,) = parse(b"words", "some/folder/Travel policy.v2.TXT")
    assert parsed.title == "Travel policy.v2"
