"""How things stand: for each question of an operator one answer, which every page and command prints.

Plain records, without HTML, and without any decision about mail: this room reads and changes nothing.
"""
