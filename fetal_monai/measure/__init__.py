"""Measures of a head from its mask: the ellipse, its sizes, growth charts, and intervals that hold what they say."""
