// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// The invariants. Each is judged after every call of a campaign, or by the calls that put it to the test.
enum Rule {
    /// Balances and reservations together are the tokens that the ledger holds; never more, and less only with a token that calls out.
    Solvent,
    /// Of every token: what came in is what was taken out plus what lies in balances and reservations.
    PaidOutWithinDeposited,
    /// What was ever reserved in a channel is what its target was paid, what its owner got back and what is reserved now.
    ChannelAddsUp,
    /// settled never falls and never exceeds the deposit.
    SettledOnlyRises,
    /// A channel never pays more than the best promise or close that was signed for it.
    PaidWithinPromised,
    /// A settle, a batch or a close credits the payout (and the target, for its relay fee) with what the channels paid, to the unit.
    OnlyThePayoutIsPaid,
    /// A balance falls by a call of its account only.
    NobodyMovesAnothersBalance,
    /// Only the owner's call makes an expiry later; nothing makes it earlier but the end of an epoch.
    OnlyTheOwnerExtends,
    /// An epoch only rises, by one, by a call of the owner; with it the reservation is gone.
    EpochEndsByTheOwner,
    /// A payout changes by its own acceptance, after the payout in force has proposed it, and in no other way.
    OnlyThePayoutChangesThePayout,
    /// A promise pays min(value, deposit) - settled, whatever was shown before and however often: replayed, stale, re-opened.
    PromisePaysTheDifference,
    /// A lock is worth nothing from its expiry on.
    ExpiredLockIsWorthless,
    /// Two promises of one channel pay the larger of the two, in either order.
    PromisesNeverAddUp,
    /// From the expiry on, and not a second before, the owner gets all that is not settled.
    OwnerGetsTheRest,
    /// A Close works in its epoch, until its deadline, once.
    CloseWorksOnce,
    /// A batch leaves the same state as its items one by one; but the relay fee is kept once a call.
    BatchEqualsItems,
    /// What nobody is entitled to fails, and changes nothing.
    TrespassFails,
    /// When all have left, nothing of theirs is left behind.
    NothingStaysBehind
}

uint256 constant RULES = uint256(type(Rule).max) + 1;

/// What was judged, and what was broken. A rule that was never judged proves nothing, so that is remembered too.
abstract contract Judge {
    // a bit for each rule: this is the busiest place of a campaign
    uint256 private _judged;
    uint256 private _broken;

    function judged(Rule rule) external view returns (bool) {
        return _judged >> uint256(rule) & 1 != 0;
    }

    function broken(Rule rule) external view returns (bool) {
        return _broken >> uint256(rule) & 1 != 0;
    }

    function _hold(Rule rule, bool holds) internal {
        uint256 bit = 1 << uint256(rule);
        if (_judged & bit == 0) _judged |= bit;
        if (!holds) _broken |= bit;
    }
}
