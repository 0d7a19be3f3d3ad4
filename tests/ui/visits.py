"""Streamlit's own test of a page: it runs the script, and shows what it drew."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from knowledge.settings import ROOT

APP = ROOT / "ui" / "app.py"
Visit = Callable[..., AppTest]
"""Opens the page on the service at a URL, with a key where it needs one."""


def ask(page: AppTest, question: str) -> None:
    page.chat_input[0].set_value(question).run()
    assert not page.exception


def button(page: AppTest, label: str) -> Button:
    return next(each for each in page.button if each.label == label)


def seen(page: AppTest) -> str:
    """What the main part of the page holds."""
    return "".join(html.proto.body for html in page.main.get("html"))


def aside(page: AppTest) -> str:
    """What the sidebar holds."""
    return "".join(html.proto.body for html in page.sidebar.get("html"))
