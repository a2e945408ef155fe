"""Layers that normalize to mean 0 and deviation 1."""

from typing import Any

import numpy as np

from ..block import HybridBlock

__all__ = ["BatchNorm", "BatchNormReLU", "GroupNorm", "InstanceNorm", "LayerNorm"]


class _Norm(HybridBlock):
    """A layer with `gamma` and `beta`; `scale` and `center` say whether they are learnt."""

    _kwargs: dict[str, Any]  # the settings, which __repr__ shows
    # Whether parameters that are not learnt count as states, which have no gradient at all.
    _fixed_are_states = False

    def _add(self, name, size, init, learnt=True):
        return self.params.get(
            name,
            grad_req="write" if learnt else "null",
            shape=(size,),
            init=init,
            allow_deferred_init=True,
            differentiable=learnt or not self._fixed_are_states,
        )

    def _add_affine(self, size, scale, center, gamma_initializer, beta_initializer):
        self.gamma = self._add("gamma", size, gamma_initializer, scale)
        self.beta = self._add("beta", size, beta_initializer, center)

    def _described(self, **more):
        settings = {**self._kwargs, **more}
        text = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        return f"{type(self).__name__}({text})"


class _BatchNorm(_Norm):
    """What BatchNorm and BatchNormReLU have in common; `fuse_relu` tells them apart."""

    _fixed_are_states = True

    def __init__(
        self,
        axis=1,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        use_global_stats=False,
        fuse_relu=False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        running_mean_initializer="zeros",
        running_variance_initializer="ones",
        in_channels=0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self._kwargs = {
            "axis": axis,
            "eps": epsilon,
            "momentum": momentum,
            "fix_gamma": not scale,
            "use_global_stats": use_global_stats,
        }
        self.fuse_relu = fuse_relu
        if in_channels != 0:
            self.in_channels = in_channels
        self._add_affine(in_channels, scale, center, gamma_initializer, beta_initializer)
        self.running_mean = self._add("running_mean", in_channels, running_mean_initializer, False)
        self.running_var = self._add(
            "running_var", in_channels, running_variance_initializer, False
        )

    def cast(self, dtype):
        """Converts the parameters; to float32 where narrower types are asked for.

        The operator normalizes float16 and bfloat16 with float32 statistics.
        """
        super().cast("float32" if _is_narrow(dtype) else dtype)

    def __repr__(self):
        return self._described(in_channels=self.gamma.shape[0] or None)

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        normalize = F.contrib.BatchNormWithReLU if self.fuse_relu else F.BatchNorm
        return normalize(x, gamma, beta, running_mean, running_var, name="fwd", **self._kwargs)


def _is_narrow(dtype):
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    return name in ("float16", "bfloat16")


class BatchNorm(_BatchNorm):
    """Normalizes each channel over the batch and the other axes.

    ``gamma * (x - mean) / sqrt(var + epsilon) + beta``. In train mode the mean and the variance are
    the batch's, and the running ones move towards them. In predict mode they are the running ones.

    Ioffe and Szegedy, Batch Normalization, 2015.

    Parameters
    ----------
    axis : int, default 1
        The axis of the channels.
    momentum : float, default 0.9
        What a running value keeps of itself in a step.
    epsilon : float, default 1e-5
    center, scale : bool, default True
        Whether `beta` and `gamma` are learnt; else they stay 0 and 1.
    use_global_stats : bool, default False
        Whether the running values are used in train mode too.
    beta_initializer, gamma_initializer : Initializer or str, default 'zeros', 'ones'
    running_mean_initializer, running_variance_initializer : default 'zeros', 'ones'
    in_channels : int, default 0
        0: the first call tells.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.BatchNorm()
    >>> layer.initialize()
    >>> with mx.autograd.record():
    ...     y = layer(mx.nd.array([[1], [3]]))
    >>> y.asnumpy().round(3).tolist(), layer.running_mean.data().asnumpy().round(3).tolist()
    ([[-1.0], [1.0]], [0.20000000298023224])
    """

    def __init__(
        self,
        axis=1,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        use_global_stats=False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        running_mean_initializer="zeros",
        running_variance_initializer="ones",
        in_channels=0,
        **kwargs,
    ) -> None:
        initializers = (
            beta_initializer,
            gamma_initializer,
            running_mean_initializer,
            running_variance_initializer,
        )
        settings = (axis, momentum, epsilon, center, scale, use_global_stats)
        super().__init__(*settings, False, *initializers, in_channels, **kwargs)


class BatchNormReLU(_BatchNorm):
    """:class:`BatchNorm` and relu in one; the parameters are the same.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.BatchNormReLU()
    >>> layer.initialize()
    >>> with mx.autograd.record():
    ...     y = layer(mx.nd.array([[1], [3]]))
    >>> y.asnumpy().round(3).tolist()
    [[0.0], [1.0]]
    """

    def __init__(
        self,
        axis=1,
        momentum=0.9,
        epsilon=1e-5,
        center=True,
        scale=True,
        use_global_stats=False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        running_mean_initializer="zeros",
        running_variance_initializer="ones",
        in_channels=0,
        **kwargs,
    ) -> None:
        initializers = (
            beta_initializer,
            gamma_initializer,
            running_mean_initializer,
            running_variance_initializer,
        )
        settings = (axis, momentum, epsilon, center, scale, use_global_stats)
        super().__init__(*settings, True, *initializers, in_channels, **kwargs)


class InstanceNorm(_Norm):
    """Normalizes each channel of each sample over the other axes.

    Ulyanov et al., Instance Normalization, 2016.

    Parameters
    ----------
    axis : int, default 1
        The axis of the channels, not that of the batch, which is 0.
    epsilon : float, default 1e-5
    center : bool, default True
        Whether `beta` is learnt; else it stays 0.
    scale : bool, default False
        Whether `gamma` is learnt; else it stays 1.
    beta_initializer, gamma_initializer : Initializer or str, default 'zeros', 'ones'
    in_channels : int, default 0
        0: the first call tells.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.InstanceNorm()
    >>> layer.initialize()
    >>> layer(mx.nd.array([[[1, 3], [5, 9]]])).asnumpy().round(3).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """

    def __init__(
        self,
        axis=1,
        epsilon=1e-5,
        center=True,
        scale=False,
        beta_initializer="zeros",
        gamma_initializer="ones",
        in_channels=0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self._kwargs = {"eps": epsilon, "axis": axis, "center": center, "scale": scale}
        self._axis = axis
        self._epsilon = epsilon
        self._add_affine(in_channels, scale, center, gamma_initializer, beta_initializer)

    def __repr__(self):
        return self._described(in_channels=self.gamma.shape[0])

    def hybrid_forward(self, F, x, gamma, beta):
        if self._axis == 1:
            return F.InstanceNorm(x, gamma, beta, eps=self._epsilon, name="fwd")
        x = F.swapaxes(x, dim1=1, dim2=self._axis)
        y = F.InstanceNorm(x, gamma, beta, eps=self._epsilon, name="fwd")
        return F.swapaxes(y, dim1=1, dim2=self._axis)


class LayerNorm(_Norm):
    """Normalizes along one axis.

    Ba et al., Layer Normalization, 2016.

    Parameters
    ----------
    axis : int, default -1
    epsilon : float, default 1e-5
    center, scale : bool, default True
        Whether `beta` and `gamma` are learnt; else they stay 0 and 1.
    beta_initializer, gamma_initializer : Initializer or str, default 'zeros', 'ones'
    in_channels : int, default 0
        The size of the axis. 0: the first call tells.

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.LayerNorm()
    >>> layer.initialize()
    >>> layer(mx.nd.array([[1, 3], [5, 9]])).asnumpy().round(3).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        axis=-1,
        epsilon=1e-5,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        in_channels=0,
        prefix=None,
        params=None,
    ) -> None:
        super().__init__(prefix=prefix, params=params)
        self._kwargs = {"eps": epsilon, "axis": axis, "center": center, "scale": scale}
        self._axis, self._epsilon = axis, epsilon
        self._center, self._scale = center, scale
        self._add_affine(in_channels, scale, center, gamma_initializer, beta_initializer)

    def __repr__(self):
        return self._described(in_channels=self.gamma.shape[0])

    def hybrid_forward(self, F, data, gamma, beta):
        return F.LayerNorm(data, gamma=gamma, beta=beta, axis=self._axis, eps=self._epsilon)


class GroupNorm(_Norm):
    """Normalizes groups of channels of each sample.

    The input is ``(N, C, ...)``. `gamma` and `beta` have one element for each group.

    Wu and He, Group Normalization, 2018.

    Parameters
    ----------
    num_groups : int, default 1
        Divides the number of channels.
    epsilon : float, default 1e-5
    center, scale : bool, default True
        Whether `beta` and `gamma` are learnt; else they stay 0 and 1.
    beta_initializer, gamma_initializer : Initializer or str, default 'zeros', 'ones'

    Examples
    --------
    >>> import mxtape as mx
    >>> layer = mx.gluon.nn.GroupNorm(num_groups=2)
    >>> layer.initialize()
    >>> layer(mx.nd.array([[[1], [3], [5], [9]]])).asnumpy().round(3).tolist()
    [[[-1.0], [1.0], [-1.0], [1.0]]]
    """

    def __init__(
        self,
        num_groups=1,
        epsilon=1e-5,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        prefix=None,
        params=None,
    ) -> None:
        super().__init__(prefix=prefix, params=params)
        self._kwargs = {
            "eps": epsilon,
            "num_groups": num_groups,
            "center": center,
            "scale": scale,
        }
        self._num_groups, self._epsilon = num_groups, epsilon
        self._center, self._scale = center, scale
        self._add_affine(num_groups, scale, center, gamma_initializer, beta_initializer)

    def __repr__(self):
        return self._described()

    def hybrid_forward(self, F, data, gamma, beta):
        groups, epsilon = self._num_groups, self._epsilon
        return F.GroupNorm(data, gamma=gamma, beta=beta, num_groups=groups, eps=epsilon)
