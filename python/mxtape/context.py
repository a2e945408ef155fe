"""Devices. mxtape computes on the CPU; a GPU context is an object that no array can be made on."""

import os
import threading
from typing import ClassVar, Optional

from . import _borrowed
from .base import MXNetError, integer_types


class _Thread(threading.local):
    """What one thread has made current, and what its open ``with`` blocks return to."""

    def __init__(self) -> None:
        self.context: Optional[Context] = None
        self.outer: list[Optional[Context]] = []


class Context:
    """A device: its type and number.

    Parameters
    ----------
    device_type : str or Context
        ``'cpu'``, ``'gpu'``, ``'cpu_pinned'`` or ``'cpu_shared'``, or a context to copy.
    device_id : int, default 0
        Number of the device.

    A context is also a ``with`` block, inside which new arrays are made on it.

    >>> import mxtape as mx
    >>> with mx.Context('cpu', 1):
    ...     mx.nd.zeros((2,)).context
    cpu(1)
    """

    devtype2str: ClassVar[dict[int, str]] = {1: "cpu", 2: "gpu", 3: "cpu_pinned", 5: "cpu_shared"}
    devstr2type: ClassVar[dict[str, int]] = {"cpu": 1, "gpu": 2, "cpu_pinned": 3, "cpu_shared": 5}
    default_ctx: ClassVar["Context"]
    _thread: ClassVar[_Thread] = _Thread()

    def __init__(self, device_type, device_id=0) -> None:
        self.device_typeid: int
        self.device_id: int
        if isinstance(device_type, Context):
            self.device_typeid, self.device_id = device_type.device_typeid, device_type.device_id
        else:
            if device_type not in Context.devstr2type:
                raise KeyError(
                    f"Context: there is no kind of device {device_type!r}; expected one of "
                    f"{', '.join(Context.devstr2type)}"
                )
            self.device_typeid = Context.devstr2type[device_type]
            if self.device_typeid == 2 and _gpu_as_cpu:
                self.device_typeid = 1
            self.device_id = device_id

    @property
    def device_type(self) -> str:
        """Name of the type of device."""
        return Context.devtype2str[self.device_typeid]

    def __hash__(self):
        return hash((self.device_typeid, self.device_id))

    def __eq__(self, other):
        return (
            isinstance(other, Context)
            and self.device_typeid == other.device_typeid
            and self.device_id == other.device_id
        )

    def __str__(self):
        return f"{self.device_type}({self.device_id})"

    __repr__ = __str__

    def __enter__(self):
        thread = Context._thread
        thread.outer.append(thread.context)
        thread.context = self
        return self

    def __exit__(self, ptype, value, trace):
        thread = Context._thread
        thread.context = thread.outer.pop()

    def empty_cache(self) -> None:
        """Gives memory that no array uses back to the system."""
        from ._loader import core

        core.pool_trim()


_gpu_as_cpu = os.environ.get("MXTAPE_GPU_AS_CPU", "0") not in ("", "0")

Context.default_ctx = Context("cpu", 0)


def cpu(device_id=0) -> Context:
    """The CPU. All numbers mean the same device; they only tell contexts apart."""
    return Context("cpu", device_id)


def cpu_pinned(device_id=0) -> Context:
    """The CPU: there is no GPU to pin memory for."""
    return Context("cpu_pinned", device_id)


def gpu(device_id=0) -> Context:
    """A GPU context. It can be named and compared; making an array on it is an MXNetError."""
    return Context("gpu", device_id)


def num_gpus() -> int:
    """Number of GPUs: 0, or 1 where the CPU stands for it (``MXTAPE_GPU_AS_CPU``)."""
    return int(_gpu_as_cpu)


def treat_gpu_as_cpu() -> None:
    """Makes ``gpu(i)`` another name of ``cpu(i)``, in this process and those that it starts.

    ``MXTAPE_GPU_AS_CPU=1`` in the environment does the same from the start, and so does
    ``python -m mxtape run --gpu-as-cpu program.py``. ``num_gpus()`` is 1 then.
    """
    global _gpu_as_cpu
    _gpu_as_cpu = True
    os.environ["MXTAPE_GPU_AS_CPU"] = "1"


def gpu_memory_info(device_id=0) -> tuple[int, int]:
    """Free and total memory of a GPU; an MXNetError, as there is none."""
    raise MXNetError(f"gpu_memory_info({device_id}): mxtape has no GPUs")


def current_context() -> Context:
    """The context on which new arrays are made."""
    context = Context._thread.context
    return Context.default_ctx if context is None else context


def check_context(ctx, what):
    """`ctx`, or the current context for None; an MXNetError for a device that is not supported."""
    if ctx is None:
        ctx = current_context()
    if not isinstance(ctx, Context):
        ctx = parse_context(ctx, what)
    if ctx.device_typeid == 2:
        raise MXNetError(
            f"{what}: no arrays can be made on {ctx}: mxtape computes only on the CPU; use "
            "mx.cpu(), or MXTAPE_GPU_AS_CPU=1 in the environment, with which gpu() means cpu()"
        )
    return ctx


def parse_context(text, what="context"):
    """The context that is written as ``'cpu(0)'``; `what` begins the message of an error."""
    name, _, number = str(text).partition("(")
    if name in Context.devstr2type and (not number or number.rstrip(")").isdigit()):
        return Context(name, int(number.rstrip(")") or 0))
    hint = ""
    if isinstance(text, integer_types):
        hint = f"; a shape of several extents is a tuple: {what}((2, 3)), not {what}(2, 3)"
    elif name.startswith("cuda"):
        hint = "; devices are mx.cpu() and mx.gpu()"
    raise MXNetError(f"{what}: expected a context such as mx.cpu() as ctx, got {text!r}{hint}")


__all__ = ["Context", "cpu", "cpu_pinned", "current_context", "gpu", "gpu_memory_info", "num_gpus"]

__getattr__ = _borrowed.borrow(
    __name__,
    "ctypes threading warnings",
    {".base": "check_call classproperty with_metaclass"},
)
