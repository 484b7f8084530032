"""The rules of `/slots` that an administrator may lift for one booking, and what is offered without them."""

from collections.abc import Collection
from enum import StrEnum

from msgspec.structs import replace

from busyd.flow.membership import Offer
from busyd.period import EARLIEST


class Override(StrEnum):
    """A rule that is lifted; the names of the API."""

    HOURS = "hours"
    NOTICE = "notice"
    WINDOW = "window"
    GRID = "grid"
    LIMITS = "limits"
    BUSY = "busy"


def lifted(offer: Offer, overrides: Collection[str]) -> Offer:
    """What is offered without some rules. That the time may be busy does not show here: see `Booking.forced`."""
    if Override.HOURS in overrides:
        offer = replace(offer, hours=None)
    if Override.NOTICE in overrides:
        offer = replace(offer, earliest=EARLIEST)
    if Override.WINDOW in overrides:
        offer = replace(offer, latest=None)
    if Override.GRID in overrides:
        offer = replace(offer, shape=replace(offer.shape, step=1))
    if Override.LIMITS in overrides:
        offer = replace(offer, full=())
    return offer
