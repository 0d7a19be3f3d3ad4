from __future__ import annotations

import pytest

from serving.checks.negation import contradictions, polarity


@pytest.mark.parametrize(
    ("said", "quote"),
    [
        ("Guests may not park here.", "Guests may park here."),
        ("Guests may park here.", "Guests may not park here."),
        ("It isn't allowed to smoke.", "It is allowed to smoke."),
        ("Rauchen ist nicht erlaubt.", "Rauchen ist erlaubt."),
        ("It was never sold.", "It was sold in May."),
    ],
)
def test_a_denial_of_what_the_quote_says_is_seen(said: str, quote: str) -> None:
    assert contradictions(polarity(said), polarity(quote)) == ["negation"]


@pytest.mark.parametrize(
    ("said", "quote", "reason"),
    [
        ("Revenue decreased in May.", "Revenue increased in May.", "decreased"),
        ("They expect an increase of costs.", "They expect a decrease of costs.", "increase"),
        ("Pay before May.", "Pay after May.", "before"),
    ],
)
def test_opposites_are_seen(said: str, quote: str, reason: str) -> None:
    assert contradictions(polarity(said), polarity(quote)) == [f"opposite:{reason}"]


@pytest.mark.parametrize(
    ("said", "quote"),
    [
        ("Guests may not park here.", "Guests may not park here on Sundays."),
        ("It has soup and tea.", "It has not only soup but tea."),
        ("Guests may park.", "Guests may park, but staff may not smoke."),
        ("It is no longer open.", "It is closed now."),
        ("Costs increased, then decreased.", "Costs decreased after they had increased."),
    ],
)
def test_a_negation_of_something_else_is_none(said: str, quote: str) -> None:
    assert contradictions(polarity(said), polarity(quote)) == []
