"""Messages between the processes of one FakeSlurm: plain values and file descriptors over Unix sockets.

Both sides run the same interpreter, therefore ``marshal``. A message is the length of its body, the number of its
descriptors, the body, and then the descriptors (SCM_RIGHTS). Imports next to nothing: slurmstepd and the commands on
PATH start with it.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real ones cost 10 ms to import
    import socket as _socket
    from typing import Any
else:
    import _socket

__all__ = ["receive", "send"]

FDS_PER_CHUNK = 100
"""File descriptors per sendmsg; Linux takes 253, others fewer."""

_HEADER = 8


def send(channel: _socket.socket, message: Any, fds: tuple[int, ...] = ()) -> None:
    """Send one message of plain values, and file descriptors, which stay the sender's as well."""
    body = marshal.dumps(message)
    channel.sendall(len(body).to_bytes(4, "little") + len(fds).to_bytes(4, "little") + body)
    for start in range(0, len(fds), FDS_PER_CHUNK):
        packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds[start : start + FDS_PER_CHUNK])
        channel.sendmsg([b"+"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])


def receive(channel: _socket.socket) -> tuple[Any, list[int]] | None:
    """The next message with its file descriptors (not inheritable), None when the other side is gone."""
    header = _receive_exactly(channel, _HEADER)
    if header is None:
        return None
    body = _receive_exactly(channel, int.from_bytes(header[:4], "little"))
    if body is None:
        return None
    fds: list[int] = []
    expected = int.from_bytes(header[4:], "little")
    while len(fds) < expected:
        data, ancillary, _, _ = channel.recvmsg(1, _socket.CMSG_SPACE(4 * FDS_PER_CHUNK))
        if not data:
            return None
        for _level, _kind, packed in ancillary:
            fds.extend(int.from_bytes(packed[i : i + 4], sys.byteorder) for i in range(0, len(packed) - 3, 4))
    for fd in fds:
        os.set_inheritable(fd, False)
    return marshal.loads(body), fds


def _receive_exactly(channel: _socket.socket, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        try:
            part = channel.recv(size)
        except ConnectionResetError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
