"""Template tags and filters of the whole site."""

from django import template

register = template.Library()
