"""Answers the questions of operators, one answer each, which every page and command prints.

Plain records, without HTML, and without any decision about mail: this room reads and changes nothing.
"""
