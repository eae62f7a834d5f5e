"""One folder per wire protocol: `wire.py`, `translator.py` (upstream), `dialect.py` (downstream), `simulator.py`."""
