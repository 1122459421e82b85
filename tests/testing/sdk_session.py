"""
Log in and work with leads through an official SDK, as a script of its own.

Arguments: accounts token URL, API URL, folder for the SDK's files. The client and
the grant code come from the environment. Prints what it saw as JSON.
"""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

try:
    import zohocrmsdk
except ModuleNotFoundError as missing:
    # Generation 5_0 loads its MySQL driver even for a FileStore; it is not installed here.
    if missing.name != "mysql":
        raise
    for name in [each for each in sys.modules if each.startswith("zohocrmsdk")]:
        del sys.modules[name]
    driver = ModuleType("mysql.connector")
    driver.Error = Exception
    sys.modules |= {"mysql": ModuleType("mysql"), "mysql.connector": driver}
    import zohocrmsdk

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.api.authenticator.store import FileStore
from zohocrmsdk.src.com.zoho.api.logger import Logger
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.record import (
    BodyWrapper,
    DeleteRecordsParam,
    GetRecordsParam,
    Record,
    RecordOperations,
)
from zohocrmsdk.src.com.zoho.crm.api.record.field import Field
from zohocrmsdk.src.com.zoho.crm.api.util import Choice

token_url, api_url, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])


def log_in():
    addresses = (api_url, token_url, api_url)
    try:
        environment = DataCenter.Environment(*addresses)
    except TypeError:
        # Generation 5_0 wants a name as well.
        environment = DataCenter.Environment(*addresses, "emulator")
    token = OAuthToken(
        client_id=os.environ["CLIENT_ID"],
        client_secret=os.environ["CLIENT_SECRET"],
        grant_token=os.environ["GRANT"],
    )
    store = FileStore(str(folder / "tokens.csv"))
    log = Logger.get_instance(level=Logger.Levels.INFO, file_path=str(folder / "sdk.log"))
    Initializer.initialize(
        environment=environment,
        token=token,
        store=store,
        resource_path=str(folder),
        logger=log,
    )
    signature = store.get_tokens()[0].get_user_signature()
    return signature and signature.get_name()


def names(response):
    return [record.get_key_value("Last_Name") for record in response.get_object().get_data()]


def statuses(response):
    return [answer.get_status().get_value() for answer in response.get_object().get_data()]


def body(**values):
    record = Record()
    for name, value in values.items():
        record.add_key_value(name, value)
    wrapper = BodyWrapper()
    wrapper.set_data([record])
    return wrapper


def work(leads, wanted):
    """Create, change, read and delete."""
    seen = {}
    record = Record()
    record.add_field_value(Field.Leads.last_name(), "Newton")
    record.add_field_value(Field.Leads.lead_source(), Choice("Web Research"))
    new = BodyWrapper()
    new.set_data([record])
    created = leads.create_records(new, HeaderMap())
    seen["created"] = statuses(created)
    lead = int(created.get_object().get_data()[0].get_details()["id"])
    seen["updated"] = statuses(leads.update_record(lead, body(Last_Name="Renamed"), HeaderMap()))
    seen["read"] = names(leads.get_record(lead, ParameterMap(), HeaderMap()))
    up = body(Last_Name="Upserted", Email="up@example.com")
    seen["upserted"] = statuses(leads.upsert_records(up, HeaderMap()))
    seen["deleted"] = statuses(leads.delete_record(lead, ParameterMap(), HeaderMap()))
    left = leads.get_records(wanted, HeaderMap()).get_object().get_data()
    ids = ParameterMap()
    ids.add(DeleteRecordsParam.ids, ",".join(str(each.get_id()) for each in left[1:]))
    seen["deleted_many"] = statuses(leads.delete_records(ids, HeaderMap()))
    seen["left"] = names(leads.get_records(wanted, HeaderMap()))
    return seen


def main():
    seen = {"sdk": str(Path(zohocrmsdk.__file__).parents[1]), "user": log_in()}
    wanted = ParameterMap()
    wanted.add(GetRecordsParam.fields, "Last_Name,Email,Created_Time,Owner")
    try:
        leads = RecordOperations("Leads")
    except TypeError:
        # In generation 5_0 the module goes with every call; listing is enough here.
        seen["listed"] = names(RecordOperations().get_records("Leads", wanted, HeaderMap()))
    else:
        seen["listed"] = names(leads.get_records(wanted, HeaderMap()))
        seen |= work(leads, wanted)
    print(json.dumps(seen))  # noqa: T201 - how the test hears of it


main()
