"""Keep OAuth tokens."""
