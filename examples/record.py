"""
Read and add a lead with the official SDK: the shortest way there is.

    pip install 'tokenkeep[cli,zoho]'
    tokenkeep login                                # once: a browser opens, and you say yes
    python record.py ana@example.com:6000123       # as often as you like
"""

import sys

from zohocrmsdk.src.com.zoho.crm.api import HeaderMap, ParameterMap
from zohocrmsdk.src.com.zoho.crm.api.record import (
    BodyWrapper,
    GetRecordsParam,
    Record,
    RecordOperations,
)

from tokenkeep.integrations.zoho_sdk import SDKStore

# The store that "tokenkeep login" wrote to: TOKENKEEP_STORE, or a file of your own.
store = SDKStore()

# Your login in it. It knows which data centre it is from, so this script works in all of them.
login = store.keeper.get(user=sys.argv[1])

# A lead is a record with values; the CRM insists on a last name.
record = Record()
record.add_key_value("Last_Name", "Lovelace")
record.add_key_value("Company", "Analytical Engines")
body = BodyWrapper()
body.set_data([record])

# Reading needs to know which fields you want.
wanted = ParameterMap()
wanted.add(GetRecordsParam.fields, "Last_Name,Company")

# The token is valid at each call, renewed if it has to be; a call whose token Zoho has ended
# before its time is made once more.
with store.as_user(login.id) as call:
    leads = RecordOperations("Leads")
    # Ten at a time could be sent like this; each has an answer of its own.
    answer = call(lambda: leads.create_records(body, HeaderMap()))
    print("Added:", answer.get_object().get_data()[0].get_status().get_value())

    answer = call(lambda: leads.get_records(wanted, HeaderMap()))
    for lead in answer.get_object().get_data():
        print(
            lead.get_id(), lead.get_key_value("Last_Name"), lead.get_key_value("Company"), sep="\t"
        )
