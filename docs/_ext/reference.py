"""Writes the pages of the reference, docs/reference/*.rst, from signatures and docstrings.

Operators are objects of the registry, whose signatures and docstrings are made on demand. So the
pages are not autodoc's: each name becomes a `py:function` or `py:class` with its docstring.
"""

import functools
import importlib
import inspect
import re
from pathlib import Path

PAGES = {
    "nd": ("mxtape.nd", "Arrays and operators"),
    "ndarray": ("mxtape.nd.NDArray", "The class NDArray"),
    "nd-linalg": ("mxtape.nd.linalg", "Linear algebra"),
    "nd-random": ("mxtape.nd.random", "Random numbers"),
    "nd-sparse": ("mxtape.nd.sparse", "Sparse arrays"),
    "nd-contrib": ("mxtape.nd.contrib", "Operators of contrib"),
    "nd-image": ("mxtape.nd.image", "Operators on images"),
    "autograd": ("mxtape.autograd", "Differentiation"),
    "operator": ("mxtape.operator", "Operators in Python"),
    "symbol": ("mxtape.symbol", "Symbols"),
    "executor": ("mxtape.executor", "Executors"),
    "gluon": ("mxtape.gluon", "Blocks, parameters, Trainer"),
    "gluon-nn": ("mxtape.gluon.nn", "Layers"),
    "gluon-rnn": ("mxtape.gluon.rnn", "Recurrent layers"),
    "gluon-loss": ("mxtape.gluon.loss", "Losses"),
    "gluon-data": ("mxtape.gluon.data", "Data sets and loaders"),
    "gluon-vision": ("mxtape.gluon.data.vision", "Pictures as data sets, transforms"),
    "gluon-utils": ("mxtape.gluon.utils", "Helpers of Gluon"),
    "module": ("mxtape.module", "Modules"),
    "optimizer": ("mxtape.optimizer", "Optimizers"),
    "lr_scheduler": ("mxtape.lr_scheduler", "Learning rate schedules"),
    "initializer": ("mxtape.initializer", "Initializers"),
    "metric": ("mxtape.metric", "Metrics"),
    "io": ("mxtape.io", "Iterators"),
    "recordio": ("mxtape.recordio", "Record files"),
    "image": ("mxtape.image", "Pictures"),
    "rnn": ("mxtape.rnn", "Recurrent cells of symbols"),
    "kvstore": ("mxtape.kvstore", "Stores of parameters"),
    "model": ("mxtape.model", "Checkpoints"),
    "callback": ("mxtape.callback", "Callbacks"),
    "profiler": ("mxtape.profiler", "Profiler"),
    "runtime": ("mxtape.runtime", "The library and its memory"),
    "context": ("mxtape.context", "Contexts"),
    "test_utils": ("mxtape.test_utils", "Helpers for tests"),
    "amp": ("mxtape.contrib.amp", "Mixed precision"),
    "viz": ("mxtape.visualization", "Pictures of networks"),
}


def find(path):
    """The module or class that a dotted path names."""
    try:
        return importlib.import_module(path)
    except ImportError:
        parent, _, name = path.rpartition(".")
        return getattr(find(parent), name)


def operator_signature(value):
    """The arguments of an operator with the defaults of its declaration."""
    from mxtape._loader import core
    from mxtape.ndarray import register

    name = next(name for name, made in register.operators.items() if made is value)
    info = core.describe_op(name)
    shown = [label + ("=None" if optional else "") for label, optional in info["inputs"]]
    if info["variadic"]:
        shown = [f"*{info['inputs'][0][0]}"]
    for label, kind, required, default, *_ in info["params"]:
        text = default == "None" or "str" not in register._PARAM_TYPES[kind]
        given = "" if required else f"={default}" if text else f"={default!r}"
        shown.append(label + given)
    return f"({', '.join([*shown, 'out=None', 'name=None'])})"


def signature(value):
    if type(value).__name__ == "Operator":
        return operator_signature(value)
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    text = str(found.replace(parameters=bare, return_annotation=found.empty))
    return re.sub(r"<([\w.]+)[^<>]*>", r"\1", text)


SECTIONS = "Parameters Returns Yields Raises Attributes Examples Notes Warns References"
HEADING = re.compile(f"^({'|'.join(SECTIONS.split())})\\n-{{3,}}$", re.MULTILINE)
# What is markup in docstrings: `code`, ``code`` and roles. All else is text.
MARKUP = re.compile(r"((?::[\w:]+:)?`+[^`]+`+)")


def escaped(line):
    """A line of a docstring with the characters that mean something to docutils as text."""
    parts = MARKUP.split(line)
    parts[::2] = [re.sub(r"[|*\\]|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def prose(lines):
    """Lines of text and examples as reStructuredText."""
    made, example, literal = [], False, False
    for line in lines:
        starts = line.lstrip().startswith(">>>")
        if starts and not example:
            made.append("")
        example = bool(line.strip()) and (example or starts)
        literal = literal and (not line.strip() or line.startswith(" "))
        made.append(line if example or literal else escaped(line))
        literal = literal or line.rstrip().endswith("::")
    return made


def listed(lines):
    """The entries of a section such as Parameters as a list; text between them as it is."""
    made = []
    for i, line in enumerate(lines):
        described = i + 1 < len(lines) and lines[i + 1].startswith(" ")
        if line.startswith("    "):
            made.append(line[2:])
            continue
        if not line.strip() or line.startswith(">>>") or not (" : " in line or described):
            made.append(line)
            continue
        name, _, kind = line.partition(" : ")
        head = f"* ``{name.strip()}``" + (f" : {kind}" if kind else "")
        made += [*([""] if i else []), head, *([""] if described else [])]
    return made


def docstring(value):
    doc = value.__doc__ if isinstance(getattr(value, "__doc__", None), str) else ""
    pieces = HEADING.split(inspect.cleandoc(doc))
    made = prose(pieces[0].splitlines())
    for title, body in zip(pieces[1::2], pieces[2::2]):
        lines = body.strip("\n").splitlines()
        if title not in ("Examples", "Notes"):
            lines = listed(lines)
        made += ["", f".. rubric:: {title}", "", *prose_of_list(lines)]
    return "\n".join(made)


def prose_of_list(lines):
    return [re.sub(r"^\\\*", "*", line) for line in prose(lines)]


def indented(text, by="   "):
    return "\n".join(by + line if line.strip() else "" for line in text.splitlines())


def entry(kind, path, name, value):
    head = f".. py:{kind}:: {path}{signature(value)}"
    return f"{head}\n\n{indented(docstring(value))}\n"


def members(cls):
    """Public methods and properties that a class has of its own, with docstrings."""
    if issubclass(cls, tuple):
        return
    for name, value in sorted(vars(cls).items()):
        if name.startswith("_"):
            continue
        value = getattr(value, "__func__", value)
        if not getattr(value, "__doc__", None):
            continue
        if isinstance(value, property) or inspect.isdatadescriptor(value):
            yield f".. py:property:: {name}\n\n{indented(docstring(value))}\n"
        elif callable(value):
            yield entry("method", name, name, value)


def class_entry(path, name, cls):
    body = indented("\n".join(members(cls)))
    return f"{entry('class', path, name, cls)}\n{body}\n"


def public(module):
    """Names defined in a module or its submodules, in alphabetical order."""
    extras = " ".join(getattr(module, "_EXTRAS", {}).values()).split()
    for name in sorted({*vars(module), *extras}, key=str.lower):
        if name.startswith("_"):
            continue
        value = getattr(module, name)
        home = getattr(value, "__module__", None) or ""
        if type(value).__name__ == "Operator" or f"{home}.".startswith(f"{module.__name__}."):
            yield name, value


def page(path, title):
    owner = find(path)
    lines = [f"{path.replace('mxtape.', '')}: {title}"]
    lines += ["=" * len(lines[0]), "", f".. py:currentmodule:: {path}", ""]
    if inspect.isclass(owner):
        lines.append(class_entry(path, owner.__name__, owner))
        return "\n".join(lines)
    lines += [docstring(owner), ""]
    seen = {}
    for name, value in public(owner):
        if not callable(value) or not value.__doc__ or value.__name__ == "NDArray":
            continue
        if id(value) in seen:
            same = f"   The same as :py:obj:`{seen[id(value)]}`."
            lines.append(f".. py:function:: {name}{signature(value)}\n\n{same}\n")
            continue
        seen[id(value)] = name
        make = class_entry if inspect.isclass(value) else functools.partial(entry, "function")
        lines.append(make(name, name, value))
    return "\n".join(lines)


def write(app):
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    for name, (path, title) in PAGES.items():
        text = page(path, title)
        file = folder / f"{name}.rst"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
