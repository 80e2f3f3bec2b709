"""One message in the shapes that its readers take: words, our own JSON, Slack's, and a card for Teams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mailrelay.notify.episodes import NEW, OVER, STILL, WORSE, EpisodeChange
from mailrelay.vocabulary import Channel

#: Matters that one message has; the rest are counted. Slack takes 50 blocks.
MOST = 20
WORDS = {NEW: "New", WORSE: "Worse", STILL: "Still", OVER: "Over"}
MARKS = {NEW: "\N{LARGE RED CIRCLE}", WORSE: "\N{LARGE RED CIRCLE}", STILL: "\N{LARGE ORANGE CIRCLE}"}
MARKS[OVER] = "\N{LARGE GREEN CIRCLE}"
COLOURS = {NEW: "Attention", WORSE: "Attention", STILL: "Warning", OVER: "Good"}


@dataclass(frozen=True, slots=True)
class Digest:
    """What one message tells. `host` is the gateway's name."""

    host: str
    changes: Sequence[EpisodeChange]

    @property
    def title(self) -> str:
        if len(self.changes) == 1:
            return f"{WORDS[self.changes[0].what]}: {self.changes[0].alert.subject}"
        return f"{len(self.changes)} matters, the first: {self.changes[0].alert.subject}"

    @property
    def shown(self) -> Sequence[EpisodeChange]:
        return self.changes[:MOST]

    @property
    def rest(self) -> str:
        more = len(self.changes) - MOST
        return f"and {more} more, in the admin under Alerts" if more > 0 else ""


def lines(digest: Digest) -> list[str]:
    """Write a mail's text."""
    found = [f"This is the mail gateway {digest.host}.", ""]
    for one in digest.shown:
        found += [f"{WORDS[one.what]}: {one.alert.subject}", f"Since {_since(one)}", one.alert.text, ""]
    return [*found, digest.rest] if digest.rest else found


def generic(digest: Digest) -> dict[str, Any]:
    return {
        "event": "alert",
        "gateway": digest.host,
        "text": digest.title,
        "matters": [
            {
                "what": one.what,
                "condition": one.alert.condition,
                "key": one.alert.key,
                "subject": one.alert.subject,
                "text": one.alert.text,
                "level": one.alert.level,
                "since": one.alert.began_at.isoformat(),
                "until": one.alert.ended_at.isoformat() if one.alert.ended_at else None,
            }
            for one in digest.changes
        ],
    }


def slack(digest: Digest) -> dict[str, Any]:
    """Shape it for https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks."""
    blocks = [
        _section(
            f"{MARKS[one.what]} *{_mrkdwn(one.alert.subject)}* ({WORDS[one.what].lower()})\n"
            f"{_mrkdwn(one.alert.text)}\nSince {_since(one)}"
        )
        for one in digest.shown
    ]
    more = [_section(digest.rest)] if digest.rest else []
    return {"text": _mrkdwn(f"{digest.host}: {digest.title}"), "blocks": [*blocks, *more]}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:3000]}}


def _mrkdwn(text: str) -> str:
    # The three that Slack takes for markup; without them nobody can be mentioned.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def teams(digest: Digest) -> dict[str, Any]:
    """Shape it for the workflow "Post to a channel when a webhook request is received".

    https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498
    """
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": digest.host, "size": "Small", "isSubtle": True},
    ]
    for one in digest.shown:
        body += [
            {
                "type": "TextBlock",
                "text": _plain(f"{WORDS[one.what]}: {one.alert.subject}"),
                "weight": "Bolder",
                "color": COLOURS[one.what],
                "wrap": True,
            },
            {"type": "TextBlock", "text": _plain(one.alert.text), "wrap": True},
            {"type": "TextBlock", "text": f"Since {_since(one)}", "isSubtle": True, "spacing": "None"},
        ]
    if digest.rest:
        body.append({"type": "TextBlock", "text": digest.rest, "isSubtle": True})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _plain(text: str) -> str:
    # TextBlock takes a little Markdown; a bracket that is not one begins no link.
    return text.replace("[", "(").replace("]", ")").replace("*", "\u2217")


def _since(one: EpisodeChange) -> str:
    until = f" until {one.alert.ended_at:%d %b %H:%M}" if one.alert.ended_at else ""
    return f"{one.alert.began_at:%d %b %H:%M}{until} UTC"


DOCUMENTS = {Channel.WEBHOOK: generic, Channel.SLACK: slack, Channel.TEAMS: teams}
