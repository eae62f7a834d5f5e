"""The waist: what a client asks (`turn`), what it is told (`events`), how it fails (`errors`), what is kept (`message`)."""
