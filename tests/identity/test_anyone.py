"""
The backend that asks nobody.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from aibridge.identity.anyone import Anyone
from aibridge.identity.parties import EACH
from aibridge.interfaces import IIdentity
from aibridge.model import Class


def test_it_is_an_identity() -> None:
    """
    It keeps the interface's promises, and says that tokens are the client's own.
    """
    anyone = Anyone()
    assert verifyObject(IIdentity, anyone)
    assert anyone.verifies_tokens is False
    anyone.start()
    anyone.stop()


@given(st.binary(min_size=1), st.binary(min_size=1))
def test_by_what_is_shown(one: bytes, other: bytes) -> None:
    """
    The same key is the same principal wherever it comes from, and different keys are different ones.
    """
    anyone = Anyone()
    principal = anyone.identify(one, "192.0.2.1", 0.0)
    assert principal == anyone.identify(one, "192.0.2.2", 1.0)
    assert (principal.id == anyone.identify(other, "192.0.2.1", 0.0).id) == (one == other)


@given(st.binary(min_size=9).map(lambda key: b"sk-" + key.hex().encode()))
def test_the_key_has_no_text(key: bytes) -> None:
    """
    Nothing of the key is in its principal.
    """
    assert key.decode()[3:] not in repr(Anyone().identify(key, "192.0.2.1", 0.0))


def test_by_address() -> None:
    """
    Who shows nothing is told apart by address, IPv6 by /64, and cannot pass for a key.
    """
    anyone = Anyone()
    assert anyone.identify(None, "192.0.2.1", 0.0).id == "address:192.0.2.1"
    assert anyone.identify(None, "2001:db8::1", 0.0) == anyone.identify(None, "2001:db8::ffff:2", 0.0)
    assert anyone.identify(None, "2001:db8::1", 0.0).name == "2001:db8::/64"
    assert anyone.identify(None, "", 0.0).name == "unknown"
    assert anyone.identify(b"address:192.0.2.1", "", 0.0).id.startswith("shown:")


def test_everybody_is_of_one_class() -> None:
    """
    The configured one, as nothing that is shown says another.
    """
    batch = Anyone(Class.BATCH)
    assert {batch.identify(token, "192.0.2.1", 0.0).class_ for token in (None, b"key")} == {Class.BATCH}
    assert Anyone().identify(None, "192.0.2.1", 0.0).class_ is Class.DEFAULT


def test_origin() -> None:
    """
    Whoever could have made up another id comes from the address that he shows it from, IPv6 by /48.
    """
    for token in (None, b"key"):
        assert Anyone().identify(token, "192.0.2.1", 0.0).origin == "192.0.2.1"
        assert Anyone().identify(token, "2001:db8:1:2::1", 0.0).origin == "2001:db8:1::/48"


def test_parties() -> None:
    """
    Of an address the first few are shared out to as they are, and all others as one; elsewhere nobody is concerned.
    """
    anyone = Anyone()
    office = [anyone.identify(b"key-%d" % number, "192.0.2.1", 0.0) for number in range(EACH)]
    assert [principal.party for principal in office] == [principal.id for principal in office]
    flood = {anyone.identify(b"made up %d" % number, "192.0.2.1", 0.0).party for number in range(1000)}
    assert flood == {"origin:192.0.2.1"}
    assert anyone.identify(b"key-0", "192.0.2.1", 0.0).party == office[0].id
    newcomer = anyone.identify(b"made up 0", "192.0.2.2", 0.0)
    assert newcomer.party == newcomer.id


def test_by_name() -> None:
    """
    Nobody is remembered, but an address or an id says whose buckets are meant; any other name is nobody's.
    """
    anyone = Anyone(Class.BATCH)
    for host in ("192.0.2.1", "2001:db8::1"):
        principal = anyone.identify(None, host, 0.0)
        assert principal == anyone.principal_named(host) == anyone.principal_named(principal.name)
    shown = anyone.identify(b"key", "", 0.0)
    found = anyone.principal_named(shown.id)
    assert found is not None
    assert (found.id, found.class_) == (shown.id, shown.class_)
    for name in ("", "ada", shown.name):
        assert anyone.principal_named(name) is None
