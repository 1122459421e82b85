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

FIELDS = ("First_Name", "Last_Name", "Company", "Email", "Phone")
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
    answer = found(call(lambda: RecordOperations("Leads").get_records(wanted, HeaderMap())))
    if answer is None:
        return [], False
    return [values(each) for each in answer.get_data()], answer.get_info().get_more_records()


def read(call, lead_id):
    """Return one lead. None if there is none of that id."""
    operations = RecordOperations("Leads")
    answer = found(call(lambda: operations.get_record(lead_id, ParameterMap(), HeaderMap())))
    return values(answer.get_data()[0]) if answer else None


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
        taken(call(lambda: operations.create_records(body, HeaderMap())))
    else:
        taken(call(lambda: operations.update_record(lead_id, body, HeaderMap())))


def delete(call, lead_id):
    """Delete a lead."""
    operations = RecordOperations("Leads")
    taken(call(lambda: operations.delete_record(lead_id, ParameterMap(), HeaderMap())))


def values(record):
    """Return what the pages show of a record."""
    shown = {name: str(record.get_key_value(name) or "") for name in FIELDS}
    return shown | {"id": record.get_id()}


def found(response):
    """Return the object in an answer of the SDK's. None if the CRM has nothing."""
    has_nothing = response and response.get_status_code() == NO_CONTENT
    return None if has_nothing else taken(response)


def taken(response):
    """Return the object in an answer of the SDK's; what the CRM did not take is an error."""
    answer = response and response.get_object()
    if answer is None:
        raise CrmSilent
    for each in [answer] if isinstance(answer, APIException) else answer.get_data():
        if isinstance(each, APIException):
            message = each.get_message()
            text = message.get_value() if hasattr(message, "get_value") else message
            raise CrmSaid(f"{text} ({each.get_code().get_value()})")
    return answer
