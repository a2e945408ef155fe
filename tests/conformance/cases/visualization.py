"""``mx.viz``: the text of print_summary and of plot_network."""

import contextlib
import io

from harness import attempt, case


def lenet(mx):
    net = mx.sym.Convolution(mx.sym.var("data"), kernel=(5, 5), num_filter=20, name="conv1")
    net = mx.sym.Activation(net, act_type="tanh", name="tanh1")
    net = mx.sym.Pooling(net, pool_type="max", kernel=(2, 2), stride=(2, 2), name="pool1")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net, name="flat"), num_hidden=10, name="fc1")
    return mx.sym.SoftmaxOutput(net, name="softmax")


def residual(mx):
    x = mx.sym.var("data")
    for k in range(2):
        y = mx.sym.Convolution(
            x, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, name=f"conv{k}"
        )
        y = mx.sym.BatchNorm(y, name=f"bn{k}")
        y = mx.sym.LeakyReLU(y, act_type="leaky", name=f"lrelu{k}")
        x = mx.sym.elemwise_add(x, y, name=f"plus{k}")
    x = mx.sym.Pooling(x, pool_type="avg", kernel=(1, 1), global_pool=True, name="pool")
    return mx.sym.softmax(mx.sym.Concat(x, x * 2, dim=1, name="concat"), name="out")


NETWORKS = {"lenet": (lenet, (2, 1, 28, 28)), "residual": (residual, (2, 4, 8, 8))}


def printed(function, *args, **options):
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        function(*args, **options)
    return text.getvalue()


for name, (make, shape) in NETWORKS.items():

    @case(name=f"print_summary {name}")
    def print_summary(mx, make=make, shape=shape):
        with mx.name.NameManager():
            net = make(mx)
        return [
            printed(mx.viz.print_summary, net, shape={"data": shape}),
            printed(mx.viz.print_summary, net, {"data": shape}, 80, [24, 40, 56, 80]),
        ]

    @case(name=f"plot_network {name}")
    def plot_network(mx, make=make, shape=shape):
        with mx.name.NameManager():
            net = make(mx)
        plot = mx.viz.plot_network
        style = {"shape": "oval", "fixedsize": "false"}
        pictures = [
            plot(net),
            plot(net, shape={"data": shape}, title="net", save_format="png", node_attrs=style),
            plot(net, shape={"data": shape}, dtype={"data": "float32"}, hide_weights=False),
        ]
        # Versions of the package quote differently.
        return [
            (picture.name, picture.format, picture.source.replace('"', "").strip())
            for picture in pictures
        ]


@case
def errors(mx):
    net = lenet(mx)
    return [
        attempt(mx.viz.print_summary, "net"),
        attempt(mx.viz.plot_network, "net"),
        attempt(mx.viz.plot_network, net, node_attrs=3),
        attempt(mx.viz.print_summary, net, shape={"dat": (2, 3)}),
    ]


@case
def parameters_that_mxnet_does_not_count(mx):
    x = mx.sym.Embedding(mx.sym.var("data"), input_dim=7, output_dim=4, name="embed")
    x = mx.sym.LayerNorm(x, name="norm")
    shared = mx.sym.var("shared_weight")
    for name in ("a", "b"):
        x = mx.sym.FullyConnected(
            x, shared, num_hidden=4, no_bias=True, flatten=False, name=f"fc_{name}"
        )
    return printed(mx.viz.print_summary, x, shape={"data": (2, 3)})
