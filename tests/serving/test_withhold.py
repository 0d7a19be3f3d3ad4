from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knowledge.models import Backing
from serving.cite import claims
from serving.verify import Verifier
from serving.withhold import Gate
from tests.fakes import context

ASKED = context("What does soup cost?", "Soup costs three euro. Dr. Lee cooks.", "Cake is sweet.")
SENTENCES = [
    *("Soup costs three euro [1].", "Dr. Lee cooks [1].", "Cake is sweet. [2]", "- Cake [2]"),
    *("The canteen burned down [1].", "It is gone.", "Prices:", "# Prices", "No. 5 [2][1]!"),
]


def passed(*pieces: str) -> tuple[str, int]:
    gate = Gate(Verifier().begin(), ASKED)
    shown = "".join(gate.feed(piece) for piece in pieces)
    return shown + gate.finish(), gate.withheld


def test_only_sentences_that_are_carried_pass() -> None:
    text = "Soup costs three euro [1]. The canteen burned down [1]. Dr. Lee cooks [1]."
    assert passed(text) == ("Soup costs three euro [1]. Dr. Lee cooks [1].", 1)


@given(
    st.lists(st.sampled_from(SENTENCES), max_size=5),
    st.sampled_from([" ", "\n", "\n\n"]),
    st.data(),
)
def test_however_a_text_is_cut_the_same_passes(
    sentences: list[str], between: str, data: st.DataObject
) -> None:
    text = between.join(sentences)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert passed(*pieces) == passed(text)


@given(st.lists(st.sampled_from(SENTENCES), max_size=6), st.sampled_from([" ", "\n"]))
def test_what_passes_is_carried_when_it_is_read_again(sentences: list[str], between: str) -> None:
    shown, withheld = passed(between.join(sentences))
    judged = Verifier().verify(shown, ASKED).statements
    assert all(each.backing is not Backing.UNSUPPORTED for each in judged)
    assert len(judged) + withheld <= len(claims(between.join(sentences)))
