"""Gradients in two bits: what a store of type 'device' or 'dist' makes of what is pushed."""

from ..base import MXNetError

__all__: list = []


class TwoBit:
    """Each element becomes `threshold`, its negative or 0; the rest is added to the next push.

    Parameters
    ----------
    threshold : float
    """

    def __init__(self, threshold):
        self.threshold = threshold
        self._rest: dict = {}

    def __call__(self, key, arrays):
        """What stands for the arrays of one push, each with a rest of its own."""
        return [self.codes((key, i), array) * self.threshold for i, array in enumerate(arrays)]

    def codes(self, place, array):
        """What stands for an array, in thresholds: -1, 0 or 1, in the array's dtype."""
        rest = self._rest.get(place)
        whole = array if rest is None else array + rest
        codes = (whole >= self.threshold) - (whole <= -self.threshold)
        self._rest[place] = whole - codes * self.threshold
        return codes


def from_params(params):
    """The compression that a dict as for ``set_gradient_compression`` describes."""
    if not isinstance(params, dict):
        raise AssertionError(f"a dict with the key 'type' is needed; got {type(params).__name__}")
    kind = params.get("type")
    if kind != "2bit":
        raise MXNetError(f"set_gradient_compression: the type is '2bit'; got {kind!r}")
    threshold = float(params.get("threshold", 0.5))
    if not threshold > 0:
        raise MXNetError(f"set_gradient_compression: threshold is more than 0; got {threshold}")
    return TwoBit(threshold)
