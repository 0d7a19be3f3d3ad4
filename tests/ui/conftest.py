from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from tests.ui.scripted import Script
from tests.ui.visits import APP, Visit


@pytest.fixture(scope="session", autouse=True)
def packages_are_looked_through_once() -> Iterator[None]:
    """Streamlit's test looks for components in all installed packages, at every run of the page."""
    with pytest.MonkeyPatch.context() as patch:
        scan = manifest_scanner.scan_component_manifests
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(scan))
        yield


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Visit]:
    """Open the page on the service at a URL."""
    visits: list[AppTest] = []

    def opened(url: str, key: str = "") -> AppTest:
        monkeypatch.setenv("FOOTNOTE_API_URL", url)
        monkeypatch.setenv("FOOTNOTE_API_KEY", key)
        visits.append(AppTest.from_file(APP, default_timeout=30).run())
        return visits[-1]

    yield opened
    for page in visits:
        page.session_state.client.close()


@pytest.fixture
def script() -> Script:
    return Script()
