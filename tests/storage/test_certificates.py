"""S3 behind an authority of one's own."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.pipeline import BUCKET
from tests.reliability.faulty_s3 import FaultyS3
from tests.storage.conftest import Lines
from vitalprep.runtime.errors import UsageError
from vitalprep.storage import Storage

VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority (ca.pem), and key and certificate of its server (server.pem)."""
    folder = tmp_path_factory.mktemp("authority")
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    certificates = []
    for index, key in enumerate(keys):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(f"tests {index}"))
            .issuer_name(name("tests 0"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=index == 0, path_length=None), critical=True)
        )
        if index:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        certificates.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    formats = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "ca.pem").write_bytes(certificates[0])
    (folder / "server.pem").write_bytes(keys[1].private_bytes(*formats) + certificates[1])
    return folder


@pytest.fixture
def over_tls(faulty: FaultyS3, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 over TLS, with a certificate that only the authority vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    faulty._server.socket = context.wrap_socket(faulty._server.socket, server_side=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url.replace("http:", "https:"))
    for variable in (*VARIABLES, "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_ca_bundle_is_trusted(
    over_tls: None, authority: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch, variable: str, is_folder: bool
) -> None:
    monkeypatch.setenv(variable, str(authority if is_folder else authority / "ca.pem"))
    Storage(f"s3://{BUCKET}/tls").put("a", b"x")
    assert not lines.records


def test_the_ca_bundle_of_a_profile_is_trusted(
    faulty: FaultyS3, over_tls: None, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(f"[profile study]\nca_bundle = {authority / 'ca.pem'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "study")
    Storage(f"s3://{BUCKET}/tls").put("a", b"x")
    assert faulty.requests


def test_an_unknown_authority_ends_at_once_and_the_fix_names_the_variables(
    faulty: FaultyS3, over_tls: None, lines: Lines
) -> None:
    with pytest.raises(UsageError, match="certificate") as caught:
        Storage(f"s3://{BUCKET}/tls").put("a", b"x")
    for variable in VARIABLES:
        assert variable in caught.value.fix
    assert not faulty.requests
    assert not lines.records


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), (b"junk", "no certificate")])
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_bundle_without_certificates_is_refused(
    over_tls: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
    with pytest.raises(UsageError, match=f"{variable} names .*{said}"):
        Storage(f"s3://{BUCKET}/tls")
