from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.parse import JailedParser
from ingest.parsing import wire
from ingest.parsing.formats import PARSER_VERSION
from ingest.parsing.jail import Limits
from knowledge.errors import IngestError, ParserFailed, TooLarge, Unsupported
from knowledge.settings import ROOT, TestSettings, parser_environment
from tests.ingest.parsing.pdf.drawing import drawn, scanned
from tests.ingest.samples import every_format, joined, lines, pdf
from tests.requirements import require

EVAL = TestSettings().eval_data
WORD = "sesame"


@pytest.fixture(scope="module")
def parser() -> Iterator[JailedParser]:
    with JailedParser(limits=Limits(memory_mb=512, seconds=20, max_file_mb=20)) as shared:
        yield shared


def code(parser: JailedParser, data: bytes, name: str) -> str:
    """The code under which `data` is refused; afterwards the parser still works."""
    with pytest.raises(IngestError) as caught:
        list(parser.parse(data, name=name))
    assert [parsed.text for parsed in parser.parse(b"still here", name="a.txt")] == ["still here"]
    return caught.value.code


@pytest.mark.parametrize("name", every_format())
def test_every_format_comes_through_the_jail(parser: JailedParser, name: str) -> None:
    (parsed,) = parser.parse(every_format()[name], name=name)
    assert joined(parsed) == parsed.text != ""


def test_a_scanned_page_is_recognised_inside_the_jail(parser: JailedParser) -> None:
    require(shutil.which("tesseract"), "Tesseract", "apt-get install tesseract-ocr")
    page = drawn(lambda pen: pen.text(72, 120, "Receipts are handed in", size=14))
    (parsed,) = parser.parse(scanned(page), name="scan.pdf")
    assert parsed.text == "Receipts are handed in"
    assert parsed.coverage.ocr_pages == (1,)
    with JailedParser(ocr_languages="") as without:
        (parsed,) = without.parse(scanned(page), name="scan.pdf")
    assert (parsed.text, parsed.warnings) == ("", ("no text layer: OCR is not switched on",))


def test_it_says_which_version_it_is(parser: JailedParser) -> None:
    assert parser.version == PARSER_VERSION
    assert parser.ping()


# --- hostile files ------------------------------------------------------------------------------


def test_refusals_keep_their_code_and_the_service_goes_on(parser: JailedParser) -> None:
    assert code(parser, b"", "a.txt") == "empty"
    assert code(parser, b"%PDF-1.4 torn", "a.pdf") == "damaged"
    assert code(parser, pdf([("Head",)], password=WORD), "a.pdf") == "encrypted"
    assert code(parser, b"words", "a.docx") == "wrong_type"
    assert code(parser, b"words", "a.doc") == "unsupported"
    assert code(parser, bytes(21 << 20), "a.txt") == "too_large"


def test_a_parser_that_needs_too_much_memory_is_ended() -> None:
    line = b'{"text": "' + b"x" * 20_000_000 + b'"}'
    with JailedParser(limits=Limits(memory_mb=32)) as parser:
        if sys.platform == "linux":
            assert code(parser, gzip.compress(line), "a.jsonl.gz") == "out_of_memory"


def test_a_parser_that_takes_too_long_is_ended() -> None:
    page = b"<html><body>" + b"<p>Some <b>words</b> in a row.</p>" * 60_000 + b"</body></html>"
    with JailedParser(limits=Limits(seconds=0.5)) as parser:
        list(parser.parse(b"<p>Loads what reads pages.</p>", name="a.html"))
        began = time.monotonic()
        assert code(parser, page, "a.html") == "timeout"
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("depth", [300, 50_000])
def test_deeply_nested_html_gives_text_or_a_reason(parser: JailedParser, depth: int) -> None:
    page = b"<html><body>" + b"<div>" * depth + b"deep" + b"</div>" * depth + b"</body></html>"
    try:
        (parsed,) = parser.parse(page, name="a.html")
    except IngestError as error:
        assert error.code in ("too_deep", "damaged")
    else:
        assert parsed.text in ("deep", "")


@given(
    st.sampled_from(sorted(every_format())),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8)), min_size=1, max_size=4),
    st.floats(0.05, 1),
)
@hypothesis_settings(max_examples=60)
def test_whatever_the_bytes_are_only_our_own_errors_come_out(
    parser: JailedParser, name: str, edits: list[tuple[float, bytes]], share: float
) -> None:
    data = bytearray(every_format()[name])
    for place, patch in edits:
        start = int(place * len(data))
        data[start : start + len(patch)] = patch
    try:
        for parsed in parser.parse(bytes(data[: int(share * len(data))]), name=name):
            assert all(block.span.cut(parsed.text) for block in parsed.blocks)
    except IngestError as error:
        assert error.code not in ("crashed", "timeout", "unavailable")


# --- one bad line, many lines -------------------------------------------------------------------


def test_lines_stream_and_bad_ones_are_told(parser: JailedParser) -> None:
    data = lines([{"id": n, "text": f"text {n}"} for n in range(500)]) + b"\nnot json"
    found = list(parser.parse(data, name="corpus.jsonl"))
    assert [parsed.external_id for parsed in found[:-1]] == [str(n) for n in range(500)]
    assert found[-1].error.startswith("line 501 is not JSON")


def test_a_reader_may_take_longer_than_the_parser() -> None:
    data = lines([{"id": n, "text": "word " * 4000} for n in range(100)])
    with JailedParser(limits=Limits(seconds=1)) as parser:
        stream = parser.parse(data, name="corpus.jsonl")
        next(stream)
        time.sleep(2.5)
        assert sum(1 for _ in stream) == 99


def test_a_stream_may_be_left_and_its_place_is_free_again(parser: JailedParser) -> None:
    data = lines([{"id": n, "text": "word " * 4000} for n in range(100)])
    for _ in range(12):  # more than there are places
        stream = parser.parse(data, name="corpus.jsonl")
        assert next(stream).external_id == "0"
        stream.close()  # type: ignore[attr-defined]  # an iterator, and in truth a generator


def test_many_threads_share_one_parser(parser: JailedParser) -> None:
    def read(number: int) -> str:
        (parsed,) = parser.parse(f"text {number}".encode(), name="a.txt")
        return parsed.text

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(read, range(48))) == [f"text {number}" for number in range(48)]


# --- the server's life --------------------------------------------------------------------------


def test_a_server_that_was_killed_is_started_again(tmp_path: Path) -> None:
    with JailedParser(folder=tmp_path) as parser:
        for _ in range(2):
            assert [parsed.text for parsed in parser.parse(b"here", name="a.txt")] == ["here"]
            os.kill(_server_of(parser), signal.SIGKILL)
        assert [parsed.text for parsed in parser.parse(b"here", name="a.txt")] == ["here"]


def test_closing_ends_the_server_and_leaves_nothing_behind(tmp_path: Path) -> None:
    parser = JailedParser(folder=tmp_path)
    assert parser.ping()
    pid = _server_of(parser)
    parser.close()
    assert not _is_alive(pid)
    assert list(tmp_path.iterdir()) == []
    assert parser.ping()  # and it can be used again
    parser.close()


def test_the_server_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from ingest.parse import JailedParser
parser = JailedParser(folder=Path(sys.argv[1]))
assert parser.ping()
print(parser._server._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        env=parser_environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        assert _is_alive(server)
        owner.kill()
    deadline = time.monotonic() + 10
    while _is_alive(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(server)


def test_a_folder_with_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    with JailedParser(folder=tmp_path / ("long" * 30)) as parser:
        assert parser.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no library is loaded before forks")
def test_the_server_has_one_thread_even_with_all_libraries_loaded(parser: JailedParser) -> None:
    list(parser.parse(every_format()["a.xlsx"], name="a.xlsx"))
    status = Path(f"/proc/{_server_of(parser)}/status").read_text()
    assert "Threads:\t1\n" in status


def test_a_server_elsewhere_is_used_by_its_socket_and_checked_from_the_shell(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.sock"
    command = [sys.executable, "-m", "ingest.parsing.server", "--socket", str(path)]
    environment = parser_environment()
    assert subprocess.run([*command, "--check"], env=environment, cwd=ROOT).returncode == 1
    with subprocess.Popen(
        [*command, "--cold"], env=environment, cwd=ROOT, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert b'"ready"' in server.stdout.readline()
        assert path.stat().st_mode & 0o077 == 0
        assert subprocess.run([*command, "--check"], env=environment, cwd=ROOT).returncode == 0
        for name in ("a.pdf", "a.docx"):  # cold: the child imports what it needs
            (parsed,) = JailedParser(path).parse(every_format()[name], name=name)
            assert parsed.text
        server.terminate()
        assert server.wait(timeout=10) == 0
    assert not path.exists()
    with pytest.raises(ParserFailed) as caught:
        list(JailedParser(path, patience=0.2).parse(b"x", name="a.txt"))
    assert caught.value.code == "unavailable"


# --- a server that lies -------------------------------------------------------------------------

STARTED = wire.encode({"started": True})


def framed(*payloads: bytes) -> bytes:
    return b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", "unavailable"),
        (framed(STARTED), "unavailable"),
        (framed(STARTED) + b"\xff\xff\xff\xff", "unavailable"),
        (framed(STARTED, b"not json"), "crashed"),
        (framed(STARTED, b"[]"), "crashed"),
        (framed(STARTED, b"{}"), "crashed"),
        (framed(STARTED, b"[" * 100_000), "crashed"),
        (framed(STARTED, wire.encode({"failed": "x"})), "crashed"),
    ],
)
def test_an_answer_that_makes_no_sense_is_one_of_our_errors(
    tmp_path: Path, answer: bytes, expected: str
) -> None:
    path = tmp_path / "liar.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        liar = threading.Thread(target=_answer_once, args=(listener, answer))
        liar.start()
        with pytest.raises(ParserFailed) as caught:
            list(JailedParser(path, patience=0).parse(b"x", name="a.txt"))
        liar.join()
    assert caught.value.code == expected


def test_refusals_that_need_no_parser_start_none() -> None:
    parser = JailedParser(Path("/nowhere"), limits=Limits(max_file_mb=1), patience=0)
    with pytest.raises(Unsupported):
        list(parser.parse(b"x", name="a.exe"))
    with pytest.raises(TooLarge, match="FOOTNOTE_MAX_FILE_MB"):
        list(parser.parse(bytes(2 << 20), name="a.txt"))


# --- real files ---------------------------------------------------------------------------------

FORMATS = {"pdf", "docx", "pptx", "xlsx", "html", "htm", "md", "txt", "csv", "eml"}
LONG = {"DA-619p.pdf", "handbook-872p.docx", "example-10k.html"}


@pytest.mark.skipif(EVAL is None, reason="FOOTNOTE_EVAL_DATA is not set")
def test_nearly_all_office_samples_give_text_and_none_crashes(parser: JailedParser) -> None:
    assert EVAL is not None
    outcomes: Counter[str] = Counter()
    for path in sorted(Path(EVAL, "office-samples").rglob("*")):
        is_sample = path.suffix[1:] in FORMATS and not path.name.endswith(".reference.md")
        if not is_sample or path.name in LONG or path.name == "SOURCE.md":
            continue
        try:
            documents = list(parser.parse(path.read_bytes(), name=path.name))
            outcomes["text" if any(parsed.text for parsed in documents) else "empty"] += 1
        except IngestError as error:
            outcomes[error.code] += 1
    assert outcomes.total() > 150
    assert outcomes["text"] / outcomes.total() >= 0.95
    assert outcomes["crashed"] + outcomes["timeout"] + outcomes["unavailable"] == 0


@pytest.mark.skipif(EVAL is None, reason="FOOTNOTE_EVAL_DATA is not set")
def test_odd_files_end_with_text_or_with_the_reason(parser: JailedParser) -> None:
    assert EVAL is not None
    codes: Counter[str] = Counter()
    for path in sorted(Path(EVAL, "odd-files").rglob("*")):
        if path.is_file():
            try:
                list(parser.parse(path.read_bytes(), name=path.name))
            except IngestError as error:
                codes[error.code] += 1
    assert codes["encrypted"] == 4
    assert set(codes) == {"encrypted", "damaged", "empty", "unsupported"}


def _server_of(parser: JailedParser) -> int:
    assert parser._server is not None
    return parser._server._process.pid


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)


@pytest.mark.skipif(sys.platform != "linux", reason="priorities are read from /proc")
def test_parsing_lets_everybody_else_go_first() -> None:
    with JailedParser() as parser:
        assert parser.ping()
        fields = Path(f"/proc/{_server_of(parser)}/stat").read_text().rpartition(")")[2].split()
    nice, policy = int(fields[16]), int(fields[38])
    assert nice == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)
    assert policy == os.SCHED_BATCH
