"""The CRM: who is let in, and records."""

import pytest
import requests


@pytest.fixture
def token(zoho):
    return zoho.access_token()


def data(**values):
    return {"json": {"data": [values]}}


def listed(app, token, url=None, **params):
    response = app.crm("Leads", token, url=url, params={"fields": "Last_Name"} | params)
    return [each["Last_Name"] for each in response.json()["data"]]


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("settings/fields?module=leads", "GET", None),
        ("settings/fields?module=Nope", "GET", "INVALID_MODULE"),
        ("settings/modules", "GET", "INVALID_URL_PATTERN"),
        ("Nope", "GET", "INVALID_MODULE"),
        ("Leads/upsert", "POST", "INVALID_URL_PATTERN"),
    ],
)
def test_what_there_is(app, token, path, method, code):
    """What is not here is an error that says so, not an empty answer."""
    assert code == app.code(path, token, method=method)


def test_write_errors_are_per_record(app, token):
    """One bad record does not stop the others."""
    body = {"data": [{"Last_Name": "Good"}, {"First_Name": "Nameless"}]}
    made = app.crm("Leads", token, "POST", json=body)
    gone = app.crm("Leads", token, "DELETE", params={"ids": "1"})

    assert made.status_code == 202
    assert [each["code"] for each in made.json()["data"]] == ["SUCCESS", "MANDATORY_NOT_FOUND"]
    assert gone.json()["data"][0]["code"] == "INVALID_DATA"


@pytest.mark.parametrize("body", ["", "[]", '{"data": {}}', '{"data": [1]}', '{"data": []}'])
def test_bad_body(app, token, body):
    """A body that holds no records is an error."""
    assert app.code("Leads", token, method="POST", data=body) == "INVALID_DATA"


def test_paging(app, token, zoho):
    """Pages follow by number until more_records is false."""
    first = app.crm("Leads", token, params={"fields": "Last_Name", "per_page": 2}).json()

    assert first["info"]["more_records"]
    assert [each["Last_Name"] for each in first["data"]] == ["Dietz", "Castro"]
    assert listed(app, token, per_page=2, page=2) == ["Boyle"]
    zoho.records().clear()
    assert app.crm("Leads?fields=id", token).status_code == 204
    lead = zoho.add_lead(zoho.user, Last_Name="Newton")
    assert zoho.records()[lead]["Full_Name"] == "Newton"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("page=1", "REQUIRED_PARAM_MISSING"),
        ("fields=id&page=x", "INVALID_DATA"),
        ("fields=id&per_page=201", "INVALID_DATA"),
        ("fields=id&page=11", "DISCRETE_PAGINATION_LIMIT_EXCEEDED"),
    ],
)
def test_bad_list(app, token, query, code):
    """A list must say which fields it wants; pages that can't be are errors."""
    assert code == app.code(f"Leads?{query}", token)


def test_places_are_apart(app, token, zoho):
    """Environments, data centres and organisations have their own tokens and records."""
    sandbox = zoho.access_token(environment="sandbox")
    stranger = zoho.access_token(zoho.add_user("bo@example.com", zgid="77"))
    app.crm("Leads", stranger, "POST", **data(Last_Name="Secret"))

    assert listed(app, sandbox, url=zoho.us.sandbox_url) == ["Sandbox"]
    assert app.code("org", sandbox) == "INVALID_TOKEN"
    assert app.code("org", token, url=zoho.us.developer_url) == "INVALID_TOKEN"
    assert app.code("org", token, url=zoho.eu.api_url) == "INVALID_TOKEN"
    assert "Secret" in listed(app, stranger)
    assert "Secret" not in listed(app, token)


def test_not_let_in(app, token, zoho):
    """After its life, or by another scheme, it is INVALID_TOKEN; in all versions."""
    at = f"{zoho.us.api_url}/crm/v2/org"
    given = {"Authorization": f"Zoho-oauthtoken {token}"}
    assert requests.get(at, headers=given, timeout=20).status_code == 200
    nobody = requests.get(at, timeout=20)
    assert (nobody.status_code, nobody.json()["code"]) == (401, "AUTHENTICATION_FAILURE")
    assert app.code("org", token, scheme="Bearer") == "INVALID_TOKEN"
    zoho.clock.advance(3601)
    response = app.crm("org", token)

    assert response.status_code == 401
    assert response.json() == {
        "code": "INVALID_TOKEN",
        "details": {},
        "message": "invalid oauth token",
        "status": "error",
    }


@pytest.mark.parametrize(
    ("scope", "method", "path", "allowed"),
    [
        ("ZohoCRM.org.READ", "GET", "org", True),
        ("ZohoCRM.users.READ", "GET", "org", False),
        ("ZohoCRM.modules.ALL", "DELETE", "Leads?ids=1", True),
        ("zohocrm.modules.leads.read", "GET", "Leads?fields=id", True),
        ("ZohoCRM.modules.leads.READ", "DELETE", "Leads?ids=1", False),
        ("ZohoCRM.modules.contacts.ALL", "GET", "Leads?fields=id", False),
        ("ZohoCRM.modules.WRITE", "POST", "Leads", True),
        ("ZohoCRM.org.READ ZohoCRM.settings.ALL", "GET", "settings/fields?module=Leads", True),
    ],
)
def test_scopes(app, scope, method, path, allowed):
    """A call needs a scope that covers it."""
    response = app.crm(path, app.zoho.access_token(scope=scope), method)

    assert allowed == (response.status_code != 401)
    assert allowed == ("OAUTH_SCOPE_MISMATCH" not in response.text)
