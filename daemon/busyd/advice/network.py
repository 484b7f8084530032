"""What it may mean, and what to do, when there is no answer at all: code, message and steps of each kind."""

from typing import Final

from busyd.remote.errors import Trouble

SIGN_IN: Final = "on a hotel or guest network, open a web page in a browser and sign in to the network first"

NETWORK: Final[dict[Trouble, tuple[str, str, tuple[str, ...]]]] = {
    Trouble.DNS: (
        "network.dns",
        "the name {host} could not be resolved",
        (
            "check that this machine is online: does `getent hosts {host}` print an address?",
            "check the name servers of this machine (`resolvectl status`, /etc/resolv.conf)",
        ),
    ),
    Trouble.REFUSED: (
        "network.refused",
        "{host} refused the connection",
        ("wait until the server is up again", "check whether a firewall in between refuses connections"),
    ),
    Trouble.NETWORK: (
        "network.unreachable",
        "there is no route to {host}",
        (
            "check that this machine is online",
            "check whether a firewall forbids it: outgoing TCP to the server's port must be allowed",
        ),
    ),
    Trouble.TIMEOUT: (
        "network.timeout",
        "{host} did not answer in time",
        ("try again in a few minutes", "check whether a firewall drops packets: outgoing TCP must be allowed"),
    ),
    Trouble.NO_TLS: (
        "network.no-tls",
        "what answers at {host} does not speak TLS",
        ("a server that offers only http needs http:// in the url: https:// and webcal:// mean TLS", SIGN_IN),
    ),
    Trouble.RESET: (
        "network.reset",
        "the connection to {host} was lost",
        ("try again", "if it keeps happening, something in between cuts it: a firewall or an inspecting proxy"),
    ),
    Trouble.PROXY: (
        "network.proxy",
        "a proxy or the login page of a network answered instead of {host}",
        (SIGN_IN, "behind a company proxy, allow this machine to reach {host} directly; busyd uses no proxy"),
    ),
    Trouble.PROTOCOL: (
        "network.protocol",
        "what answers at {host} does not speak HTTP correctly",
        ("check whether https and http are mixed up: an encrypted port answers plain requests like this",),
    ),
}
