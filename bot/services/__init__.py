"""Use cases, each one unit of work over the ports of core. They know no platform and no SQL.

  jobs        admission (one transaction), completion (first result wins), cancel, reading back
  dispatch    the fair order: which queued jobs go to the engine, and when; results; reconcile
  delivery    the outbox: every ended job is answered exactly once; progress updates on the way
  quota       limits, usage and estimates; reserve, settle, release
  history     one's past jobs, favourites, deletion
  moderation  whether a prompt may be worked on
  pictures    what a member attached or pointed at, judged, as a job's input
  making      what commands that make something do alike: draft, first answer, again, present
  sharing     links to one thing made, for chats that cannot hold it
  relatives   what one makes of a picture in an answer: larger ones, variations
  house       what communities decide: rules (settings), members (blocks, grants), cases (reports),
              communities that are left, erasing and taking back; `retention` and `case_posting`
              are its loops

`Services` is what commands get: built by `bot.app`, handed to the router.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.core.ports import Clock
    from bot.core.signing import Signer
    from bot.services.communities import CommunityService
    from bot.services.history import HistoryService
    from bot.services.house import House
    from bot.services.jobs import JobService
    from bot.services.models import ModelOffers
    from bot.services.moderation import ModerationService
    from bot.services.pictures import PictureService
    from bot.services.quota import QuotaService
    from bot.services.status import StudioStatus
    from generators.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a command may use."""

    jobs: JobService
    quota: QuotaService
    history: HistoryService
    moderation: ModerationService
    pictures: PictureService
    models: ModelOffers
    artifacts: ArtifactStore
    signer: Signer
    clock: Clock
    status: StudioStatus
    house: House

    @property
    def communities(self) -> CommunityService:
        """For platforms: which communities the studio was sent away from."""
        return self.house.communities
