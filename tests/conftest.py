"""What all tests share: private servers, children."""

# In this order: what is imported already is no longer rewritten for its asserts.
pytest_plugins = [
    "private_servers.fixtures",
    "coverage_forks",
    "children",
    "receivers",
]
