from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsent.images.addresses import Address, is_public, may_dial
from mmsent.settings import parse_endpoint

SPECIAL = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254
168.63.129.16 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1
192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255 :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
::ffff:0:7f00:1 ::ffff:0:808:808 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::1 100::1 2001::1
2001:0:53aa:64c::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 5f00::1
fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1 1::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 168.63.129.15
198.17.255.255 198.20.0.1 223.255.255.255 ::ffff:8.8.8.8 2606:4700:4700::1111
2a00:1450:4001:82b::200e 2400:cb00:2048:1::c629:d7a2
"""


@pytest.mark.parametrize("address", SPECIAL.split())
def test_special_addresses_are_never_dialled(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not any(may_dial(ip_address(address), port) for port in (80, 443, 6379))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses_are_dialled_on_the_ports_of_the_web(address: str) -> None:
    assert is_public(ip_address(address))
    allowed = {port for port in (22, 80, 443, 6379, 8080) if may_dial(ip_address(address), port)}
    assert allowed == {80, 443}


@pytest.mark.parametrize(
    ("entry", "address", "port", "verdict"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "127.0.0.1", 6379, False),
        ("127.0.0.1:8000", "127.0.0.1", 80, False),
        ("127.0.0.1:8000", "127.0.0.2", 8000, False),
        ("127.0.0.1:8000", "::ffff:127.0.0.1", 8000, True),
        ("127.0.0.1:8000", "::ffff:127.0.0.1", 6379, False),
        ("127.0.0.1:8000", "::1", 8000, False),
        ("[::1]:8000", "::1", 8000, True),
        ("10.1.0.0/16:80", "10.1.2.3", 80, True),
        ("10.1.0.0/16:80", "10.2.2.3", 80, False),
        ("8.8.8.8:8080", "8.8.8.8", 8080, True),
    ],
)
def test_the_allow_list_is_taken_at_its_word(entry: str, address: str, port: int, verdict: bool) -> None:
    assert may_dial(ip_address(address), port, [parse_endpoint(entry)]) is verdict


@given(st.ip_addresses(v=6))
def test_no_ipv6_outside_the_native_space_is_public(address: Address) -> None:
    native = int(address) >> 125 == 1
    mapped = getattr(address, "ipv4_mapped", None)
    assert native or mapped or not is_public(address)
