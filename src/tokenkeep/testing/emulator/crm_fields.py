"""What the CRM says about its modules: names, fields and layouts."""

from __future__ import annotations

from typing import Any

from .records import MODULES

_FIELDS = (
    # API name, data type, JSON type, mandatory, read-only
    ("Owner", "ownerlookup", "jsonobject", False, False),
    ("Company", "text", "string", False, False),
    ("First_Name", "text", "string", False, False),
    ("Last_Name", "text", "string", True, False),
    ("Full_Name", "text", "string", False, True),
    ("Email", "email", "string", False, False),
    ("Phone", "phone", "string", False, False),
    ("Lead_Source", "picklist", "string", False, False),
    ("Description", "textarea", "string", False, False),
    ("Annual_Revenue", "currency", "double", False, False),
    ("No_of_Employees", "integer", "integer", False, False),
    ("Email_Opt_Out", "boolean", "boolean", False, False),
    ("Created_By", "ownerlookup", "jsonobject", False, True),
    ("Modified_By", "ownerlookup", "jsonobject", False, True),
    ("Created_Time", "datetime", "string", False, True),
    ("Modified_Time", "datetime", "string", False, True),
)
_SOURCES = ("-None-", "Advertisement", "Cold Call", "Web Research")


def module_of(name: str) -> dict[str, Any]:
    """What ``settings/modules`` tells about a module."""
    return {
        "api_name": name,
        "module_name": name,
        "id": str(4_150_868_000_000_000_100 + MODULES.index(name)),
        "singular_label": name.removesuffix("s"),
        "plural_label": name,
        "api_supported": True,
        "creatable": True,
        "editable": True,
        "deletable": True,
        "viewable": True,
        "generated_type": "default",
        "sequence_number": MODULES.index(name) + 1,
    }


def fields_of(module: str) -> list[dict[str, Any]]:
    """What ``settings/fields`` tells about the fields of *module*."""
    begin = 4_150_868_000_000_001_000 + 100 * MODULES.index(module)
    return [
        {
            "api_name": name,
            "id": str(begin + number),
            "field_label": name.replace("_", " "),
            "display_label": name.replace("_", " "),
            "data_type": data_type,
            "json_type": json_type,
            "system_mandatory": mandatory,
            "custom_field": False,
            "read_only": read_only,
            "visible": True,
            "length": 255,
            "pick_list_values": [
                {
                    "display_value": each,
                    "actual_value": each,
                    "id": str(begin + 50 + index),
                    "sequence_number": index + 1,
                }
                for index, each in enumerate(_SOURCES if data_type == "picklist" else ())
            ],
        }
        for number, (name, data_type, json_type, mandatory, read_only) in enumerate(_FIELDS)
    ]


def layouts_of(module: str) -> list[dict[str, Any]]:
    """What ``settings/layouts`` tells about *module*: one standard layout."""
    return [
        {
            "id": str(4_150_868_000_000_002_000 + MODULES.index(module)),
            "name": "Standard",
            "api_name": "Standard",
            "status": "active",
            "visible": True,
        }
    ]
