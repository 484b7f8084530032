"""Items 12 to 15: the 401 that never says why."""

import pytest

from tests.icloud import Account
from tests.icloud.raw_client import RawClient


async def status_of(client: RawClient) -> int:
    return (await client.propfind("/", "d:current-user-principal")).status


@pytest.mark.parametrize("header", ["", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer abc", "Basic eDp5"])
async def test_unusable_credentials_get_two_challenges_and_no_body(generic: RawClient, header: str) -> None:
    reply = await generic.ask("PROPFIND", "/", Authorization=header)
    assert (reply.status, reply.headers["Content-Length"], reply.raw) == (401, "0", b"")
    assert reply.headers.getall("WWW-Authenticate") == [
        'Basic realm="MMCalDav"',
        'X-MobileMe-AuthToken realm="MMCalDav"',
    ]
    assert reply.headers["Server"].startswith("AppleHttpServer/")


async def test_the_edge_puts_both_challenges_into_one_header(generic: RawClient, anna: Account) -> None:
    anna.knobs.combined_challenge = True
    generic.password = "wrong"
    reply = await generic.propfind("/")
    (challenges,) = reply.headers.getall("WWW-Authenticate")
    assert "Basic" in challenges
    assert "X-MobileMe-AuthToken" in challenges
    assert reply.headers["X-Apple-Filtered-At-Edge"] == "true"


async def test_revoked_passwords_fail_until_a_new_one_is_made(generic: RawClient, anna: Account) -> None:
    anna.knobs.revoked = True
    assert await status_of(generic) == 401
    anna.knobs.revoked = False
    anna.password = generic.password = "new-p-assw-ord"
    assert await status_of(generic) == 207


async def test_single_401s_come_and_go_among_good_answers(generic: RawClient, anna: Account) -> None:
    anna.knobs.spurious_401_every = 3
    assert [await status_of(generic) for _ in range(6)] == [207, 207, 401, 207, 207, 401]
    anna.knobs.spurious_401_every = 0
    anna.knobs.fail_next(401, times=2)
    assert [await status_of(generic) for _ in range(3)] == [401, 401, 207]


@pytest.mark.parametrize("spelling", ["abcdefghijklmnop", " abcd-efgh-ijkl-mnop ", "abcd efgh ijkl mnop"])
async def test_only_the_hyphenated_password_is_accepted(generic: RawClient, spelling: str) -> None:
    assert await status_of(generic) == 207
    generic.password = spelling
    assert await status_of(generic) == 401
