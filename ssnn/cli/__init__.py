"""The commands, one file each; `commands` knows them by name."""
