"""Real PostgreSQL and Redis servers on free ports: started, stopped and killed at one's word."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from localnet.chain import free_port
from localnet.errors import NotInstalledError
from localnet.processes import Node, wait_until

START_S_MAX = 60.0
STOP_S_MAX = 30.0
START_PAUSE_S = 0.02
DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps each version's programs, which are not on its PATH."""
POSTGRES_OPTIONS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=16MB")
HASTY = ("fsync=off",)
"""A killed server still has all it committed; only a machine that fails loses it."""


@dataclass
class Database:
    """A server as a process, which keeps its port and folder from one start to the next."""

    node: Node
    port: int

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers.

        What a killed one left may hold it up, and end it at once: then it is started again.
        """
        wait_until(self._is_up, "no answer of the database", START_S_MAX, START_PAUSE_S)

    def _is_up(self) -> bool:
        if not self.node.is_alive():
            self.node.start_again()
        return self.answers()

    def stop(self) -> None:
        """End it in order: what it holds is written, and its clients are cut."""
        self.node.process.send_signal(signal.SIGINT)
        self.node.process.wait(STOP_S_MAX)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.node.kill()

    def restart(self) -> None:
        """Stop it, and start it where it was."""
        self.stop()
        self.start()

    def answers(self) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    def close(self) -> None:
        """End it where it runs."""
        if self.node.is_alive():
            self.stop()


class Postgres(Database):
    """A PostgreSQL server that lets its superuser `lode` in without a password."""

    def url(self, database: str = "postgres") -> str:
        """The address of a database of this server."""
        return f"postgresql://lode@127.0.0.1:{self.port}/{database}"

    def create(self) -> str:
        """The address of a new and empty database."""
        name = "lode_" + secrets.token_hex(8)
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
def run_postgres(*options: str) -> Iterator[Postgres]:
    """A started PostgreSQL with an empty cluster; raises NotInstalledError where there is none."""
    initdb, postgres = _find("initdb"), _find("postgres")
    with _folder() as (folder, user):
        data, port = folder / "data", free_port()
        subprocess.run(
            [initdb, "-D", str(data), "-U", "lode", "-A", "trust", "-E", "UTF8", "--no-locale",
             "--no-sync"],
            check=True, capture_output=True, cwd=folder, user=user, timeout=START_S_MAX,
        )  # fmt: skip
        words = [word for each in (*POSTGRES_OPTIONS, *options) for word in ("-c", each)]
        command = [postgres, "-D", str(data), "-p", str(port), *words]
        server = Postgres(Node.start("postgres", command, folder, user), port)
        try:
            server.start()
            yield server
        finally:
            server.close()


@contextmanager
def run_redis(*arguments: str) -> Iterator[Redis]:
    """A started Redis, with more `arguments` if any; raises NotInstalledError without one."""
    program = _find("redis-server")
    with _folder() as (folder, user):
        port = free_port()
        command = [
            program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", *arguments,
        ]  # fmt: skip
        server = Redis(Node.start("redis", command, folder, user), port)
        try:
            server.start()
            yield server
        finally:
            server.close()


def _find(program: str) -> str:
    """The path of a program, of PostgreSQL's the newest."""
    newest_first = sorted(DEBIAN.glob("*/bin"), key=lambda each: -float(each.parent.name))
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, newest_first)])
    found = shutil.which(program, path=path)
    if found is None:
        raise NotInstalledError(f"{program} is not installed")
    return found


@contextmanager
def _folder() -> Iterator[tuple[Path, str | None]]:
    """A folder that the server's user owns, and who that is: PostgreSQL refuses to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="lode-database-"))
    try:
        if os.geteuid() != 0:
            yield folder, None
        else:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            yield folder, nobody.pw_name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
