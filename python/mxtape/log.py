"""Loggers that write the time and the place of a message: ``mx.log``."""

import logging
import sys
import warnings
from logging import CRITICAL, DEBUG, ERROR, INFO, NOTSET, WARNING

__all__ = ["CRITICAL", "DEBUG", "ERROR", "INFO", "NOTSET", "WARNING", "getLogger", "get_logger"]

_COLORS = {logging.CRITICAL: 31, logging.ERROR: 31, logging.WARNING: 31, logging.INFO: 32}
_NO_COLOR = 34
_PLACE = "%(levelname).1s%(asctime)s %(process)d %(pathname)s:%(funcName)s:%(lineno)d]"


class _Formatter(logging.Formatter):
    """The level's letter, time, process and place, in the color of the level; then the text."""

    def __init__(self, colored):
        super().__init__(datefmt="%m%d %H:%M:%S")
        self._colored = colored

    def format(self, record):
        place = _PLACE
        if self._colored:
            place = f"\x1b[{_COLORS.get(record.levelno, _NO_COLOR)}m{place}\x1b[0m"
        self._style._fmt = f"{place} %(message)s"
        return super().format(record)


def get_logger(name=None, filename=None, filemode=None, level=WARNING):
    """A logger with a handler of its own; the one of that name if there is one.

    Parameters
    ----------
    name : str, optional
        None means the root logger, as it is.
    filename : str, optional
        A file to write plain messages to. Without one, messages go to the error output, with their
        place; in color on a terminal.
    filemode : str, default 'a'
        How the file is opened.
    level : int, default WARNING
        Messages below it are dropped.

    >>> import mxtape as mx
    >>> mx.log.get_logger("mxtape.example", level=mx.log.INFO).level == mx.log.INFO
    True
    """
    logger = logging.getLogger(name)
    if name is None or getattr(logger, "_mxtape_handler", None) is not None:
        return logger
    handler: logging.Handler
    if filename:
        handler = logging.FileHandler(filename, filemode or "a")
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_Formatter(colored=sys.stderr.isatty()))
    logger.addHandler(handler)
    logger._mxtape_handler = handler  # type: ignore[attr-defined]
    logger.setLevel(level)
    return logger


def getLogger(name=None, filename=None, filemode=None, level=WARNING):
    """The same as :func:`get_logger`, which it warns to use."""
    warnings.warn("getLogger is deprecated; use get_logger", DeprecationWarning, stacklevel=2)
    return get_logger(name, filename, filemode, level)
