"""
The gate of a real process: all permits, a provider's, a principal's; what is kept for whom; what it counts in shadow.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daemons import Daemon, Deployment
from held import KEYS, Asking, Holder, ask, first_answered, said, table

LENGTH = "aibridge_queue_length"
IN_USE = "aibridge_permits_in_use"


@pytest.fixture
def other() -> Iterator[Holder]:
    """
    Another one.
    """
    made = Holder()
    yield made
    made.close()


def start(deployment: Deployment, text: str) -> Daemon:
    """
    A daemon with this configuration.
    """
    deployment.configure(text)
    return deployment.start(environ=KEYS)


def refusals(policy: str, class_: str) -> str:
    """
    The series of what the gate has refused.
    """
    labels = f'class="{class_}",kind="at_capacity",policy="{policy}",reason="gate"'
    return f"aibridge_refusals_total{{{labels}}}"


class TestLimits:
    """
    Three permits, or none.
    """

    def test_of_a_provider(self, deployment: Deployment, holder: Holder, other: Holder) -> None:
        """
        A full provider refuses, by its name in the policy, and keeps nobody from another one.
        """
        token = deployment.token("ada")
        tables = table(holder, "max_concurrency = 1") + table(other, "max_concurrency = 2", "other")
        daemon = start(deployment, f"{tables}[admission]\nmax_concurrency = 9\n")
        here = [Asking(daemon.url, said(token))]
        taken = [holder.next()]
        refused = ask(daemon.url, said(token))
        assert (refused.status, refused.reason) == (503, 'gate; policy="provider"')
        here.append(Asking(daemon.url, said(token, path="/other/v1/chat/completions")))
        taken.append(other.next())
        for name, limit in (("up", 1), ("other", 2)):
            assert daemon.metric(f'aibridge_provider_permits_in_use{{provider="{name}"}}') == 1
            assert daemon.metric(f'aibridge_provider_permits_limit{{provider="{name}"}}') == limit
        assert daemon.metric(IN_USE) == 2
        assert daemon.metric(refusals("provider", "default")) == 1
        for each in taken:
            each.answer()
        assert [asking.answer().status for asking in here] == [200, 200]
        daemon.until(IN_USE, 0)

    def test_ones_own_wait_for_a_full_provider_keeps_nobody_from_an_idle_one(
        self, deployment: Deployment, holder: Holder, other: Holder
    ) -> None:
        """
        Not even the same principal, with a full queue: it goes at once, and what waits goes on waiting.
        """
        ada = deployment.token("ada", "--class", "interactive")
        tables = table(holder, "max_concurrency = 1") + table(other, name="other")
        admission = "max_concurrency = 10\nqueue_size = 1\nqueue_timeout = 600\ninteractive_share = 0.3\n"
        daemon = start(deployment, f"{tables}[admission]\n{admission}")
        here = [Asking(daemon.url, said(ada))]
        first = holder.next()
        here.append(Asking(daemon.url, said(ada)))
        daemon.until(LENGTH, 1)
        for _ in range(3):
            elsewhere = Asking(daemon.url, said(ada, path="/other/v1/chat/completions"))
            other.next().answer()
            assert elsewhere.answer().status == 200
        assert daemon.metric(LENGTH) == 1
        first.answer()
        holder.next().answer()
        assert [asking.answer().status for asking in here] == [200, 200]

    def test_one_that_waits_for_a_full_provider(self, deployment: Deployment, holder: Holder, other: Holder) -> None:
        """
        It holds no permit while it waits, and keeps nobody else from going elsewhere.
        """
        ada, bob = deployment.token("ada"), deployment.token("bob")
        tables = table(holder, "max_concurrency = 1") + table(other, name="other")
        daemon = start(deployment, f"{tables}[admission]\nmax_concurrency = 2\nqueue_size = 9\nqueue_timeout = 600\n")
        here = [Asking(daemon.url, said(ada))]
        first = holder.next()
        here.append(Asking(daemon.url, said(ada)))
        daemon.until(LENGTH, 1)
        here.append(Asking(daemon.url, said(bob, path="/other/v1/chat/completions")))
        other.next().answer()
        assert here.pop().answer().status == 200
        daemon.until(IN_USE, 1)
        first.answer()
        holder.next().answer()
        assert [asking.answer().status for asking in here] == [200, 200]

    def test_of_a_principal(self, deployment: Deployment, holder: Holder) -> None:
        """
        By configuration, or by its token, which may also lift it; others pass.
        """
        tokens = {
            name: deployment.token(name, *arguments)
            for name, arguments in (
                ("plain", ()),
                ("two", ("--max-in-flight", "2")),
                ("free", ("--max-in-flight", "0")),
            )
        }
        daemon = start(deployment, f"{table(holder)}[admission]\nmax_in_flight = 1\n")
        here, taken = [], []
        for name, most in (("plain", 1), ("two", 2), ("free", 5)):
            for _ in range(most):
                here.append(Asking(daemon.url, said(tokens[name])))
                taken.append(holder.next())
        for name in ("plain", "two"):
            refused = ask(daemon.url, said(tokens[name]))
            assert (refused.status, refused.reason) == (503, 'gate; policy="principal"')
        for each in taken:
            each.answer()
        assert [asking.answer().status for asking in here] == [200] * 8

    def test_a_lookup_of_models_counts_like_anything_else(self, deployment: Deployment, holder: Holder) -> None:
        """
        Passthrough routes hold permits.
        """
        token = deployment.token("ada")
        daemon = start(deployment, f"{table(holder)}[admission]\nmax_concurrency = 1\n")
        models = b"GET /up/v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n"
        running = Asking(daemon.url, models)
        first = holder.next()
        assert ask(daemon.url, models).reason == 'gate; policy="daemon"'
        first.answer()
        assert running.answer().status == 200


class TestRetryAfter:
    """
    When it is worth coming back.
    """

    @pytest.mark.parametrize("most", [1, 2, 7, 45])
    def test_never_above_the_limit(self, deployment: Deployment, holder: Holder, most: int) -> None:
        """
        However many are sent away, each is told whole seconds from 1 up to `max_retry_after`, and milliseconds that
        say the same more closely; and not all are told the same.
        """
        token = deployment.token("ada")
        daemon = start(deployment, f"{table(holder)}[admission]\nmax_concurrency = 1\nmax_retry_after = {most}\n")
        running = Asking(daemon.url, said(token))
        first = holder.next()
        waits = []
        for _ in range(60):
            refused = ask(daemon.url, said(token))
            seconds, milliseconds = int(refused.headers["retry-after"]), int(refused.headers["retry-after-ms"])
            assert 1 <= seconds <= most
            assert 0 < milliseconds <= most * 1000
            assert seconds - 1 < milliseconds / 1000 <= seconds
            waits.append(milliseconds)
        assert most == 1 or len(set(waits)) > 10
        first.answer()
        assert running.answer().status == 200


class TestClasses:
    """
    Interactive, default and batch, when not all can be served.
    """

    def tokens(self, deployment: Deployment) -> dict[str, str]:
        """
        One of each class.
        """
        return {name: deployment.token(name, "--class", name) for name in ("interactive", "default", "batch")}

    def test_a_share_is_kept(self, deployment: Deployment, holder: Holder) -> None:
        """
        Without a queue, others cannot have it at all, and interactive requests within it are admitted.
        """
        tokens = self.tokens(deployment)
        daemon = start(deployment, f"{table(holder)}[admission]\nmax_concurrency = 4\ninteractive_share = 0.5\n")
        here, taken = [], []
        for name in ("batch", "default", "interactive", "interactive"):
            here.append(Asking(daemon.url, said(tokens[name], name)))
            taken.append(holder.next())
            if len(here) == 2:
                refused = [ask(daemon.url, said(tokens[name])).reason for name in ("batch", "default")]
                assert refused == ['gate; policy="daemon"'] * 2
        assert ask(daemon.url, said(tokens["interactive"])).reason == 'gate; policy="daemon"'
        assert [daemon.metric(refusals("daemon", name)) for name in tokens] == [1, 1, 1]
        for each in taken:
            each.answer()
        assert [asking.answer().status for asking in here] == [200] * 4

    def test_what_is_lent_comes_back_first(self, deployment: Deployment, holder: Holder) -> None:
        """
        With a queue, others use the share while nobody it is kept for is there; who is has the next permit that comes
        back, before all who wait longer.
        """
        tokens = self.tokens(deployment)
        daemon = start(
            deployment,
            f"{table(holder)}[admission]\nmax_concurrency = 4\ninteractive_share = 0.5\nqueue_size = 9\n"
            "queue_timeout = 600\n",
        )
        here, taken = [], []
        for _ in range(4):
            here.append(Asking(daemon.url, said(tokens["batch"], "batch")))
            taken.append(holder.next())
        for number, name in enumerate(("batch", "default", "interactive", "interactive"), 1):
            here.append(Asking(daemon.url, said(tokens[name], name)))
            daemon.until(LENGTH, number)
        assert [daemon.metric(f'{LENGTH}{{class="{name}"}}') for name in tokens] == [2, 1, 1]
        order = []
        for _ in range(4):
            taken.pop(0).answer()
            taken.append(holder.next())
            order.append(taken[-1].model)
        assert order == ["interactive", "interactive", "default", "batch"]
        for each in taken:
            each.answer()
        assert [asking.answer().status for asking in here] == [200] * 8

    def test_batch_makes_room_first(self, deployment: Deployment, holder: Holder) -> None:
        """
        In a full queue, whoever comes of another class displaces the newest of `batch`; when there is none left, a
        newcomer is refused, and so is a further one of `batch`.
        """
        tokens = self.tokens(deployment)
        daemon = start(
            deployment, f"{table(holder)}[admission]\nmax_concurrency = 1\nqueue_size = 2\nqueue_timeout = 600\n"
        )
        here = [Asking(daemon.url, said(tokens["default"], "default"))]
        turn = holder.next()
        batch = []
        for number in (1, 2):
            batch.append(Asking(daemon.url, said(tokens["batch"], f"batch{number}")))
            daemon.until(LENGTH, number)
        assert ask(daemon.url, said(tokens["batch"])).reason == 'gate; policy="queue"'
        for number, name in enumerate(("interactive", "default"), 1):
            here.append(Asking(daemon.url, said(tokens[name], name)))
            displaced = batch.pop().answer()
            assert (displaced.status, displaced.reason) == (503, 'gate; policy="displaced"')
            assert 1 <= int(displaced.headers["retry-after"]) <= 45
            assert daemon.metric(refusals("displaced", "batch")) == number
            told = daemon.completion(displaced.id)
            assert (told["principal"], told["cause"], told["policy"]) == ("batch", "at_capacity", "displaced")
        assert ask(daemon.url, said(tokens["batch"])).reason == 'gate; policy="queue"'
        assert daemon.metric(LENGTH) == 2
        for name in ("interactive", "default"):
            turn.answer()
            turn = holder.next()
            assert turn.model == name
        turn.answer()
        assert [asking.answer().status for asking in here] == [200] * 3
        assert daemon.metric(refusals("queue", "batch")) == 2
        assert daemon.metric(refusals("displaced", "interactive")) == 0

    @pytest.mark.parametrize("queue_size", [0, 6])
    def test_at_three_times_the_load(self, deployment: Deployment, holder: Holder, queue_size: int) -> None:
        """
        Twelve callers for four permits, who come back as soon as they are answered: those of `interactive`, who are
        within their share, are admitted every time, whatever the others are told.
        """
        tokens = self.tokens(deployment)
        daemon = start(
            deployment,
            f"{table(holder)}[admission]\nmax_concurrency = 4\ninteractive_share = 0.5\nqueue_size = {queue_size}\n"
            + ("queue_timeout = 600\n" if queue_size else ""),
        )
        callers = ["batch"] * 6 + ["default"] * 4 + ["interactive"] * 2
        here = {Asking(daemon.url, said(tokens[name], name)): name for name in callers}
        told: dict[str, list[int]] = {name: [] for name in tokens}
        while len(told["interactive"]) < 8:
            # Whatever is in flight is answered, and so those who are refused are not the only ones who come back.
            while not holder.has_none():
                holder.next().answer()
            asking = first_answered(here)
            name = here.pop(asking)
            told[name].append(asking.answer().status)
            here[Asking(daemon.url, said(tokens[name], name))] = name
        assert set(told["interactive"]) == {200}
        assert 503 in told["batch"]
        for asking in here:
            asking.leave()
        daemon.until("aibridge_client_connections", 0)


class TestShadow:
    """
    The gate as it would be.
    """

    def test_it_refuses_nothing_and_counts(self, deployment: Deployment, holder: Holder) -> None:
        """
        Everybody goes at once; who would have waited or been refused is counted, by what stood in the way, and named
        in the log.
        """
        token = deployment.token("ada")
        limits = "max_concurrency = 1\nqueue_size = 1\nqueue_timeout = 600\ngate_shadow = true\n"
        daemon = start(deployment, f"{table(holder)}[admission]\n{limits}")
        here, taken = [], []
        for name in ("free", "waits", "refused", "refused"):
            here.append(Asking(daemon.url, said(token, name)))
            taken.append(holder.next())
            assert taken[-1].model == name
        assert daemon.metric(IN_USE) == 4
        assert daemon.metric('aibridge_shadow_refusals_total{policy="queue",reason="gate"}') == 2
        for each in taken:
            each.answer()
        answers = [asking.answer() for asking in here]
        assert [answer.status for answer in answers] == [200] * 4
        told = [daemon.completion(answer.id)["shadowed"] for answer in answers]
        assert told == ["-", "gate", "gate", "gate"]
        daemon.until(IN_USE, 0)
        assert daemon.metric("aibridge_refusals_total") == 0
        deployment.configure(f"{table(holder)}[admission]\nmax_concurrency = 1\n")
        daemon.reload()
        running = Asking(daemon.url, said(token))
        first = holder.next()
        assert ask(daemon.url, said(token)).reason == 'gate; policy="daemon"'
        first.answer()
        assert running.answer().status == 200
