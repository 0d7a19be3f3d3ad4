"""Verifies the sentences of an answer while later ones are written."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from concurrent.futures import Future

from knowledge.models import Context
from serving.cite import MARK, claims
from serving.verify import Abandoned, Verification

STRIDE = 40
"""Characters of a sentence after which it is worth while to read up."""
LONGEST = 2000
"""Characters that are looked at aside; a model that writes without end has no sentences."""
LATELY = 2
"""Marks."""

log = logging.getLogger(__name__)


class Ahead:
    """Looks at an answer aside, whenever a sentence of it is whole, one look at a time.

    In the midst of a long one it reads up on what that may cite: what was cited last. What it finds
    stays with the `verification`, for which little is left to do at the end then.
    Where a look fails, nothing is lost but time: the end looks again, and tells.
    """

    def __init__(self, verification: Verification, in_sight: Callable[[], Context]) -> None:
        """`in_sight` returns the context that marks point into by now."""
        self._verification = verification
        self._in_sight = in_sight
        self._due = False
        self._seen = 0
        """Characters that were verified."""
        self._looked_at = 0
        """Characters there were when it last looked."""
        self._looking: Future[None] | None = None

    def follow(self, text: str, piece: str) -> None:
        """Take note of all the text so far, and of the piece that it has grown by last.

        A sentence is whole, its marks with it, as soon as the first word after it begins.
        """
        self._due = self._due or _END.search(piece) is not None
        if len(text) - self._seen > LONGEST:
            return
        begun = self._due and piece.rstrip()[-1:].isalnum()
        if not (begun or len(text) >= self._looked_at + STRIDE) or self._verification.is_full:
            return
        if self._looking is None or self._looking.done():
            self._due, self._looked_at = self._due and not begun, len(text)
            self._looking = self._verification.aside.submit(self._look, text, self._in_sight())

    def _look(self, text: str, context: Context) -> None:
        try:
            if not (told := claims(text[self._seen :])):
                return
            whole = text[self._seen :][: told[-1].span.start]
            self._seen += len(whole)
            if whole.strip():
                self._verification.verify(whole, context)
            cited = [int(number) for number in MARK.findall(text)[-LATELY:]]
            self._verification.expect(told[-1].text, dict.fromkeys(cited or [1]), context)
        except Abandoned:
            log.debug("nobody waits for an answer any more")
        except Exception:
            log.warning("could not verify an answer ahead of its end", exc_info=True)


_END = re.compile(r"[.!?…。！？؟।\n]")
