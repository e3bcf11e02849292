"""Several processes at one piece of work: a pool for many small things, blocks of tunes or melodies with shards."""
