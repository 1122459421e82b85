"""What the sample application says of errors."""

from __future__ import annotations

import pytest

from crm_desk.crm import TOKEN_REFUSED, CrmRefused
from crm_desk.trouble import trouble_of


@pytest.mark.parametrize("code", TOKEN_REFUSED)
def test_refused_twice(code):
    """A token that was renewed and is refused again is no reason to log in again."""
    trouble = trouble_of(CrmRefused(code))

    assert ("token-refused", 503) == (trouble.name, trouble.status)
    assert trouble.retry
    assert not trouble.login
