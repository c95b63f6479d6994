"""A client's connection: usual requests are answered as soon as they are read, all others by uvicorn.

For each request uvicorn starts a task, in which an application receives and sends messages; that takes
longer than to predict. What the front answers needs none of it: one call, one write. Requests are parsed
by httptools whoever answers them, and those that the front leaves alone reach uvicorn as if it had read them.
While the front takes its time, uvicorn holds the request as if its application did, and so keeps the order.
"""

from asyncio import TimerHandle
from functools import lru_cache
from typing import Any, ClassVar

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mlops_assets.serving.front import Front, Taken, Target

# Many clients send a request's head and body apart, but together. One that takes longer is slow, and
# uvicorn and the application limit how slow one may be, and how much may be on its way.
_PATIENCE_SECONDS = 1.0
# When the gateway stops, a request may be on its way on a connection that is idle. It is answered, and told
# that it was the last one here.
_LAST_REQUEST_SECONDS = 0.5
# uvicorn and httptools would keep a head of any size.
_MOST_HEAD_BYTES = 2**18


def answered_by(front: Front) -> type[HttpToolsProtocol]:
    """Return the protocol with which uvicorn serves connections whose usual requests a front answers."""
    return type("Connection", (_Connection,), {"front": front})


class _Connection(HttpToolsProtocol):
    """One connection.

    While a request may be usual it is held here and uvicorn has only seen its head's parts; it is either
    answered or passed on.
    """

    front: ClassVar[Front]
    scope: Any  # a typed dictionary, in which the front may note what others know nothing of

    _head_bytes: int | None = None  # of a head that has not ended, in packets that it did not end in
    _target: Target | None = None  # of the request that is held
    _body = b""
    _is_taken = False  # by the front, which will reply in this turn
    _is_late = False  # by the front, which will reply in another
    _late: RequestResponseCycle | None = None  # what stands at uvicorn for the request that is late
    _stays = True  # after the answer
    _impatience: TimerHandle | None = None
    _ends = False  # with the next answer

    def data_received(self, data: bytes) -> None:
        """Take what the client sent; see :class:`asyncio.Protocol`."""
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD_BYTES:
                self.send_400_response(f"The head of a request may have {_MOST_HEAD_BYTES} bytes.")
        if self._target is not None and not self._is_taken and self._impatience is None:
            self._impatience = self.loop.call_later(_PATIENCE_SECONDS, self._pass_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let uvicorn's application know that the client went away, if it was in the middle of a request."""
        self._settle()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Finish what is being asked, or what is asked right now, then close."""
        self._settle()
        if self.cycle is None or self.cycle.response_complete:
            self._ends = True
            self.loop.call_later(_LAST_REQUEST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Tell that what came is no HTTP, after the answer to what came before it."""
        self._settle()
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Begin a request, after the one before it."""
        if self._is_taken:
            self.front.answer()
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hold a request that may be usual."""
        self._head_bytes = None
        self._unset_keepalive_if_required()  # set if one that came with this was answered already
        if self._can_be_answered():
            self._target = self.front.target(self.url, self.scope)
        if self._target is None:
            self._begin_cycle()

    def on_body(self, body: bytes) -> None:
        """Hold a small body."""
        if self._target is None:
            super().on_body(body)
            return
        self._body += body
        if len(self._body) > HIGH_WATER_LIMIT:
            self._pass_on()

    def on_message_complete(self) -> None:
        """Have a usual request answered."""
        if self._target is None:
            super().on_message_complete()
            return
        self._stays = (
            self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0" and not self._ends
        )
        self._is_taken = True
        taken = self.front.take(self._target, self.scope, self._body, self._reply)
        if taken is not Taken.NOW:
            self._is_late = taken is Taken.LATER
            self._reply(None)
        elif not self._stays:
            self.front.answer()  # now, since the parser forgets it

    def _can_be_answered(self) -> bool:
        """Return whether an answer could be written at once: none is due before it, and the client reads."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.transport.is_closing()
            and not self.parser.should_upgrade()
            and self.parser.get_method() == b"POST"
        )

    def _reply(self, content: bytes | None) -> None:
        """Answer the request that is held, or have uvicorn do it."""
        self._is_taken = False
        if (late := self._late) is not None:
            self._late = None
            self._reply_late(late, content)
            return
        if content is None:
            self._pass_on()
            super().on_message_complete()
            return
        self._let_go()
        self._write(content, stays=self._stays)

    def _reply_late(self, cycle: RequestResponseCycle, content: bytes | None) -> None:
        if content is None:
            super()._start_asgi_task(cycle, self.app)
            return
        cycle.response_complete = True
        self._write(content, stays=cycle.keep_alive)

    def _write(self, content: bytes, *, stays: bool) -> None:
        if self.transport.is_closing():
            return
        head = _head(tuple(self.server_state.default_headers), stays)
        self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(content), content))
        if not stays:
            self.transport.close()
        self.on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Have uvicorn's application answer a request, unless the front will."""
        if self._is_late:
            self._is_late, self._late = False, cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _settle(self) -> None:
        """Have done with the request that is held, if one is."""
        if self._is_taken:
            self.front.answer()
        self._pass_on()

    def _pass_on(self) -> None:
        """Have uvicorn answer the request that is held, if one is; what follows of it goes there, too."""
        if self._target is None:
            return
        body = self._body
        self._let_go()
        self._begin_cycle()
        if body:
            super().on_body(body)

    def _begin_cycle(self) -> None:
        """Have uvicorn answer the request whose head has ended."""
        super().on_headers_complete()
        if self._ends and self.cycle is not None:
            self.cycle.keep_alive = False

    def _let_go(self) -> None:
        self._target, self._body = None, b""
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None


@lru_cache(8)
def _head(defaults: tuple[tuple[bytes, bytes], ...], stays: bool) -> bytes:
    """Return an answer's head up to its length; the defaults change with the time of day."""
    fields = [*defaults, (b"content-type", b"application/json")]
    if not stays:
        fields.append((b"connection", b"close"))
    lines = [b"HTTP/1.1 200 OK", *(b"%b: %b" % field for field in fields), b"content-length: "]
    return b"\r\n".join(lines)
