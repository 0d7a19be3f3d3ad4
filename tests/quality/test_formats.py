"""How much of office files' words and cells the readers find; the references were made by docling.

A reference holds what is visible, in docling's reading: it says "Line chart" above a chart's data,
and writes H 2 O for a subscript, which is why nothing reaches one exactly.
"""

from __future__ import annotations

import pytest

from ingest.parsing.formats import declared_format, parse
from knowledge.errors import IngestError, Unsupported
from tests.quality.recall import FORMATS, TWINS, Score, ours, reference, references, score
from tests.requirements import eval_data

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries

AIMS = {"docx": 0.95, "pptx": 0.97, "xlsx": 0.95, "html": 0.97}


def test_the_words_of_the_references_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    found = {suffix: _total(suffix) for suffix in FORMATS}
    with capsys.disabled():
        print()
        for suffix, total in found.items():
            print(f"{suffix:5} {total}")
    for suffix, aim in AIMS.items():
        assert found[suffix].recall >= aim, suffix


@pytest.mark.parametrize("name", TWINS)
def test_one_text_in_many_formats_is_read_the_same(name: str) -> None:
    original = eval_data("office-samples") / "unstructured" / name
    expected = ours(original)
    for suffix in TWINS[name]:
        same = score(expected, ours(original.with_suffix(f".{suffix}")))
        assert same.recall == 1.0, suffix
        assert same.cells_found == same.cells, suffix


@pytest.mark.quality
@pytest.mark.timeout(900)
@pytest.mark.parametrize("sample", ["office-samples", "odd-files"])
def test_every_file_is_read_or_refused_with_a_reason(sample: str) -> None:
    paths = [path for path in sorted(eval_data(sample).rglob("*")) if path.is_file()]
    read = 0
    for path in paths:
        try:
            declared_format(path.name)
        except Unsupported:
            continue
        try:
            read += len(list(parse(path.read_bytes(), path.name))) > 0
        except IngestError as error:
            assert str(error), path.name
    assert read > len(paths) // 2


def _total(suffix: str) -> Score:
    scores = [score(reference(path).read_text(), ours(path)) for path in references(suffix)]
    assert scores, suffix
    return sum(scores, Score())
