"""The commands, one module for each: ``add`` adds a command to the parser."""
