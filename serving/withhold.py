"""Lets the sentences of an answer through once they are verified, and keeps the others back."""

from __future__ import annotations

from knowledge.models import Backing, Context
from serving.cite import Claim, claims, states
from serving.verify import Verification


class Gate:
    """Takes a text in pieces and gives those sentences back that what they cite carries.

    A heading or lead-in waits for a sentence that is carried, and goes with those that are not.
    """

    def __init__(self, verification: Verification, context: Context) -> None:
        self.withheld = 0
        """Sentences that were kept back."""
        self.context = context
        """What marks point into; a writer may read on."""
        self._verification = verification
        self._pending = ""
        self._waiting = ""
        self._shown = False

    def feed(self, piece: str) -> str:
        """Take more text; return what may be shown of all that came so far."""
        self._pending += piece
        whole = claims(self._pending)[:-1]
        if whole and _settled(self._pending[whole[-1].span.end :]):
            return self._release(whole)
        return ""

    def finish(self) -> str:
        """Return what may be shown of the rest, once nothing more will come."""
        return self._release(claims(self._pending))

    def _release(self, whole: list[Claim]) -> str:
        shown, start = "", 0
        for claim in whole:
            sentence = self._pending[start : claim.span.end]
            start = claim.span.end
            if not states(claim):
                self._waiting += sentence
            elif self._is_carried(sentence):
                shown += self._waiting + sentence
                self._waiting = ""
            else:
                self.withheld += 1
                self._waiting = ""
        self._pending = self._pending[start:]
        shown = shown if self._shown else shown.lstrip()
        self._shown = self._shown or bool(shown)
        return shown

    def _is_carried(self, sentence: str) -> bool:
        """Say whether nothing in it is unsupported; read alone, it may be several sentences."""
        verified = self._verification.verify(sentence, self.context)
        judged = verified.statements
        carried = all(each.backing is not Backing.UNSUPPORTED for each in judged)
        return carried and bool(judged or verified.silences)


def _settled(rest: str) -> bool:
    """Say whether the next sentence has begun so far that the one before cannot grow any more."""
    words = rest.split()
    return len(words) > 1 or (len(words) == 1 and rest[-1].isspace())
