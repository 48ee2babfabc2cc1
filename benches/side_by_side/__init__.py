"""Side-by-side measurement of blemish and its peers; see ../run.py."""
