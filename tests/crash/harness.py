"""Kills an ingesting process again and again, or takes its disk away, and looks at what is left."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ingest.chunk import chunk
from ingest.recover import recover
from knowledge.access import access_filter
from knowledge.blobs import FolderBlobs
from knowledge.catalog.store import SqlCatalog
from knowledge.index.edge import EdgeIndex
from knowledge.index.family import IndexFamily
from knowledge.models import (
    Document,
    Embedding,
    Generation,
    GenerationState,
    Parsed,
    Passage,
    Submission,
    SubmissionState,
)
from knowledge.ports import Index
from knowledge.sparse import Bm25Encoder
from tests.crash.child import ANN, DIMENSION, OPERATIONS, REINDEX_STATES, Job, index_folder
from tests.fakes import FakeEmbedder, FakeIndex

ROOT = Path(__file__).resolve().parents[2]
ANYWHERE = "anywhere"
"""Killed from outside, right after a promise."""
CALL = "call"
"""Killed by `calls.c` at the entry of a random call that changes files."""
SHIM = Path(__file__).with_name("calls.c")
PLACES = {
    "catalog.sqlite-journal": "journal",
    "catalog.sqlite": "catalog",
    "/wal": "index log",
    "/index": "index",
    "/blobs": "blobs",
    "/promises": "promise",
}
"""What a call was about, by a part of its path; the first that fits."""
LINES = 20
CHANGED_PER_ROUND = 16
SEARCHED_PER_ROUND = 10
REMOVED_PER_ROUND = 2
REINDEX_ROUNDS = 4
"""One of so many rounds re-indexes, besides those that are killed at it and those that finish."""
UPLOAD_NAMES = 5
DONE = SubmissionState.DONE
OPEN = (SubmissionState.RECEIVED, SubmissionState.WORKING)


@dataclass(slots=True)
class Report:
    """What was found over all kills and full disks."""

    kills: Counter[str] = field(default_factory=Counter)
    """By the state in which, or the way by which, they came."""
    operations: Counter[str] = field(default_factory=Counter)
    """By what the child was doing."""
    calls: Counter[str] = field(default_factory=Counter)
    """Those at a system call, by the call and what it was about."""
    refused: Counter[str] = field(default_factory=Counter)
    """What was refused, and with which words, because the disk was full."""
    full: int = 0
    lost: list[str] = field(default_factory=list)
    """Promised, and not kept."""
    half: list[str] = field(default_factory=list)
    """Visible, and not whole, or not what any file ever said."""
    ghosts: list[str] = field(default_factory=list)
    """Removed or replaced, and still there: seen, or points left after a run to the end."""
    silent: list[str] = field(default_factory=list)
    """Ended by a full disk without a word, or with a traceback."""
    bus_errors: int = 0
    """Ended by the system, with a word, since the disk was filled under a mapped file."""
    slowest: float = 0
    """Seconds from a start to a settled state, at worst."""
    promised: int = 0
    looked_at: int = 0
    switches: int = 0
    """How often another generation was found to be live than at the look before."""

    def add(self, other: Report) -> None:
        """Take in what another harness found."""
        for name in self.__slots__:
            mine, its = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, its) if name == "slowest" else mine + its)

    def zeros(self) -> tuple[list[str], ...]:
        """Return everything that must be empty."""
        return self.lost, self.half, self.ghosts, self.silent

    def __str__(self) -> str:
        lines = [
            f"{self.kills.total()} kills ({_histogram(self.kills)}), {self.full} full disks; "
            f"{self.promised} promises, {self.looked_at} looks at visible documents: "
            f"{len(self.lost)} lost, {len(self.half)} half-visible, {len(self.ghosts)} ghosts; "
            f"{self.switches} switches of the generation; "
            f"settled after {self.slowest:.1f} s at most"
        ]
        if self.operations:
            lines.append(f"  during: {_histogram(self.operations)}")
        if self.calls:
            lines.append(f"  at the calls: {_histogram(self.calls)}")
        if self.full:
            lines.append(f"  refused: {_histogram(self.refused)}")
            lines.append(f"  silent ends {len(self.silent)}, bus errors {self.bus_errors}")
        return "\n".join(lines)


def _histogram(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.most_common())


class Nursery:
    """The process whose children are killed; all of one harness come from one."""

    def __init__(self, folder: Path) -> None:
        shim = _built(folder)
        preload = [f"LD_PRELOAD={shim}"] if shim else []
        self._counts = bool(shim)
        self._process = subprocess.Popen(
            ["env", *preload, sys.executable, "-m", "tests.crash.child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, job: Job, call: int, *, said: Path, calls: Path) -> int:
        """Let a child begin; return its process id."""
        order = {
            "job": asdict(job),
            "call": call,
            "said": str(said),
            "calls": str(calls) if self._counts else "",
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return self._number()

    def is_over(self) -> bool:
        """Say whether the child has ended."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def wait(self) -> int:
        """Wait for the child's end; return its status as `subprocess` does."""
        return self._number()

    def close(self) -> None:
        self._process.communicate()

    def _number(self) -> int:
        """Read a line unbuffered, so that `is_over` sees what there is to read."""
        assert self._process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._process.stdout.fileno(), 1)
            assert byte, "the nursery died"
            line += byte
        return int(line)


def _built(folder: Path) -> Path | None:
    """Compile `calls.c`; None where that cannot be done."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    made = folder / "calls.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, SHIM, "-ldl"], check=True)
    return made


class Harness:
    """A data folder, a folder of documents that keeps changing, and what must hold between them."""

    def __init__(
        self,
        folder: Path,
        *,
        documents: int,
        seed: int,
        kind: str = "sound",
        data: Path | None = None,
    ) -> None:
        self._data = data or folder / "data"
        self._docs = folder / "docs"
        self._promises = folder / "promises"
        self._calls = folder / "calls"
        self._said = folder / "said"
        self._most_calls = 1000
        """So many calls the last run that came to its end has made."""
        self._nursery = Nursery(folder)
        self._data.mkdir(exist_ok=True)
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
        self._asked_away: set[str] = set()
        """Uris of uploads that may be gone: their removal has been asked for."""
        self._gone: dict[str, str] = {}
        """Text by uri of uploads whose removal was promised."""
        self._embedder = FakeEmbedder(dimension=DIMENSION)
        self._sparse = Bm25Encoder()
        self._live = 0
        """The number of the generation that was live at the last look."""
        self._names = [f"{n:03}.txt" for n in range(documents - LINES)]
        self.report = Report()
        self._fill()

    def kill(self, state: str, nth: int) -> None:
        """Change some documents, run a child until it dies in `state`, and look at what is left.

        `ANYWHERE`: it is killed as soon as it has made `nth` promises; `CALL`: at a random system
        call. A child that came to its end first is looked at too, and the next one killed earlier.
        """
        call = self._random.randint(1, self._most_calls)
        died = False
        while not died:
            self._change()
            job = self._job("" if state in (ANYWHERE, CALL) else state, nth)
            died = self._run(
                job,
                promises=nth if state == ANYWHERE else 0,
                call=call if state == CALL else 0,
            )
            self._check(job)
            nth, call = max(nth // 2, 1), max(call // 2, 1)
        self.report.kills[state] += 1
        self._note_where(state)

    def starve(self, free: int, *, after: int = 0) -> None:
        """Run a child on a disk with `free` bytes, or that has no more after so many promises.

        Nothing but an error with a reason may come of it; then there is room again. It makes no
        new index: Qdrant Edge would write that through mapped files without asking for room.
        """
        self._change()
        job = self._job("", 1, reindex=False)
        filler = self._data / "filler"
        if not after:
            fill(filler, free)
        self._start(job)
        if after:
            self._await(after)
            fill(filler, free)
        status = self._nursery.wait()
        filler.unlink(missing_ok=True)
        self.report.full += 1
        self._note_refusals(status, self._said.read_text(errors="replace"))
        self._check(job)

    def close(self) -> None:
        self._nursery.close()

    def finish(self) -> None:
        """Let a child run to its end; then everything must be there, and nothing else."""
        job = replace(self._job("", 1, reindex=True), wish="build")
        began = time.monotonic()
        assert not self._run(job)
        self.report.slowest = max(self.report.slowest, time.monotonic() - began)
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

    def _job(self, state: str, nth: int, *, reindex: bool | None = None) -> Job:
        uploads = [(f"once{self._serial}.txt", self._text())]
        for _ in range(2):
            text = self._text()
            uploads.append((f"upload{self._random.randrange(UPLOAD_NAMES)}.txt", text))
        visible = sorted(uri for uri in self._seen if "/once" in uri and uri not in self._gone)
        removals = self._random.sample(visible, min(REMOVED_PER_ROUND, len(visible)))
        self._asked_away |= set(removals)
        if reindex is None:
            reindex = state in REINDEX_STATES or not self._random.randrange(REINDEX_ROUNDS)
        operations = [each for each in OPERATIONS if reindex or each != "re-index"]
        self._random.shuffle(operations)
        wishes = ["build"] if state in REINDEX_STATES else ["build", "anew", "discard", "back"]
        return Job(
            data=str(self._data),
            docs=str(self._docs),
            promises=str(self._promises),
            state=state,
            nth=nth,
            uploads=tuple(uploads),
            removals=tuple(removals),
            operations=(*operations, "work"),
            wish=self._random.choice(wishes),
            kind=self._kind,
        )

    def _run(self, job: Job, *, promises: int = 0, call: int = 0) -> bool:
        """Run a child; say whether it was killed: by itself, at a call, or after `promises`."""
        pid = self._start(job, call)
        if promises and self._await(promises):
            os.kill(pid, signal.SIGKILL)
        status = self._nursery.wait()
        assert status in (0, -signal.SIGKILL), f"{job.state}: {self._said.read_text()[-3000:]}"
        if status == 0 and self._calls.exists():
            self._most_calls = int(self._calls.read_text())
        return status != 0

    def _start(self, job: Job, call: int = 0) -> int:
        for former in (self._promises, self._calls):
            former.unlink(missing_ok=True)
        return self._nursery.start(job, call, said=self._said, calls=self._calls)

    def _await(self, promises: int) -> bool:
        """Wait for so many promises; say whether they came before the child's end."""
        while len(self._read_promises()) < promises:
            if self._nursery.is_over():
                return False
            time.sleep(0.002)
        return True

    def _note_where(self, state: str) -> None:
        begun = [json.loads(line).get("begun") for line in self._read_promises()]
        self.report.operations[next(filter(None, reversed(begun)), "start")] += 1
        if state == CALL:
            name, _, path = self._calls.read_text(errors="replace").partition(" ")
            place = next((PLACES[part] for part in PLACES if part in path), path.strip()[:20])
            self.report.calls[f"{name} {place}"] += 1

    def _note_refusals(self, status: int, said: str) -> None:
        """Every end on a full disk is either an ordinary one or explained in words for people."""
        refused = [line for line in map(json.loads, self._read_promises()) if "refused" in line]
        for line in refused:
            self.report.refused[f"{line['refused']}: {_plain(line['why'])}"] += 1
            if "Traceback" in line["why"] or len(line["why"]) < len("disk full"):
                self.report.silent.append(line["why"])
        if status == -signal.SIGBUS and "Bus error" in said:
            self.report.bus_errors += 1
        elif status not in (0, 1) or "Traceback" in said or (status and not said.strip()):
            self.report.silent.append(f"ended with {status}: {said[-500:]}")
        elif status:
            self.report.refused[f"open: {_plain(said.strip())}"] += 1

    # --- what is left ---------------------------------------------------------------------------

    def _check(self, job: Job) -> None:
        lines = [json.loads(line) for line in self._read_promises()]
        promises = [line for line in lines if line.keys() & {"done", "accepted", "removed"}]
        self.report.promised += len(promises)
        promised = {line["done"] for line in promises if "done" in line}
        with _opened(self._data) as (catalog, index, generation):
            self._check_generations(catalog, generation)
            visible = {d.uri: d for d in _documents(catalog)}
            texts = {
                uri: catalog.revision(document.id, ANN).text for uri, document in visible.items()
            }
            self._check_whole(visible, texts, index, generation)
            self._check_promises(promised, texts)
            self._check_uploads(job, promises, texts, catalog)
            self._check_removed(promises, texts, catalog, index)
            sample = self._random.sample(sorted(texts), min(SEARCHED_PER_ROUND, len(texts)))
            for uri in {*sample, *(uri for uri in promised if uri in texts)}:
                self._check_found(uri, texts[uri], catalog, index)
        self._seen = texts

    def _check_generations(self, catalog: SqlCatalog, live: Generation | None) -> None:
        """At most one generation is live, one building and one kept to go back to."""
        states = Counter(each.state for each in catalog.generations())
        if any(count > 1 for count in states.values()):
            self.report.half.append(f"there are {dict(states)} generations")
        number = live.number if live else 0
        self.report.switches += self._live not in (0, number)
        self._live = number

    def _check_removed(
        self,
        promises: list[dict[str, str]],
        texts: dict[str, str],
        catalog: SqlCatalog,
        index: Index,
    ) -> None:
        """What was removed is neither listed nor found, from the promise on and for good."""
        for line in promises:
            if uri := line.get("removed"):
                self._gone[uri] = self._seen[uri]
        for uri in self._gone.keys() & texts.keys():
            self.report.ghosts.append(f"{uri} was removed, and is visible")
        sample = self._random.sample(sorted(self._gone), min(SEARCHED_PER_ROUND, len(self._gone)))
        for uri in sample:
            own = self._gone[uri].split()[0]
            if any(own in each.text for each in self._search(own, catalog, index)):
                self.report.ghosts.append(f"{uri} was removed, and {own} is found")

    def _read_promises(self) -> list[str]:
        return self._promises.read_text().splitlines() if self._promises.exists() else []

    def _check_whole(
        self,
        visible: dict[str, Document],
        texts: dict[str, str],
        index: Index,
        generation: Generation | None,
    ) -> None:
        """Every visible document has all of its points in the live index, cut as that one cuts."""
        for uri, document in visible.items():
            self.report.looked_at += 1
            assert document.live_revision is not None
            assert generation is not None
            expected = len(self._chunks(texts[uri], generation.chunk_tokens))
            stored = index.count(document.live_revision)
            if stored != expected:
                self.report.half.append(f"{uri} has {stored} of {expected} points")

    def _chunks(self, text: str, chunk_tokens: int) -> Sequence[object]:
        title = ""  # ours are so short that their titles change nothing
        return chunk("r", Parsed(title, text, ()), self._embedder.token_spans, chunk_tokens)

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
        asked_away = f"upload:ann/{name}" in self._asked_away
        for each in submissions[first_open:]:
            if asked_away and each.state is SubmissionState.CANCELLED:
                continue
            if each.state not in OPEN:
                self.report.lost.append(f"{name} {each.id} is {each.state}: {each.reason}")
            elif not blobs.has(each.digest):
                self.report.lost.append(f"{name} {each.id} waits without its file")
        versions: list[str | None] = [self._uploaded[each.digest] for each in submissions]
        allowed = [None, *versions][first_open : first_open + 2]
        if asked_away:
            allowed.append(None)
        if said not in allowed:
            self.report.lost.append(f"{name} is {_short(said)} after {first_open} versions")

    def _check_found(self, uri: str, text: str, catalog: SqlCatalog, index: Index) -> None:
        """A search for the own word of any paragraph finds the passage with that paragraph."""
        paragraphs = text.split("\n\n")
        paragraph = self._random.choice(paragraphs)
        own = paragraph.split()[0]
        found = self._search(own, catalog, index)
        if not any(each.document.uri == uri and own in each.text for each in found):
            self.report.half.append(f"{uri} is visible, but a search for {own} does not find it")

    def _search(self, query: str, catalog: SqlCatalog, index: Index) -> list[Passage]:
        (dense,) = self._embedder.embed([query])
        embedding = Embedding(dense, self._sparse.encode_query(query, catalog.statistics(None)))
        return catalog.passages(index.search(embedding, access_filter(ANN), limit=20), ANN)

    def _check_converged(self) -> None:
        """After a run to the end nothing is left of what was replaced, removed or torn."""
        with _opened(self._data) as (catalog, index, live):
            recover(catalog, index, catalog, exclusive=True)
            assert catalog.dead() == []
            assert catalog.counts().revisions.keys() <= {"live", "standby"}
            assert catalog.generation(GenerationState.BUILDING) is None
            said = {d.uri: catalog.revision(d.id, ANN).text for d in _documents(catalog)}
            folder = {uri: text for uri, text in said.items() if not uri.startswith("upload:")}
            assert folder == self._now
            assert live is not None
            wanted = sum(len(self._chunks(text, live.chunk_tokens)) for text in said.values())
            self._expect_points(index, wanted)
            former = catalog.generation(GenerationState.FORMER)
            kept = {str(each.number) for each in (live, former) if each}
        if former is not None:
            with closing(_index(self._data, former)) as beside:
                self._expect_points(beside, self._standing_by())
        for folder_left in {each.name for each in (self._data / "index").iterdir()} - kept:
            self.report.ghosts.append(f"the index {folder_left} is of no generation")

    def _expect_points(self, index: Index, wanted: int) -> None:
        if index.count() != wanted:
            self.report.ghosts.append(f"the index holds {index.count()} points, not {wanted}")

    def _standing_by(self) -> int:
        """Count the passages of the former generation, asking the file itself."""
        counting = (
            "SELECT count(*) FROM chunks JOIN revisions ON revisions.id = chunks.revision_id"
            " WHERE revisions.state = 'standby'"
        )
        with closing(sqlite3.connect(self._data / "catalog.sqlite")) as connection:
            return int(connection.execute(counting).fetchone()[0])


class _opened:  # noqa: N801 - reads as a verb
    """Opens what a dead child left, as the next process would; changes nothing."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def __enter__(self) -> tuple[SqlCatalog, Index, Generation | None]:
        self._catalog = SqlCatalog.open(f"sqlite:///{self._data / 'catalog.sqlite'}")
        live = self._catalog.generation(GenerationState.LIVE)
        family = IndexFamily(
            self._catalog.generations, lambda each: _index(self._data, each), lambda _: None
        )
        self._index: Index = family.member(live) if live else FakeIndex()
        return self._catalog, self._index, live

    def __exit__(self, *_: object) -> None:
        self._index.close()
        self._catalog.close()


def _index(data: Path, generation: Generation) -> EdgeIndex:
    return EdgeIndex(index_folder(data, generation.number), dimension=DIMENSION)


def _documents(catalog: SqlCatalog) -> Iterator[Document]:
    after: str | None = None
    while page := catalog.documents(ANN, collection=None, after=after, limit=1000):
        yield from page
        after = page[-1].id


def fill(filler: Path, free: int) -> None:
    """Take all of the disk but so many bytes, however quickly others take it."""
    with filler.open("wb") as file:
        taken = False
        while not taken:
            disk = os.statvfs(filler.parent)
            size = disk.f_bavail * disk.f_frsize - free
            with suppress(OSError):  # somebody was quicker
                if size > 0:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size + size)
                taken = True


def _plain(said: str) -> str:
    """Return a refusal without what differs from run to run."""
    return re.sub(r"\S*/\S+", "…", said)[:100]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _word(serial: int, paragraph: int) -> str:
    return f"zq{serial}x{paragraph}"


def _short(text: str | None) -> str:
    return "absent" if text is None else repr(text[:12])
