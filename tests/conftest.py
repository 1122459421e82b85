"""What all tests share: the private servers, and the report of those that are missing."""

# In this order: what is imported already is no longer rewritten for its asserts.
pytest_plugins = ["private_servers.skipped", "private_servers.fixtures", "coverage_forks"]
