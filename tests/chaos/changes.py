"""What happens on other devices, by the throw of dice: events and calendars come, move, change and go."""

import random
from collections import Counter

from tests.chaos.harness import World, slot
from tests.chaos.oracle import event, feed_of, vevent
from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar

MOST_EVENTS = 150


class Changes:
    """One account with a few calendars and a subscribed one; `counted` says how often what was done."""

    def __init__(self, world: World, dice: random.Random, *, counted: Counter[str]) -> None:
        self.world, self.dice, self.counted = world, dice, counted
        self._next = 0
        self._made = 0
        self._buried: list[Calendar] = []
        self.feed = world.icloud.add_feed("/published/2/club", feed_of())
        world.feeds.append(self.feed)
        world.anna.add_calendar("Club", id="club", subscribed_source=self.feed.url)

    def _change(self) -> None:
        change = self.dice.choice(
            ("add", "add", "add", "edit", "edit", "edit", "delete", "move", "move", "rename", "housekeeping", "many",
             "clear", "calendar", "feed", "touch", "tokens")
        )  # fmt: skip
        self.counted[change] += 1
        getattr(self, f"_{change}")()

    @property
    def _anna(self) -> Account:
        return self.world.anna

    def _calendars(self) -> list[Calendar]:
        return [one for one in self._anna.calendars.values() if one.kind == "calendar"]

    def _some(self) -> tuple[Calendar, str] | None:
        filled = [one for one in self._calendars() if one.objects()]
        if not filled:
            return None
        calendar = self.dice.choice(filled)
        return calendar, self.dice.choice(sorted(calendar.objects()))

    def _add(self) -> None:
        if sum(len(one.objects()) for one in self._calendars()) < MOST_EVENTS:
            self._next = (self._next + 1) % 4500
            name = f"e{self._next}"
            if self._anna.find_uid(name) is None:
                self.dice.choice(self._calendars()).put(f"{name}.ics", event(name, *slot(self._next)))

    def _edit(self) -> None:
        found = self._some()
        if found:
            calendar, name = found
            uid = calendar.objects()[name].uid
            calendar.put(name, event(uid, *slot(int(uid[1:]), self.dice.randrange(4))))

    def _delete(self) -> None:
        found = self._some()
        if found:
            found[0].delete(found[1])

    def _move(self) -> None:
        found = self._some()
        if found:
            calendar, name = found
            if calendar.transparent:
                return  # it would be busy anew, which looks like having been busy all the time
            text, target = calendar.objects()[name].text, self.dice.choice(self._calendars())
            calendar.delete(name)
            target.put(self.dice.choice((name, f"m{self.dice.randrange(10**9)}.ics")), text)

    def _rename(self) -> None:
        self.dice.choice(self._calendars()).rename(f"Calendar {self.dice.randrange(1000)}")

    def _housekeeping(self) -> None:
        self.dice.choice(self._calendars()).housekeeping()

    def _many(self) -> None:
        for _ in range(self.dice.randint(5, 60)):
            self._add()

    def _clear(self) -> None:
        """A large part of a calendar goes at once."""
        calendar = self.dice.choice(self._calendars())
        for name in list(calendar.objects()):
            if self.dice.random() < 0.6:
                calendar.delete(name)

    def _calendar(self) -> None:
        """A calendar is made, made again under an old path, deleted, or ceases to count."""
        others = [one for one in self._calendars() if one.id not in ("work", "home")]
        if len(others) < 3:
            old = sorted(self._anna.removed_calendars.keys() - self._anna.calendars.keys())
            self._made += 1
            name = self.dice.choice([*old, f"c{self._made}"])
            if (
                self._anna.knobs.invalid_token == "everything"
            ):  # on top of that, nothing tells an old calendar from a new
                self._anna.knobs.invalid_token = "403"
            self._anna.add_calendar(f"Made {self._made}", id=name)
        elif self.dice.random() < 0.5:
            # Kept for good: a token names its calendar by where that is in memory.
            self._buried.append(self._anna.remove_calendar(self.dice.choice(others).id))
        else:
            other = self.dice.choice(others)
            other.transparent = not other.transparent
            other.touch_collection()

    def _feed(self) -> None:
        numbers = self.dice.sample(range(4600, 4640), self.dice.randint(0, 12))
        version = self.dice.randrange(4)
        self.feed.replace(feed_of(*(vevent(f"f{number}", *slot(number, version)) for number in numbers)))

    def _touch(self) -> None:
        self.dice.choice(self._calendars()).touch_collection()

    def _tokens(self) -> None:
        self.dice.choice(self._calendars()).expire_tokens()
