"""What a program calls: mixed precision for what runs from now on, and for networks that exist."""

import contextlib
import logging
from typing import Any

from ...gluon import trainer
from ...optimizer import Optimizer
from . import _casting, _operators
from ._convert import (
    convert_bucketing_module,
    convert_hybrid_block,
    convert_model,
    convert_symbol,
)
from .loss_scaler import LossScaler

__all__ = [
    "convert_bucketing_module",
    "convert_hybrid_block",
    "convert_model",
    "convert_symbol",
    "init",
    "init_trainer",
    "list_conditional_fp32_ops",
    "list_fp32_ops",
    "list_loss_output_functions",
    "list_lp16_fp32_ops",
    "list_lp16_ops",
    "list_lp16_use_fp32_params",
    "list_widest_type_cast",
    "scale_loss",
    "unscale",
]

_log = logging.getLogger(__name__)

_amp_initialized = False
_amp_loss_scale_initialized = False  # a Trainer has the loss scaler that losses read
_loss_scaler: Any = None
_target_dtype: Any = None


def init(
    target_dtype="float16", target_precision_ops=None, conditional_fp32_ops=None, fp32_ops=None
):
    """Has operators cast their inputs from now on: of ``mx.nd``, ``mx.sym`` and Gluon's layers.

    Call it once, before networks are made. Parameters stay in float32, and are cast where they are
    used. Which operator computes in what is in lists, such as :func:`list_lp16_ops`; others leave
    their inputs as they are.

    Parameters
    ----------
    target_dtype : {'float16', 'bfloat16'}, default 'float16'
        The low precision.
    target_precision_ops, fp32_ops : list of str, optional
        Operators that compute in the low precision, and in float32, in the place of those of
        :func:`list_lp16_ops` and :func:`list_fp32_ops`.
    conditional_fp32_ops : list of (str, str, list of str), optional
        Operators that compute in float32 where a parameter has one of some values, in the place of
        :func:`list_conditional_fp32_ops`.

    Raises
    ------
    RuntimeError
        It was called before, for another `target_dtype`.

    Notes
    -----
    Low precision takes less memory. It is slower than float32 on most processors.
    """
    global _amp_initialized, _loss_scaler, _target_dtype
    target_dtype = _operators.dtype_name(target_dtype)
    kinds = _operators.Kinds(
        target_dtype,
        ("target_precision_ops", target_precision_ops),
        ("fp32_ops", fp32_ops),
        ("conditional_fp32_ops", conditional_fp32_ops),
        may_override=True,
    )
    if _amp_initialized:
        if target_dtype != _target_dtype:
            raise RuntimeError(
                f"amp.init: operators cast to {_target_dtype} already, and cannot to {target_dtype}"
            )
        return
    _log.info("amp: operators cast to %s", target_dtype)
    _loss_scaler = LossScaler()
    _casting.install(kinds, _loss_scaler)
    _amp_initialized, _target_dtype = True, target_dtype


def _trainer(given, function):
    if isinstance(given, trainer.Trainer):
        return given
    if isinstance(given, Optimizer):
        raise TypeError(f"{function}: mixed precision is for a Gluon Trainer, not for an optimizer")
    raise TypeError(f"{function}: a Gluon Trainer is needed, got {type(given).__name__}")


def _scaler_of(given, function):
    scaler = getattr(given, "_amp_loss_scaler", None)
    if scaler is None:
        raise AttributeError(f"{function}: call amp.init_trainer(trainer) first")
    return scaler


def init_trainer(optimizer_or_trainer):
    """Has a Trainer leave out updates whose gradients have overflowed; :func:`scale_loss` needs it.

    Parameters
    ----------
    optimizer_or_trainer : Trainer

    Raises
    ------
    AssertionError
        :func:`init` has not been called.
    ValueError
        The parameters are updated by a store of several machines.
    """
    global _amp_loss_scale_initialized
    if not _amp_initialized:
        raise AssertionError("init_trainer: call amp.init() first")
    chosen = _trainer(optimizer_or_trainer, "init_trainer")
    if chosen._update_on_kvstore and chosen._distributed:
        raise ValueError(
            "init_trainer: each process would decide for itself about an update: make the Trainer "
            "with update_on_kvstore=False"
        )
    if _amp_loss_scale_initialized:
        chosen._amp_loss_scaler = LossScaler()
    else:
        chosen._amp_loss_scaler = _loss_scaler
        _amp_loss_scale_initialized = True
    chosen._amp_original_scale = chosen._scale


@contextlib.contextmanager
def scale_loss(loss, optimizer_or_trainer):
    """The loss times the loss scale, which ``Trainer.step`` divides gradients by.

    Parameters
    ----------
    loss : NDArray, or list or tuple of NDArray
    optimizer_or_trainer : Trainer
        One that :func:`init_trainer` has prepared.

    Examples
    --------
    Inside ``record()``::

        with amp.scale_loss(loss, trainer) as scaled:
            mx.autograd.backward(scaled)
    """
    scale = _scaler_of(optimizer_or_trainer, "scale_loss").loss_scale
    chosen = _trainer(optimizer_or_trainer, "scale_loss")
    if isinstance(loss, (list, tuple)):
        scaled: Any = [one * scale for one in loss]
    else:
        scaled = loss * scale
    chosen._scale = chosen._amp_original_scale / scale
    yield scaled


def unscale(optimizer_or_trainer):
    """Divides the gradients by the loss scale, to clip them, say, between backward and update.

    The update does not divide them again.

    Parameters
    ----------
    optimizer_or_trainer : Trainer
    """
    chosen = _trainer(optimizer_or_trainer, "unscale")
    scaler = getattr(chosen, "_amp_loss_scaler", None)
    if scaler is None or chosen._scale == chosen._amp_original_scale:
        return
    factor = chosen._scale / chosen._amp_original_scale
    for param in chosen._params:
        if param.grad_req != "null":
            for grad in param.list_grad():
                grad *= factor
    chosen._scale = chosen._amp_original_scale


def list_lp16_ops(target_dtype):
    """Operators whose inputs are cast to the low precision, 'float16' or 'bfloat16'."""
    return list(_operators.target_functions(_operators.dtype_name(target_dtype)))


def list_fp32_ops(target_dtype):
    """Operators whose inputs are cast to float32, where the low precision is `target_dtype`."""
    return list(_operators.table_of(_operators.dtype_name(target_dtype)).FP32_FUNCS)


def list_lp16_fp32_ops(target_dtype):
    """Operators that compute in whatever precision their inputs have."""
    return list(_operators.neutral_functions(_operators.dtype_name(target_dtype)))


def list_conditional_fp32_ops(target_dtype):
    """Operators that compute in float32 where a parameter has one of some values.

    >>> import mxtape as mx
    >>> mx.contrib.amp.list_conditional_fp32_ops("float16")[0]
    ('Activation', 'act_type', ['softrelu'])
    """
    return list(_operators.table_of(_operators.dtype_name(target_dtype)).CONDITIONAL_FP32_FUNCS)


def list_widest_type_cast(target_dtype):
    """Operators whose inputs are cast to the widest dtype among them."""
    return list(_operators.table_of(_operators.dtype_name(target_dtype)).WIDEST_TYPE_CASTS)


def list_loss_output_functions(target_dtype):
    """Operators that are losses, whose gradients are not products with a head gradient."""
    return list(_operators.table_of(_operators.dtype_name(target_dtype)).LOSS_OUTPUT_FUNCTIONS)


def list_lp16_use_fp32_params(target_dtype):
    """Operators with the inputs that stay in float32, by position; None for 'float16'."""
    table = _operators.table_of(_operators.dtype_name(target_dtype))
    return getattr(table, "BF16_USE_FP32_PARAMS", None)
