"""Rows as the official SDK keeps them."""

from __future__ import annotations

from tokenkeep.moving.official_file import HEADERS

NEW, MIDDLE, OLD = (header.split(",") for header in HEADERS)
ANA = {
    "id": "1",
    "user_name": "ana@example.com:1",
    "client_id": "1000.CLIENT",
    "client_secret": "client-secret",
    "refresh_token": "1000.refresh",
    "access_token": "1000.access",
    "grant_token": "1000.grant",
    "expiry_time": "1764000000123",
    "redirect_uri": "https://example.com/back",
    "api_domain": "https://www.zohoapis.eu",
}
