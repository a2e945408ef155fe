"""What mixed precision does with an operator, by its name, from the lists or from a program's."""

from ...ndarray import register
from . import lists

TARGET, FLOAT32, CONDITIONAL, WIDEST = "target", "float32", "conditional", "widest"


def table_of(target_dtype):
    """The module of lists for a low precision."""
    if target_dtype == "float16":
        return lists.symbol_fp16
    if target_dtype == "bfloat16":
        return lists.symbol_bf16
    raise AssertionError(
        f"mixed precision is for target_dtype 'float16' or 'bfloat16', got {target_dtype!r}"
    )


def dtype_name(dtype):
    """``'float16'`` of it or of NumPy's type, and so on; other things as they are."""
    return dtype if isinstance(dtype, str) else getattr(dtype, "__name__", dtype)


def target_functions(target_dtype):
    table = table_of(target_dtype)
    return table.FP16_FUNCS if target_dtype == "float16" else table.BF16_FUNCS


def neutral_functions(target_dtype):
    table = table_of(target_dtype)
    return table.FP16_FP32_FUNCS if target_dtype == "float16" else table.BF16_FP32_FUNCS


def _checked(given, what):
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
        raise AssertionError(f"{what} must be a list of str, got {given!r}")
    return list(given)


def _checked_conditions(given, what):
    items: list = list(given) if isinstance(given, (list, tuple)) else [None]
    for item in items:
        whole = isinstance(item, (list, tuple)) and len(item) == 3
        if not whole or not all(isinstance(part, str) for part in item[:2]):
            raise AssertionError(
                f"{what} must be a list of (operator, parameter, list of values), got {given!r}"
            )
    return items


class Kinds:
    """What is done with each operator: by the lists, or by what a program gives in their place.

    Parameters
    ----------
    target_dtype : str
    targets : tuple of str and list
        The name of a program's argument, and the names of operators in the place of those that the
        lists have cast to the low precision; None for the lists' own.
    float32, conditional : tuple of str and list
        The same for those that are cast to float32, always or on a condition.
    may_override : bool
        Whether an operator that is given may be in another of the lists.
    """

    def __init__(self, target_dtype, targets, float32, conditional, may_override):
        self.target_dtype = dtype_name(target_dtype)
        table = table_of(self.target_dtype)
        what, given = conditional
        conditions = _checked_conditions(
            table.CONDITIONAL_FP32_FUNCS if given is None else given, what
        )
        # In bfloat16 the lists forget some that compute in any precision, but in one.
        forgotten = {*lists.symbol_fp16.WIDEST_TYPE_CASTS} - {*table.FP32_FUNCS}
        widest = [*table.WIDEST_TYPE_CASTS, *sorted(forgotten)]
        groups = {}
        for kind, (what, given), names in (
            (CONDITIONAL, conditional, [name for name, *_ in conditions]),
            (FLOAT32, float32, table.FP32_FUNCS),
            (TARGET, targets, target_functions(self.target_dtype)),
        ):
            if given is not None and kind != CONDITIONAL:
                names = _checked(given, what)
            groups[what] = kind, names, given is not None
        self._check(groups, table, may_override)
        self._by_operator: dict = {}
        listed = [(WIDEST, widest), *((kind, names) for kind, names, _ in groups.values())]
        # An alias may be in another list than its operator, whose own name counts more; what a
        # program gives counts most.
        for names_itself in (False, True):
            for kind, names in listed:
                own = [name for name in names if (name == register.canonical(name)) is names_itself]
                self._add(kind, own)
        for kind, names, is_given in groups.values():
            if is_given:
                self._add(kind, names)
        self._conditions: dict = {}
        for name, key, values in conditions:
            pairs = self._conditions.setdefault(register.canonical(name), [])
            pairs.append((key, [str(value) for value in values]))

    def _add(self, kind, names):
        for name in names:
            if not name.startswith("_sparse"):
                self._by_operator[register.canonical(name)] = kind

    def _check(self, groups, table, may_override):
        known = {
            *register.all_names(),
            *neutral_functions(self.target_dtype),
            *(name for _, names, is_given in groups.values() if not is_given for name in names),
            *table.WIDEST_TYPE_CASTS,
        }
        for what, (_, names, is_given) in groups.items():
            if is_given and not known.issuperset(names):
                raise AssertionError(f"{what}: there are no operators {sorted(set(names) - known)}")
            for other, (_, other_names, other_given) in groups.items():
                both = sorted(set(names) & set(other_names))
                apart = may_override and not (is_given and other_given)
                if other != what and both and not apart:
                    raise AssertionError(f"{both} cannot be both in {what} and in {other}")

    def of(self, label):
        """What is done with an operator, by its name or an alias; None for nothing."""
        return self._by_operator.get(register.canonical(label))

    def is_conditional(self, label, values):
        """Whether an operator with these parameters, a dict of any values, needs float32."""
        pairs = self._conditions.get(register.canonical(label), ())
        return any(key in values and str(values[key]) in wanted for key, wanted in pairs)
