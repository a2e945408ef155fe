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
        """Raises an MXNetError: there are no servers."""
        raise MXNetError(
            "KVStoreServer: mxtape has no servers: the processes of 'dist_sync' share parameters "
            "among themselves; start them with mpirun"
        )
