"""CRM desk: for many users in many data centres, on the official SDK and tokenkeep."""
