"""How questions are answered, and so the whole of an installation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from footnote.wiring.upkeep import Upkeep
from knowledge.errors import FootnoteError
from knowledge.models import Effort, FeedState, Gap, Question, Refused, Unsupported
from knowledge.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from knowledge.ports import Generator, Judge, Reranker
    from retrieval.retriever import Retriever
    from serving.answer import Answerer
    from serving.answerable import Answerability
    from serving.archive import Archive
    from serving.auth import Gate
    from serving.browse.research import Researcher
    from serving.condense import Condenser
    from serving.conversing import Conversing
    from serving.metrics import Stock
    from serving.quoting import QuoteFirst
    from serving.services import Services
    from serving.steady.model import SteadyModel
    from serving.steady.standing import Standing
    from serving.verify import Verifier
    from serving.window import Window

VERSION = version("footnote")
CALIBRATION = "answerable.json"
"""What `footnote calibrate` keeps in the data folder."""
MODEL_ASKED_SECONDS = 10.0
MODEL_FAILURES = 5
"""In a row, after which the model server is left alone."""
MODEL_REST_SECONDS = 30.0
"""After which one question tries whether it is well again."""


class House(Upkeep):
    """All parts of one installation, opened on first use and closed together."""

    def __init__(self, settings: Settings, *, only_indexes: bool = False) -> None:
        super().__init__(settings, only_indexes=only_indexes)
        self._model_asked_at = float("-inf")
        self._model_was_there = False

    @cached_property
    def retriever(self) -> Retriever:
        """The story of retrieval."""
        from knowledge.vocabulary import count_tokens
        from retrieval.ranker import Ranker
        from retrieval.retriever import Retriever
        from serving.prompt import source_tokens

        return Retriever(
            space=self.spaces.live,
            library=self.catalog,
            cost=lambda passage: source_tokens(passage, count_tokens),
            budget=self.budget,
            context_passages=self.settings.context_passages,
            per_document=self.settings.context_per_document,
            ranker=Ranker(self.settings.ranking, self._reranker()),
        )

    def budget(self, question: Question) -> int:
        """Return how many tokens of passages a question's writer reads."""
        most = self.settings.context_tokens
        return self.window.sources(question, most) if self.settings.model_url else most

    @cached_property
    def window(self) -> Window:
        """What fits the model."""
        from footnote.wiring.model import window

        return window(self.settings)

    def _reranker(self) -> Reranker | None:
        if self.settings.rerank_model is None:
            return None
        from knowledge.embedding.cross_encoder import CrossEncoderReranker

        return CrossEncoderReranker(self.settings.rerank_model)

    @cached_property
    def answerer(self) -> Answerer:
        """The story of an answer: a model writes it, or quotes do."""
        from serving.answer import Answerer

        quotes = self._extractive()
        if not self.settings.model_url:
            return Answerer(retriever=self.retriever, generator=quotes, verifier=self._verifier())
        return Answerer(
            retriever=self.retriever,
            generator=self.model,
            remember=self.window.remember,
            fallback=quotes,
            researcher=self._researcher(self.model),
            condenser=self._condenser(self.model),
            verifier=self._verifier(),
            unsupported=Unsupported(self.settings.unsupported),
            judge=self.answerability if self.settings.model_if_answerable else None,
        )

    def _verifier(self) -> Verifier:
        from serving.verify import Verifier

        return Verifier(self.embedder, self._judge())

    def _judge(self) -> Judge | None:
        if self.settings.nli_model is None:
            return None
        from knowledge.embedding.entailment import CrossEncoderJudge

        return CrossEncoderJudge(self.settings.nli_model)

    @cached_property
    def model(self) -> SteadyModel:
        """The model server, behind a line and a breaker."""
        from footnote.wiring.model import adapter
        from serving.steady.breaker import Breaker
        from serving.steady.line import Line
        from serving.steady.model import SteadyModel

        settings = self.settings
        return SteadyModel(
            adapter(self.settings),
            line=Line(places=settings.model_places, waiting=settings.model_queue),
            breaker=Breaker(failures=MODEL_FAILURES, seconds=MODEL_REST_SECONDS),
            seconds=settings.model_timeout,
        )

    async def close_model(self) -> None:
        """Close the connections to the model server, in the loop that made them."""
        if "model" in self.__dict__:
            await self.model.aclose()

    def _researcher(self, model: SteadyModel) -> Researcher | QuoteFirst | None:
        from serving.browse.research import Researcher
        from serving.quoting import QuoteFirst

        settings = self.settings
        if settings.quote_first:
            return QuoteFirst(model)
        if not settings.research_rounds:
            return None
        return Researcher(
            model=model,
            retriever=self.retriever,
            library=self.catalog,
            window=self.window,
            rounds=settings.research_rounds,
            tokens=settings.research_tokens,
            calculates=settings.calculation,
        )

    def _condenser(self, model: Conversing) -> Condenser | None:
        from serving.condense import Condenser

        seconds = self.settings.condense_seconds
        return Condenser(model, seconds) if seconds else None

    def _extractive(self) -> Generator:
        from serving.extractive import ExtractiveGenerator

        return ExtractiveGenerator(
            self.settings.support_threshold, self.embedder, self.answerability
        )

    @cached_property
    def answerability(self) -> Answerability | None:
        """Tells whether passages answer; None where no weights are of this embedding model."""
        from serving.answerable import SHIPPED, Answerability, read_weights

        own = self.settings.data_dir / CALIBRATION
        weights = read_weights(own if own.exists() else SHIPPED)
        if weights.embedder != self.embedder.name:
            return None
        if self.settings.answerable is not None:
            weights = replace(weights, threshold=self.settings.answerable)
        return Answerability(weights, self.embedder, lambda chunks: self.index.vectors(chunks))

    @cached_property
    def gate(self) -> Gate:
        """Who may ask; raises `ConfigurationError` where keys are needed and missing."""
        from serving.auth import gate
        from serving.keys import KeyRing

        path = self.settings.api_keys_file
        return gate(
            host=self.settings.host,
            embedded=self.settings.embedded,
            keys=KeyRing(path) if path else None,
            hosts=self.settings.allowed_hosts.split(","),
            owner_token=self.owner_token if self.settings.embedded else "",
        )

    @cached_property
    def app(self) -> FastAPI:
        """The HTTP API over all of it; everything is open once this returns."""
        from serving.api import create_app

        return create_app(self.services)

    @cached_property
    def services(self) -> Services:
        """What the HTTP API stands on."""
        from serving.metrics import Metrics
        from serving.services import Services

        return Services(
            answerer=self.answerer,
            closing=self.close_model,
            retriever=self.retriever,
            library=self.catalog,
            intake=self.intake,
            archive=self.archive,
            sources=self.keeper,
            jobs=self.jobs,
            gate=self.gate,
            health=self.health,
            refusals=self.refusals,
            gaps=self.gaps,
            reindexer=self.reindexer,
            metrics=Metrics(self.stock, self.model_standing),
            version=VERSION,
            effort=Effort(self.settings.effort),
            max_upload_bytes=self._max_bytes,
            operator=self.settings.embedded,
        )

    @cached_property
    def archive(self) -> Archive:
        """What was asked and answered."""
        from serving.archive import Archive

        return Archive(
            self.catalog,
            self.catalog,
            settings=self.settings.digest(),
            keeps=self.settings.conversations,
        )

    def stock(self) -> Stock:
        """Count what there is, for monitoring."""
        from serving.metrics import SourceState, Stock

        counts = self.catalog.counts()
        return Stock(
            documents=counts.documents,
            passages=counts.chunks,
            points=self.index.count(),
            generation=self.spaces.live_generation().number,
            revisions=counts.revisions,
            jobs=counts.jobs,
            refused=counts.failures,
            quarantined=self.catalog.quarantine_size(),
            sources=[
                SourceState(
                    id=feed.id,
                    documents=fresh.documents,
                    failed=feed.state is FeedState.FAILED,
                    p50=fresh.p50,
                    p95=fresh.p95,
                )
                for feed, fresh in self.keeper.feeds()
            ],
        )

    def model_standing(self) -> Standing | None:
        """Say how it stands with the model server, for monitoring."""
        return self.model.standing() if self.settings.model_url else None

    def refusals(self) -> list[Refused]:
        """List what is not indexed of all that was handed in, latest first."""
        return self.catalog.refused()

    def gaps(self, after: str | None, limit: int) -> list[Gap]:
        """List documents of which little or nothing can be found, by id."""
        return self.catalog.gaps(after=after, limit=limit)

    def health(self) -> Mapping[str, str]:
        """Say of each part whether it answers, and who writes the answers."""
        parts = {
            "catalog": _word(_works(self.catalog.ping)),
            "index": _word(_works(lambda: self.index.count("none"))),
        }
        if not self.settings.model_url:
            return parts | {"answers": "extractive"}
        return parts | {"model": _word(self._model_answers()), "answers": self.settings.model_name}

    def _model_answers(self) -> bool:
        """Ask the model server, but not more often than every few seconds: anyone may ask us."""
        from footnote.client import probe

        if time.monotonic() - self._model_asked_at > MODEL_ASKED_SECONDS:
            self._model_asked_at = time.monotonic()
            key = self.settings.model_api_key.get_secret_value()
            url = f"{self.settings.model_url.rstrip('/')}/models"
            self._model_was_there = probe(url, key=key, seconds=1)[0] == 200
        return self._model_was_there


def _works(call: Callable[[], object]) -> bool:
    try:
        call()
    except FootnoteError:
        return False
    return True


def _word(works: bool) -> str:
    return "ok" if works else "does not answer"
