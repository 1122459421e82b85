"""The CRM: who is let in, and records."""

import pytest


@pytest.fixture
def token(zoho):
    return zoho.access_token()


def listed(app, token, url=None, **params):
    response = app.crm("Leads", token, url=url, params=params)
    return [each["Last_Name"] for each in response.json()["data"]]


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("users?type=CurrentUser", "GET", None),
        ("settings/fields?module=leads", "GET", None),
        ("settings/fields?module=Nope", "GET", "INVALID_URL_PATTERN"),
        ("settings/modules", "GET", "INVALID_URL_PATTERN"),
        ("Nope", "GET", "INVALID_URL_PATTERN"),
        ("a/b/c", "GET", "INVALID_URL_PATTERN"),
        ("Leads", "DELETE", "INVALID_URL_PATTERN"),
        ("Leads/1", "GET", None),
        ("Leads/1", "DELETE", "INVALID_DATA"),
    ],
)
def test_what_there_is(app, token, path, method, code):
    """What is not here is an error that says so, not an empty answer."""
    assert code == app.code(path, token, method=method)


@pytest.mark.parametrize("body", ["", "[]", '{"data": {}}', '{"data": [1]}', '{"data": []}'])
def test_bad_body(app, token, body):
    """A body that holds no records is an error."""
    assert app.code("Leads", token, method="POST", data=body) == "INVALID_DATA"


def test_records(app, token, zoho):
    """A lead is made, read, changed and deleted; one without a name is refused."""
    made = app.crm("Leads", token, "POST", json={"data": [{"Last_Name": "Newton"}]})
    [lead] = [each["details"]["id"] for each in made.json()["data"]]
    changed = app.crm(f"Leads/{lead}", token, "PUT", json={"data": [{"Email": "n@example.com"}]})

    assert (made.status_code, changed.status_code) == (201, 200)
    wanted = {"id": lead, "Last_Name": "Newton", "Email": "n@example.com"}
    assert app.crm(f"Leads/{lead}", token).json()["data"] == [wanted] == [zoho.records()[lead]]
    assert app.code(f"Leads/{lead}", token, method="DELETE") is None
    assert lead not in zoho.records()
    nameless = {"data": [{"First_Name": "Isaac"}]}
    assert app.code("Leads", token, method="POST", json=nameless) == "MANDATORY_NOT_FOUND"


def test_paging(app, token, zoho):
    """Pages follow by number until more_records is false."""
    first = app.crm("Leads", token, params={"fields": "Last_Name", "per_page": 2}).json()

    assert first["info"]["more_records"]
    assert [[*each] for each in first["data"]] == [["Last_Name", "id"]] * 2
    assert [each["Last_Name"] for each in first["data"]] == ["Dietz", "Castro"]
    assert listed(app, token, per_page=2, page=2) == ["Boyle"]
    zoho.records().clear()
    assert app.crm("Leads", token).status_code == 204
    zoho.add_lead(zoho.user, Last_Name="Newton")
    assert listed(app, token) == ["Newton"]


def test_places_are_apart(app, token, zoho):
    """Environments, data centres and organisations have their own tokens and records."""
    in_sandbox = zoho.refresh_token(environment="sandbox")
    sandbox = zoho.access_token(refresh_token=in_sandbox)
    stranger = zoho.access_token(zoho.add_user("bo@example.com", zgid="77"))
    app.crm("Leads", stranger, "POST", json={"data": [{"Last_Name": "Secret"}]})

    assert listed(app, sandbox, url=zoho.us.sandbox_url) == ["sandbox"]
    assert app.code("org", sandbox) == "INVALID_TOKEN"
    assert app.code("org", token, url=zoho.us.developer_url) == "INVALID_TOKEN"
    assert app.code("org", token, url=zoho.eu.api_url) == "INVALID_TOKEN"
    assert "Secret" in listed(app, stranger)
    assert "Secret" not in listed(app, token)


def test_not_let_in(app, token, zoho):
    """Without a token, by another scheme, after its life: 401, and why."""
    assert app.crm("org", token).status_code == 200
    assert app.code("org", "") == "INVALID_TOKEN"
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
