"""Puts the result of an attempt on record and moves its delivery; finds results that are missing."""
