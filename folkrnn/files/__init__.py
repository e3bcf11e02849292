"""Files: where they are, written whole, kept between runs, and fetched."""
