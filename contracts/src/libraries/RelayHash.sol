// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import { Service, SessionKey } from "../types/Types.sol";

/// @title RelayHash
/// @notice IDs, and EIP-712 struct hashes of the messages of a relay.
/// @dev Mirrors `relay_mining/messages.py`, byte for byte.
library RelayHash {
    bytes32 internal constant REQUEST_TYPEHASH = keccak256(
        "RelayRequest(bytes32 sessionId,address supplier,bytes32 bodyHash,uint64 maxUnits,uint64 expiry,bytes32 nonce)"
    );
    bytes32 internal constant RESPONSE_TYPEHASH = keccak256(
        "RelayResponse(bytes32 requestHash,bytes32 bodyHash,bytes32 saltHash,uint32 inputTokens,uint32 cachedTokens,uint32 outputTokens,uint64 units,uint8 status,bytes32 serviceSpecHash,uint32 part)"
    );
    bytes32 internal constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 sessionId,address supplier,bytes32 requestHash,bytes32 responseHash,bytes32 saltHash,uint64 units,bytes32 secret)"
    );
    bytes32 internal constant BATCH_TYPEHASH = keccak256("ReceiptBatch(bytes32 root)");
    bytes32 internal constant CANCEL_TYPEHASH = keccak256("Cancel(bytes32 requestHash)");
    bytes32 internal constant ACK_TYPEHASH = keccak256("Ack(bytes32 root)");

    function sessionId(SessionKey memory key) internal pure returns (bytes32) {
        return keccak256(abi.encode(key.application, key.gateway, key.service, uint256(key.number)));
    }

    function claimId(address supplier, bytes32 session) internal pure returns (bytes32) {
        return keccak256(abi.encode(supplier, session));
    }

    function serviceId(Service calldata value) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                value.source,
                value.specHash,
                value.requestUnits,
                value.inputUnits,
                value.cachedUnits,
                value.outputUnits,
                value.sourceBps,
                value.market,
                value.name
            )
        );
    }

    function supplierId(address owner, bytes32 salt) internal pure returns (address) {
        return address(bytes20(keccak256(abi.encode(owner, salt))));
    }

    function receipt(
        bytes32 session,
        address supplier,
        bytes32 requestHash,
        bytes32 responseHash,
        bytes32 saltHash,
        uint64 units,
        bytes32 secret
    )
        internal
        pure
        returns (bytes32)
    {
        return keccak256(
            abi.encode(RECEIPT_TYPEHASH, session, supplier, requestHash, responseHash, saltHash, units, secret)
        );
    }

    function batch(bytes32 root) internal pure returns (bytes32) {
        return keccak256(abi.encode(BATCH_TYPEHASH, root));
    }
}
