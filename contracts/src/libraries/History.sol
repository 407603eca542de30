// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title History
/// @notice What a value is from which session or epoch on, and what it was before.
/// @dev The newest step fills one slot, so that reading what is in force costs one, where a list costs two: its
/// length and its last entry. A history begins with zero from zero on.
library History {
    struct Step {
        uint160 value;
        uint48 from;
    }

    /// @dev `older` counts the steps before the newest.
    struct Trace {
        uint160 latest;
        uint48 from;
        uint48 older;
        mapping(uint256 index => Step step) steps;
    }

    /// @dev `from` is never before the newest step's; the same one replaces its value.
    function push(Trace storage self, uint256 from, uint160 value) internal {
        assert(from >= self.from && from <= type(uint48).max);
        if (from != self.from) {
            self.steps[self.older++] = Step(self.latest, self.from);
            self.from = uint48(from);
        }
        self.latest = value;
    }

    /// @notice The value in force at `number`.
    function valueAt(Trace storage self, uint256 number) internal view returns (uint160) {
        (uint160 latest, uint48 from) = (self.latest, self.from);
        if (number >= from) return latest;
        // What is asked for is one of the last few; the first step is from zero on.
        uint256 index = self.older - 1;
        while (self.steps[index].from > number) --index;
        return self.steps[index].value;
    }
}
