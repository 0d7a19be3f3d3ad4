"""Settings, read from the environment (prefix `FOOTNOTE_`) and from `.env` at the root of the tree.

The only file that reads the environment. Only entry points build `Settings`.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict

from knowledge.errors import ConfigurationError
from knowledge.models import Effort
from knowledge.ranking import Ranking

ROOT = Path(__file__).resolve().parent.parent

HomePath = Annotated[Path, AfterValidator(Path.expanduser)]
"""A path that may begin with `~`, which no shell expands in `.env`."""
RootPath = Annotated[Path, AfterValidator(lambda path: ROOT / path.expanduser())]
"""A path that begins at the root of the tree unless it is absolute, as Docker Compose reads it."""


_RANKING = Ranking()


class Settings(BaseSettings):
    """Everything an operator can set; a default stands here and nowhere else."""

    model_config = SettingsConfigDict(
        env_prefix="FOOTNOTE_", env_file=ROOT / ".env", extra="ignore", frozen=True
    )

    # where things are
    data_dir: HomePath = Field(ROOT / "data", description="Everything embedded lives under it.")
    database_url: str = Field(
        "", description="PostgreSQL URL of the catalog; empty: SQLite in the data folder."
    )
    qdrant_url: str = Field("", description="URL of a Qdrant server; empty: Qdrant Edge.")
    qdrant_api_key: SecretStr = Field(SecretStr(""), description="Key of the Qdrant server.")
    qdrant_collection: str = Field("footnote", description="Name of the Qdrant collection.")
    qdrant_shards: int = Field(
        1, ge=1, le=1000, description="Parts of a collection that a Qdrant cluster spreads."
    )
    qdrant_replicas: int = Field(
        1, ge=1, le=100, description="Copies of each part, each on a machine of its own."
    )
    qdrant_quantization: Literal["none", "int8", "binary"] = Field(
        "none", description="Smaller vectors in memory; what is found is scored by the exact ones."
    )
    qdrant_on_disk: bool = Field(
        False, description="Keep exact vectors, postings and payloads on disk instead of in memory."
    )
    parser_socket: HomePath | None = Field(
        None, description="Unix socket of a parser service; empty: a child process of its own."
    )

    # who may ask
    host: str = Field("127.0.0.1", description="Address to listen on; beyond loopback needs keys.")
    port: int = Field(8765, ge=0, le=65535, description="Port of the API; 0 picks a free one.")
    ui_port: int = Field(8501, ge=0, le=65535, description="Port of the page.")
    api_keys_file: HomePath | None = Field(
        None, description="File of hashed API keys; required beyond loopback."
    )
    api_url: str = Field("", description="Where the page finds the API; empty: this machine.")
    api_key: SecretStr = Field(SecretStr(""), description="Key the page uses for the API.")
    allowed_hosts: str = Field(
        "", description="Comma-separated host names the API answers to, besides loopback."
    )

    # the model
    model_url: str = Field(
        "", description="Base URL of an OpenAI-compatible server (…/v1); empty: extractive answers."
    )
    model_name: str = Field("gpt-oss-20b", description="Model name to ask for.")
    model_api_key: SecretStr = Field(SecretStr(""), description="Key of the model server.")
    model_timeout: float = Field(120.0, gt=0, description="Seconds for a whole answer.")
    first_token_timeout: float = Field(60.0, gt=0, description="Seconds until the first text.")
    effort: Literal["low", "medium", "high"] = Field("low", description="Default effort.")
    model_window: int = Field(
        0,
        ge=0,
        description="Tokens of request and answer that it takes; 0: what the engine's profile has.",
    )
    thinking_tokens: str = Field(
        "",
        description="Cap on reasoning tokens, or one by effort: low=256,high=4096; empty: none "
        "(needs vLLM's --reasoning-config).",
    )
    answer_tokens: int = Field(1024, ge=64, description="Cap on the tokens of an answer.")
    citation_grammar: bool = Field(
        False,
        description="Whether vLLM holds answers to a grammar, which only lets sources be cited.",
    )
    model_places: int = Field(
        16, ge=1, description="How many answers the model writes at once; the rest waits."
    )
    model_queue: int = Field(
        64, ge=0, description="How many may wait; others are answered with quotes."
    )
    condense_seconds: float = Field(
        5.0,
        ge=0,
        description="How long the model may take to rewrite a follow-up for the search; 0: never.",
    )
    research_rounds: int = Field(
        4,
        ge=0,
        le=20,
        description="At high effort, how often the model may search and read on; 0: not at all.",
    )
    calculation: bool = Field(
        False, description="Whether it may then have numbers of documents worked out."
    )
    quote_first: bool = Field(
        False,
        description="At high effort, name sentences first and write from those, instead.",
    )
    research_tokens: int = Field(
        12_000, ge=1024, description="How much it may read on the way, in tokens of gpt-oss."
    )

    # vLLM, as compose.yaml and `footnote engine` start it
    weights_dir: RootPath = Field(
        ROOT / "weights", description="Folder with the model's, named as it is."
    )
    engine_profile: Literal["", "16gb", "80gb", "h200"] = Field(
        "", description="Class of the GPU; empty: the smallest that holds the model."
    )
    gpus: int = Field(1, ge=1, description="How many GPUs share the model.")
    moe_backend: Literal[
        "auto", "triton", "marlin", "humming", "flashinfer_cutlass", "flashinfer_trtllm"
    ] = Field("auto", description="What vLLM computes the experts with.")
    moe: Literal["auto", "kernels", "off"] = Field(
        "auto", description="Our plugin for the experts: flags by tables, kernels too, or nothing."
    )
    moe_tables: str = Field("/tables", description="Folder of the site's tables, as vLLM sees it.")

    # what is kept of conversations
    conversations: bool = Field(
        True, description="Whether questions and answers are kept, each person's own."
    )
    conversation_days: int = Field(
        90, ge=0, description="Days after which one that rests is deleted; 0: never."
    )

    # embedding and retrieval
    embedding_model: HomePath | None = Field(
        None, description="Folder of a sentence-transformers model; empty: the bundled MiniLM."
    )
    chunk_tokens: int = Field(256, ge=32, le=8192, description="Largest chunk, in tokens.")
    fusion: Literal["scores", "places"] = Field(
        "scores", description="How the two searches become one: by scores, or by places alone."
    )
    word_weight: float = Field(
        _RANKING.word_weight,
        ge=0,
        le=1,
        description="Share of the search by words in a score; 0: meaning alone.",
    )
    language_trust: bool = Field(
        _RANKING.language_trust,
        description="Whether words weigh more in languages that the model does not know.",
    )
    candidates: int = Field(
        _RANKING.candidates,
        ge=10,
        le=1000,
        description="How many passages each search hands to the fusion.",
    )
    relevance_feedback: float = Field(
        _RANKING.relevance_feedback,
        ge=0,
        le=0.5,
        description="How far a question moves to its best passage to be searched again; 0: not.",
    )
    collapse: bool = Field(
        _RANKING.collapse, description="Whether passages that repeat a better one come last."
    )
    spread: int = Field(
        _RANKING.spread,
        ge=0,
        description="Most passages of a document before those of others; 0: any number.",
    )
    follow: int = Field(
        _RANKING.follow,
        ge=0,
        le=50,
        description="At high effort, how many names in the first passages are searched, too.",
    )
    recency: float = Field(
        _RANKING.recency,
        ge=0,
        le=1,
        description="What a document of today adds to a score of 0 to 1.",
    )
    recency_days: float = Field(
        _RANKING.recency_days, gt=0, description="Age at which it adds half of that."
    )
    standing: str = Field(
        "", description="What statuses in metadata add, such as approved=0.1,draft=-0.2."
    )
    rerank_model: HomePath | None = Field(
        None, description="Folder of a sentence-transformers CrossEncoder; empty: no reranking."
    )
    rerank_passages: int = Field(
        _RANKING.rerank_passages, ge=1, le=100, description="How many passages it reads."
    )
    family_likeness: float = Field(
        0.8, ge=0.5, le=1, description="Share of common word runs that makes documents a family."
    )
    context_tokens: int = Field(
        4096, ge=256, description="Budget for passages, in tokens of gpt-oss."
    )
    context_passages: int = Field(12, ge=1, le=64, description="Most passages in a context.")
    context_per_document: int = Field(
        6, ge=1, le=64, description="Most of them from one document while others have more."
    )
    answerable: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least probability that it is answered; empty: what `calibrate` chose.",
    )
    model_if_answerable: bool = Field(
        False, description="Whether the model, too, is only asked from that probability on."
    )
    support_threshold: float = Field(
        0.45, ge=0, le=1, description="Weakest support at which the extractive writer answers."
    )

    unsupported: Literal["mark", "withhold", "repair"] = Field(
        "mark",
        description="What becomes of sentences that their sources do not carry: marked, left out, "
        "or given back to the model once.",
    )

    nli_model: HomePath | None = Field(
        None, description="Folder of a CrossEncoder for inference that judges quotes; empty: none."
    )

    # ingestion limits
    max_file_mb: int = Field(200, ge=1, description="Largest file that is read.")
    max_documents_per_file: int = Field(
        200_000, ge=1, description="Most documents in one JSON-lines file."
    )
    parse_seconds: int = Field(100, ge=1, description="Longest time to parse one file.")
    parse_memory_mb: int = Field(2048, ge=256, description="Most memory to parse one file.")
    ocr_languages: str = Field(
        "eng", description="Languages of scanned pages, such as deu+eng; empty: no recognition."
    )

    # sources that are kept in sync
    crawl_private: str = Field(
        "",
        description="Comma-separated hosts and networks on private addresses that may be crawled.",
    )
    readers: str = Field(
        "",
        description="Comma-separated LlamaIndex readers that sources may use: module:Class.",
    )
    reader_seconds: int = Field(600, ge=1, description="Longest time for a reader to load.")

    @property
    def ranking(self) -> Ranking:
        """Return how passages are ranked; raises `ConfigurationError` for a bad `standing`."""
        shared = {each.name: getattr(self, each.name) for each in fields(Ranking)}
        return Ranking(**{**shared, "standing": _standings(self.standing)})

    @property
    def thinking(self) -> dict[Effort, int]:
        """Return the caps on reasoning by effort; raises `ConfigurationError` for other words."""
        written = self.thinking_tokens.strip()
        if written.isdecimal():
            return dict.fromkeys(Effort, int(written))
        try:
            pairs = [each.split("=") for each in written.split(",") if each.strip()]
            return {Effort(name.strip()): int(tokens) for name, tokens in pairs}
        except ValueError as error:
            raise ConfigurationError(f"FOOTNOTE_THINKING_TOKENS: {error}") from error

    def digest(self) -> str:
        """Return a short digest of all but secrets and places, to tell one set-up from another."""
        telling = self.model_dump_json(exclude=_PLACES)
        return hashlib.sha256(telling.encode()).hexdigest()[:16]

    def sqlalchemy_url(self) -> str:
        """Return the catalog's URL; SQLite under the data folder unless one is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'catalog.sqlite'}"

    @property
    def embedded(self) -> bool:
        """Say whether this process owns catalog and index itself."""
        return not self.database_url and not self.qdrant_url


_PLACES = {
    *("data_dir", "database_url", "qdrant_url", "qdrant_api_key", "qdrant_collection"),
    *("parser_socket", "host", "port", "ui_port", "api_keys_file", "api_url", "api_key"),
    *("allowed_hosts", "model_url", "model_api_key", "conversations", "conversation_days"),
}
"""Settings that say nothing of how an answer is made."""


def _standings(written: str) -> dict[str, float]:
    try:
        pairs = [each.rpartition("=") for each in written.split(",") if each.strip()]
        return {name.strip().casefold(): float(value) for name, _, value in pairs}
    except ValueError as error:
        raise ConfigurationError(f"FOOTNOTE_STANDING: {error}") from error


def parser_environment() -> dict[str, str]:
    """Return the whole environment of the parser process: no secrets, no telemetry, one thread."""
    here = os.environ  # noqa: TID251 (this is the file that may)
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
    return {name: here[name] for name in kept if name in here} | {
        "PYTHONPATH": str(ROOT),
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_THREAD_LIMIT": "1",
    }


OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
}


def load_settings() -> Settings:
    """Build the settings; raises `ConfigurationError` naming the variable that is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"FOOTNOTE_{name}: {first['msg']}") from error
    if bool(settings.database_url) != bool(settings.qdrant_url):
        raise ConfigurationError(
            "set both FOOTNOTE_DATABASE_URL and FOOTNOTE_QDRANT_URL, or neither: embedded stores "
            "have one owner, servers have many"
        )
    return settings


SECRETS = "footnote_secret_"
"""Begins the variables that hold secrets of sources, as `${env:NAME}` in their settings."""


def source_secrets() -> dict[str, str]:
    """Return the secrets for sources by name, in capitals, from the environment and `.env`."""
    here = {name.lower(): value for name, value in os.environ.items()}  # noqa: TID251 (may)
    written = {**DotEnvSettingsSource(Settings).env_vars, **here}
    return {
        name.removeprefix(SECRETS).upper(): value
        for name, value in written.items()
        if name.startswith(SECRETS) and value
    }


OF_COMPOSE = ("publish", "version", "vllm_memory", "vllm_image")
"""Variables that only `compose.yaml` reads."""


def misspelt() -> Iterator[tuple[str, str]]:
    """Yield each `FOOTNOTE_` variable that nothing reads, with the setting it may stand for."""
    known = [*Settings.model_fields, *TestSettings.model_fields, *OF_COMPOSE]
    here = os.environ.keys()  # noqa: TID251 (this is the file that may)
    written = {name.lower() for name in DotEnvSettingsSource(Settings).env_vars.keys() | here}
    for name in sorted(written):
        prefix, ours, rest = name.partition("footnote_")
        if ours and not prefix and rest not in known and not name.startswith(SECRETS):
            likely = difflib.get_close_matches(rest, known, 1)
            yield name.upper(), f"FOOTNOTE_{likely[0].upper()}" if likely else ""


def go_offline() -> None:
    """Tell the libraries, before they are imported, to fetch nothing and to report to nobody."""
    os.environ.update(OFFLINE)  # noqa: TID251 (this is the file that may)


def child_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with `variables` on top, for a child process of ours."""
    return {**os.environ, **OFFLINE, **variables}  # noqa: TID251 (this is the file that may)


class TestSettings(BaseSettings):
    """What the test suite may be told; it skips with a reason where something is unset."""

    __test__ = False
    model_config = SettingsConfigDict(env_prefix="FOOTNOTE_", extra="ignore", frozen=True)

    eval_data: Path | None = Field(None, description="Folder of evaluation sets.")
    test_require: str = Field("", description="`all`: a skip for a missing tool is a failure.")
    test_chunks: int = Field(100_000, description="How large the corpus of bench-scale is.")
    test_qdrant_url: str = Field("", description="A real Qdrant server for the contract suite.")
    test_database_url: str = Field("", description="A real PostgreSQL for the contract suite.")
