"""Finds tables without a grid of rules: rows of cells that stand below each other.

Columns are the stretches that cells of data cover, parted by stretches that none covers. Lines are
joined to rows by shades and rules where there are some, else by the wrapping of labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ingest.parsing.builder import Row
from ingest.parsing.pdf.cells import Rows, into_cells, is_amount, is_figure
from ingest.parsing.pdf.page import Area, Drawn, Piece, Table, around

_NEAR = 2.4  # line heights: rows further apart are not of one table
_FAR = 1e9
_FAR_CELL = 0.9  # line heights: the gap that makes two cells of two pieces of text
_MOST_LABELS = 5  # rows of labels only in a row
_CONNECTS = re.compile(
    r"(?:[,;(/]|\w-|\b(?:and|or|of|the|to|for|in|on|by|from|with|at|a|an|per|than|as|its|that))$"
)
_MARK = re.compile(r"\(?(?:\d{1,2}|[a-z])\)|[*†‡%)]+")

Column = tuple[float, float]


@dataclass(slots=True)
class _Line:
    """One line of a table: its cells by column."""

    cells: dict[int, Piece]
    y0: float
    y1: float
    spans: frozenset[int] = frozenset()
    """Columns whose cell also covers the next ones."""


def find_tables(rows: Rows, drawn: Drawn, page: int) -> Iterator[Table | Rows]:
    """Yield tables, and between them the rows that belong to none, from top to bottom."""
    cells = [into_cells(row) for row in rows]
    done = start = 0
    width = max(row[-1].x1 for row in rows) - min(row[0].x0 for row in rows)
    while start < len(rows):
        stop = _run(cells, start, width)
        found = _table(cells, start, stop, done, drawn, page) if stop > start + 1 else None
        if found is None:
            start = max(stop, start + 1)
            continue
        first, last, table = found
        if first > done:
            yield rows[done:first]
        yield table
        done = start = last
    if done < len(rows):
        yield rows[done:]


# --- which rows ---------------------------------------------------------------------------------


def _run(cells: Rows, start: int, width: float) -> int:
    """Return the end of the rows from `start` that may be a table; `start` itself if none."""
    if not _is_gridlike(cells[start]):
        return start
    end, labels = start + 1, 0
    places = {cell.x0 for cell in cells[start][1:]}
    for index in range(start + 1, len(cells)):
        row, above = cells[index], cells[index - 1]
        height = row[0].y1 - row[0].y0
        gap = min(c.y0 for c in row) - max(c.y1 for c in above)
        if gap > _NEAR * height and not _resumes(cells, start, index, gap):
            break
        if gap > 0.5 * height and _begins_another(cells, start, index):
            break
        if _is_gridlike(row):
            end, labels = index + 1, 0
            places.update(cell.x0 for cell in row[1:])
        elif _is_prose(row, width):
            break
        elif any(abs(row[0].x0 - place) < 2 for place in places):
            pass  # a further line of a cell
        elif labels >= _MOST_LABELS:
            break
        elif gap > 0.9 * height and _is_title(cells, start, index):
            break
        else:
            labels += 1
    return end


def _resumes(cells: Rows, start: int, index: int, gap: float) -> bool:
    """Say whether the table goes on below a wide gap: soon there are figures in its columns."""
    height = cells[index][0].y1 - cells[index][0].y0
    soon = next((row for row in cells[index : index + 4] if _is_gridlike(row)), None)
    if soon is None or gap > 2 * _NEAR * height or not is_amount(soon[-1].text):
        return False
    columns = _columns(_data(cells[start:index]))
    return len(columns) == len(soon) and all(
        cell.x0 < x1 and x0 < cell.x1 for cell, (x0, x1) in zip(soon, columns, strict=True)
    )


def _begins_another(cells: Rows, start: int, index: int) -> bool:
    """Say whether a row is the header of another table: it has no figures but other columns."""
    row = cells[index]
    if index < start + 3 or len(row) < 2 or any(is_amount(cell.text) for cell in row[1:]):
        return False
    above = _columns(_data(cells[start:index]))
    below = _columns(_data(cells[index : index + 8]))
    if len(above) < 2 or len(below) < 2:
        return False
    return len(above) != len(below) or any(
        min(a[1], b[1]) <= max(a[0], b[0]) for a, b in zip(above, below, strict=True)
    )


def _is_title(cells: Rows, start: int, index: int) -> bool:
    """Say whether a line stands below a table as the title of another: not where labels do."""
    data = _data(cells[start:index])
    return len(data) > 1 and cells[index][0].x0 > max(row[0].x0 for row in data) + 20


def _data(run: Rows) -> Rows:
    """Return the rows that have figures right of their first cell."""
    return [row for row in run if len(row) > 1 and any(is_amount(cell.text) for cell in row[1:])]


def _is_gridlike(row: list[Piece]) -> bool:
    return len(row) > 1 and any(
        right.x0 - left.x1 > _FAR_CELL * (right.y1 - right.y0) or is_figure(right.text)
        for left, right in pairwise(row)
    )


def _is_prose(row: list[Piece], width: float) -> bool:
    return row[-1].x1 - row[0].x0 > 0.7 * width and sum(len(cell.text) for cell in row) > 60


def _above_header(heads: Rows, columns: list[Column], drawn: Drawn) -> int:
    """Return how many of the lines are titles above the header: apart, or over labels alone."""
    gaps = [min(c.y0 for c in b) - max(c.y1 for c in a) for a, b in pairwise(heads)]
    apart = 0
    for place, (row, below) in enumerate(pairwise(heads), 1):
        usual = max(1.2 * (row[0].y1 - row[0].y0), 1.2 * median(gaps))
        over_labels = len(row) == 1 and row[0].x0 < columns[0][1] < below[0].x0
        if over_labels or (gaps[place - 1] > usual and not _ruled_below(row, below, drawn)):
            apart = place
    return apart


# --- which columns ------------------------------------------------------------------------------


def _table(
    cells: Rows, start: int, stop: int, floor: int, drawn: Drawn, page: int
) -> tuple[int, int, Table] | None:
    """Return the first row, the row after the last, and the table; None if it is none."""
    run = cells[start:stop]
    columns = _columns(_with_figures(run))
    numeric = len(columns) > 1 and _is_numeric(run, columns)
    if not numeric:
        columns = _columns(run)
        if len(columns) < 2 or not _is_text_table(run, columns):
            return None
    first = _with_header(cells, start, floor, columns, drawn)
    last = _with_last_label(cells, stop, columns)
    heads = _header_lines([_line(row, columns) for row in cells[first:last]]) if numeric else 1
    skipped = _above_header(cells[first : first + heads], columns, drawn)
    first, heads = first + skipped, heads - skipped
    columns = _with_empty(columns, cells[first : first + heads])
    lines = _head(cells[first : first + heads + 1], columns, drawn)
    lines += [_line(row, columns) for row in cells[first + heads : last]]
    groups = _grouped(lines[:heads], lines[heads:], drawn, numeric=numeric)
    header_rows = len(groups[0])
    rows = [_row(group, len(columns), page) for part in groups for group in part]
    return first, last, Table(rows, header_rows, page)


def _columns(rows: Rows) -> list[Column]:
    """Return where columns begin and end: stretches covered by the cells of `rows`."""
    tolerated = len(rows) // 25
    edges = sorted(
        edge
        for row in rows
        for cell in row
        for x0, x1 in (_core(cell),)
        for edge in ((x0 + 0.3, 0, 1), (max(x1 - 0.3, x0 + 0.4), 1, -1))
    )
    columns: list[Column] = []
    covering, begin = 0, None
    for x, _, step in edges:
        before, covering = covering, covering + step
        if before <= tolerated < covering:
            begin = x
        elif covering <= tolerated < before and begin is not None:
            columns.append((begin, x))
    return _merged(columns, rows)


def _core(cell: Piece) -> Column:
    """Return where a cell begins and ends without the signs around its figure.

    Signs stand where columns may touch; a digit is about half as wide as it is high.
    """
    text = cell.text
    if not text[0].isdigit() and text[0] not in "(-" and is_figure(text):
        x0 = max(cell.x0, cell.x1 - 0.56 * cell.size * len(text.lstrip("$€£¥₹ ")))
    else:
        x0 = cell.x0
    x1 = cell.x1 - 0.8 * cell.size if text.endswith("%") and is_figure(text) else cell.x1
    return x0, max(x1, x0 + 1)


def _merged(columns: list[Column], rows: Rows) -> list[Column]:
    """Join columns that are too close, or of which one holds only marks to the other's figures.

    In few rows a heading and its figures may stand side by side; these are one column, too.
    """
    merged: list[Column] = []
    held: list[set[int]] = []
    for column in columns:
        inside = [
            (number, cell)
            for number, row in enumerate(rows)
            for cell in row
            if column[0] <= _middle(cell) <= column[1]
        ]
        numbers = {number for number, _ in inside}
        marks = bool(inside) and all(_MARK.fullmatch(cell.text) for _, cell in inside)
        gap = column[0] - merged[-1][1] if merged else _FAR
        apart = len(rows) <= 3 and len(merged) > 1 and not (held[-1] & numbers)
        if gap < 1.5 or (marks and gap < 12) or (apart and gap < 25):
            merged[-1] = (merged[-1][0], column[1])
            held[-1] |= numbers
        else:
            merged.append(column)
            held.append(numbers)
    return merged


def _with_empty(columns: list[Column], heads: Rows) -> list[Column]:
    """Add columns that have a heading between those of their neighbours, but no cells."""
    added = []
    for left, right in pairwise(columns):
        between = [
            cell
            for row in heads
            if _stands_over(row, left) and _stands_over(row, right)
            for cell in row
            if left[1] < _middle(cell) < right[0]
        ]
        if between:
            x0, x1 = min(cell.x0 for cell in between), max(cell.x1 for cell in between)
            if left[1] < x0 and x1 < right[0]:
                added.append((x0, x1))
    return sorted([*columns, *added])


def _stands_over(row: list[Piece], column: Column) -> bool:
    return any(cell.x0 < column[1] and cell.x1 > column[0] for cell in row)


def _with_figures(run: Rows) -> Rows:
    """Return the rows that tell the columns: those of data, and years too where they are few."""
    data = _data(run)
    if len(data) != 1:
        return data
    return [row for row in run if len(row) > 1 and any(is_figure(cell.text) for cell in row[1:])]


def _is_numeric(run: Rows, columns: list[Column]) -> bool:
    """Say whether there are rows enough, and what stands right of their labels mostly figures."""
    rows = _with_figures(run)
    right = [cell.text for row in rows for cell in row if cell.x0 > columns[0][1] - 1]
    return len(rows) > 1 and 2 * sum(map(is_figure, right)) >= len(right) > 0


def _is_text_table(run: Rows, columns: list[Column]) -> bool:
    """Say whether at least three rows have cells that are aligned in each further column."""
    full = [row for row in run if len(row) > 1]
    if len(full) < 3 or any(b[0] - a[1] < 6 for a, b in pairwise(columns)):
        return False
    aligned = total = 0
    for x0, x1 in columns[1:]:
        inside = [cell for row in full for cell in row if x0 - 1 <= cell.x0 and cell.x1 <= x1 + 1]
        if len(inside) < 2:
            return False
        lefts, rights = [cell.x0 for cell in inside], [cell.x1 for cell in inside]
        middles = [(cell.x0 + cell.x1) / 2 for cell in inside]
        total += len(inside)
        aligned += max(_agreeing(lefts), _agreeing(rights), _agreeing(middles))
    return aligned >= 0.75 * total


def _agreeing(places: list[float]) -> int:
    usual = median(places)
    return sum(abs(place - usual) < 3 for place in places)


def _with_header(
    cells: Rows, start: int, floor: int, columns: list[Column], drawn: Drawn
) -> int:
    """Return the first row of the header: lines close above that stand over figures only."""
    first = start
    while first > floor:
        row, below = cells[first - 1], cells[first]
        gap = min(c.y0 for c in below) - max(c.y1 for c in row)
        over = row[0].x0 > columns[0][1] - 2 and row[-1].x1 <= columns[-1][1] + 30
        ruled = _ruled_below(row, below, drawn)
        near = _NEAR if ruled else 1.2
        centre = (columns[0][0] + columns[-1][1]) / 2
        title = len(row) == 1 and not ruled and abs(_middle(row[0]) - centre) < 6
        if not over or title or gap > near * (row[0].y1 - row[0].y0):
            break
        first -= 1
    return first


def _ruled_below(row: list[Piece], below: list[Piece], drawn: Drawn) -> bool:
    """Say whether a rule runs below each cell of a line, above the next line."""
    bottom = min(cell.middle for cell in below)
    return all(
        any(
            cell.middle < rule.y0 < bottom and rule.x0 < cell.x1 and rule.x1 > cell.x0
            for rule in drawn.across
        )
        for cell in row
    )


def _with_last_label(cells: Rows, stop: int, columns: list[Column]) -> int:
    """Return the row after the last: a label may wrap below its figures."""
    while stop < len(cells) and len(cells[stop]) == 1:
        (cell,), above = cells[stop], cells[stop - 1]
        if cell.y0 - max(c.y1 for c in above) > 0.4 * (cell.y1 - cell.y0):
            break
        label = above[0] if above[0].x0 < columns[0][1] and cell.x1 < columns[0][1] + 2 else None
        text = [c for c in above if abs(c.x0 - cell.x0) < 2 and cell.x0 > columns[0][1]]
        if not text and not (label and _wraps(label, cell, columns[0][1])):
            break
        stop += 1
    return stop


# --- lines to rows ------------------------------------------------------------------------------


def _head(rows: Rows, columns: list[Column], drawn: Drawn) -> list[_Line]:
    """Return the lines of a header; the last of `rows` is the first below it.

    A cell right above one that spans several columns is its upper part, and spans the same.
    """
    lines: list[_Line] = []
    spans: dict[int, list[int]] = {}
    for row, below in reversed(list(pairwise(rows))):
        found = _spanned(row, below, columns, drawn)
        for place, cell in enumerate(row):
            under = [n for n, other in enumerate(below) if other.x0 < cell.x1 and other.x1 > cell.x0]
            same = spans.get(under[0], []) if len(under) == 1 else []
            if len(same) > 1 and len(found.get(place, [])) < 2 and _is_over(cell, same, columns):
                found[place] = same
        lines.append(_line(row, columns, found))
        spans = found
    return lines[::-1]


def _line(
    row: list[Piece], columns: list[Column], spanned: Mapping[int, list[int]] | None = None
) -> _Line:
    """Put the cells of a line into columns; one that spans several stands in the leftmost."""
    cells: dict[int, Piece] = {}
    spans = set()
    for place, cell in enumerate(row):
        covered = (spanned or {}).get(place) or _covered(cell, columns)
        column = covered[0]
        if len(covered) > 1:
            spans.add(column)
        before = cells.get(column)
        cells[column] = cell if before is None else _beside(before, cell)
    return _Line(cells, min(c.y0 for c in row), max(c.y1 for c in row), frozenset(spans))


def _beside(left: Piece, right: Piece) -> Piece:
    box = around([left, right])
    text = f"{left.text} {right.text}"
    return left._replace(text=text, x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1)


def _spanned(
    row: list[Piece], below: list[Piece], columns: list[Column], drawn: Drawn
) -> dict[int, list[int]]:
    """Return which columns the cells of a header span, as rules below or their middles tell.

    Each column belongs to the cell whose middle is nearest; a cell spans its columns if it stands
    over their middle, and each has a cell of its own in the line below.
    """
    labels = columns[0][1]
    over = [place for place, cell in enumerate(row) if (cell.x0 + cell.x1) / 2 > labels]
    nearest: dict[int, list[int]] = {}
    for number in range(1, len(columns)):
        if over:
            place = min(over, key=lambda n: abs(_middle(row[n]) - _center(columns[number])))
            nearest.setdefault(place, []).append(number)
    filled = {_covered(cell, columns)[0] for cell in below}
    ruled = _ruled(row, below, drawn)
    centred = {
        place: near
        for place, near in nearest.items()
        if len(near) == 1 or (filled.issuperset(near) and _is_centred(row[place], near, columns))
    }
    spanned = centred if len(centred) == len(nearest) else {}
    for place, near in nearest.items():
        under = _along(place, row, ruled, columns)
        if len(under) < 2:
            under = [number for number in near if any(_crosses(rule, columns[number]) for rule in ruled)]
        if len(under) > 1 and _is_over(row[place], under, columns):
            spanned[place] = under
    return spanned


def _is_over(cell: Piece, under: list[int], columns: list[Column]) -> bool:
    """Say whether a cell stands roughly over the middle of some columns, or ends with them."""
    x0, x1 = columns[under[0]][0], columns[under[-1]][1]
    return abs(_middle(cell) - (x0 + x1) / 2) < 0.25 * (x1 - x0) or abs(cell.x1 - x1) < 3


def _is_centred(cell: Piece, near: list[int], columns: list[Column]) -> bool:
    x0, x1 = columns[near[0]][0], columns[near[-1]][1]
    return abs(_middle(cell) - (x0 + x1) / 2) < 0.08 * (x1 - x0) + 3


def _middle(cell: Piece) -> float:
    return (cell.x0 + cell.x1) / 2


def _center(column: Column) -> float:
    return (column[0] + column[1]) / 2


def _ruled(row: list[Piece], below: list[Piece], drawn: Drawn) -> list[Area]:
    """Return the rules right below a line of the header, from left to right."""
    height = max(cell.y1 - cell.y0 for cell in row)
    middle, last = max(cell.middle for cell in row), max(cell.y1 for cell in row)
    bottom = min(last + 1.2 * height, min(cell.y0 for cell in below) + 0.3 * height)
    return sorted(rule for rule in drawn.across if middle < rule.y0 < bottom)


def _along(place: int, row: list[Piece], rules: list[Area], columns: list[Column]) -> list[int]:
    """Return the columns along the rule under one cell; none if it runs on under another.

    The rule may be drawn in parts that touch.
    """
    cell = row[place]
    x0 = x1 = _middle(cell)
    for rule in rules:
        if rule.x0 <= x1 + 1.5 and rule.x1 >= x0 - 1.5:
            x1 = max(x1, rule.x1)
    for rule in reversed(rules):
        if rule.x1 >= x0 - 1.5 and rule.x0 <= x1 + 1.5:
            x0 = min(x0, rule.x0)
    if any(x0 < _middle(other) < x1 for other in row if other is not cell):
        return []
    return [n for n, column in enumerate(columns) if n and _crosses(Area(x0, 0, x1, 0), column)]


def _crosses(rule: Area, column: Column) -> bool:
    """Say whether a rule runs along most of a column's width."""
    x0, x1 = column
    return min(x1, rule.x1) - max(x0, rule.x0) > 0.5 * (x1 - x0)


def _covered(cell: Piece, columns: list[Column]) -> list[int]:
    """Return the columns that a cell covers, or the one that it is nearest to."""
    shares = [
        (min(cell.x1, x1) - max(cell.x0, x0)) / max(1.0, min(x1 - x0, cell.x1 - cell.x0))
        for x0, x1 in columns
    ]
    covered = [number for number, share in enumerate(shares) if share > 0.5]
    if covered:
        return covered if len(covered) == 1 or not is_figure(cell.text) else covered[:1]
    return [max(range(len(columns)), key=lambda number: shares[number])]


def _header_lines(lines: Sequence[_Line]) -> int:
    """Return how many lines stand before the first one with data."""
    for number, line in enumerate(lines):
        if any(column and is_amount(cell.text) for column, cell in line.cells.items()):
            while number and set(lines[number - 1].cells) == {0} and number > 1:
                number -= 1  # a label right above the data is a section, not a header
            if not number and 0 not in line.cells and len(lines) > 1 and 0 in lines[1].cells:
                return 1  # names of columns that look like figures
            return 0 if number == 1 and set(lines[0].cells) == {0} else number
    return 0


def _grouped(
    heads: list[_Line], data: list[_Line], drawn: Drawn, *, numeric: bool
) -> tuple[list[list[_Line]], list[list[_Line]]]:
    """Group lines to rows of the header and rows of data."""
    bands = _bands(drawn, (heads + data)[0].y0, (heads + data)[-1].y1)
    gaps = [b.y0 - a.y1 for a, b in pairwise(heads)]
    usual = 1.2 * median(gaps) if gaps else 0.0
    head_groups = _group(heads, lambda group, line: _same_head(group, line, usual, drawn))
    limit = max((line.cells[0].x1 for line in data if 0 in line.cells), default=0.0)

    def same(group: list[_Line], line: _Line) -> bool:
        above, here = _band(bands, group[-1]), _band(bands, line)
        if above is not None or here is not None:
            return above == here
        return _continues(group, line, limit) if numeric else _same_text_row(group, line, data)

    return head_groups, _group(data, same)


def _group(
    lines: Sequence[_Line], same: Callable[[list[_Line], _Line], bool]
) -> list[list[_Line]]:
    groups: list[list[_Line]] = []
    for line in lines:
        if groups and same(groups[-1], line):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _bands(drawn: Drawn, top: float, bottom: float) -> list[Column]:
    """Return the heights of shaded rows between `top` and `bottom`; none unless there are some."""
    found = sorted(
        {
            (round(shade.y0, 1), round(shade.y1, 1))
            for shade in drawn.shades
            if shade.y1 > top and shade.y0 < bottom and 5 < shade.y1 - shade.y0 < 80
        }
    )
    apart = [band for band, after in pairwise([*found, (1e9, 1e9)]) if band[1] <= after[0] + 1]
    return apart if len(apart) >= 3 else []


def _band(bands: list[Column], line: _Line) -> Column | None:
    middle = (line.y0 + line.y1) / 2
    return next((band for band in bands if band[0] <= middle <= band[1]), None)


def _same_head(group: list[_Line], line: _Line, usual: float, drawn: Drawn) -> bool:
    """Say whether a line of the header, no further down than usual, goes on with those above."""
    above = group[-1]
    if line.y0 - above.y1 > max(usual, 0.8 * (line.y1 - line.y0)):
        return False
    if above.spans and not (above.spans <= line.spans and set(above.cells) <= set(line.cells)):
        return False
    if not above.spans and line.spans and not set(above.cells) <= set(line.cells):
        return False
    return not any(_underlined(cell, line, drawn) for cell in above.cells.values())


def _underlined(cell: Piece, below: _Line, drawn: Drawn) -> bool:
    """Say whether a rule stands between a cell and the line below."""
    return any(
        cell.middle < rule.y0 < (below.y0 + below.y1) / 2
        and min(rule.x1, cell.x1) - max(rule.x0, cell.x0) > 0
        for rule in drawn.across
    )


def _continues(group: list[_Line], line: _Line, limit: float) -> bool:
    """Say whether a line of data goes on with the label of the line above."""
    above = group[-1]
    gap = line.y0 - above.y1
    if gap > 0.45 * (line.y1 - line.y0):
        return False
    if 0 not in line.cells:
        if any(is_figure(cell.text) for cell in line.cells.values()):
            return all(set(part.cells) == {0} for part in group)
        return all(any(column in part.cells for part in group) for column in line.cells)
    if 0 not in above.cells:
        return False
    valued = any(set(part.cells) != {0} for part in group)
    if valued and set(line.cells) != {0}:
        return False
    return _wraps(above.cells[0], line.cells[0], limit)


def _wraps(above: Piece, below: Piece, limit: float) -> bool:
    """Say whether a label goes on in the line below because it found no room above."""
    if above.text.endswith(":") or below.x0 < above.x0 - 2 or above.bold != below.bold:
        return False
    if _CONNECTS.search(above.text):
        return True
    word = below.text.split(" ", 1)[0]
    room = (len(word) + 1) * (below.x1 - below.x0) / max(1, len(below.text))
    full = above.x1 + room > limit - 2
    small = bool(re.match("[a-z(]", below.text))
    return (full and (small or below.x0 > above.x0 + 2)) or (
        below.text[0].islower() and above.x1 > 0.6 * limit
    )


def _same_text_row(group: list[_Line], line: _Line, data: list[_Line]) -> bool:
    """Say whether a line without a first cell, or closer than rows are, belongs to the row above."""
    if 0 not in line.cells:
        return True
    gaps = [b.y0 - a.y1 for a, b in pairwise(data)]
    gap = line.y0 - group[-1].y1
    return bool(gaps) and gap < 0.6 * max(gaps) and max(gaps) > 2 + min(gaps) and gap < min(gaps) + 1


def _row(lines: list[_Line], count: int, page: int) -> Row:
    cells = [
        " ".join(line.cells[column].text for line in lines if column in line.cells)
        for column in range(count)
    ]
    box = around(cell for line in lines for cell in line.cells.values())
    return Row(cells, page, box)
