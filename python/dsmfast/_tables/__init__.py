"""Tables: rows of numbers with the names of their columns, from files.

========== ==================================================================
``table``  a table, and which of its columns are asked for
``layout`` how a text file is laid out: comments, separator, header
``text``   .csv and .tsv
``arrays`` .npy and .npz
``parquet`` .parquet
``files``  which of these a file is, standard input included
========== ==================================================================
"""
