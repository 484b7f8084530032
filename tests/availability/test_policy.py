"""What facts mean for a person: the one place where free and busy are decided."""

import pytest

from busyd.availability.policy import Rules, decide
from busyd.ical.facts import Attendee, Facts, normalise_address
from busyd.period import FbType

ME = frozenset({"me@example.com"})


def invited(partstat: str, **facts: object) -> Facts:
    return Facts(
        organizer=("boss@example.com",),
        attendees=(Attendee(("me@example.com",), partstat),),
        **facts,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("facts", "fbtype", "reason"),
    [
        (Facts(), FbType.BUSY, "opaque"),
        (Facts(transp="TRANSPARENT", status="CONFIRMED"), FbType.FREE, "transparent"),
        (Facts(status="CANCELLED"), FbType.FREE, "cancelled"),
        (Facts(status="TENTATIVE"), FbType.BUSY_TENTATIVE, "tentative"),
        (Facts(status="X-MAYBE"), FbType.BUSY, "opaque"),
        (Facts(busystatus="FREE"), FbType.FREE, "vendor-free"),
        (Facts(busystatus="FREE", transp="OPAQUE"), FbType.BUSY, "opaque"),
        (Facts(busystatus="WORKINGELSEWHERE"), FbType.FREE, "vendor-free"),
        (Facts(busystatus="WORKINGELSEWHERE", transp="OPAQUE"), FbType.BUSY, "opaque"),
        (Facts(busystatus="OOF", transp="OPAQUE"), FbType.BUSY_UNAVAILABLE, "out-of-office"),
        (Facts(busystatus="OUTOFOFFICE"), FbType.BUSY_UNAVAILABLE, "out-of-office"),
        (Facts(busystatus="TENTATIVE", transp="OPAQUE"), FbType.BUSY_TENTATIVE, "tentative"),
        (Facts(busystatus="BUSY", transp="TRANSPARENT"), FbType.FREE, "transparent"),
        (Facts(fbtype=FbType.BUSY_TENTATIVE), FbType.BUSY_TENTATIVE, "freebusy"),
        (Facts(unknown="no idea", status="TENTATIVE"), FbType.BUSY_UNAVAILABLE, "not-understood"),
        (Facts(unknown="no idea", transp="TRANSPARENT"), FbType.FREE, "transparent"),
        (invited("ACCEPTED"), FbType.BUSY, "opaque"),
        (invited("DECLINED", transp="OPAQUE"), FbType.FREE, "declined"),
        (invited("DELEGATED"), FbType.FREE, "delegated"),
        (invited("TENTATIVE"), FbType.BUSY_TENTATIVE, "tentative"),
        (invited("NEEDS-ACTION"), FbType.BUSY_TENTATIVE, "unanswered"),
        (invited("X-SHRUG"), FbType.BUSY_TENTATIVE, "unanswered"),
    ],
)
def test_the_default_rules_decide(facts: Facts, fbtype: FbType, reason: str) -> None:
    verdict = decide(facts, Rules(), me=ME)
    assert (verdict.fbtype, verdict.reason) == (fbtype, reason)


@pytest.mark.parametrize(
    ("facts", "rules", "fbtype", "rule"),
    [
        (Facts(all_day=True), Rules(all_day="free"), FbType.FREE, "all_day"),
        (Facts(all_day=True, transp="TRANSPARENT"), Rules(all_day="busy"), FbType.BUSY, "all_day"),
        (Facts(all_day=True, status="CANCELLED"), Rules(all_day="busy"), FbType.FREE, ""),
        (Facts(all_day=False), Rules(all_day="free"), FbType.BUSY, ""),
        (Facts(status="TENTATIVE"), Rules(tentative="busy"), FbType.BUSY, "tentative"),
        (Facts(status="TENTATIVE"), Rules(tentative="free"), FbType.FREE, "tentative"),
        (invited("TENTATIVE"), Rules(tentative="free"), FbType.FREE, "tentative"),
        (invited("NEEDS-ACTION"), Rules(unanswered="free"), FbType.FREE, "unanswered"),
        (invited("NEEDS-ACTION"), Rules(unanswered="busy"), FbType.BUSY, "unanswered"),
        (invited("DECLINED"), Rules(declined="busy"), FbType.BUSY, "declined"),
    ],
)
def test_a_rule_decides_and_is_named(facts: Facts, rules: Rules, fbtype: FbType, rule: str) -> None:
    verdict = decide(facts, rules, me=ME)
    assert (verdict.fbtype, verdict.rule) == (fbtype, rule)


def test_the_answer_of_somebody_else_means_nothing() -> None:
    facts = Facts(attendees=(Attendee(("other@example.com",), "DECLINED"),))
    assert decide(facts, Rules(), me=ME).fbtype is FbType.BUSY


def test_the_organizer_is_busy_whatever_the_attendee_line_says() -> None:
    facts = Facts(organizer=("me@example.com",), attendees=(Attendee(("me@example.com",), "DECLINED"),))
    assert decide(facts, Rules(), me=ME).fbtype is FbType.BUSY


def test_of_two_lines_that_are_mine_the_stronger_counts() -> None:
    lines = (Attendee(("me@example.com",), "DECLINED"), Attendee(("urn:uuid:1",), "ACCEPTED"))
    assert decide(Facts(attendees=lines), Rules(), me=ME | {"urn:uuid:1"}).fbtype is FbType.BUSY


def test_travel_time_is_blocked_unless_the_rule_is_off_or_the_event_is_free() -> None:
    facts = Facts(travel_before=1800, travel_after=600)
    verdict = decide(facts, Rules(), me=ME)
    assert (verdict.before, verdict.after) == (1800, 600)
    without = decide(facts, Rules(travel_time=False), me=ME)
    assert (without.before, without.after) == (0, 0)
    free = decide(Facts(travel_before=1800, transp="TRANSPARENT"), Rules(), me=ME)
    assert (free.before, free.after) == (0, 0)


@pytest.mark.parametrize(
    "written",
    [
        "/777/principal",
        "/777/principal/",
        "https://p42-caldav.icloud.com/777/principal/",
        "HTTPS://caldav.icloud.com:443/777/Principal",
    ],
)
def test_a_principal_is_the_same_as_a_path_and_as_a_url_of_any_host(written: str) -> None:
    assert normalise_address(written) == "/777/principal"
