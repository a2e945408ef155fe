"""What names from NumPy, PyTorch and newer MXNet are called here, for messages.

It is read when a program has made a mistake, and never otherwise.
"""

# Names of attributes are where the classes are: _missing.elsewhere.

# By module, without "mxtape.": a name elsewhere, and what there is here.
_ARRAYS = """
    abs_: nd.abs(x)
    all: x.min() of a comparison, as in (x == y).min()
    allclose: mx.test_utils.almost_equal(x, y), or nd.contrib.allclose(x, y)
    any: x.max() of a comparison, as in (x == y).max()
    asarray: nd.array(values)
    asnumpy: x.asnumpy()
    bmm: nd.batch_dot(x, y)
    cat: nd.concat(x, y, dim=0)
    chunk: nd.split(x, num_outputs=2, axis=0)
    clamp: nd.clip(x, low, high)
    conv2d: nd.Convolution, or the layer gluon.nn.Conv2D
    copy: x.copy()
    cross_entropy: gluon.loss.SoftmaxCrossEntropyLoss()(scores, labels)
    einsum: nd.dot, nd.batch_dot and nd.transpose
    float32: "float32", as in x.astype("float32")
    float64: "float64", as in x.astype("float64")
    from_list: nd.array(values)
    full_like: nd.full(x.shape, value)
    gelu: nd.LeakyReLU(x, act_type="gelu")
    int32: "int32", as in x.astype("int32")
    int64: "int64", as in x.astype("int64")
    isfinite: nd.contrib.isfinite(x)
    isinf: nd.contrib.isinf(x)
    isnan: nd.contrib.isnan(x)
    leaky_relu: nd.LeakyReLU(x, slope=0.01)
    linear: nd.FullyConnected(x, weight, bias, num_hidden=n)
    masked_fill: nd.where(mask, value, x)
    matmul: nd.dot(x, y), or nd.batch_dot(x, y) for batches of matrices
    max_pool2d: nd.Pooling, or the layer gluon.nn.MaxPool2D
    mm: nd.dot(x, y)
    no_grad: autograd.pause()
    outer: nd.dot(x.reshape((-1, 1)), y.reshape((1, -1)))
    permute: nd.transpose(x, axes=(1, 0))
    pow: x ** y
    rand: nd.random.uniform(shape=(2, 3))
    randint: nd.random.randint(low, high, shape=(2, 3))
    randn: nd.random.randn(2, 3)
    std: nd.moments(x, axes=(0,)), which gives mean and variance
    tensor: nd.array(values)
    Tensor: nd.NDArray, which nd.array(values) makes
    tensordot: nd.dot, after x.reshape and nd.transpose
    unsqueeze: nd.expand_dims(x, axis=0)
    var: nd.moments(x, axes=(0,)), which gives mean and variance
    vstack: nd.concat(x, y, dim=0)
    hstack: nd.concat(x, y, dim=1)
    view: x.reshape(shape)
"""
_FUNCTIONS = {
    "ndarray": _ARRAYS,
    "ndarray.linalg": """
        cholesky: nd.linalg.potrf(x)
        eigh: nd.linalg.syevd(x)
        inv: nd.linalg.inverse(x)
        matmul: nd.linalg.gemm2(x, y)
        norm: nd.norm(x)
        qr: nd.linalg.gelqf(x), which gives L and Q
        solve: nd.linalg.potrf and nd.linalg.trsm, or nd.linalg.inverse
    """,
    "random": """
        choice: nd.sample_multinomial, or numpy.random.choice
        manual_seed: mx.random.seed(0)
        permutation: nd.random.shuffle(nd.arange(n))
        rand: nd.random.uniform(shape=(2, 3))
    """,
    "autograd": """
        enable_grad: autograd.record()
        GradientTape: autograd.record(), and x.attach_grad() before
        is_grad_enabled: autograd.is_recording()
        no_grad: autograd.pause()
        inference_mode: autograd.pause()
        set_grad_enabled: autograd.set_recording(True)
        Variable: x.attach_grad() makes an array a variable
        variable: x.attach_grad() makes an array a variable
    """,
    "gluon.nn": """
        BatchNorm1d: nn.BatchNorm()
        BatchNorm2d: nn.BatchNorm()
        Conv1d: nn.Conv1D(channels, kernel_size)
        Conv2d: nn.Conv2D(channels, kernel_size)
        Conv3d: nn.Conv3D(channels, kernel_size)
        ConvTranspose2d: nn.Conv2DTranspose(channels, kernel_size)
        CrossEntropyLoss: gluon.loss.SoftmaxCrossEntropyLoss()
        GRU: gluon.rnn.GRU
        Linear: nn.Dense(units), which finds the size of its input itself
        LSTM: gluon.rnn.LSTM
        MaxPool2d: nn.MaxPool2D(pool_size)
        AvgPool2d: nn.AvgPool2D(pool_size)
        Module: gluon.Block, or gluon.HybridBlock
        ModuleList: nn.Sequential()
        MSELoss: gluon.loss.L2Loss(), which is half of it
        Parameter: gluon.Parameter, or self.params.get("name", shape=...) in a block
        ReLU: nn.Activation("relu")
        RNN: gluon.rnn.RNN
        Sigmoid: nn.Activation("sigmoid")
        Softmax: nd.softmax(x), in forward
        Tanh: nn.Activation("tanh")
    """,
    "gluon.loss": """
        BCELoss: SigmoidBCELoss(from_sigmoid=True)
        BCEWithLogitsLoss: SigmoidBCELoss()
        CrossEntropyLoss: SoftmaxCrossEntropyLoss()
        MSELoss: L2Loss(), which is half of it
        NLLLoss: SoftmaxCrossEntropyLoss(from_logits=True)
        SmoothL1Loss: HuberLoss()
    """,
    "gluon": """
        Module: gluon.Block, or gluon.HybridBlock
        optim: gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
        Sequential: gluon.nn.Sequential()
    """,
    "": """
        array: mx.nd.array(values)
        device: mx.cpu()
        no_grad: mx.autograd.pause()
        ones: mx.nd.ones(shape)
        optim: mx.gluon.Trainer, or mx.optimizer
        tensor: mx.nd.array(values)
        zeros: mx.nd.zeros(shape)
    """,
}

# Arguments elsewhere, and those that they are here: the first that a function has.
_ARGUMENTS = {
    "axes": "axis",
    "axis": "dim axes",
    "act": "activation",
    "act_type": "activation",
    "bias": "no_bias use_bias",
    "depth": "num_outputs",
    "device": "ctx",
    "dilation": "dilate",
    "dim": "axis",
    "dim0": "dim1 axis",
    "dims": "axes axis",
    "eps": "epsilon",
    "high": "high a_max",
    "in_features": "in_units",
    "input": "data lhs",
    "keepdim": "keepdims",
    "kernel": "kernel_size",
    "kernel_size": "kernel",
    "loc": "loc mu low",
    "lr": "learning_rate",
    "low": "low a_min",
    "max": "a_max",
    "mean": "loc mu",
    "min": "a_min",
    "momentum_decay": "momentum",
    "n": "num_args",
    "num_classes": "depth",
    "num_filter": "channels",
    "num_hidden": "units",
    "num_embeddings": "input_dim",
    "embedding_dim": "output_dim",
    "out_channels": "num_filter channels",
    "out_features": "num_hidden units",
    "p": "ord p rate",
    "padding": "pad padding",
    "sections": "num_outputs",
    "size": "shape",
    "std": "scale sigma",
    "weight_decay": "wd",
}
_SENTENCES = {
    "requires_grad": "; x.attach_grad() makes an array a variable",
    "inplace": "; out=x writes the result into x",
    "train": "; autograd.train_mode() and predict_mode() set the mode",
    "training": "; autograd.train_mode() and predict_mode() set the mode",
}


def _table(text):
    return dict(line.strip().split(": ", 1) for line in text.strip().splitlines())


def function(module, name):
    """What there is instead of a function elsewhere, as the end of a message, or nothing.

    >>> from mxtape._habits import function
    >>> function("ndarray", "cat")
    '; here: nd.concat(x, y, dim=0)'
    """
    module = {"ndarray.random": "random", "symbol": "ndarray"}.get(module, module)
    here = _table(_FUNCTIONS[module]).get(name) if module in _FUNCTIONS else None
    return f"; here: {here}" if here else ""


def argument(name, known):
    """The argument among `known` that was probably meant, as the end of a message, or nothing.

    >>> from mxtape._habits import argument
    >>> argument("dim", ["data", "axis"])
    "; did you mean 'axis'?"
    """
    if name in _SENTENCES:
        return _SENTENCES[name]
    for here in _ARGUMENTS.get(name, "").split():
        if here in known:
            return f"; did you mean {here!r}?"
    return ""
