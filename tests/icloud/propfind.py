"""PROPFIND: discovery at `/` and the principal, the listing of the home, and members of a collection.

Named properties that a resource has not come in a 404 propstat; they are never an error.
"""

import random
from collections.abc import Mapping, Sequence

from tests.icloud import xml
from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar, StoredObject
from tests.icloud.exchange import Answer, Call, empty, href_of, html_page, member_href, multistatus
from tests.icloud.places import Places
from tests.icloud.properties import (
    GETCTAG,
    GETETAG,
    RESOURCETYPE,
    SYNC_TOKEN,
    collection_properties,
    home_properties,
    principal_properties,
)
from tests.icloud.xml import DAV, Value, clark


def root(call: Call, account: Account, *, places: Places) -> Answer:
    """`/`: current-user-principal, a bare path used on the same host. Depth may be missing."""
    principal = clark(DAV, "current-user-principal")
    found = {principal: principal_properties(account, places)[principal], RESOURCETYPE: Value("<collection/>")}
    return _answer(call, account, rows=[("/", found)])


def well_known(call: Call, account: Account, *, places: Places) -> Answer:
    """The least reliable step of discovery: it answers itself, redirects to a shard, or is not there."""
    behaviour = account.knobs.well_known
    if behaviour == "404":
        return empty(404)
    if behaviour == "direct207" or call.origin != "bootstrap":
        return root(call, account, places=places)
    return empty(301 if behaviour == "redirect301" else 308, ("Location", places.of(account.shard) + "/"))


def principal(call: Call, account: Account, *, places: Places) -> Answer:
    """Anything but Depth 0 is refused. The href of the answer is not always the path asked for."""
    if call.depth not in (None, "0"):
        return empty(400)
    path = "/principal/" if account.knobs.short_principal_href else href_of(*call.segments, collection=True)
    return _answer(call, account, rows=[(path, principal_properties(account, places))])


def home(call: Call, account: Account, *, name: str) -> Answer:
    """Depth 1 lists the home itself first, then every collection, in no order to rely on."""
    itself = (href_of(account.dsid, name, collection=True), home_properties(account))
    if call.depth in (None, "0"):
        return _answer(call, account, rows=[itself])
    if call.depth != "1":
        return empty(400)
    knobs = account.knobs
    members = [
        (_path_of(account, calendar), collection_properties(account, calendar))
        for calendar in list(account.calendars.values())
        if calendar.id not in knobs.listing_hides
        and not knobs.listing_only_home
        and account.home_of(calendar.id) == name
    ]
    if knobs.shuffled_listing:
        random.shuffle(members)
    further = []
    if 0 < knobs.listing_truncates_at < len(members):
        members, further = (
            members[: knobs.listing_truncates_at],
            [xml.status_response(itself[0], "507 Insufficient Storage")],
        )
    made = {_path_of(account, calendar): calendar.token(1) for calendar in account.calendars.values()
            if calendar.id in knobs.listing_repeats}  # fmt: skip
    again = [(path, {**found, GETCTAG: xml.text(made[path]), SYNC_TOKEN: xml.text(made[path])})
             for path, found in members if path in made]  # fmt: skip
    return _answer(call, account, rows=[itself, *members, *again], further=further)


def collection(call: Call, account: Account, *, calendar: Calendar) -> Answer:
    """Depth 0: the collection; Depth 1: its members too, which know their getetag and nothing else."""
    if calendar.id in account.knobs.gone_but_listed:
        return empty(404)
    rows = [(_path_of(account, calendar), collection_properties(account, calendar))]
    further: list[str] = []
    if call.depth == "1":
        seen = calendar.revision_seen_after(account.knobs.lag_seconds)
        members = [
            (
                member_href(_path_of(account, calendar), name, spelled=account.knobs.member_hrefs),
                _member_properties(one),
            )
            for name, one in ({} if calendar.id in account.knobs.members_lost else calendar.objects(seen)).items()
        ]
        most = account.knobs.members_truncate_at
        if 0 < most < len(members):
            members, further = members[:most], [xml.status_response(rows[0][0], "507 Insufficient Storage")]
        rows += members
    elif call.depth not in (None, "0"):
        return empty(400)
    return _answer(call, account, rows=rows, further=further)


def member(call: Call, account: Account, *, calendar: Calendar, name: str) -> Answer:
    """One object. For some seconds after it was made it is not there, though GET finds it."""
    stored = calendar.get(name, calendar.revision_seen_after(account.knobs.lag_seconds))
    if stored is None:
        return empty(404)
    path = href_of(account.dsid, account.home_of(calendar.id), calendar.id, name, collection=False)
    return _answer(call, account, rows=[(path, _member_properties(stored))])


def _member_properties(stored: StoredObject) -> dict[str, Value]:
    return {GETETAG: xml.text(stored.etag)}


def _path_of(account: Account, calendar: Calendar) -> str:
    return href_of(account.dsid, account.home_of(calendar.id), calendar.id, collection=True)


def _answer(
    call: Call, account: Account, *, rows: Sequence[tuple[str, Mapping[str, Value]]], further: Sequence[str] = ()
) -> Answer:
    asked = list(xml.asked_properties(xml.read(call.body))) if call.body else []
    if not asked and account.knobs.allprop == "500":
        return html_page(500)
    # No properties named (allprop, propname, no body at all): a set too small to be of use.
    names = asked or [RESOURCETYPE, GETETAG]
    responses = []
    for path, properties in rows:
        found = {name: properties[name] for name in names if name in properties}
        missing = [name for name in names if name not in properties] if asked else []
        one = xml.response(path, found, missing=missing, empty_status=account.knobs.empty_404_status)
        fails = path.rstrip("/").rpartition("/")[2] in account.knobs.listing_fails
        responses.append(one.replace("HTTP/1.1 200 OK", "HTTP/1.1 503 Service Unavailable") if fails else one)
    return multistatus(*responses, *further)
