"""PROPPATCH (RFC 4918 §9.2): what an app says of a collection is kept here and shown to it, and goes to no server.

macOS stops after a refusal and shows no event, so everything is taken that is not a fact of the collection itself.
"""

from collections.abc import Iterable, Mapping

from lxml import etree

from busyd.dav import names
from busyd.dav.multistatus import MemberResponse, Property, PropStat
from busyd.dav.request import BadRequestBody, PropertyUpdate
from busyd.dav.xml import Element, parse_xml
from busyd.flow.backend import Backend
from busyd.flow.properties import TooManyProperties
from busyd.http.caldav.resources import MODIFIABLE, PROTECTED, Resource
from busyd.http.caldav.target import Target
from busyd.http.problem import bad_request

_FORBIDDEN, _FAILED_DEPENDENCY, _INSUFFICIENT_STORAGE = 403, 424, 507


async def change_properties(
    backend: Backend, target: Target, *, resource: Resource, root: Element | None
) -> MemberResponse:
    """All properties are changed, or none; `resource` has only those of its own. Raises HttpProblem, StorageError."""
    try:
        update = PropertyUpdate.from_xml(root)
    except BadRequestBody as error:
        raise bad_request(str(error), fix="send a propertyupdate as RFC 4918 §14.19 describes it") from error
    refused = [name for name in update.changes if _is_protected(name, resource)]
    if refused:
        rest = [name for name in update.changes if name not in refused]
        return _answer(
            resource,
            _of(refused, _FORBIDDEN, condition=names.CANNOT_MODIFY_PROTECTED_PROPERTY),
            _of(rest, _FAILED_DEPENDENCY),
        )
    given = {name: _written(prop) if prop is not None else None for name, prop in update.changes.items()}
    try:
        await backend.properties.change(target.keeps_as, resource.href, given=given)
    except TooManyProperties:
        return _answer(resource, _of(given, _INSUFFICIENT_STORAGE))
    return _answer(resource, _of(given, 200))


def with_kept(resource: Resource, kept: Mapping[str, Mapping[str, bytes]]) -> Resource:
    """A resource with what apps have given it; an empty name is none."""
    found = kept.get(resource.href)
    if not found:
        return resource
    read = {name: Property.from_xml(parse_xml(xml)) for name, xml in found.items()}
    shown = {
        name: prop
        for name, prop in read.items()
        if not _is_protected(name, resource) and (name != names.DISPLAYNAME or prop.text.strip())
    }
    return Resource(resource.href, {**resource.properties, **shown}, resource.dead | (shown.keys() - MODIFIABLE))


def _is_protected(name: str, resource: Resource) -> bool:
    return name not in MODIFIABLE and (name in PROTECTED or name in resource.properties)


def _written(prop: Property) -> bytes:
    return etree.tostring(prop.to_xml(), encoding="utf-8")


def _of(changed: Iterable[str], status: int, *, condition: str = "") -> PropStat:
    return PropStat(status, tuple(Property(name) for name in changed), condition)


def _answer(resource: Resource, *propstats: PropStat) -> MemberResponse:
    return resource.answer(tuple(propstat for propstat in propstats if propstat.properties))
