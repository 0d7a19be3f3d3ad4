"""The errors of Footnote, one tree.

FootnoteError
├── ConfigurationError      settings or files that make a start impossible; says what to set
├── AccessDenied            no principal, or one without any access token
├── NotFound                absent or not readable: callers cannot tell which
├── OwnedElsewhere          another process owns the data folder
├── NotNow                  the state of a job does not allow it
├── IngestError             one file or line cannot be indexed; `code` is machine-readable
│   ├── Unsupported         a format this version does not read
│   ├── TooLarge            over a byte, page, character or entry cap
│   ├── Unreadable          damaged, encrypted, or not what its name says
│   └── ParserFailed        the parser died, hung or used more than it may
├── SourceUnavailable       a source cannot be reached or listed; nothing of it was removed
├── SourceBusy              somebody else is syncing it
├── IndexUnavailable        the vector store does not answer
├── CatalogUnavailable      the database does not answer
└── ModelError              the language model failed; `code` names the wire fault
"""


class FootnoteError(Exception):
    """Base of all errors raised on purpose; the message says what happened and what to do."""


class ConfigurationError(FootnoteError):
    """The settings or files at hand make a start impossible."""


class AccessDenied(FootnoteError):
    """Nobody asks, or somebody who holds no access token."""


class NotFound(FootnoteError):
    """It is absent, or this principal may not read it; the two look the same on purpose."""


class OwnedElsewhere(FootnoteError):
    """Another process owns the data folder."""


class NotNow(FootnoteError):
    """The state of a job does not allow what is asked; the message says what would."""


class IngestError(FootnoteError):
    """One file or line cannot be indexed; the run goes on."""

    code = "ingest_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code


class Unsupported(IngestError):
    """The format is not read by this version."""

    code = "unsupported"


class TooLarge(IngestError):
    """A cap on bytes, pages, characters or container entries was passed."""

    code = "too_large"


class Unreadable(IngestError):
    """The file is damaged, encrypted, or not what its name says."""

    code = "unreadable"


class ParserFailed(IngestError):
    """The parser died, hung, or used more memory or time than it may."""

    code = "parser_failed"


class SourceUnavailable(FootnoteError):
    """A source cannot be reached, or does not say what it holds; what is known of it stays."""


class SourceBusy(FootnoteError):
    """Another sync of the same source is under way."""


class IndexUnavailable(FootnoteError):
    """The vector store does not answer."""


class CatalogUnavailable(FootnoteError):
    """The database does not answer."""


class ModelError(FootnoteError):
    """The language model failed; `code` names the fault, for example `timeout` or `empty`."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a fault of ours, or of a driver, raises. One in one job or source must not stop the others:
whoever goes through many catches these, logs them in full, and goes on."""
