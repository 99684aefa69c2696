"""
Listening to the provider: what it said of a model under a key slows the bridge down before the provider has to refuse.

Three rules, for each key and model by itself, of which the strictest holds:

1. **Told to wait** (429; 503 or 529 with ``retry-after``), or that nothing is left: it cools down until then, see
   `aibridge.admission.cooldown`; whoever alone was told so waits alone.
2. **Told what is left**: requests are counted against it, and when as many were sent as were left, it cools down until
   the reset or the next report. Tokens are known only when an answer has ended, so what is counted of them is an
   estimate, and never stops anybody but the principal whose own requests, sent and unanswered, are estimated at all
   that is left. What one answer says holds until a later request's says otherwise.
3. **After rule 1**, while nobody knows better: one request is sent. Each good answer to one sent since doubles how many
   may have been sent, and one that is wrong by itself gives its place back; at `OPEN_AT`, or when an answer says what
   is left, everybody may go. Where answers are slow, one more is sent each `PROBE_S`.

What is sure, then: after rule 1, k answers later and s seconds on, the provider has been sent at most
``2 ** k + s / PROBE_S`` requests but for probes, not a thousand waiting ones; and by rule 2 it is sent no more requests
than it said it would take.

Note [Whom to believe]: a provider may say that nothing is left, and take requests all the same. If one that is sent
while it says so is answered well, such words count for nothing until it has refused one with them; then they count for
`BELIEVED_S`. And one may be refused with them while another is served: then for `BELIEVED_S` each waits alone.

Note [One by one]: those who have to wait are told when it is worth asking again, and if all were told the same, all but
one would be told again, and SDKs give up at the third time. So each is told to come after those before it, and under
rule 3 some time after the provider may be asked again, as whoever asks it then, having had a 429 of its own, may hear
another one.
"""

from __future__ import annotations

from typing import Final

from aibridge.admission.cooldown import FIRST_S, NEVER, PROBE_S, CoolDown
from aibridge.admission.verdict import NOTHING, Subject, Verdict, used_up_for
from aibridge.dialects.limits import UNKNOWN, Limits

HOLD_S: Final = 1.0
"""How long it cools down after a 429 that names no time, where nothing else can be used instead."""

OPEN_AT: Final = 64

UNPROVEN_FIRST_S: Final = 0.25
"""How soon a provider is probed that says that nothing is left for long, and has refused nobody with that."""

BELIEVED_S: Final = 600.0

APART_S: Final = 0.6
"""Between those who are told to come one by one: more than `PROBE_S`, as they are not the only ones."""

BEHIND_S: Final = 2.0
"""How long after the provider may be asked again the first of them comes: by then it has said "wait a second" once
more, or not."""

MOST_BEHIND_S: Final = 20.0
"""By how much those who were told before lengthen a wait at most: some never come."""

LEAST_WAIT_S: Final = 1.0

OVERTAKEN_S: Final = 0.5
"""How much later than a request an earlier one may reach the provider, on another connection."""

LIMITED: Final = 429

_UNITS: Final = ("requests", "tokens", "input_tokens", "output_tokens")


class Ticket:
    """
    A request that was let through, for its answer to be counted by.

    :ivar number: how many had been sent, this one included.
    """

    __slots__ = ("input_tokens", "number", "output_tokens", "principal")

    def __init__(self, number: int, principal: str, input_tokens: int, output_tokens: int) -> None:
        self.number = number
        self.principal = principal
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens


class _Share:
    """
    What is left of one limit, by one report.

    :ivar left: requests that may still be sent, or tokens that were left.
    :ivar until: when the report no longer holds.
    """

    __slots__ = ("left", "reset_s", "until")

    def __init__(self, left: float, reset_s: float, now: float) -> None:
        self.left = left
        self.reset_s = reset_s
        self.until = now + reset_s


class Pace:
    """
    How fast one model under one key may be used.

    A request asks `wait`; if it may go it is given a ticket by `send`, which is handed to `heard` with what its answer
    says, or to `unanswered`. Until a provider has spoken of limits, nobody waits.

    :ivar cooldown: what is left alone for all, or for some.
    """

    __slots__ = (
        "_base",
        "_disproved_at",
        "_doubted",
        "_extra",
        "_flying",
        "_heard",
        "_is_counted",
        "_probe_at",
        "_proven_at",
        "_reserved",
        "_sent",
        "_shares",
        "_turn_at",
        "_waited",
        "_window",
        "cooldown",
    )

    def __init__(self) -> None:
        self.cooldown = CoolDown()
        self._sent = 0
        self._heard = 0
        # Rule 3: after the first `_base` requests up to `_window` may be sent, and `_extra` where answers were slow; a
        # window of 0 means that it does not apply.
        self._window = 0
        self._extra = 0
        self._base = 0
        self._probe_at = NEVER
        # Rule 2, by what is counted, see `_UNITS`; and principal → tokens of requests that are not answered yet.
        self._shares: dict[int, _Share] = {}
        self._reserved: dict[str, tuple[int, int]] = {}
        # When those were sent that are not answered yet, by their numbers.
        self._flying: dict[int, float] = {}
        # It cools down by what was said or counted to be left, rather than by a refusal.
        self._is_counted = False
        self._doubted = False
        self._proven_at = NEVER
        self._disproved_at = NEVER
        self._waited = False
        # See Note [One by one]: when the last of them was told to come.
        self._turn_at = NEVER

    # -- may it go? ----------------------------------------------------------------------------------------------

    def wait(self, now: float, principal: str = "", input_tokens: int = 0, output_tokens: int = 0) -> float:
        """
        How long one request is to wait; nothing is counted.

        :param now: monotonic seconds.
        :param input_tokens: as estimated.
        :return: 0.0 if it may go now, else seconds after which it is worth asking again.
        """
        cooldown = self.cooldown
        if not cooldown.is_quiet:
            if cooldown.until != NEVER and now >= cooldown.until:
                self._cooled_down()
            wait = cooldown.wait(principal, now)
            if wait or cooldown.is_closed(now):
                self._waited = self._waited or wait > 0
                return wait
        if self._window and self._sent >= self._base + self._window + self._extra:
            # Whoever goes beyond the window has waited for `_probe_at`.
            wait = self._probe_at - now
            if wait > 0:
                return wait
        if self._shares and principal in self._reserved:
            return self._own_wait(now, principal, input_tokens, output_tokens)
        return 0.0

    def _own_wait(self, now: float, principal: str, input_tokens: int, output_tokens: int) -> float:
        """
        By what the principal's own requests are estimated at.
        """
        input_, output = self._reserved[principal]
        wait = 0.0
        for unit, reserved, cost in (
            (1, input_ + output, input_tokens + output_tokens),
            (2, input_, input_tokens),
            (3, output, output_tokens),
        ):
            share = self._shares.get(unit)
            if share is None or not cost or not reserved or now >= share.until:
                continue
            if min(reserved, share.left) + min(cost, share.left) > share.left:
                wait = max(wait, min(LEAST_WAIT_S, share.until - now))
        return wait

    def send(self, now: float, principal: str = "", input_tokens: int = 0, output_tokens: int = 0) -> Ticket:
        """
        One request goes, having waited as told.
        """
        beyond = self._window and self._sent >= self._base + self._window + self._extra
        self._sent = number = self._sent + 1
        self._flying[number] = now
        if beyond:
            self._extra += 1
            # Who comes a little late does not delay the next one.
            self._probe_at = max(self._probe_at, now - 2 * PROBE_S) + PROBE_S
        elif self._window and self._probe_at == NEVER:
            self._probe_at = now + PROBE_S
        if not self.cooldown.is_quiet:
            self.cooldown.sent(principal, now)
        input_, output = self._reserved.get(principal, (0, 0))
        self._reserved[principal] = (input_ + input_tokens, output + output_tokens)
        share = self._shares.get(0) if self._shares else None
        if share is not None:
            share.left -= 1
            if share.left < 1 and now < share.until and not self.cooldown.is_closed(now):
                self._used_up(share.until, now)
        return Ticket(number, principal, input_tokens, output_tokens)

    def sent_away(self, wait: float, now: float) -> float:
        """
        Somebody is told to come back; see Note [One by one].

        :param wait: as `wait` has just told.
        :return: seconds, no fewer.
        """
        soonest = now + wait
        if self._window or self.cooldown.has_hints:
            soonest += BEHIND_S
        self._turn_at = min(max(self._turn_at + APART_S, soonest), soonest + MOST_BEHIND_S)
        return self._turn_at - now

    def told(self, now: float) -> dict[str, float]:
        """
        What the provider has said and still holds, for those who look; nothing where it has not spoken.

        :return: ``wait_s``, how long it cools down; and what is left of its limits but for what is under way, such as
            ``requests_left`` and ``tokens_left``.
        """
        told = {"wait_s": self.cooldown.until - now} if self.cooldown.is_closed(now) else {}
        input_ = sum(reserved[0] for reserved in self._reserved.values())
        output = sum(reserved[1] for reserved in self._reserved.values())
        taken = (0, input_ + output, input_, output)
        for unit, share in self._shares.items():
            if now < share.until:
                told[f"{_UNITS[unit]}_left"] = max(0.0, share.left - taken[unit])
        return told

    # -- what is heard -------------------------------------------------------------------------------------------

    def unanswered(self, ticket: Ticket) -> None:
        """
        A request has no answer, and so was not counted by the provider as far as anybody knows.
        """
        self._release(ticket)
        share = self._shares.get(0)
        if share is not None and ticket.number > self._heard:
            share.left += 1

    def heard(self, limits: Limits, verdict: Verdict, status: int, now: float, ticket: Ticket) -> None:
        """
        The head of an answer has come.

        :param verdict: what it says.
        :param ticket: that of the request which it answers. What answers an earlier request than the last report did is
            out of date, but for being told to wait.
        """
        self._release(ticket)
        subject = verdict.subject
        is_sure = verdict.is_sure and now >= self._disproved_at + BELIEVED_S
        if subject is NOTHING:
            self._good(ticket, limits, now)
        elif subject is Subject.MODEL or (subject is Subject.PROVIDER and verdict.wait_s is not None):
            self._limited(verdict, is_sure, status, now, ticket)
        elif self._window and ticket.number > self._base and subject is not Subject.PROVIDER:
            # It says nothing of limits, and so takes no place of others'.
            self._base += 1
        if limits is not UNKNOWN and ticket.number >= self._heard and is_sure is verdict.is_sure:
            self._report(limits, verdict, now, ticket)

    def confirmed(self, status: int, wait_s: float | None, default_s: float, now: float) -> None:
        """
        What one principal met is sure, as another key has served the very request.
        """
        self._cool(now + (default_s if wait_s is None else wait_s), status, now)

    def _good(self, ticket: Ticket, limits: Limits, now: float) -> None:
        # A ticket of 0 was not given by this object.
        cooldown = self.cooldown
        if not cooldown.is_quiet and cooldown.good(ticket.number):
            if self._is_counted and self._proven_at == NEVER:
                self._doubted = True
            if not self._is_counted:
                self._disproved_at = now
            self._is_counted = False
            # What was said before is disproved; what is said now follows.
            self._shares = {}
        if self._window and ticket.number > self._base:
            self._window *= 2
            says_what_is_left = limits.requests is not None or limits.tokens is not None
            if self._window >= OPEN_AT or (says_what_is_left and used_up_for(limits) is None):
                self._open()

    def _limited(self, verdict: Verdict, is_sure: bool, status: int, now: float, ticket: Ticket) -> None:
        if is_sure:
            self._doubted, self._proven_at = False, now
            self._cool(now + (HOLD_S if verdict.wait_s is None else verdict.wait_s), status, now)
            return
        self.cooldown.met(ticket.principal, verdict.wait_s, self._sent, now)
        if self._window and ticket.number > self._base:
            self._base += 1

    def _report(self, limits: Limits, verdict: Verdict, now: float, ticket: Ticket) -> None:
        self._heard = ticket.number
        shares = {}
        since = float(self._sent - ticket.number)
        if limits.requests is not None and limits.requests.remaining - since < len(self._flying):
            since += self._overtaken(ticket.number, now)
        for unit, allowance in enumerate((limits.requests, limits.tokens, limits.input_tokens, limits.output_tokens)):
            if allowance is not None and allowance.reset_s > 0:
                left = float(allowance.remaining) - (0.0 if unit else since)
                shares[unit] = _Share(left, allowance.reset_s, now)
        self._shares = shares
        if verdict.is_sure:
            # When it may be asked again was told, and is known already.
            return
        used_up = [share.until for unit, share in shares.items() if share.left < 1]
        if used_up:
            self._used_up(max(used_up), now)
        elif self._is_counted:
            self._is_counted = False
            self.cooldown.open()

    def _overtaken(self, number: int, now: float) -> int:
        """
        How many requests were sent before that one, and so lately that the provider may not have counted them.
        """
        count = 0
        for earlier in reversed(self._flying):
            if self._flying[earlier] < now - OVERTAKEN_S:
                break
            count += earlier < number
        return count

    def _used_up(self, until: float, now: float) -> None:
        """
        Nothing is left, as the provider says or by our count of what it said; see Note [Whom to believe].
        """
        if now >= self._proven_at + BELIEVED_S:
            self._proven_at = NEVER
        if self._doubted:
            return
        if not self.cooldown.is_closed(now):
            self._is_counted = True
        is_soon = self._proven_at == NEVER and until - now > 5 * FIRST_S
        first_s = UNPROVEN_FIRST_S if is_soon else FIRST_S
        self.cooldown.close(until, LIMITED, self._sent, now, first_s)

    # -- cooling down --------------------------------------------------------------------------------------------

    def _cool(self, until: float, status: int, now: float) -> None:
        self.cooldown.close(until, status, self._sent, now)
        self._is_counted = False
        self._begin_again()

    def _cooled_down(self) -> None:
        """
        Its time is over; if somebody waited for that, others do too.
        """
        self.cooldown.open()
        self._shares = {}
        if self._waited and not self._window:
            self._begin_again()
        self._waited = self._is_counted = False

    def _begin_again(self) -> None:
        self._window = 1
        self._extra = 0
        self._base = self._sent
        self._probe_at = NEVER

    def _open(self) -> None:
        self._window = 0
        self._turn_at = NEVER

    def _release(self, ticket: Ticket) -> None:
        """
        An estimate is put back: the answer's own report has what was counted, and an error costs nothing.
        """
        self._flying.pop(ticket.number, None)
        input_, output = self._reserved.pop(ticket.principal, (0, 0))
        input_ -= ticket.input_tokens
        output -= ticket.output_tokens
        if input_ > 0 or output > 0:
            self._reserved[ticket.principal] = (max(0, input_), max(0, output))
