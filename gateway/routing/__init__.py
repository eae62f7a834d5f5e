"""Which target is asked next. Pure: clocks and randomness are parameters."""
