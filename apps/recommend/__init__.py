"""Recommendation: what a person had, in order, goes in; a ranked list of what comes next, without what they had, out;
and a second app of the same tables, `rate`: a person and an item in, the rating out. README.md says what each file is.
"""
