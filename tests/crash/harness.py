"""Kills an ingesting process again and again, and looks each time at what it left behind."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.chunk import chunk
from ingest.recover import recover
from knowledge.access import access_filter
from knowledge.blobs import FolderBlobs
from knowledge.catalog.store import SqlCatalog
from knowledge.index.edge import EdgeIndex
from knowledge.models import (
    Document,
    Embedding,
    Parsed,
    Passage,
    Submission,
    SubmissionState,
    derive_id,
)
from knowledge.sparse import Bm25Encoder
from tests.crash.child import ANN, CHUNK_TOKENS, DIMENSION, STATES, Job, encode
from tests.fakes import FakeEmbedder

ROOT = Path(__file__).resolve().parents[2]
ANYWHERE = "anywhere"
"""Killed from outside, right after a promise."""
LINES = 20
CHANGED_PER_ROUND = 16
SEARCHED_PER_ROUND = 10
UPLOAD_NAMES = 5
DONE = SubmissionState.DONE
OPEN = (SubmissionState.RECEIVED, SubmissionState.WORKING)


@dataclass(slots=True)
class Report:
    """What was found over all kills."""

    kills: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Promised, and not kept."""
    half: list[str] = field(default_factory=list)
    """Visible, and not whole, or not what any file ever said."""
    promised: int = 0
    looked_at: int = 0

    def __str__(self) -> str:
        histogram = ", ".join(f"{state} {self.kills[state]}" for state in (*STATES, ANYWHERE))
        return (
            f"{self.kills.total()} kills ({histogram}); {self.promised} promises, "
            f"{self.looked_at} looks at visible documents: {len(self.lost)} lost, "
            f"{len(self.half)} half-visible"
        )


class Harness:
    """A data folder, a folder of documents that keeps changing, and what must hold between them."""

    def __init__(self, folder: Path, *, documents: int, seed: int, kind: str = "sound") -> None:
        self._data = folder / "data"
        self._docs = folder / "docs"
        self._promises = folder / "promises"
        self._data.mkdir()
        self._docs.mkdir()
        self._random = random.Random(seed)
        self._kind = kind
        self._serial = 0
        self._now: dict[str, str] = {}
        """What the folder says: text by uri."""
        self._seen: dict[str, str] = {}
        """What was visible at the last look."""
        self._uploaded: dict[str, str] = {}
        """Text by digest of its blob, of everything that was handed in."""
        self._accepted: set[str] = set()
        self._embedder = FakeEmbedder(dimension=DIMENSION)
        self._sparse = Bm25Encoder()
        self._names = [f"{n:03}.txt" for n in range(documents - LINES)]
        self.report = Report()
        self._fill()

    def kill(self, state: str, nth: int) -> None:
        """Change some documents, run a child until it dies in `state`, and look at what is left.

        `ANYWHERE`: it is killed as soon as it has made `nth` promises. A child that came to its
        end first is looked at too, and the next one is killed earlier.
        """
        died = False
        while not died:
            self._change()
            job = self._job("" if state == ANYWHERE else state, nth)
            died = self._run(job, promises=nth if state == ANYWHERE else 0)
            self._check(job)
            nth = max(nth // 2, 1)
        self.report.kills[state] += 1

    def finish(self) -> None:
        """Let a child run to its end; then everything must be there, and nothing else."""
        job = self._job("", 1)
        assert not self._run(job)
        self._check(job)
        self._check_converged()

    # --- the folder -----------------------------------------------------------------------------

    def _fill(self) -> None:
        for name in self._names:
            self._now[str(self._docs / name)] = self._text()
        for number in range(LINES):
            self._now[f"{self._docs / 'lines.jsonl'}#{number}"] = self._text()
        self._write()

    def _change(self) -> None:
        """Give some documents new text, take some away, bring some back."""
        uris = [str(self._docs / name) for name in self._names]
        uris += [f"{self._docs / 'lines.jsonl'}#{number}" for number in range(LINES)]
        chosen = self._random.sample(uris, min(CHANGED_PER_ROUND, len(uris) // 2))
        for place, uri in enumerate(chosen):
            if place < 2 and uri in self._now:
                del self._now[uri]
            else:
                self._now[uri] = self._text()
        self._write()

    def _text(self) -> str:
        """Return a text of several chunks in which every paragraph has a word of its own."""
        self._serial += 1
        filler = "the committee met and talked about the budget of the coming year at length and"
        paragraphs = range(self._random.randint(3, 6))
        return "\n\n".join(f"{_word(self._serial, n)} says that {filler}" for n in paragraphs)

    def _write(self) -> None:
        lines = []
        for path in self._docs.iterdir():
            if str(path) not in self._now:
                path.unlink()
        for uri, text in self._now.items():
            name, _, number = uri.partition("#")
            if number:
                lines.append(json.dumps({"id": number, "text": text}))
            else:
                Path(name).write_text(text)
        (self._docs / "lines.jsonl").write_text("\n".join(lines))

    # --- a run ----------------------------------------------------------------------------------

    def _job(self, state: str, nth: int) -> Job:
        uploads = []
        for _ in range(2):
            text = self._text()
            uploads.append((f"upload{self._random.randrange(UPLOAD_NAMES)}.txt", text))
        return Job(
            data=str(self._data),
            docs=str(self._docs),
            promises=str(self._promises),
            state=state,
            nth=nth,
            uploads=tuple(uploads),
            uploads_first=bool(self._random.getrandbits(1)),
            kind=self._kind,
        )

    def _run(self, job: Job, *, promises: int = 0) -> bool:
        """Run a child; say whether it was killed, by itself or, after `promises`, from here."""
        self._promises.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.crash.child", encode(job)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as child:
            while promises and child.poll() is None:
                if len(self._read_promises()) >= promises:
                    child.kill()
                    break
                time.sleep(0.002)
            _, said = child.communicate(timeout=120)
        assert child.returncode in (0, -signal.SIGKILL), f"{job.state}: {said[-3000:]}"
        return child.returncode != 0

    # --- what is left ---------------------------------------------------------------------------

    def _check(self, job: Job) -> None:
        promises = [json.loads(line) for line in self._read_promises()]
        self.report.promised += len(promises)
        promised = {line["done"] for line in promises if "done" in line}
        with _opened(self._data) as (catalog, index):
            visible = {d.uri: d for d in _documents(catalog)}
            texts = {
                uri: catalog.revision(document.id, ANN).text for uri, document in visible.items()
            }
            self._check_whole(visible, texts, index)
            self._check_promises(promised, texts)
            self._check_uploads(job, promises, texts, catalog)
            sample = self._random.sample(sorted(texts), min(SEARCHED_PER_ROUND, len(texts)))
            for uri in {*sample, *(uri for uri in promised if uri in texts)}:
                self._check_found(uri, texts[uri], catalog, index)
        self._seen = texts

    def _read_promises(self) -> list[str]:
        return self._promises.read_text().splitlines() if self._promises.exists() else []

    def _check_whole(
        self, visible: dict[str, Document], texts: dict[str, str], index: EdgeIndex
    ) -> None:
        """Every visible document has all of its points in the index."""
        for uri, document in visible.items():
            self.report.looked_at += 1
            assert document.live_revision is not None
            expected = len(self._chunks(texts[uri]))
            stored = index.count(document.live_revision)
            if stored != expected:
                self.report.half.append(f"{uri} has {stored} of {expected} points")

    def _chunks(self, text: str) -> Sequence[object]:
        title = ""  # ours are so short that their titles change nothing
        return chunk("r", Parsed(title, text, ()), self._embedder.token_spans, CHUNK_TOKENS)

    def _check_promises(self, promised: set[str], texts: dict[str, str]) -> None:
        """What was promised says what the folder says; the rest says so, or what it said before."""
        for uri in {*self._now, *self._seen, *texts}:
            if uri.startswith("upload:"):
                continue
            said, now, before = texts.get(uri), self._now.get(uri), self._seen.get(uri)
            if uri in promised and said != now:
                self.report.lost.append(f"{uri} was promised, and is {_short(said)}")
            elif said not in (now, before):
                kind = self.report.lost if said is None else self.report.half
                kind.append(f"{uri} is {_short(said)}, which it never was")

    def _check_uploads(
        self, job: Job, promises: list[dict[str, str]], texts: dict[str, str], catalog: SqlCatalog
    ) -> None:
        blobs = FolderBlobs(self._data / "blobs")
        for _, text in job.uploads:
            self._uploaded[_digest(text)] = text
        self._accepted |= {line["accepted"] for line in promises if "accepted" in line}
        by_name: dict[str, list[Submission]] = {}
        for submission in reversed(catalog.submissions(ANN, limit=10_000)):
            by_name.setdefault(submission.name, []).append(submission)
        present = {each.id for submissions in by_name.values() for each in submissions}
        for missing in self._accepted - present:
            self.report.lost.append(f"the accepted upload {missing} is not in the list")
        for name, submissions in by_name.items():
            self._check_versions(name, submissions, texts.get(f"upload:ann/{name}"), blobs)

    def _check_versions(
        self, name: str, submissions: list[Submission], said: str | None, blobs: FolderBlobs
    ) -> None:
        """The last one done is visible, or the one after it, which may be live and not yet done."""
        done = [each.state is DONE for each in submissions]
        first_open = done.index(False) if False in done else len(done)
        for each in submissions[first_open:]:
            if each.state not in OPEN:
                self.report.lost.append(f"{name} {each.id} is {each.state}: {each.reason}")
            elif not blobs.has(each.digest):
                self.report.lost.append(f"{name} {each.id} waits without its file")
        versions: list[str | None] = [self._uploaded[each.digest] for each in submissions]
        allowed = [None, *versions][first_open : first_open + 2]
        if said not in allowed:
            self.report.lost.append(f"{name} is {_short(said)} after {first_open} versions")

    def _check_found(self, uri: str, text: str, catalog: SqlCatalog, index: EdgeIndex) -> None:
        """A search for the own word of any paragraph finds the passage with that paragraph."""
        paragraphs = text.split("\n\n")
        paragraph = self._random.choice(paragraphs)
        own = paragraph.split()[0]
        found = self._search(own, catalog, index)
        if not any(each.document.uri == uri and own in each.text for each in found):
            self.report.half.append(f"{uri} is visible, but a search for {own} does not find it")

    def _search(self, query: str, catalog: SqlCatalog, index: EdgeIndex) -> list[Passage]:
        (dense,) = self._embedder.embed([query])
        embedding = Embedding(dense, self._sparse.encode_query(query, catalog.statistics(None)))
        return catalog.passages(index.search(embedding, access_filter(ANN), limit=20), ANN)

    def _check_converged(self) -> None:
        """After a run to the end nothing is left of what was replaced, removed or torn."""
        with _opened(self._data) as (catalog, index):
            recover(catalog, index, catalog, exclusive=True)
            assert catalog.dead() == []
            assert catalog.counts().revisions.keys() <= {"live"}
            live = {document.id: document.live_revision for document in _documents(catalog)}
            said = {d.uri: catalog.revision(d.id, ANN).text for d in _documents(catalog)}
            folder = {uri: text for uri, text in said.items() if not uri.startswith("upload:")}
            assert folder == self._now
            for document_id, revision_id in live.items():
                for generation in range(1, 2 * self.report.kills.total() + 10):
                    former = derive_id(document_id, str(generation))
                    if former != revision_id:
                        assert index.count(former) == 0, f"points of {former} were left behind"


class _opened:  # noqa: N801 - reads as a verb
    """Opens what a dead child left, as the next process would; changes nothing."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def __enter__(self) -> tuple[SqlCatalog, EdgeIndex]:
        self._catalog = SqlCatalog.open(f"sqlite:///{self._data / 'catalog.sqlite'}")
        self._index = EdgeIndex(self._data / "index", dimension=DIMENSION)
        return self._catalog, self._index

    def __exit__(self, *_: object) -> None:
        self._index.close()
        self._catalog.close()


def _documents(catalog: SqlCatalog) -> Iterator[Document]:
    after: str | None = None
    while page := catalog.documents(ANN, collection=None, after=after, limit=1000):
        yield from page
        after = page[-1].id


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _word(serial: int, paragraph: int) -> str:
    return f"zq{serial}x{paragraph}"


def _short(text: str | None) -> str:
    return "absent" if text is None else repr(text[:12])
