"""One executor on each context, with the batch shared out among them."""

import logging
from collections import OrderedDict
from typing import Any

from .. import context as ctx
from .. import ndarray as nd
from ..io import DataDesc
from ._checks import require


def _split_input_slice(batch_size, work_load_list):
    """The slices of a batch that contexts get, in proportion to their work loads.

    Raises a ValueError where a context would get nothing.

    >>> from mxtape.module.executor_group import _split_input_slice
    >>> _split_input_slice(10, [1, 2, 3])
    [slice(0, 2, None), slice(2, 5, None), slice(5, 10, None)]
    """
    total = sum(work_load_list)
    counts = [round(load * batch_size / total) for load in work_load_list]
    short = batch_size - sum(counts)
    if short > 0:
        counts[-1] += short
    slices, begin = [], 0
    for count in counts:
        end = min(begin + count, batch_size)
        if end <= begin:
            raise ValueError(
                f"Too many slices: a batch of {batch_size} cannot be split over "
                f"{len(work_load_list)} contexts with work loads {list(work_load_list)}; "
                "some would get nothing"
            )
        slices.append(slice(begin, end))
        begin = end
    return slices


def _part(array, islice, axis):
    """The slice of an array along its batch axis; all of it where it has none, or is all sliced."""
    if axis < 0 or (islice.start == 0 and islice.stop == array.shape[axis]):
        return array
    if axis == 0:
        return array[islice]
    return nd.slice_axis(array, axis=axis, begin=islice.start, end=islice.stop)


def _load_general(data, targets, major_axis):
    """Copies arrays into the executors' arrays.

    An entry of ``data`` is one array for all contexts, sliced here, or a list with one for each.
    """
    for source, target, axis in zip(data, targets, major_axis):
        for i, (islice, array) in enumerate(target):
            sliced = isinstance(source, (list, tuple))
            part = source[i] if sliced else _part(source, islice, axis)
            if isinstance(part, nd.NDArray):
                part.copyto(array)
            else:
                array[:] = part


def _entries(batch, which):
    """A batch's data or labels; of one batch for each context, a list with a part for each."""
    if isinstance(batch, list):
        return [list(parts) for parts in zip(*(getattr(b, which, None) or [] for b in batch))]
    return getattr(batch, which, None) or []


def _merge_multi_context(outputs, major_axis):
    """Joins what each context gave along the batch axis; without one, the first stands for all."""
    merged = []
    for parts, axis in zip(outputs, major_axis):
        if axis < 0 or len(parts) == 1:
            merged.append(parts[0])
        else:
            first = parts[0].context
            merged.append(nd.concat(*(p.as_in_context(first) for p in parts), dim=axis))
    return merged


def _prepare_group2ctxs(group2ctxs, ctx_len):
    """A dictionary from ``ctx_group`` to context, or None, for each of ``ctx_len`` contexts."""
    if group2ctxs is None:
        return [None] * ctx_len
    if isinstance(group2ctxs, list):
        require(
            len(group2ctxs) == ctx_len,
            f"group2ctxs has {len(group2ctxs)} dictionaries for {ctx_len} contexts",
        )
        return group2ctxs
    require(
        isinstance(group2ctxs, dict),
        "group2ctxs must be a dict of str to Context, or to a list of one for each context, or a "
        f"list of such dicts; got {type(group2ctxs).__name__}",
    )
    prepared: list[dict] = [{} for _ in range(ctx_len)]
    for group, contexts in group2ctxs.items():
        if isinstance(contexts, ctx.Context):
            contexts = [contexts]
        if len(contexts) == 1:
            contexts = list(contexts) * ctx_len
        require(
            len(contexts) == ctx_len,
            f"group2ctxs[{group!r}] has {len(contexts)} contexts, the module {ctx_len}",
        )
        for groups, context in zip(prepared, contexts):
            groups[group] = context
    return prepared


class DataParallelExecutorGroup:
    """Executors of one symbol, each with its slice of every batch.

    ``Module`` is built on it; programs reach it as ``module._exec_group``.

    Parameters
    ----------
    symbol : Symbol
        The network.
    contexts : list of Context
        Where the executors run.
    workload : list of number
        The share of the batch that each context gets.
    data_shapes, label_shapes : list of DataDesc
        The inputs, for the whole batch. ``label_shapes`` may be None.
    param_names : list of str
        The arguments that are parameters.
    for_training : bool
        Whether there is a backward.
    inputs_need_grad : bool
        Whether the data get gradients.
    shared_group : DataParallelExecutorGroup, optional
        A group whose parameters, gradients and auxiliary states this one uses.
    fixed_param_names : list of str, optional
        Parameters without a gradient.
    grad_req : str, list or dict
        ``'write'``, ``'add'`` or ``'null'``, for all arguments or for each.
    state_names : list of str, optional
        Arguments that are states: neither data nor parameters.
    group2ctxs : dict or list of dict, optional
        Contexts for the symbol's ``ctx_group`` attributes. Accepted; all is on one CPU.
    """

    def __init__(
        self,
        symbol,
        contexts,
        workload,
        data_shapes,
        label_shapes,
        param_names,
        for_training,
        inputs_need_grad,
        shared_group=None,
        logger=logging,
        fixed_param_names=None,
        grad_req="write",
        state_names=None,
        group2ctxs=None,
    ):
        self.symbol, self.contexts, self.workload = symbol, contexts, workload
        self.group2ctxs = _prepare_group2ctxs(group2ctxs, len(contexts))
        self.param_names = param_names
        self.arg_names = symbol.list_arguments()
        self.aux_names = symbol.list_auxiliary_states()
        self.for_training = for_training
        self.inputs_need_grad = inputs_need_grad
        self.logger = logger
        self.fixed_param_names = [] if fixed_param_names is None else fixed_param_names
        self.state_names = [] if state_names is None else state_names
        self.output_names = symbol.list_outputs()
        self.num_outputs = len(self.output_names)
        self.output_layouts = [
            DataDesc.get_batch_axis(output.attr("__layout__")) for output in symbol
        ]
        self.grad_req = self._grad_req_of_arguments(grad_req, data_shapes)
        if shared_group is not None:
            self.shared_data_arrays = shared_group.shared_data_arrays
        else:
            self.shared_data_arrays = [{} for _ in contexts]
        self._total_exec_bytes = 0
        self._default_execs: Any = None
        self._monitors: list = []
        self.execs: list = []
        self.batch_size: Any = None
        self.slices: Any = None
        self.data_shapes: Any = None
        self.label_shapes: Any = None
        self.data_names: list = []
        self.label_names: list = []
        self.bind_exec(data_shapes, label_shapes, shared_group)

    def _grad_req_of_arguments(self, grad_req, data_shapes):
        """What each argument's gradient does, by its name."""
        data_names = {desc.name for desc in data_shapes}
        if not self.for_training:
            return dict.fromkeys(self.arg_names, "null")
        if isinstance(grad_req, (list, tuple)):
            require(
                len(grad_req) == len(self.arg_names),
                f"grad_req has {len(grad_req)} entries for the {len(self.arg_names)} arguments "
                f"{self.arg_names}",
            )
            return dict(zip(self.arg_names, grad_req))
        if not isinstance(grad_req, (str, dict)):
            raise ValueError(
                f"grad_req must be one of str, list, tuple, or dict; got {type(grad_req).__name__}"
            )
        usual = grad_req if isinstance(grad_req, str) else "write"
        requests = {}
        for name in self.arg_names:
            if name in self.param_names:
                requests[name] = "null" if name in self.fixed_param_names else usual
            elif name in data_names:
                requests[name] = usual if self.inputs_need_grad else "null"
            else:
                requests[name] = "null"
        if isinstance(grad_req, dict):
            requests.update(grad_req)
        return requests

    def decide_slices(self, data_shapes):
        """Decides which context gets which part of the batch; returns the inputs' batch axes."""
        axes = [DataDesc.get_batch_axis(desc.layout) for desc in data_shapes]
        for desc, axis in zip(data_shapes, axes):
            if axis < 0:
                continue
            size = desc.shape[axis]
            if self.batch_size is None:
                self.batch_size = size
                self.slices = _split_input_slice(size, self.workload)
            require(
                size == self.batch_size,
                "all data must have the same batch size: batch_size = "
                f"{self.batch_size}, but {desc.name} has shape {tuple(desc.shape)}",
            )
        return axes

    def _sliced_shape(self, shapes, i, major_axis):
        """The shapes of the inputs on the i-th context."""

        def rows():
            return self.slices[i].stop - self.slices[i].start

        def sliced(desc, major):
            shape = tuple(rows() if axis == major else n for axis, n in enumerate(desc.shape))
            return DataDesc(desc.name, shape, desc.dtype, desc.layout)

        return [sliced(desc, axis) for desc, axis in zip(shapes, major_axis)]

    def bind_exec(self, data_shapes, label_shapes, shared_group=None, reshape=False):
        """Binds the executors, or gives those that are bound other shapes."""
        before = self.batch_size, self.slices
        self.batch_size = None
        try:
            self.data_layouts = self.decide_slices(data_shapes)
            self.label_layouts = self.decide_slices(label_shapes or [])
            if self.batch_size is None:
                raise ValueError(f"none of the data has a batch axis: {data_shapes}")
            execs = []
            for i in range(len(self.contexts)):
                data = self._sliced_shape(data_shapes, i, self.data_layouts)
                labels = self._sliced_shape(label_shapes or [], i, self.label_layouts)
                if reshape:
                    execs.append(self._reshape_ith_exec(i, data, labels))
                else:
                    execs.append(self._bind_ith_exec(i, data, labels, shared_group))
        except Exception:
            self.batch_size, self.slices = before
            if self.data_shapes is not None:
                self.data_layouts = self.decide_slices(self.data_shapes)
                self.label_layouts = self.decide_slices(self.label_shapes or [])
            raise
        if not reshape:
            self._default_execs = execs
        for monitor in self._monitors:
            monitor.exes = [executor for executor in monitor.exes if executor not in self.execs]
            for executor in execs:
                monitor.install(executor)
        self.execs = execs
        self.data_shapes = data_shapes
        self.data_names = [desc.name for desc in data_shapes]
        self.label_shapes = label_shapes
        self.label_names = [desc.name for desc in label_shapes or []]
        self._collect_arrays()

    def _bound_inputs(self, descriptions):
        """The inputs that the symbol has: it may have no use for a label."""
        return [desc for desc in descriptions if desc.name in self.arg_names]

    def _bind_ith_exec(self, i, data_shapes, label_shapes, shared_group):
        """Binds the executor of the i-th context, to shapes that are sliced already."""
        inputs = self._bound_inputs(data_shapes + (label_shapes or []))
        return self.symbol.simple_bind(
            ctx=self.contexts[i],
            grad_req=self.grad_req,
            type_dict={desc.name: desc.dtype for desc in inputs},
            group2ctx=self.group2ctxs[i],
            shared_arg_names=self.param_names,
            shared_exec=None if shared_group is None else shared_group.execs[i],
            shared_buffer=self.shared_data_arrays[i],
            **{desc.name: tuple(desc.shape) for desc in inputs},
        )

    def _reshape_ith_exec(self, i, data_shapes, label_shapes):
        """The executor of the i-th context with other shapes, and the same parameters."""
        inputs = self._bound_inputs(data_shapes + label_shapes)
        shapes = {desc.name: tuple(desc.shape) for desc in inputs}
        # The first executor is the one whose memory the others use; batches often return to it.
        default = self._default_execs[i]
        arrays = default.arg_dict
        missing = [n for n in self.arg_names if n not in shapes and n not in self.param_names]
        if not missing and all(arrays[name].shape == shape for name, shape in shapes.items()):
            return default
        if missing:
            # The shapes of labels follow from the data's; those of parameters may not change.
            for name, shape in zip(self.arg_names, self.symbol.infer_shape(**shapes)[0] or ()):
                if name in self.param_names and arrays[name].shape != tuple(shape):
                    raise ValueError(
                        f"with inputs of the shapes {shapes} the parameter {name!r} would have "
                        f"the shape {tuple(shape)}; it has {arrays[name].shape}"
                    )
        return default.reshape(partial_shaping=bool(missing), allow_up_sizing=True, **shapes)

    def reshape(self, data_shapes, label_shapes):
        """Gives the executors other shapes; parameters, gradients and states stay as they are."""
        if data_shapes != self.data_shapes or label_shapes != self.label_shapes:
            self.bind_exec(data_shapes, label_shapes, reshape=True)

    def _collect_arrays(self):
        """Gathers the executors' arrays by what they are: data, labels, states, parameters."""
        slices, execs = self.slices, self.execs
        arguments = [e.arg_dict for e in execs]

        def of(names):
            return [[(s, args[name]) for s, args in zip(slices, arguments)] for name in names]

        self.data_arrays = of(self.data_names)
        self._used_labels = [i for i, n in enumerate(self.label_names) if n in self.arg_names]
        self.label_arrays = None
        if self.label_shapes is not None:
            self.label_arrays = of(self.label_names[i] for i in self._used_labels)
        self.state_arrays = of(self.state_names)
        self.param_arrays = [[args[name] for args in arguments] for name in self.param_names]
        positions = {name: i for i, name in enumerate(self.arg_names)}
        self.grad_arrays = self.input_grad_arrays = None
        if self.for_training:
            gradients = [e.grad_arrays for e in execs]
            self.grad_arrays = [
                [g[positions[name]] for g in gradients] for name in self.param_names
            ]
            if self.inputs_need_grad:
                self.input_grad_arrays = [
                    [g[positions[name]] for g in gradients] for name in self.data_names
                ]
        self.aux_arrays = [[e.aux_dict[name] for e in execs] for name in self.aux_names]

    def set_params(self, arg_params, aux_params, allow_extra=False):
        """Copies parameters and auxiliary states into every executor."""
        for executor in self.execs:
            executor.copy_params_from(arg_params, aux_params, allow_extra_params=allow_extra)

    def get_params(self, arg_params, aux_params):
        """Copies parameters and auxiliary states into arrays, averaged over the contexts."""
        parts = [(self.param_names, self.param_arrays, arg_params)]
        parts.append((self.aux_names, self.aux_arrays, aux_params))
        for names, arrays, target in parts:
            for name, copies in zip(names, arrays):
                if len(copies) == 1:
                    target[name][:] = copies[0]
                else:
                    first, *others = (copy.copyto(ctx.cpu()) for copy in copies)
                    target[name][:] = sum(others, first) / len(copies)

    def get_output_shapes(self):
        """The outputs' names and shapes, for the whole batch."""
        shapes = []
        for i, (name, axis) in enumerate(zip(self.output_names, self.output_layouts)):
            parts = [tuple(executor.outputs[i].shape) for executor in self.execs]
            shape = list(parts[0])
            if axis >= 0 and shape:
                shape[axis] = sum(part[axis] for part in parts)
            shapes.append((name, tuple(shape)))
        return shapes

    def forward(self, data_batch, is_train=None):
        """Copies the batch into the executors and runs them, by default as the group was bound."""
        _load_general(_entries(data_batch, "data"), self.data_arrays, self.data_layouts)
        if is_train is None:
            is_train = self.for_training
        if self.label_arrays:
            # A batch to predict from has no labels. The symbol may not use all that there are.
            labels = _entries(data_batch, "label")
            if labels:
                used = self._used_labels
                axes = [self.label_layouts[i] for i in used]
                _load_general([labels[i] for i in used], self.label_arrays, axes)
        for executor in self.execs:
            executor.forward(is_train=is_train)

    def backward(self, out_grads=None):
        """Runs every executor's backward; ``out_grads`` are for the whole batch, one per output."""
        require(self.for_training, "re-bind with for_training=True to run backward")
        if out_grads is None:
            out_grads = []
        elif isinstance(out_grads, nd.NDArray):
            out_grads = [out_grads]
        if len(out_grads) > self.num_outputs:
            raise ValueError(
                f"backward got {len(out_grads)} gradients for the {self.num_outputs} outputs "
                f"{self.output_names}"
            )
        for executor, context, islice in zip(self.execs, self.contexts, self.slices):
            parts = [
                _part(grad, islice, axis).as_in_context(context)
                for grad, axis in zip(out_grads, self.output_layouts)
            ]
            executor.backward(out_grads=parts or None)

    def get_outputs(self, merge_multi_context=True, begin=0, end=None):
        """The outputs of the last forward, those from ``begin`` to before ``end``.

        Returns a list of arrays for the whole batch; without ``merge_multi_context`` a list of
        lists with one array for each context.
        """
        end = self.num_outputs if end is None else end
        outputs = list(zip(*(executor.outputs[begin:end] for executor in self.execs)))
        if merge_multi_context:
            return _merge_multi_context(outputs, self.output_layouts[begin:end])
        return [list(parts) for parts in outputs]

    def get_input_grads(self, merge_multi_context=True):
        """The gradients of the data, as :meth:`get_outputs` gives outputs."""
        require(
            self.inputs_need_grad, "re-bind with inputs_need_grad=True to get gradients of inputs"
        )
        if merge_multi_context:
            return _merge_multi_context(self.input_grad_arrays, self.data_layouts)
        return self.input_grad_arrays

    def get_states(self, merge_multi_context=True):
        """The states, as lists with one array for each context."""
        require(
            not merge_multi_context,
            "get_states needs merge_multi_context=False: states are not merged",
        )
        return [[array for _, array in target] for target in self.state_arrays]

    def set_states(self, states=None, value=None):
        """Sets the states: from lists such as :meth:`get_states` gives, or all to one number."""
        require(
            (states is None) != (value is None),
            "set_states needs one of states and value, "
            + ("and got neither" if states is None else "and got both"),
        )
        if states is None:
            for target in self.state_arrays:
                for _, array in target:
                    array[:] = value
            return
        wanted = len(self.execs)
        for name, parts in zip(self.state_names, states):
            if not isinstance(parts, (list, tuple)) or len(parts) != wanted:
                raise ValueError(f"set_states: {name!r} must be a list of {wanted} arrays")
        _load_general(states, self.state_arrays, [0] * len(states))

    def update_metric(self, eval_metric, labels, pre_sliced):
        """Updates a metric with the outputs of the last forward, context by context."""
        labels = [] if labels is None else labels
        # Labels that the module was not bound with are named by their places.
        names = self.label_names or [f"label{i}" for i in range(len(labels))]
        axes = self.label_layouts or [0] * len(labels)
        for i, executor in enumerate(self.execs):
            if pre_sliced:
                parts = labels[i]
            else:
                parts = [_part(label, self.slices[i], axis) for label, axis in zip(labels, axes)]
            eval_metric.update_dict(
                OrderedDict(zip(names, parts)),
                OrderedDict(zip(self.output_names, executor.outputs)),
            )

    def install_monitor(self, mon):
        """Lets a ``Monitor`` see what each executor computes, after a reshape too."""
        self._monitors.append(mon)
        for executor in self.execs:
            mon.install(executor)
