"""Every operation on a CalDAV server in one place: each is a generator that `remote/client.py` carries out."""

from busyd.dav.changes import Members, SyncDelta, list_members, list_within, sync_collection
from busyd.dav.discovery import Account, discover_account
from busyd.dav.exchange import DavRequest, DavResponse, Operation
from busyd.dav.href import Href, normalise_href
from busyd.dav.listing import Listing, list_calendars, list_homes
from busyd.dav.objects import (
    Fetched,
    FetchedObject,
    Refused,
    WriteOutcome,
    Written,
    delete_object,
    fetch_object,
    fetch_objects,
    put_object,
)

__all__ = [
    "Account",
    "DavRequest",
    "DavResponse",
    "Fetched",
    "FetchedObject",
    "Href",
    "Listing",
    "Members",
    "Operation",
    "Refused",
    "SyncDelta",
    "WriteOutcome",
    "Written",
    "delete_object",
    "discover_account",
    "fetch_object",
    "fetch_objects",
    "list_calendars",
    "list_homes",
    "list_members",
    "list_within",
    "normalise_href",
    "put_object",
    "sync_collection",
]
