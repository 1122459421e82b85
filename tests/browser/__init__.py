"""The sample application in a real browser."""
