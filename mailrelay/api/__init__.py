"""The JSON API: read messages, queue and senders, act on them, hand mail in, by tokens with scopes."""
