// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Coverage
/// @notice An application's funds, and whether they covered its caps when the last two sessions opened.
///
/// Session n is covered iff at its opening the free funds were at least `capSum(n-1) + capSum(n)`: the caps of the
/// two sessions that can still lock them.
/// @dev The answer is kept, one bit a session, instead of what it was computed from: funds change within a session
/// and caps only between sessions, so the first change within a session decides it for good. All that a claim
/// touches of its application is one slot.
library Coverage {
    /// @param free What is neither locked by claims nor asked back.
    /// @param capSum The sum of the caps from session `capSumFrom` on.
    /// @param session The last one in which the funds or the caps changed.
    /// @param isCovered Whether `session` was covered at its opening.
    /// @param wasCovered Whether the one before was.
    struct Funds {
        uint88 free;
        uint88 capSum;
        uint32 capSumFrom;
        uint32 session;
        bool isCovered;
        bool wasCovered;
    }

    /// @param packed The funds in one word: the compiler would read and write it once for each of their fields.
    /// @param capSumBefore The sum of the caps in session `capSumFrom - 1`.
    struct Account {
        uint256 packed;
        uint88 capSumBefore;
        uint88 pending;
        uint64 pendingSession;
    }

    /// @notice The funds as of session `current`, before they change in it.
    function load(Account storage self, uint256 current) internal view returns (Funds memory funds) {
        funds = peek(self);
        if (funds.session == current) return funds;
        // Nothing has changed since `session`, so later openings saw what is there now.
        bool isNext = uint256(funds.session) + 1 == current;
        funds.wasCovered = isNext ? funds.isCovered : _covers(self, funds, current - 1);
        funds.isCovered = _covers(self, funds, current);
        funds.session = uint32(current);
    }

    /// @notice The funds as they were left.
    function peek(Account storage self) internal view returns (Funds memory funds) {
        uint256 packed = self.packed;
        funds.free = uint88(packed);
        funds.capSum = uint88(packed >> 88);
        funds.capSumFrom = uint32(packed >> 176);
        funds.session = uint32(packed >> 208);
        funds.isCovered = packed >> 240 & 1 != 0;
        funds.wasCovered = packed >> 248 & 1 != 0;
    }

    function store(Account storage self, Funds memory funds) internal {
        uint256 flags = (funds.isCovered ? 1 : 0) | (funds.wasCovered ? 1 << 8 : 0);
        self.packed = uint256(funds.free) | uint256(funds.capSum) << 88 | uint256(funds.capSumFrom) << 176
            | uint256(funds.session) << 208 | flags << 240;
    }

    /// @notice Whether session `number` was covered at its opening; no for all but the running one and the one before.
    function isCoveredAt(Funds memory funds, uint256 number) internal pure returns (bool) {
        if (number == funds.session) return funds.isCovered;
        return number + 1 == funds.session && funds.wasCovered;
    }

    /// @notice Changes the sum of the caps from the next session on.
    function setCapSum(Account storage self, Funds memory funds, uint88 capSum) internal {
        uint32 next = funds.session + 1;
        if (funds.capSumFrom != next) {
            self.capSumBefore = funds.capSum;
            funds.capSumFrom = next;
        }
        funds.capSum = capSum;
    }

    /// @dev No cap has changed since session `funds.session`, so `number - 1` is at least `capSumFrom - 1`.
    function _covers(Account storage self, Funds memory funds, uint256 number) private view returns (bool) {
        uint256 needed = _capSumAt(self, funds, number);
        if (number != 0) needed += _capSumAt(self, funds, number - 1);
        return funds.free >= needed;
    }

    function _capSumAt(Account storage self, Funds memory funds, uint256 number) private view returns (uint256) {
        return number >= funds.capSumFrom ? funds.capSum : self.capSumBefore;
    }
}
