"""Which ports the processes of a container listen on, read from ``/proc/net/tcp`` of its network namespace.

Format: https://docs.kernel.org/networking/proc_net_tcp.html
"""

from __future__ import annotations

LISTENING = "0A"
LOOPBACK_4 = "7F"  # the last byte comes first, so 127.x ends in it
LOOPBACK_6 = "00000000000000000000000001000000"
MAPPED_LOOPBACK = "0000000000000000FFFF0000"


def listening(*tables: str) -> tuple[int, ...]:
    """Return the TCP ports that are listened on beyond the loopback, sorted; ``tables`` are tcp and tcp6."""
    found: set[int] = set()
    for table in tables:
        for row in table.splitlines():
            fields = row.split()
            if len(fields) < 4 or fields[3] != LISTENING or ":" not in fields[1]:
                continue
            address, _, port = fields[1].partition(":")
            if not is_loopback(address):
                found.add(int(port, 16))
    return tuple(sorted(found))


def is_loopback(address: str) -> bool:
    """Whether an address as the kernel writes it is 127.0.0.0/8 or ::1."""
    if len(address) == 8:
        return address.endswith(LOOPBACK_4)
    return address == LOOPBACK_6 or (address.startswith(MAPPED_LOOPBACK) and address.endswith(LOOPBACK_4))
