"""What has ended: names of browsers, and logins."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from crm_desk.desk_file import DeskFile, digest

if TYPE_CHECKING:
    from collections.abc import Iterable

UNDER_WAY = 180.0
"""Longer than any request lasts, in seconds."""

_ENDING, _OVER = 1, 2
"""What is in ``login.ended``, besides 0: being ended, which the next login makes an end; over."""

_BEGIN = (
    "INSERT INTO login VALUES (?, 0, 0) ON CONFLICT (token_id) DO UPDATE"
    " SET since = iif(ended, max(?, since + 0.001), since), ended = 0 RETURNING since"
)
_END = (
    "INSERT INTO login VALUES (?1, 0, ?3) ON CONFLICT (token_id) DO UPDATE"
    " SET ended = max(ended, ?3) WHERE since <= ?2"
)
_GO_ON = "UPDATE login SET ended = 0 WHERE token_id = ? AND since <= ? AND ended = ?"
_IS_OVER = "SELECT 1 FROM login WHERE token_id = ? AND (since > ? OR ended = ?)"
_HAS_ENDED = "SELECT 1 FROM kept WHERE until > ? AND name IN (SELECT value FROM json_each(?))"
_LOG_OUT = (
    "INSERT OR IGNORE INTO kept SELECT ?, ?, ?"
    " WHERE EXISTS (SELECT 1 FROM kept WHERE name = ? AND until > ?)"
)


class Ends(DeskFile):
    """The last word on which sessions are worth something."""

    def end(self, browser: str, life: float) -> bool:
        """
        Note that a browser's name has ended: it has logged out, or has another name now.

        Args:
            browser: Its random name.
            life: How long copies of its cookie would be good, in seconds.

        Returns:
            Whether nobody did before: of several that end a name, one goes on from it.

        Raises:
            StoreUnavailable: That can't be noted.
        """
        facts = digest(f"ended {browser}"), time.time() + life, self.key.encrypt(b"{}")
        return bool(self.do("INSERT OR IGNORE INTO kept VALUES (?, ?, ?) RETURNING 1", *facts))

    def log_out(self, browser: str, life: float) -> None:
        """
        Note that a browser has logged out.

        Its name has ended, and so has each that comes of it: a switch or a
        login may be giving it another one at this moment. Of a name that ended
        long ago only a copy is left, from which nothing follows.

        Args:
            browser: Its random name.
            life: As for `end`.

        Raises:
            StoreUnavailable: That can't be noted.
        """
        self.end(browser, life)
        now, ended = time.time(), digest(f"ended {browser}")
        # A login under way gives out its cookie that much later.
        until = now + life + UNDER_WAY
        facts = digest(f"out {browser}"), until, self.key.encrypt(b"{}")
        self.do(_LOG_OUT, *facts, ended, now + life - UNDER_WAY)

    def has_ended(self, browser: str, before: Iterable[str] = ()) -> bool:
        """
        Tell whether a browser's name has ended.

        Args:
            browser: Its random name.
            before: What it was before; it may have logged out as one of them.

        Raises:
            StoreUnavailable: That can't be told.
        """
        names = [digest(f"ended {browser}"), *(digest(f"out {each}") for each in before)]
        return bool(self.do(_HAS_ENDED, time.time(), json.dumps(names)))

    def begin_login(self, token_id: str) -> float:
        """
        Note that somebody has logged in.

        Returns:
            Since when logins of this id are good, in epoch seconds: 0 unless
            it was ended before. Sessions with an earlier one are over.

        Raises:
            StoreUnavailable: That can't be noted.
        """
        [(since,)] = self.do(_BEGIN, token_id, time.time())
        return float(since)

    def end_login(self, token_id: str, since: float) -> None:
        """
        Note that a login was ended by its person, or by Zoho.

        It opens nothing; that it doesn't come back to life where it was in
        use, when its person logs in again anywhere, is what this is for.

        Args:
            token_id: Its id.
            since: As the session has it that noticed the end; one that is
                noticed late does not end the login after it.

        Raises:
            StoreUnavailable: That can't be noted.
        """
        self.do(_END, token_id, since, _OVER)

    def begin_to_end_login(self, token_id: str, since: float) -> None:
        """
        Note that a login is being ended: the next one of its id makes it over, in any case.

        Raises:
            StoreUnavailable: As for `end_login`, whose arguments these are.
        """
        self.do(_END, token_id, since, _ENDING)

    def go_on_with_login(self, token_id: str, since: float) -> None:
        """
        Take back that a login is being ended, unless it is over.

        Raises:
            StoreUnavailable: As for `end_login`, whose arguments these are.
        """
        self.do(_GO_ON, token_id, since, _ENDING)

    def login_since(self, token_id: str) -> float:
        """
        Return since when logins of this id are good, as `begin_login`.

        Raises:
            StoreUnavailable: That can't be told.
        """
        rows = self.do("SELECT since FROM login WHERE token_id = ?", token_id)
        return float(rows[0][0]) if rows else 0.0

    def is_over(self, token_id: str, since: float) -> bool:
        """
        Tell whether a login is over: it was ended, or another one began after it was.

        Raises:
            StoreUnavailable: That can't be told.
        """
        return bool(self.do(_IS_OVER, token_id, since, _OVER))
