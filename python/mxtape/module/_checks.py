"""Checks of what modules are given: each raises, or warns, before anything has changed."""

import warnings

from ..io import DataDesc


def require(condition, message):
    """Raises an AssertionError, which is what MXNet raises for calls that come too early."""
    if not condition:
        raise AssertionError(message)


def require_state(module, *states):
    """Requires that the module is bound, that it has parameters, that it has an optimizer."""
    calls = {
        "binded": "bind()",
        "params_initialized": "init_params() or set_params()",
        "optimizer_initialized": "init_optimizer()",
    }
    for state in states:
        if not getattr(module, state):
            name = type(module).__name__
            raise AssertionError(f"this needs a call of {name}.{calls[state]} first")


def ignores_params(module, force_init):
    """Whether set_params of the module does nothing, of which it warns: there are parameters."""
    if force_init or not module.params_initialized:
        return False
    warnings.warn(
        "Parameters already initialized and force_init=False. set_params call ignored.",
        stacklevel=3,
    )
    return True


def as_names(names, argument):
    """The names as a list; None stands for none."""
    if isinstance(names, str):
        raise TypeError(f"{argument} must be a list of names, not the text {names!r}")
    return list(names or [])


def _check_input_names(symbol, names, typename, throw):
    """Requires that each name is an argument of the symbol, and is named once.

    ``typename`` is the argument of ``Module`` that the names came from. ``throw`` says whether a
    name that is not an argument is an error, or a warning.
    """
    arguments = symbol.list_arguments()
    for position, name in enumerate(names):
        if name in names[:position]:
            raise ValueError(f"Module(..., {typename}={list(names)}) has the name {name!r} twice")
        if name in arguments:
            continue
        # Most arguments are parameters, by their suffixes: nobody means those here.
        suffixes = ("_weight", "_bias", "_gamma", "_beta")
        if typename == "fixed_param_names":
            likely = [a for a in arguments if a.endswith(suffixes)]
        else:
            likely = [a for a in arguments if not a.endswith(suffixes)]
        message = (
            f"Module(..., {typename}={list(names)}) names {name!r}, which is not in "
            f"symbol.list_arguments(). Did you mean one of: {', '.join(likely or arguments)}?"
        )
        if throw:
            raise ValueError(message)
        warnings.warn(message, stacklevel=3)


def _check_names_match(names, shapes, what, throw):
    """Requires that the shapes are for exactly these names, in any order."""
    given = [shape[0] for shape in shapes]
    if sorted(names) == sorted(given):
        return
    message = (
        f"bind() got {what}_shapes for {given}, but the module's {what}_names are {list(names)}"
    )
    if throw:
        raise ValueError(message)
    warnings.warn(message, stacklevel=4)


def _described(shapes, what):
    described = []
    if isinstance(shapes, (dict, str, DataDesc)):
        raise TypeError(
            f"{what}_shapes must be a list of DataDesc or (name, shape); got {shapes!r}"
        )
    for desc in shapes:
        desc = desc if isinstance(desc, DataDesc) else DataDesc(*desc)
        if not isinstance(desc.shape, tuple):
            desc = DataDesc(desc.name, tuple(desc.shape), desc.dtype, desc.layout)
        described.append(desc)
    return described


def _parse_data_desc(data_names, label_names, data_shapes, label_shapes):
    """The shapes as lists of ``DataDesc``, checked against the names; no labels give None."""
    data_shapes = _described(data_shapes, "data")
    _check_names_match(data_names, data_shapes, "data", True)
    if label_shapes is not None:
        label_shapes = _described(label_shapes, "label")
        _check_names_match(label_names, label_shapes, "label", False)
    else:
        _check_names_match(label_names, [], "label", False)
    return data_shapes, label_shapes
