from __future__ import annotations

from email.message import EmailMessage

import pytest

from ingest.parsing import mail as module
from ingest.parsing.formats import parse
from knowledge.errors import TooLarge, Unreadable
from knowledge.models import Parsed
from tests.ingest.parsing.test_lzfu import PACKED
from tests.ingest.samples import PROSE, mail, outlook, sheet, word

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries


def message(subject: str = "Rates") -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = subject
    made.set_content("See what is attached.")
    return made


def attach(outer: EmailMessage, name: str, data: bytes) -> EmailMessage:
    outer.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return outer


def read(made: EmailMessage) -> list[Parsed]:
    return list(parse(made.as_bytes(), "a.eml"))


@pytest.mark.parametrize("markup", [False, True])
def test_a_mail_has_its_subject_as_title_and_its_headers_first(markup: bool) -> None:
    (parsed,) = parse(mail(markup=markup), "a.eml")
    assert parsed.title == "Lift out of order"
    assert parsed.metadata["from"] == "Ada <ada@example.org>"
    assert parsed.text.startswith("From: Ada <ada@example.org>\nTo: all@example.org\n")
    assert parsed.text.count("lift stands still") == 1  # one of two alternatives
    assert (parsed.warnings, parsed.part) == ((), "")


def test_each_attachment_is_a_document_of_its_own_after_the_message() -> None:
    made = attach(attach(message(), "policy.docx", word()), "rates.xlsx", sheet())
    first, *rest = read(made)
    assert (first.part, first.warnings) == ("", ())
    assert [(each.part, each.title) for each in rest] == [
        ("policy.docx", "Travel"),
        ("rates.xlsx", "rates"),
    ]
    assert PROSE[0] in rest[0].text


def test_attachments_of_one_name_get_names_that_differ_and_no_folders() -> None:
    made = message()
    for name in ("../../etc/a.txt", "C:\\x\\a.txt", "A.txt"):
        attach(made, name, b"words")
    assert [each.part for each in read(made)[1:]] == ["a.txt", "a (2).txt", "A (3).txt"]


def test_what_cannot_be_read_is_a_warning_on_the_message_and_counted() -> None:
    made = attach(attach(message(), "a.mp3", b"12345"), "b.docx", b"PK\x03\x04 torn")
    (parsed,) = read(made)
    assert [warning.split(":")[0] for warning in parsed.warnings] == [
        "attachment a.mp3",
        "attachment b.docx",
    ]
    assert parsed.coverage.skipped_bytes == 5 + len(b"PK\x03\x04 torn")


def test_messages_in_messages_are_read_three_deep() -> None:
    made = message("4")
    for subject in ("3", "2", "1"):
        outer = message(subject)
        outer.add_attachment(made)
        made = outer
    found = read(made)
    assert [each.part for each in found] == ["", "2.eml", "2.eml/3.eml"]
    assert "3 deep" in found[-1].warnings[0]


def test_there_is_a_cap_on_attachments_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made = message()
    for number in range(5):
        attach(made, f"{number}.txt", b"words")
    assert len(read(made)) == 6
    monkeypatch.setattr(module, "MAX_ATTACHMENTS", 2)
    first, *rest = read(made)
    assert len(rest) == 2
    assert first.warnings == ("3 attachments beyond the first 2 are not read",)
    assert first.coverage.skipped_bytes == 15


def test_a_budget_is_spent() -> None:
    budget = module._Budget(count=2, size=10)
    budget.spend(9)
    with pytest.raises(TooLarge):
        budget.spend(9)


def test_a_picture_inside_the_page_is_no_document() -> None:
    made = message()
    made.add_alternative("<p>Hello <img src='cid:1'></p>", subtype="html")
    made.get_payload()[1].add_related(b"123", "image", "png", cid="1")  # type: ignore[index, union-attr]
    (parsed,) = read(made)
    assert parsed.coverage.skipped_bytes == 3


def test_an_encrypted_mail_is_refused() -> None:
    data = b"Subject: x\nContent-Type: application/pkcs7-mime\n\nMIIB"
    with pytest.raises(Unreadable) as caught:
        list(parse(data, "a.eml"))
    assert caught.value.code == "encrypted"


def test_outlook_messages_are_read_in_the_same_way() -> None:
    data = outlook("Rates", "See below.", {"a.txt": PROSE[0].encode(), "b.exe": b"MZ"})
    first, second = parse(data, "a.msg")
    assert (first.title, first.text.split("\n\n")[-1]) == ("Rates", "See below.")
    assert (second.part, second.text) == ("a.txt", PROSE[0])
    assert first.warnings[0].startswith("attachment b.exe: .exe")


def test_an_outlook_message_whose_text_is_rtf_only_is_read() -> None:
    (parsed,) = parse(outlook("Rates", "", {}, rtf=PACKED), "a.msg")
    assert parsed.text.split("\n\n")[-1] == "hello world"


def test_a_torn_outlook_message_is_damaged() -> None:
    data = outlook("Rates", "See below.", {})
    with pytest.raises(Unreadable):
        list(parse(data[:1800], "a.msg"))
