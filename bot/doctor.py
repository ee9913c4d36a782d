"""`atelier doctor`: holds every setting against reality and says what to do about what is wrong.

Each check is one small coroutine that returns a `Finding`; none changes anything but a probe file
it removes again. Called by `bot.cli` only.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec

import aiohttp

from bot import settings as settings_module
from bot.platforms.discord import checkup
from bot.settings import Settings
from generators import artifacts, registry

LOW_DISK_BYTES = 2 * 1024**3
PROBE_TIMEOUT_S = 60


class Mark(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, but worth knowing
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `remedy` is empty where there is nothing to do; `link` is for a
    browser."""

    name: str
    mark: Mark
    detail: str
    remedy: str = ""
    link: str = ""


Check = Callable[[Settings], Awaitable[Finding | Sequence[Finding]]]


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Run every check in turn; a check that breaks is itself a finding."""
    for check in CHECKS:
        try:
            found = await check(settings)
            for finding in (found,) if isinstance(found, Finding) else found:
                yield finding
        except Exception as error:  # whatever it is: the other checks are wanted all the more
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(name, Mark.BAD, f"{type(error).__name__}: {error}", "Put that right.")


async def check_python(settings: Settings) -> Finding:
    """Interpreter and our own version."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", Mark.OK, f"Python {version}, Atelier {metadata.version('atelier')}")


async def check_data_folder(settings: Settings) -> Finding:
    """The data folder can be written and has room."""
    folder = settings.data_dir.resolve()

    def probe() -> int:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / ".doctor"
        file.write_bytes(b"probe")
        file.unlink()
        return shutil.disk_usage(folder).free

    try:
        free = await asyncio.to_thread(probe)
    except OSError as error:
        remedy = "Make the folder writable for this user, or set ATELIER_DATA_DIR to one that is."
        return Finding("data folder", Mark.BAD, f"{folder}: {error.strerror}", remedy)
    detail = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < LOW_DISK_BYTES:
        return Finding("data folder", Mark.NOTE, detail, "Pictures need room: free some disk.")
    return Finding("data folder", Mark.OK, detail)


async def check_database(settings: Settings) -> Finding:
    """The database answers, and its tables are of this version."""
    from bot.store.database import open_store  # SQLAlchemy loads only where it is used

    shown = re.sub(r"//[^@/]*@", "//***@", settings.database_url)
    store = open_store(settings.database_url)
    try:
        await store.ping()
        current = await store.is_current()
    except Exception as error:  # each database's driver has a tree of errors of its own
        remedy = "Is the server running, and are name and password in ATELIER_DATABASE_URL right?"
        return Finding("database", Mark.BAD, f"{shown}: {type(error).__name__}", remedy)
    finally:
        await store.close()
    if not current:
        note = "Nothing to do: `atelier up` brings it up to date (or `atelier db upgrade` now)."
        return Finding("database", Mark.NOTE, f"{shown}, not at the newest version", note)
    return Finding("database", Mark.OK, shown)


async def check_artifacts(settings: Settings) -> Finding:
    """The artifact store keeps and returns bytes."""
    url = settings.generators.artifacts
    try:
        store = artifacts.open_store(url)
        key = await store.put(b"doctor", owner="doctor")
        same = await store.get(key) == b"doctor"
        await store.forget(key, owner="doctor")
    except Exception as error:  # so has each kind of store that a URL can name
        remedy = "Check ATELIER_ARTIFACTS_URL and the rights of this user there."
        return Finding("artifacts", Mark.BAD, f"{url}: {error}", remedy)
    if not same:
        return Finding("artifacts", Mark.BAD, f"{url}: other bytes came back", "Check the disk.")
    return Finding("artifacts", Mark.OK, url)


async def check_secret(settings: Settings) -> Finding:
    """The signing key exists and nobody else can read it."""
    if settings.studio.secret_key is not None:
        return Finding("secret key", Mark.OK, "from ATELIER_SECRET_KEY")
    path = settings.data_dir / "secret.key"
    if not path.exists():
        return Finding("secret key", Mark.OK, f"will be made at the first start, in {path}")
    settings_module.secret_key(settings)  # raises SettingsError where it is damaged
    if path.stat().st_mode & 0o077:
        remedy = f"chmod 600 {path}"
        return Finding("secret key", Mark.BAD, f"{path} can be read by others", remedy)
    return Finding("secret key", Mark.OK, str(path))


async def check_models(settings: Settings) -> Finding:
    """The models on offer can be read, and their weights are there."""
    offered = registry.read_registry(settings.generators.models_path).entries
    folders = {name: entry.folder for name, entry in offered.items() if entry.folder}
    missing = await asyncio.to_thread(lambda: [n for n, f in folders.items() if not f.is_dir()])
    if missing:
        remedy = "Put the folder back, or `atelier models remove NAME`."
        return Finding("models", Mark.BAD, f"no weights for {', '.join(missing)}", remedy)
    return Finding("models", Mark.OK, ", ".join(sorted(offered)))


async def check_device(settings: Settings) -> Finding:
    """What a worker on this machine would compute on; asked in a child, for torch's sake."""
    program = (
        "import json, torch; c = torch.cuda.is_available();"
        "print(json.dumps([torch.__version__, torch.cuda.get_device_name() if c else 'cpu',"
        "torch.cuda.mem_get_info()[1] if c else 0, torch.get_num_threads()]))"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), PROBE_TIMEOUT_S)
    except TimeoutError:
        child.kill()
        await child.wait()
        return Finding("device", Mark.BAD, "torch did not answer", "Reinstall torch.")
    if child.returncode:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        return Finding("device", Mark.BAD, last[0], 'pip install "atelier[worker]"')
    version, name, memory, threads = json.loads(out)
    if name == "cpu":
        detail = f"CPU, {threads} threads (torch {version})"
        return Finding("device", Mark.NOTE, detail, "Fine for the starter models; slow for large.")
    return Finding("device", Mark.OK, f"{name}, {memory / 1024**3:.0f} GiB (torch {version})")


async def check_ffmpeg(settings: Settings) -> Finding:
    """ffmpeg is there, for sounds and films."""
    path = shutil.which("ffmpeg")
    if path is None:
        remedy = "Install it (Debian: apt-get install ffmpeg). Pictures and texts work without."
        return Finding("ffmpeg", Mark.NOTE, "not found", remedy)
    return Finding("ffmpeg", Mark.OK, path)


async def check_web(settings: Settings) -> Finding:
    """The web address can be bound, or a studio is listening there already."""
    host, _, port = settings.web.bind.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            remedy = "Fine if the studio is running; otherwise choose another ATELIER_WEB_BIND."
            return Finding("web", Mark.NOTE, f"{settings.web.bind}: {error}", remedy)
    if host not in {"127.0.0.1", "::1", "localhost"} and not settings.web.public_url:
        remedy = "Set ATELIER_WEB_PUBLIC_URL, and put a proxy with TLS before it."
        return Finding("web", Mark.NOTE, f"{host}:{port} is open to the network", remedy)
    return Finding("web", Mark.OK, f"http://{settings.web.bind}")


async def check_discord(settings: Settings) -> list[Finding]:
    """The Discord token is accepted, commands reach us, the bot may do its work; how to invite."""
    if settings.discord.token is not None and find_spec("discord") is None:
        remedy = 'pip install "atelier[discord]"'
        return [Finding("discord", Mark.BAD, "discord.py is not installed", remedy)]
    remarks = await checkup.examine(settings.discord, settings.web.public_url)
    return [
        Finding(one.name, Mark(one.trouble or "ok"), one.detail, one.remedy, one.link)
        for one in remarks
    ]


async def check_telegram(settings: Settings) -> Finding:
    """The Telegram token is accepted."""
    token = settings.telegram.token
    if token is None:
        return Finding("telegram", Mark.OK, "switched off (no ATELIER_TELEGRAM_TOKEN)")
    url = f"{settings.telegram.api_base}/bot{token.get_secret_value()}/getMe"
    return await _ask("telegram", url, {}, "Ask BotFather for the token: ATELIER_TELEGRAM_TOKEN.")


async def _ask(name: str, url: str, headers: dict[str, str], remedy: str) -> Finding:
    """Ask a platform who the token belongs to. The URL may hold the token: never shown."""
    timeout = aiohttp.ClientTimeout(total=10)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers) as response,
        ):
            body = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        detail = f"no usable answer ({type(error).__name__})"
        return Finding(name, Mark.BAD, detail, "Check the network, a proxy, and the API base.")
    if response.status != 200:
        return Finding(name, Mark.BAD, f"the token was refused ({response.status})", remedy)
    person = body.get("result", body)
    return Finding(name, Mark.OK, f"signed in as {person.get('username', '?')}")


CHECKS: tuple[Check, ...] = (
    check_python,
    check_data_folder,
    check_database,
    check_artifacts,
    check_secret,
    check_models,
    check_device,
    check_ffmpeg,
    check_web,
    check_discord,
    check_telegram,
)
