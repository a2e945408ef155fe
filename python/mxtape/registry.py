"""Classes known by a name, as optimizers, initializers and metrics are: ``mx.registry``."""

import json
import warnings

from ._missing import guess
from .base import string_types

__all__ = ["get_alias_func", "get_create_func", "get_register_func", "get_registry"]

_REGISTRY: dict = {}


def get_registry(base_class):
    """A copy of the table of registered subclasses of `base_class`, by name in lower case.

    >>> import mxtape as mx
    >>> class Shape: pass
    >>> mx.registry.get_registry(Shape)
    {}
    """
    return dict(_REGISTRY.get(base_class, {}))


def get_register_func(base_class, nickname):
    """A function that registers subclasses of `base_class`.

    Parameters
    ----------
    base_class : type
    nickname : str
        What messages call such a class, 'optimizer' say.

    Returns
    -------
    function
        ``register(klass, name=None)``, which returns `klass`: a decorator. The name is the class's
        own by default; a second class of that name replaces the first, with a warning.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Shape: pass
    >>> register = mx.registry.get_register_func(Shape, "shape")
    >>> @register
    ... class Circle(Shape): pass
    >>> list(mx.registry.get_registry(Shape))
    ['circle']
    """
    table = _REGISTRY.setdefault(base_class, {})

    def register(klass, name=None):
        if not issubclass(klass, base_class):
            raise AssertionError(f"{klass!r} is not a subclass of {base_class.__name__}")
        key = (klass.__name__ if name is None else name).lower()
        known = table.get(key)
        if known is not None and known is not klass:
            warnings.warn(
                f"{nickname} {klass.__module__}.{klass.__name__} is registered as {key!r} in the "
                f"place of {known.__module__}.{known.__name__}",
                UserWarning,
                stacklevel=2,
            )
        table[key] = klass
        return klass

    register.__doc__ = f"Registers a {nickname} class under its name, or `name`; returns it."
    return register


def get_alias_func(base_class, nickname):
    """A function that makes decorators: ``alias('a', 'b')`` registers a class by other names.

    >>> import mxtape as mx
    >>> class Shape: pass
    >>> alias = mx.registry.get_alias_func(Shape, "shape")
    >>> @alias("ring", "disk")
    ... class Circle(Shape): pass
    >>> sorted(mx.registry.get_registry(Shape))
    ['disk', 'ring']
    """
    register = get_register_func(base_class, nickname)

    def alias(*aliases):
        def decorate(klass):
            for name in aliases:
                register(klass, name)
            return klass

        return decorate

    alias.__doc__ = f"A decorator that registers a {nickname} class under other names too."
    return alias


def get_create_func(base_class, nickname):
    """A function that makes an object from a registered name.

    Parameters
    ----------
    base_class : type
    nickname : str
        What messages, and the keyword for the name, are called.

    Returns
    -------
    function
        ``create(name, *args, **kwargs)``. It also accepts an instance of `base_class`, which it
        returns; a dict of the keywords, the name among them; the same as JSON text; and
        ``'["name", {"keyword": value}]'``.

    Examples
    --------
    >>> import mxtape as mx
    >>> class Shape: pass
    >>> @mx.registry.get_register_func(Shape, "shape")
    ... class Circle(Shape):
    ...     def __init__(self, radius): self.radius = radius
    >>> create = mx.registry.get_create_func(Shape, "shape")
    >>> create("circle", 2).radius, create({"shape": "circle", "radius": 3}).radius
    (2, 3)
    >>> create('["circle", {"radius": 4}]').radius
    4
    """
    table = _REGISTRY.setdefault(base_class, {})

    def require(condition, text):
        if not condition:
            raise AssertionError(f"{nickname}: {text}")

    def create(*args, **kwargs):
        if args:
            name, args = args[0], args[1:]
        else:
            name = kwargs.pop(nickname)
        if isinstance(name, base_class):
            require(not args and not kwargs, "an instance is given, and arguments for another")
            return name
        if isinstance(name, dict):
            return create(**name)
        require(isinstance(name, string_types), f"a name is needed, a str, got {name!r}")
        if name.startswith(("[", "{")):
            require(not args and not kwargs, f"{name} has the arguments in it; got others too")
            given = json.loads(name)
            if isinstance(given, dict):
                return create(**given)
            name, kwargs = given
            return create(name, **kwargs)
        key = name.lower()
        if key not in table:
            hint = guess(key, table)
            require(False, f"{name!r} is not registered; there are: {sorted(table)}{hint}")
        return table[key](*args, **kwargs)

    create.__doc__ = f"A {nickname} by its registered name, with the arguments of its class."
    return create
