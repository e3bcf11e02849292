"""Melodies as MusicVAE sees them: one voice on a grid of sixteenths, from MIDI files, tunes and scores."""
