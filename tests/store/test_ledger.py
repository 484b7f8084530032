"""Tokens: stored as hashes, found in constant time, honoured and revoked at once by every process."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from busyd.period import Instant
from busyd.state.links import remembered_by_profile
from busyd.store.ledger import Ledger
from busyd.store.webhooks import StoredWebhook, Webhook, WebhookProgress
from tests.store.conftest import until_heard

NOW = Instant(1_790_000_000)


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()


def add(ledger: Ledger, *, expires: Instant | None = None) -> tuple[str, str]:
    made = ledger.add_token("anna", scopes=["freebusy"], details=False, expires=expires, name="", now=NOW)
    return made.id, made.text


def test_a_token_is_found_by_its_text_and_by_nothing_else(ledger: Ledger) -> None:
    number, text = add(ledger)
    found = ledger.find_token(text, NOW)
    assert found is not None
    assert (found.id, found.profile, found.scopes) == (number, "anna", frozenset({"freebusy"}))
    for wrong in ("", "bd_", text[:-1], text + "x", f"bd_{number}_", text.replace("bd_", "xx_"), number):
        assert ledger.find_token(wrong, NOW) is None


def test_an_expired_token_is_dead_to_the_second(ledger: Ledger) -> None:
    _, text = add(ledger, expires=Instant(NOW + 10))
    assert ledger.find_token(text, Instant(NOW + 9)) is not None
    assert ledger.find_token(text, Instant(NOW + 10)) is None


def test_the_secret_is_not_in_the_file(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    _, text = add(ledger)
    ledger.close()
    secret = text.split("_", 2)[2].encode()
    assert all(secret not in path.read_bytes() for path in tmp_path.iterdir())


def test_another_process_adds_and_revokes_with_effect_at_once(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    assert ledger.tokens() == []
    other = open_ledger()
    number, text = add(other)
    assert ledger.find_token(text, NOW) is not None
    assert other.revoke_token(number)
    until_heard(ledger)
    assert ledger.find_token(text, NOW) is None


def test_revoking_what_is_not_there_says_so(ledger: Ledger) -> None:
    assert not ledger.revoke_token("nothing")


def test_use_is_remembered(ledger: Ledger) -> None:
    token = ledger.find_token(add(ledger)[1], NOW)
    assert token is not None
    assert ledger.note_use(token, Instant(NOW + 5))
    ledger.write_uses()
    assert [token.last_used for token in ledger.tokens()] == [NOW + 5]


def test_links_survive_a_restart(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    ledger.record_links({"anna": {"anna/Work": "/1/calendars/work/"}})
    assert open_ledger().resolved_links() == {"anna": {"anna/Work": "/1/calendars/work/"}}


def test_what_an_older_busyd_kept_for_all_profiles_is_read_and_then_kept_for_each(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger.open(path).close()
    with contextlib.closing(sqlite3.connect(path)) as older, older:
        older.execute("INSERT INTO link (reference, href) VALUES ('anna/Work', '/w/')")
    opened = Ledger.open(path)
    assert opened.resolved_links() == {"": {"anna/Work": "/w/"}}
    kept = remembered_by_profile(opened.resolved_links(), ["anna", "ben"])
    assert kept == {"anna": {"anna/Work": "/w/"}, "ben": {"anna/Work": "/w/"}}
    opened.record_links(kept)
    assert opened.resolved_links() == kept
    opened.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "ledger.sqlite3").close()
    assert (tmp_path / "ledger.sqlite3").stat().st_mode & 0o077 == 0


def test_a_new_token_does_not_show_its_secret_in_a_repr(ledger: Ledger) -> None:
    made = ledger.add_token("anna", scopes=["freebusy"], details=False, expires=None, name="", now=NOW)
    assert made.text not in repr(made)


def test_a_feed_changed_when_its_tag_did_and_keeps_that_over_a_restart(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    number, _ = add(ledger)
    assert ledger.feed_changed(number, "a", now=NOW) == NOW
    assert ledger.feed_changed(number, "a", now=Instant(NOW + 9)) == NOW
    again = open_ledger()
    assert again.feed_changed(number, "a", now=Instant(NOW + 99)) == NOW
    assert again.feed_changed(number, "b", now=Instant(NOW - 99)) == NOW + 1
    assert again.revoke_token(number)


def test_a_webhook_that_another_process_makes_is_noticed_and_read_as_it_was_made(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    ledger.refresh()
    webhook = Webhook("w", "anna", "https://x.test/", ("busy",), True, NOW, 1, None, b"digest")
    open_ledger().webhooks(lambda kept: kept.add(webhook))
    until_heard(ledger)
    assert not ledger.is_current()
    progress = WebhookProgress(cursor=7, detail="503", delivered=NOW)
    ledger.webhooks(lambda kept: kept.note({"w": progress}))
    assert ledger.webhooks(lambda kept: kept.all()) == [StoredWebhook(webhook, progress, asked=None)]
