"""REPORT sync-collection (RFC 6578, bent): what changed since a token that is not a URI.

The collection itself is among its members, deletions are response-level 404s, bodies are never given.
"""

from collections.abc import Iterable

from lxml import etree

from tests.icloud import xml
from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar, Change
from tests.icloud.exchange import Answer, dav_error, empty, href_of, html_page, member_href, multistatus
from tests.icloud.properties import GETETAG
from tests.icloud.xml import DAV, clark


def sync_collection(account: Account, calendar: Calendar, *, root: etree._Element) -> Answer:
    """Depth 0 and 1 are the same to it. An empty token asks for everything."""
    knobs = account.knobs
    given = (root.findtext(clark(DAV, "sync-token")) or "").strip()
    seen = calendar.revision_seen_after(knobs.lag_seconds)
    if calendar.id in knobs.sync_answers_empty:
        return multistatus(sync_token=given or calendar.token(0))
    since = 0
    if given:
        known = calendar.revision_of(given)
        if known is not None:
            since = min(known, seen)
            if calendar.id in knobs.members_lost:
                return _all_denied(account, calendar, seen=seen)
        elif knobs.invalid_token != "everything":
            return _invalid_token(account)
    changes = calendar.changes(since, seen)
    if not since:
        lost = calendar.id in knobs.members_lost
        changes = [change for change in changes if change.current is not None and not lost]
    elif knobs.created_and_deleted == "absent":
        changes = [change for change in changes if change.current is not None or change.existed_before]
    return _answer(account, calendar, root=root, changes=changes, since=since, seen=seen)


def _answer(
    account: Account, calendar: Calendar, *, root: etree._Element, changes: list[Change], since: int, seen: int
) -> Answer:
    knobs = account.knobs
    truncated = 0 < knobs.sync_truncates_at < len(changes)
    shown = changes[: knobs.sync_truncates_at] if truncated else changes
    # Truncated in the order of change, so that the token of the last one shown stands for exactly what was shown.
    reached = shown[-1].revision if truncated else calendar.revision if knobs.lag_token_ahead else seen
    itself = href_of(account.dsid, account.home_of(calendar.id), calendar.id, collection=not knobs.self_without_slash)
    home = href_of(account.dsid, account.home_of(calendar.id), calendar.id, collection=True)
    missing = [name for name in xml.asked_properties(root) if name != GETETAG]
    responses = []
    if not since or calendar.properties_changed(since, seen):
        responses.append(xml.response(itself, {GETETAG: xml.text(calendar.etag)}, missing=missing))
    for change in shown:
        path = member_href(home, change.name, spelled=knobs.member_hrefs)
        if change.current is None:
            responses.append(xml.status_response(path, "404 Not Found"))
        else:
            responses.append(xml.response(path, {GETETAG: xml.text(change.current.etag)}, missing=missing))
    if since and not truncated:
        responses += _denials(home, sorted(calendar.objects(seen))[: knobs.sync_denies])
    if truncated:
        responses.append(xml.status_response(itself, "507 Insufficient Storage"))
    return multistatus(*responses, sync_token=calendar.token(reached))


def _all_denied(account: Account, calendar: Calendar, *, seen: int) -> Answer:
    home = href_of(account.dsid, account.home_of(calendar.id), calendar.id, collection=True)
    return multistatus(*_denials(home, sorted(calendar.objects(seen))), sync_token=calendar.token(seen))


def _denials(home: str, names: Iterable[str]) -> list[str]:
    return [xml.status_response(member_href(home, name, spelled="plain"), "404 Not Found") for name in names]


def _invalid_token(account: Account) -> Answer:
    match account.knobs.invalid_token:
        case "bare403":
            return empty(403)
        case "409" | "410":
            return empty(int(account.knobs.invalid_token))
        case "500":
            return html_page(500)
        case _:
            return dav_error(403, "<valid-sync-token/>")
