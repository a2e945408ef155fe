"""mx.sym: what functions, operators and methods compose, byte for byte, and what they refuse.

A case is an expression over symbols; its result is the JSON text, or the lists of names.
"""

from harness import attempt, case


def environment(mx):
    s = mx.sym
    env = {"mx": mx, "s": s, "attempt": attempt}
    for name in "a b c data w".split():
        env[name] = s.Variable(name)
    return env


def expressions(kind, text, result):
    for line in map(str.strip, text.strip().splitlines()):

        def run(mx, line=line):
            with mx.name.NameManager(), mx.AttrScope():
                return result(eval(line, environment(mx)))

        case(run, name=f"{kind} {line}")


# Operators with numbers and symbols: the node, its name and its attributes.
expressions(
    "json",
    """
    a + b
    a - b
    a * b
    a / b
    a % b
    a ** b
    a == b
    a != b
    a > b
    a >= b
    a < b
    a <= b
    a + 1
    1 + a
    a - 1.5
    1 - a
    a * 2
    2 * a
    a / 3
    2 / a
    a % 2
    2 % a
    a ** 2
    2 ** a
    a == 1
    a != 1
    a > 1
    1 < a
    1 >= a
    a + 1e-10
    a * 1e30
    -a
    abs(a)
    (a + b) * (a + b)
    s.maximum(a, b)
    s.maximum(a, 1)
    s.maximum(1, a)
    s.minimum(a, 2.5)
    s.power(a, 2)
    s.power(2, a)
    s.pow(a, b)
    s.hypot(a, b)
    s.hypot(2, a)
    s.zeros((2, 3))
    s.zeros(3, dtype='int32')
    s.zeros((0, 8), name='begin')
    s.ones((2,))
    s.full((2, 3), 2.5, dtype='float64')
    s.arange(5)
    s.arange(1, 5, 2, repeat=2)
    s.arange(0, None, infer_range=True)
    s.linspace(0, 1, 5)
    s.eye(3)
    s.eye(3, 4, 1)
    s.histogram(a, bins=5, range=(0, 1))
    s.split_v2(a, 2)
    s.split_v2(a, (1, 3), axis=1)
    s.random.uniform(0, 1, shape=(2,))
    s.random.uniform(a, b, shape=(2,))
    s.random.normal(shape=(2, 3))
    s.random.normal(a, b)
    s.random.randint(0, 5, shape=(2,))
    s.random.poisson(2, shape=3)
    s.random.exponential(2)
    s.random.gamma()
    s.random.multinomial(a)
    s.random.shuffle(a)
    s.random.negative_binomial()
    s.random.generalized_negative_binomial()
    s.random.randn(2, 3)
    s.random.normal_like(a)
    a.astype('float16')
    a.reshape((2, 3))
    a.reshape(shape=(-1, 0))
    a.sum()
    a.sum(axis=(0, 1), keepdims=True)
    a.mean(1)
    a.flatten()
    a.expand_dims(1)
    a.squeeze()
    a.diag()
    a.split_v2(2)
    a.slice_axis(0, 1, 2)
    a.broadcast_like(b)
    a.split(num_outputs=2)
    a.transpose((1, 0))
    a.clip(0, 1)
    a.topk(k=2, ret_typ='both')
    a.one_hot(3)
    a.pad(mode='constant', pad_width=(0, 0, 0, 0, 1, 1, 1, 1))
    a.swapaxes(0, 1)
    a.tile((2, 2))
    a.relu()
    """,
    lambda symbol: symbol.tojson(),
)

# Layers: the variables that they make, parameters as text, attributes.
expressions(
    "layer",
    """
    s.FullyConnected(data, num_hidden=3)
    s.FullyConnected(data, num_hidden='3', flatten=False, name='fc')
    s.FullyConnected(data=data, weight=w, num_hidden=3, no_bias=True, name='fc')
    s.FullyConnected(data, w, None, 3)
    s.FullyConnected(num_hidden=3, name='fc')
    s.FullyConnected(num_hidden=3)
    s.FullyConnected(data, num_hidden=3, attr={'__note__': 'x', 'lr_mult': '2'}, name='fc')
    s.FullyConnected(data, num_hidden=3, lr_mult=2, __mark__='y', name='fc')
    s.Convolution(data, kernel=[3, 3], num_filter=8, no_bias=True, pad=(1, 1), name='c')
    s.Convolution(data, kernel=(3, 3), num_filter=8, layout=None)
    s.Deconvolution(data, kernel=(2, 2), num_filter=8, name='d')
    s.BatchNorm(data, fix_gamma=False, eps=1e-3)
    s.BatchNorm(data, moving_mean=w, name='bn')
    s.BatchNorm(s.BatchNorm(data, moving_mean=w, name='b1'), moving_mean=w, name='b2')
    s.BatchNorm(data, output_mean_var=True)
    s.BatchNorm_v1(data)
    s.contrib.SyncBatchNorm(data, key='k')
    s.InstanceNorm(data)
    s.LayerNorm(data, axis=1)
    s.GroupNorm(data, num_groups=2)
    s.LeakyReLU(data, act_type='prelu')
    s.LeakyReLU(data, w, act_type='prelu')
    s.LeakyReLU(data, act_type='elu', slope=0.5)
    s.Activation(data, act_type='relu')
    s.Activation(data, 'tanh')
    s.Pooling(data, kernel=(2, 2), stride=(2, 2), pool_type='max')
    s.Pooling(data, global_pool=True, kernel=(7, 7), pool_type='avg')
    s.Dropout(data, p=0.3)
    s.Embedding(data, input_dim=10, output_dim=4)
    s.RNN(data, state_size=4, num_layers=1, mode='lstm', name='r')
    s.RNN(data, state_size=4, num_layers=2, mode='gru', state_outputs=True, name='r')
    s.RNN(data, a, b, c, state_size=4, num_layers=1, mode='lstm')
    s.SoftmaxOutput(data, name='softmax')
    s.SoftmaxOutput(data, w, use_ignore=True, ignore_label=-1)
    s.Softmax(data)
    s.LinearRegressionOutput(data)
    s.MakeLoss(data, grad_scale=2)
    s.make_loss(data)
    s.BlockGrad(data)
    s.stop_gradient(data)
    s.identity(data)
    s.Concat(a, b, dim=1)
    s.concat(a, b)
    s.concat(*s.split(a, num_outputs=3))
    s.concat(num_args=2, name='cc')
    s.concat(arg0=a, arg1=b, num_args=2)
    s.add_n(a, b, a)
    s.ElementWiseSum(a, b)
    s.stack(a, b, axis=1)
    s.UpSampling(data, scale=2, sample_type='nearest')
    s.Crop(a, b)
    s.Crop(a, h_w=(2, 2), num_args=1)
    s.split(data, num_outputs=2, axis=1)[0]
    s.SliceChannel(data, num_outputs=2, squeeze_axis=True)
    s.Flatten(data)
    s.Reshape(data, shape=(0, -1))
    s.SwapAxis(data, 0, 2)
    s.transpose(data, axes=(1, 0))
    s.sum(data, axis=None)
    s.cast(data, dtype='float16')
    s.Cast(data, dtype='int32')
    s.clip(data, 0, 1)
    s.dot(a, b, transpose_b=True)
    s.batch_dot(a, b)
    s.linalg.gemm2(a, b)
    s.linalg_gemm2(a, b, alpha=2)
    s.linalg.potrf(a)
    s.contrib.box_nms(data, overlap_thresh=0.5)
    s.contrib.MultiBoxPrior(data, sizes=(0.5, 0.25), ratios=(1, 2))
    s.image.normalize(data, mean=(1, 2, 3), std=(1, 1, 1))
    s.SequenceMask(data, use_sequence_length=True, name='m')
    s.CTCLoss(data, use_label_lengths=True, name='ctc')
    s.broadcast_plus(a, b)
    s.where(a, b, c)
    s.smooth_l1(a, scalar=1.0)
    s.L2Normalization(a, mode='channel')
    s.LRN(a, nsize=5)
    s.SpatialTransformer(a, b, transform_type='affine', sampler_type='bilinear')
    s._internal._plus(a, b)
    s._internal._mul_scalar(a, scalar=3)
    s.op.FullyConnected(data, num_hidden=2)
    s.Variable('v', shape=(2, 0), dtype='float64', lr_mult=2, wd_mult=3.5, stype='csr')
    s.var('v', init='ones', attr={'k': 'v'}, __m__='4')
    s.var('v', shape=[3, 4], dtype='int32')
    s.Group([a, s.FullyConnected(a, num_hidden=2)])
    s.FullyConnected(s.Activation(a, act_type='relu', name='act'), num_hidden=3, name='f')(a=b)
    s.exp(a, name='e')(a=s.exp(b, name='i'), name='new')
    """,
    lambda symbol: symbol.tojson(),
)


@case
def prefixes(mx):
    s = mx.sym
    with mx.name.NameManager(), mx.name.Prefix("p_"):
        x = s.Variable("x")
        return [
            s.FullyConnected(x, num_hidden=2, name="f").tojson(),
            s.FullyConnected(x, num_hidden=2).tojson(),
            (-x).name,
            s.FullyConnected(num_hidden=2).list_arguments(),
        ]


@case
def own_name_managers(mx):
    class Loud(mx.name.NameManager):
        def get(self, name, hint):
            return (name or hint).upper()

    with Loud():
        x = mx.sym.Variable("x")
        return [mx.sym.exp(x).name, mx.sym.exp(x, name="y").name, (x + 1).name]


@case
def names_go_on_counting_and_each_hint_by_itself(mx):
    with mx.name.NameManager():
        x = mx.sym.Variable("x")
        made = [mx.sym.Convolution(x, kernel=(1, 1), num_filter=1) for _ in range(3)]
        made += [mx.sym.relu(x), mx.sym.relu(x), mx.sym.Activation(x, act_type="relu")]
        return [symbol.name for symbol in made]


@case
def attribute_scopes(mx):
    s = mx.sym
    with mx.name.NameManager(), mx.AttrScope(ctx_group="dev1", __mark__="3"):
        x = s.Variable("x")
        inner = []
        with mx.AttrScope(wd_mult="4", lr_mult="5"):
            inner = [s.FullyConnected(x, num_hidden=2).tojson(), s.Variable("v").tojson()]
        return [*inner, (x + 1).tojson(), s.Variable("w", lr_mult=7).tojson()]


@case
def attributes_set_later(mx):
    s = mx.sym
    with mx.name.NameManager():
        v = s.Variable("v")
        f = s.FullyConnected(v, num_hidden=2, name="f")
        v._set_attr(__lr_mult__="9", foo="1")
        f._set_attr(wd_mult="3")
        made = [f.tojson(), v.attr("lr_mult"), v.list_attr(), f.attr_dict(), f.attr("wd_mult")]
        f._set_attr(num_hidden="30")
        copied = f.__copy__()
        copied._set_attr(__k__="2")
        return [
            *made,
            f.infer_shape(v=(4, 5)),
            f.attr("__k__"),
            s.Group([v, f]).attr("foo"),
            attempt(s.Group([v, f])._set_attr, a="3"),
            attempt(f._set_attr, a=3),
        ]


@case
def composition_in_place(mx):
    s = mx.sym
    net = s.FullyConnected(s.exp(s.Variable("x"), name="e"), num_hidden=3, name="f")
    other = net(x=s.Variable("d"))
    other._compose(f_bias=s.Variable("q"))
    return [net.list_arguments(), other.list_arguments(), other.list_outputs(), other.tojson()]


@case
def outputs_by_number_and_name(mx):
    s = mx.sym
    with mx.name.NameManager():
        x = s.Variable("x")
        parts = s.split(x, num_outputs=3, name="parts")
        net = s.Group([parts, s.FullyConnected(parts[1], num_hidden=2, name="fc")])
        inside = net.get_internals()
        return [
            net.list_outputs(),
            [part.list_outputs() for part in parts],
            net[1:3].list_outputs(),
            net["parts_output2"].name,
            inside.list_outputs(),
            inside["fc_output"].list_arguments(),
            net.get_children().list_outputs(),
            x.get_children(),
            len(net),
            attempt(lambda: net[9]),
            attempt(lambda: net["fc"]),
            repr(net),
            repr(x),
        ]


# What is refused, and with which class of error.
expressions(
    "refused",
    """
    attempt(lambda: s.FullyConnected(data))
    attempt(lambda: s.FullyConnected(data, num_hidden='many'))
    attempt(lambda: s.FullyConnected(3, num_hidden=3))
    attempt(lambda: s.FullyConnected(data, data=w, num_hidden=3))
    attempt(lambda: s.FullyConnected(data, num_hidden=3, bogus=w))
    attempt(lambda: s.FullyConnected(data, num_hidden=3, bogus=4))
    attempt(lambda: s.FullyConnected(data, num_hidden=3, weight_lr_mult=4))
    attempt(lambda: s.Concat(s.Group([data, w])))
    attempt(lambda: s.exp(s.split(data, num_outputs=2)))
    attempt(lambda: s.concat())
    attempt(lambda: s.add_n(a, b, c, num_args=2))
    attempt(lambda: s.BatchNorm(data, moving_mean=a + 1))
    attempt(lambda: s.exp(a)(bogus=b))
    attempt(lambda: s.exp(a)(b))
    attempt(lambda: s.exp(a)(b, a=b))
    attempt(lambda: s.exp(a)(a=3))
    attempt(lambda: s.Variable(3))
    attempt(lambda: s.Variable('v', attr={'x': 1}))
    attempt(lambda: s.Variable('v', weird='x'))
    attempt(lambda: s.Group([data, 3]))
    attempt(lambda: a + None)
    attempt(lambda: a == None)
    attempt(lambda: a + 'x')
    attempt(lambda: bool(a))
    attempt(lambda: hash(a))
    attempt(lambda: a.__iadd__(1))
    attempt(lambda: s.maximum(a, 'x'))
    attempt(lambda: s.random.uniform('a'))
    attempt(lambda: a.shape)
    attempt(lambda: a.asnumpy())
    s.power(2.5, 2)
    s.minimum(3, 2)
    """,
    lambda value: value,
)
