"""tokenkeep inside other libraries: one file each, imported by name."""
