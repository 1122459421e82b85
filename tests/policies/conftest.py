"""Stages for policies; see policy_stage.py."""

from __future__ import annotations

import pytest
from policy_stage import Stage


@pytest.fixture
def stage():
    return Stage()
