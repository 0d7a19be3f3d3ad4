"""A house full of people and secrets, and a plain model of who may see what of it.

The model is dicts and sets of its own, written from the documentation of the API. Only the looks at
one key alone use the access filter and the catalog, since these are what is looked at.
"""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from fastapi.testclient import TestClient

from ingest.recover import copy_labels, freeze
from knowledge.access import access_filter
from knowledge.catalog.store import SqlCatalog
from knowledge.errors import IndexUnavailable
from knowledge.index.edge import EdgeIndex
from knowledge.models import Document, Embedding, Generation, Principal, Span
from knowledge.ports import Index
from knowledge.settings import Settings
from serving import schemas
from serving.auth import Gate
from serving.keys import KeyRing
from tests.catalogs import Placed
from tests.fakes import passage
from tests.house import QuickHouse, bearer

USERS = ("ann", "bob", "Bob", "cy")
GROUPS = ("legal", "Legal", "board", "hr")
COLLECTIONS = ("main", "hr", "HR")
TAGS = ("travel", "Travel", "2026")
TOKENS = ("everyone", *(f"u:{user}" for user in USERS), *(f"g:{group}" for group in GROUPS))
ENDINGS = {"md": "text/markdown", "txt": "text/plain", "html": "text/html"}
ABSENT = "00000000-0000-5000-8000-000000000000"
SENTENCES = {
    "en": "The travel budget {} is for all of us, and it is not to be spent before the end of it.",
    "de": "Das travel budget {} ist für alle von uns, und es wird nicht vor dem Ende der Reise zu "
    "viel.",
}
WORDS = ["amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath", "islet", "jetty"]
MARK = re.compile(r"zq\d{5}x")
"""Stands once in each text, and in no other."""
IDENTITY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class Ring(KeyRing):
    """The keys of everybody; who is in which group changes from one request to the next."""

    def __init__(self) -> None:
        self.groups: dict[str, set[str]] = {user: set() for user in (*USERS, "root")}

    def find(self, key: str) -> Principal | None:
        return self.principal(key) if key in self.groups else None

    def principal(self, user: str) -> Principal:
        roles = frozenset({"admin"} if user == "root" else ())
        return Principal(user, frozenset(self.groups[user]), roles)


class LateIndex(EdgeIndex):
    """The real index, which may be slow to learn of rights."""

    late = False

    def relabel(self, *documents: Document) -> None:
        if self.late:
            raise IndexUnavailable("nobody answers")
        super().relabel(*documents)


class RightsHouse(QuickHouse):
    """Real stories, catalog and index; people come and go in a dict."""

    ring: Ring

    def _open_index(self, generation: Generation) -> Index:
        folder = self.settings.data_dir / "index"
        self.opened = LateIndex(folder, dimension=generation.dimension)
        return self.opened

    @cached_property
    def gate(self) -> Gate:
        return Gate(self.ring)


@dataclass
class Paper:
    """What the model knows of one document."""

    owner: str
    name: str
    collection: str
    access: set[str]
    language: str
    ending: str
    mark: str
    tags: set[str] = field(default_factory=set)
    source: str = ""
    live: bool = True
    hits: list[Placed] = field(default_factory=list)
    """Of its present revision."""


@dataclass(frozen=True)
class Found:
    """A difference between the service and the model."""

    route: str
    what: str


class World:
    """The house and the model, changed together; `look` compares them once, on some route."""

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        self.folder = folder
        self.ring = Ring()
        self.papers: dict[str, Paper] = {}
        self.former: list[Placed] = []
        """Of revisions that are no longer live."""
        self.versions = 0
        self.late = False
        self.queries = 0
        if template is not None:
            (folder / "data").mkdir(parents=True)
            shutil.copy(template, folder / "data" / "catalog.sqlite")
        self._open()

    def _open(self) -> None:
        settings = Settings(_env_file=None, data_dir=self.folder / "data")
        self.house = RightsHouse(settings)
        self.house.ring = self.ring
        self.client = TestClient(self.house.app, base_url="http://127.0.0.1")
        self.client.__enter__()

    def close(self) -> None:
        self.client.__exit__(None, None, None)
        self.house.__exit__(None, None, None)

    # --- what happens ---------------------------------------------------------------------------

    def hand_in(self, chance: Random) -> None:
        """Somebody uploads a file; the same name again replaces what it was."""
        owner = chance.choice(USERS)
        collection = chance.choice(COLLECTIONS)
        number, ending = chance.choice([(n, e) for n in range(2) for e in ENDINGS])
        mine = ["everyone", f"u:{owner}", *(f"g:{g}" for g in sorted(self.ring.groups[owner]))]
        access = set(chance.sample(mine, chance.randint(1, len(mine))))
        self.versions += 1
        mark, language = f"zq{self.versions:05}x", chance.choice(list(SENTENCES))
        name = f"note-{owner.swapcase()}-{number}.{ending}"
        tags = set(chance.sample(TAGS, chance.randint(0, 2)))
        listed = ", ".join(chance.choices(WORDS, k=12)).title()
        text = f"{SENTENCES[language].format(mark)} {listed}."
        taken = self.house.intake.submit(
            io.BytesIO(text.encode()),
            name=name,
            collection=collection,
            access=frozenset(access),
            by=self.ring.principal(owner),
            tags=frozenset(tags),
        )
        while self.house.worker.work_one():
            pass
        root = self.ring.principal("root")
        (document_id,) = self.house.intake.status(taken.id, root).document_ids
        before = self.papers.get(document_id)
        if before is not None:
            self.former += before.hits
            tags |= before.tags if before.live else set()
        paper = Paper(owner, name, collection, access, language, ending, mark, tags)
        found = self.house.catalog.stored(document_id)
        assert found is not None
        document, revision = found
        paper.source = document.source_id
        chunks = self.house.catalog.chunk_texts(revision.id)
        paper.hits = [Placed(chunk.id, 1.0, document_id, revision.id) for chunk, _ in chunks]
        self.papers[document_id] = paper

    def set_access(self, chance: Random) -> None:
        document_id = self._any(chance)
        access = chance.sample(TOKENS, chance.randint(0, 3))
        body = {"access": access}
        reply = self._call("root", "PUT", f"/v1/documents/{document_id}/access", json=body)
        paper = self.papers.get(document_id)
        assert reply.status_code == (204 if paper and paper.live else 404)
        if paper and paper.live:
            paper.access = set(access)

    def set_tags(self, chance: Random) -> None:
        document_id = self._any(chance)
        tags = frozenset(chance.sample(TAGS, chance.randint(0, 2)))
        paper = self.papers.get(document_id)
        if paper and paper.live:
            self.house.intake.set_tags(document_id, tags)
            paper.tags = set(tags)

    def remove(self, chance: Random) -> None:
        document_id = self._any(chance)
        paper = self.papers.get(document_id)
        if paper and paper.live:
            self.house.intake.remove(document_id)
            self.former += paper.hits
            paper.live, paper.hits, paper.tags = False, [], set()

    def regroup(self, chance: Random) -> None:
        """Somebody joins and leaves groups."""
        self.ring.groups[chance.choice(USERS)] = set(chance.sample(GROUPS, chance.randint(0, 2)))

    def restart(self, *, lose_index: bool) -> None:
        """Stop and start; where the index is lost it is made again from the catalog."""
        self.close()
        if lose_index:
            shutil.rmtree(self.folder / "data" / "index")
        self._open()
        for _ in self.house.rebuild(self.house.missing()):
            pass
        freeze(self.house.catalog)
        self.late = False

    def delay(self, *, late: bool) -> None:
        """From now on the index does not learn of rights and tags, or does so again."""
        self.house.opened.late = self.late = late
        if not late:
            copy_labels(self.house.catalog, self.house.index)

    def _any(self, chance: Random) -> str:
        return chance.choice([*self.papers, ABSENT])

    def _call(self, user: str, method: str, path: str, **content: Any) -> Any:  # noqa: ANN401
        headers = bearer(user) | content.pop("headers", {})
        return self.client.request(method, path, headers=headers, **content)

    # --- the model ------------------------------------------------------------------------------

    def readable(self, user: str, asked: Mapping[str, Any] | None = None) -> set[str]:
        """Return what the user may see of what he asks for."""
        held = {"everyone", f"u:{user}"} | {f"g:{group}" for group in self.ring.groups[user]}
        return {
            document_id
            for document_id, paper in self.papers.items()
            if paper.live and paper.access & held and fits(document_id, paper, asked or {})
        }

    # --- looks ----------------------------------------------------------------------------------

    def look(self, chance: Random) -> Found | None:
        """Ask something as somebody; return a difference, if there is one."""
        self.queries += 1
        user = chance.choice((*USERS, "root"))
        name, look = chance.choice(LOOKS)
        problem = look(self, chance, user)
        return None if problem is None else Found(name, f"{user}: {problem}")


def fits(document_id: str, paper: Paper, asked: Mapping[str, Any]) -> bool:
    """Say whether a paper fits what was asked for, in the words of the API."""
    only = asked.get("filters", {})
    dates = only.get("date", {})
    return all([
        asked.get("collection", paper.collection) == paper.collection,
        document_id in asked.get("document_ids", [document_id]),
        paper.source in only.get("sources", [paper.source]),
        paper.language in only.get("languages", [paper.language]),
        {paper.ending, ENDINGS[paper.ending]} & set(only.get("types", [paper.ending])),
        "tags" not in only or paper.tags & set(only["tags"]),
        "to" not in dates or dates["to"] > "2020",
        "from" not in dates or dates["from"] < "2020",
    ])  # fmt: skip


def anything(world: World, chance: Random) -> dict[str, Any]:
    """Return what a search may be narrowed to; often nothing."""
    asked: dict[str, Any] = {}
    if chance.random() < 0.3:
        asked["collection"] = chance.choice((*COLLECTIONS, "nowhere"))
    if chance.random() < 0.2:
        known = [*world.papers, ABSENT]
        asked["document_ids"] = chance.sample(known, chance.randint(1, min(3, len(known))))
    only: dict[str, Any] = {}
    if chance.random() < 0.15:
        only["tags"] = chance.sample((*TAGS, "none"), chance.randint(1, 2))
    if chance.random() < 0.15:
        only["languages"] = [chance.choice(("en", "de", "fr"))]
    if chance.random() < 0.15:
        only["types"] = [chance.choice(("md", "txt", "text/html", "pdf"))]
    if chance.random() < 0.1:
        sources = sorted({paper.source for paper in world.papers.values()})
        only["sources"] = [chance.choice([*sources, ABSENT])]
    if chance.random() < 0.1:
        only["date"] = chance.choice(({"from": "2000-01-01"}, {"to": "2000-01-01"}))
    return asked | ({"filters": only} if only else {})


def search(world: World, chance: Random, user: str) -> str | None:
    asked = anything(world, chance)
    effort = chance.choice(("low", "high"))
    body = {"query": question(world, chance), "limit": 100, "effort": effort, **asked}
    passages = world._call(user, "POST", "/v1/search", json=body).json()["passages"]
    found = {each["document"]["id"] for each in passages}
    marks = {mark for each in passages for mark in MARK.findall(each["text"])}
    return shown(world, user, asked, found, marks, exact=not world.late)


def ask(world: World, chance: Random, user: str) -> str | None:
    asked = anything(world, chance)
    body = {"question": question(world, chance), "stream": chance.random() < 0.5, **asked}
    body["effort"] = chance.choice(("low", "high"))
    if chance.random() < 0.3:
        body["history"] = [{"role": "user", "text": question(world, chance)}]
    said = world._call(user, "POST", "/v1/ask", json=body).text
    known = set(IDENTITY.findall(said)) & world.papers.keys()
    return shown(world, user, asked, known, set(MARK.findall(said)), exact=False)


def listing(world: World, chance: Random, user: str) -> str | None:
    asked = anything(world, chance)
    asked.pop("document_ids", None)
    only = asked.get("filters", {})
    given = {name: value for name, value in only.items() if name != "date"}
    given |= only.get("date", {})
    given |= {"collection": asked["collection"]} if "collection" in asked else {}
    found: set[str] = set()
    after: str | None = None
    while True:
        page = {**given, "limit": 3} | ({"after": after} if after else {})
        body = world._call(user, "GET", "/v1/documents", params=page).json()
        found |= {each["id"] for each in body["documents"]}
        after = body["next"]
        if after is None:
            return shown(world, user, asked, found, set(), exact=True)


def counts(world: World, chance: Random, user: str) -> str | None:
    body = world._call(user, "GET", "/v1/collections").json()
    found = {each["name"]: each["documents"] for each in body["collections"]}
    expected: dict[str, int] = {}
    for document_id in world.readable(user):
        where = world.papers[document_id].collection
        expected[where] = expected.get(where, 0) + 1
    return None if found == expected else f"counts {found}, not {expected}"


def offers(world: World, chance: Random, user: str) -> str | None:
    """Ask what can be narrowed to; all papers are uploads, whose sources are not offered."""
    asked = {"collection": chance.choice(COLLECTIONS)} if chance.random() < 0.3 else {}
    body = world._call(user, "GET", "/v1/facets", params=asked).json()
    found = [
        Counter({each["value"]: each["documents"] for each in body[kind]})
        for kind in ("types", "languages", "tags", "sources")
    ]
    papers = [world.papers[document_id] for document_id in world.readable(user, asked)]
    types = Counter(ENDINGS[paper.ending] for paper in papers)
    languages = Counter(paper.language for paper in papers)
    tags = Counter(tag for paper in papers for tag in paper.tags)
    expected = [types, languages, tags, Counter()]
    return None if found == expected else f"is offered {found}, not {expected}"


def one(world: World, chance: Random, user: str) -> str | None:
    """Open a document, its file, or try to change what one must not."""
    document_id = world._any(chance)
    path, may = f"/v1/documents/{document_id}", document_id in world.readable(user)
    method, tail, content = chance.choice((
        ("GET", "", {}), ("GET", "/content", {}), ("DELETE", "", {}),
        ("PUT", "/tags", {"json": {"tags": ["mine"]}}),
    ))  # fmt: skip
    if may and method != "GET":
        return None
    reply = world._call(user, method, path + tail, **content)
    expected = 200 if may else 404
    if reply.status_code != expected:
        return f"{method} {tail or 'document'} answers {reply.status_code}, not {expected}"
    marks = set(MARK.findall(reply.text))
    return None if marks <= {world.papers[document_id].mark for _ in range(may)} else f"{marks}"


def own(world: World, chance: Random, user: str) -> str | None:
    """List what people see of their own work: nobody else's."""
    path = chance.choice(("/v1/submissions", "/v1/jobs", "/v1/quarantine", "/v1/coverage"))
    said = world._call(user, "GET", path).text
    if user == "root":
        return None
    foreign = [other for other in USERS if other != user and f"note-{other.swapcase()}-" in said]
    return f"{path} tells of {foreign}" if foreign else None


def neighbours(world: World, chance: Random, user: str) -> str | None:
    """Ask for what stands around a passage that somebody has heard of."""
    hits = everything(world)
    if not hits:
        return None
    hit, who = chance.choice(hits), world.ring.principal(user)
    catalog = world.house.catalog
    heard_of = replace(passage("…"), chunk_id=hit.chunk_id, revision_id=hit.revision_id)
    around = {
        "blocks": catalog.blocks(hit.revision_id, Span(0, 10_000), who),
        "surroundings": catalog.surroundings([heard_of], who, reach=1),
    }
    paper = world.papers[hit.document_id]
    may = hit in paper.hits and hit.document_id in world.readable(user)
    wrong = [name for name, found in around.items() if bool(found) is not may]
    return f"{wrong} of {hit.document_id}" if wrong else None


def agent(world: World, chance: Random, user: str) -> str | None:
    """Use a tool as an agent would; a document can be fetched when it may be read."""
    document_id = world._any(chance)
    name, given = chance.choice((
        ("search", {"query": question(world, chance)}), ("fetch", {"id": document_id}),
    ))  # fmt: skip
    call = {"method": "tools/call", "params": {"name": name, "arguments": given}}
    accept = {"Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, **call}
    reply = world._call(user, "POST", "/mcp", json=body, headers=accept)
    told = reply.json()["result"]
    said = str(told.get("structuredContent", ""))
    known = set(IDENTITY.findall(said)) & world.papers.keys()
    if name == "fetch" and told.get("isError", False) is (document_id in world.readable(user)):
        return f"fetching {document_id} gives {told}"
    return shown(world, user, {}, known, set(MARK.findall(said)), exact=False)


def everything(world: World) -> list[Placed]:
    """Return all passages that there ever were."""
    return [*world.former, *(hit for paper in world.papers.values() for hit in paper.hits)]


def first_key(world: World, chance: Random, user: str) -> str | None:
    """Look at what the index alone would give away; a late one may give too much."""
    if world.late:
        return None
    asked = anything(world, chance)
    house = world.house
    text = question(world, chance)
    sparse = house.sparse.encode_query(text, house.catalog.statistics(None))
    (dense,) = house.embedder.embed([text])
    access = access_filter(
        world.ring.principal(user),
        collection=asked.get("collection"),
        document_ids=asked.get("document_ids"),
        filters=schemas.filters(asked.get("filters")),
    )
    hits = house.index.search(Embedding(dense, sparse), access, limit=100)
    whose = {hit.chunk_id: hit.document_id for hit in everything(world)}
    return shown(world, user, asked, {whose[hit.chunk_id] for hit in hits}, set(), exact=True)


def second_key(world: World, chance: Random, user: str) -> str | None:
    """Hand the catalog all passages there ever were, as an index without any filter would."""
    asked = anything(world, chance)
    hits = everything(world)
    passages = world.house.catalog.passages(
        hits,
        world.ring.principal(user),
        collection=asked.get("collection"),
        document_ids=asked.get("document_ids"),
        filters=schemas.filters(asked.get("filters")),
    )
    found = {each.document.id for each in passages}
    marks = {mark for each in passages for mark in MARK.findall(each.text)}
    return shown(world, user, asked, found, marks, exact=True)


LOOKS = (
    ("search", search),
    ("search", search),
    ("ask", ask),
    ("listing", listing),
    ("counts", counts),
    ("offers", offers),
    ("one document", one),
    ("own work", own),
    ("neighbours", neighbours),
    ("an agent", agent),
    ("the index alone", first_key),
    ("the catalog alone", second_key),
)


def question(world: World, chance: Random) -> str:
    """Ask for what all papers say, now and then for what only one says."""
    marks = [paper.mark for paper in world.papers.values()]
    return f"travel budget {chance.choice(marks) if marks and chance.random() < 0.5 else ''}"


def shown(
    world: World,
    user: str,
    asked: Mapping[str, Any],
    found: set[str],
    marks: set[str],
    *,
    exact: bool,
) -> str | None:
    """Compare what was shown with what the model allows."""
    expected = world.readable(user, asked)
    allowed = {world.papers[each].mark for each in expected}
    if too_much := found - expected:
        return f"{sorted(too_much)} shown for {asked}"
    if foreign := marks - allowed:
        return f"texts {sorted(foreign)} shown for {asked}"
    if exact and (lost := expected - found):
        return f"{sorted(lost)} not shown for {asked}"
    return None


def template(folder: Path) -> Path:
    """Return a catalog file with all tables: copying it is quicker than making one."""
    file = folder / "template.sqlite"
    with suppress(FileExistsError):
        SqlCatalog.open(f"sqlite:///{file}").close()
    return file
