"""Measures of a head from its outline: ellipse, biometry, growth charts, and intervals that hold."""
