"""What programs use that mxtape lacks or does otherwise: ``python -m mxtape check``.

A program is read, not run. Names are followed from ``import mxnet as mx`` and its like, through
other names that the program gives to what it imports, to the objects that mxtape has under them.
What the page of differences says of an object is found by the code in its entries.
"""

import ast
import functools
import importlib
import inspect
import json
import os
import re
import sys
import textwrap
import tokenize
import warnings
from types import ModuleType
from typing import Any, NamedTuple, Optional

import numpy as np

import mxtape

from . import _differences, _missing

# Packages whose names are followed, and the modules that are looked at. Of NumPy only what is not
# there is told: old programs use names that it has dropped since.
_PACKAGES = {"mxnet": "mxtape", "mxtape": "mxtape", "numpy": "numpy"}
_UNKNOWN: Any = object()  # what a name stands for that is not followed
_IGNORED_FOLDERS = {"__pycache__", "node_modules", "site-packages"}


class Finding(NamedTuple):
    """One use in a program."""

    file: str
    line: int
    column: int
    kind: str  # 'missing', 'differs' or 'syntax'
    name: str
    message: str


class _Rule(NamedTuple):
    """What an entry of the page speaks of: an object, and arguments where only these matter."""

    entry: _differences.Entry
    keywords: tuple
    missing: bool

    def fits(self, keywords):
        """Whether a call with these keywords is what the entry speaks of."""
        return all(k in keywords and v in (..., keywords[k]) for k, v in self.keywords)


# Where the page's short names are looked for, the first that has one.
_PREFIXES = (
    "nd nd.contrib gluon gluon.nn gluon.rnn gluon.loss gluon.contrib.nn gluon.contrib.cnn "
    "gluon.contrib.rnn gluon.contrib.estimator gluon.data gluon.data.vision gluon.contrib.data "
    "contrib image recordio io metric mod rnn optimizer viz test_utils init"
).split()
# The first code in a text, and what is listed with it.
_WORDS = re.compile(r"`[^`]+`(?:(?:, |; | and |, and )`[^`]+`)*")
_SPECIAL = {"x", "symbol", "module"}  # objects on the page that stand for any of their kind
_FAILED = re.compile("[A-Z][a-z]+Error|ends the process|^not |^only |^none$")


@functools.cache
def _owner(path):
    """The object of such a path in mxtape, and the names in it; None where there is no such."""
    owner = mxtape
    for name in path.split(".") if path else ():
        owner = _member(owner, name)
        if owner is _UNKNOWN:
            return None, set()
    return owner, {*dir(owner), *getattr(owner, "__all__", ())}


def _named(text):
    """The objects that the page means by a dotted name."""
    parent, _, last = text.removeprefix("mx.").rpartition(".")
    found: list = []
    if last == "NAME":  # any of them
        return [_member(_owner(parent)[0], n) for n in _owner(parent)[0].__all__ if n.islower()]
    for prefix in ("",) if text.startswith("mx.") else ("", *_PREFIXES):
        owner, names = _owner(f"{prefix}.{parent}".strip("."))
        # Asked for only where it is: saying why something is missing takes long.
        there = last in names or last == "_LIB"
        value = _member(owner, last) if there else None
        if not isinstance(value, (ModuleType, type(None))) and value is not _UNKNOWN:
            if not any(value is other for other in found):
                found.append(value)
            if not prefix:
                break
    return found


class _Rules(NamedTuple):
    """What the page says, by what it says it of."""

    objects: dict  # by the identity of an object
    methods: dict  # by the name of a method
    modules: dict  # by the name of a module that is neither MXNet's nor mxtape's


def _rules():
    objects: dict[int, list[_Rule]] = {}
    methods: dict[str, list[_Rule]] = {}
    modules: dict[str, list[_Rule]] = {}
    for entry in _differences.entries():
        if entry.heading.startswith("Kept") or _FAILED.search(entry.before):
            continue  # no program of MXNet's counts on it
        missing = entry.heading == "Not supported yet" and len(entry.cells) > 1
        listed = _WORDS.search(entry.subject)
        for code in listed.group().split("`")[1::2] if listed else ():
            try:
                node = ast.parse(code.strip(), mode="eval").body
            except SyntaxError:
                continue
            call, node = (node, node.func) if isinstance(node, ast.Call) else (None, node)
            name = _dotted(node)
            if name is None:
                continue
            found = _named(name)
            for value in found:
                rule = _Rule(entry, _required(call, value), missing)
                objects.setdefault(id(value), []).append(rule)
            head, _, last = name.rpartition(".")
            if not found and missing and head in _SPECIAL:
                methods.setdefault(last, []).append(_Rule(entry, _required(call, None), missing))
            elif not found and missing and head:
                modules.setdefault(name, []).append(_Rule(entry, (), missing))
    return _Rules(objects, methods, modules)


def _required(call, value):
    """The arguments of a call on the page; those by position only where they are constants."""
    if call is None:
        return ()
    constants = [a for a in call.args if isinstance(a, ast.Constant)]
    if len(constants) < len(call.args):
        call = ast.Call(call.func, [], call.keywords)
    return tuple(_given(call, value).items())


def _given(call, value):
    """The arguments of a call of an object by name, with what is written there."""
    given = dict(_literal(k.arg, k.value) for k in call.keywords if k.arg)
    if call.args and value is not None:
        names = _positional(value)
        for name, argument in zip(names, call.args):
            if isinstance(argument, ast.Starred):
                break
            given.setdefault(*_literal(name, argument))
    return given


def _positional(value):
    """Names of the arguments that a call accepts by position, in order."""
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in kinds]


def _member(owner, name):
    try:
        return getattr(owner, name)
    except (AttributeError, ImportError):
        return _UNKNOWN


def _dotted(node):
    """``'a.b.c'`` of such an expression, None of others."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else None


def _literal(name, value):
    """An argument and what is written there: a constant, or the last part of a name."""
    try:
        return name, ast.literal_eval(value)
    except ValueError:
        return name, ast.unparse(value).rpartition(".")[2]


def _is_numpy(module):
    return module is not None and module.__name__.partition(".")[0] == "numpy"


class _Reader(ast.NodeVisitor):
    """Follows names through one program. Bodies of functions come after what surrounds them."""

    def __init__(self, file, rules):
        self.file = file
        self.rules = rules
        self.findings: list[Finding] = []
        self.scopes: list[dict] = [{}]
        self.guarded = 0
        self.later: list = []

    def read(self, tree):
        self.visit(tree)
        while self.later:
            scopes, guarded, node = self.later.pop(0)
            self.scopes, self.guarded = [*scopes, {}], guarded
            self._body(node)
        return self.findings

    def _body(self, node):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [a for a in (node.args.vararg, node.args.kwarg) if a is not None]
        for argument in arguments:
            self._bind(argument.arg, _UNKNOWN)
        if getattr(node, "name", "") == "hybrid_forward" and len(node.args.args) > 1:
            # Arrays or symbols: both have the same operators.
            self._bind(node.args.args[1].arg, mxtape.nd)
        for statement in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(statement)

    def _add(self, node, kind, name, message):
        if kind == "missing" and self.guarded:
            return
        self.findings.append(
            Finding(self.file, node.lineno, node.col_offset + 1, kind, name, message)
        )

    # ---- what names stand for

    def _bind(self, name, value):
        self.scopes[-1][name] = value

    def _look_up(self, name):
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return _UNKNOWN

    def _value(self, node):
        """The object that an expression is, without calling anything; _UNKNOWN mostly."""
        if isinstance(node, ast.Name):
            return self._look_up(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._value(node.value)
            if isinstance(owner, (ModuleType, type)):
                return _member(owner, node.attr)
        return _UNKNOWN

    def _module(self, node, name):
        """Imports ``mxnet.a.b`` as mxtape's; None after a finding where there is no such module."""
        root, dot, rest = name.partition(".")
        own = _PACKAGES[root] + dot + rest
        try:
            return importlib.import_module(own)
        except ImportError as error:
            self._add(node, "missing", name, str(error))
            return None

    def visit_Import(self, node):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            if root not in _PACKAGES:
                self._bind(alias.asname or root, _UNKNOWN)
                self._elsewhere(node, alias.name)
                continue
            found = self._module(node, alias.name) or _UNKNOWN
            whole = sys.modules[_PACKAGES[root]]
            self._bind(alias.asname or root, found if alias.asname else whole)

    def visit_ImportFrom(self, node):
        name = node.module or ""
        if node.level or name.partition(".")[0] not in _PACKAGES:
            for alias in node.names:
                self._bind(alias.asname or alias.name, _UNKNOWN)
                if not node.level:
                    self._elsewhere(node, f"{name}.{alias.name}", name)
            return
        module = self._module(node, name)
        for alias in node.names:
            if alias.name == "*":
                for each in getattr(module, "__all__", ()):
                    self._bind(each, _member(module, each))
                continue
            value = _UNKNOWN
            if module is not None:
                value = self._part(node, module, alias.name, f"{name}.{alias.name}")
            self._bind(alias.asname or alias.name, value)

    def _elsewhere(self, node, *names):
        """Adds what the page says of modules of other packages, which need MXNet itself."""
        for name in names:
            for rule in self.rules.modules.get(name, ()):
                self._add(node, "missing", name, str(rule.entry))

    def _part(self, node, owner, attribute, name):
        if isinstance(owner, ModuleType) and _is_numpy(owner):
            return self._part_of_numpy(node, owner, attribute, name)
        try:
            value = getattr(owner, attribute)
        except (AttributeError, ImportError) as error:
            if isinstance(owner, ModuleType):
                try:
                    return importlib.import_module(f"{owner.__name__}.{attribute}")
                except ImportError:
                    pass  # the attribute's error says more
            self._add(node, "missing", name, str(error))
            return _UNKNOWN
        self._note(node, value, name)
        return value

    def _part_of_numpy(self, node, owner, attribute, name):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # names that are about to go
                return getattr(owner, attribute)
        except AttributeError as error:
            try:
                return importlib.import_module(f"{owner.__name__}.{attribute}")
            except ImportError:
                # The first lines say what to write; the others are about NumPy's history.
                lines = " ".join(str(error).splitlines()[:2])
                self._add(node, "missing", name, f"{lines} (NumPy {np.__version__})")
                return _UNKNOWN

    # ---- uses

    def visit_Attribute(self, node):
        self.visit(node.value)
        owner = self._value(node.value)
        if isinstance(node.ctx, ast.Load) and isinstance(owner, (ModuleType, type)):
            name = _dotted(node) or node.attr
            if isinstance(owner, type):
                if not hasattr(owner, node.attr):
                    self._add(node, "missing", name, f"{owner.__name__} has no {node.attr!r}")
            else:
                self._part(node, owner, node.attr, name)

    def visit_Call(self, node):
        value = self._value(node.func)
        if value is not _UNKNOWN and not isinstance(value, ModuleType):
            if not _is_numpy(inspect.getmodule(value)):
                name = _dotted(node.func) or getattr(value, "__name__", "")
                keywords = [k.arg for k in node.keywords if k.arg]
                self._check_keywords(node, value, name, keywords)
                self._note(node, value, name, _given(node, value))
        elif isinstance(node.func, ast.Attribute) and self._value(node.func.value) is _UNKNOWN:
            for rule in self.rules.methods.get(node.func.attr, ()):
                if rule.fits(_given(node, None)) and self._uses_mxnet():
                    self._add(node, "missing", f".{node.func.attr}", str(rule.entry))
        self.generic_visit(node)

    def _uses_mxnet(self):
        return any(
            getattr(value, "__name__", "").startswith("mxtape") for value in self.scopes[0].values()
        )

    def _check_keywords(self, node, value, name, keywords):
        allowed = _parameters(value)
        for keyword in keywords if allowed else ():
            if keyword not in allowed:
                hint = _missing.guess(keyword, allowed)
                self._add(node, "missing", name, f"there is no argument {keyword!r}{hint}")

    def _note(self, node, value, name, keywords: Optional[dict] = None):
        """Adds what the page says of an object, when it is used in the way that is spoken of."""
        for rule in self.rules.objects.get(id(value), ()):
            if rule.keywords and keywords is None:
                continue
            if keywords is not None and not rule.keywords:
                continue  # found already, as the attribute that it is
            if rule.fits(keywords or {}):
                self._add(node, "missing" if rule.missing else "differs", name, str(rule.entry))
        reason = getattr(value, "unsupported", None)
        if isinstance(reason, str) and keywords is None:
            self._add(node, "missing", name, reason)

    # ---- what binds names

    def visit_Assign(self, node):
        self.visit(node.value)
        value = self._value(node.value)
        for target in node.targets:
            self._assign(target, value)

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)
            self._assign(node.target, self._value(node.value))

    def _assign(self, target, value):
        if isinstance(target, ast.Name):
            self._bind(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._assign(each, _UNKNOWN)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, _UNKNOWN)
        else:
            self.visit(target)

    def visit_Name(self, node):
        if isinstance(node.ctx, (ast.Store, ast.Del)):
            self._bind(node.id, _UNKNOWN)

    def visit_FunctionDef(self, node):
        self._bind(node.name, _UNKNOWN)
        defaults = [d for d in node.args.kw_defaults if d is not None]
        for part in (*node.decorator_list, *node.args.defaults, *defaults):
            self.visit(part)
        self._defer(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        self._defer(node)

    def _defer(self, node):
        self.later.append((list(self.scopes), self.guarded, node))

    def visit_ClassDef(self, node):
        self._bind(node.name, _UNKNOWN)
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(part)
        self.scopes.append({})
        for statement in node.body:
            self.visit(statement)
        self.scopes.pop()

    def visit_Try(self, node):
        caught = {name for handler in node.handlers for name in _caught(handler)}
        guards = bool(caught & {"ImportError", "ModuleNotFoundError", "AttributeError", "", "*"})
        guards |= bool(caught & {"Exception", "BaseException"})
        self.guarded += guards
        for statement in node.body:
            self.visit(statement)
        self.guarded -= guards
        for part in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(part)


def _parameters(value):
    """Names of the arguments that a call accepts; None where that cannot be said."""
    # What a block passes on as **kwargs is for its base classes.
    functions, whole = [value], False
    if isinstance(value, type) and issubclass(value, mxtape.gluon.Block):
        bases = [base for base in value.__mro__ if issubclass(base, mxtape.gluon.Block)]
        functions = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
        whole = True  # Block refuses the others
    names = {"ctx", "dtype"}  # operators let these two pass, as MXNet's do
    for function in functions:
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            return None
        names |= {*parameters}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return names
    return names if whole else None


def _caught(handler):
    """Names of the errors that an except clause is for; '*' for all."""
    if handler.type is None:
        return ["*"]
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [(_dotted(node) or "").rpartition(".")[2] for node in types]


def check_file(file, rules=None):
    """The findings in one program, or in a Jupyter notebook."""
    if file.endswith(".ipynb"):
        return _check_notebook(file, rules)
    try:
        with tokenize.open(file) as source:
            text = source.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        return [_unread(file, error)]
    return _check_text(file, text, rules)


def _unread(file, error):
    line, column = getattr(error, "lineno", 1) or 1, getattr(error, "offset", 1) or 1
    reason = f"not a program of Python {sys.version_info[0]}.{sys.version_info[1]}: "
    reason += str(getattr(error, "msg", error))
    return Finding(file, line, column, "syntax", "", reason)


def _check_notebook(file, rules):
    """The findings in the cells of code, which are one program; lines are counted in each cell."""
    try:
        with open(file, encoding="utf-8") as source:
            cells = json.load(source)["cells"]
        codes = ["".join(c["source"]).splitlines() for c in cells if c["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"not a notebook of Jupyter's format 4: {type(error).__name__}: {error}"
        return [Finding(file, 1, 1, "syntax", "", reason)]
    lines: list[str] = []
    places = []
    for number, code in enumerate(codes, 1):
        foreign = bool(code) and code[0].startswith("%%")  # another language, or a magic
        for line, text in enumerate(code, 1):
            command = foreign or text.lstrip()[:1] in ("%", "!", "?") or text.endswith("?")
            indent = text[: len(text) - len(text.lstrip())]
            lines.append(f"{indent}pass" if command else text)
            places.append((f"{file}[cell {number}]", line))
    findings = []
    for f in _check_text(file, "\n".join(lines), rules):
        place, line = places[min(f.line, len(places)) - 1] if places else (file, 1)
        findings.append(f._replace(file=place, line=line))
    return findings


def _check_text(file, text, rules):
    try:
        tree = ast.parse(text, file)
    except (SyntaxError, ValueError) as error:
        return [_unread(file, error)]
    if not any(name in text for name in (*_PACKAGES, "horovod", "byteps")):
        return []
    return _Reader(file, rules or _rules()).read(tree)


def _programs(paths):
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(
                f for f in folders if f not in _IGNORED_FOLDERS and not f.startswith(".")
            )
            yield from (
                os.path.join(folder, f) for f in sorted(files) if f.endswith((".py", ".ipynb"))
            )


def _print(findings, n_files):
    """Each name once, with the lines that use it and what there is to say; the missing first."""
    for kind, title in (
        ("syntax", "Cannot be read"),
        ("missing", "Missing"),
        ("differs", "Other than in MXNet, where it matters"),
    ):
        uses: dict = {}
        for f in findings:
            if f.kind == kind:
                uses.setdefault(f.message, {}).setdefault((f.file, f.name), set()).add(f.line)
        if uses:
            print(f"{title}:")
        for message, places in uses.items():
            for (file, name), lines in places.items():
                print(f"  {file}:{', '.join(map(str, sorted(lines)))}: {name}".rstrip(": "))
            print(textwrap.fill(message, 96, initial_indent="      ", subsequent_indent="      "))
        if uses:
            print()
    counts = [sum(f.kind == kind for f in findings) for kind in ("missing", "differs", "syntax")]
    unread = f"; cannot be read: {counts[2]}" if counts[2] else ""
    print(f"files: {n_files}; missing: {counts[0]} uses; different: {counts[1]} uses{unread}")


def main(paths, as_json=False):
    """Checks programs and prints the findings; returns the exit status."""
    absent = [path for path in paths if not os.path.exists(path)]
    if absent:
        raise SystemExit(f"python -m mxtape check: there is no {', '.join(map(repr, absent))}")
    files = list(_programs(paths))
    rules = _rules()
    findings = sorted({f for file in files for f in check_file(file, rules)})
    if as_json:
        print(json.dumps([f._asdict() for f in findings], indent=1))
    else:
        _print(findings, len(files))
    return int(any(f.kind != "differs" for f in findings))
