"""From the configuration to what the HTTP side is given. Plain translation."""

import ssl
from urllib.parse import urlsplit

from busyd.config import Config
from busyd.errors import Misconfigured
from busyd.http.settings import EndpointSettings
from busyd.os_errors import fault_of
from busyd.regular_file import read_regular_file


def endpoint_settings(config: Config) -> EndpointSettings:
    """What the handlers need to know of the configuration."""
    public = urlsplit(config.public_url).hostname
    return EndpointSettings(
        hosts=(*config.hosts, *([public] if public else [])),
        behind_proxy=config.behind_proxy,
        local_access=config.local_access != "none",
        cors=config.cors,
        public_url=config.public_url,
    )


def tls_context(config: Config) -> ssl.SSLContext | None:
    """The certificate to show, or None without `tls:`. Raises TryAgain, Misconfigured when it cannot be used."""
    if config.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls.cert, config.tls.key, password="")  # never asks for one
    except ssl.SSLError as error:
        message = f"the certificate {config.tls.cert} with the key {config.tls.key} cannot be used: {error}"
        raise Misconfigured(message, fix="both must be PEM files, and belong together") from error
    except OSError as error:
        message = f"the certificate {config.tls.cert} with the key {config.tls.key} cannot be read"
        raise fault_of(error, message) from error
    return context


def certificate_text(config: Config) -> str:
    """The certificate as it is in its file, PEM; empty without TLS, or when it cannot be read."""
    try:
        return read_regular_file(config.tls.cert).decode() if config.tls is not None else ""
    except (OSError, UnicodeDecodeError):
        return ""
