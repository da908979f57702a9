"""The cache of an endpoint's replies: the whole request is the key."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from env.errors import UserError
from medcopilot.policies.base import ChatReply
from medcopilot.policies.response_cache import ResponseCache

BODY = {"model": "m", "messages": [{"role": "user", "content": "How many?"}], "temperature": 0.6, "top_p": 1.0, "max_tokens": 5,
        "seed": 1}


def test_a_reply_comes_back_from_the_file(tmp_path):
    reply = ChatReply(text="drei 3", prompt_tokens=11, completion_tokens=None)
    key = ResponseCache.key("http://a/v1", BODY)
    first = ResponseCache(tmp_path / "deep" / "cache.sqlite")
    assert first.get(key) is None
    first.put(key, reply)
    first.put(key, ChatReply(text="other"))  # the first one stays
    first.close()
    again = ResponseCache(tmp_path / "deep" / "cache.sqlite")
    assert (again.get(key), again.hits) == (reply, 1)


@given(name=st.sampled_from(sorted(BODY)))
def test_every_field_of_the_request_counts(name):
    other = {**BODY, name: "x"}
    assert ResponseCache.key("http://a/v1", other) != ResponseCache.key("http://a/v1", BODY)
    assert ResponseCache.key("http://b/v1", BODY) != ResponseCache.key("http://a/v1", BODY)
    assert ResponseCache.key("http://a/v1", dict(reversed(BODY.items()))) == ResponseCache.key("http://a/v1", BODY)


def test_many_threads_and_two_handles(tmp_path):
    caches = [ResponseCache(tmp_path / "c.sqlite") for _ in range(2)]

    def write(start: int) -> None:
        for number in range(start, start + 50):
            caches[number % 2].put(ResponseCache.key("u", {"n": number}), ChatReply(text=str(number)))

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 25, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [caches[0].get(ResponseCache.key("u", {"n": number})).text for number in range(100)] == [str(n) for n in range(100)]


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "c.sqlite").write_bytes(b"something else entirely, and long enough to be read as a header" * 20)
    with pytest.raises(UserError, match="delete it or choose another file"):
        ResponseCache(tmp_path / "c.sqlite")
