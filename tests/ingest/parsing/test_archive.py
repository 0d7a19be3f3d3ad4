from __future__ import annotations

import io
import zipfile

import pytest

from ingest.parsing import archive as module
from ingest.parsing.archive import check_container, transitional
from ingest.parsing.formats import parse
from knowledge.errors import IngestError
from tests.hostile.handmade import lying_ratio, odd_part, overlapping, utf7
from tests.ingest.samples import repacked, word

LAUGHS = b"""<?xml version="1.0"?>
<!-- %s --><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<w:document><w:body>&b;</w:body></w:document>""" % (b"padding " * 20_000)


def code(data: bytes) -> str:
    with pytest.raises(IngestError) as caught:
        check_container(data)
    return caught.value.code


def packed(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as container:
        for name, part in parts.items():
            container.writestr(name, part)
    return out.getvalue()


def test_an_honest_file_passes() -> None:
    check_container(word())


def test_a_part_that_unpacks_to_far_more_than_its_size_is_refused() -> None:
    assert code(repacked(word(), word__media_xml=b"\0" * 5_000_000)) == "bomb"


def test_the_same_share_is_harmless_in_a_small_part() -> None:
    check_container(repacked(word(), word__media_xml=b"\0" * 900_000))


def test_too_many_parts_are_refused() -> None:
    assert code(packed({f"{n}.bin": b"" for n in range(5_001)})) == "bomb"


def test_too_much_in_total_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED", 1000)
    assert code(packed({"a.bin": b"x" * 600, "b.bin": b"y" * 600})) == "bomb"


@pytest.mark.parametrize("name", ["../up.xml", "/etc/passwd", "a/../../b", "C:/x", "..\\up"])
def test_paths_that_lead_outside_are_refused(name: str) -> None:
    assert code(packed({name: b"x"})) == "hostile"


def test_entities_are_refused_wherever_the_declaration_hides() -> None:
    bomb = repacked(word(), word__document_xml=LAUGHS)
    assert code(bomb) == "hostile"
    assert code(repacked(word(), word__document_xml=LAUGHS.decode().encode("utf-16"))) == "hostile"
    with pytest.raises(IngestError, match="document type"):
        list(parse(bomb, "laughs.docx"))


def test_entities_are_refused_in_a_part_whose_name_does_not_say_that_it_is_xml() -> None:
    assert code(odd_part(LAUGHS)) == "hostile"


def test_an_encoding_that_hides_a_declaration_is_refused() -> None:
    assert code(repacked(word(), word__document_xml=utf7(LAUGHS[-200:]))) == "hostile"
    ebcdic = b'<?xml version="1.0" encoding="IBM037"?>' + LAUGHS[-200:]
    assert code(repacked(word(), word__document_xml=ebcdic)) == "hostile"


def test_parts_that_claim_more_bytes_than_the_file_has_are_refused() -> None:
    assert code(lying_ratio(word())) == "bomb"


def test_a_directory_that_names_the_same_bytes_a_thousand_times_is_refused() -> None:
    with pytest.raises(IngestError):
        check_container(overlapping())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_torn_container_is_damaged(share: float) -> None:
    whole = word()
    assert code(whole[: int(len(whole) * share)]) == "damaged"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_words_strict_dialect_reads_like_the_common_one() -> None:
    strict = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(word())) as old,
        zipfile.ZipFile(strict, "w", zipfile.ZIP_DEFLATED) as copy,
    ):
        for name in old.namelist():
            part = old.read(name)
            for kind in (b"officeDocument", b"wordprocessingml", b"drawingml"):
                part = part.replace(
                    b"http://schemas.openxmlformats.org/" + kind + b"/2006/",
                    b"http://purl.oclc.org/ooxml/" + kind + b"/",
                )
            copy.writestr(name, part)
    assert transitional(word()) == word()
    assert list(parse(strict.getvalue(), "a.docx")) == list(parse(word(), "a.docx"))
