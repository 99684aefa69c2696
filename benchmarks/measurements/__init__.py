"""
What is asked of each target, and what is read off it.
"""
