"""From what a member asked for to a queued job: one transaction, or nothing at all.

Permission, moderation, limits and quota are checked inside the transaction that writes the job, its
delivery and its reservation, with the member locked, so that fifty requests at once or two gateways
cannot pass a limit together. Used by `JobService` only.

The fair order is start-time fair queueing (Goyal, Vin and Cheng, 1996) with jobs of cost 1:

    start_tag  = max(virtual time, the member's last finish_tag)
    finish_tag = start_tag + 1 / weight

so the k-th waiting job of one member stands beside the k-th of every other, and who comes new
begins where the line is now.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from bot.core.chat import Invocation, Origin
from bot.core.domain import Delivery, DeliveryState, Job, JobState, Limits, Member
from bot.core.ports import Clock, Conflict, Standing, UnitOfWork, UnitOfWorkFactory
from bot.core.storable import storable_text
from bot.errors import BadOption, TooManyJobs
from bot.services import decency, permission
from bot.services.house_rules import STUDIO, HouseRules, read
from bot.services.inputs import Input, Inputs, hold
from bot.services.models import ModelOffer, ModelOffers
from bot.services.moderation import ModerationService
from bot.services.quota import QuotaService
from bot.services.rule_book import SETTINGS, RuleBook
from bot.services.transactions import repeated
from generators.contract import MAX_SEED, Media, Params
from generators.engine.port import ArtifactRef


@dataclass(frozen=True, slots=True)
class JobDraft:
    """What a command wants made. `model` None takes the default one; `seed` None draws one.

    `needs` are the capabilities that the model must have (none named: `prompt` for a default).
    `params` are the generator's, as far as they are given; `inputs` are what it works on, stored
    already or (media of an upload) to be stored with the job; `parent_job_id` is the job this one
    varies or enlarges. `effort`: how much more than an ordinary item one of these takes, for the
    estimate as long as nothing was measured (a loop of 24 frames: 24)."""

    command: str
    model: str | None
    modality: str
    params: Mapping[str, Any]
    seed: int | None
    count: int = 1
    inputs: Mapping[str, Input] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    effort: int = 1
    parent_job_id: str | None = None
    private: bool = False


class Admission:
    """Admits drafts as jobs."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        models: ModelOffers,
        quota: QuotaService,
        moderation: ModerationService,
        inputs: Inputs,
        rules: RuleBook,
    ) -> None:
        self._uow, self._clock, self._models = uow, clock, models
        self._quota, self._moderation, self._inputs = quota, moderation, inputs
        self._rules = rules

    async def admit(self, invocation: Invocation, draft: JobDraft) -> Job:
        """The queued job; the same invocation again gives the job it made, whatever became of it.
        Raises UserError for what the member can put right, and then nothing was written."""
        needs = draft.needs if draft.model or draft.needs else ("prompt",)
        model = draft.model
        if model is None:
            rules = await self._rules.of(invocation.origin)
            model = preferred_model(self._models, rules, draft.modality, needs)
        offer = self._models.choose(model, draft.modality, *needs)
        params = self._models.validate(offer.name, draft.params)
        self._models.check_count(offer, draft.count)
        seed = _seed(draft.seed)
        async with self._inputs.stored(invocation.origin, draft.inputs) as inputs:
            return await repeated(
                lambda: self._once(invocation, draft, offer, params, seed, inputs)
            )

    async def _once(
        self,
        invocation: Invocation,
        draft: JobDraft,
        offer: ModelOffer,
        params: Params,
        seed: int,
        inputs: Mapping[str, ArtifactRef],
    ) -> Job:
        key = origin_key(invocation)
        now = self._clock()
        async with self._uow() as uow:
            member = await uow.accounts.resolve(invocation.origin, now=now)
            known = await uow.jobs.by_origin_key(key)
            if known is not None:
                return known
            standing = await uow.jobs.standing(member.account_id, member.community_id)
            permit = await self._permit(uow, invocation.origin, member, params, standing)
            estimate = await self._quota.estimate(
                uow,
                offer.name,
                draft.command,
                draft.count,
                offer.spec.first_estimate_gpu_ms * draft.effort,
            )
            await self._quota.check(
                uow, member, permit.limits, estimate, granted_ms=permit.granted_gpu_ms
            )
            start_tag = max(standing.virtual_time, standing.last_finish_tag)
            job = Job(
                id=uuid4().hex,
                origin_key=key,
                kind="generate",
                command=draft.command,
                account_id=member.account_id,
                community_id=member.community_id,
                generator=offer.spec.name,
                model=offer.name,
                params=params.model_dump(mode="json"),
                seed=seed,
                count=draft.count,
                compat=offer.spec.compat_key(offer.name, params),
                inputs=dict(inputs),
                state=JobState.QUEUED,
                created_at=now,
                start_tag=start_tag,
                finish_tag=start_tag + 1.0 / permit.limits.weight,
                reserved_gpu_ms=estimate,
                locale=invocation.origin.locale,
                private=draft.private or invocation.private or permit.ephemeral,
                parent_job_id=draft.parent_job_id,
            )
            if not await uow.jobs.add(job, _delivery(invocation, job)):
                raise Conflict("another transaction admits the same invocation")
            fresh = {inputs[name].key for name, one in draft.inputs.items() if type(one) is Media}
            await hold(uow, job, fresh)
            await self._quota.reserve(uow, job)
            await uow.commit()
        return job

    async def _permit(
        self,
        uow: UnitOfWork,
        origin: Origin,
        member: Member,
        params: Params,
        standing: Standing,
    ) -> _Permit:
        """What the rules of the house say of this request; raises where they say no."""
        place = member.community_id
        settings = await uow.settings.get_many([STUDIO, place], SETTINGS)
        measures = await uow.measures.of(member.account_id, place, now=self._clock())
        rules = read(settings, place)
        permission.check(origin, rules, measures)
        texts = params.model_dump()
        decency.check_params(texts, explicit_allowed=rules.allows_nsfw(origin))
        self._moderation.check_params(texts, rules.prompt_rules)
        limits = self._quota.limits_in(settings, member)
        if standing.waiting >= limits.waiting_jobs:
            raise TooManyJobs(
                f"You have {standing.waiting} jobs waiting already, and {limits.waiting_jobs} may"
                " wait. Let some finish, or /cancel one.",
                f"你已有 {standing.waiting} 个任务在排队，最多可排 {limits.waiting_jobs} 个。"
                "请等一些完成，或用 /cancel 取消一个。",
            )
        ephemeral = rules.ephemeral and not origin.personal
        return _Permit(limits, measures.granted_gpu_ms, ephemeral)


@dataclass(frozen=True, slots=True)
class _Permit:
    """What a member may use for a request that the rules allow, and how it is answered."""

    limits: Limits
    granted_gpu_ms: int
    ephemeral: bool


def preferred_model(
    models: ModelOffers, rules: HouseRules, modality: str, needs: Sequence[str]
) -> str | None:
    """The model that the community takes where none is named, in its style: as far as they are on
    offer and can do what is asked. None for the studio's own choice."""
    able = [offer.name for offer in models.capable(modality, *needs)]
    wanted = rules.default_model.get(modality)
    base = wanted if wanted in able else None
    if not rules.style or not able:
        return base
    styled = f"{base or able[0]}+{rules.style}"
    return styled if styled in able else base


def origin_key(invocation: Invocation) -> str:
    """The idempotency key: the event's id on its platform, and who sent it, so that nobody can
    claim somebody else's event."""
    origin = invocation.origin
    return storable_text(f"{origin.platform}:{origin.identity_external_id}:{invocation.id}")


def _delivery(invocation: Invocation, job: Job) -> Delivery:
    return Delivery(
        job_id=job.id,
        account_id=job.account_id,
        platform=invocation.origin.platform,
        address=invocation.address,
        private=job.private,
        state=DeliveryState.WAITING,
    )


def _seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbelow(MAX_SEED + 1)
    if not 0 <= seed <= MAX_SEED:
        raise BadOption(
            f"seed must be between 0 and {MAX_SEED}.", f"seed 必须在 0 和 {MAX_SEED} 之间。"
        )
    return seed
