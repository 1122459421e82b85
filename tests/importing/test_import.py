"""What an import does with each row."""

from __future__ import annotations

import tracemalloc

import pytest
from sdk_rows import ANA, NEW, OLD

from tokenkeep import ConfigurationError, Status, Token, UnknownName

BOB = ANA | {name: f"bob's {name}" for name in ("id", "user_name", "refresh_token",
                                               "access_token", "grant_token")}  # fmt: skip
OTHER_LOGIN = {"refresh_token": "r2", "access_token": "a2", "grant_token": "g2"}


def test_new_tokens(run, store, write_csv):
    """Every row becomes a token where its API domain says it is valid."""
    sandbox = BOB | {"api_domain": "https://sandbox.zohoapis.com"}

    assert [("new", None), ("new", None)] == run(write_csv(ANA, sandbox))

    ana = store.find_token(Token(user=ANA["user_name"]))
    assert ("eu", "production") == (ana.data_center, ana.environment)
    assert "https://accounts.zoho.eu/oauth/v2/token" == ana.issuer
    assert ("1000.refresh", 1764000000.123) == (ana.refresh_token, ana.expires_at)
    bob = store.find_token(Token(user=BOB["user_name"]))
    assert ("us", "sandbox") == (bob.data_center, bob.environment)


@pytest.mark.parametrize("kind", ["write_csv", "write_db"])
def test_a_second_run_has_nothing_to_do(run, store, request, kind):
    """Running it again changes nothing, not even a version."""
    nameless = {"user_name": "", "refresh_token": "", "grant_token": "", "access_token": "alone"}
    other = BOB | OTHER_LOGIN | {"user_name": "", "id": "3"}
    path = request.getfixturevalue(kind)(ANA, BOB, other, ANA | nameless | {"id": "4"})
    assert [("new", None)] * 4 == run(path)
    before = store.get_tokens()

    assert [("already there", None)] * 4 == run(path)

    assert before == store.get_tokens()


def test_a_dry_run_writes_nothing(run, store, write_csv):
    """What would be done is said, and not done."""
    assert [("new", None)] == run(write_csv(ANA), dry_run=True)

    assert [] == store.get_tokens()


def test_another_login_is_kept(run, store, write_csv):
    """A user the store has with other tokens is skipped, unless it is to be replaced."""
    run(write_csv(ANA))
    before = store.get_tokens()
    path = write_csv(ANA | OTHER_LOGIN)

    ((action, reason),) = run(path)
    assert "skipped" == action
    assert "--replace" in reason
    assert before == store.get_tokens()

    ((action, _),) = run(path, replace=True)
    assert "update" == action
    (after,) = store.get_tokens()
    assert (before[0].id, "r2") == (after.id, after.refresh_token)


def test_a_newer_stored_access_token_is_kept(run, store, write_csv):
    """A token that was renewed since the file was written stays."""
    path = write_csv(ANA)
    run(path)
    (token,) = store.get_tokens()
    renewed = store.swap(token.but(access_token="renewed", expires_at=1764009999.0))

    assert [("already there", "the stored access token is newer")] == run(path)

    assert [renewed] == store.get_tokens()


def test_a_newer_access_token_is_taken(run, store, write_csv):
    """A token that the SDK renewed after the first import is updated."""
    run(write_csv(ANA))

    later = ANA | {"access_token": "renewed", "expiry_time": "1764009999000"}
    assert [("update", "adds access_token, expires_at")] == run(write_csv(later))

    (token,) = store.get_tokens()
    assert ("renewed", 1764009999.0) == (token.access_token, token.expires_at)


def test_what_is_missing_is_added(run, store, write_csv):
    """A stored token without a secret or a user gets them, and is still one row."""
    run(write_csv(ANA | {"user_name": "", "client_secret": ""}))

    assert [("update", "adds client_secret, user")] == run(write_csv(ANA))

    (token,) = store.get_tokens()
    assert (ANA["user_name"], "client-secret") == (token.user, token.client_secret)


@pytest.mark.parametrize("status", [Status.REVOKED, Status.LOGIN_NEEDED])
def test_the_dead_stay_dead(run, store, write_csv, status):
    """An old file does not bring back what was revoked or rejected."""
    path = write_csv(ANA)
    run(path)
    (token,) = store.get_tokens()
    store.save_token(token.but(status=status))

    assert [("already there", f"stored as {status.value}, and stays so")] == run(path)
    assert "skipped" == run(write_csv(ANA | OTHER_LOGIN))[0][0]

    assert [status] == [token.status for token in store.get_tokens()]


def test_the_last_row_of_a_user_with_a_refresh_token_counts(run, store, write_csv):
    """Of two rows of one user one is taken over, and the others name it."""
    path = write_csv(
        ANA,
        BOB,
        ANA | OTHER_LOGIN,
        ANA | {"refresh_token": "", "grant_token": "", "access_token": "a3"},
    )

    again = ("skipped", "row 4 is the same, and counts")
    assert [again, ("new", None), ("new", None), again] == run(path)

    assert "r2" == store.find_token(Token(user=ANA["user_name"])).refresh_token
    assert 2 == len(store.get_tokens())


def test_a_nameless_row_of_a_named_login_gives_way(run, store, write_csv):
    """Of one credential with and without its user, the row with the user counts."""
    path = write_csv(ANA, ANA | {"user_name": ""})

    assert [("new", None), ("skipped", "row 2 is the same, and counts")] == run(path)
    assert 1 == len(store.get_tokens())


def test_two_users_with_one_credential(run, store, write_csv):
    """A refresh token is in one row of a store: the other one is skipped, and says which."""
    path = write_csv(ANA, ANA | {"user_name": "eve", "id": "2"})

    new, (action, reason) = run(path)

    (token,) = store.get_tokens()
    assert (("new", None), "skipped") == (new, action)
    assert f"token {token.id} of {ANA['user_name']} of the store has the same" in reason
    assert store.find_token_by_id("2") is None


def test_a_refresh_token_that_was_replaced(run, store, write_csv):
    """An old file does not bring back what a later login has replaced in the store."""
    path = write_csv(ANA)
    run(path)
    later = {"user": ANA["user_name"], "client_id": ANA["client_id"], "refresh_token": "r2"}
    store.save_token(Token(**later, api_domain=ANA["api_domain"]))

    ((action, reason),) = run(path, replace=True)

    assert ("skipped", True) == (action, "had this refresh token, and has no more" in reason)
    assert ["r2"] == [token.refresh_token for token in store.get_tokens()]


def test_programs_go_on_with_their_ids(run, store, write_csv):
    """An id of the source leads to its token, be it new, known, or another login of the user."""
    run(write_csv(ANA))
    run(write_csv(ANA | {"id": "2"}))
    run(write_csv(ANA | OTHER_LOGIN | {"id": "3"}))

    (token,) = store.get_tokens()
    assert {token.id} == {store.find_token_by_id(own).id for own in (ANA["id"], "2", "3")}


def test_an_id_that_is_taken(run, store, write_csv):
    """It is told and goes on leading where it leads; the row is taken over all the same."""
    other = BOB | {"id": ANA["id"]}

    new, (action, reason) = run(write_csv(ANA, other))

    ana = store.find_token_by_id(ANA["id"])
    assert (("new", None), "new") == (new, action)
    assert f"its id leads to token {ana.id} already" == reason
    assert {ANA["user_name"], BOB["user_name"]} == {token.user for token in store.get_tokens()}


def test_where_refresh_tokens_come_from(run, store, write_csv):
    """They were given from outside, whatever grant they came of: they may be in use there."""
    run(write_csv(ANA, BOB | {"grant_token": ""}))

    assert [True, True] == [token.renewal.given for token in store.get_tokens()]


def test_older_generations_have_to_be_placed(run, store, write_csv):
    """Without an API domain nobody knows where a token is valid: it has to be said."""
    path = write_csv(ANA | {"user_mail": "ana@example.com"}, header=OLD)

    with pytest.raises(ConfigurationError, match="does not say where"):
        run(path)
    assert [] == store.get_tokens()
    with pytest.raises(UnknownName):
        run(path, data_center="mars")
    with pytest.raises(UnknownName):
        run(path, data_center="in", environment="mars")

    assert [("new", None)] == run(path, data_center="IN", environment="sandbox")
    (token,) = store.get_tokens()
    assert ("in", "sandbox") == (token.data_center, token.environment)
    assert "https://sandbox.zohoapis.in" == token.api_domain
    assert "https://accounts.zoho.in/oauth/v2/token" == token.issuer


def test_a_damaged_file_is_refused_whole(run, store, write_csv):
    """Damage behind good rows is found before the first one is stored."""
    path = write_csv(ANA)
    with path.open("a") as file:
        file.write('2,"cut off')

    with pytest.raises(ConfigurationError, match="damaged"):
        run(path)

    assert [] == store.get_tokens()


def test_many_rows_stream(tmp_path, store):
    """Memory does not grow with the number of rows: judging 5,000 takes less than 2 MB."""
    from tokenkeep.moving import Importer, open_source

    path = tmp_path / "many.csv"
    with path.open("w") as file:
        file.write(",".join(NEW) + "\n")
        for n in range(5_000):
            file.write(f"{n},user {n},c,s,r{n},a{n},,,,https://www.zohoapis.com\n")
    importer = Importer(open_source(path), store)
    tracemalloc.start()

    counted = sum(step.action.value == "new" for step in importer.plan())

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 5_000 == counted
    assert peak < 2_000_000
