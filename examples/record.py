"""
Read and add a lead with the official SDK: the shortest way there is.

    pip install 'tokenkeep[cli,zoho]'
    tokenkeep login                                # once: a browser opens, and you say yes
    python record.py ana@example.com:6000123       # as often as you like
"""

import sys
import tempfile

from zohocrmsdk.src.com.zoho.api.authenticator import OAuthToken
from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, Initializer, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.dc import DataCenter
from zohocrmsdk.src.com.zoho.crm.api.exception import SDKException
from zohocrmsdk.src.com.zoho.crm.api.record import (
    BodyWrapper,
    GetRecordsParam,
    Record,
    RecordOperations,
)

from tokenkeep.integrations.zoho_sdk import SDKStore, is_refused

# The store that "tokenkeep login" wrote to: TOKENKEEP_STORE, or a file of your own.
store = SDKStore()

# Your login in it. It knows which data centre it is from, so this script works in all of them.
login = store.keeper.get(user=sys.argv[1])
environment = DataCenter.Environment(login.api_domain, login.issuer, login.api_domain)

# The id is all the SDK needs: it asks the store for the token at each call,
# and the store hands out one that is valid, renewing it if it has to.
token = OAuthToken(id=login.id)
Initializer.initialize(
    environment=environment,
    token=token,
    store=store,
    resource_path=tempfile.mkdtemp(),  # where the SDK notes what fields a lead has
)
leads = RecordOperations("Leads")


def with_one_retry(request):
    """Make a call; once more if Zoho has ended the access token before its time."""
    try:
        answer = request()
    except SDKException as error:
        # Before its first call the SDK asks what fields a lead has, and raises what it is told.
        if not is_refused(error):
            raise
        answer = error
    if is_refused(answer):
        store.rejected(token)
        answer = request()
    return answer


# A lead is a record with values; the CRM insists on a last name.
record = Record()
record.add_key_value("Last_Name", "Lovelace")
record.add_key_value("Company", "Analytical Engines")
body = BodyWrapper()
body.set_data([record])
# Ten at a time could be sent like this; each has an answer of its own.
answer = with_one_retry(lambda: leads.create_records(body, HeaderMap()))
print("Added:", answer.get_object().get_data()[0].get_status().get_value())

# Reading needs to know which fields you want.
wanted = ParameterMap()
wanted.add(GetRecordsParam.fields, "Last_Name,Company")
answer = with_one_retry(lambda: leads.get_records(wanted, HeaderMap()))
for lead in answer.get_object().get_data():
    print(lead.get_id(), lead.get_key_value("Last_Name"), lead.get_key_value("Company"), sep="\t")
