"""Where the page of `--web` is reached: its port, its addresses and the names it goes by."""

from __future__ import annotations

import errno
import ipaddress
import socket

from model.errors import InputError

LOCAL = "localhost"


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of a host, all on one port; any free one for 0.

    Raises InputError.
    """
    no_address = InputError(f"--web-host: this machine has no address {host!r}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise no_address from error
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(socket.create_server((address[0], port), family=family, backlog=64))
        except OSError as error:
            # A name may have addresses of IPv6, which not every machine has.
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            for opened in sockets:
                opened.close()
            raise _cannot_listen(error, host, port) from error
        port = sockets[0].getsockname()[1]
    if not sockets:
        raise no_address
    return sockets


def _cannot_listen(error: OSError, host: str, port: int) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError(f"Port {port} is in use.", "Choose another one with --web PORT.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return InputError(
            f"Port {port} needs the rights of an administrator.", "Choose one from 1024 to 65535."
        )
    return InputError(f"Port {port} of {host} cannot be opened: {error.strerror}.")


def is_loopback(address: str) -> bool:
    """Whether an address is one that only this machine itself reaches; of a name: no."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def shown_host(host: str) -> str:
    """A host as it stands in an address that can be opened."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 (compared, not opened)
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def is_own_name(name: str, host: str, is_open: bool) -> bool:
    """Whether a browser that asked for this name meant a server at `host`.

    A page from elsewhere can have its own name lead to this machine; the browser would then let it
    read here and press keys. An address, a name without a dot and one in .local is nobody's own.
    """
    if name == LOCAL or name.endswith(f".{LOCAL}") or is_loopback(name):
        return True
    if not is_open:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(".local") or name in (host, socket.getfqdn())
    return True
