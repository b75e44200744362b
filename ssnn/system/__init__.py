"""Files, signals, processes, the machine and its clock: what no maths needs."""
