"""Where a program's time and memory go: ``mx.profiler``.

>>> import mxtape as mx, os, tempfile
>>> trace = os.path.join(tempfile.mkdtemp(), "trace.json")
>>> mx.profiler.set_config(profile_all=True, aggregate_stats=True, filename=trace)
>>> mx.profiler.set_state("run")
>>> y = mx.nd.dot(mx.nd.ones((2, 3)), mx.nd.ones((3, 2)))
>>> mx.profiler.set_state("stop")
>>> "dot " in mx.profiler.dumps(reset=True)
True
>>> mx.profiler.dump()  # open the file in chrome://tracing or ui.perfetto.dev

``MXNET_PROFILER_AUTOSTART=1`` in the environment starts it with the program;
``MXNET_PROFILER_MODE=0`` leaves out the operators that programs call one by one.
"""

import atexit
import ctypes
import json
import os
import threading
import time
import warnings

from . import _borrowed
from ._loader import core as _core
from .base import MXNetError

__all__ = [
    "Counter",
    "Domain",
    "Event",
    "Frame",
    "Marker",
    "Task",
    "dump",
    "dump_profile",
    "dumps",
    "pause",
    "profiler_kvstore_handle",
    "profiler_set_config",
    "profiler_set_state",
    "resume",
    "set_config",
    "set_kvstore_handle",
    "set_state",
]

_DEFAULTS = {
    "profile_all": False,
    "profile_symbolic": True,
    "profile_imperative": True,
    "profile_memory": True,
    "profile_api": True,
    "filename": "profile.json",
    "continuous_dump": True,
    "dump_period": 1.0,
    "aggregate_stats": False,
    "profile_process": "worker",
}
# What the engine records.
_IMPERATIVE, _SYMBOLIC, _MEMORY, _USER = 1, 2, 4, 8

_SORTED_BY = {"total": 4, "avg": lambda row: row[4] / row[3], "min": 5, "max": 6, "count": 3}


class _Profiler:
    """The one profiler of this process."""

    def __init__(self):
        self.config = dict(_DEFAULTS)
        self.runs = False
        self.paused = False
        self.at_exit = False
        self.lock = threading.RLock()
        # Traces have microseconds since 1970.
        self.epoch = time.time_ns() - _core.profile_now()

    def record(self):
        """Has the engine record what is asked for now."""
        what = 0
        if self.runs and not self.paused:
            what = _USER
            for name, flag in (
                ("imperative", _IMPERATIVE),
                ("symbolic", _SYMBOLIC),
                ("memory", _MEMORY),
            ):
                if self.config["profile_all"] or self.config[f"profile_{name}"]:
                    what |= flag
        _core.profile_record(what)


_profiler = _Profiler()
profiler_kvstore_handle = ctypes.c_void_p()  # as MXNet's, of no store


def _only_worker(name, profile_process):
    if profile_process not in ("worker", "server"):
        raise MXNetError(
            f"{name}: profile_process is 'worker' or 'server'; got {profile_process!r}"
        )
    if profile_process == "server":
        raise MXNetError(f"{name}: there are no servers to profile; profile_process is 'worker'")


def set_config(**kwargs):
    """Sets what is recorded, and where it goes.

    Parameters
    ----------
    filename : str, default 'profile.json'
        The trace that :func:`dump` writes.
    profile_all : bool, default False
        All of the following.
    profile_symbolic : bool, default True
        Operators of executors and hybridized blocks.
    profile_imperative : bool, default True
        Operators that the program calls.
    profile_memory : bool, default True
        The memory that arrays hold, after each operator.
    aggregate_stats : bool, default False
        Keep the sums that :func:`dumps` prints.
    profile_api, continuous_dump, dump_period
        Accepted, and without effect: calls of the API are not recorded, and the trace is written by
        :func:`dump` and at the end of the program.
    profile_process : str, default 'worker'
        There are no servers.

    Raises
    ------
    MXNetError
        For another name.
    """
    unknown = sorted(set(kwargs) - set(_DEFAULTS))
    if unknown:
        raise MXNetError(
            f"profiler.set_config: there is no {', '.join(unknown)}; there are "
            f"{', '.join(_DEFAULTS)}"
        )
    _only_worker("profiler.set_config", kwargs.get("profile_process", "worker"))
    kwargs["filename"] = os.fspath(kwargs.get("filename", _DEFAULTS["filename"]))
    with _profiler.lock:
        _profiler.config = {**_DEFAULTS, **kwargs}
        _profiler.record()


def set_state(state="stop", profile_process="worker"):
    """Starts or stops recording.

    Parameters
    ----------
    state : {'run', 'stop'}
    profile_process : str, default 'worker'
        There are no servers.
    """
    if state not in ("run", "stop"):
        raise KeyError(f"profiler.set_state: state is 'run' or 'stop'; got {state!r}")
    _only_worker("profiler.set_state", profile_process)
    with _profiler.lock:
        _profiler.runs = state == "run"
        _profiler.paused = False
        if _profiler.runs and not _profiler.at_exit:
            _profiler.at_exit = True
            atexit.register(_write_at_exit, os.getpid())
        _profiler.record()


def pause(profile_process="worker"):
    """Stops recording until :func:`resume`."""
    _only_worker("profiler.pause", profile_process)
    with _profiler.lock:
        _profiler.paused = True
        _profiler.record()


def resume(profile_process="worker"):
    """Goes on recording after :func:`pause`."""
    _only_worker("profiler.resume", profile_process)
    with _profiler.lock:
        _profiler.paused = False
        _profiler.record()


def dumps(reset=False, format="table", sort_by="total", ascending=False):
    """What took how long, as a text; empty without ``aggregate_stats=True``.

    The time of an operator that runs inside another counts once. Pointwise operators that ran as
    one program have one line: ``exp+relu``. A line of ``backward`` is all of an operator's
    gradient, which is made of operators that have lines of their own.

    Parameters
    ----------
    reset : bool, default False
        Begin anew afterwards.
    format : {'table', 'json'}
    sort_by : {'total', 'avg', 'min', 'max', 'count'}
    ascending : bool, default False

    Returns
    -------
    str
        Times in milliseconds, memory in kB.
    """
    if format not in ("table", "json"):
        raise AssertionError(f"dumps: format is 'table' or 'json'; got {format!r}")
    if sort_by not in _SORTED_BY:
        raise AssertionError(f"dumps: sort_by is one of {', '.join(_SORTED_BY)}; got {sort_by!r}")
    rows = _core.profile_totals(bool(reset))
    if not _profiler.config["aggregate_stats"]:
        rows = []
    by = _SORTED_BY[sort_by]
    rows.sort(key=by if callable(by) else lambda row: row[by], reverse=not ascending)
    categories: dict = {}
    for row in rows:
        categories.setdefault(row[1], []).append(row)
    # Memory stands first, as MXNet prints it.
    ordered = sorted(categories.items(), key=lambda item: (item[0] != _MEMORY_CATEGORY, item[0]))
    return _as_table(ordered) if format == "table" else _as_json(ordered)


_MEMORY_CATEGORY = "Device Storage"


def _numbers(row):
    """Count, total, least, most and mean of a row in the units that are printed; their unit."""
    kind, category, _, count, total, least, most = row
    per, unit = (1e6, "Time") if kind != "C" else (1, "Value")
    if category == _MEMORY_CATEGORY:
        per, unit = 1e3, "Memory"
    return count, total / per, least / per, most / per, total / per / count, unit


_COLUMNS = {
    "Time": ("Time (ms)", "Min Time (ms)", "Max Time (ms)", "Avg Time (ms)"),
    "Memory": ("Min Use  (kB)", "Max Use  (kB)", "Avg Use  (kB)"),
    "Value": ("Min Value", "Max Value", "Avg Value"),
}


def _as_table(categories):
    lines = ["", "Profile Statistics:", "\tNote the difference in units for different entries."]
    for category, rows in categories:
        for unit, columns in _COLUMNS.items():
            found = [(row[2], _numbers(row)) for row in rows]
            found = [(name, numbers) for name, numbers in found if numbers[-1] == unit]
            if not found:
                continue
            titles = ("Total Count", *columns)
            lines += [category, "=" * 17]
            lines.append(f"{'Name':<25}" + _row(titles))
            lines.append(f"{'----':<25}" + _row("-" * len(title) for title in titles))
            for name, (count, total, *others, _) in found:
                shown = [total, *others] if unit == "Time" else others
                lines.append(f"{name:<25}" + _row([count, *(f"{value:.4f}" for value in shown)]))
            lines.append("")
    return "\n".join([*lines, ""])


def _row(cells):
    first, *others = cells
    return f"{first:>16}" + "".join(f"{cell:>17}" for cell in others)


def _as_json(categories):
    found: dict = {"Time": {}, "Memory": {}, "Value": {}}
    for category, rows in categories:
        for row in rows:
            count, total, least, most, mean, unit = _numbers(row)
            numbers = {"Count": count, "Total": total, "Min": least, "Max": most, "Avg": mean}
            if unit != "Time":
                del numbers["Total"]
            found[unit].setdefault(category, {})[row[2]] = numbers
    if not found["Value"]:
        del found["Value"]
    return json.dumps({**found, "Unit": {"Time": "ms", "Memory": "kB"}}, indent=4)


def dump(finished=True, profile_process="worker"):
    """Writes the trace, which chrome://tracing and ui.perfetto.dev show.

    Parameters
    ----------
    finished : bool, default True
        Whether the trace begins anew afterwards; else the next dump writes all of it again.
    profile_process : str, default 'worker'
        There are no servers.
    """
    _only_worker("profiler.dump", profile_process)
    with _profiler.lock:
        events, dropped = _core.profile_events(bool(finished))
        _write(_profiler.config["filename"], events, dropped)


def _write(filename, events, dropped):
    pid = os.getpid()
    head = [{"name": "process_name", "ph": "M", "pid": pid, "args": {"name": "mxtape"}}]
    for thread in sorted({event[3] for event in events}):
        name = {"name": f"thread {thread}"}
        head.append({"name": "thread_name", "ph": "M", "pid": pid, "tid": thread, "args": name})
    # Beside the trace, then in its place: whoever reads it sees one that is whole.
    partial = f"{filename}.{pid}.part"
    with open(partial, "w", encoding="utf-8") as f:
        f.write('{\n"traceEvents": [\n')
        f.write(",\n".join(map(json.dumps, head)))
        for event in events:
            f.write(",\n" + json.dumps(_trace_event(event, pid)))
        more = {"events_dropped": dropped} if dropped else {}
        f.write(f'\n],\n"displayTimeUnit": "ms",\n"otherData": {json.dumps(more)}\n}}\n')
    os.replace(partial, filename)


def _trace_event(event, pid):
    kind, category, name, thread, begin, value = event
    found = {
        "name": name,
        "cat": category,
        "ph": kind,
        "ts": (begin + _profiler.epoch) / 1000,
        "pid": pid,
        "tid": thread,
    }
    if kind == "X":
        found["dur"] = value / 1000
    elif kind == "C":
        found["args"] = {name: value}
    else:
        found["s"] = chr(value)
    return found


def _write_at_exit(pid):
    """What a program has recorded and not written; not in its children."""
    if os.getpid() != pid:
        return
    with _profiler.lock:
        events, dropped = _core.profile_events(True)
        if events:
            _write(_profiler.config["filename"], events, dropped)


def set_kvstore_handle(handle):
    """Accepted, and without effect: there are no servers to profile."""


def _deprecated(old, new):
    warnings.warn(
        f"profiler.{old} is deprecated; use profiler.{new}", DeprecationWarning, stacklevel=3
    )


def profiler_set_config(mode="symbolic", filename="profile.json"):
    """Deprecated: :func:`set_config` with ``profile_<mode>=True``."""
    _deprecated("profiler_set_config", "set_config")
    set_config(**{f"profile_{mode}": True, "filename": filename})


def profiler_set_state(state="stop"):
    """Deprecated: :func:`set_state`."""
    _deprecated("profiler_set_state", "set_state")
    set_state(state)


def dump_profile():
    """Deprecated: :func:`dump`."""
    _deprecated("dump_profile", "dump")
    dump(True)


class Domain:
    """A name under which tasks, frames, counters and markers are shown together.

    Parameters
    ----------
    name : str

    Examples
    --------
    >>> import mxtape as mx
    >>> domain = mx.profiler.Domain("training")
    >>> task = domain.new_task("epoch")
    >>> task.start()
    >>> task.stop()
    >>> str(domain), str(task)
    ('training', 'epoch')
    """

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name

    def new_task(self, name):
        """A :class:`Task` of this domain."""
        return Task(self, name)

    def new_frame(self, name):
        """A :class:`Frame` of this domain."""
        return Frame(self, name)

    def new_counter(self, name, value=None):
        """A :class:`Counter` of this domain, set to `value` where that is given."""
        return Counter(self, name, value)

    def new_marker(self, name):
        """A :class:`Marker` of this domain."""
        return Marker(self, name)


class _Duration:
    """What has a start and a stop."""

    def __init__(self, category, name):
        self.name = name
        self._category = category
        self._begin = None

    def __str__(self):
        return self.name

    def start(self):
        """Begins."""
        self._begin = _core.profile_now()

    def stop(self):
        """Ends, and is recorded if recording is on; without effect before :meth:`start`."""
        if self._begin is None:
            return
        begin, self._begin = self._begin, None
        _core.profile_add("X", self._category, self.name, begin, _core.profile_now() - begin)


class Task(_Duration):
    """A piece of work, shown from its start to its stop.

    Parameters
    ----------
    domain : Domain
    name : str
    """

    def __init__(self, domain, name):
        super().__init__(str(domain), name)


class Frame(_Duration):
    """One of many turns of the same work, such as a batch.

    Parameters
    ----------
    domain : Domain
    name : str
    """

    def __init__(self, domain, name):
        super().__init__(f"{domain},frame", name)


class Event(_Duration):
    """A piece of work without a domain.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name):
        super().__init__("event", name)


class Counter:
    """A number that the trace shows over time.

    Parameters
    ----------
    domain : Domain
    name : str
    value : int, optional
        What it is set to at once.

    Examples
    --------
    >>> import mxtape as mx
    >>> samples = mx.profiler.Counter(mx.profiler.Domain("data"), "samples", 8)
    >>> samples += 8
    >>> samples.decrement()
    """

    def __init__(self, domain, name, value=None):
        self.name = name
        self._category = str(domain)
        self._value = 0
        self._lock = threading.Lock()
        if value is not None:
            self.set_value(value)

    def __str__(self):
        return self.name

    def _set(self, value):
        self._value = value
        _core.profile_add("C", self._category, self.name, _core.profile_now(), value)

    def set_value(self, value):
        """Sets it to an int."""
        with self._lock:
            self._set(int(value))

    def increment(self, delta=1):
        """Adds to it."""
        with self._lock:
            self._set(self._value + int(delta))

    def decrement(self, delta=1):
        """Subtracts from it."""
        self.increment(-int(delta))

    def __isub__(self, delta):
        self.decrement(delta)
        return self

    def __iadd__(self, delta):
        self.increment(delta)
        return self


_SCOPES = {"global": "g", "process": "p", "thread": "t", "task": "t", "marker": "t"}


class Marker:
    """A moment.

    Parameters
    ----------
    domain : Domain
    name : str
    """

    def __init__(self, domain, name):
        self.name = name
        self._category = f"{domain},instant_marker"

    def mark(self, scope="process"):
        """Records this moment, if recording is on.

        Parameters
        ----------
        scope : {'process', 'global', 'thread', 'task', 'marker'}
            How far the line reaches that the trace shows.
        """
        if scope not in _SCOPES:
            raise MXNetError(f"mark: scope is one of {', '.join(_SCOPES)}; got {scope!r}")
        now = _core.profile_now()
        _core.profile_add("i", self._category, self.name, now, ord(_SCOPES[scope]))


def _autostart():
    """What the environment asks for."""
    if os.environ.get("MXNET_PROFILER_AUTOSTART", "0") in ("", "0"):
        return
    if os.environ.get("MXNET_PROFILER_MODE", "1") == "0":
        set_config(profile_imperative=False)
    else:
        set_config(profile_all=True)
    set_state("run")


_autostart()

__getattr__ = _borrowed.borrow(
    __name__,
    "ctypes warnings",
    {
        ".base": "c_str check_call py_str",
        "._c_types": "KVStoreHandle ProfileHandle c_str_array",
    },
)
