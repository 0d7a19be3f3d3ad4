"""Has an expression worked out by a process that can do nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from serving.browse import arithmetic

SECONDS = 5.0
"""More than the process itself may compute: it may have to wait for a processor."""


class NoValue(Exception):
    """Why there is none, in words for the model."""


def calculate(expression: str, values: Mapping[str, Sequence[Decimal]]) -> Decimal:
    """Return the value of an expression over named lists of numbers; raises `NoValue`."""
    written = {name: [f"{each:f}" for each in given] for name, given in values.items()}
    command = [sys.executable, "-I", "-S", str(Path(arithmetic.__file__))]
    try:
        done = subprocess.run(  # noqa: S603 (our own program)
            command,
            input=json.dumps({"expression": expression, "values": written}).encode(),
            capture_output=True,
            timeout=SECONDS,
            env={},
            check=False,
        )
        told = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise NoValue("it takes too long") from error
    if "value" not in told:
        raise NoValue(str(told.get("error", "")))
    return Decimal(told["value"])
