"""The sample application in a real browser; a package, for fixtures that are one for all of it."""
