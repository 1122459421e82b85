"""Where sealed records are kept: one file each, imported when used."""
