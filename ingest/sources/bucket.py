"""An S3-compatible bucket as a source; only this file knows obstore."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ingest.sources.entries import Entry, is_taken, item_of, not_installed
from knowledge.errors import ConfigurationError, SourceUnavailable, TooLarge, Unreadable
from knowledge.models import Item, Listing

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SECONDS = 60


class BucketConnector:
    """Lists the objects below a prefix, in one sweep, and reads them one by one."""

    def __init__(
        self, store: ObjectStore, uri: str, *, wanted: Callable[[str], bool], max_bytes: int
    ) -> None:
        self._store = store
        self._uri = uri
        self._wanted = wanted
        self._max_bytes = max_bytes

    def list(self, cursor: str) -> Listing:
        """Sweep over the bucket; a fault on the way raises `SourceUnavailable`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            found = [each for batch in obstore.list(self._store) for each in batch]
        except (BaseError, OSError) as error:
            raise SourceUnavailable(
                f"{self._uri} cannot be listed: {_first_line(error)}"
            ) from error
        return Listing(list(self._items(found)))

    def read(self, item: Item, *, limit: int) -> bytes:
        """Return an object's bytes."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            result = obstore.get(self._store, item.key)
            if result.meta["size"] > limit:
                raise TooLarge(f"it is over the limit of {limit / 1e6:.0f} MB")
            return bytes(result.bytes())
        except FileNotFoundError as error:
            raise Unreadable("it has gone since it was listed") from error
        except BaseError as error:
            raise SourceUnavailable(f"{item.uri} cannot be read: {_first_line(error)}") from error

    def covers(self, uri: str) -> bool:
        """Say that every object of this source is listed, if it is there."""
        return True

    def close(self) -> None:
        """Do nothing: connections close by themselves."""

    def _items(self, found: Any) -> Iterator[Item]:  # noqa: ANN401 (mappings of obstore)
        for each in found:
            if not each["path"].endswith("/") and is_taken(each["path"], self._wanted):
                tag = each["e_tag"] or each["last_modified"].isoformat()
                entry = Entry(
                    path=each["path"],
                    key=each["path"],
                    size=each["size"],
                    fingerprint=f"{tag}-{each['size']}",
                    modified_at=each["last_modified"],
                )
                yield item_of(entry, self._uri, max_bytes=self._max_bytes)


def open_bucket(
    uri: str, settings: Mapping[str, str], *, wanted: Callable[[str], bool], max_bytes: int
) -> BucketConnector:
    """Open `s3://bucket/prefix`; connects when it is listed. Raises `ConfigurationError`."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError:
        raise not_installed("s3") from None
    parts = urlsplit(uri)
    endpoint = settings.get("endpoint", "")
    given = {
        "endpoint": endpoint,
        "region": settings.get("region", "us-east-1"),
        "access_key_id": settings.get("key", ""),
        "secret_access_key": settings.get("secret", ""),
    }
    try:
        store = S3Store(
            parts.netloc,
            prefix=unquote(parts.path).strip("/") or None,
            skip_signature=settings.get("anonymous", "") == "true",
            virtual_hosted_style_request=not endpoint,
            client_options={
                "allow_http": endpoint.startswith("http:"),
                "timeout": f"{SECONDS}s",
            },
            retry_config={"max_retries": 3},
            **{name: value for name, value in given.items() if value},  # type: ignore[arg-type]
        )
    except (BaseError, ValueError) as error:
        raise ConfigurationError(f"{uri}: {_first_line(error)}") from error
    return BucketConnector(store, uri, wanted=wanted, max_bytes=max_bytes)


def _first_line(error: Exception) -> str:
    """Return what an error says first: obstore's go on for pages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
