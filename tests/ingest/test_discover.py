from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.discover import Found, discover, file_path, holds_lines, quote
from knowledge.errors import NotFound
from tests.ingest.world import refusing

LIMIT = 1000


def touch(path: Path, size: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def found(root: Path) -> list[Found]:
    return list(discover(root, max_bytes=LIMIT))


def names(root: Path) -> list[str]:
    return [each.path.relative_to(root.resolve()).as_posix() for each in found(root)]


def test_files_are_found_in_all_folders_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "z/1.pdf", "c/d/e.DOCX", "c/a.jsonl.gz"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["a.md", "b.txt", "c/a.jsonl.gz", "c/d/e.DOCX", "z/1.pdf"]


def test_what_is_no_document_is_passed_over(tmp_path: Path) -> None:
    for name in (".hidden.txt", ".git/config.txt", "~$lock.docx", ".~lock.a.xlsx#", "Thumbs.db"):
        touch(tmp_path / name)
    touch(tmp_path / "sub" / ".DS_Store")
    os.mkfifo(tmp_path / "pipe.txt")
    assert names(tmp_path) == []


def test_other_formats_are_named_with_a_reason(tmp_path: Path) -> None:
    touch(tmp_path / "old.doc")
    touch(tmp_path / "noending")
    codes = {each.path.name: each.code for each in found(tmp_path)}
    assert codes == {"old.doc": "unsupported", "noending": "unsupported"}
    assert ".docx" in found(tmp_path / "old.doc")[0].reason


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    touch(tmp_path / "big.txt", LIMIT + 1)
    touch(tmp_path / "full.txt", LIMIT)
    assert [(each.path.name, each.code) for each in found(tmp_path)] == [
        ("big.txt", "too_large"),
        ("full.txt", ""),
    ]


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = touch(tmp_path / "outside" / "secret.txt")
    inside = touch(tmp_path / "root" / "real.txt")
    root = inside.parent
    (root / "leaves.txt").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "nowhere.txt").symlink_to(root / "missing.txt")
    (root / "stays.txt").symlink_to(inside)
    assert names(root) == ["real.txt", "stays.txt"]


def test_a_single_file_is_found_by_itself_and_through_a_link_under_its_own_name(
    tmp_path: Path,
) -> None:
    file = touch(tmp_path / "a.txt", 5)
    link = tmp_path / "link.txt"
    link.symlink_to(file)
    (each,) = found(file)
    assert (each.uri, each.size, each.media_type) == (str(file.resolve()), 5, "text/plain")
    assert found(link) == [each]


def test_a_missing_path_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere"):
        found(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "closed" / "a.txt")
    touch(tmp_path / "b.txt")
    monkeypatch.setattr(os, "scandir", refusing("closed"))
    assert [(each.path.name, each.code) for each in found(tmp_path)] == [
        ("b.txt", ""),
        ("closed", "unlisted"),
    ]


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="macOS refuses such names itself")
def test_a_name_in_another_encoding_is_named_legibly(tmp_path: Path) -> None:
    touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")))
    (each,) = found(tmp_path)
    assert each.code == "bad_name"
    assert each.uri.encode()
    assert each.uri.endswith("caf\\udce9.txt")


def test_json_lines_are_told_by_the_name() -> None:
    assert holds_lines("corpus.JSONL.gz")
    assert not holds_lines("corpus.txt")


@given(st.text(st.characters(exclude_characters="\0"), min_size=1), st.text())
def test_a_quoted_path_is_found_again_whatever_part_follows(path: str, part: str) -> None:
    assert file_path(quote("/" + path)) == Path("/" + path)
    assert file_path(f"{quote('/' + path)}#{part}") == Path("/" + path)
