"""`footnote mcp`: a running service, for an agent on stdin and stdout."""

from __future__ import annotations

from importlib.metadata import version

from footnote.client import probe
from footnote.owner import announced
from knowledge.errors import ConfigurationError
from knowledge.settings import Settings
from serving.mcp.bridge import bridge


def attend(settings: Settings) -> None:
    """Serve until stdin ends; raises `ConfigurationError` where no service answers, or not to us.

    The agent has the rights of the configured key, never those of the account it runs under.
    """
    key = settings.api_key.get_secret_value()
    url = _url(settings)
    status, _ = probe(f"{url}/v1/collections", key=key)
    if status == 0:
        raise ConfigurationError(
            f"nothing answers at {url}; start it with: footnote serve (or set FOOTNOTE_API_URL)"
        )
    if status == 401:
        raise ConfigurationError(
            f"the service at {url} wants a valid key: set FOOTNOTE_API_KEY (footnote keys add)"
        )
    bridge(url, key, version=version("footnote"))


def _url(settings: Settings) -> str:
    if settings.api_url:
        return settings.api_url.rstrip("/")
    service = announced(settings.data_dir)
    return service.url if service else f"http://127.0.0.1:{settings.port}"
