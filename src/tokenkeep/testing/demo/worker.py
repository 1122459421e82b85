"""
One process of the demo: a program that works with the official SDK.

It reads a line of JSON with its settings, then one for each thing it is to
do, and answers each with a line of JSON. Settings come this way because a
process's arguments are for everybody to see. It ends with its input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap, UserSignature
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.record import (
    BodyWrapper,
    GetRecordsParam,
    Record,
    RecordOperations,
)
from zohocrmsdk.src.com.zoho.crm.api.record.field import Field

from tokenkeep.errors import TokenKeepError
from tokenkeep.integrations.zoho_sdk import SDKStore
from tokenkeep.testing.demo import inspection

if TYPE_CHECKING:
    from tokenkeep.events import Event

_WATCH_FOR = 30.0
"""How long a program waits to be refused, in seconds."""

_PAUSE = 0.02
"""How long a program waits after the CRM has refused, in seconds."""

_WARM = 10
"""After how many good readings a program that watches says so."""


class NoRecords(Exception):
    """The SDK handed back something else than records."""


class _Program:
    """
    A program with an SDK of its own; the public methods are what it can be told.

    Args:
        store: ``"tokenkeep"`` or ``"FileStore"``: the only difference there is.
        where: The URL or the path of that store.
        folder: For the SDK's log and its cache of fields.
        api_url: Of the CRM.
        token_url: Of the token endpoint.
        client_id: The application's.
        client_secret: Likewise.
    """

    def __init__(
        self,
        *,
        store: str,
        where: str,
        folder: str,
        api_url: str,
        token_url: str,
        client_id: str,
        client_secret: str,
    ) -> None:
        self._revoked_at: float | None = None
        self._store: Any = (
            FileStore(where) if store == "FileStore" else SDKStore(where, on_event=self._note)
        )
        self._folder = folder
        self._environment = DataCenter.Environment(api_url, token_url, api_url)
        # Any: the SDK says nothing of its types.
        self._client: dict[str, Any] = {"client_id": client_id, "client_secret": client_secret}

    def log_in(self, *, grant_token: str) -> dict[str, Any]:
        """Start the SDK with a grant code, as configured: a login if it is not stored yet."""
        return self._start(OAuthToken(**self._client, grant_token=grant_token))

    def resume(self, *, user: str) -> dict[str, Any]:
        """Start the SDK with a user who has logged in before, and read the leads."""
        started = self._start(OAuthToken(**self._client, user_signature=UserSignature(user)))
        return started | self.leads()

    def leads(self) -> dict[str, Any]:
        """Read the leads."""
        wanted = ParameterMap()
        wanted.add(GetRecordsParam.fields, "Last_Name,Email")
        found = _data(RecordOperations("Leads").get_records(wanted, HeaderMap()))
        return {"leads": [each.get_key_value("Last_Name") for each in found]}

    def create_lead(self, *, last_name: str) -> dict[str, Any]:
        """Create a lead."""
        record = Record()
        record.add_field_value(Field.Leads.last_name(), last_name)
        body = BodyWrapper()
        body.set_data([record])
        created = _data(RecordOperations("Leads").create_records(body, HeaderMap()))
        return {"statuses": [each.get_status().get_value() for each in created]}

    def watch(self) -> dict[str, Any]:
        """
        Read the leads again and again, until the store refuses.

        Answers twice: after some good readings, and when it was refused. A
        server's store may let a moment pass, in which the CRM refuses already.
        """
        good = 0
        last_good = 0.0
        refusal: dict[str, str] = {}
        end = time.monotonic() + _WATCH_FOR
        while time.monotonic() < end:
            begun = time.time()
            try:
                self.leads()
            except (SDKException, NoRecords) as exc:
                refusal = _described(exc)
                if isinstance(getattr(exc, "cause", None), TokenKeepError):
                    seen = {"good": good, "last_good": last_good, "refused": time.time()}
                    return seen | refusal
                time.sleep(_PAUSE)
                continue
            good, last_good = good + 1, begun
            if good == _WARM:
                _answer({"watching": True})
        return {"good": good, "last_good": last_good, "refused": None} | refusal

    def revoke(self, *, token_id: str) -> dict[str, Any]:
        """Revoke a token with `SDKStore.revoke`."""
        confirmed = self._store.revoke(token_id)
        return {"confirmed": confirmed, "acknowledged": self._revoked_at}

    def prepare(self) -> dict[str, Any]:
        """Tell what the demo has to know about the store before it begins."""
        return inspection.prepared(self._store.keeper.store)

    def inspect(self, *, token_id: str) -> dict[str, Any]:
        """Tell what is stored, as somebody without the key would see it."""
        return inspection.seen(self._store.keeper.store, token_id)

    def clean(self) -> dict[str, Any]:
        """Delete what the demo has stored."""
        return inspection.cleaned(self._store.keeper.store)

    def _start(self, token: Any) -> dict[str, Any]:
        Initializer.initialize(
            environment=self._environment,
            token=token,
            store=self._store,
            resource_path=self._folder,
            logger=Logger.get_instance(
                level=Logger.Levels.ERROR, file_path=str(Path(self._folder, "sdk.log"))
            ),
        )
        signature = token.get_user_signature()
        return {"id": token.get_id(), "user": signature and signature.get_name()}

    def _note(self, event: Event) -> None:
        if event.name == "revoked":
            self._revoked_at = event.at


def _data(response: Any) -> list[Any]:
    """Return the records of a response."""
    answer: Any = None if response is None else response.get_object()
    if answer is None or not hasattr(answer, "get_data"):
        status = "none" if response is None else response.get_status_code()
        raise NoRecords(f"the CRM's answer holds no records, its status is {status}")
    return list(answer.get_data())


def _described(error: Exception) -> dict[str, str]:
    """
    Describe an error without a secret.

    tokenkeep's own texts have none; what others say is not known, so only
    their code and their cause's class are told.
    """
    cause = getattr(error, "cause", None)
    ours = cause if isinstance(cause, TokenKeepError) else error
    if isinstance(ours, (TokenKeepError, NoRecords)):
        return {"error": type(ours).__name__, "what": str(ours)}
    told = (getattr(error, "code", None), type(cause).__name__ if cause else None)
    return {"error": type(error).__name__, "what": ", ".join(str(each) for each in told if each)}


def _answer(answer: dict[str, Any]) -> None:
    _ANSWERS.write(json.dumps(answer) + "\n")
    _ANSWERS.flush()


def _main() -> None:
    program = None
    for line in sys.stdin:
        told = json.loads(line)
        try:
            if program is None:
                program = _Program(**told)
                answer: dict[str, Any] = {"ready": True}
            else:
                answer = getattr(program, told.pop("do"))(**told)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the demo is to hear of it
            answer = _described(exc)
        _answer(answer)


if __name__ == "__main__":
    # What a library may print must not get between the answers.
    _ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _main()
