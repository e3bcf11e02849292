"""Between ABC as people write it, folk-rnn's tokens and scores: parse, transpose to C, tokenise; bars; engraving."""
