"""AWS out of reach, no credentials or permission: a named error, in time, without a secret."""

from __future__ import annotations

import logging
import socket
import threading
import time
import traceback
from contextlib import contextmanager, suppress

import pytest
from aws_proxy import HANGING, refusal, with_options
from aws_records import found, own, row
from private_servers.ports import free_port
from reported import reported

from tokenkeep import ConfigurationError, StoreUnavailable
from tokenkeep.backends import open_backend
from tokenkeep.testing._contract_workers import digits

pytestmark = pytest.mark.usefixtures("aws")  # its credentials

SCHEMES = {"secretsmanager": "aws-secretsmanager", "dynamodb": "dynamodb"}
READING = {"secretsmanager": "GetSecretValue", "dynamodb": "GetItem"}
WRITING = {"secretsmanager": "CreateSecret", "dynamodb": "TransactWriteItems"}


@pytest.fixture(params=SCHEMES)
def service(request):
    return request.param


def at(service, endpoint, **options):
    url = f"{SCHEMES[service]}://eu-central-1/tokens"
    return open_backend(with_options(url, endpoint_url=endpoint, **options))


def in_time(backend, seconds):
    """Read, which must fail, and soon enough; return what is said."""
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        backend.read(row().id)
    assert time.monotonic() - began < seconds
    backend.close()
    return str(caught.value)


# Out of reach


def test_nobody_listens(service):
    """A closed port is named, soon."""
    port = free_port()

    said = in_time(at(service, f"http://127.0.0.1:{port}", timeout=1), 3)

    assert f"http://127.0.0.1:{port} can't be reached" in said
    assert "Check the region, endpoint_url and the network" in said


def test_no_such_host(service):
    """So is an address that nobody knows, as of a region that does not exist."""
    said = in_time(at(service, "http://secretsmanager.nowhere-1.invalid", timeout=1), 10)

    assert "secretsmanager.nowhere-1.invalid" in said


@contextmanager
def serving(answer):
    """Yield the address of a server that answers each client in its own way."""
    stop = threading.Event()

    def serve(server):
        server.settimeout(0.1)
        while not stop.is_set():
            with suppress(OSError), server.accept()[0] as client:
                answer(client, stop)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stop.set()
        thread.join()


def silent(_, stop):
    stop.wait()


def dripping(client, stop):
    """Each byte comes in time, and the answer never: boto3 alone would wait for ever."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not stop.wait(0.2):
        client.sendall(b" ")


def of_another_kind(client, _):
    client.recv(65536)
    client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (silent, "did not answer"),
        (dripping, "did not answer within 1.5 s"),
        (of_another_kind, "is {} its address?"),
    ],
)
def test_a_server_that_is_not_aws(service, answer, said):
    """A server that takes the request, and never or wrongly answers, is given up and named."""
    with serving(answer) as endpoint:
        text = in_time(at(service, endpoint, timeout=1.5, read_timeout=1), 5)

    assert said.format(endpoint) in text


def test_writes_end_in_time_too(watched, proxy, service):
    """However many requests a write takes, their time together is bounded."""
    proxy.faults[WRITING[service]] = (HANGING,)
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match="did not answer"):
        watched.write(own(), replaces=None)

    assert time.monotonic() - began < 5


# Credentials


def test_no_credentials(backend, monkeypatch):
    """Without credentials the error says where they may come from."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    backend.close()

    said = in_time(backend, 10)

    assert "There are no AWS credentials (NoCredentialsError)" in said
    assert "AWS_ACCESS_KEY_ID" in said


def test_half_a_credential(url, monkeypatch):
    """One half of a pair is no credential, and is told when the store is opened."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StoreUnavailable, match="PartialCredentialsError"):
        open_backend(url)


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("ExpiredTokenException", "", "credentials have expired"),
        ("UnrecognizedClientException", "", "credentials are not known"),
        ("InvalidSignatureException", "", "this machine's clock"),
        ("OptInRequired", "", "no access to this service"),
        ("KMSAccessDeniedException", "", "KMS key can't be used"),
        ("InternalServerError", "", "failed at AWS"),
        ("AccessDeniedException", "", "AWS denied {}"),
        ("AccessDeniedException", "Access to KMS is not allowed",
         "kms:Decrypt and kms:GenerateDataKey"),
    ],
)  # fmt: skip
def test_refused(watched, proxy, service, code, message, said):  # noqa: PLR0917
    """What is wrong is said, and for which action; a KMS key is told from a missing permission."""
    status = 500 if code.startswith("Internal") else 400
    proxy.faults[READING[service]] = (refusal(code, message, status),)
    action = f"{service}:{READING[service]}"

    with pytest.raises(StoreUnavailable, match=said.format(action)) as caught:
        watched.read(row().id)

    assert action in str(caught.value)


def test_denied(watched, proxy, service):
    """The permission that is missing is named: AWS's own word for it, if it has one."""
    # DynamoDB asks for other permissions than that of the request.
    missing = {"secretsmanager": "secretsmanager:TagResource", "dynamodb": "dynamodb:PutItem"}
    message = (
        "User: arn:aws:sts::123456789012:assumed-role/app/i is not authorized to perform: "
        f"{missing[service]} on resource: x because no identity-based policy allows the action"
    )
    proxy.faults[WRITING[service]] = (refusal("AccessDeniedException", message),)

    with pytest.raises(StoreUnavailable) as caught:
        watched.write(own(), replaces=None)

    assert f"AWS denied {missing[service]}. Allow {missing[service]}" in str(caught.value).replace(
        f" (token {own().id})", ""
    )
    assert "123456789012" not in str(caught.value)


# What must not be said


def test_aws_is_not_quoted(watched, proxy, service):
    """AWS may repeat what it was sent; the error, its causes and the log do not."""
    message = "Value 'c2VhbGVk' at 'x' failed to satisfy constraint"
    proxy.faults[WRITING[service]] = (refusal("ValidationException", message),)

    with pytest.raises(StoreUnavailable) as caught:
        watched.write(own(sealed=b"sealed so that nobody reads it"), replaces=None)

    said = "".join(traceback.format_exception(caught.value))
    assert "c2VhbGVk" not in said


def test_nothing_is_logged(watched, caplog, aws):
    """At the levels people log at, neither a value nor a credential is there to be read."""
    caplog.set_level(logging.INFO)
    watched.write(own(user="ana", sealed=b"sealed so that nobody"), replaces=None)
    watched.write(own(version="2", sealed=b"sealed so that nobody"), replaces=digits("1"))
    found(watched, "user", "ana")
    watched.delete(own().id)

    assert "c2VhbGVk" not in caplog.text
    assert aws.password not in caplog.text


def test_no_password_of_the_endpoint(service):
    """A password in endpoint_url is not shown, nor one in what is no URL at all."""
    backend = at(service, "http://ana:hunter2@127.0.0.1:1", timeout=1)

    assert "hunter2" not in backend.describe()
    with pytest.raises(StoreUnavailable) as caught:
        backend.read(row().id)
    assert "hunter2" not in reported(caught.value)
    backend.close()
    for endpoint in ("http://ana:hunter2@[", "ana:hunter2@nowhere"):
        with pytest.raises(ConfigurationError) as caught:
            at(service, endpoint)
        assert "hunter2" not in reported(caught.value)


# Configuration


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("///tokens", "No AWS region is set"),
        ("//no region/tokens", "no region's name"),
        ("//eu-central-1/tokens?profile=nobody", "not in the configuration files"),
        ("//eu-central-1/tokens?endpoint_url=nowhere", "endpoint_url is no URL"),
        ("//eu-central-1/tokens?timeout=0", "timeout is a number of seconds"),
        ("//eu-central-1/tokens?read_timeout=1e9", "read_timeout is a number of seconds"),
        ("//eu-central-1/tokens?max_attempts=0", "max_attempts is a number"),
        ("//eu-central-1/tokens?retries=5", "no option 'retries'"),
        ("//ana:hunter2@eu-central-1/tokens", "no user, password or port"),
        ("//eu-central-1:443/tokens", "no user, password or port"),
        ("tokens", "two slashes"),
        ("//eu-central-1/to kens", "name"),
    ],
)
def test_wrong_configuration(service, monkeypatch, place, said):
    """What can't be meant is refused before anything is asked, and the next opening is as new."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(ConfigurationError, match=said) as caught:
        open_backend(f"{SCHEMES[service]}:{place}")

    assert "hunter2" not in str(caught.value)
    open_backend(f"{SCHEMES[service]}://eu-central-1/tokens").close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("dynamodb://r/tokens?create=1", "is true or false"),
        ("aws-secretsmanager://r/t?force_delete=yes", "is true or false"),
        ("dynamodb://r/a", "no name of a DynamoDB table"),
        ("dynamodb://r/a b c", "no name of a DynamoDB table"),
        ("dynamodb://r/tokens?prefix=", "1 to 64 letters"),
        ("dynamodb://r/tokens?prefix=a%23b", "1 to 64 letters"),
        ("aws-secretsmanager://r//tokens", "prefix of a secret's name"),
        ("aws-secretsmanager://r/tokens/", "prefix of a secret's name"),
        ("aws-secretsmanager://r/a b", "prefix of a secret's name"),
        ("aws-secretsmanager://r/" + "x" * 257, "prefix of a secret's name"),
        ("aws-secretsmanager://r/t?recovery_window=6", "from 7 to 30"),
        ("aws-secretsmanager://r/t?recovery_window=31", "from 7 to 30"),
    ],
)
def test_wrong_options(url, said):
    """What AWS would refuse is refused before anything is asked."""
    with pytest.raises(ConfigurationError, match=said):
        open_backend(url)


def test_the_region_of_the_environment(service, monkeypatch):
    """Without a region in the URL it is boto3's own."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")

    backend = open_backend(f"{SCHEMES[service]}:///tokens")

    assert f"https://{service}.ap-south-1.amazonaws.com" in backend.describe()


def test_no_two_stores_have_the_same_name(service):
    """The journal of a host is named after it: by region, address, name and profile."""
    places = [
        at(service, "http://127.0.0.1:1"),
        at(service, "http://127.0.0.1:2"),
        open_backend("dynamodb://eu-west-1/tokens"),
        open_backend("dynamodb://eu-west-2/tokens"),
        open_backend("dynamodb://eu-west-1/tokens2"),
        open_backend("dynamodb://eu-west-1/tokens?prefix=other"),
        open_backend("aws-secretsmanager://eu-west-1/tokens"),
        open_backend("aws-secretsmanager://eu-west-1"),
    ]

    assert len(places) == len({each.describe() for each in places})
