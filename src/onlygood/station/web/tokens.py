"""Tokens: made once, kept as their SHA-256, compared in constant time, and not guessed at leisure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from onlygood.station.station_settings import Token
from onlygood.station.web.rights import Identity

TOKEN_BYTES = 32
# Of a token that somebody sends: a hash is made of it.
MOST_CHARACTERS = 512

# Different wrong tokens from one address within the window; the next one has to wait.
MOST_WRONG, WINDOW_S = 10, 60.0
# Addresses that are remembered.
MOST_ADDRESSES = 4096


def new_token() -> tuple[str, str]:
    """A token that nobody can guess, and the SHA-256 that is kept of it."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return token, sha256_of(token)


def sha256_of(token: str) -> str:
    """What is kept of a token, 64 hexadecimal digits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class KnownTokens:
    """The tokens of a station.

    Args:
        tokens: gives those that hold now: a person can add and remove some while the station runs.
    """

    def __init__(self, tokens: Callable[[], Sequence[Token]]) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens())

    def identify(self, token: str) -> Identity | None:
        """Who has this token; None where nobody has. All are compared, each in constant time."""
        if len(token) > MOST_CHARACTERS:
            return None
        digest = sha256_of(token)
        found = None
        for each in self._tokens():
            if hmac.compare_digest(each.sha256, digest):
                found = each
        return None if found is None else Identity(found.name, found.right)


class WrongTokens:
    """Which wrong tokens came from which address of late. One that comes again and again is one mistake, no attack.

    Args:
        now_s: the time in seconds, ascending.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._by_address: OrderedDict[str, OrderedDict[bytes, float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """For how long an address has to wait until it may try a token; 0 where it need not."""
        wrong = self._recent(address)
        if len(wrong) < MOST_WRONG:
            return 0.0
        return max(0.0, next(iter(wrong.values())) + WINDOW_S - self._now_s())

    def note(self, address: str, token: str) -> None:
        """Remember that a wrong token came from an address."""
        wrong = self._recent(address)
        key = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()[:8]
        wrong[key] = self._now_s()
        wrong.move_to_end(key)
        self._by_address[address] = wrong
        self._by_address.move_to_end(address)
        while len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)

    def _recent(self, address: str) -> OrderedDict[bytes, float]:
        wrong = self._by_address.get(address, OrderedDict())
        oldest = self._now_s() - WINDOW_S
        while wrong and next(iter(wrong.values())) <= oldest:
            wrong.popitem(last=False)
        return wrong
