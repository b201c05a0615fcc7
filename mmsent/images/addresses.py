"""Which addresses a stranger's URL may lead to (pure)."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

WEB_PORTS = frozenset({80, 443})
_NATIVE_IPV6 = IPv6Network("2000::/3")  # all the global unicast space there is, RFC 4291 2.4

# IANA special-purpose address registries (RFC 6890), and what they leave out: spelled out because
# `is_global` differs between versions of Python and lets NAT64, SIIT, 6to4 and multicast pass.
_SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server, a public address that is not
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # Oracle's metadata
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relay
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible, unspecified, loopback
        "::ffff:0:0:0/96",  # SIIT, RFC 2765
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # NAT64, RFC 8215
        "100::/64",
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


def may_dial(address: Address, port: int, allowed: Iterable[tuple[Network, int]] = ()) -> bool:
    """Whether a stranger may make us talk to `address`: if it is public and a web port, or if it is listed.

    `allowed`: (network, port) pairs, as `settings.parse_endpoint` reads them. An IPv4 address inside an IPv6
    one (`::ffff:127.0.0.1`) is judged as what it leads to.
    """
    address = _unmapped(address)
    if any(port == allowed_port and address in network for network, allowed_port in allowed):
        return True
    return port in WEB_PORTS and is_public(address)


def is_public(address: Address) -> bool:
    """Whether `address` is a place on the public internet and nothing special."""
    address = _unmapped(address)
    if isinstance(address, IPv6Address) and address not in _NATIVE_IPV6:
        return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def _unmapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
