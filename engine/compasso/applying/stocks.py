"""Coupon stocks at the last moment: whether a set still needs the codes of a plan."""

from __future__ import annotations

from compasso.applying.runners.base import Work
from compasso.model import Batch, CompassoError
from compasso.planning import look_at_account
from compasso.planning.stocks import codes_needed, recent_codes, stock_of


async def codes_still_needed(work: Work, batch: Batch) -> int:
    """How many codes of a batch its set needs now. 0: somebody filled it up meanwhile, say.

    Never more than the plan has: nothing is uploaded that was not reviewed. Raises
    CompassoError when the set is gone.
    """
    options = work.plan.options(batch.sync)
    stock = stock_of(options)
    work.show(batch.sync, f"looking at the coupon set {stock.label}")
    account = await look_at_account(work.client, workflows=stock.only_if_used)
    found = next((s for s in account.sets if s.identity == options["coupon_set_id"]), None)
    if found is None:
        raise CompassoError.say(
            f"{batch.sync}: the coupon set {stock.label!r} is not in the account any more",
            "what was applied is safe; make a new plan",
        )
    recent = recent_codes(work.state, batch.sync, work.client.account_clock.now())
    need = codes_needed(stock, found, used=account.is_used(found), recent=recent)
    if need.codes < batch.rows:
        left = batch.rows - need.codes
        work.tally.notes.append(
            f"{batch.sync}: {left:,} codes of the plan were not uploaded: {need.why}"
        )
    return min(batch.rows, need.codes)
