"""Leads: the SDK's own record operations."""

from __future__ import annotations

from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.record import (
    APIException,
    BodyWrapper,
    GetRecordsParam,
    Record,
    RecordOperations,
)

FIELDS = {
    "First_Name": "First name",
    "Last_Name": "Last name",
    "Company": "Company",
    "Email": "E-mail",
    "Phone": "Phone",
}
PER_PAGE = 10
NO_CONTENT = 204


class CrmSaid(Exception):
    """Zoho CRM answered no; the text is for people."""


class CrmSilent(Exception):
    """Zoho CRM sent something that is no answer."""


# Each of these lets *call*, which `SDKStore.as_user` yields, make the SDK's calls.


def listed(call, number):
    """Return a page of leads, and whether there is another one."""
    wanted = ParameterMap()
    wanted.add(GetRecordsParam.fields, ",".join(FIELDS))
    wanted.add(GetRecordsParam.per_page, PER_PAGE)
    wanted.add(GetRecordsParam.page, number)
    answer = answered(call(lambda: RecordOperations("Leads").get_records(wanted, HeaderMap())))
    if answer is None:
        return [], False
    return [values(each) for each in answer.get_data()], answer.get_info().get_more_records()


def read(call, lead_id):
    """Return one lead. None if there is none of that id."""
    operations = RecordOperations("Leads")
    answer = call(lambda: operations.get_record(lead_id, ParameterMap(), HeaderMap()))
    found = answered(answer)
    return values(found.get_data()[0]) if found else None


def save(call, lead):
    """Change a lead, or add one that has no id yet."""
    lead_id = lead.get("id")
    record = Record()
    for name in FIELDS:
        # A new lead has nothing to empty.
        if lead_id is not None or lead[name]:
            record.add_key_value(name, lead[name] or None)
    body = BodyWrapper()
    body.set_data([record])
    operations = RecordOperations("Leads")
    if lead_id is None:
        done(call(lambda: operations.create_records(body, HeaderMap())))
    else:
        done(call(lambda: operations.update_record(lead_id, body, HeaderMap())))


def delete(call, lead_id):
    """Delete a lead."""
    operations = RecordOperations("Leads")
    done(call(lambda: operations.delete_record(lead_id, ParameterMap(), HeaderMap())))


def values(record):
    """Return what the pages show of a record."""
    shown = {name: str(record.get_key_value(name) or "") for name in FIELDS}
    return shown | {"id": record.get_id()}


def answered(response):
    """Return the object in an answer of the SDK's. None if the CRM has nothing."""
    answer = response and response.get_object()
    if answer is None and (response is None or response.get_status_code() != NO_CONTENT):
        raise CrmSilent
    return taken(answer)


def done(response):
    """Make sure that the one record that was sent was taken."""
    answer = answered(response)
    if answer is None:
        raise CrmSilent
    taken(*answer.get_data())


def taken(answer):
    if isinstance(answer, APIException):
        message = answer.get_message()
        text = getattr(message, "get_value", lambda: message)()
        raise CrmSaid(f"{text} ({answer.get_code().get_value()})")
    return answer
