"""What programs on the official SDK do alike, whatever generation it is of."""

from __future__ import annotations

import inspect

from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.record import GetRecordsParam, RecordOperations


def environment_of(api_url, token_url):
    # Generation 5_0 wants a name as well.
    addresses = (api_url, token_url, api_url, "emulator")
    return DataCenter.Environment(*addresses[: _arguments_of(DataCenter.Environment)])


def leads():
    """Read the leads."""
    wanted = ParameterMap()
    wanted.add(GetRecordsParam.fields, "Last_Name")
    if _arguments_of(RecordOperations):
        return RecordOperations("Leads").get_records(wanted, HeaderMap())
    return RecordOperations().get_records("Leads", wanted, HeaderMap())


def _arguments_of(kind):
    return len(inspect.signature(kind.__init__).parameters) - 1
