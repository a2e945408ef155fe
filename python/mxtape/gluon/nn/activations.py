"""Activation layers: functions of each element."""

from ... import initializer
from ..block import HybridBlock

__all__ = ["ELU", "GELU", "SELU", "Activation", "LeakyReLU", "PReLU", "Swish"]


class Activation(HybridBlock):
    """An activation function by its name.

    Parameters
    ----------
    activation : {'relu', 'sigmoid', 'tanh', 'softrelu', 'softsign'}
        softrelu is ``log(1 + exp(x))``, softsign ``x / (1 + |x|)``. The layer is named by it.

    Examples
    --------
    >>> import mxtape as mx
    >>> relu = mx.gluon.nn.Activation("relu")
    >>> relu, relu(mx.nd.array([-1, 2])).asnumpy().tolist()
    (Activation(relu), [0.0, 2.0])
    """

    def __init__(self, activation, **kwargs) -> None:
        self._act_type = activation  # before the block asks for its alias
        super().__init__(**kwargs)

    def _alias(self):
        return self._act_type

    def __repr__(self):
        return f"{type(self).__name__}({self._act_type})"

    def hybrid_forward(self, F, x):
        return F.Activation(x, act_type=self._act_type, name="fwd")


class LeakyReLU(HybridBlock):
    """``x`` where it is positive, else ``alpha * x``.

    Parameters
    ----------
    alpha : float
        At least 0, else an AssertionError.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.LeakyReLU(0.25)(mx.nd.array([-1, 2])).asnumpy().tolist()
    [-0.25, 2.0]
    """

    def __init__(self, alpha, **kwargs) -> None:
        if alpha < 0:
            raise AssertionError(f"LeakyReLU: alpha must be at least 0; got {alpha}")
        super().__init__(**kwargs)
        self._alpha = alpha

    def __repr__(self):
        return f"{type(self).__name__}({self._alpha})"

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="leaky", slope=self._alpha, name="fwd")


class PReLU(HybridBlock):
    """:class:`LeakyReLU` whose `alpha` is a parameter.

    He et al., Delving Deep into Rectifiers, 2015.

    Parameters
    ----------
    alpha_initializer : Initializer, default Constant(0.25)
    in_channels : int, default 1
        1 for one `alpha`; or one for each channel, along axis 1.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.PReLU(in_channels=2)
    >>> layer.initialize()
    >>> layer(mx.nd.array([[-1, 2]])).asnumpy().tolist()
    [[-0.25, 2.0]]
    """

    def __init__(
        self,
        alpha_initializer=initializer.Constant(0.25),  # noqa: B008 (MXNet's default)
        in_channels=1,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha = self.params.get("alpha", shape=(in_channels,), init=alpha_initializer)

    def hybrid_forward(self, F, x, alpha):
        return F.LeakyReLU(x, gamma=alpha, act_type="prelu", name="fwd")


class ELU(HybridBlock):
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``.

    Clevert et al., Fast and Accurate Deep Network Learning by Exponential Linear Units, 2016.

    Parameters
    ----------
    alpha : float, default 1

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.ELU()(mx.nd.array([-50, 2])).asnumpy().tolist()
    [-1.0, 2.0]
    """

    def __init__(self, alpha=1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self._alpha = alpha

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="elu", slope=self._alpha)


class SELU(HybridBlock):
    """``1.0507 * x`` where it is positive, else ``1.7581 * (exp(x) - 1)``.

    Klambauer et al., Self-Normalizing Neural Networks, 2017.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.SELU()(mx.nd.array([-50, 1])).asnumpy().round(4).tolist()
    [-1.7581000328063965, 1.0506999492645264]
    """

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="selu", name="fwd")


class GELU(HybridBlock):
    """``x`` times the probability that a normal variable is below it.

    Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.GELU()(mx.nd.array([0, 1, 50])).asnumpy().round(2).tolist()
    [0.0, 0.8399999737739563, 50.0]
    """

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="gelu", name="fwd")


class Swish(HybridBlock):
    """``x * sigmoid(beta * x)``.

    Ramachandran et al., Searching for Activation Functions, 2017.

    Parameters
    ----------
    beta : float, default 1

    Examples
    --------
    >>> import mxtape as mx
    >>> mx.gluon.nn.Swish()(mx.nd.array([0, 50])).asnumpy().tolist()
    [0.0, 50.0]
    """

    def __init__(self, beta=1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self._beta = beta

    def hybrid_forward(self, F, x):
        return x * F.sigmoid(self._beta * x, name="fwd")
