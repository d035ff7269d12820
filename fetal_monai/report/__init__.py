"""What a person looks at: overlays, the page of a run, and plots of training and agreement."""
