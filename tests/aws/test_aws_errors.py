"""AWS out of reach, no credentials or permission: a named error, in time, without a secret."""

from __future__ import annotations

import logging
import socket
import threading
import time
import traceback

import pytest
from aws_proxy import HANGING, refusal, with_options
from aws_records import found, own, row
from private_servers.ports import free_port
from reported import reported

from tokenkeep import ConfigurationError, StoreUnavailable
from tokenkeep.backends import open_backend
from tokenkeep.testing._contract_workers import digits

pytestmark = pytest.mark.usefixtures("aws")  # its credentials

SERVICES = ("secretsmanager", "dynamodb")
READING = {"secretsmanager": "GetSecretValue", "dynamodb": "GetItem"}
WRITING = {"secretsmanager": "CreateSecret", "dynamodb": "TransactWriteItems"}


@pytest.fixture(params=SERVICES)
def service(request):
    return request.param


@pytest.fixture
def url(aws, service):
    """A place that is there."""
    url = aws.url(service)
    open_backend(url).close()
    return url.replace("&create=true", "")


@pytest.fixture
def watched(url, proxy):
    watched = open_backend(with_options(proxy.of(url), timeout=3, read_timeout=1))
    yield watched
    watched.close()


def at(service, endpoint, **options):
    scheme = "aws-secretsmanager" if service == "secretsmanager" else service
    return open_backend(
        with_options(f"{scheme}://eu-central-1/tokens", endpoint_url=endpoint, **options)
    )


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


def test_never_an_answer(service):
    """A server that takes the request and says nothing is given up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        said = in_time(at(service, endpoint, timeout=1.5, read_timeout=1), 4)

    assert "did not answer" in said


def test_an_answer_that_drips(service):
    """Each byte comes in time, and the answer never: boto3 alone would wait for ever."""
    stop = threading.Event()

    def drip(server):
        server.settimeout(10)
        client, _ = server.accept()
        with client:
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not stop.wait(0.2):
                try:
                    client.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        said = in_time(at(service, endpoint, timeout=1.5, read_timeout=1), 4)
        stop.set()
        thread.join()

    assert "did not answer within 1.5 s" in said


def test_writes_end_in_time_too(watched, proxy, service):
    """However many requests a write takes, their time together is bounded."""
    proxy.faults[WRITING[service]] = (HANGING,)
    began = time.monotonic()

    with pytest.raises(StoreUnavailable, match="did not answer"):
        watched.write(own(), replaces=None)

    assert time.monotonic() - began < 5


def test_a_server_of_another_kind(service):
    """Something that is not AWS is answered for by its address."""
    stop = threading.Event()

    def serve(server):
        server.settimeout(0.1)
        while not stop.is_set():
            try:
                client, _ = server.accept()
            except TimeoutError:
                continue
            with client:
                client.recv(65536)
                page = b"<html>nothing here</html>"
                client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(page))
                client.sendall(page)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        said = in_time(at(service, endpoint, timeout=2), 5)
        stop.set()
        thread.join()

    assert f"is {endpoint} its address?" in said


# Credentials


def test_no_credentials(url, monkeypatch):
    """Without credentials the error says where they may come from."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)

    said = in_time(open_backend(url), 10)

    assert "There are no AWS credentials (NoCredentialsError)" in said
    assert "AWS_ACCESS_KEY_ID" in said


def test_half_a_credential(url, monkeypatch):
    """One half of a pair is no credential, and is told when the store is opened."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(StoreUnavailable, match="PartialCredentialsError"):
        open_backend(url)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredTokenException", "credentials have expired"),
        ("UnrecognizedClientException", "credentials are not known"),
        ("InvalidSignatureException", "this machine's clock"),
        ("OptInRequired", "no access to this service"),
        ("KMSAccessDeniedException", "KMS key can't be used"),
        ("InternalServerError", "failed at AWS"),
    ],
)
def test_refused_credentials(watched, proxy, service, code, said):
    """What is wrong with them is said, and for which action."""
    status = 500 if code.startswith("Internal") else 400
    proxy.faults[READING[service]] = (refusal(code, "whatever", status),)

    with pytest.raises(StoreUnavailable, match=said) as caught:
        watched.read(row().id)

    assert f"{service}:{READING[service]}" in str(caught.value)


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


def test_denied_without_a_word(watched, proxy, service):
    """Otherwise it is that of the request."""
    proxy.faults[READING[service]] = (refusal("AccessDeniedException"),)

    with pytest.raises(StoreUnavailable, match=f"AWS denied {service}:{READING[service]}"):
        watched.read(row().id)


def test_denied_the_key(watched, proxy, service):
    """A KMS key that may not be used is told from a missing permission."""
    message = "Access to KMS is not allowed"
    proxy.faults[READING[service]] = (refusal("AccessDeniedException", message),)

    with pytest.raises(StoreUnavailable, match="kms:Decrypt and kms:GenerateDataKey"):
        watched.read(row().id)


def test_what_was_stored_stays(watched, proxy, service):
    """After a refusal everything is as it was."""
    watched.write(own(), replaces=None)
    late = {"secretsmanager": "UpdateSecretVersionStage", "dynamodb": "TransactWriteItems"}
    proxy.faults[late[service]] = [refusal("AccessDeniedException")]

    with pytest.raises(StoreUnavailable):
        watched.write(own(version="2"), replaces=digits("1"))

    assert own() == watched.read(own().id)


# What must not be said


def test_aws_is_not_quoted(watched, proxy, service):
    """AWS may repeat what it was sent; the error, its causes and the log do not."""
    sealed = b"sealed so that nobody reads it"
    message = "Value 'c2VhbGVk' at 'x' failed to satisfy constraint"
    proxy.faults[WRITING[service]] = (refusal("ValidationException", message),)

    with pytest.raises(StoreUnavailable) as caught:
        watched.write(own(sealed=sealed), replaces=None)

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
    """A password in endpoint_url is not shown."""
    backend = at(service, "http://ana:hunter2@127.0.0.1:1", timeout=1)

    assert "hunter2" not in backend.describe()
    with pytest.raises(StoreUnavailable) as caught:
        backend.read(row().id)
    assert "hunter2" not in reported(caught.value)
    backend.close()


@pytest.mark.parametrize("endpoint", ["http://ana:hunter2@[", "ana:hunter2@nowhere"])
def test_no_password_of_an_endpoint_that_is_none(service, endpoint):
    """Nor one in what is no URL at all."""
    with pytest.raises(ConfigurationError) as caught:
        at(service, endpoint)

    assert "hunter2" not in reported(caught.value)


# Configuration


@pytest.mark.parametrize(
    ("place", "environment", "said"),
    [
        ("///tokens", {}, "No AWS region is set"),
        ("//no region/tokens", {}, "no region's name"),
        ("//eu-central-1/tokens?profile=nobody", {}, "not in the configuration files"),
        ("//eu-central-1/tokens?endpoint_url=nowhere", {}, "endpoint_url is no URL"),
        ("//eu-central-1/tokens?timeout=0", {}, "timeout is a number of seconds"),
        ("//eu-central-1/tokens?read_timeout=1e9", {}, "read_timeout is a number of seconds"),
        ("//eu-central-1/tokens?max_attempts=0", {}, "max_attempts is a number"),
        ("//eu-central-1/tokens?retries=5", {}, "no option 'retries'"),
        ("//ana:hunter2@eu-central-1/tokens", {}, "no user, password or port"),
        ("//eu-central-1:443/tokens", {}, "no user, password or port"),
        ("tokens", {}, "two slashes"),
        ("//eu-central-1/to kens", {}, "name"),
    ],
)
def test_wrong_configuration(service, monkeypatch, place, environment, said):
    """What can't be meant is refused before anything is asked, with what to write instead."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    scheme = "aws-secretsmanager" if service == "secretsmanager" else service

    with pytest.raises(ConfigurationError, match=said) as caught:
        open_backend(f"{scheme}:{place}")

    assert "hunter2" not in str(caught.value)


def test_flags_are_words():
    """True or false, and nothing that could mean either."""
    for url in ("dynamodb://r/tokens?create=1", "aws-secretsmanager://r/t?force_delete=yes"):
        with pytest.raises(ConfigurationError, match="is true or false"):
            open_backend(url)


def test_the_region_of_the_environment(service, monkeypatch):
    """Without a region in the URL it is boto3's own."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    scheme = "aws-secretsmanager" if service == "secretsmanager" else service

    backend = open_backend(f"{scheme}:///tokens")

    assert f"https://{service}.ap-south-1.amazonaws.com" in backend.describe()


def test_no_two_stores_have_the_same_name(service):
    """The journal of a host is named after it: by region, address, name and profile."""
    places = [
        at(service, "http://127.0.0.1:1"),
        at(service, "http://127.0.0.1:2"),
        open_backend(f"dynamodb://{'eu-west-1'}/tokens"),
        open_backend("dynamodb://eu-west-2/tokens"),
        open_backend("dynamodb://eu-west-1/tokens2"),
        open_backend("dynamodb://eu-west-1/tokens?prefix=other"),
        open_backend("aws-secretsmanager://eu-west-1/tokens"),
        open_backend("aws-secretsmanager://eu-west-1"),
    ]

    assert len(places) == len({each.describe() for each in places})
