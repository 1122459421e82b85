"""One emulator and one desk for the tests of a file."""

from __future__ import annotations

import pytest
from desk_driver import Browser, DeskServer, calm, running

from tokenkeep.testing import ZohoEmulator


@pytest.fixture(scope="module")
def zoho_of_all():
    with ZohoEmulator(data_centers=("us", "eu")) as zoho:
        zoho.add_user("ana@example.com", data_center="us", zgid="71")
        zoho.add_user("ben@example.com", data_center="us", zgid="72")
        zoho.add_user("eva@example.eu", data_center="eu", zgid="73")
        yield zoho


@pytest.fixture(scope="module")
def desk_of_all(zoho_of_all, tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    with running(DeskServer(zoho_of_all, folder, workers=2)) as desk:
        yield desk


@pytest.fixture
def zoho(zoho_of_all):
    calm(zoho_of_all)
    yield zoho_of_all
    calm(zoho_of_all)


@pytest.fixture
def desk(desk_of_all, zoho):  # noqa: ARG001  # as it is at the start of a test
    return desk_of_all


@pytest.fixture
def browser(desk):
    return Browser(desk)
