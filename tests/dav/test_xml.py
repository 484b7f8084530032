"""The parser refuses what could harm or mislead, and reads nothing outside the document."""

import os
import random
from pathlib import Path

import pytest

from busyd.dav.multistatus import Multistatus
from busyd.dav.xml import NotXml, looks_like_xml, parse_rows, parse_xml
from tests.wire.recording import recording

BOMB = b'<!DOCTYPE a [<!ENTITY x "xx"><!ENTITY y "&x;&x;&x;"><!ENTITY z "&y;&y;&y;">]><a>&z;</a>'

ATTACKS = {
    "doctype": b"<!DOCTYPE multistatus><multistatus xmlns='DAV:'/>",
    "html page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "external dtd": b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd'><a/>",
    "entity bomb": BOMB,
    "entity in an attribute": b"<!DOCTYPE a [<!ENTITY x 'y'>]><a b='&x;'/>",
    "parameter entity": b"<!DOCTYPE a [<!ENTITY % x SYSTEM 'file:///etc/passwd'> %x;]><a/>",
    "undeclared entity": b"<a>&x;</a>",
    "depth": b"<a>" * 100_000 + b"</a>" * 100_000,
    "cut": b"<a><b></b>",
    "second root": b"<a/><b/>",
    "not utf-8": b"<a>\xff\xfe\xfa</a>",
    "doctype in utf-16": "<!DOCTYPE a><a/>".encode("utf-16"),
    "unknown encoding": b"<?xml version='1.0' encoding='x-nothing'?><a/>",
    "nothing": b"",
    "white space": b" \n ",
}


@pytest.mark.parametrize("document", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_harmful_or_broken_document_is_refused(document: bytes) -> None:
    with pytest.raises(NotXml):
        parse_xml(document)
    with pytest.raises(NotXml):
        list(parse_rows(document, "a", row="b"))


def test_an_external_entity_is_never_read(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    os.mkfifo(canary)  # reading it would block for ever
    with pytest.raises(NotXml):
        parse_xml(f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{canary}">]><a>&x;</a>'.encode())


def test_the_rows_of_a_long_document_are_let_go_of_one_after_the_other() -> None:
    document = b"<a>" + b"<b><b>x</b></b>" * 20_000 + b"<c>y</c></a>"
    *rows, root = (
        (element.tag, len(element), element.getroottree().getroot().index(element) if element.tag == "b" else 0)
        for element in parse_rows(document, "a", row="b")
    )
    assert set(rows) == {("b", 1, 0)} and len(rows) == 20_000
    assert root == ("a", 1, 0)


def test_xinclude_and_stylesheets_are_just_text() -> None:
    root = parse_xml(b'<?xml-stylesheet href="file:///etc/passwd"?><a><i:include xmlns:i="x" href="/etc/passwd"/></a>')
    assert "".join(str(text) for text in root.itertext()) == ""


@pytest.mark.parametrize("name", ["04-home-set", "30-sync-initial", "41-multiget"])
def test_an_answer_cut_anywhere_is_refused_whole(name: str) -> None:
    body = recording(name).response.body.rstrip()
    for length in range(len(body)):
        with pytest.raises(NotXml):
            Multistatus.from_xml(body[:length])


def test_a_damaged_answer_is_read_or_refused_and_never_anything_else() -> None:
    chance = random.Random(4)
    body = recording("41-multiget").response.body
    refused = 0
    for _ in range(3000):
        damaged = bytearray(body)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            Multistatus.from_xml(bytes(damaged))
        except NotXml:
            refused += 1
    assert refused > 1000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<?xml version='1.0'?><error xmlns='DAV:'/>", True),
        (b"\xef\xbb\xbf <error xmlns='DAV:'/>", True),
        (b"<html><head><title>400 Bad Request</title>", False),
        (b"<!DOCTYPE html><html>", False),
        (b"<!doctype HTML>\n", False),
        (b"", False),
        (b"Not found", False),
    ],
)
def test_an_html_error_page_is_told_from_a_dav_error(body: bytes, expected: bool) -> None:
    assert looks_like_xml(body) is expected
