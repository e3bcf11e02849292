"""What a run files and says of itself: inputs, weights, summary, claims, sentences, and `report.html`."""
