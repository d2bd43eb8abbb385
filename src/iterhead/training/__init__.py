"""The packed training loop, its flat optimizer, and the plain padded twin that tests compare them with."""
