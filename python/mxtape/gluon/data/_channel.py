"""Messages between two processes: each arrives whole or not at all."""

import array
import errno
import mmap
import os
import pickle
import socket

_LARGE = 32 * 1024  # bytes: larger messages travel in a file in memory
DESCRIPTORS = 100  # with one message
_ROOM = socket.CMSG_SPACE((DESCRIPTORS + 1) * array.array("i").itemsize)
_IN_FILE = b"\0"  # what is sent beside the file; no pickle begins so


def memory_file():
    """The descriptor of a new file in memory that has no name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("mxtape", os.MFD_CLOEXEC)
    # A Python that was built for an old system.
    return os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


class Channel:
    """One end of a pair of sockets. It never waits.

    Parameters
    ----------
    sock : socket
        Of type ``SOCK_SEQPACKET``.
    """

    def __init__(self, sock):
        self._socket = sock
        self._buffer = bytearray(_LARGE + 1024)

    def __reduce__(self):
        return Channel, (self._socket,)

    def fileno(self):
        return self._socket.fileno()

    def close(self):
        self._socket.close()

    def send(self, message, descriptors=()):
        """Sends an object that can be pickled, and descriptors, at most 100.

        Returns
        -------
        bool
            False when there was no room for it.
        """
        data = pickle.dumps(message, 5)
        if len(data) <= _LARGE:
            return self._send(data, descriptors)
        file = memory_file()
        try:
            with open(file, "wb", closefd=False) as stream:
                stream.write(data)
            return self._send(_IN_FILE, [*descriptors, file])
        finally:
            os.close(file)

    def _send(self, data, descriptors):
        ancillary = []
        if descriptors:
            numbers = array.array("i", descriptors)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)]
        try:
            self._socket.sendmsg([data], ancillary, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def receive(self):
        """The next message, None when there is none, and its descriptors, which the caller closes.

        Raises
        ------
        EOFError
            When the other end is closed.
        """
        flags = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
        try:
            size, ancillary, _, _ = self._socket.recvmsg_into([self._buffer], _ROOM, flags)
        except BlockingIOError:
            return None, []
        except ConnectionResetError:
            size, ancillary = 0, []
        if size == 0:
            raise EOFError("the other end is closed")
        numbers = array.array("i")
        for _, _, content in ancillary:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
        descriptors = list(numbers)
        data = memoryview(self._buffer)[:size]
        if data != _IN_FILE:
            return pickle.loads(data), descriptors
        if not descriptors:
            raise OSError(errno.EMFILE, "DataLoader: a message needs more open files")
        file = descriptors.pop()
        try:
            with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as content:
                return pickle.loads(content), descriptors
        finally:
            os.close(file)
