"""One token bucket for messages of clients, requests of tokens, and failed logins."""

import pytest

from mailrelay.token_buckets import TokenBuckets


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def buckets(clock):
    return TokenBuckets(lambda: clock[0], kept=3)


def took(buckets, key, count, capacity=3, per_second=3 / 60):
    return [buckets.take(key, capacity, per_second) == 0 for _ in range(count)]


def test_a_bucket_holds_its_capacity_and_fills_evenly(buckets, clock):
    assert took(buckets, 1, 4) == [True, True, True, False]
    clock[0] = 19.9
    assert buckets.wait(1, 3, 3 / 60) == pytest.approx(0.1)
    clock[0] = 20.1
    assert took(buckets, 1, 2) == [True, False]
    clock[0] = 10_000.0
    assert took(buckets, 1, 4) == [True, True, True, False]


def test_each_key_has_its_own_and_a_capacity_of_zero_is_no_limit(buckets):
    assert took(buckets, 1, 4) == [True, True, True, False]
    assert took(buckets, 2, 1) == [True]
    assert took(buckets, 3, 50, capacity=0, per_second=0.0) == [True] * 50
    assert buckets.wait(3, 0, 0.0) == 0


def test_what_is_spent_beyond_nothing_has_to_fill_up_first(buckets, clock):
    for _ in range(5):
        buckets.spend("ann", 3, 1.0)
    assert buckets.wait("ann", 3, 1.0) == pytest.approx(3.0)
    clock[0] = 3.0
    assert buckets.take("ann", 3, 1.0) == 0


def test_a_lower_capacity_counts_at_once(buckets):
    assert took(buckets, 1, 1) == [True]
    assert took(buckets, 1, 2, capacity=1) == [True, False]


def test_full_buckets_are_forgotten_first_and_then_those_used_longest_ago(buckets, clock):
    assert took(buckets, "full soon", 1, capacity=1, per_second=100.0) == [True]
    assert took(buckets, "long ago", 4, per_second=0.001) == [True, True, True, False]
    clock[0] = 1.0
    assert took(buckets, "b", 4, per_second=0.001)[-1] is False
    assert took(buckets, "c", 4, per_second=0.001)[-1] is False
    assert took(buckets, "long ago", 1, per_second=0.001) == [False]
    assert took(buckets, "d", 1, per_second=0.001) == [True]
    assert took(buckets, "long ago", 1, per_second=0.001) == [True]
    assert took(buckets, "c", 1, per_second=0.001) == [False]
