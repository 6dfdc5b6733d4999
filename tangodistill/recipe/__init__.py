"""Recipes: lists of stages that run in order, resume, and run anew only where their meaning changed."""
