from __future__ import annotations

import pytest

from knowledge.errors import ConfigurationError
from knowledge.models import Effort
from knowledge.settings import Settings


@pytest.mark.parametrize(
    ("written", "caps"),
    [
        ("", {}),
        ("300", dict.fromkeys(Effort, 300)),
        ("low=256, high=4096", {Effort.LOW: 256, Effort.HIGH: 4096}),
    ],
)
def test_thinking_is_capped_for_all_or_by_effort(written: str, caps: dict[Effort, int]) -> None:
    assert Settings(_env_file=None, thinking_tokens=written).thinking == caps


@pytest.mark.parametrize("written", ["much", "low=much", "low=1=2", "none=3", "-5"])
def test_another_cap_is_refused_with_its_name(written: str) -> None:
    with pytest.raises(ConfigurationError, match="FOOTNOTE_THINKING_TOKENS"):
        _ = Settings(_env_file=None, thinking_tokens=written).thinking
