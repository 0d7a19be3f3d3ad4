"""The adapter of the model server, and what fits it, from the settings."""

from __future__ import annotations

from knowledge.models import Effort
from knowledge.settings import Settings
from knowledge.vocabulary import count_tokens
from serving.chat import ChatGenerator, Limits
from serving.engine.profiles import MODELS, PROFILES, choose
from serving.window import Window


def adapter(
    settings: Settings, *, answer: int | None = None, thinking: int | None = None
) -> ChatGenerator:
    """Return the adapter as it is set, but for the caps that are given, in tokens."""
    return ChatGenerator(
        settings.model_url,
        settings.model_name,
        api_key=settings.model_api_key.get_secret_value(),
        limits=Limits(
            seconds=settings.model_timeout,
            first_seconds=settings.first_token_timeout,
            window=window(settings, answer=answer, thinking=thinking),
        ),
        grammar=settings.citation_grammar,
    )


def window(settings: Settings, *, answer: int | None = None, thinking: int | None = None) -> Window:
    """Return what fits the model, as it is set, but for the caps that are given."""
    caps = settings.thinking if thinking is None else dict.fromkeys(Effort, thinking)
    return Window(
        tokens=settings.model_window or _of_profile(settings),
        answer=answer or settings.answer_tokens,
        count=count_tokens,
        thinking=caps,
    )


def _of_profile(settings: Settings) -> int:
    """Return the window that our own engine would give this model; the smallest for another."""
    if settings.model_name in MODELS:
        return choose(settings.model_name, settings.engine_profile).context
    return min(each.context for profiles in PROFILES.values() for each in profiles)
