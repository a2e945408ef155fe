"""The environment that tests run in: variables, devices, output, and tests that fail by chance."""

import contextlib
import functools
import os
import platform
import sys

from ..context import num_gpus
from ..util import getenv, setenv

__all__ = [
    "discard_stderr",
    "environment",
    "has_tvm_ops",
    "is_aarch64_run",
    "is_cd_run",
    "is_op_runnable",
    "list_gpus",
    "retry",
]


@contextlib.contextmanager
def environment(*args):
    """A ``with`` block, or a decorator, in which environment variables have other values.

    Parameters
    ----------
    *args
        The name of a variable and its value; or a dict of several. None removes a variable.

    Examples
    --------
    >>> from mxtape.test_utils import environment, getenv
    >>> with environment('MXTAPE_EXAMPLE', '1'):
    ...     getenv('MXTAPE_EXAMPLE')
    '1'
    >>> with environment({'MXTAPE_EXAMPLE': '1', 'MXTAPE_OTHER': None}):
    ...     getenv('MXTAPE_EXAMPLE'), getenv('MXTAPE_OTHER')
    ('1', None)
    >>> getenv('MXTAPE_EXAMPLE') is None
    True
    """
    if len(args) == 2:
        values = {args[0]: args[1]}
    elif len(args) == 1 and isinstance(args[0], dict):
        values = args[0]
    else:
        raise AssertionError(f"environment: a name and a value are needed, or a dict, got {args!r}")
    before = {name: getenv(name) for name in values}
    try:
        for name, value in values.items():
            setenv(name, value)
        yield
    finally:
        for name, value in before.items():
            setenv(name, value)


@contextlib.contextmanager
def discard_stderr():
    """A ``with`` block whose error output, that of C++ code included, is lost.

    >>> import os
    >>> from mxtape.test_utils import discard_stderr
    >>> with discard_stderr():
    ...     _ = os.write(2, b'never seen')
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def retry(n):
    """A decorator for tests that fail by chance: up to `n` attempts, until no assertion fails.

    >>> import mxtape as mx
    >>> attempts = []
    >>> @mx.test_utils.retry(3)
    ... def test():
    ...     attempts.append(1)
    ...     assert len(attempts) == 2
    >>> test()
    >>> len(attempts)
    2
    """
    if n < 1:
        raise AssertionError(f"retry: at least one attempt is needed, got {n}")

    def decorate(test):
        @functools.wraps(test)
        def attempt(*args, **kwargs):
            for _ in range(n - 1):
                with contextlib.suppress(AssertionError):
                    return test(*args, **kwargs)
            return test(*args, **kwargs)

        return attempt

    return decorate


def list_gpus():
    """The numbers of the GPUs: none.

    >>> import mxtape as mx
    >>> list(mx.test_utils.list_gpus())
    []
    """
    return range(num_gpus())


def has_tvm_ops():
    """Whether there are operators compiled by TVM: no."""
    return False


def is_op_runnable():
    """Whether operators that need TVM, or a recent GPU, may be tested: on the CPU always."""
    return True


def is_cd_run():
    """Whether the environment variable ``CD_JOB`` is 1, as in MXNet's release builds."""
    return getenv("CD_JOB") == "1"


def is_aarch64_run():
    """Whether this is a 64-bit ARM processor."""
    return platform.machine() == "aarch64"


def get_im2rec_path(home_env="MXNET_HOME"):
    """The path of MXNet's tool ``im2rec.py``, in the folder ``tools`` of a copy of MXNet.

    Parameters
    ----------
    home_env : str, default 'MXNET_HOME'
        The environment variable that names the copy. mxtape has no such tool itself.

    Raises
    ------
    OSError
        The tool is not there.
    """
    home = os.environ.get(home_env)
    path = os.path.join(home or "", "tools", "im2rec.py")
    if home is None or not os.path.isfile(path):
        raise OSError(f"im2rec.py is not in the folder tools of {home_env}, which is {home!r}")
    return path
