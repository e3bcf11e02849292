"""How the analyses draw what they found."""
