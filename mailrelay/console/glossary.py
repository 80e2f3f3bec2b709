"""The page with the words of the console, which the headings of its lists link to."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from mailrelay.status import glossary


def page(request: HttpRequest) -> HttpResponse:
    """Show every word with its line, and every state."""
    from mailrelay.console.site import site  # which names this page among its own

    words = [(word, glossary.anchor(word), text) for word, text in glossary.WORDS.items()]
    states = [(glossary.shown(state), state.value, text) for state, text in glossary.STATES.items()]
    context = {**site.each_context(request), "title": "Glossary", "words": words, "states": states}
    return render(request, "console/glossary.html", context)
