"""Whose turn it is by a `VirtualClock`: the decisions alone, with threads that are only names, on a real time that is only a number."""

from __future__ import annotations

import threading

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakeslurm.turns import Decision, Member, Turns, Waiter


def member(turns: Turns, *, background: bool = False) -> Waiter:
    """One that runs by its turn."""
    waiter = Waiter(Member(background))
    turns.line_up(waiter)
    return waiter


def guest(turns: Turns, timeout: float | None, *, drives: bool = False) -> Waiter:
    waiter = Waiter(None, threading.Thread(), drives=drives)
    turns.wait(waiter, timeout)
    return waiter


def waits(turns: Turns, waiter: Waiter, timeout: float | None) -> Waiter:
    """The same member waits."""
    assert waiter.member is not None
    following = Waiter(waiter.member, waiter.thread)
    turns.wait(following, timeout)
    turns.rests(waiter.member)
    return following


def test_members_run_one_after_the_other() -> None:
    turns = Turns(0.0)
    first, second = member(turns), member(turns)
    assert turns.decide(0.0).let_go == (first,)
    assert turns.decide(0.5) == Decision()
    waits(turns, first, None)
    assert turns.decide(0.5) == Decision(let_go=(second,))


def test_one_that_is_stalled_is_passed_by() -> None:
    turns = Turns(0.0)
    first, second = member(turns), member(turns)
    turns.decide(10.0)
    assert turns.decide(10.9) == Decision()
    assert turns.decide(11.0) == Decision(let_go=(second,), stalled=True)
    assert first.is_ready


def test_it_jumps_to_the_next_deadline() -> None:
    turns = Turns(100.0)
    later, sooner = guest(turns, 9), guest(turns, 4)
    assert turns.decide(0.0) == Decision(jumps=(104.0,), let_go=(sooner,))
    assert not later.is_ready


def test_who_waits_for_the_same_moment_goes_on_in_the_order_of_waiting() -> None:
    turns = Turns(0.0)
    waiting = [waits(turns, turns.decide(0.0).let_go[0], 5) for _ in range(3) if member(turns)]
    guest(turns, 50)
    for one in waiting:
        assert turns.decide(0.0).let_go == (one,)
        waits(turns, one, None)


def test_a_guest_that_was_woken_holds_up_time_for_a_moment() -> None:
    turns = Turns(0.0)
    guest(turns, 1)
    turns.decide(0.0)
    guest(turns, 2)
    assert turns.decide(0.05) == Decision()
    assert turns.decide(0.2).jumps == (3.0,)


def test_one_that_has_ended_does_not() -> None:
    turns = Turns(0.0)
    first = guest(turns, 1)
    turns.decide(0.0)
    guest(turns, 2)
    assert turns.away == (first.thread,)
    turns.gone(first.thread)
    assert turns.decide(0.05).jumps == (3.0,)


def test_background_members_move_no_time() -> None:
    turns = Turns(0.0)
    waits(turns, member(turns, background=True), 5)
    turns.decide(0.0)
    assert turns.now == 0.0


def test_processes_hold_up_a_jump_but_not_an_advance() -> None:
    turns = Turns(0.0)
    turns.processes(1)
    guest(turns, 5)
    assert turns.decide(1.0) == Decision()
    guest(turns, 3, drives=True)
    turns.disturbed(1.0, stands_still=False)
    assert turns.decide(1.05) == Decision()
    assert turns.decide(1.1).jumps == (3.0,)


def test_without_processes_an_advance_waits_for_nothing() -> None:
    turns = Turns(0.0)
    turns.disturbed(1.0, stands_still=False)
    guest(turns, 3, drives=True)
    assert turns.decide(1.0).jumps == (3.0,)


def test_guests_do_not_go_on_while_a_member_runs() -> None:
    turns = Turns(0.0)
    member(turns)
    turns.decide(0.0)
    turns.wake(guest(turns, None))
    assert turns.decide(5.0) == Decision()


class TurnsMachine(RuleBasedStateMachine):
    """Whatever is told in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns(0.0)
        self.real = 0.0
        self.runs: list[Waiter] = []
        """Members that were let go and have not waited again."""
        self.parked: list[Waiter] = []
        """All that wait, in the order in which they began to."""
        self.order: list[Waiter] = []
        """Members in the order in which they became ready."""
        self.under_way = self.processes = 0

    def look(self) -> None:
        before = self.turns.now
        ready = [waiter for waiter in self.parked if waiter.is_ready]
        decision = self.turns.decide(self.real)
        assert list(decision.jumps) == sorted(decision.jumps)
        assert all(jump >= before for jump in decision.jumps)
        if decision.jumps:
            assert not self.under_way, "time has moved although something is under way"
            assert not ready, "time has moved although somebody could go on"
            assert not self.processes or any(waiter.drives for waiter in self.parked)
        self.order += [
            waiter for waiter in self.parked if waiter.is_ready and waiter.member and waiter not in self.order
        ]
        for waiter in decision.let_go:
            assert waiter.is_ready
            assert waiter.member or not self.order, "a guest goes on although a member could"
            self.parked.remove(waiter)
            if waiter.member is not None:
                assert waiter is self.order.pop(0), "not its turn"
                self.runs.append(waiter)
        if not decision.stalled:
            assert len([one for one in self.runs if self.real - one.member.since < 1]) <= 1  # type: ignore[union-attr]

    @rule(background=st.booleans())
    def a_member_starts(self, background: bool) -> None:
        waiter = member(self.turns, background=background)
        self.parked.append(waiter)
        self.order.append(waiter)
        self.look()

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), timeout=st.none() | st.floats(-1, 100))
    def a_member_waits(self, data: st.DataObject, timeout: float | None) -> None:
        one = data.draw(st.sampled_from(self.runs))
        self.runs.remove(one)
        self.parked.append(waits(self.turns, one, timeout))
        self.look()

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def a_member_ends(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.runs))
        self.runs.remove(one)
        self.turns.rests(one.member)  # type: ignore[arg-type]
        self.look()

    @rule(timeout=st.none() | st.floats(-1, 100), drives=st.booleans())
    def a_guest_waits(self, timeout: float | None, drives: bool) -> None:
        self.parked.append(guest(self.turns, timeout, drives=drives))
        self.look()

    @precondition(lambda self: self.parked)
    @rule(data=st.data())
    def somebody_is_woken(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.parked))
        was_ready = one.is_ready
        self.turns.wake(one)
        if one.member is not None and not was_ready:
            self.order.append(one)
        self.look()

    @precondition(lambda self: self.parked)
    @rule(data=st.data())
    def real_time_is_up_for_one(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.parked))
        was_ready = one.is_ready
        if self.turns.wake_at_once(one):
            self.parked.remove(one)
        elif not was_ready:
            self.order.append(one)
        self.look()

    @precondition(lambda self: self.parked)
    @rule(data=st.data())
    def one_is_interrupted(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.parked))
        self.turns.torn_out(one)
        self.parked.remove(one)
        if one in self.order:
            self.order.remove(one)
        if one.member is not None:
            one.member.since = -10.0  # it runs whoever else does
            self.runs.append(one)
        self.look()

    @rule(number=st.sampled_from([-1, 1]))
    def something_is_under_way(self, number: int) -> None:
        if self.under_way + number >= 0:
            self.under_way += number
            self.turns.moving(number)
        self.look()

    @rule(number=st.sampled_from([-1, 1]))
    def a_process(self, number: int) -> None:
        if self.processes + number >= 0:
            self.processes += number
            self.turns.processes(number)
            self.turns.disturbed(self.real, stands_still=number < 0)
        self.look()

    @rule(seconds=st.sampled_from([0.01, 0.2, 1.5]))
    def real_time_passes(self, seconds: float) -> None:
        self.real += seconds
        self.look()

    @invariant()
    def who_waits_no_longer_than_now_is_ready(self) -> None:
        now = self.turns.now
        late = [one for one in self.parked if not one.is_ready and one.deadline is not None and one.deadline < now]
        assert not late, f"time has gone past {late}"


test_turns = TurnsMachine.TestCase
