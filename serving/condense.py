"""Has the model write a follow-up so that it stands alone, to search with."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass, replace

from knowledge.errors import ModelError
from knowledge.models import Context, Effort, Question
from serving.conversing import Conversing
from serving.markers import plain
from serving.prompt import condense_messages

LONGEST_QUERY = 500
"""Characters; what is longer is no question but an answer to one."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Condenser:
    """Asks `model`, for at most `seconds`, the line before it included."""

    model: Conversing
    seconds: float

    async def condense(self, question: Question) -> Question:
        """Return the question with the query that it is searched with.

        Without earlier turns, or where the model fails, is late or says nothing of use, the query
        stays empty, and retrieval makes one of the user's turns.
        """
        if not question.history:
            return question
        try:
            async with asyncio.timeout(self.seconds):
                said = await self._ask(question)
        except (ModelError, TimeoutError) as error:
            log.warning("no query from model %s: %s", self.model.name, type(error).__name__)
            return question
        query = " ".join(plain(said).split())
        return replace(question, query=query if len(query) <= LONGEST_QUERY else "")

    async def _ask(self, question: Question) -> str:
        context = Context(replace(question, effort=Effort.LOW), ())
        async with aclosing(self.model.converse(context, condense_messages(question), ())) as said:
            return "".join([delta.text async for delta in said])
