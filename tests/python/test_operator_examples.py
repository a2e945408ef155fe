"""Every public operator shows in its docstring an example that runs as it is printed."""

import doctest

import pytest

import mxtape as mx

OPERATOR = type(mx.nd.relu)
NAMESPACES = (mx.nd, mx.nd.op, mx.nd.linalg, mx.nd.contrib, mx.nd.image, mx.nd.random)


def public_operators():
    """The operators that a program finds, by name; one entry for all the names of one."""
    found = {}
    for namespace in NAMESPACES:
        for label, value in vars(namespace).items():
            # MXNet publishes parts of gradients too, which no program calls.
            if isinstance(value, OPERATOR) and not label.startswith(("_", "backward_")):
                found.setdefault(value.__name__, value)
    return found


OPERATORS = public_operators()


def examples_of(docstring):
    return doctest.DocTestParser().get_examples(docstring)


def failures(docstring, name="example"):
    """Runs the examples in a docstring with nothing imported; gives what went wrong, as text."""
    test = doctest.DocTestParser().get_doctest(docstring, {}, name, None, 0)
    report = []
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    return "".join(report)


def test_the_namespaces_are_searched():
    assert len(OPERATORS) > 300
    assert {
        "relu",
        "_linalg_gemm2",
        "_contrib_box_nms",
        "_image_crop",
        "_random_gamma_like",
    } <= set(OPERATORS)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_example(name):
    docstring = OPERATORS[name].__doc__
    assert "\nExamples\n--------\n>>> import mxtape as mx\n" in docstring, (
        f"{name} has no example: add .example(...) to its declaration"
    )
    examples = examples_of(docstring)
    assert any(example.want for example in examples), f"the example of {name} shows nothing"
    own = [f"mx.nd.{label}" for label in labels_of(OPERATORS[name])]
    assert any(call in example.source for example in examples for call in own), (
        f"the example of {name} does not call {' or '.join(own)}"
    )
    # The names that a parameter may be set to stay on one line.
    assert all(len(line) <= 92 or " : {" in line for line in docstring.splitlines())
    assert failures(docstring, name) == ""


def labels_of(operator):
    for namespace in NAMESPACES:
        prefix = namespace.__name__.partition("ndarray")[2].lstrip(".")
        for label, value in vars(namespace).items():
            if value is operator:
                yield f"{prefix}.{label}" if prefix else label


@pytest.mark.parametrize(
    ("example", "reported"),
    [
        (">>> mx.nd.relu(mx.nd.array([-1])).asnumpy().tolist()\n[0.0]", ""),
        (">>> mx.nd.relu(mx.nd.array([-1])).asnumpy().tolist()\n[-1.0]", "Got:\n    [0.0]"),
        (">>> mx.nd.no_such_operator()", "AttributeError"),
    ],
)
def test_a_wrong_example_is_reported(example, reported):
    text = failures(">>> import mxtape as mx\n" + example)
    assert reported in text
    assert bool(text) == bool(reported)
