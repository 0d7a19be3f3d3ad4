from __future__ import annotations

import pytest

from ingest.parsing.formats import parse
from knowledge.errors import Unreadable
from tests.ingest.samples import PROSE, book, repacked, shape


def test_chapters_come_in_reading_order_without_the_list_of_them() -> None:
    (parsed,) = parse(book(), "a.epub")
    assert parsed.title == "The rules"
    assert shape(parsed) == [
        ("heading", ("First",), "First"),
        ("paragraph", ("First",), PROSE[0]),
        ("heading", ("Second",), "Second"),
        ("paragraph", ("Second",), PROSE[1]),
    ]


@pytest.mark.parametrize(
    ("algorithm", "refused"),
    [
        ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", True),
        ("http://www.idpf.org/2008/embedding", False),
    ],
)
def test_a_locked_book_is_refused_but_not_one_whose_fonts_are_scrambled(
    algorithm: str, refused: bool
) -> None:
    lock = f"<encryption><EncryptionMethod Algorithm='{algorithm}'/></encryption>".encode()
    data = repacked(book(), **{"META-INF__encryption_xml": lock})
    if refused:
        with pytest.raises(Unreadable) as caught:
            list(parse(data, "a.epub"))
        assert caught.value.code == "encrypted"
    else:
        assert list(parse(data, "a.epub"))
