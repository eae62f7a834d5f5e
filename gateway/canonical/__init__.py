"""The waist: what a client asks (`turn`) and is told (`events`), how it fails (`errors`), what is kept (`message`)."""
