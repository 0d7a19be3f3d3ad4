from __future__ import annotations

import pytest

from serving.engine.profiles import MODELS, PROFILES, EngineError, Profile, choose

WORKING = 800_000_000
"""What vLLM needs besides weights and cache at the least: activations, graphs, its own code."""
EVERY = [
    pytest.param(name, profile, id=f"{name}-{profile.name}")
    for name, profiles in PROFILES.items()
    for profile in profiles
]


@pytest.mark.parametrize(("name", "profile"), EVERY)
def test_weights_and_the_longest_request_fit(name: str, profile: Profile) -> None:
    model = MODELS[name]
    needed = model.weights + model.token * profile.context + WORKING
    assert needed <= profile.memory * profile.share


@pytest.mark.parametrize(("name", "profile"), EVERY)
def test_a_step_takes_every_sequence_and_a_context_is_of_use(name: str, profile: Profile) -> None:
    assert profile.sequences <= profile.batched
    assert profile.context >= 16_384  # a context of 4,096 tokens, thinking, an answer, a history
    assert 0 < profile.share < 1


def test_the_big_model_does_not_fit_where_the_small_one_does() -> None:
    assert PROFILES["gpt-oss-20b"][0].memory < MODELS["gpt-oss-120b"].weights  # the control


def test_the_smallest_is_taken_unless_another_is_named() -> None:
    assert choose("gpt-oss-20b").name == "16gb"
    assert choose("gpt-oss-120b").name == "80gb"
    assert choose("gpt-oss-20b", "h200").name == "h200"


@pytest.mark.parametrize(
    ("model", "name", "told"),
    [
        pytest.param("gpt-5", "", "gpt-oss-20b or gpt-oss-120b", id="model"),
        pytest.param("gpt-oss-120b", "16gb", "only 80gb and h200", id="profile"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(model: str, name: str, told: str) -> None:
    with pytest.raises(EngineError, match=told):
        choose(model, name)
