"""What a caller hands over, and what becomes of it before anything is computed.

=========== ==============================================================================
``frames``  tables of pandas, polars and Arrow as arrays, and the names of their columns
``checks``  numbers, arrays and rows: validated, or an error that names the argument
``options`` the base of the classes that list the options of one concept
=========== ==============================================================================
"""
