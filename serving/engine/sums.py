"""Hold a folder's files against the list SHA256SUMS in it, in the format of `sha256sum`.

A list that leaves out a file that vLLM would read is no protection, so that counts as a failure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from .profiles import EngineError
from .weights import Finding

NAME = "SHA256SUMS"
PIECE = 1 << 23
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")

Tell = Callable[[int, int], None]
"""Is told how many bytes of how many have been read."""


def verify(folder: Path, tell: Tell) -> Iterator[Finding]:
    """Hash what the list names, and find what it does not name."""
    try:
        listed = _read(folder)
    except FileNotFoundError:
        hint = f"there is no {NAME}; `footnote engine check --write` makes one of what is there"
        yield Finding("sha256", "warn", hint)
        return
    wrong = False
    for name in sorted({each.name for each in _files(folder)} - listed.keys()):
        wrong = True
        yield Finding("sha256", "fail", f"{name} is not in {NAME}")
    there = [folder / name for name in listed if (folder / name).is_file()]
    for name in sorted(listed.keys() - {each.relative_to(folder).as_posix() for each in there}):
        wrong = True
        yield Finding("sha256", "fail", f"{name} is in {NAME}, but not there; copy it again")
    for path, digest in _hash(there, tell):
        name = path.relative_to(folder).as_posix()
        if digest != listed[name]:
            wrong = True
            yield Finding("sha256", "fail", f"{name} is not what {NAME} says; copy it again")
    if not wrong:
        yield Finding("sha256", "ok", f"{len(listed)} files are what {NAME} says")


def write(folder: Path, tell: Tell) -> Finding:
    """Make the list of what is there; one that is there already stays."""
    target = folder / NAME
    if target.exists():
        raise EngineError(f"{target} is there already; delete it if it is to be made anew")
    lines = [f"{digest}  {path.name}\n" for path, digest in _hash(_files(folder), tell)]
    part = target.with_name(f".{NAME}.part")
    part.write_text("".join(lines), encoding="utf-8")
    part.replace(target)
    return Finding("sha256", "ok", f"{len(lines)} files are in the new {NAME}")


def _files(folder: Path) -> list[Path]:
    """Return the files beside the weights; vLLM reads no folder below."""
    files = (path for path in folder.iterdir() if path.is_file())
    return sorted(path for path in files if path.name != NAME and path.name[0] != ".")


def _read(folder: Path) -> dict[str, str]:
    listed = {}
    for number, line in enumerate((folder / NAME).read_text("utf-8", "replace").splitlines(), 1):
        found = LINE.fullmatch(line)
        name = PurePosixPath(found[2]) if found else None
        if found is None or name is None or name.is_absolute() or ".." in name.parts:
            raise EngineError(f"{NAME}, line {number}: not a digest and a name in this folder")
        listed[name.as_posix()] = found[1].lower()
    return listed


def _hash(files: Sequence[Path], tell: Tell) -> Iterator[tuple[Path, str]]:
    done, total = 0, sum(path.stat().st_size for path in files)
    for path in files:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                done += len(piece)
                tell(done, total)
        yield path, digest.hexdigest()
