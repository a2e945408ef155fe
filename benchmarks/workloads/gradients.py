"""Programs that differentiate one expression: forward, then backward from the head gradient.

Each function makes one library's program of `forward(library, sizes, *variables, *constants)`,
where the last two are the inputs with these names. The input "head" is the head gradient; where
there is none the result is one number. The answer is the result "y" and each variable's gradient.
A step first forgets the result of the one before, with the graph that some libraries hang on it.
"""

from .declaration import Program
from .support import mx_gradients, mx_variable, torch_clear, torch_gradients, torch_variable


def mx_of(forward, variables, constants=()):
    def program(mx, sizes, given):
        leaves = {name: mx_variable(mx, given[name]) for name in variables}
        others = [mx.nd.array(given[name], dtype=given[name].dtype) for name in constants]
        arguments = [*leaves.values(), *others]
        head = mx.nd.array(given["head"]) if "head" in given else None
        record, waitall, last = mx.autograd.record, mx.nd.waitall, {}

        def step():
            last.clear()
            with record():
                y = forward(mx.nd, sizes, *arguments)
            y.backward(head)
            waitall()
            last["y"] = y

        return Program(step, lambda: {"y": last["y"].asnumpy(), **mx_gradients(leaves)})

    return program


def torch_of(forward, variables, constants=()):
    def program(torch, sizes, given):
        leaves = {name: torch_variable(torch, given[name]) for name in variables}
        arguments = [*leaves.values(), *(torch.tensor(given[name]) for name in constants)]
        head = torch.tensor(given["head"]) if "head" in given else None
        last = {}

        def step():
            last.clear()
            torch_clear(leaves.values())
            y = forward(torch, sizes, *arguments)
            y.backward(head)
            last["y"] = y

        return Program(step, lambda: {"y": last["y"].detach().numpy(), **torch_gradients(leaves)})

    return program


def jax_of(forward, variables, constants=()):
    """`forward(jax, ...)` and its gradients, compiled as one."""

    def program(jax, sizes, given):
        leaves = [jax.numpy.asarray(given[name]) for name in variables]
        others = [jax.numpy.asarray(given[name]) for name in constants]
        head, last = jax.numpy.asarray(given.get("head", 1.0), "float32"), {}

        @jax.jit
        def both(head, leaves, others):
            y, pull_back = jax.vjp(lambda *args: forward(jax, sizes, *args, *others), *leaves)
            return y, pull_back(head)

        def step():
            last.clear()
            last["result"] = jax.block_until_ready(both(head, leaves, others))

        def answer():
            y, gradients = last["result"]
            return {"y": y, **dict(zip(variables, gradients))}

        return Program(step, answer)

    return program


def autograd_of(forward, variables, constants=()):
    def program(autograd, sizes, given):
        leaves = tuple(given[name] for name in variables)
        others = [given[name] for name in constants]
        head, last = given.get("head", 1.0), {}

        def of_variables(leaves):
            return forward(autograd, sizes, *leaves, *others)

        def step():
            last.clear()
            pull_back, y = autograd.make_vjp(of_variables)(leaves)
            last["result"] = y, pull_back(head)

        def answer():
            y, gradients = last["result"]
            return {"y": y, **dict(zip(variables, gradients))}

        return Program(step, answer)

    return program
