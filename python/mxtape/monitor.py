"""Watching what a network computes while it trains: ``mx.monitor``, also ``mx.mon``."""

import logging
import re
import weakref
from math import sqrt

from . import _borrowed, ndarray
from .ndarray import NDArray

__all__ = ["Monitor", "NDArray", "logging", "ndarray", "re", "sqrt"]


class Monitor:
    """Computes a statistic of outputs, parameters and gradients, every ``interval`` batches.

    Parameters
    ----------
    interval : int
        How many batches lie between two that are watched.
    stat_func : callable, optional
        Maps an NDArray to an NDArray, or to a list of NDArrays. The default is
        ``norm(x) / sqrt(x.size)``.
    pattern : str, default '.*'
        A regular expression. Names that begin with a match are watched.
    sort : bool, default False
        Whether the results come sorted by name.
    monitor_all : bool, default False
        Whether the inputs of operators are watched too.

    Examples
    --------
    >>> import mxtape as mx
    >>> network = mx.sym.FullyConnected(mx.sym.Variable("data"), num_hidden=2, name="fc")
    >>> executor = network.simple_bind(mx.cpu(), data=(1, 3))
    >>> monitor = mx.mon.Monitor(1, stat_func=lambda x: x.max(), pattern=".*weight")
    >>> monitor.install(executor)
    >>> monitor.tic()
    >>> _ = executor.forward()
    >>> monitor.toc()
    [(1, 'fc_weight', '0.0\\t')]
    """

    def __init__(self, interval, stat_func=None, pattern=".*", sort=False, monitor_all=False):
        if stat_func is None:

            def stat_func(x):
                return ndarray.norm(x) / sqrt(x.size)

        self.interval, self.step, self.activated = interval, 0, False
        self.stat_func = stat_func
        self.re_prog = re.compile(pattern)
        self.sort, self.monitor_all = sort, monitor_all
        self.queue: list = []
        self.exes: list = []

    def stat_helper(self, name, array):
        """What executors call with each array that they compute."""
        if self.activated and self.re_prog.match(name):
            self.queue.append((self.step, name, self.stat_func(array)))

    def install(self, exe):
        """Lets the monitor see what an executor computes."""
        helper = weakref.WeakMethod(self.stat_helper)

        def watch(name, array):
            # The monitor has the executor: the other way round it must not, to be freed at once.
            method = helper()
            if method is not None:
                method(name, array)

        exe.set_monitor_callback(watch, self.monitor_all)
        self.exes.append(exe)

    def tic(self):
        """Begins a batch: starts to watch if it is this batch's turn. To call before forward."""
        if not self.step % self.interval:
            self.activated, self.queue = True, []
        self.step += 1

    def toc(self):
        """Ends a batch.

        Returns
        -------
        list of (int, str, str)
            The batch's number, a name, and the statistic's values, each followed by a tab; empty
            when the batch was not watched.
        """
        if not self.activated:
            return []
        self.activated = False
        for exe in self.exes:
            symbol = exe._symbol
            watched = [*zip(symbol.list_arguments(), exe.arg_arrays)]
            watched += zip(symbol.list_auxiliary_states(), exe.aux_arrays)
            for name, array in watched:
                if self.re_prog.match(name):
                    self.queue.append((self.step, name, self.stat_func(array)))
        if self.sort:
            self.queue.sort(key=lambda entry: entry[1])
        results = [(step, name, self._text(name, value)) for step, name, value in self.queue]
        self.queue = []
        return results

    @staticmethod
    def _text(name, value):
        """What the statistic gave, as a text."""
        values = value if isinstance(value, list) else [value]
        text = ""
        for v in values:
            if not isinstance(v, NDArray):
                raise TypeError(
                    "stat_func must give an NDArray or a list of NDArrays; "
                    f"for {name!r} it gave {type(v).__name__}"
                )
            text += str(v.asscalar() if v.size == 1 and v.ndim < 2 else v.asnumpy()) + "\t"
        return text

    def toc_print(self):
        """Ends a batch, as :meth:`toc`, and logs the results."""
        for step, name, text in self.toc():
            logging.info("Batch: %7d %-30s %s", step, name, text)


__getattr__ = _borrowed.borrow(
    __name__, "ctypes", {"._c_types": "NDArrayHandle", ".base": "py_str"}
)
