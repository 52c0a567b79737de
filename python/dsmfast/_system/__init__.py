"""What surrounds the mathematics: this build, optional packages, files and the terminal.

============ ==============================================================================
``build``    how this copy was built, and the instruction set that it uses
``extras``   optional packages, imported when they are needed
``files``    files that are written aside and renamed, with checksums
``progress`` a bar on a terminal, or lines elsewhere
============ ==============================================================================
"""
