"""What `make bench` runs: capwrap, the native run, the machine's floor and the peers, interleaved (`python -m bench`).

programs/        C: the loops, the clock that times a command, the bare tracer that is the floor
contestants.py   who runs a command: native, floor, capwrap, each peer that is here and works
workloads.py     what is run, and the aim of each row
runner.py        the interleaved rounds, and capwrap's stops
statistics.py    medians, paired ratios, spreads: arithmetic only
table.py         the text that a person reads, and the JSON
"""
