"""The origins can speak TLS, with whatever certificate a test wants its client to refuse."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.icloud import SimulatedIcloud
from tests.icloud.raw_client import client_for, open_session


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem += builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path = tmp_path / "certificate.pem"
    path.write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_self_signed_certificate_is_met_before_any_request(self_signed: ssl.SSLContext) -> None:
    async with SimulatedIcloud.start(tls=self_signed) as icloud, open_session() as session:
        anna = icloud.add_account("anna@icloud.com")
        assert icloud.bootstrap_url.startswith("https://127.0.0.1:")
        with pytest.raises(Exception) as refused:
            await client_for(session, anna, origin=icloud.places.bootstrap).propfind("/")
        assert isinstance(refused.value.__cause__, aiohttp.ClientConnectorCertificateError)
        assert icloud.log.entries == []
