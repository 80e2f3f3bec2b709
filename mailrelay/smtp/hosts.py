"""Groups addresses for counting: each of IPv4, a network of IPv6."""

from ipaddress import ip_network

#: Bits that all hosts of an IPv6 network share (RFC 4291 section 2.5.4); the rest is a host's own to choose,
#: another one for each connection if it likes (RFC 8981).
NETWORK_BITS = 64


def host_of(address: str) -> str:
    """Give what `address` is counted by, so that a host counts once, whatever addresses it takes."""
    return str(ip_network((address, NETWORK_BITS), strict=False)) if ":" in address else address
