"""Python runs this at the start of each child process of the tests: they are guarded as well."""

from __future__ import annotations

import os
from pathlib import Path

import loopback_only  # type: ignore[import-not-found]  # this folder is on the path

if report := os.environ.get("FOOTNOTE_GUARD_REPORT"):  # noqa: TID251  # before any of our code
    loopback_only.install(Path(report))
