"""
Why a request ends as it does, and what somebody who runs the bridge can do about it.
"""

from __future__ import annotations

from typing import Final

REASONS: Final = {
    "gate": "the gate",
    "rate": "a limit of requests or tokens",
    "breaker": "a circuit breaker",
    "keys": "the keys of the provider, all of which rest",
    "provider": "the provider's own limit, as it was last told",
    "auth": "the check of the token",
    "credential": "the want of a provider key",
    "route": "the list of routes",
    "object": "the knowledge of whose each stored object is",
    "request": "the rules of HTTP",
    "upgrade": "the rules of HTTP",
    "body": "the limits of request bodies",
    "client": "the client",
    "drain": "the daemon, which was about to stop",
    "internal": "a defect of the bridge",
    "upstream": "the provider, or the way to it",
    "bridge": "the bridge, or the way to it",
}
"""Reason, as in ``X-AI-Bridge-Reason`` → who that is."""

GATE: Final[dict[str, tuple[str, str]]] = {
    "daemon": (
        "admission.max_concurrency exchanges were in flight, less those kept for the class interactive.",
        "Raise it if the machine and the providers bear more, or let requests wait with admission.queue_size.",
    ),
    "provider": (
        "As many exchanges were in flight with this provider as its max_concurrency allows.",
        "Raise it if the provider bears more, or let requests wait with admission.queue_size.",
    ),
    "principal": (
        "This principal had as many exchanges in flight as it may: admission.max_in_flight, or its token's own.",
        "Look for a client with many agents, or a loop; raise the limit, or let requests wait (admission.queue_size).",
    ),
    "queue": (
        "The gate was full, and so was the queue.",
        "Raise admission.queue_size, or the limits before which it stands; aibridge limits shows who fills them.",
    ),
    "displaced": (
        "It waited, and made room in the full queue for a class that matters more, or for a principal with less in it.",
        "That is what classes and fairness are for. Raise admission.queue_size, or give its token another class.",
    ),
    "timeout": (
        "It waited for admission.queue_timeout, and no permit came back in that time.",
        "Raise the limits before which it waited, or the time if its client waits longer.",
    ),
}
"""Which of the gate's limits it was → why, and what can be done."""

ADVICE: Final[dict[str, tuple[str, str]]] = {
    "at_capacity": (
        "There was no permit to be had.",
        "aibridge limits shows which limit is full; raise it, or let requests wait with admission.queue_size.",
    ),
    "bodies_full": (
        "Request bodies took the memory that there is for them, or this principal's share of it.",
        "Look for a client that sends many large requests at once; raise http.max_bodies if there is memory for it.",
    ),
    "rate_limited": (
        "The bucket of that policy was full; waiting as long as the client was told would have been enough.",
        "aibridge limits --principal NAME shows its level. Raise the limit or its burst, or the token's own.",
    ),
    "breaker_open": (
        "This model of this provider had failed several times in a row, and was left alone.",
        "Look for what failed before: completions with the same model, and aibridge_upstream_errors_total.",
    ),
    "keys_resting": (
        "Every key of the provider was cooling down for this model, as its answers had shown.",
        "Add keys, or limit requests or tokens for that provider; aibridge limits shows how long each cools down.",
    ),
    "keys_refused": (
        "The provider had answered 401 to every key it has here.",
        "Check them where they are kept; each is tried again after a second, and then at growing intervals.",
    ),
    "provider_wait": (
        "The provider had said what is left of its limit, and that was used up, so it was not asked.",
        "Add keys, or limit requests or tokens for that provider; heed_limits = false asks it all the same.",
    ),
    "unauthenticated": (
        "No token was shown, or one that is unknown, expired or disabled.",
        "See aibridge token list; the answer told the client which of these it was.",
    ),
    "too_many_failures": (
        "That address had shown too many bad tokens.",
        "Look for a client with an old token in a loop; tokens that were good lately pass from there all the same.",
    ),
    "identity_unavailable": (
        "The Coder deployment did not say who this is.",
        "See whether it is up, and reachable from here within auth.coder_timeout.",
    ),
    "credential_missing": (
        "The token is good, but there was no key to show to the provider.",
        "Configure one (key or keys), or let the client bring its own; credentials says which of the two counts.",
    ),
    "route_unknown": (
        "No provider has this path with this method, so nothing was sent to one.",
        "Check the client's base URL: OpenAI's ends in /v1, Anthropic's does not.",
    ),
    "not_allowed": (
        "It would have administered, deleted or listed what is not the client's, with the configured key.",
        "Let those who may bring a key of their own, or name method and path in the provider's allow.",
    ),
    "object_unknown": (
        "It named a stored response, file or the like that its principal has not made through the bridge.",
        'What it made elsewhere, or before there was a record, is asked for with stored_objects = "anyone".',
    ),
    "objects_apart": (
        "It named stored objects that were made with different keys of one provider, or with a key that is gone.",
        "Keys of one account reach the same objects; with keys of several, what belongs together is made with one.",
    ),
    "body_unreadable": (
        "Its body could name stored objects, and was encoded or malformed, so that nobody could see whose.",
        "Look for a client that compresses its requests, or sends forms where JSON is asked for.",
    ),
    "bad_request": (
        "The request was not well-formed HTTP, showed two different tokens, or had one in its URL.",
        "The answer told the client what it was.",
    ),
    "upgrade_refused": (
        "A WebSocket was asked for, which is not served.",
        "Nothing has to be done: clients go on over HTTP by themselves.",
    ),
    "body_too_large": (
        "The body was larger than http.max_body, or as an upload larger than http.max_upload.",
        "Raise it if the provider takes such bodies.",
    ),
    "body_too_slow": (
        "The body was not complete within http.body_timeout.",
        "Look at the client's line, or raise the time.",
    ),
    "client_left": (
        "Many of them at one duration are a deadline in the client, or in what stands in front of the bridge.",
        "",
    ),
    "misdirected": (
        "At the AI Proxy: the request named another host than its connection was opened to.",
        "Look for a client that shares connections between hosts.",
    ),
    "bridge_away": (
        "At the AI Proxy: the bridge could not be reached, or broke off.",
        "See whether it runs, and bridge.url in the proxy's configuration; the proxy's log says what is the matter.",
    ),
    "bridge_late": (
        "At the AI Proxy: the bridge did not answer in time.",
        "See whether it is busy, and the times in [bridge] of the proxy's configuration.",
    ),
    "draining": (
        "The daemon was told to stop and took nothing new.",
        "Nothing has to be done: a load balancer that looks at /readyz sends requests elsewhere.",
    ),
    "internal": (
        "That is a defect.",
        "The daemon's log has a traceback with this id; please report it.",
    ),
    "resolve": (
        "The host name of base_url had no address.",
        "Check the name, and DNS on this machine.",
    ),
    "connect": (
        "The connection was refused, or nothing was there.",
        "Check base_url, routing and firewalls.",
    ),
    "connect_timeout": (
        "There was no connection within connect_timeout, TLS included.",
        "Check routing and firewalls; raise the time if the provider is that far away.",
    ),
    "tls": (
        "The provider's certificate is not trusted for its name.",
        "For an authority of your own set ca_file.",
    ),
    "pool_timeout": (
        "All max_connections to this provider were busy for pool_timeout.",
        "Raise max_connections, or let the gate wait in its stead: the provider's max_concurrency, with a queue.",
    ),
    "first_byte_timeout": (
        "The provider did not begin to answer within first_byte_timeout.",
        "Raise it for models that think that long.",
    ),
    "silence_timeout": (
        "The answer began, and then nothing came for silence_timeout.",
        "Raise it for models that think that long in the middle.",
    ),
    "total_timeout": (
        "The answer was still going on after total_timeout.",
        "Raise it, or set it to 0.",
    ),
    "reset": (
        "The provider closed the connection without an answer.",
        "If it happens often, shorten idle_timeout below the provider's own.",
    ),
    "truncated": (
        "The provider's answer was cut off before its end.",
        "The client was told by an error event or a broken connection, and may repeat it.",
    ),
    "protocol": (
        "What came back was not well-formed HTTP/1.1, or its head was larger than max_response_head.",
        "Look at what stands between here and the provider.",
    ),
}
"""Kind, as in ``cause`` → why, and what can be done."""
