"""Leads: the SDK's own record operations, and what a form knows of a lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.record import (
    APIException,
    BodyWrapper,
    GetRecordsParam,
    Record,
    RecordOperations,
)

from crm_desk.crm import CrmSilent, answer_of, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

PER_PAGE = 10
BY_NUMBER = 2000
"""How many records can be paged through by number; those behind take a token of the CRM's."""


@dataclass(frozen=True)
class Field:
    """
    A field of the form.

    Args:
        name: The CRM's.
        label: For people.
        kind: Of the input element; ``textarea`` is one of several lines.
        autocomplete: What a browser may fill in.
        longest: How many characters the CRM takes.
        required: Whether the CRM insists on it.
    """

    name: str
    label: str
    kind: str = "text"
    autocomplete: str = "off"
    longest: int = 100
    required: bool = False


FIELDS = (
    Field("First_Name", "First name", longest=40),
    Field("Last_Name", "Last name", longest=80, required=True),
    Field("Company", "Company"),
    Field("Email", "E-mail", kind="email"),
    Field("Phone", "Phone", kind="tel", longest=30),
    Field("Description", "Description", kind="textarea", longest=32_000),
)
NAMES = tuple(field.name for field in FIELDS)


@dataclass(frozen=True)
class Lead:
    """One lead: its id, its name as the CRM writes it, and the values of the form's fields."""

    id: str
    full_name: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """
    Some leads.

    Args:
        leads: In the CRM's order.
        number: Which page, from 1.
        more: Whether there is another one.
        token: What the next page is asked for with, where numbers don't do. None if they do.
    """

    leads: list[Lead]
    number: int
    more: bool = False
    token: str | None = None


# Each of these is work for `Crm.as_user`, and raises what `answer_of` does.


def listed(number: int, token: str | None = None) -> Page:
    """Return a page of leads."""
    wanted = ParameterMap()
    wanted.add(GetRecordsParam.fields, ",".join(("Full_Name", *NAMES)))
    wanted.add(GetRecordsParam.per_page, PER_PAGE)
    if token:
        wanted.add(GetRecordsParam.page_token, token)
    else:
        wanted.add(GetRecordsParam.page, number)
    answer = answer_of(lambda: RecordOperations("Leads").get_records(wanted, HeaderMap()))
    if answer is None:
        return Page([], number)
    info = answer.get_info()
    needs_token = (number + 1) * PER_PAGE > BY_NUMBER
    return Page(
        [_lead(each) for each in answer.get_data()],
        number,
        more=bool(info and info.get_more_records()),
        token=info.get_next_page_token() if info and needs_token else None,
    )


def read(lead_id: int) -> Lead | None:
    """Return one lead. None if there is none of that id."""
    operations = RecordOperations("Leads")
    answer = answer_of(lambda: operations.get_record(lead_id, ParameterMap(), HeaderMap()))
    return _lead(answer.get_data()[0]) if answer else None


def created(values: Mapping[str, str]) -> None:
    """Add a lead."""
    # What is empty is not sent: a new lead has no fields to empty.
    body = _body({name: value for name, value in values.items() if value})
    _done(answer_of(lambda: RecordOperations("Leads").create_records(body, HeaderMap())))


def updated(lead_id: int, values: Mapping[str, str]) -> None:
    """Change a lead; what is empty is emptied."""
    body = _body({name: value or None for name, value in values.items()})
    operations = RecordOperations("Leads")
    _done(answer_of(lambda: operations.update_record(lead_id, body, HeaderMap())))


def deleted(lead_id: int) -> None:
    """Delete a lead."""
    operations = RecordOperations("Leads")
    _done(answer_of(lambda: operations.delete_record(lead_id, ParameterMap(), HeaderMap())))


def _lead(record: Any) -> Lead:
    values = {name: str(record.get_key_value(name) or "") for name in NAMES}
    names = (record.get_key_value("Full_Name"), values["Last_Name"], "(no name)")
    return Lead(str(record.get_id()), str(next(filter(None, names))), values)


def _body(values: Mapping[str, str | None]) -> Any:
    record = Record()
    for name, value in values.items():
        record.add_key_value(name, value)
    body = BodyWrapper()
    body.set_data([record])
    return body


def _done(answer: Any) -> None:
    """Make sure that the one record that was sent was taken."""
    if answer is None or not answer.get_data():
        raise CrmSilent("Zoho CRM did not say what became of the lead")
    [result] = answer.get_data()
    if isinstance(result, APIException):
        raise refusal(result)
