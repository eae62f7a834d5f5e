"""Until when a vendor is left alone."""

from gateway.routing.pauses import Pauses


def test_a_vendor_is_left_alone_until_the_time_it_said() -> None:
    pauses = Pauses()
    pauses.pause("acme", 10.0)
    assert [pauses.left("acme", now) for now in (4.0, 9.5, 10.0, 11.0)] == [6.0, 0.5, 0.0, 0.0]
    assert pauses.left("spare", 4.0) == 0


def test_a_pause_is_never_shortened() -> None:
    pauses = Pauses()
    for until in (10.0, 5.0):
        pauses.pause("acme", until)
    assert pauses.left("acme", 4.0) == 6.0
    pauses.pause("acme", 12.0)
    assert pauses.left("acme", 4.0) == 8.0
