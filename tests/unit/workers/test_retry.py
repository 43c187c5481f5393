"""The policy after a failed call, as a function of values, and simulated to its end."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.model import Fault, GenerationError
from workers.retry import GiveUp, Progress, Retry, RetryPolicy, decide

POLICY = RetryPolicy(("first", "second", "third"), tries=4, attempts=3, seconds=30.0, base=0.5, ceiling=8.0)
TRANSIENT = [fault for fault in Fault if fault.transient]
FINAL = [fault for fault in Fault if not fault.transient]


def highest() -> float:
    return 1.0


def after(progress: Progress, fault: Fault = Fault.UNAVAILABLE, *, wait: float | None = None) -> Retry | GiveUp:
    return decide(POLICY, progress, GenerationError(fault, retry_after=wait), highest)


class TestBeforeTheFirstText:
    @pytest.mark.parametrize("fault", TRANSIENT)
    def test_a_transient_fault_is_tried_again_in_the_same_attempt(self, fault: Fault) -> None:
        assert after(Progress("first", tries=1), fault) == Retry(0.5, "first", new_attempt=False)

    @pytest.mark.parametrize("fault", FINAL)
    def test_a_final_fault_is_told_at_once(self, fault: Fault) -> None:
        assert after(Progress("first", tries=1), fault) == GiveUp()

    def test_the_range_of_waits_doubles(self) -> None:
        waits = [after(Progress("first", tries=tries)) for tries in (1, 2, 3)]

        assert waits == [Retry(seconds, "first", new_attempt=False) for seconds in (0.5, 1.0, 2.0)]

    def test_waits_are_jittered_over_the_full_range_and_have_a_ceiling(self) -> None:
        policy = RetryPolicy(("only",), tries=99, seconds=1e9)
        error = GenerationError(Fault.UNAVAILABLE)

        assert decide(policy, Progress("only", tries=2), error, lambda: 0.0) == Retry(0.0, "only", new_attempt=False)
        assert decide(policy, Progress("only", tries=2), error, lambda: 0.25) == Retry(0.25, "only", new_attempt=False)
        assert decide(policy, Progress("only", tries=50), error, highest) == Retry(8.0, "only", new_attempt=False)

    def test_no_try_comes_sooner_than_gemini_asked_and_not_all_at_that_moment(self) -> None:
        error = GenerationError(Fault.RATE_LIMITED, retry_after=7.0)
        progress = Progress("first", tries=1)

        assert decide(POLICY, progress, error, lambda: 0.0) == Retry(7.0, "first", new_attempt=False)
        assert decide(POLICY, progress, error, highest) == Retry(7.5, "first", new_attempt=False)

    def test_a_wait_that_is_too_long_goes_to_the_fallback_at_once(self) -> None:
        progress = Progress("first", tries=1, elapsed=10.0)

        assert after(progress, wait=20.0) == Retry(20.0, "first", new_attempt=False)
        assert after(progress, wait=20.1) == Retry(0.0, "second", new_attempt=False)

    def test_a_model_has_its_share_of_tries_and_then_the_next_one_is_asked(self) -> None:
        assert after(Progress("first", tries=4)) == Retry(0.0, "second", new_attempt=False)
        assert after(Progress("second", tries=4)) == Retry(0.0, "third", new_attempt=False)
        assert after(Progress("third", tries=4)) == GiveUp()

    def test_a_fallback_is_asked_even_when_the_time_is_used_up_but_once(self) -> None:
        late = Progress("first", tries=1, elapsed=60.0)

        assert after(late) == Retry(0.0, "second", new_attempt=False)
        assert after(Progress("third", tries=1, elapsed=60.0)) == GiveUp()


class TestAfterText:
    @pytest.mark.parametrize("fault", TRANSIENT)
    def test_a_transient_fault_begins_a_new_attempt(self, fault: Fault) -> None:
        assert after(Progress("first", tries=1, text_shown=True), fault) == Retry(0.5, "first", new_attempt=True)

    @pytest.mark.parametrize("fault", FINAL)
    def test_a_final_fault_is_told_at_once(self, fault: Fault) -> None:
        assert after(Progress("first", tries=1, text_shown=True), fault) == GiveUp()

    def test_attempts_are_bounded_whatever_fallbacks_there_are(self) -> None:
        assert after(Progress("first", tries=1, attempt=3, text_shown=True)) == GiveUp()

    def test_tries_that_were_needed_before_the_text_do_not_count_against_it(self) -> None:
        assert after(Progress("first", tries=4, text_shown=True)) == Retry(0.5, "first", new_attempt=True)


class TestProgress:
    def test_time_counts_while_there_is_no_text(self) -> None:
        progress = Progress("first").failed(seconds=2.0, text_shown=False)
        progress = progress.after(Retry(3.0, "first", new_attempt=False))

        assert progress == Progress("first", tries=1, elapsed=5.0)

    def test_a_long_answer_that_broke_off_has_used_up_nothing(self) -> None:
        assert Progress("first").failed(seconds=100.0, text_shown=True).elapsed == 0.0

    def test_a_new_attempt_and_a_new_model_begin_with_fresh_tries(self) -> None:
        progress = Progress("first", tries=3, elapsed=9.0, text_shown=True)

        assert progress.after(Retry(1.0, "first", new_attempt=True)) == Progress("first", 0, 2, 10.0)
        assert progress.after(Retry(0.0, "second", new_attempt=False)) == Progress("second", 0, 1, 9.0)


calls = st.lists(
    st.tuples(
        st.sampled_from(TRANSIENT),
        st.one_of(st.none(), st.floats(0, 60)),
        st.booleans(),
        st.floats(0, 120),
    ),
    min_size=60,
    max_size=60,
)
policies = st.builds(
    RetryPolicy,
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(tuple),
    tries=st.integers(1, 5),
    attempts=st.integers(1, 4),
    seconds=st.floats(0, 60),
    base=st.floats(0.01, 2),
    ceiling=st.floats(0.01, 20),
)
chances = st.floats(0, 1, exclude_max=True)


class TestProperties:
    @given(policies, calls, chances)
    def test_nothing_is_tried_for_ever(
        self, policy: RetryPolicy, faults: list[tuple[Fault, float | None, bool, float]], chance: float
    ) -> None:
        steps = _simulate(policy, faults, lambda: chance)
        attempts = 1 + sum(step.new_attempt for _, step in steps)

        assert attempts <= policy.attempts
        assert len(steps) < policy.attempts * policy.tries * len(policy.models) + policy.attempts
        assert sum(step.after for _, step in steps) <= policy.seconds + 1e-6

    @given(policies, calls, chances)
    def test_each_decision_keeps_its_promises(
        self, policy: RetryPolicy, faults: list[tuple[Fault, float | None, bool, float]], chance: float
    ) -> None:
        steps = _simulate(policy, faults, lambda: chance)

        models = [step.model for _, step in steps]
        assert models == sorted(models, key=policy.models.index)
        for (progress, step), (_, asked, text_shown, _) in zip(steps, faults, strict=False):
            assert step.new_attempt == text_shown
            assert step.model != progress.model or step.after >= (asked or 0.0)
            assert step.after >= 0.0

    @given(policies, st.sampled_from(FINAL), st.booleans(), chances)
    def test_a_final_fault_is_never_tried_again(
        self, policy: RetryPolicy, fault: Fault, text_shown: bool, chance: float
    ) -> None:
        progress = Progress(policy.models[0]).failed(seconds=0.0, text_shown=text_shown)

        assert decide(policy, progress, GenerationError(fault), lambda: chance) == GiveUp()


def _simulate(
    policy: RetryPolicy, faults: list[tuple[Fault, float | None, bool, float]], chance: Callable[[], float]
) -> list[tuple[Progress, Retry]]:
    """Every call fails as ``faults`` say, until the policy gives up."""
    progress = Progress(policy.models[0])
    steps: list[tuple[Progress, Retry]] = []
    for fault, asked, text_shown, seconds in faults:
        progress = progress.failed(seconds=seconds, text_shown=text_shown)
        decision = decide(policy, progress, GenerationError(fault, retry_after=asked), chance)
        if isinstance(decision, GiveUp):
            return steps
        steps.append((progress, decision))
        progress = progress.after(decision)
    raise AssertionError("it was tried for ever")
