"""What the tools take, and how a model is told of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from knowledge.models import LONGEST_QUESTION
from serving.browse.arithmetic import LONGEST_EXPRESSION
from serving.prompt import BROWSER_TOOLS

MOST_RESULTS = 10
MOST_INPUTS = 200
LONGEST_PATTERN = 200
"""Characters."""


class Search(BaseModel):
    """Arguments of the tool; each text in these classes is what a model is told."""

    query: Annotated[str, Field(min_length=1, max_length=LONGEST_QUESTION)]
    topn: int = MOST_RESULTS


class Open(BaseModel):
    """Arguments of the tool; -1 is what the model was trained to leave out."""

    id: Annotated[int | str, Field(description="The number of a link; -1: stay on the page.")] = -1
    cursor: Annotated[int, Field(description="The page that has the link; -1: the latest.")] = -1
    loc: Annotated[int, Field(description="The line to begin at.")] = -1
    num_lines: Annotated[int, Field(description="How many lines; -1: what fits.")] = -1


class Find(BaseModel):
    """Arguments of the tool."""

    pattern: Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN)]
    cursor: Annotated[int, Field(description="The page to look in; -1: the latest.")] = -1


class Input(BaseModel):
    """A number of a document, under the name that the expression has for it."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,30}$")]
    cursor: Annotated[int, Field(description="The page it stands on.")]
    line: Annotated[int, Field(description="The line it stands in.")]
    value: Annotated[str, Field(min_length=1, max_length=60, description="As it stands there.")]


class Calculate(BaseModel):
    """Arguments of the tool; several inputs of one name are a list."""

    expression: Annotated[str, Field(min_length=1, max_length=LONGEST_EXPRESSION)]
    inputs: Annotated[list[Input], Field(min_length=1, max_length=MOST_INPUTS)]


ARGUMENTS: dict[str, type[Search | Open | Find | Calculate]] = {
    "search": Search,
    "open": Open,
    "find": Find,
    "calculate": Calculate,
}


def _without_titles(schema: Any) -> Any:  # noqa: ANN401 (JSON)
    """Leave out the titles that the library adds; no argument is called so."""
    if isinstance(schema, dict):
        return {name: _without_titles(of) for name, of in schema.items() if name != "title"}
    return schema


def _tool(name: str, arguments: type[BaseModel]) -> dict[str, Any]:
    schema = arguments.model_json_schema()
    kept = {
        name: schema[name] for name in ("type", "properties", "required", "$defs") if name in schema
    }
    parameters = _without_titles(kept) | {"required": schema.get("required", [])}
    described = {"name": name, "description": BROWSER_TOOLS[name], "parameters": parameters}
    return {"type": "function", "function": described}


TOOLS = tuple(_tool(name, ARGUMENTS[name]) for name in ("search", "open", "find"))
"""As chat completions offer them."""
CALCULATOR = _tool("calculate", Calculate)
