"""The only room that moves bytes between sockets: `core` decides, `run` drives, `upstream` and `downstream` carry."""
