"""A server for many users on the official Zoho CRM SDK."""
