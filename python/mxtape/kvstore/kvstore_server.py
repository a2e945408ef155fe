"""The process that serves parameters to others, which is not supported."""

from ..base import MXNetError

__all__ = ["KVStoreServer"]


class KVStoreServer:
    """A process that serves a store's parameters to other machines.

    Parameters
    ----------
    kvstore : KVStore
    """

    def __init__(self, kvstore):
        self.kvstore = kvstore

    def run(self):
        """Raises an MXNetError: stores on several machines are not supported yet."""
        raise MXNetError(
            "KVStoreServer: training on several machines is not in mxtape yet; see "
            "docs/differences.md"
        )
