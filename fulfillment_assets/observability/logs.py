"""Log lines: JSON on standard error, or text where a person watches.

`get_logger(__name__).info("orders.scored", orders=100)` makes an event with fields; what is bound
to the context (`correlation`) stands in it, too. Text that packages log with `logging` goes the
same way. No line holds personal data or a secret: no customer, no free text, no payload. Of an
error the kind, the place and the first line of its text are told: what follows it, what stands in
quotes and the values of variables are data.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

LogFormat = Literal["json", "console"]

PACKAGES: Final = ("fulfillment_assets", "fulfillment_api")
"""Whose lines are written; those of libraries are left to the program."""

_LONGEST_ERROR: Final = 300
_MOST_FRAMES: Final = 30
_MOST_CAUSES: Final = 5

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), default=str)
"""Made once: `json.dumps` would make one for each line."""

_CHAIN: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at the moment; of errors within a text not all is told."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        if isinstance(record.args, tuple) and any(_is_error(one) for one in record.args):
            told = tuple(_gist(one) if _is_error(one) else one for one in record.args)
            record = logging.makeLogRecord({**record.__dict__, "args": told})
        super().emit(record)


def configure_logging(log_format: LogFormat | None = None) -> None:
    """Let the loggers of `PACKAGES` write from INFO on; a second call replaces the first.

    Args:
        log_format: unset: `console` where standard error is a terminal, else `json`.
    """
    chosen: LogFormat = log_format or ("console" if sys.stderr.isatty() else "json")
    _Line.render = staticmethod(_renderer(chosen))
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_CHAIN,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(_told),
                _renderer(chosen),
            ],
        )
    )
    for name in PACKAGES:
        logger = logging.getLogger(name)
        for known in [one for one in logger.handlers if isinstance(one, _StandardError)]:
            logger.removeHandler(known)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose events have fields; `name` is the module's."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_CHAIN,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def get_busy_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """The same for events that come a thousand times a second.

    They go past `logging`, which costs twice what the rest does: nothing else can filter or
    collect them. `configure_logging` must have been called.
    """
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Line(name),
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )
    return logger


class _Line:
    """Writes lines to what is standard error at the moment.

    Attributes:
        render: makes the text of a line.
    """

    render: Processor

    def __init__(self, name: str) -> None:
        self.name = name

    def info(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")


def _with_name(logger: _Line, _method: str, event: EventDict) -> EventDict:
    event["logger"] = logger.name
    return event


def _rendered(logger: _Line, method: str, event: EventDict) -> str:
    return str(logger.render(logger, method, event))


def _encoded(event: Any, **_: Any) -> str:
    return _ENCODER.encode(event)


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)


def _gist(error: object) -> str:
    """The first line of an error's text, without what it quotes."""
    return _QUOTED.sub("'…'", str(error).partition("\n")[0])[:_LONGEST_ERROR]


def _told(exc_info: ExcInfo) -> str:
    """Where an error was raised, and the first line of its text; what caused it comes before."""
    raised: BaseException | None = exc_info[1]
    told: list[str] = []
    while raised is not None and len(told) < _MOST_CAUSES:
        frames = "".join(traceback.format_tb(raised.__traceback__, -_MOST_FRAMES))
        told.append(f"{frames}{type(raised).__name__}: {_gist(raised)}")
        hidden = raised.__suppress_context__
        raised = raised.__cause__ or (None if hidden else raised.__context__)
    return "\n".join(reversed(told))


def _renderer(log_format: LogFormat) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(serializer=_encoded)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
