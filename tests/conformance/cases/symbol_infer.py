"""Symbol.infer_shape and infer_type: what follows from what, forward and backward."""

from harness import attempt, case


def lenet(s, data):
    net = s.Activation(s.Convolution(data, kernel=(5, 5), num_filter=4), act_type="tanh")
    net = s.Pooling(net, kernel=(2, 2), stride=(2, 2), pool_type="max")
    return s.SoftmaxOutput(s.FullyConnected(s.Flatten(net), num_hidden=10), name="softmax")


def cases(kind, text):
    for line in map(str.strip, text.strip().splitlines()):

        def run(mx, line=line):
            s = mx.sym
            env = {"mx": mx, "s": s, "attempt": attempt, "lenet": lenet}
            env.update({name: s.Variable(name) for name in "d w v".split()})
            with mx.name.NameManager():
                expression, _, given = line.partition(" |")
                symbol = eval(expression, env)
                return getattr(symbol, kind)(**eval(f"dict({given})"))

        case(run, name=f"{kind} {line}")


PARTIAL = """
    s.FullyConnected(d, num_hidden=3, name='f') | d=(0, 5)
    s.FullyConnected(d, num_hidden=3, name='f') |
    s.FullyConnected(d, num_hidden=3, name='f') | d=(2, 3, 4)
    s.FullyConnected(d, num_hidden=3, flatten=False, name='f') | d=(0, 0, 7)
    s.FullyConnected(d, num_hidden=3, name='f') + w | d=(2, 5)
    s.Convolution(d, kernel=(3, 3), num_filter=8) | d=(0, 3, 0, 0)
    s.Convolution(d, kernel=(3, 3), num_filter=8) | d=(2, 3, 9, 8)
    s.Convolution(d, kernel=(3,), num_filter=8, no_bias=True) | d=(2, 3, 9)
    s.Deconvolution(d, kernel=(3, 3), num_filter=2) | d=(2, 3, 4, 0)
    s.Pooling(d, kernel=(2, 2), stride=(2, 2), pool_type='max') | d=(0, 5, 6, 6)
    s.Pooling(d, global_pool=True, kernel=(1, 1), pool_type='avg') | d=(0, 5, 6, 6)
    s.BatchNorm(d) | d=(0, 5, 6, 6)
    s.LayerNorm(d) | d=(0, 5)
    s.InstanceNorm(d) | d=(2, 5, 6)
    s.LeakyReLU(d, act_type='prelu') | d=(2, 3, 4)
    s.Activation(d, act_type='relu') | d=(0, 5)
    s.Dropout(d) | d=(0, 5)
    s.Embedding(d, input_dim=3, output_dim=4) | d=(0, 5)
    s.SoftmaxOutput(d) | d=(0, 5)
    s.SoftmaxOutput(d) | d=(4, 5)
    s.SoftmaxOutput(d, multi_output=True) | d=(4, 5, 6)
    s.SoftmaxOutput(d, preserve_shape=True) | d=(4, 5, 6)
    s.LinearRegressionOutput(d) | d=(4, 5)
    s.LogisticRegressionOutput(d) | d=(4, 1)
    s.SVMOutput(d) | d=(4, 5)
    s.softmax(d) | d=(0, 5)
    s.RNN(d, mode='lstm', num_layers=2, state_size=4, state_outputs=True) | d=(5, 2, 3)
    s.RNN(d, mode='gru', num_layers=1, state_size=4, bidirectional=True) | d=(5, 2, 3)
    s.RNN(d, mode='lstm', num_layers=2, state_size=4) | d=(5, 0, 3)
    d + w | d=(3, 0), w=(0, 4)
    d + w | w=(3, 4)
    d * 2 + w | w=(3, 4)
    s.exp(d) - s.exp(w) | w=(3, 4)
    s.broadcast_add(d, w) | d=(2, 3)
    s.broadcast_add(d, w) | d=(2, 1), w=(1, 3)
    s.add_n(d, w, v) | d=(2, 5)
    s.Concat(d, w, dim=1) | d=(2, 3), w=(0, 4)
    s.Concat(d, w, dim=1) | d=(2, 3), w=(2, 4)
    s.split(d, num_outputs=2, axis=1) | d=(0, 4)
    s.split(d, num_outputs=2, axis=1, squeeze_axis=True) | d=(3, 2)
    s.transpose(d) | d=(0, 4)
    s.transpose(d, axes=(1, 0, 2)) | d=(2, 3, 4)
    s.swapaxes(d, dim1=0, dim2=1) | d=(0, 5)
    s.Flatten(d) | d=(2, 5, 6)
    s.Reshape(d, shape=(0, -1)) | d=(2, 3, 4)
    s.Reshape(d, shape=(-1, 5)) | d=(0, 5)
    s.Reshape(d, shape=(2, 5)) | d=(0, 5)
    s.Reshape(d, shape=(0, 5)) | d=(0, 5)
    s.expand_dims(d, axis=1) | d=(0, 4)
    s.slice_axis(d, axis=1, begin=0, end=2) | d=(0, 4)
    s.slice(d, begin=(0, 1), end=(2, 3)) | d=(4, 5)
    s.sum(d, axis=0) | d=(0, 4)
    s.sum(d, axis=1) | d=(0, 4)
    s.sum(d) | d=(0, 4)
    s.mean(d, axis=1, keepdims=True) | d=(3, 4)
    s.dot(d, w) | d=(2, 3)
    s.dot(d, w) | d=(2, 3), w=(3, 4)
    s.batch_dot(d, w) | d=(2, 3, 4), w=(2, 4, 5)
    s.where(d, w, v) | d=(2, 5), w=(2, 5)
    s.one_hot(d, depth=4) | d=(2, 5)
    s.take(d, w) | d=(5, 4), w=(2,)
    s.pick(d, w) | d=(5, 4), w=(5,)
    s.tile(d, reps=(2, 2)) | d=(2, 5)
    s.zeros((0, 3)) + w | w=(2, 3)
    s.zeros((0, 3)) |
    s.FullyConnected(s.zeros((0, 3)), num_hidden=2) + w | w=(4, 2)
    s.FullyConnected(d, num_hidden=4) + s.FullyConnected(s.zeros((0, 3)), num_hidden=4) | d=(2, 5)
    s.Variable('x', shape=(2, 3)) + d |
    s.L2Normalization(d) | d=(0, 5)
    s.LRN(d, nsize=3) | d=(2, 5, 6, 6)
    s.UpSampling(d, scale=2, sample_type='nearest') | d=(2, 5, 6, 6)
    s.BlockGrad(d) | d=(0, 3)
    s.Group([d + 1, w * 2]) | d=(2, 3)
    s.clip(d, 0, 1) | d=(0, 3)
    s.square(s.relu(s.negative(d))) + w | w=(2, 3)
"""
cases("infer_shape_partial", PARTIAL)
cases(
    "infer_shape",
    """
    s.FullyConnected(d, num_hidden=3, name='f') | d=(2, 5)
    s.FullyConnected(d, num_hidden=3, name='f') | d=(0, 5)
    s.FullyConnected(d, num_hidden=3, name='f') |
    s.FullyConnected(d, num_hidden=3, name='f') | d=(3, 4), f_weight=(3, 5)
    d + w | d=(3, 2), w=(3, 4)
    d + w | d=(3, 2), nope=(3, 4)
    d + w | d=5
    lenet(s, d) | d=(8, 1, 28, 28)
    s.BatchNorm(s.Convolution(d, kernel=(3, 3), num_filter=4, name='c'), name='b') | d=(2, 3, 8, 8)
    """,
)
cases(
    "infer_type_partial",
    """
    d + w | d='float64'
    s.FullyConnected(d, num_hidden=3) | d='float64'
    s.FullyConnected(d, num_hidden=3) |
    s.FullyConnected(d, num_hidden=3) + w | w='float64'
    s.BatchNorm(s.Convolution(d, kernel=(3, 3), num_filter=4)) | d='float16'
    s.BatchNorm(d) | d='float64'
    s.Embedding(d, input_dim=3, output_dim=4) | d='int32'
    s.SoftmaxOutput(d) | d='float16'
    s.cast(d, dtype='float16') |
    s.cast(d, dtype='float16') + w |
    s.argmax(d) | d='float64'
    s.one_hot(d, depth=3) | d='int32'
    s.zeros((2, 3)) |
    s.zeros((2, 3), dtype='int32') + w |
    s.dot(d, w) | d='float64'
    s.Concat(d, w) | w='float64'
    s.BlockGrad(d) | d='int32'
    s.Reshape(d, shape=(2, 3)) | d='float64'
    s.transpose(d) | d='int64'
    s.topk(d, ret_typ='both') | d='float64'
    s.shape_array(d) | d='float64'
    d > w | d='float64'
    d * 2 | d='int32'
    s.sum(d) | d='float64'
    s.RNN(d, mode='lstm', num_layers=1, state_size=2) | d='float64'
    s.Pooling(d, kernel=(2, 2), pool_type='max') | d='float64'
    s.LayerNorm(d) | d='float64'
    s.Variable('x', dtype='float64') + d |
    s.split(d, num_outputs=2) | d='float16'
    s.linalg.gemm2(d, w) | d='float64'
    """,
)
cases(
    "infer_type",
    """
    d + w | d='float64'
    d + w |
    d + w | d='float64', w='float32'
    s.FullyConnected(d, num_hidden=3) | d='float16'
    """,
)


@case
def shapes_of_numpy(mx):
    s = mx.sym
    x = s.Variable("x")
    with mx.util.np_shape(True):
        return [
            (x + s.zeros((0, 3))).infer_shape_partial(),
            s.exp(x).infer_shape(x=()),
            s.exp(x).infer_shape_partial(x=(-1, 0)),
            s.exp(x).infer_shape_partial(),
            s.Variable("q", shape=(-1, 2)).infer_shape_partial(),
        ]
