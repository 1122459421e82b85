"""What all tests share: private servers, the report of those that are missing, children."""

# In this order: what is imported already is no longer rewritten for its asserts.
pytest_plugins = [
    "private_servers.skipped",
    "private_servers.fixtures",
    "coverage_forks",
    "children",
]
