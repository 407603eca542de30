"""Real PostgreSQL and Redis servers on free ports: started, stopped and killed at a test's word.

A test asks for the fixture `postgres` or `redis` (imported into its module, one server a module),
or enters `run_postgres()` or `run_redis()` for a server of its own. Where the programs are not
installed the test is skipped.
"""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

START_S_MAX = 60.0
STOP_S_MAX = 30.0
DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps each version's programs, which are not on its PATH."""
POSTGRES_OPTIONS = (
    "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB",
)  # fmt: skip
"""Without fsync a killed server still has all it committed; only a machine's loses it."""


@dataclass
class Database:
    """A server as a process, which keeps its port and folder from one start to the next."""

    command: Sequence[str]
    folder: Path
    port: int
    user: str | None
    """As whom it runs; None is as whom the test does."""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it and wait until it answers; what a killed one left may hold it up."""
        assert self.process is None, "it is running"
        deadline = time.monotonic() + START_S_MAX
        while True:
            if self.process is None or self.process.poll() is not None:
                self.process = self._spawn()
            if self.answers():
                return
            assert time.monotonic() < deadline, f"it does not answer: {self.read_log()[-2000:]}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in order: what it holds is written, and its clients are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it, and start it where it was."""
        self.stop()
        self.start()

    def answers(self) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    def read_log(self) -> str:
        """All that it has said."""
        return (self.folder / "log").read_text(errors="replace")

    def close(self) -> None:
        """End it, and forget its data."""
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                user=self.user, start_new_session=True,
            )  # fmt: skip

    def _end(self, number: int) -> None:
        process, self.process = self.process, None
        assert process is not None, "it is not running"
        process.send_signal(number)
        process.wait(STOP_S_MAX)


class Postgres(Database):
    """A PostgreSQL server that lets its superuser `lode` in without a password."""

    def url(self, database: str = "postgres") -> str:
        """The address of a database of this server."""
        return f"postgresql://lode@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """The address of a new and empty database."""
        name = "test_" + secrets.token_hex(8)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def answers(self) -> bool:
        """Whether it lets clients in."""
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class Redis(Database):
    """A Redis server; what it holds ends with its process unless it was told to keep it."""

    @property
    def url(self) -> str:
        """Its address, of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def answers(self) -> bool:
        """Whether it answers a PING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) == b"+PONG\r\n"
        except OSError:
            return False


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """A started PostgreSQL with an empty cluster; skips the test where there is none."""
    initdb, postgres = _find("initdb"), _find("postgres")
    folder, user = _make_folder()
    data, port = folder / "data", _free_port()
    options = [word for each in POSTGRES_OPTIONS for word in ("-c", each)]
    command = [postgres, "-D", str(data), "-p", str(port), *options]
    server = Postgres(command, folder, port, user)
    try:
        subprocess.run(
            [initdb, "-D", str(data), "-U", "lode", "-A", "trust", "-E", "UTF8", "--no-locale",
             "--no-sync"],
            check=True, capture_output=True, cwd=folder, user=user, timeout=START_S_MAX,
        )  # fmt: skip
        server.start()
        yield server
    finally:
        server.close()


@contextmanager
def run_redis(*arguments: str) -> Iterator[Redis]:
    """A started Redis, with more `arguments` if any; skips the test where there is none."""
    program, port = _find("redis-server"), _free_port()
    folder, user = _make_folder()
    command = [
        program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--save", "", *arguments,
    ]  # fmt: skip
    server = Redis(command, folder, port, user)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for the module; `create` gives each test a database of its own."""
    with run_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A Redis for the module."""
    with run_redis() as server:
        yield server


def _find(program: str) -> str:
    """The path of a program, of PostgreSQL's the newest."""
    newest_first = sorted(DEBIAN.glob("*/bin"), key=lambda each: -float(each.parent.name))
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, newest_first)])
    found = shutil.which(program, path=path)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def _make_folder() -> tuple[Path, str | None]:
    """A folder that the server's user owns: PostgreSQL refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="lode-database-"))
    if os.geteuid() != 0:
        return folder, None
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return folder, nobody.pw_name


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
