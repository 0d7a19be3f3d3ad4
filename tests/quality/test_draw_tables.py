"""The typed tables are those of the pages that the seed draws: none was chosen."""

from __future__ import annotations

import csv

from tests.quality import tables
from tests.quality.draw_tables import filings, samples


def test_the_record_names_the_pages_that_the_seed_draws() -> None:
    drawn = [(page.path.name, str(page.number)) for page in [*filings(), *samples()]]
    assert [(row["pdf"], row["page"]) for row in record()] == drawn


def test_each_kept_page_has_its_table_and_each_other_page_a_reason() -> None:
    kept = {row["table"]: (row["pdf"], int(row["page"])) for row in record() if row["table"]}
    typed = {str(t.number): (t.pdf.rpartition("/")[2], t.page) for t in tables.load()}
    assert kept == typed
    assert all(row["why"] for row in record() if not row["table"])


def record() -> list[dict[str, str]]:
    with (tables.FOLDER / "drawn.tsv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))
