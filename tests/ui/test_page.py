"""The page in a real browser: the real service behind it, and a scripted one for what is rare."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from knowledge.models import (
    UNFILTERED,
    Facet,
    Facets,
    Feed,
    FeedState,
    Filters,
    Freshness,
    Job,
    JobKind,
    JobState,
    Refused,
)
from knowledge.settings import ROOT
from serving.auth import Gate
from serving.keys import KeyRing, add_key
from tests import service
from tests.requirements import require
from tests.ui import scripted
from tests.ui.judge import FORMS

pytestmark = pytest.mark.chromium

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PAPERS = ["handbook.pdf", "security.docx", "glossary.html", "settings.xlsx"]
LOADED = "a[href], img, svg image, iframe, script, link, object, embed, video, audio, .katex, form"
WAIT = 30_000
"""Milliseconds."""

expect.set_options(timeout=WAIT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require(CHROMIUM, "Chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab that notes every request beyond this machine, and lets none out."""
    tab = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    tab.set_default_timeout(WAIT)
    outside: list[str] = []
    tab.route(lambda url: "://127.0.0.1:" not in url, lambda route: route.abort())
    tab.on("request", lambda asked: outside.append(asked.url) if _leaves(asked.url) else None)
    tab.__dict__["outside"] = outside
    yield tab
    tab.close()


class Stage:
    """A page before a service that follows a script, whose only key is an administrator's."""

    def __init__(self, keys: Path) -> None:
        self.script = scripted.Script()
        self.port = service.free_port()
        self.key = add_key(keys, "local", groups=(), roles=["admin"])
        self._gate = Gate(keys=KeyRing(keys))
        self._service = contextlib.ExitStack()

    def open(self) -> None:
        self._service.enter_context(scripted.serving(self.script, self._gate, port=self.port))

    def close(self) -> None:
        self._service.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage") / "keys.json")
    stage.open()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def scripted_page(browser: Browser, stage: Stage) -> Iterator[tuple[scripted.Script, str]]:
    url = f"http://127.0.0.1:{stage.port}"
    with page_on(url, FOOTNOTE_API_KEY=stage.key) as address:
        yield stage.script, address


def test_a_file_is_added_and_answers_with_its_quote(tab: Page, tmp_path: Path) -> None:
    with service.serving(tmp_path / "data") as url, page_on(url) as address:
        tab.goto(address)
        expect(tab.get_by_text("There is nothing to ask about yet")).to_be_visible()

        tab.locator("input[type=file]").set_input_files(
            [ROOT / "examples" / name for name in PAPERS]
        )
        expect(tab.locator(".fn-steps").first).to_be_visible()
        expect(tab.locator(".fn-done")).to_have_count(len(PAPERS), timeout=90_000)  # a busy machine
        expect(tab.get_by_text("Ask about 4 documents")).to_be_visible()

        ask(tab, "How do I back up an embedded installation?")
        verdict = [
            "Answered from your documents"
        ]  # a list waits: what is redrawn is twice a moment
        expect(tab.locator(".fn-verdict")).to_have_text(verdict)
        expect(tab.locator(".fn-answer .fn-mark").first).to_have_text("1")
        note = tab.locator(".fn-note").first
        expect(note.locator(".fn-place")).to_contain_text("handbook.pdf")
        expect(note.locator(".fn-place")).to_contain_text("page 2")
        expect(note.locator("blockquote").first).to_contain_text("copy the whole data folder")

        note.get_by_text("Show it in its passage").click()
        expect(note.locator("mark").first).to_be_visible()
        picture(tab, "page.png")

        with tab.expect_download() as download:
            tab.get_by_role("button", name="Download the original").first.click()
        original = (ROOT / "examples" / "handbook.pdf").read_bytes()
        assert Path(download.value.path()).read_bytes() == original
        assert download.value.suggested_filename == "handbook.pdf"
    assert tab.__dict__["outside"] == []


def test_an_old_answer_shows_what_became_of_its_quotes(
    tab: Page, scripted_page: tuple[scripted.Script, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script, address = scripted_page
    script.events, script.pause, script.going = scripted.backup(), 0, True
    tab.goto(address)
    ask(tab, "How do I back up?")
    expect(tab.locator(".fn-note")).to_have_count(1)
    (talk,) = script.kept.conversations("local")
    monkeypatch.setattr(scripted, "TEXT", scripted.TEXT.replace("stop the service", "run backup"))
    before = script.stored
    script.stored = [replace(before[0], live_revision="another")]

    tab.goto(address)
    tab.get_by_role("combobox", name="Conversations").click()
    tab.get_by_role("option", name=talk.title).click()
    expect(tab.locator(".fn-since del").first).to_be_visible()
    tab.get_by_role("button", name="Not helpful").click()
    expect(tab.get_by_text("What should it have said?")).to_be_visible()
    tab.get_by_text("Rename, export, delete").click()
    expect(tab.get_by_role("button", name="Delete")).to_be_visible()
    picture(tab, "conversation.png")
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Export as text").click()
    assert "changed since" in Path(download.value.path()).read_text()
    script.stored = before
    script.kept.drop(talk.id, "local")


def test_the_answer_grows_while_it_is_written_and_can_be_stopped(
    tab: Page, scripted_page: tuple[scripted.Script, str]
) -> None:
    script, address = scripted_page
    script.events, script.pause, script.going = scripted.backup(), 0.1, False
    tab.goto(address)
    ask(tab, "How do I back up?")
    expect(tab.locator(".fn-writing")).to_contain_text("To back up Footnote")
    assert "data folder" not in tab.locator(".fn-writing").first.inner_text()
    script.going = True
    expect(tab.locator(".fn-note")).to_have_count(1)
    expect(tab.locator(".fn-writing")).to_have_count(0)

    script.going = False
    ask(tab, "And then?")
    expect(tab.locator(".fn-writing")).to_contain_text("To back up")
    tab.get_by_role("button", name="Stop script").click()
    script.going = True
    ask(tab, "And now?")
    expect(tab.get_by_text("The answer was stopped before its end.")).to_be_visible()
    expect(tab.locator(".fn-note")).to_have_count(2)


def test_operators_see_what_goes_on_also_after_the_service_was_away(
    tab: Page, stage: Stage, scripted_page: tuple[scripted.Script, str]
) -> None:
    script, address = scripted_page
    now = datetime.now(UTC)
    job = Job("job", JobKind.SYNC, "share", "share", "", JobState.RUNNING, done=1, total=4)
    script.jobs.kept = {"job": job}
    script.jobs.refused = [
        Refused("held", "s", "/shared/a.pdf", "damaged", "It is damaged.", now, now, 2)
    ]
    feed = Feed("share", "share", "smb", "smb://files/hr", every=900, state=FeedState.RUNNING)
    script.sources.kept = {"share": (feed, Freshness(12, 3, 2.0, 61.0))}

    tab.goto(address)
    tab.get_by_role("radio", name="Operations").click()
    expect(tab.get_by_text("1 of 4 looked at")).to_be_visible()
    script.jobs.kept["job"] = replace(job, done=3)
    expect(tab.get_by_text("3 of 4 looked at")).to_be_visible()  # it looks again by itself
    tab.locator(".st-key-row-job").get_by_role("button", name="Pause").click()
    expect(tab.locator(".st-key-row-job").get_by_role("button", name="Resume")).to_be_visible()
    tab.get_by_role("button", name="Try again").click()
    expect(tab.get_by_text("It is tried again when it next comes by")).to_be_visible()
    picture(tab, "operations.png")

    stage.close()
    expect(tab.get_by_text("The service cannot be reached")).to_be_visible()
    expect(tab.locator(".st-key-row-job")).to_have_count(0)
    stage.open()
    expect(tab.locator(".st-key-row-job")).to_be_visible()
    expect(tab.get_by_text("The service cannot be reached")).to_have_count(0)
    script.jobs.kept, script.sources.kept = {}, {}


def test_what_a_question_is_narrowed_to_is_shown_and_can_be_removed(
    tab: Page, scripted_page: tuple[scripted.Script, str]
) -> None:
    script, address = scripted_page
    script.events, script.pause, script.going = scripted.backup(), 0, True
    hostile = "![x](http://evil.example/a.png) :red[no]"
    script.stored.append(scripted.document("Other", "/shared/other.txt"))
    script.offered = Facets(tags=(Facet("safety", 1, "safety"), Facet(hostile, 1, hostile)))
    tab.goto(address)
    tab.get_by_role("combobox", name="Narrow to").click()
    for tag in ("safety", hostile):
        tab.get_by_role("option", name=f"Tag: {tag}", exact=True).click()
    tab.keyboard.press("Escape")
    ask(tab, "How do I back up?")
    expect(tab.locator(".fn-narrowed")).to_have_text(f"Only Tag: safety · Tag: {hostile}")
    picture(tab, "narrowed.png")
    assert script.asked[-1].filters == Filters(tags=frozenset({"safety", hostile}))

    for tag in ("safety", hostile):
        tab.get_by_role("button", name=f"Remove Tag: {tag}").click()
    ask(tab, "And then?")
    expect(tab.locator(".fn-question").first).to_have_text("And then?")
    expect(tab.locator(".fn-narrowed")).to_have_count(1)  # of the question before
    assert script.asked[-1].filters == UNFILTERED
    assert tab.__dict__["outside"] == []
    del script.stored[1:]
    script.offered = Facets()


def test_a_hostile_answer_loads_and_links_nothing(
    tab: Page, scripted_page: tuple[scripted.Script, str]
) -> None:
    script, address = scripted_page
    found = scripted.passage(scripted.document(), "\n\n".join(FORMS))
    whole = scripted.answer(
        found.text, [scripted.citation(found, found.text)], extractive=False, model="gpt-oss-20b"
    )
    script.events = scripted.told(whole.text, [found], whole)
    script.pause, script.going = 0, True
    tab.goto(address)
    ask(tab, "What is there?")
    expect(tab.locator(".fn-note")).to_have_count(1)

    answer = tab.locator(".fn-answer").first  # what is redrawn is there twice for a moment
    expect(answer).to_contain_text("http://evil.example/?q=secret")
    expect(tab.locator(".fn-answer")).to_have_count(1)
    assert loading_nodes(tab, ".stHtml") == []
    assert tab.__dict__["outside"] == []


def test_without_our_rendering_the_same_answer_does_load_and_link(
    tab: Page, tmp_path: Path
) -> None:
    control = tmp_path / "control.py"
    control.write_text(f"import streamlit as st\nst.markdown({chr(10) * 2!r}.join({FORMS!r}))\n")
    with streamlit(control) as address:
        tab.goto(address)
        expect(tab.locator(".stMarkdown a").first).to_be_attached()
        nodes = len(loading_nodes(tab, ".stMarkdown"))
        outside = tab.__dict__["outside"]

    print(f"\nStreamlit's Markdown: {nodes} links and images, {len(outside)} requests; ours: 0, 0")
    assert nodes > 10
    assert outside


def ask(tab: Page, question: str) -> None:
    box = tab.get_by_role("textbox", name="Ask a question")
    expect(box).to_be_enabled()
    box.fill(question)
    box.press("Enter")


def loading_nodes(tab: Page, within: str) -> list[str]:
    """Return what in these parts of the page could load something or lead away."""
    settle(tab)
    expect(tab.locator(within).first).to_be_visible()
    found: list[str] = tab.locator(f"{within} :is({LOADED})").evaluate_all(
        "nodes => nodes.map(node => node.outerHTML.slice(0, 200))"
    )
    return found


def picture(tab: Page, name: str) -> None:
    """Keep what the reader sees, as an artefact of the build."""
    settle(tab)
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    tab.mouse.move(0, 0)
    tab.screenshot(path=folder / name)


def settle(tab: Page) -> None:
    expect(tab.locator(".stApp")).to_have_attribute("data-test-script-state", "notRunning")


@contextlib.contextmanager
def page_on(url: str, **more: str) -> Iterator[str]:
    """Run `footnote ui` on the service at `url`; yield the page's address."""
    port = service.free_port()
    settings = {"FOOTNOTE_API_URL": url, "FOOTNOTE_UI_PORT": str(port), **more}
    with _running(service.command(ROOT / "build", "ui", **settings), port) as address:
        yield address


@contextlib.contextmanager
def streamlit(script: Path) -> Iterator[str]:
    """Run any Streamlit script; yield its address."""
    port = service.free_port()
    words = ["-m", "streamlit", "run", str(script), "--server.port", str(port)]
    words += ["--server.address", "127.0.0.1", "--server.headless", "true"]
    with _running([sys.executable, *words], port) as address:
        yield address


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[str]:
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        _await(f"{address}/_stcore/health", process)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the page ended with {process.returncode}"
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError("the page did not start")


def _leaves(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
