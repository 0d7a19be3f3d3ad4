"""`footnote feedback`: what people said of answers, to be read or to measure with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from footnote import show
from footnote.desk import Desk, open_desk
from knowledge.settings import Settings

Json = dict[str, Any]
_PAGE = 100


def feedback(settings: Settings, *, as_json: bool, say: Callable[[str], None]) -> None:
    """Print one line for each answer that somebody said something of."""
    with open_desk(settings, command="feedback", say=say) as desk:
        found = list(_all(desk))
    for each in found:
        print(json.dumps(each, ensure_ascii=False) if as_json else _line(each))
    if not found:
        say("nobody has said anything of an answer yet")


def _all(desk: Desk) -> Iterator[Json]:
    after: str | None = None
    while True:
        page = desk.feedback(after=after, limit=_PAGE)
        yield from page["feedback"]
        after = page["next"]
        if after is None:
            return


def _line(judged: Json) -> str:
    said = judged["feedback"]
    words = [said["rating"], said["reason"] or "", judged["question"], said["comment"]]
    words.append(f"should be: {said['correction']}" if said["correction"] else "")
    return "  ".join(show.clean(" ".join(word.split())) for word in words if word)
