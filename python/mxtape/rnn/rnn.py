"""Checkpoints of networks with cells, whose weights are saved by gate."""

import warnings

from .. import symbol as _symbol
from ..model import load_checkpoint, save_checkpoint
from ._base_cell import BaseRNNCell

__all__ = [
    "BaseRNNCell",
    "do_rnn_checkpoint",
    "load_checkpoint",
    "load_rnn_checkpoint",
    "rnn_unroll",
    "save_checkpoint",
    "save_rnn_checkpoint",
    "warnings",
]


def _as_list(cells):
    return [cells] if isinstance(cells, BaseRNNCell) else cells


def rnn_unroll(cell, length, inputs=None, begin_state=None, input_prefix="", layout="NTC"):
    """``cell.unroll(length, inputs, ...)``; deprecated.

    Without `inputs`, variables called `input_prefix` + ``t0_data`` and so on are made for them.
    """
    warnings.warn("rnn_unroll is deprecated; call cell.unroll", DeprecationWarning, stacklevel=2)
    if inputs is None:
        inputs = [_symbol.Variable(f"{input_prefix}t{step}_data") for step in range(length)]
    return cell.unroll(length, inputs, begin_state=begin_state, layout=layout)


def save_rnn_checkpoint(cells, prefix, epoch, symbol, arg_params, aux_params):
    """Saves a network: as ``mx.model.save_checkpoint``, with the cells' weights by gate.

    So :func:`load_rnn_checkpoint` can read them into cells of another kind, such as those of
    ``FusedRNNCell.unfuse``.

    Parameters
    ----------
    cells : BaseRNNCell or list of BaseRNNCell
        The cells of the network.
    prefix : str
        What the names of the files begin with: ``prefix-symbol.json`` and ``prefix-0001.params``.
    epoch : int
    symbol : Symbol
    arg_params, aux_params : dict of str to NDArray
    """
    for cell in _as_list(cells):
        arg_params = cell.unpack_weights(arg_params)
    save_checkpoint(prefix, epoch, symbol, arg_params, aux_params)


def load_rnn_checkpoint(cells, prefix, epoch):
    """Loads what :func:`save_rnn_checkpoint` saved.

    Parameters
    ----------
    cells : BaseRNNCell or list of BaseRNNCell
        The cells of the network in which the parameters will be used.
    prefix : str
    epoch : int

    Returns
    -------
    symbol : Symbol
    arg_params, aux_params : dict of str to NDArray
    """
    symbol, arg_params, aux_params = load_checkpoint(prefix, epoch)
    for cell in _as_list(cells):
        arg_params = cell.pack_weights(arg_params)
    return symbol, arg_params, aux_params


def do_rnn_checkpoint(cells, prefix, period=1):
    """A callback for the end of an epoch that calls :func:`save_rnn_checkpoint`.

    Parameters
    ----------
    cells : BaseRNNCell or list of BaseRNNCell
    prefix : str
    period : int, default 1
        The number of epochs from one checkpoint to the next.

    Examples
    --------
    ``module.fit(data, epoch_end_callback=mx.rnn.do_rnn_checkpoint(cell, "model"))``
    """
    period = max(1, int(period))

    def callback(iter_no, sym=None, arg=None, aux=None):
        if (iter_no + 1) % period == 0:
            save_rnn_checkpoint(cells, prefix, iter_no + 1, sym, arg, aux)

    return callback
